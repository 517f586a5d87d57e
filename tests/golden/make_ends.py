#!/usr/bin/env python3
"""Writes small ONNX models whose arrays lie in other ways than a classifier's pictures, and what ONNX Runtime computes.

usage: make_ends.py [OUT_DIR]        (pip install onnx==1.16.2 onnxruntime==1.32.0 numpy; OUT_DIR is `ends` here)

  NAME.onnx       a detector of three outputs, a network of two inputs, one of series (1-D), one that segments, one of gray pictures
  expected.npz    `NAME/VALUE`: each input and output, a batch of two, as the file has them
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node


class Weights:
    """Constants of a model, by name."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.tensors = []

    def normal(self, name, *shape):
        values = (0.5 * self.random.normal(size=shape)).round(3).astype(np.float32)
        self.tensors.append(numpy_helper.from_array(values, name))

    def integers(self, name, *values):
        self.tensors.append(numpy_helper.from_array(np.array(values, np.int64), name))


def detector(weights):
    weights.normal("w", 6, 3, 3, 3)
    weights.normal("of boxes", 4, 6, 1, 1)
    weights.normal("of scores", 3, 6, 1, 1)
    weights.normal("of classes", 5, 6)
    weights.integers("boxes shape", 1, -1, 4)
    weights.integers("scores shape", 1, -1, 3)
    nodes = [
        node("Conv", ["image", "w"], ["maps"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["maps"], ["features"]),
        node("GlobalAveragePool", ["features"], ["means"]),
        node("Flatten", ["means"], ["flat"]),
        node("Gemm", ["flat", "of classes"], ["classes"], transB=1),
        node("Conv", ["features", "of boxes"], ["box maps"]),
        node("Transpose", ["box maps"], ["box rows"], perm=[0, 2, 3, 1]),
        node("Reshape", ["box rows", "boxes shape"], ["found/boxes:0"]),
        node("Conv", ["features", "of scores"], ["score maps"]),
        node("Transpose", ["score maps"], ["score rows"], perm=[0, 2, 3, 1]),
        node("Reshape", ["score rows", "scores shape"], ["scores"]),
        node("Softmax", ["scores"], ["found/scores:0"], axis=-1),
    ]
    outputs = {"classes": (1, 5), "found/boxes:0": (1, 12, 4), "found/scores:0": (1, 12, 3)}
    return nodes, {"image": (1, 3, 8, 6)}, outputs


def two_inputs(weights):
    weights.normal("w", 2, 3, 2, 2)
    weights.normal("m", 4, 13)
    nodes = [
        node("Conv", ["picture", "w"], ["maps"], strides=[2, 2]),
        node("Relu", ["maps"], ["features"]),
        node("Flatten", ["features"], ["flat"]),
        node("Concat", ["flat", "facts"], ["all"], axis=1),
        node("Gemm", ["all", "m"], ["sums"], transB=1),
    ]
    return nodes, {"picture": (1, 3, 4, 4), "facts": (1, 5)}, {"sums": (1, 4)}


def series(weights):
    weights.normal("w", 4, 3, 3)
    weights.normal("v", 2, 4, 1)
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1]),
        node("Relu", ["a"], ["b"]),
        node("MaxPool", ["b"], ["c"], kernel_shape=[2], strides=[2]),
        node("Conv", ["c", "v"], ["y"]),
    ]
    return nodes, {"x": ("batch", 3, 10)}, {"y": ("batch", 2, 5)}


def segmentation(weights):
    weights.normal("w", 5, 3, 3, 3)
    weights.normal("v", 4, 5, 1, 1)
    weights.tensors.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    resize = dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "v"], ["c"]),
        node("Resize", ["c", "", "scales"], ["d"], **resize),
        node("Softmax", ["d"], ["mask"], axis=1),
    ]
    return nodes, {"x": (1, 3, 6, 8)}, {"mask": (1, 4, 6, 8)}


def gray(weights):
    """As Keras has MNIST: a picture without an axis of channels."""
    weights.normal("m", 3, 30)
    nodes = [node("Flatten", ["x"], ["flat"]), node("Gemm", ["flat", "m"], ["classes"], transB=1)]
    return nodes, {"x": ("batch", 6, 5)}, {"classes": ("batch", 3)}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "ends")
    expected = {}
    for seed, net in enumerate([detector, two_inputs, series, segmentation, gray]):
        name, weights = net.__name__, Weights(seed)
        nodes, inputs, outputs = net(weights)
        for own in nodes:
            own.name = f"the {own.output[0]}"
        values = lambda ends: [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends.items()]
        graph = helper.make_graph(nodes, name, values(inputs), values(outputs), weights.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        content = model.SerializeToString()
        (folder / f"{name}.onnx").write_bytes(content)
        session = onnxruntime.InferenceSession(content)
        given = {n: weights.random.normal(size=(2, *s[1:])).round(2).astype(np.float32) for n, s in inputs.items()}
        # Files say a batch of 1: sample by sample.
        found = [session.run(list(outputs), {n: x[i : i + 1] for n, x in given.items()}) for i in range(2)]
        arrays = given | {n: np.concatenate(samples) for n, samples in zip(outputs, zip(*found))}
        expected |= {f"{name}/{n}": array for n, array in arrays.items()}
        print(f"{name:16}{len(content):7} bytes, " + ", ".join(f"{n} {a.shape}" for n, a in arrays.items()))
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main()

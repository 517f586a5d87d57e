#!/usr/bin/env python3
"""Writes two small ONNX models with channels that make no difference, and what ONNX Runtime computes of them.

usage: make_constant.py [OUT_DIR]    (pip install onnx==1.23.2 onnxruntime==1.32.0 numpy; OUT_DIR is `constant` here)

  int8.onnx       QDQ: convolutions, depthwise ones, a sum and a linear layer; some channels are always the first number, some
                  always the last one, some are read by no weight
  f32.onnx        the same kinds of layers on real numbers; some channels are never positive before their ReLU
  expected.npz    `NAME/input` of 8 pictures, `NAME/output`
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node


class Net:
    """A chain of layers; the second number of a scale is its zero point."""

    def __init__(self, seed, is_int8):
        self.random = np.random.default_rng(seed)
        self.is_int8 = is_int8
        self.nodes, self.tensors = [], []
        self.count = 0

    def name(self, what):
        self.count += 1
        return f"{what}{self.count}"

    def constant(self, values):
        name = self.name("c")
        self.tensors.append(numpy_helper.from_array(values, name))
        return name

    def add(self, kind, inputs, name=None, **attributes):
        name = name or self.name("t")
        self.nodes.append(node(kind, inputs, [name], name=name, **attributes))
        return name

    def numbers(self, value, scale, zero_point=-128):
        """The value as numbers and back."""
        if not self.is_int8:
            return value
        meaning = [self.constant(np.float32(scale)), self.constant(np.int8(zero_point))]
        numbers = self.add("QuantizeLinear", [value, *meaning])
        return self.add("DequantizeLinear", [numbers, *meaning])

    def parameters(self, shape, bias, scale):
        """Whole weights of a scale, or real ones; `unread` columns and a bias."""
        whole = self.random.integers(-100, 101, shape)
        for column in range(shape[1]):
            if shape[1] > 1 and column % 5 == 4:
                whole[:, column] = 0
        bias = np.array(bias)
        if not self.is_int8:
            whole = np.where((bias < 0).reshape(-1, *[1] * (len(shape) - 1)), -abs(whole), whole)
            return [self.constant((whole * 0.01).astype(np.float32)), self.constant((bias * 1e-5).astype(np.float32))]
        weight_scale = np.float32(0.01)
        weights = self.add(
            "DequantizeLinear",
            [self.constant(whole.astype(np.int8)), self.constant(weight_scale), self.constant(np.int8(0))],
        )
        bias = self.add(
            "DequantizeLinear",
            [self.constant(bias.astype(np.int32)), self.constant(np.float32(scale) * weight_scale), self.constant(np.int32(0))],
        )
        return [weights, bias]

    def layer(self, kind, value, shape, bias, scale, output, **attributes):
        parameters = self.parameters(shape, bias, scale)
        value = self.add(kind, [value, *parameters], **attributes)
        if not self.is_int8 and output is not None:
            value = self.add("Relu", [value])
        return self.numbers(value, output or 0.2)


def net(seed, is_int8):
    net = Net(seed, is_int8)
    low, high = -3_000_000, 3_000_000 if is_int8 else 100
    value = net.numbers("input", 0.01, 0)
    # Whole words are left: 8 of 12.
    value = net.layer("Conv", value, (12, 3, 3, 3), [0, low, 500, low, low, 40, low, 9, 1, 2, 3, 4], 0.01, 0.05)
    bias = [30, low, 300, 0, low, 10, low, 20, low, 5, 6, 7]
    value = net.layer("Conv", value, (12, 1, 3, 3), bias, 0.05, 0.06, group=12, pads=[1, 1, 1, 1])
    short = value = net.layer("Conv", value, (10, 12, 1, 1), [0, low, high, 5, low, high, 7, 3, 2, 1], 0.06, 0.1)
    value = net.layer("Conv", value, (10, 10, 1, 1), [0, low, 3, 5, low, high, 7, 3, 2, 1], 0.1, 0.2)
    value = net.numbers(net.add("Add", [value, short]), 0.3)
    value = net.layer("Conv", value, (6, 10, 3, 3), [0, low, high, 4, low, 3], 0.3, 0.3)
    value = net.add("GlobalAveragePool", [value])
    value = net.numbers(value, 0.3)
    value = net.add("Flatten", [value])
    parameters = net.parameters((4, 6), [1, 2, 3, 4], 0.3)
    value = net.add("Gemm", [value, *parameters], transB=1)
    value = net.numbers(value, 0.5, 0)
    net.nodes.append(node("Identity", [value], ["output"], name="output"))
    return net


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "constant")
    out.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for seed, (name, is_int8) in enumerate([("int8", True), ("f32", False)]):
        made = net(seed, is_int8)
        ends = [
            helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 9]),
            helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 4]),
        ]
        graph = helper.make_graph(made.nodes, name, ends[:1], ends[1:], made.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        path = out / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        inputs = made.random.uniform(-1.28, 1.27, (8, 3, 8, 9)).astype(np.float32)
        outputs = [session.run(None, {"input": picture[None]})[0] for picture in inputs]
        arrays[f"{name}/input"] = inputs
        arrays[f"{name}/output"] = np.concatenate(outputs)
        print(name, arrays[f"{name}/output"])
    np.savez(out / "expected.npz", **arrays)


if __name__ == "__main__":
    main()

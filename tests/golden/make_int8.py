#!/usr/bin/env python3
"""Writes ONNX graphs of 8-bit operators, each with an input and what ONNX Runtime computes of it, to the bit.

usage: make_int8.py [OUT_DIR]     (into the folder onnx-int8 beside this file)
       needs Python 3.9 or later, `pip install onnx==1.23.2 onnxruntime==1.32.0 numpy`, and a processor whose sums of 8-bit
       products are exact (x86-64 with VNNI, 64-bit Arm): the script computes some and stops where they are not.

  OUT_DIR/NAME/model.onnx                          a graph whose input and output are of 8-bit numbers
  OUT_DIR/NAME/test_data_set_0/{input,output}_0.pb its input and its output, as messages of ONNX

The layout is that of the `onnx` package's own test cases. Graphs of QDQ form are run with all of ONNX Runtime's passes, which
join them to the operators that the others name. What it has no such operator for it computes in float32, and there scales are
powers of two, so that nothing is rounded but what is defined.
"""
import pathlib
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"


class Net:
    """A graph of one input, `x`. A value is a tensor of 8-bit numbers with its scale and zero point, of which all are
    signed or all are not."""

    def __init__(self, seed, signed=None, exact_scales=False, opset=21):
        self.numbers = np.random.default_rng(seed)
        self.nodes, self.constants, self.count, self.opset = [], [], 0, opset
        signed = self.numbers.random() < 0.5 if signed is None else signed
        self.type, self.exact_scales = (np.int8 if signed else np.uint8), exact_scales

    def constant(self, array):
        self.count += 1
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"c{self.count}"))
        return f"c{self.count}"

    def name(self):
        self.count += 1
        return f"v{self.count}"

    def node(self, operator, inputs, domain="", **attributes):
        output = self.name()
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def meaning(self, scale):
        """A scale of about this size, and any zero point."""
        limits = np.iinfo(self.type)
        middle = (limits.min + limits.max + 1) // 2
        zero = limits.min if self.numbers.random() < 0.2 else middle + self.numbers.integers(-30, 31)
        scale = 2.0 ** round(np.log2(scale)) if self.exact_scales else scale * self.numbers.uniform(0.7, 1.4)
        return self.constant(np.float32(scale)), self.constant(self.type(zero))

    def value(self, name):
        return next(numpy_helper.to_array(c) for c in self.constants if c.name == name)

    def input(self, *dims):
        self.dims = list(dims)
        scale, zero = self.meaning(1 / 40)
        return "x", scale, zero

    def quantized(self, operator, inputs, scale, domain=MICROSOFT, **attributes):
        """An operator on 8-bit numbers, `inputs` being values; `scale` is about that of its output."""
        to = self.meaning(scale)
        flat = [name for value in inputs for name in value]
        return self.node(operator, flat + list(to), domain, **attributes), *to

    def real(self, value):
        return self.node("DequantizeLinear", list(value))

    def qdq(self, operator, inputs, scale, constants=(), **attributes):
        """The same as an operator on real numbers between steps; `constants` are further inputs."""
        return self.rounded(self.node(operator, [self.real(value) for value in inputs] + list(constants), **attributes), scale)

    def rounded(self, real, scale):
        to = self.meaning(scale)
        return self.node("QuantizeLinear", [real, *to]), *to

    def weights(self, axis, terms, *dims):
        """Weights with a scale for each index of `axis`, or one for all, such that a sum of `terms` products is about 1."""
        per_channel = axis is not None and self.numbers.random() < 0.7
        scale = 1 / (60 * 60 / 40 * terms**0.5) * self.numbers.uniform(0.5, 2, dims[axis] if per_channel else ())
        numbers = self.numbers.integers(-128, 128, dims).astype(np.int8)
        zeros = np.zeros(scale.shape, np.int8)
        return self.constant(numbers), self.constant(scale.astype(np.float32)), self.constant(zeros)

    def bias(self, channels):
        return [self.constant(self.numbers.integers(-9000, 9000, channels).astype(np.int32))]

    def convolution(self, x, dims, outs, kernel=(3, 3), groups=1, biased=True, scale=1 / 50, **attributes):
        terms = dims[1] // groups * kernel[0] * kernel[1]
        weights = self.weights(0, terms, outs, dims[1] // groups, *kernel)
        to = self.meaning(scale)
        inputs = [*x, *weights, *to] + (self.bias(outs) if biased else [])
        return self.node("QLinearConv", inputs, group=groups, **attributes), *to

    def write(self, folder, value):
        """False where all of the output is at its ends."""
        of_type = {np.int8: TensorProto.INT8, np.uint8: TensorProto.UINT8}[self.type]
        info = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes, "int8", [info("x", of_type, self.dims)], [info(value[0], of_type, None)],
                                  self.constants)
        sets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        content = helper.make_model(graph, opset_imports=sets, ir_version=8).SerializeToString()
        limits = np.iinfo(self.type)
        x = self.numbers.integers(limits.min, limits.max + 1, self.dims).astype(self.type)
        y = run(content, x)
        if len(np.unique(y)) < 3:
            return False
        data = folder / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(content)
        (data / "input_0.pb").write_bytes(numpy_helper.from_array(x, "x").SerializeToString())
        (data / "output_0.pb").write_bytes(numpy_helper.from_array(y, value[0]).SerializeToString())
        return True


def run(content, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    [y] = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"]).run(None, {"x": x})
    return y


CASES = []


def case(count=1, **settings):
    """So many graphs, each with a seed of its own; the function adds the operators and returns the last value."""
    def add(function):
        CASES.append((function, count, settings))
        return function
    return add


def pick(net, *choices):
    return choices[net.numbers.integers(len(choices))]


@case(14)
def qlinear_conv(net):
    groups = pick(net, 1, 1, 2, 4)
    channels = groups * int(net.numbers.integers(1, 5))
    outs = groups * int(net.numbers.integers(1, 4))
    if net.numbers.random() < 0.3:
        groups, outs = channels, channels * pick(net, 1, 2)
    kernel = [int(k) for k in net.numbers.integers(1, 4, 2)]
    dilations = [pick(net, 1, 1, 2), pick(net, 1, 1, 2)]
    attributes = dict(pads=[int(p) for p in net.numbers.integers(0, 3, 4)], strides=[pick(net, 1, 2), pick(net, 1, 2)],
                      dilations=dilations, groups=groups, kernel=kernel, biased=net.numbers.random() < 0.7)
    dims = [1, channels, *(int(e) for e in net.numbers.integers(5, 9, 2))]
    return net.convolution(net.input(*dims), dims, outs, **attributes)


@case(6)
def qlinear_mat_mul(net):
    ins, outs, rows = int(net.numbers.integers(1, 60)), int(net.numbers.integers(4, 20)), pick(net, 1, 1, 3)
    x, weights, to = net.input(1, rows, ins), net.weights(None, ins, ins, outs), net.meaning(1 / 50)
    return net.node("QLinearMatMul", [*x, *weights, *to]), *to


@case(5)
def qgemm(net):
    ins, outs, turned = int(net.numbers.integers(1, 60)), int(net.numbers.integers(4, 20)), pick(net, 0, 1)
    dims = [outs, ins] if turned else [ins, outs]
    weights = net.weights(1 - turned, ins, *dims)
    bias, to = pick(net, [""], net.bias(outs)), net.meaning(1 / 50)
    inputs = [*net.input(1, ins), *weights, *bias, *to]
    return net.node("QGemm", inputs, MICROSOFT, transB=turned, alpha=1.0), *to


@case(2)
def qlinear_sigmoid(net):
    return net.quantized("QLinearSigmoid", [net.input(1, 3, 9, 9)], 1 / 256)


@case(2)
def qlinear_leaky_relu(net):
    return net.quantized("QLinearLeakyRelu", [net.input(1, 3, 9, 9)], 1 / 50, alpha=pick(net, 0.01, 0.2, -0.5))


@case(2)
def qlinear_softmax(net):
    return net.quantized("QLinearSoftmax", [net.input(1, 24)], 1 / 600, axis=1, opset=13)


@case(4)
def qlinear_average_pool(net):
    attributes = dict(kernel_shape=[pick(net, 2, 3), 2], strides=[pick(net, 1, 2), 1])
    if net.numbers.random() < 0.6:
        attributes.update(pads=[1, 1, 0, 1], count_include_pad=pick(net, 0, 1))
    return net.quantized("QLinearAveragePool", [net.input(1, 3, 8, 7)], 1 / 60, **attributes)


@case(2)
def qlinear_global_average_pool(net):
    return net.quantized("QLinearGlobalAveragePool", [net.input(1, 24, 4, 5)], 1 / 200, channels_last=0)


@case(2)
def qlinear_add(net):
    dims = [1, 4, 6, 5]
    x = net.input(*dims)
    return net.quantized("QLinearAdd", [x, net.convolution(x, dims, 4, (1, 1))], 1 / 30)


@case(2)
def qlinear_mul(net):
    dims = [1, 4, 6, 5]
    x = net.input(*dims)
    return net.quantized("QLinearMul", [net.convolution(x, dims, 4, (1, 1)), x], 1 / 40)


@case(2)
def squeeze_and_excite(net):
    """A product that is spread over rows and columns."""
    dims = [1, 6, 5, 5]
    x = net.input(*dims)
    mean = net.quantized("QLinearGlobalAveragePool", [x], 1 / 150, channels_last=0)
    inner = net.quantized("QLinearLeakyRelu", [net.convolution(mean, [1, 6, 1, 1], 3, (1, 1), scale=1 / 100)], 1 / 100, alpha=0.0)
    gate = net.quantized("QLinearSigmoid", [net.convolution(inner, [1, 3, 1, 1], 6, (1, 1))], 1 / 256)
    return net.quantized("QLinearMul", [x, gate], 1 / 60)


@case(2)
def times_its_sigmoid(net):
    """SiLU, taken apart: a function of one number after all."""
    x = net.input(1, 3, 9, 9)
    return net.quantized("QLinearMul", [x, net.quantized("QLinearSigmoid", [x], 1 / 256)], 1 / 40)


@case(2)
def qlinear_concat(net):
    """Numbers of several meanings side by side."""
    dims = [1, 3, 6, 5]
    x = net.input(*dims)
    beside, to = net.convolution(x, dims, 2, (1, 1)), net.meaning(1 / 45)
    return net.node("QLinearConcat", [*to, *x, *beside], MICROSOFT, axis=pick(net, 1, -3)), *to


# QDQ. ONNX Runtime joins these to the operators above.

@case(3)
def qdq_conv(net):
    dims = [1, 3, 7, 6]
    x = net.input(*dims)
    weights = net.weights(0, 27, 4, 3, 3, 3)
    real = net.node("DequantizeLinear", list(weights), axis=0)
    scales = net.value(x[1]) * np.broadcast_to(net.value(weights[1]), 4)
    numbers = net.numbers.integers(-9000, 9000, 4).astype(np.int32)
    bias = net.node("DequantizeLinear", [net.constant(numbers), net.constant(scales), net.constant(np.zeros(4, np.int32))], axis=0)
    y = net.node("Conv", [net.real(x), real, bias], pads=[1, 1, 1, 1])
    if net.numbers.random() < 0.6:
        y = net.node("Relu", [y])
    return net.rounded(y, 1 / 50)


@case(2)
def qdq_mat_mul(net):
    x, weights = net.input(1, 33), net.weights(None, 33, 33, 12)
    return net.rounded(net.node("MatMul", [net.real(x), net.real(weights)]), 1 / 50)


@case(2)
def qdq_gemm(net):
    x, weights = net.input(1, 33), net.weights(None, 33, 12, 33)
    scale = net.constant(np.float32(net.value(x[1]) * net.value(weights[1])))
    bias = net.node("DequantizeLinear", [*net.bias(12), scale, net.constant(np.int32(0))])
    return net.rounded(net.node("Gemm", [net.real(x), net.real(weights), bias], transB=1), 1 / 50)


@case(1)
def qdq_add(net):
    dims = [1, 4, 6, 5]
    x = net.input(*dims)
    return net.qdq("Add", [x, net.convolution(x, dims, 4, (1, 1))], 1 / 30)


@case(1)
def qdq_mul(net):
    dims = [1, 4, 6, 5]
    x = net.input(*dims)
    gate = net.qdq("Sigmoid", [net.qdq("GlobalAveragePool", [x], 1 / 150)], 1 / 256)
    return net.qdq("Mul", [x, gate], 1 / 80)


@case(1)
def qdq_pools(net):
    return net.qdq("AveragePool", [net.input(1, 3, 8, 7)], 1 / 60, kernel_shape=[2, 3])


@case(1)
def qdq_softmax(net):
    return net.qdq("Softmax", [net.input(1, 24)], 1 / 600, axis=1)


@case(1)
def qdq_concat(net):
    dims = [1, 3, 6, 5]
    x = net.input(*dims)
    return net.qdq("Concat", [x, net.convolution(x, dims, 2, (1, 1))], 1 / 45, axis=1)


@case(1)
def qdq_leaky_relu(net):
    return net.qdq("LeakyRelu", [net.input(1, 3, 9, 9)], 1 / 50, alpha=0.1)


# What ONNX Runtime computes in float32.

def function_of_one(operator, scale, **attributes):
    def function(net):
        return net.qdq(operator, [net.input(1, 3, 9, 9)], scale, **attributes)
    function.__name__ = f"qdq_{operator.lower()}"
    case(1, exact_scales=True)(function)


for arguments in [("Tanh", 1 / 128), ("HardSwish", 1 / 64), ("HardSigmoid", 1 / 256), ("Elu", 1 / 64), ("Gelu", 1 / 64),
                  ("Softplus", 1 / 64), ("Relu", 1 / 64), ("Exp", 1 / 32), ("Erf", 1 / 128), ("Abs", 1 / 64), ("Selu", 1 / 64)]:
    function_of_one(*arguments)


@case(1, exact_scales=True)
def qdq_chain(net):
    """Several functions, with numbers of 8 bits between some of them."""
    x = net.qdq("Tanh", [net.input(1, 3, 9, 9)], 1 / 128)
    real = net.node("Mul", [net.node("Sigmoid", [net.real(x)]), net.constant(np.float32(1.5))])
    return net.rounded(net.node("Clip", [real, net.constant(np.float32(0.5)), net.constant(np.float32(1.0))]), 1 / 256)


def function_of_two(operator):
    def function(net):
        dims = [1, 4, 6, 5]
        x = net.input(*dims)
        return net.qdq(operator, [x, net.convolution(x, dims, 4, (1, 1), scale=1 / 64)], 1 / 32)
    function.__name__ = f"qdq_{operator.lower()}"
    case(1, exact_scales=True)(function)


for operator in ["Sub", "Max", "Min"]:
    function_of_two(operator)


@case(1, exact_scales=True)
def qdq_prelu(net):
    """A slope for each channel."""
    slopes = net.constant(net.numbers.uniform(-0.5, 1, (5, 1, 1)).astype(np.float32))
    return net.qdq("PRelu", [net.input(1, 5, 6, 6)], 1 / 64, [slopes])


@case(1, exact_scales=True)
def qdq_affine(net):
    """A factor and a summand for each channel, which stand by themselves."""
    numbers = lambda low, high: net.constant(net.numbers.uniform(low, high, (5, 1, 1)).astype(np.float32))
    scaled = net.qdq("Mul", [net.input(1, 5, 6, 6)], 1 / 64, [numbers(-1, 1)])
    return net.qdq("Add", [scaled], 1 / 32, [numbers(-1, 1)])


@case(1, exact_scales=True)
def qdq_moves(net):
    """What only moves numbers about."""
    x = net.input(1, 3, 4, 5)
    ints = lambda *values: net.constant(np.array(values, np.int64))
    real = net.node("Pad", [net.real(x), ints(0, 0, 1, 0, 0, 0, 0, 1)])
    real = net.node("Transpose", [real], perm=[0, 1, 3, 2])
    real = net.node("Resize", [real, "", net.constant(np.array([1, 1, 2, 2], np.float32))], mode="nearest",
                    coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    real = net.node("Slice", [real, ints(1), ints(10), ints(2)])
    to = x[1:]
    return net.node("QuantizeLinear", [net.node("MaxPool", [real], kernel_shape=[2, 2]), *to]), *to


# Cases that others got wrong.

@case(1, signed=False)
def saturating_pairs(net):
    """Sums of two products that 16 bits do not hold (onnxruntime#16105)."""
    x, to = ("x", net.constant(np.float32(0.01)), net.constant(np.uint8(0))), net.meaning(0.05)
    net.dims = [1, 3]
    limits = [[-81, -80, 127], [127, 127, 127], [-128, -128, -128], [127, -128, 127], [-128, 127, -128], [127, 127, -128]]
    weights = net.constant(np.array(limits, np.int8).T.copy())
    return net.node("QLinearMatMul", [*x, weights, x[1], net.constant(np.int8(0)), *to]), *to


@case(1)
def beyond_both_ends(net):
    """Sums far above the largest number and far below the smallest (tinygrad#8546)."""
    x, weights, to = net.input(1, 20), net.weights(None, 20, 20, 40), net.meaning(1 / 500)
    return net.node("QLinearMatMul", [*x, *weights, *to]), *to


@case(1)
def one_dilated_axis(net):
    """(tflite-micro#2319)"""
    dims = [1, 1, 1, 8]
    return net.convolution(net.input(*dims), dims, 4, (1, 3), dilations=[1, 2], pads=[0, 2, 0, 2])


@case(1)
def depthwise_of_odd_windows(net):
    """A kernel of 3 x 1 with stride 2 and padding as TensorFlow has it (tensorflow#61815)."""
    dims = [1, 2, 8, 8]
    return net.convolution(net.input(*dims), dims, 2, (3, 1), groups=2, strides=[2, 2], auto_pad="SAME_UPPER")


def sums_are_exact():
    net = Net(0, signed=False)
    x, one = ("x", net.constant(np.float32(1)), net.constant(np.uint8(0))), net.constant(np.float32(512))
    net.dims = [1, 64]
    weights = net.constant(np.full((64, 8), 127, np.int8))
    y = net.node("QLinearMatMul", [*x, weights, x[1], net.constant(np.int8(0)), one, net.constant(np.uint8(0))])
    info = helper.make_tensor_value_info
    graph = helper.make_graph(net.nodes, "exact", [info("x", TensorProto.UINT8, [1, 64])], [info(y, TensorProto.UINT8, None)],
                              net.constants)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=8).SerializeToString()
    found = run(content, np.full((1, 64), 16, np.uint8))
    return (found == round(64 * 16 * 127 / 512)).all() and (run(content, np.full((1, 64), 255, np.uint8)) == 255).all()


def main():
    here = pathlib.Path(__file__).parent
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "onnx-int8"
    if not sums_are_exact():
        sys.exit("this processor adds up pairs of products in 16 bits: its results are not those of the operators")
    for function, count, settings in CASES:
        for index in range(count):
            name, seed = function.__name__, 1000 * index
            folder = out / (f"{name}_{index}" if count > 1 else name)
            while True:
                net = Net([seed, *name.encode()], **settings)
                if net.write(folder, function(net)):
                    break
                seed += 1


main()

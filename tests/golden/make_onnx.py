#!/usr/bin/env python3
"""Writes ONNX graphs of random layers, each with an input and what ONNX Runtime computes of it.

usage: make_onnx.py [COUNT [OUT_DIR [SEED]]]     (60 into the folder onnx beside this file, of seed 1)
       needs Python 3.9 or later, `pip install onnx==1.23.2 onnxruntime==1.32.0 numpy`

  OUT_DIR/rNNNN/model.onnx                          a graph of the operators that kinglet imports
  OUT_DIR/rNNNN/test_data_set_0/{input,output}_0.pb its input and its output, as messages of ONNX

The layout is that of the `onnx` package's own test cases. Weights are small and biases too, so that values stay near 1.
"""
import pathlib
import random
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A graph that grows at random. `value` is the name of a tensor, `dims` its shape."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.nodes, self.constants, self.count = [], [], 0
        self.opset = self.random.choice([11, 12, 13, 15, 17, 18, 20, 21])

    def constant(self, array):
        self.count += 1
        name = f"c{self.count}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, *dims, scale=1.0):
        return self.constant((self.numbers.standard_normal(dims) * scale).astype(np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, dtype=np.int64))

    def node(self, operator, inputs, outputs=1, **attributes):
        names = []
        for _ in range(outputs):
            self.count += 1
            names.append(f"v{self.count}")
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names if outputs > 1 else names[0]

    def axes(self, operator, inputs, axes, since, **attributes):
        """Axes are an attribute before the operator set `since`, an input from it on."""
        if self.opset < since:
            return self.node(operator, inputs, axes=axes, **attributes)
        return self.node(operator, inputs + [self.ints(*axes)], **attributes)


# Each layer takes a net, a value and its dimensions, and returns the next value and dimensions; None if it does not fit.

def conv(net, x, dims):
    if len(dims) not in (3, 4):
        return None
    channels, space = dims[1], dims[2:]
    groups = net.random.choice([1, 1, 1, channels] + [g for g in (2, 3) if channels % g == 0])
    outs = groups * net.random.randint(1, max(1, 8 // groups))
    kernel = [net.random.randint(1, min(3, s)) for s in space]
    strides = [net.random.choice([1, 1, 2]) for _ in space]
    dilations = [net.random.choice([1, 1, 2]) if (k - 1) * 2 + 1 <= s else 1 for k, s in zip(kernel, space)]
    attributes = dict(kernel_shape=kernel, strides=strides, dilations=dilations, group=groups)
    how = net.random.choice(["pads", "none", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if how == "pads":
        attributes["pads"] = [net.random.randint(0, 2) for _ in range(2 * len(space))]
    elif how != "none":
        attributes["auto_pad"] = how
        if how != "VALID":
            attributes["dilations"] = [1] * len(space)
    weights = net.floats(outs, channels // groups, *kernel, scale=(channels // groups * np.prod(kernel)) ** -0.5)
    inputs = [x, weights] + ([net.floats(outs, scale=0.3)] if net.random.random() < 0.7 else [])
    return net.node("Conv", inputs, **attributes), None


def pool(net, x, dims):
    if len(dims) not in (3, 4) or any(s < 2 for s in dims[2:]):
        return None
    space = dims[2:]
    kernel = [net.random.randint(2, min(3, s)) for s in space]
    attributes = dict(kernel_shape=kernel, strides=[net.random.randint(1, 2) for _ in space])
    if net.random.random() < 0.5:
        attributes["pads"] = [net.random.randint(0, k // 2) for k in kernel * 2]
    elif net.random.random() < 0.3:
        attributes["auto_pad"] = net.random.choice(["SAME_UPPER", "SAME_LOWER"])
    if net.random.random() < 0.5:
        if net.random.random() < 0.3 and "auto_pad" not in attributes:
            attributes["ceil_mode"] = 1
        return net.node("MaxPool", [x], **attributes), None
    if "auto_pad" not in attributes:
        attributes["count_include_pad"] = net.random.randint(0, 1)
    return net.node("AveragePool", [x], **attributes), None


def global_pool(net, x, dims):
    if len(dims) not in (3, 4) or net.random.random() < 0.7:
        return None
    return net.node(net.random.choice(["GlobalAveragePool", "GlobalMaxPool"]), [x]), None


def activation(net, x, dims):
    kind = net.random.choice(["Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "HardSigmoid", "Clip", "HardSwish"])
    if kind == "Clip":
        low, high = net.random.choice([(0.0, 6.0), (-1.0, 1.0), (0.0, None), (None, 0.5)])
        limit = lambda v: "" if v is None else net.constant(np.float32(v))
        return net.node("Clip", [x, limit(low), limit(high)]), dims
    if kind == "HardSwish" and net.opset < 14:
        kind = "Relu"
    return net.node(kind, [x]), dims


def prelu(net, x, dims):
    if len(dims) < 3:
        return None
    return net.node("PRelu", [x, net.floats(dims[1], *[1] * (len(dims) - 2), scale=0.3)]), dims


def batch_norm(net, x, dims):
    if len(dims) < 2:
        return None
    variance = net.constant(net.numbers.uniform(0.5, 2.0, dims[1]).astype(np.float32))
    inputs = [x, net.floats(dims[1]), net.floats(dims[1], scale=0.3), net.floats(dims[1], scale=0.3), variance]
    return net.node("BatchNormalization", inputs), dims


def with_constant(net, x, dims):
    operator = net.random.choice(["Add", "Sub", "Mul", "Div", "Min", "Max"])
    shape = [d if net.random.random() < 0.4 else 1 for d in dims][net.random.randint(0, len(dims) - 1):]
    if operator == "Div":
        operand = net.constant(net.numbers.uniform(0.5, 2.0, shape).astype(np.float32))
        return net.node("Div", [x, operand]), dims
    inputs = [x, net.floats(*shape)]
    if net.random.random() < 0.3:
        inputs.reverse()
    return net.node(operator, inputs), dims


def residual(net, x, dims):
    """Two branches of the same shape."""
    first, _ = activation(net, x, dims)
    second = x
    if len(dims) == 4 and net.random.random() < 0.6:
        weights = net.floats(dims[1], dims[1], 3, 3, scale=(9 * dims[1]) ** -0.5)
        second = net.node("Conv", [x, weights], pads=[1, 1, 1, 1])
    return net.node(net.random.choice(["Add", "Sub", "Mul", "Max", "Sum"]), [first, second]), dims


def gate(net, x, dims):
    """Squeeze and excitation: each channel by a factor of its mean."""
    if len(dims) != 4:
        return None
    mean = net.axes("ReduceMean", [x], [2, 3], 18, keepdims=1)
    factor = net.node("Conv", [mean, net.floats(dims[1], dims[1], 1, 1, scale=0.5)])
    factor = net.node(net.random.choice(["Sigmoid", "HardSigmoid"]), [factor])
    return net.node("Mul", [x, factor] if net.random.random() < 0.5 else [factor, x]), dims


def concat(net, x, dims):
    axis = net.random.randint(1, len(dims) - 1)
    parts = [x, activation(net, x, dims)[0]]
    if net.random.random() < 0.3:
        parts.append(prelu(net, x, dims)[0] if len(dims) > 2 else x)
    if dims[axis] * len(parts) > 24:
        return None
    return net.node("Concat", parts, axis=axis if net.random.random() < 0.7 else axis - len(dims)), None


def split(net, x, dims):
    axes = [a for a in range(1, len(dims)) if dims[a] >= 2]
    if not axes:
        return None
    axis = net.random.choice(axes)
    first = net.random.randint(1, dims[axis] - 1)
    lengths = [first, dims[axis] - first]
    if net.opset < 13:
        parts = net.node("Split", [x], outputs=2, axis=axis, split=lengths)
    else:
        parts = net.node("Split", [x, net.ints(*lengths)], outputs=2, axis=axis)
    if net.random.random() < 0.5:
        return net.node("Concat", [net.node("Relu", [parts[1]]), parts[0]], axis=axis), dims
    return parts[net.random.randint(0, 1)], None


def slices(net, x, dims):
    axes = [a for a in range(1, len(dims)) if dims[a] >= 3]
    if not axes:
        return None
    axes = net.random.sample(axes, net.random.randint(1, len(axes)))
    starts = [net.random.randint(0, 1) for _ in axes]
    ends = [net.random.choice([dims[a], -1, 2**31]) for a in axes]
    steps = [net.random.randint(1, 2) for _ in axes]
    return net.node("Slice", [x, net.ints(*starts), net.ints(*ends), net.ints(*axes), net.ints(*steps)]), None


def pad(net, x, dims):
    amounts = [0] + [net.random.randint(0, 1) for _ in dims[1:]]
    amounts += [0] + [net.random.randint(0, 2) for _ in dims[1:]]
    inputs = [x, net.ints(*amounts)]
    if net.random.random() < 0.5:
        inputs.append(net.constant(np.float32(net.random.choice([0.0, 0.5, -1.0]))))
    return net.node("Pad", inputs), None


def upsample(net, x, dims):
    if len(dims) != 4 or max(dims[2:]) > 6:
        return None
    factors = [net.random.randint(1, 3), net.random.randint(1, 3)]
    modes = net.random.choice([("half_pixel", "round_prefer_floor"), ("asymmetric", "floor")])
    attributes = dict(mode="nearest", coordinate_transformation_mode=modes[0], nearest_mode=modes[1])
    if net.random.random() < 0.5:
        scales = net.constant(np.array([1, 1] + factors, dtype=np.float32))
        return net.node("Resize", [x, "", scales] if net.opset >= 13 else [x, net.floats(0), scales], **attributes), None
    sizes = net.ints(1, dims[1], dims[2] * factors[0], dims[3] * factors[1])
    empty = [x, "", "", sizes] if net.opset >= 13 else [x, net.floats(0), net.floats(0), sizes]
    return net.node("Resize", empty, **attributes), None


def detour(net, x, dims):
    """To another order of axes, something element by element, and back again (or not)."""
    if len(dims) < 3:
        return None
    rest = list(range(1, len(dims)))
    net.random.shuffle(rest)
    order = [0] + rest
    there = net.node("Transpose", [x], perm=order)
    new = [dims[a] for a in order]
    there, new = net.random.choice([activation, with_constant, residual_plain])(net, there, new)
    if net.random.random() < 0.3:
        return there, None
    return net.node("Transpose", [there], perm=[order.index(a) for a in range(len(dims))]), dims


def residual_plain(net, x, dims):
    return net.node("Add", [x, activation(net, x, dims)[0]]), dims


def shuffle(net, x, dims):
    """Channel shuffle: reshape, transpose, reshape."""
    if len(dims) != 4:
        return None
    groups = [g for g in (2, 3, 4) if dims[1] % g == 0]
    if not groups:
        return None
    g = net.random.choice(groups)
    x = net.node("Reshape", [x, net.ints(0, g, dims[1] // g, dims[2], dims[3])])
    x = net.node("Transpose", [x], perm=[0, 2, 1, 3, 4])
    return net.node("Reshape", [x, net.ints(0, -1, dims[2], dims[3])]), dims


def reshape(net, x, dims):
    """The same elements in another shape; the shape is computed in the file now and then."""
    if len(dims) == 4 and net.random.random() < 0.5:
        return net.node("Reshape", [x, net.ints(1, dims[1], -1)]), None
    if len(dims) == 3:
        if net.random.random() < 0.5:
            return net.axes("Unsqueeze", [x], [2], 13), None
        shape = net.node("Shape", [x])
        return net.node("Reshape", [x, net.node("Concat", [shape, net.ints(1)], axis=0)]), None
    return None


def reduce(net, x, dims):
    if len(dims) < 3 or net.random.random() < 0.6:
        return None
    axes = net.random.sample(range(1, len(dims)), net.random.randint(1, len(dims) - 1))
    keep = net.random.randint(0, 1) if len(dims) - len(axes) >= 2 else 1
    return net.axes("ReduceMean", [x], axes, 18, keepdims=keep), None


def flatten_linear(net, x, dims):
    size = int(np.prod(dims))
    if size > 512 or net.random.random() < 0.5:
        return None
    if len(dims) > 2:
        if net.random.random() < 0.5:
            x = net.node("Flatten", [x])
        else:
            x = net.node("Reshape", [x, net.ints(*net.random.choice([(1, -1), (-1, size), (0, -1)]))])
    outs = net.random.randint(1, 10)
    if net.random.random() < 0.5:
        transposed = net.random.randint(0, 1)
        weights = net.floats(*((outs, size) if transposed else (size, outs)), scale=size**-0.5)
        bias = [net.floats(*net.random.choice([(outs,), (1, outs), (1,)]))] if net.random.random() < 0.7 else []
        return net.node("Gemm", [x, weights] + bias, transB=transposed, alpha=0.5, beta=2.0), None
    x = net.node("MatMul", [x, net.floats(size, outs, scale=size**-0.5)])
    return net.node("Add", [x, net.floats(outs)]), [1, outs]


def matmul_last(net, x, dims):
    if len(dims) < 3 or net.random.random() < 0.7:
        return None
    return net.node("MatMul", [x, net.floats(dims[-1], net.random.randint(1, 8), scale=dims[-1] ** -0.5)]), None


def softmax(net, x, dims):
    if net.random.random() < 0.7:
        return None
    operator = net.random.choice(["Softmax", "Softmax", "LogSoftmax"])
    return net.node(operator, [x], axis=net.random.randint(1, len(dims) - 1)), dims


def function(net, x, dims):
    kinds = ["Selu", "Softplus", "Softsign", "Erf", "Abs", "Exp", "Sqrt", "Log", "Pow", "Neg", "Reciprocal"]
    kinds += ["Celu"] if net.opset >= 12 else []
    kinds += ["Mish"] if net.opset >= 18 else []
    kinds += ["Gelu"] * 2 if net.opset >= 20 else []
    kind = net.random.choice(kinds)
    if kind == "Exp":
        x = net.node("Min", [x, net.constant(np.float32(2))])
    if kind in ("Sqrt", "Log", "Pow", "Reciprocal"):
        x = net.node("Add", [net.node("Abs", [x]), net.constant(np.float32(0.5))])
    if kind == "Pow":
        return net.node("Pow", [x, net.constant(np.float32(net.random.choice([-1, -0.5, 0.5, 1.5, 2, 3])))]), dims
    if kind == "Gelu":
        return net.node("Gelu", [x], approximate=net.random.choice(["none", "tanh"])), dims
    return net.node(kind, [x]), dims


def taken_apart(net, x, dims):
    """A function as exporters write it where their operator set does not have it."""
    number = lambda v: net.constant(np.float32(v))
    kind = net.random.choice(["gelu", "gelu_tanh", "silu", "mish", "hard_swish", "selu", "leaky", "softplus"])
    if kind == "gelu":
        erf = net.node("Erf", [net.node("Div", [x, number(2**0.5)])])
        return net.node("Mul", [net.node("Mul", [x, net.node("Add", [erf, number(1)])]), number(0.5)]), dims
    if kind == "gelu_tanh":
        cube = net.node("Mul", [net.node("Pow", [x, number(3)]), number(0.044715)])
        tanh = net.node("Tanh", [net.node("Mul", [net.node("Add", [x, cube]), number((2 / np.pi) ** 0.5)])])
        return net.node("Mul", [net.node("Mul", [x, number(0.5)]), net.node("Add", [tanh, number(1)])]), dims
    if kind == "silu":
        return net.node("Mul", [x, net.node("Sigmoid", [x])]), dims
    if kind == "mish":
        return net.node("Mul", [x, net.node("Tanh", [net.node("Softplus", [x])])]), dims
    if kind == "hard_swish":
        gate = net.node("Clip", [net.node("Add", [x, number(3)]), number(0), number(6)])
        return net.node("Div", [net.node("Mul", [x, gate]), number(6)]), dims
    if kind == "selu":
        return net.node("Mul", [net.node("Elu", [x], alpha=1.6732632), number(1.0507010)]), dims
    if kind == "leaky":
        return net.node("Max", [x, net.node("Mul", [x, number(0.2)])]), dims
    powers = net.node("Exp", [net.node("Min", [x, number(20)])])
    return net.node("Log", [net.node("Add", [powers, number(1)])]), dims


def conv_transpose(net, x, dims):
    if len(dims) not in (3, 4) or np.prod(dims) > 600:
        return None
    channels, space = dims[1], dims[2:]
    groups = net.random.choice([1, 1] + [g for g in (2, 3) if channels % g == 0])
    outs = net.random.randint(1, 4)
    strides = [net.random.randint(1, 3) for _ in space]
    kernel = list(strides) if net.random.random() < 0.3 else [net.random.randint(1, 4) for _ in space]
    dilations = [net.random.choice([1, 1, 2]) for _ in space]
    attributes = dict(kernel_shape=kernel, strides=strides, group=groups, dilations=dilations)
    how = net.random.random()
    if how < 0.4:
        spans = [(k - 1) * d for k, d in zip(kernel, dilations)]
        attributes["pads"] = [net.random.randint(0, min(2, s)) for s in spans * 2]
        attributes["output_padding"] = [net.random.randint(0, s - 1) for s in strides]
    elif how < 0.5:
        attributes["auto_pad"] = net.random.choice(["SAME_UPPER", "VALID"])
        attributes["dilations"] = [1 for _ in space]
        attributes["kernel_shape"] = kernel = [max(k, s) for k, s in zip(kernel, strides)]
    weights = net.floats(channels, outs, *kernel, scale=(channels // groups * np.prod(kernel)) ** -0.5)
    inputs = [x, weights] + ([net.floats(outs * groups, scale=0.3)] if net.random.random() < 0.6 else [])
    return net.node("ConvTranspose", inputs, **attributes), None


def resize(net, x, dims):
    """Between two elements, or the nearest at any size."""
    if len(dims) != 4:
        return None
    space = [net.random.randint(2, 2 * s) for s in dims[2:]]
    if net.random.random() < 0.5:
        space = [s * net.random.randint(1, 3) for s in dims[2:]]
    mode = net.random.choice(["linear", "linear", "nearest"])
    how = net.random.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    attributes = dict(mode=mode, coordinate_transformation_mode=how)
    if mode == "nearest":
        attributes = dict(mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    sizes = net.ints(1, dims[1], *space)
    empty = [x, "", "", sizes] if net.opset >= 13 else [x, net.floats(0), net.floats(0), sizes]
    return net.node("Resize", empty, **attributes), [1, dims[1], *space]


def mirrored(net, x, dims):
    if len(dims) < 3:
        return None
    most = [0, 0] + [min(2, d - 1) for d in dims[2:]]
    amounts = [net.random.randint(0, n) for n in most * 2]
    return net.node("Pad", [x, net.ints(*amounts)], mode=net.random.choice(["reflect", "edge"])), None


def normalization(net, x, dims):
    kind = net.random.choice(["instance", "layer", "group"])
    if kind == "instance" and len(dims) in (3, 4) and np.prod(dims[2:]) > 2:
        return net.node("InstanceNormalization", [x, net.floats(dims[1]), net.floats(dims[1], scale=0.3)]), dims
    if kind == "layer" and net.opset >= 17:
        axis = net.random.randint(1, len(dims) - 1)
        shape = dims[axis:]
        if np.prod(shape) < 3:
            return None
        return net.node("LayerNormalization", [x, net.floats(*shape), net.floats(*shape, scale=0.3)], axis=axis), dims
    groups = [g for g in (1, 2, 3) if len(dims) == 4 and dims[1] % g == 0 and np.prod(dims[1:]) > 4 * g]
    if kind == "group" and net.opset >= 21 and groups:
        inputs = [x, net.floats(dims[1]), net.floats(dims[1], scale=0.3)]
        return net.node("GroupNormalization", inputs, num_groups=net.random.choice(groups)), dims
    return None


def reductions(net, x, dims):
    if len(dims) < 3:
        return None
    axes = net.random.sample(range(1, len(dims)), net.random.randint(1, len(dims) - 1))
    kind = net.random.choice(["ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceLogSumExp"])
    since = 13 if kind == "ReduceSum" else 18
    scaled = net.node("Mul", [x, net.constant(np.float32(0.25))])
    return net.axes(kind, [scaled], axes, since, keepdims=1), None


def blocks(net, x, dims):
    if len(dims) != 4:
        return None
    fits = [b for b in (2, 3) if dims[1] % (b * b) == 0]
    if fits and net.random.random() < 0.6:
        return net.node("DepthToSpace", [x], blocksize=fits[0], mode=net.random.choice(["DCR", "CRD"])), None
    fits = [b for b in (2, 3) if dims[2] % b == 0 and dims[3] % b == 0]
    if not fits:
        return None
    return net.node("SpaceToDepth", [x], blocksize=net.random.choice(fits)), None


def chosen(net, x, dims):
    """By a mask, by indices, or again and again."""
    kind = net.random.choice(["where", "gather", "tile", "expand", "back", "outer"])
    axis = net.random.randint(1, len(dims) - 1)
    if kind == "where":
        mask = net.constant(net.numbers.random(dims[1:]) < 0.5)
        other = net.node("Neg", [x]) if net.random.random() < 0.5 else net.constant(np.float32(-0.5))
        return net.node("Where", [mask, x, other]), dims
    if kind == "gather":
        indices = [net.random.randrange(dims[axis]) for _ in range(net.random.randint(1, 6))]
        return net.node("Gather", [x, net.ints(*indices)], axis=axis), None
    if kind == "tile" and np.prod(dims) < 200:
        return net.node("Tile", [x, net.ints(*[2 if a == axis else 1 for a in range(len(dims))])]), None
    if kind == "back":
        return net.node("Slice", [x, net.ints(-1), net.ints(-(2**31)), net.ints(axis), net.ints(-1)]), dims
    if kind == "outer" and len(dims) == 4 and np.prod(dims) < 600:
        rows = net.axes("ReduceMean", [x], [2], 18, keepdims=1)
        columns = net.axes("ReduceMean", [x], [3], 18, keepdims=1)
        return net.node("Mul", [rows, columns]), dims
    return None


def quantized(net, x, dims):
    """A convolution of 8-bit numbers, as QDQ or by its own operator. Scales are powers of two, so that nothing is rounded
    but what is defined; and what is quantized is the input, which is the same to the bit everywhere."""
    if x != "x" or len(dims) != 4:
        return None
    channels, outs = dims[1], net.random.randint(1, 5)
    unsigned = net.random.random() < 0.5
    kind, zero = (np.uint8, net.random.choice([0, 120, 128])) if unsigned else (np.int8, net.random.choice([0, -3]))
    number = lambda v: net.constant(np.float32(v))
    first, last, of_weights = number(1 / 32), number(1 / 8), number(1 / 64)
    # Unsigned numbers without an offset need no zero point.
    zero_point = [] if unsigned and zero == 0 and net.random.random() < 0.7 else [net.constant(kind(zero))]
    values = net.node("QuantizeLinear", [x, first] + zero_point)
    weights = net.constant(net.numbers.integers(-60, 61, (outs, channels, 3, 3)).astype(np.int8))
    bias = net.numbers.integers(-900, 900, outs).astype(np.int32)
    if net.random.random() < 0.5 and zero_point:
        zero_weights, zero_last = net.constant(np.int8(0)), net.constant(kind(zero))
        inputs = [values, first, zero_point[0], weights, of_weights, zero_weights, last, zero_last, net.constant(bias)]
        y = net.node("QLinearConv", inputs, pads=[1, 1, 1, 1])
        return net.node("DequantizeLinear", [y, last, zero_last]), None
    real = net.node("DequantizeLinear", [values, first] + zero_point)
    real_weights = net.node("DequantizeLinear", [weights, of_weights])
    real_bias = net.constant((bias / 2048).astype(np.float32))
    y = net.node("Conv", [real, real_weights, real_bias], pads=[1, 1, 1, 1])
    if net.random.random() < 0.5:
        y = net.node("Relu", [y])
    y = net.node("QuantizeLinear", [y, last] + zero_point)
    return net.node("DequantizeLinear", [y, last] + zero_point), None


def plain(net, x, dims):
    """What passes its input on."""
    return net.node(net.random.choice(["Identity", "Dropout"]), [x]), dims


LAYERS = [conv] * 5 + [pool] * 2 + [activation] * 2 + [residual] * 2 + [
    global_pool, prelu, batch_norm, with_constant, gate, concat, split, slices, pad, upsample, detour, shuffle,
    reshape, reduce, flatten_linear, matmul_last, softmax, plain, function, taken_apart, conv_transpose, resize, mirrored,
    normalization, reductions, blocks, chosen, quantized, quantized]


def model_of(net, dims, output):
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(net.nodes, "random", [value("x", dims)], [value(output, None)], net.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", net.opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def shape_of(net, dims, name):
    model = model_of(net, dims, name)
    dims = model.graph.output[0].type.tensor_type.shape.dim
    return [d.dim_value for d in dims]


def make(seed):
    """A model and its input; None if the layers drawn do not make one."""
    net = Net(seed)
    kind = net.random.random()
    extent = lambda: net.random.randint(3, 9)
    if kind < 0.2:
        dims = [1, net.random.randint(1, 6), net.random.randint(4, 16)]
    elif kind < 0.9:
        dims = [1, net.random.randint(1, 6), extent(), extent()]
    else:
        dims = [1, net.random.randint(2, 24)]
    first, x = dims, "x"
    if kind > 0.2 and kind < 0.35:
        # A picture as TensorFlow has it.
        first = [1, dims[2], dims[3], dims[1]]
        x = net.node("Transpose", ["x"], perm=[0, 3, 1, 2])
    wanted, tried = net.random.randint(2, 9), 0
    while wanted > 0 and tried < 60:
        tried += 1
        layer = net.random.choice(LAYERS)
        kept = len(net.nodes), len(net.constants)
        result = layer(net, x, dims)
        if result is not None:
            new, shape = result
            try:
                # Also where the shape is known: an operator may not be of this operator set.
                shape = shape_of(net, first, new) or shape or [0]
            except Exception:
                shape = [0]
            if 0 < np.prod(shape) <= 2048 and len(shape) >= 2 and shape[0] == 1:
                x, dims, wanted = new, shape, wanted - 1
                continue
        del net.nodes[kept[0]:], net.constants[kept[1]:]
    if x == "x":
        return None
    return model_of(net, first, x), net.numbers.standard_normal(first).astype(np.float32)


def main():
    here = pathlib.Path(__file__).parent
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else here / "onnx"
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # Each operator by itself: 8-bit ones are not to be joined in another rounding.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    written = 0
    while written < count:
        made, seed = make(seed), seed + 1
        if made is None:
            continue
        model, x = made
        del model.graph.value_info[:]
        try:
            session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
            [y] = session.run(None, {"x": x})
        except Exception as error:
            print(f"seed {seed - 1}: {error}", file=sys.stderr)
            continue
        # What cancels out leaves nothing to compare but how it was rounded.
        if not np.isfinite(y).all() or np.abs(y).max() < 1e-3:
            continue
        data = out / f"r{written:04}" / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        (data.parent / "model.onnx").write_bytes(model.SerializeToString())
        (data / "input_0.pb").write_bytes(numpy_helper.from_array(x, "x").SerializeToString())
        (data / "output_0.pb").write_bytes(numpy_helper.from_array(y, "y").SerializeToString())
        written += 1


main()

#!/usr/bin/env python3
"""Writes small TensorFlow Lite models, one for each operator and its odd options, and what LiteRT computes with them.

usage: make.py [OUT_DIR]        (pip install ai-edge-litert==2.3.0 flatbuffers numpy; OUT_DIR is this file's folder)

  NAME.tflite            one input, one output
  two_NAME.tflite        several of either
  refused_NAME.tflite    what must not be imported
  expected.npz           `NAME/input`, `NAME/output`: float32 as its own kernels compute it, without delegates;
                         `two_NAME/inputs/0`, `two_NAME/outputs/1`, ... of several
"""
import functools
import pathlib
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Op = schema.BuiltinOperator
Activation = schema.ActivationFunctionType
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
}


class Net:
    """One graph that grows operator by operator. Tensors are numbers."""

    def __init__(self, name):
        self.name = name
        self.random = np.random.default_rng(sum(name.encode()))
        self.tensors, self.buffers, self.operators, self.codes = [], [schema.BufferT()], [], []
        self.buffers[0].data = None
        self.subgraphs = 1
        self.inputs = []

    def tensor(self, dtype=np.float32, shape=(), data=None, quantization=None, signature=None):
        tensor = schema.TensorT()
        tensor.name = f"t{len(self.tensors)}"
        tensor.type = TYPES[np.dtype(dtype)]
        tensor.shape = list(shape)
        tensor.shapeSignature = signature
        tensor.buffer = 0
        tensor.hasRank = True
        if quantization is not None:
            scale, zero_point, axis = quantization
            parameters = schema.QuantizationParametersT()
            parameters.scale = np.atleast_1d(np.float32(scale))
            parameters.zeroPoint = np.broadcast_to(np.int64(zero_point), parameters.scale.shape)
            parameters.quantizedDimension = axis
            tensor.quantization = parameters
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def input(self, *shape, **options):
        self.inputs.append(self.tensor(shape=shape, **options))
        return self.inputs[-1]

    def constant(self, values, dtype=np.float32, **options):
        values = np.asarray(values, dtype)
        return self.tensor(dtype, values.shape, values, **options)

    def weights(self, *shape):
        return self.constant(self.random.normal(size=shape).round(3))

    def int8_weights(self, axis, input_scale, *shape, largest=0.01):
        """8-bit weights with a scale for each index of `axis`, and a bias with the scales of the sums."""
        channels = shape[axis]
        scale = self.random.uniform(0.2 * largest, largest, channels).astype(np.float32)
        weights = self.constant(self.random.integers(-127, 128, shape), np.int8, quantization=(scale, 0, axis))
        bias = self.random.integers(-2000, 2000, channels)
        return weights, self.constant(bias, np.int32, quantization=(np.float32(input_scale) * scale, 0, 0))

    def op(self, code, inputs, options=None, kind=None, outputs=1, dtype=np.float32, **tensor):
        """An operator; `kind` names its options in the schema."""
        operator = schema.OperatorT()
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
        operator.opcodeIndex = len(self.codes)
        self.codes.append(entry)
        operator.inputs = inputs
        operator.outputs = [self.tensor(dtype, **tensor) for _ in range(outputs)]
        if kind:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, kind + "T")()
            for name, value in (options or {}).items():
                assert hasattr(operator.builtinOptions, name), name
                setattr(operator.builtinOptions, name, value)
        self.operators.append(operator)
        return operator.outputs[0] if outputs == 1 else operator.outputs

    def conv(self, x, weights, bias, padding=SAME, stride=(1, 1), dilation=(1, 1), fused=Activation.NONE, **tensor):
        options = dict(padding=padding, strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0],
                       dilationWFactor=dilation[1], fusedActivationFunction=fused)
        return self.op(Op.CONV_2D, [x, weights, bias], options, "Conv2DOptions", **tensor)

    def depthwise(self, x, weights, bias, multiplier, padding=SAME, stride=(1, 1), fused=Activation.NONE, **tensor):
        options = dict(padding=padding, strideH=stride[0], strideW=stride[1], dilationHFactor=1, dilationWFactor=1,
                       depthMultiplier=multiplier, fusedActivationFunction=fused)
        return self.op(Op.DEPTHWISE_CONV_2D, [x, weights, bias], options, "DepthwiseConv2DOptions", **tensor)

    def linear(self, x, weights, bias=-1, keep=False, fused=Activation.NONE, **tensor):
        options = dict(keepNumDims=keep, fusedActivationFunction=fused)
        return self.op(Op.FULLY_CONNECTED, [x, weights, bias], options, "FullyConnectedOptions", **tensor)

    def pool(self, code, x, kernel, stride, padding, fused=Activation.NONE, **tensor):
        options = dict(padding=padding, strideH=stride[0], strideW=stride[1], filterHeight=kernel[0],
                       filterWidth=kernel[1], fusedActivationFunction=fused)
        return self.op(code, [x], options, "Pool2DOptions", **tensor)

    def binary(self, code, x, y, kind, fused=None, **tensor):
        options = {} if fused is None else dict(fusedActivationFunction=fused)
        return self.op(code, [x, y], options, kind, **tensor)

    def add(self, x, y, fused=None, **tensor):
        return self.binary(Op.ADD, x, y, "AddOptions", fused, **tensor)

    def concat(self, axis, *values, **tensor):
        return self.op(Op.CONCATENATION, list(values), dict(axis=axis), "ConcatenationOptions", **tensor)

    def reshape(self, x, shape, **tensor):
        shape = self.constant(shape, np.int32)
        return self.op(Op.RESHAPE, [x, shape], kind="ReshapeOptions", **tensor)

    def mean(self, x, axes, keep=False, **tensor):
        axes = self.constant(axes, np.int32)
        return self.op(Op.MEAN, [x, axes], dict(keepDims=keep), "ReducerOptions", **tensor)

    def strided_slice(self, x, begin, end, strides, **masks):
        lists = [self.constant(values, np.int32) for values in (begin, end, strides)]
        return self.op(Op.STRIDED_SLICE, [x, *lists], masks, "StridedSliceOptions")

    def bytes(self, *outputs):
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = self.inputs, list(outputs)
        model = schema.ModelT()
        model.version, model.description = 3, self.name
        model.operatorCodes, model.subgraphs, model.buffers = self.codes, [graph] * self.subgraphs, self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def interpreter(self, *outputs):
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_content=self.bytes(*outputs), experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        return interpreter


NETS = []


def net(function):
    NETS.append(function)
    return function


def build(function):
    """The model's bytes, an input and the output. The interpreter fills in the shapes that are left out."""
    net = Net(getattr(function, "__name__", "dynamic_range"))
    output = function(net)
    for detail in net.interpreter(output).get_tensor_details():
        if detail["index"] < len(net.tensors) and not net.tensors[detail["index"]].shape:
            net.tensors[detail["index"]].shape = [int(extent) for extent in detail["shape"]]
    content = net.bytes(output)
    interpreter = net.interpreter(output)
    first = interpreter.get_input_details()[0]
    real = net.random.normal(size=first["shape"]).round(2).astype(np.float32)
    data = real
    if first["dtype"] != np.float32:
        scale, zero_point = first["quantization"]
        limits = np.iinfo(first["dtype"])
        data = np.clip(np.round(real / scale) + zero_point, limits.min, limits.max).astype(first["dtype"])
    interpreter.set_tensor(first["index"], data)
    interpreter.invoke()
    last = interpreter.get_output_details()[0]
    found = interpreter.get_tensor(last["index"])
    if last["dtype"] != np.float32:
        scale, zero_point = last["quantization"]
        found = (found.astype(np.int32) - zero_point) * np.float32(scale)
    return content, real, found.astype(np.float32)


@net
def conv_same_even(n):
    x = n.input(1, 7, 6, 2)
    return n.conv(x, n.weights(3, 2, 4, 2), n.weights(3), fused=Activation.RELU)


@net
def conv_same_stride(n):
    x = n.input(1, 8, 7, 3)
    return n.conv(x, n.weights(4, 3, 3, 3), n.weights(4), stride=(2, 3), fused=Activation.RELU6)


@net
def conv_valid_dilated(n):
    x = n.input(1, 9, 8, 2)
    return n.conv(x, n.weights(3, 3, 2, 2), n.weights(3), padding=VALID, dilation=(2, 3), fused=Activation.RELU_N1_TO_1)


@net
def conv_grouped(n):
    x = n.input(1, 5, 5, 4)
    return n.conv(x, n.weights(6, 3, 3, 2), n.weights(6))


@net
def depthwise_stride(n):
    x = n.input(1, 6, 9, 3)
    return n.depthwise(x, n.weights(1, 3, 3, 3), n.weights(3), 1, stride=(2, 2), fused=Activation.RELU6)


@net
def depthwise_multiplier(n):
    x = n.input(1, 5, 4, 3)
    return n.depthwise(x, n.weights(1, 3, 2, 6), n.weights(6), 2, padding=VALID)


@net
def linear_flattens(n):
    x = n.input(1, 2, 3, 4)
    return n.linear(x, n.weights(5, 24), fused=Activation.RELU)


@net
def linear_keeps_axes(n):
    x = n.input(1, 3, 2, 5)
    return n.linear(x, n.weights(4, 5), n.weights(4), keep=True)


@net
def linear_rows(n):
    x = n.input(1, 3, 2, 5)
    rows = n.linear(x, n.weights(4, 10), n.weights(4))
    return n.reshape(rows, [1, -1])


@net
def max_pool_same(n):
    x = n.input(1, 7, 8, 3)
    return n.pool(Op.MAX_POOL_2D, x, (3, 3), (2, 2), SAME, Activation.RELU)


@net
def average_pool_same(n):
    x = n.input(1, 7, 5, 3)
    return n.pool(Op.AVERAGE_POOL_2D, x, (3, 2), (2, 1), SAME)


@net
def arithmetic(n):
    x = n.input(1, 4, 3, 2)
    scaled = n.binary(Op.MUL, x, n.weights(2), "MulOptions")
    shifted = n.binary(Op.SUB, n.constant(1.5), scaled, "SubOptions", Activation.RELU6)
    sums = n.add(shifted, x, Activation.RELU_N1_TO_1)
    column = n.binary(Op.DIV, sums, n.constant([[[0.5]], [[2]], [[4]], [[-1]]]), "DivOptions")
    mask = n.mean(column, [3], keep=True)
    return n.binary(Op.MUL, mask, column, "MulOptions")


@net
def extremes(n):
    x = n.input(1, 3, 4, 2)
    low = n.binary(Op.MAXIMUM, x, n.constant([-0.5, 0.1]), "MaximumMinimumOptions")
    high = n.binary(Op.MINIMUM, n.constant(0.75), x, "MaximumMinimumOptions")
    return n.binary(Op.MAXIMUM, low, high, "MaximumMinimumOptions")


@net
def activations(n):
    x = n.input(1, 3, 4, 2)
    functions = [
        n.op(Op.RELU, [x]), n.op(Op.RELU6, [x]), n.op(Op.RELU_N1_TO_1, [x]), n.op(Op.ELU, [x]),
        n.op(Op.LEAKY_RELU, [x], dict(alpha=0.3), "LeakyReluOptions"), n.op(Op.HARD_SWISH, [x]),
        n.op(Op.LOGISTIC, [x]), n.op(Op.TANH, [x]), n.op(Op.PRELU, [x, n.constant([[[0.2, -0.7]]])]),
    ]
    return n.concat(3, *functions)


@net
def functions(n):
    x = n.input(1, 3, 4, 2)
    positive = n.add(n.op(Op.ABS, [x]), n.constant([0.125]))
    functions = [
        n.op(Op.GELU, [x], dict(approximate=False), "GeluOptions"),
        n.op(Op.GELU, [x], dict(approximate=True), "GeluOptions"),
        n.op(Op.EXP, [x], {}, "ExpOptions"), n.op(Op.NEG, [x], {}, "NegOptions"),
        n.op(Op.SQUARE, [x], {}, "SquareOptions"), n.op(Op.LOG, [positive]), n.op(Op.SQRT, [positive]),
        n.op(Op.RSQRT, [positive]), n.op(Op.POW, [positive, n.constant([2.5] * 2)], {}, "PowOptions"),
        n.op(Op.SQUARED_DIFFERENCE, [x, positive], {}, "SquaredDifferenceOptions"), n.op(Op.RELU_0_TO_1, [x]),
    ]
    return n.concat(3, *functions)


@net
def transposed_conv(n):
    def transposed(x, weights, shape, padding, stride, bias=()):
        options = dict(padding=padding, strideH=stride[0], strideW=stride[1])
        inputs = [n.constant(shape, np.int32), weights, x, *bias]
        return n.op(Op.TRANSPOSE_CONV, inputs, options, "TransposeConvOptions")

    x = n.input(1, 3, 4, 2)
    same = transposed(x, n.weights(3, 3, 3, 2), [1, 6, 8, 3], SAME, (2, 2), [n.weights(3)])
    apart = transposed(same, n.weights(2, 2, 3, 3), [1, 12, 24, 2], VALID, (2, 3))
    return transposed(apart, n.weights(1, 3, 2, 2), [1, 14, 25, 1], VALID, (1, 1))


@net
def blocks(n):
    x = n.input(1, 2, 3, 8)
    wide = n.op(Op.DEPTH_TO_SPACE, [x], dict(blockSize=2), "DepthToSpaceOptions")
    conv = n.conv(wide, n.weights(2, 3, 3, 2), n.weights(2))
    return n.op(Op.SPACE_TO_DEPTH, [conv], dict(blockSize=2), "SpaceToDepthOptions")


@net
def mirror_pads(n):
    def padded(x, mode, *amounts):
        return n.op(Op.MIRROR_PAD, [x, n.constant(amounts, np.int32)], dict(mode=mode), "MirrorPadOptions")

    reflected = padded(n.input(1, 4, 5, 2), schema.MirrorPadMode.REFLECT, [0, 0], [3, 1], [0, 2], [0, 0])
    return padded(reflected, schema.MirrorPadMode.SYMMETRIC, [0, 0], [1, 2], [2, 0], [0, 2])


@net
def resize_bilinear(n):
    def resized(x, size, **options):
        return n.op(Op.RESIZE_BILINEAR, [x, n.constant(size, np.int32)], options, "ResizeBilinearOptions")

    x = resized(n.input(1, 3, 4, 2), [6, 12], halfPixelCenters=True)
    x = resized(x, [11, 7], alignCorners=True)
    return resized(x, [5, 14])


@net
def resize_nearest_any(n):
    size = n.constant([7, 6], np.int32)
    return n.op(Op.RESIZE_NEAREST_NEIGHBOR, [n.input(1, 3, 4, 2), size], {}, "ResizeNearestNeighborOptions")


@net
def reductions(n):
    def reduced(code, x, axes, keep):
        return n.op(code, [x, n.constant(axes, np.int32)], dict(keepDims=keep), "ReducerOptions")

    x = n.input(1, 3, 4, 5)
    largest = reduced(Op.REDUCE_MAX, x, [1, 2], True)
    smallest = reduced(Op.REDUCE_MIN, x, [1], True)
    total = reduced(Op.SUM, x, [1, 3], True)
    mean = reduced(Op.MEAN, x, [2, 3], True)
    joined = n.add(n.add(largest, smallest), n.add(total, mean))
    return reduced(Op.SUM, joined, [3], False)


@net
def softmax_beta(n):
    x = n.input(1, 6)
    return n.op(Op.SOFTMAX, [x], dict(beta=0.5), "SoftmaxOptions")


@net
def softmax_rows(n):
    x = n.input(1, 2, 3, 4)
    return n.op(Op.SOFTMAX, [x], dict(beta=1.0), "SoftmaxOptions")


@net
def log_softmax(n):
    x = n.input(1, 6)
    return n.op(Op.LOG_SOFTMAX, [x], {}, "LogSoftmaxOptions")


@net
def axes(n):
    x = n.input(1, 4, 6)
    maps = n.reshape(x, [-1, 4, 3, 2])
    swapped = n.op(Op.TRANSPOSE, [maps, n.constant([0, 2, 1, 3], np.int32)])
    expanded = n.op(Op.EXPAND_DIMS, [swapped, n.constant(-1, np.int32)])
    squeezed = n.op(Op.SQUEEZE, [expanded], dict(squeezeDims=[0, -1]), "SqueezeOptions")
    return n.linear(squeezed, n.weights(3, 24), n.weights(3))


@net
def reshape_computed(n):
    """The batch is open, so the converter computes the shape from the input's."""
    x = n.input(1, 3, 4, 2, signature=[-1, 3, 4, 2])
    shape = n.op(Op.SHAPE, [x], dict(outType=schema.TensorType.INT32), "ShapeOptions", dtype=np.int32)
    lists = [n.constant(values, np.int32) for values in ([0], [1], [1])]
    batch = n.op(Op.STRIDED_SLICE, [shape, *lists], dict(shrinkAxisMask=1), "StridedSliceOptions", dtype=np.int32)
    packed = n.op(Op.PACK, [batch, n.constant(24, np.int32)], dict(valuesCount=2, axis=0), "PackOptions", dtype=np.int32)
    flat = n.op(Op.RESHAPE, [x, packed], kind="ReshapeOptions", shape=(1, 24), signature=[-1, 24])
    return n.linear(flat, n.weights(3, 24), shape=(1, 3))


@net
def pads(n):
    x = n.input(1, 3, 4, 2)
    zeros = n.op(Op.PAD, [x, n.constant([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32)], {}, "PadOptions")
    paddings = n.constant([[0, 0], [0, 0], [2, 0], [1, 0]], np.int32)
    return n.op(Op.PADV2, [zeros, paddings, n.constant(-1.5)], {}, "PadV2Options")


@net
def pad_before_conv(n):
    x = n.input(1, 6, 6, 2)
    padded = n.op(Op.PAD, [x, n.constant([[0, 0], [0, 1], [0, 1], [0, 0]], np.int32)], {}, "PadOptions")
    return n.conv(padded, n.weights(3, 3, 3, 2), n.weights(3), padding=VALID, stride=(2, 2))


@net
def means(n):
    x = n.input(1, 5, 4, 3)
    space = n.mean(x, [1, 2], keep=True)
    rows = n.mean(x, [-3], keep=True)
    both = n.add(rows, space)
    return n.mean(both, [3])


@net
def parts(n):
    x = n.input(1, 6, 4, 5)
    size = n.constant([1, 4, -1, 3], np.int32)
    left = n.op(Op.SLICE, [x, n.constant([0, 1, 1, 2], np.int32), size], {}, "SliceOptions")
    right = n.strided_slice(x, [0, -2, 7, 4], [1, 99, 1, 5], [1, 1, 1, 2], beginMask=4, endMask=4)
    row = n.strided_slice(x, [0, 2], [1, 3], [1, 1], shrinkAxisMask=2)
    first, second = n.op(Op.SPLIT, [n.constant(2, np.int32), x], dict(numSplits=2), "SplitOptions", outputs=2)
    flat = [n.reshape(value, [1, -1]) for value in (left, right, row, second, first)]
    return n.concat(-1, *flat)


@net
def concat_axes(n):
    x = n.input(1, 3, 4, 2)
    rows = n.concat(1, x, n.op(Op.TANH, [x]))
    columns = n.concat(2, rows, rows)
    return n.concat(3, columns, columns, columns, columns, columns)


@net
def resize_nearest(n):
    x = n.input(1, 3, 2, 2)
    twice = n.op(Op.RESIZE_NEAREST_NEIGHBOR, [x, n.constant([6, 4], np.int32)], dict(halfPixelCenters=True), "ResizeNearestNeighborOptions")
    return n.op(Op.RESIZE_NEAREST_NEIGHBOR, [twice, n.constant([6, 12], np.int32)], {}, "ResizeNearestNeighborOptions")


@net
def float16_weights(n):
    x = n.input(1, 5, 5, 2)
    values = n.random.normal(size=(3, 3, 3, 2))
    weights = n.op(Op.DEQUANTIZE, [n.constant(values, np.float16)], shape=(3, 3, 3, 2))
    return n.conv(x, weights, n.weights(3))


@net
def gray_picture(n):
    """Without an axis of channels, as a network of handwritten digits has it."""
    x = n.input(1, 6, 6)
    maps = n.reshape(x, [-1, 6, 6, 1])
    conv = n.conv(maps, n.weights(2, 3, 3, 1), n.weights(2), fused=Activation.RELU)
    pool = n.pool(Op.MAX_POOL_2D, conv, (2, 2), (2, 2), VALID)
    return n.linear(n.reshape(pool, [-1, 18]), n.weights(4, 18), n.weights(4))


@net
def residual(n):
    x = n.input(1, 6, 5, 3)
    first = n.conv(x, n.weights(4, 3, 3, 3), n.weights(4), stride=(2, 2), fused=Activation.RELU)
    second = n.conv(first, n.weights(4, 3, 3, 4), n.weights(4))
    beside = n.conv(x, n.weights(4, 1, 1, 3), n.weights(4), stride=(2, 2))
    total = n.add(second, beside, Activation.RELU)
    n.op(Op.EXP, [total])  # Nothing reads it, so it need not be an operator that can be imported.
    pooled = n.pool(Op.AVERAGE_POOL_2D, total, (3, 3), (3, 3), VALID)
    flat = n.reshape(pooled, [1, 4])
    logits = n.linear(flat, n.weights(3, 4), n.weights(3))
    return n.op(Op.SOFTMAX, [logits], dict(beta=1.0), "SoftmaxOptions")


def int8(scale, zero_point):
    """A tensor of 8-bit numbers."""
    return dict(dtype=np.int8, quantization=(scale, zero_point, 0))


def uint8(scale, zero_point):
    return dict(dtype=np.uint8, quantization=(scale, zero_point, 0))


@net
def int8_conv(n):
    x = n.input(1, 7, 6, 3, **int8(0.03, 5))
    return n.conv(x, *n.int8_weights(0, 0.03, 5, 3, 2, 3), stride=(2, 1), fused=Activation.RELU6, **int8(6 / 255, -128))


@net
def int8_depthwise(n):
    x = n.input(1, 5, 6, 3, **int8(0.03, 5))
    return n.depthwise(x, *n.int8_weights(3, 0.03, 1, 3, 3, 6), 2, **int8(0.04, -10))


@net
def int8_residual(n):
    """A float32 input and output around a network of 8-bit numbers, as the converter makes it by default."""
    x = n.op(Op.QUANTIZE, [n.input(1, 6, 6, 2)], {}, "QuantizeOptions", **int8(0.03, 5))
    first = n.conv(x, *n.int8_weights(0, 0.03, 4, 3, 3, 2), fused=Activation.RELU, **int8(0.02, -128))
    second = n.conv(first, *n.int8_weights(0, 0.02, 4, 3, 3, 4, largest=0.004), **int8(0.05, 3))
    total = n.add(first, second, Activation.RELU, **int8(0.04, -128))
    pooled = n.pool(Op.MAX_POOL_2D, total, (2, 2), (2, 2), VALID, **int8(0.04, -128))
    mean = n.mean(pooled, [1, 2], **int8(0.03, -128))
    logits = n.linear(mean, *n.int8_weights(0, 0.03, 5, 4, largest=0.003), **int8(0.02, 10))
    probabilities = n.op(Op.SOFTMAX, [logits], dict(beta=1.0), "SoftmaxOptions", **int8(1 / 256, -128))
    return n.op(Op.DEQUANTIZE, [probabilities], {}, "DequantizeOptions")


@net
def int8_others(n):
    """What is computed with real numbers in between, and what is brought to one scale."""
    x = n.input(1, 4, 4, 2, **int8(0.03, 5))
    sigmoid = n.op(Op.LOGISTIC, [x], **int8(1 / 256, -128))
    tanh = n.op(Op.TANH, [x], **int8(1 / 128, 0))
    smaller = n.op(Op.QUANTIZE, [x], {}, "QuantizeOptions", **int8(1 / 128, 0))
    values = n.concat(3, tanh, smaller, **int8(1 / 128, 0))
    mean = n.mean(values, [3], keep=True, **int8(0.01, 4))
    product = n.binary(Op.MUL, sigmoid, mean, "MulOptions", Activation.NONE, **int8(0.005, -2))
    padded = n.op(Op.PAD, [product, n.constant([[0, 0], [1, 0], [0, 1], [0, 0]], np.int32)], {}, "PadOptions", **int8(0.005, -2))
    return n.pool(Op.AVERAGE_POOL_2D, padded, (2, 2), (2, 2), SAME, **int8(0.005, -2))


@net
def int8_functions(n):
    """Functions of one number: LiteRT has tables for some, fixed-point arithmetic for others."""
    x = n.input(1, 5, 5, 2, **int8(0.03, 5))
    conv = n.conv(x, *n.int8_weights(0, 0.03, 4, 1, 1, 2), **int8(0.04, -9))
    functions = [
        n.op(Op.LOGISTIC, [conv], **int8(1 / 256, -128)),
        n.op(Op.TANH, [conv], **int8(1 / 128, 0)),
        n.op(Op.HARD_SWISH, [conv], {}, "HardSwishOptions", **int8(0.02, -100)),
        n.op(Op.LEAKY_RELU, [conv], dict(alpha=0.1), "LeakyReluOptions", **int8(0.02, -60)),
        n.op(Op.ELU, [conv], **int8(0.02, -60)),
        n.op(Op.RELU, [conv], **int8(0.03, -128)),
    ]
    same = [n.op(Op.QUANTIZE, [y], {}, "QuantizeOptions", **int8(0.03, -50)) for y in functions]
    return n.concat(3, *same, **int8(0.03, -50))


@net
def int8_pairs(n):
    """Functions of two tensors, one of which may be spread."""
    x = n.input(1, 5, 4, 3, **int8(0.03, 5))
    beside = n.conv(x, *n.int8_weights(0, 0.03, 3, 1, 1, 3), **int8(0.02, -9))
    gate = n.op(Op.LOGISTIC, [n.mean(beside, [1, 2], keep=True, **int8(0.01, 3))], **int8(1 / 256, -128))
    product = n.binary(Op.MUL, x, gate, "MulOptions", Activation.NONE, **int8(0.02, -10))
    difference = n.binary(Op.SUB, product, beside, "SubOptions", Activation.RELU, **int8(0.03, -128))
    padded = n.op(Op.PAD, [difference, n.constant([[0, 0], [1, 0], [0, 2], [0, 0]], np.int32)], {}, "PadOptions",
                  **int8(0.03, -128))
    larger = n.op(Op.RESIZE_NEAREST_NEIGHBOR, [padded, n.constant([12, 12], np.int32)], {}, "ResizeNearestNeighborOptions",
                  **int8(0.03, -128))
    return n.pool(Op.AVERAGE_POOL_2D, larger, (3, 2), (2, 2), VALID, **int8(0.03, -128))


@net
def uint8_network(n):
    """Asymmetric weights of one scale, as files of 2018 have them."""
    x = n.input(1, 6, 6, 2, **uint8(0.03, 131))

    def weights(*shape):
        return n.constant(n.random.integers(0, 256, shape), np.uint8, quantization=(0.006, 120, 0))

    def bias(channels, input_scale):
        scale = np.float32(input_scale) * np.float32(0.006)
        return n.constant(n.random.integers(-2000, 2000, channels), np.int32, quantization=(scale, 0, 0))

    conv = n.conv(x, weights(4, 3, 3, 2), bias(4, 0.03), fused=Activation.RELU, **uint8(0.02, 0))
    pool = n.pool(Op.MAX_POOL_2D, conv, (3, 3), (3, 3), VALID, **uint8(0.02, 0))
    flat = n.reshape(pool, [1, 16], **uint8(0.02, 0))
    return n.linear(flat, weights(3, 16), bias(3, 0.02), **uint8(0.07, 100))


def dynamic_range(n, real=False):
    """8-bit weights for real inputs. A runtime that quantizes those too computes something else than `real` ones."""
    def weights(axis, *shape):
        scale = n.random.uniform(0.005, 0.02, shape[axis] if axis is not None else 1).astype(np.float32)
        numbers = n.random.integers(-127, 128, shape)
        if real:
            spread = scale if axis is None else scale.reshape([-1 if a == axis else 1 for a in range(len(shape))])
            return n.constant(numbers.astype(np.float32) * spread)
        return n.constant(numbers, np.int8, quantization=(scale, 0, axis or 0))

    x = n.input(1, 6, 5, 2)
    conv = n.conv(x, weights(0, 3, 3, 3, 2), n.weights(3), fused=Activation.RELU)
    depthwise = n.depthwise(conv, weights(3, 1, 3, 3, 3), n.weights(3), 1)
    flat = n.reshape(depthwise, [-1, 90])
    return n.linear(flat, weights(None, 4, 90), n.weights(4))


SEVERAL = []


def several(function):
    SEVERAL.append(function)
    return function


def build_several(function):
    """The model's bytes, and its inputs and outputs, all of float32."""
    net = Net(function.__name__)
    outputs = function(net)
    interpreter = net.interpreter(*outputs)
    arrays = {}
    for index, detail in enumerate(interpreter.get_input_details()):
        data = net.random.normal(size=detail["shape"]).round(2).astype(np.float32)
        interpreter.set_tensor(detail["index"], data)
        arrays[f"inputs/{index}"] = data
    interpreter.invoke()
    for index, detail in enumerate(interpreter.get_output_details()):
        arrays[f"outputs/{index}"] = interpreter.get_tensor(detail["index"])
    return net.bytes(*outputs), arrays


@several
def two_outputs(n):
    x = n.input(1, 3)
    return n.op(Op.RELU, [x], shape=(1, 3)), n.op(Op.RELU6, [x], shape=(1, 3))


@several
def two_inputs(n):
    """A picture and a vector, a picture and a vector out; both have the same name inside."""
    picture, vector = n.input(1, 4, 5, 2), n.input(1, 6)
    maps = n.conv(picture, n.weights(3, 1, 1, 2), n.weights(3), fused=Activation.RELU, shape=(1, 4, 5, 3))
    means = n.mean(maps, [1, 2], shape=(1, 3))
    joined = n.concat(1, means, vector, shape=(1, 9))
    found = n.linear(joined, n.weights(4, 9), n.weights(4), shape=(1, 4))
    for tensor in (maps, found):
        n.tensors[tensor].name = "StatefulPartitionedCall"
    return maps, found


REFUSED = []


def refused(function):
    REFUSED.append(function)
    return function


@refused
def batch(n):
    return n.op(Op.RELU, [n.input(2, 3)], shape=(2, 3))


@refused
def custom_operator(n):
    x = n.op(Op.CUSTOM, [n.input(1, 3)], shape=(1, 3))
    n.codes[0].customCode = "Detect"
    return n.op(Op.RELU, [x], shape=(1, 3))


@refused
def control_flow(n):
    return n.op(Op.WHILE, [n.input(1, 3)], dict(condSubgraphIndex=0, bodySubgraphIndex=0), "WhileOptions", shape=(1, 3))


@refused
def two_subgraphs(n):
    n.subgraphs = 2
    return n.op(Op.RELU, [n.input(1, 3)], shape=(1, 3))


@refused
def later_tensor(n):
    x = n.input(1, 3)
    y = n.add(x, len(n.tensors) + 1, shape=(1, 3))
    return n.add(x, y, shape=(1, 3))


@refused
def unknown_tensor(n):
    return n.add(n.input(1, 3), 77, shape=(1, 3))


@refused
def unknown_buffer(n):
    weights = n.weights(2, 3)
    n.tensors[weights].buffer = 99
    return n.linear(n.input(1, 3), weights, shape=(1, 2))


@refused
def negative_extent(n):
    weights = n.weights(2, 3)
    n.tensors[weights].shape = [2, -3]
    return n.linear(n.input(1, 3), weights, shape=(1, 2))


@refused
def short_constant(n):
    weights = n.weights(2, 3)
    n.tensors[weights].shape = [2_000_000_000, 3]
    return n.linear(n.input(1, 3), weights, shape=(1, 2))


@refused
def sparse_weights(n):
    weights = n.weights(2, 3)
    n.tensors[weights].sparsity = schema.SparsityParametersT()
    return n.linear(n.input(1, 3), weights, shape=(1, 2))


@refused
def variable(n):
    y = n.op(Op.RELU, [n.input(1, 3)], shape=(1, 3))
    n.tensors[y].isVariable = True
    return y


@refused
def recorded_shape(n):
    """What an option that is not known would do to the shape."""
    y = n.reshape(n.input(1, 6), [1, 2, 3])
    n.tensors[y].shape = [1, 3, 2]
    return y


@refused
def huge_tensor(n):
    paddings = n.constant([[0, 0], [2**31 - 1, 2**31 - 1], [2**31 - 1, 0], [0, 0]], np.int32)
    return n.op(Op.PAD, [n.input(1, 3, 3, 1), paddings], {}, "PadOptions", shape=(1, 1, 1, 1))


@refused
def int16_activations(n):
    return n.op(Op.RELU, [n.input(1, 3)], dtype=np.int16, quantization=(0.1, 0, 0), shape=(1, 3))


@refused
def lstm(n):
    options = dict(fusedActivationFunction=Activation.TANH)
    kind = "UnidirectionalSequenceLSTMOptions"
    return n.op(Op.UNIDIRECTIONAL_SEQUENCE_LSTM, [n.input(1, 5, 3)], options, kind, shape=(1, 5, 2))


@refused
def loop(n):
    n.subgraphs = 3
    return n.op(Op.WHILE, [n.input(1, 3)], dict(condSubgraphIndex=1, bodySubgraphIndex=2), "WhileOptions", shape=(1, 3))


@refused
def no_scale(n):
    return n.op(Op.RELU, [n.input(1, 3)], dtype=np.int8, shape=(1, 3))


@refused
def fused_tanh(n):
    return n.linear(n.input(1, 3), n.weights(2, 3), fused=Activation.TANH, shape=(1, 2))


@refused
def stride_of_zero(n):
    return n.pool(Op.MAX_POOL_2D, n.input(1, 4, 4, 1), (2, 2), (0, 1), SAME, shape=(1, 4, 4, 1))


@refused
def same_axis_twice(n):
    order = n.constant([0, 1, 1], np.int32)
    return n.op(Op.TRANSPOSE, [n.input(1, 3, 2), order], {}, "TransposeOptions", shape=(1, 3, 2))


@refused
def computed_twice(n):
    x = n.input(1, 3)
    y = n.op(Op.RELU, [x], shape=(1, 3))
    n.op(Op.RELU6, [x], shape=(1, 3))
    n.operators[1].outputs = [y]
    return y


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    expected = {}
    for function in NETS:
        name = function.__name__
        content, expected[f"{name}/input"], expected[f"{name}/output"] = build(function)
        (folder / f"{name}.tflite").write_bytes(content)
        print(f"{name:24}{len(content):7} bytes, output {expected[f'{name}/output'].shape}")
    _, *arrays = build(functools.partial(dynamic_range, real=True))
    expected |= dict(zip(["dynamic_range/input", "dynamic_range/output"], arrays))
    (folder / "dynamic_range.tflite").write_bytes(build(dynamic_range)[0])
    for function in SEVERAL:
        name = function.__name__
        content, arrays = build_several(function)
        expected |= {f"{name}/{key}": array for key, array in arrays.items()}
        (folder / f"{name}.tflite").write_bytes(content)
    for function in REFUSED:
        net = Net(function.__name__)
        content = net.bytes(*np.atleast_1d(function(net)))
        (folder / f"refused_{function.__name__}.tflite").write_bytes(content)
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes layers.npz and layers.toml: what PyTorch computes for single layers with awkward parameters.

usage: make_layers.py [OUT_DIR]        (needs Python 3.9 or later, torch, numpy; OUT_DIR is this file's folder)

Each layer sees a small batch, forward and backward, in its training mode where that differs. `layers.toml` lists
the layers in PyTorch's own words with the shape of one input sample as PyTorch says it; `layers.npz` holds, under
the layer's name, float32 arrays in PyTorch's order (NCHW, OIHW):

  NAME/input   NAME/weight, NAME/bias (where the layer has them)    NAME/output
  NAME/d_output (random)   NAME/d_input, NAME/d_weight, NAME/d_bias: gradients of sum(output * d_output)

Batch normalization has NAME/running_mean and NAME/running_var from before, and NAME/new_running_mean and
NAME/new_running_var from after the pass, and NAME/eval_output, computed from the former.

Everything is computed in float64 and rounded to float32 once: the numbers carry no rounding of their own.
"""
import pathlib
import sys

import numpy as np
import torch
from torch import nn

# name, layer, shape of one sample, what the input holds
LAYERS = [
    ("conv_same_even", "Conv2d(2, 3, (4, 2), padding='same')", (2, 7, 5), "normal"),
    ("conv_same_dilated", "Conv2d(3, 4, (2, 3), padding='same', dilation=(3, 2))", (3, 8, 9), "normal"),
    ("conv_valid", "Conv2d(3, 4, 3, padding='valid')", (3, 6, 7), "normal"),
    ("conv_tuples", "Conv2d(3, 5, (3, 5), stride=(2, 3), padding=(2, 1))", (3, 9, 14), "normal"),
    ("conv_dilated_strided", "Conv2d(2, 4, 3, stride=2, padding=2, dilation=(2, 3))", (2, 11, 12), "normal"),
    ("conv_grouped", "Conv2d(6, 9, 3, padding=1, groups=3)", (6, 5, 6), "normal"),
    ("conv_depthwise", "Conv2d(5, 5, (3, 2), stride=(1, 2), padding=(1, 0), groups=5)", (5, 6, 7), "normal"),
    ("conv_depthwise_multiplier", "Conv2d(4, 12, 3, padding=1, groups=4)", (4, 5, 5), "normal"),
    ("conv_pointwise_strided", "Conv2d(7, 3, 1, stride=2)", (7, 5, 6), "normal"),
    ("conv_no_bias", "Conv2d(2, 3, 3, padding=1, bias=False)", (2, 4, 5), "normal"),
    ("conv_whole_input", "Conv2d(2, 6, (4, 3))", (2, 4, 3), "normal"),
    ("conv_padding_wider_than_input", "Conv2d(1, 2, 3, padding=4)", (1, 2, 3), "normal"),
    ("conv_last_rows_unread", "Conv2d(2, 3, 2, stride=4)", (2, 9, 8), "normal"),
    ("max_pool_default_stride", "MaxPool2d(3)", (2, 8, 10), "normal"),
    ("max_pool_padded", "MaxPool2d(3, 2, padding=1)", (3, 7, 8), "negative"),
    ("max_pool_ceil", "MaxPool2d(2, 2, ceil_mode=True)", (2, 7, 5), "normal"),
    ("max_pool_ceil_padded", "MaxPool2d(3, stride=2, padding=1, ceil_mode=True)", (2, 6, 9), "negative"),
    ("max_pool_ceil_dropped_window", "MaxPool2d(2, stride=3, padding=1, ceil_mode=True)", (2, 5, 8), "negative"),
    ("max_pool_dilated", "MaxPool2d((2, 3), stride=1, padding=(1, 1), dilation=(3, 2))", (2, 7, 8), "negative"),
    ("max_pool_tuples", "MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0))", (3, 6, 5), "normal"),
    ("max_pool_ties", "MaxPool2d(3, stride=2, padding=1)", (2, 9, 8), "ties"),
    ("avg_pool", "AvgPool2d(2)", (3, 7, 6), "normal"),
    ("avg_pool_padded", "AvgPool2d(3, stride=2, padding=1)", (2, 7, 8), "normal"),
    ("avg_pool_exclude_padding", "AvgPool2d(3, stride=2, padding=1, count_include_pad=False)", (2, 7, 8), "normal"),
    ("avg_pool_ceil", "AvgPool2d(3, stride=2, padding=1, ceil_mode=True)", (2, 6, 9), "normal"),
    ("avg_pool_ceil_exclude_padding",
     "AvgPool2d((3, 2), stride=(2, 3), padding=(1, 1), ceil_mode=True, count_include_pad=False)", (2, 6, 9), "normal"),
    ("avg_pool_global", "AdaptiveAvgPool2d(1)", (4, 5, 7), "normal"),
    ("batch_norm", "BatchNorm2d(4)", (4, 3, 5), "normal"),
    ("batch_norm_eps_momentum", "BatchNorm2d(3, eps=0.01, momentum=0.3)", (3, 4, 3), "normal"),
    ("relu", "ReLU()", (3, 4, 5), "normal"),
    ("relu6", "ReLU6()", (3, 4, 5), "wide"),
    ("leaky_relu", "LeakyReLU()", (3, 4, 5), "normal"),
    ("leaky_relu_slope", "LeakyReLU(negative_slope=0.2)", (3, 4, 5), "normal"),
    ("sigmoid", "Sigmoid()", (1, 8, 16), "sweep"),
    ("tanh", "Tanh()", (1, 8, 16), "sweep"),
    ("softmax", "Softmax(dim=1)", (7,), "wide"),
    ("softmax_large", "Softmax(dim=1)", (11,), "large"),
    ("softmax_channels", "Softmax(dim=1)", (5, 3, 4), "normal"),
    ("flatten", "Flatten()", (3, 2, 4), "normal"),
    ("linear", "Linear(13, 7)", (13,), "normal"),
    ("linear_no_bias", "Linear(9, 4, bias=False)", (9,), "normal"),
]
BATCH = 3


def make_input(kind, shape, random):
    normal = random.standard_normal((BATCH, *shape))
    if kind == "negative":
        # Were padding a zero, it would win every window.
        return -np.abs(normal) - 0.5
    if kind == "ties":
        return random.integers(0, 3, (BATCH, *shape)).astype(np.float64)
    if kind == "wide":
        return normal * 5
    if kind == "large":
        return normal * 300
    if kind == "sweep":
        # Both saturated ends, the steep middle, and the smallest arguments.
        flat = np.linspace(-20, 20, normal.size)
        flat[:6] = [-1000, -100, -88.8, 88.8, 100, 1000]
        flat[6:10] = [0, 1e-6, -1e-4, 1e-3]
        return flat.reshape(normal.shape)
    return normal


def run(layer_text, data, random):
    """All arrays of one layer, in float64."""
    layer = eval("nn." + layer_text).double()
    arrays = {"input": data}
    with torch.no_grad():
        for name, tensor in [*layer.named_parameters(), *layer.named_buffers()]:
            if tensor.dtype != torch.float64:
                continue
            value = random.standard_normal(tuple(tensor.shape))
            if "var" in name or isinstance(layer, nn.BatchNorm2d) and name == "weight":
                value = 0.5 + np.abs(value)
            elif value.ndim > 1:
                value /= np.sqrt(value[0].size)
            value = value.astype(np.float32)
            tensor.copy_(torch.from_numpy(value))
            arrays[name] = value
    x = torch.from_numpy(data.astype(np.float64)).requires_grad_()
    if isinstance(layer, nn.BatchNorm2d):
        arrays["eval_output"] = layer.eval()(x).detach().numpy()
        layer.train()
    output = layer(x)
    d_output = random.standard_normal(tuple(output.shape)).astype(np.float32)
    output.backward(torch.from_numpy(d_output.astype(np.float64)))
    arrays |= {"output": output.detach().numpy(), "d_output": d_output, "d_input": x.grad.numpy()}
    for name, parameter in layer.named_parameters():
        arrays["d_" + name] = parameter.grad.numpy()
    for name, buffer in layer.named_buffers():
        if buffer.dtype == torch.float64:
            arrays["new_" + name] = buffer.numpy()
    return arrays


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    torch.set_num_threads(1)
    arrays = {}
    manifest = [
        "# Written by make_layers.py, which says what is in layers.npz.",
        f'made_with = "torch {torch.__version__.split("+")[0]}, numpy {np.__version__}"',
        f"batch = {BATCH}",
    ]
    for index, (name, layer, shape, kind) in enumerate(LAYERS):
        random = np.random.default_rng([7, index])
        # Rounded to float32 first: it is what the test feeds its own layer.
        data = make_input(kind, shape, random).astype(np.float32)
        result = run(layer, data, random)
        for array_name, array in result.items():
            arrays[f"{name}/{array_name}"] = np.ascontiguousarray(array, dtype=np.float32)
        manifest += [
            "",
            "[[layers]]",
            f'name = "{name}"',
            f'layer = "{layer}"',
            f"input = {list(shape)}",
            f"output = {list(result['output'].shape[1:])}",
        ]
    np.savez(out / "layers.npz", **arrays)
    (out / "layers.toml").write_text("\n".join(manifest) + "\n")
    print(f"{len(LAYERS)} layers, {len(arrays)} arrays, {(out / 'layers.npz').stat().st_size} bytes")


if __name__ == "__main__":
    main()

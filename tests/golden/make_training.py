#!/usr/bin/env python3
"""Writes training/NET.toml and training/NET.npz: 20 training steps of PyTorch for small nets and every optimizer setting.

usage: make_training.py [OUT_DIR]      (needs Python 3.11 or later, torch, numpy; OUT_DIR is training/ beside this file)

Three nets hold every trainable layer between them; none has dropout, so nothing in a run is random once its weights
and batches are given. NET.toml says the net in PyTorch's own words, the steps and the optimizer settings; NET.npz
holds, in PyTorch's order (NCHW, OIHW, linear inputs flattened from CHW):

  batch/x [samples, C, H, W] float32, batch/y [samples] int64
  initial/LAYER.PARAMETER            before the first step, batch normalization's running_mean and running_var too
  gradient/LAYER.PARAMETER           of the first step's loss
  loss/RUN [20] float32              cross-entropy before each step, mean of its batch, batch normalization in training mode
  final/RUN/LAYER.PARAMETER          after step 20, running_mean and running_var too

Step s reads samples `starts[s] .. starts[s] + sizes[s]`. Numbers are PyTorch's float32. Each run is made again in
float64, and the script refuses to write runs whose losses or updates (final - initial) depend on the precision:
such a run would compare roundings. How far the two precisions are apart is recorded in NET.toml.
"""
import pathlib
import sys
import tomllib

import numpy as np
import torch
from torch import nn

NETS = {
    # The lesson's quiz net, scaled to 18x18, with a linear layer on top.
    "quiz": {
        "input": (3, 18, 18),
        "classes": 10,
        "layers": """
            Conv2d(3, 10, 3)
            ReLU()
            MaxPool2d(4)
            Conv2d(10, 20, 5, padding=2)
            ReLU()
            MaxPool2d(2)
            Flatten()
            Linear(80, 10)
        """,
        "learning_rate": (0.05, 0.003),
    },
    # Convolutions of every kind with batch normalization. Those before a normalization have no bias: its gradient
    # is nothing but rounding.
    "depthwise": {
        "input": (2, 13, 12),
        "classes": 6,
        "layers": """
            Conv2d(2, 8, (3, 5), stride=(2, 1), padding=(1, 2), bias=False)
            BatchNorm2d(8)
            ReLU6()
            Conv2d(8, 16, 3, padding=1, groups=8)
            LeakyReLU(negative_slope=0.1)
            MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
            Conv2d(16, 12, 3, padding=2, dilation=2, groups=4, bias=False)
            BatchNorm2d(12, eps=0.001, momentum=0.2)
            Tanh()
            AvgPool2d(2, stride=1, padding=1, count_include_pad=False)
            Conv2d(12, 16, 2, padding='same')
            ReLU()
            AdaptiveAvgPool2d(1)
            Flatten()
            Linear(16, 6)
        """,
        "learning_rate": (0.3, 0.01),
    },
    # Linear layers and the activations that saturate.
    "mlp": {
        "input": (1, 8, 8),
        "classes": 5,
        "layers": """
            Flatten()
            Linear(64, 32)
            Tanh()
            Linear(32, 24, bias=False)
            LeakyReLU()
            Linear(24, 16)
            Sigmoid()
            Linear(16, 5)
        """,
        "learning_rate": (0.5, 0.01),
    },
}

# In the words of a recipe's [optimizer]; the learning rate is the net's, first for SGD, second for Adam.
OPTIMIZERS = {
    "sgd": {"type": "SGD"},
    "sgd_momentum": {"type": "SGD", "momentum": 0.9},
    "sgd_weight_decay": {"type": "SGD", "momentum": 0.9, "weight_decay": 0.01},
    "sgd_nesterov": {"type": "SGD", "momentum": 0.9, "nesterov": True},
    "adam": {"type": "Adam"},
    "adam_weight_decay": {"type": "Adam", "weight_decay": 0.01},
}
# Momentum multiplies the step by up to 10: such runs take a smaller one.
MOMENTUM_SHARE = 0.3

# Four passes over five batches, the last of each pass short.
SIZES = [8, 8, 8, 8, 3] * 4
STARTS = [0, 8, 16, 24, 32] * 4
SAMPLES = 35

# Largest relative distance between the float32 and the float64 run.
MAX_LOSS_DEVIATION = 1e-5
MAX_UPDATE_DEVIATION = 1e-4


def build(layers, dtype):
    return nn.Sequential(*[eval("nn." + line) for line in layers]).to(dtype)


def tensors(net):
    """Parameters and running statistics as arrays, by name."""
    return {
        name: tensor.detach().numpy().copy()
        for name, tensor in net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def initialize(layers, seed):
    """PyTorch's own initialization, except of batch normalization: its ones and zeros would leave the parts of a
    net behind it that do not depend on scale without a gradient, and ReLU6 without anything to cut."""
    torch.manual_seed(seed)
    net = build(layers, torch.float32)
    for layer in net:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 1, 4)
            nn.init.normal_(layer.bias)
    return tensors(net)


def make_samples(shape, classes, random):
    """Noise around one coarse pattern a class: a problem that 20 steps make visibly easier."""
    channels, height, width = shape
    y = np.arange(SAMPLES) % classes
    random.shuffle(y)
    coarse = random.standard_normal((classes, channels, -(-height // 4), -(-width // 4)))
    patterns = coarse.repeat(4, axis=2).repeat(4, axis=3)[:, :, :height, :width]
    x = 1.2 * patterns[y] + 0.5 * random.standard_normal((SAMPLES, *shape))
    return x.astype(np.float32), y.astype(np.int64)


def optimizer_settings(run, net):
    settings = dict(OPTIMIZERS[run])
    sgd, adam = net["learning_rate"]
    lr = adam if settings["type"] == "Adam" else sgd
    if "momentum" in settings:
        lr *= MOMENTUM_SHARE
    return {"type": settings.pop("type"), "lr": round(lr, 6), **settings}


def train(layers, initial, x, y, settings, dtype):
    """Losses, first gradients and final tensors of one run."""
    net = build(layers, dtype)
    net.load_state_dict({name: torch.from_numpy(value) for name, value in initial.items()}, strict=False)
    settings = dict(settings)
    optimizer = getattr(torch.optim, settings.pop("type"))(net.parameters(), **settings)
    x, y = torch.from_numpy(x).to(dtype), torch.from_numpy(y)
    losses, gradients = [], None
    net.train()
    for start, size in zip(STARTS, SIZES, strict=True):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x[start : start + size]), y[start : start + size])
        loss.backward()
        if gradients is None:
            gradients = {name: p.grad.numpy().copy() for name, p in net.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), gradients, tensors(net)


def largest_deviation(initial, final, precise):
    """Largest relative distance of any tensor's update, in the Euclidean norm."""
    deviations = {}
    for name, before in initial.items():
        update = precise[name] - before.astype(np.float64)
        distance = np.linalg.norm(final[name].astype(np.float64) - before - update)
        deviations[name] = distance / np.linalg.norm(update)
    worst = max(deviations, key=deviations.get)
    return deviations[worst], worst


def toml_value(value):
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def make_net(name, net, seed, out):
    layers = [line.strip() for line in net["layers"].strip().splitlines()]
    random = np.random.default_rng([20, seed])
    x, y = make_samples(net["input"], net["classes"], random)
    initial = initialize(layers, seed)

    arrays = {"batch/x": x, "batch/y": y}
    arrays |= {f"initial/{tensor}": value for tensor, value in initial.items()}
    manifest = [
        "# Written by make_training.py, which says what the arrays are.",
        f'made_with = "torch {torch.__version__.split("+")[0]}, numpy {np.__version__}"',
        f'name = "{name}"',
        f"input = {list(net['input'])}",
        f"layers = [\n{''.join(f'    {toml_value(layer)},{chr(10)}' for layer in layers)}]",
        f"starts = {STARTS}",
        f"sizes = {SIZES}",
    ]
    for run in OPTIMIZERS:
        settings = optimizer_settings(run, net)
        losses, gradients, final = train(layers, initial, x, y, settings, torch.float32)
        precise_losses, _, precise_final = train(layers, initial, x, y, settings, torch.float64)
        loss_deviation = np.max(np.abs(losses - precise_losses) / precise_losses)
        update_deviation, worst = largest_deviation(initial, final, precise_final)
        first, last = losses[:5].mean(), losses[-5:].mean()
        print(
            f"{name:10} {run:18} lr {settings['lr']:<6} loss {first:.3f} -> {last:.3f}, "
            f"float32 to float64: loss {loss_deviation:.1e}, update {update_deviation:.1e} ({worst})"
        )
        if loss_deviation > MAX_LOSS_DEVIATION or update_deviation > MAX_UPDATE_DEVIATION:
            sys.exit(f"{name}, {run}: depends on the precision too much to be a reference")
        if not 0.02 < last < 0.9 * first:
            sys.exit(f"{name}, {run}: 20 steps move the loss too little, or leave none: choose another learning rate")
        arrays |= {f"gradient/{tensor}": value for tensor, value in gradients.items()}
        arrays[f"loss/{run}"] = losses.astype(np.float32)
        arrays |= {f"final/{run}/{tensor}": value for tensor, value in final.items()}
        manifest += ["", f"[optimizers.{run}]"]
        manifest += [f"{key} = {toml_value(value)}" for key, value in settings.items()]
        manifest += [
            "",
            f"[deviations.{run}]",
            f"loss = {loss_deviation:.1e}",
            f"update = {update_deviation:.1e}",
        ]
    np.savez(out / f"{name}.npz", **arrays)
    text = "\n".join(manifest) + "\n"
    tomllib.loads(text)
    (out / f"{name}.toml").write_text(text)
    print(f"{name}: {len(arrays)} arrays, {(out / f'{name}.npz').stat().st_size} bytes")


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "training"
    out.mkdir(parents=True, exist_ok=True)
    # Several threads add in an order of their own.
    torch.set_num_threads(1)
    for seed, (name, net) in enumerate(NETS.items()):
        make_net(name, net, seed, out)


if __name__ == "__main__":
    main()

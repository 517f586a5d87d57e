#!/usr/bin/env python3
"""Writes the folder weights: one small network's state dict in every way it may be saved, and what PyTorch computes with it.

usage: make_weights.py [OUT_DIR]        (needs Python 3.9 or later, torch, numpy, safetensors; OUT_DIR is this file's folder)

  weights/NAME.pt, weights/NAME.safetensors   the network that weights.toml describes
  weights/logits.npz                          `input` [4, 2, 6, 5], and `NAME` [4, 3]: its logits from the weights as saved, in float64
  weights/refused_NAME.pt                     what must not be read
"""
import io
import pathlib
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn


class Named(nn.Module):
    """The network with names of its own. Two pairs of layers have the same shapes."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)
        self.fc1 = nn.Linear(24, 5)
        self.fc2 = nn.Linear(5, 3)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = torch.max_pool2d(x, 2)
        x = torch.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(x)


# The numbers of the recipe's layers.
NUMBERS = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4, "fc1": 8, "fc2": 10}


def numbered(state, prefix=""):
    """The state dict under the names of an nn.Sequential."""
    def name(key):
        module, rest = key.split(".", 1)
        return f"{prefix}{NUMBERS[module]}.{rest}"
    return OrderedDict((name(key), value) for key, value in state.items())


def strided(state):
    """The same values, each tensor another view of a larger storage."""
    def view(value):
        if value.dim() < 1 or not value.is_floating_point():
            return value
        larger = torch.full((2 * value.numel() + 3,), float("nan"))
        flat = larger[3::2]
        reversed_extents = tuple(reversed(value.shape))
        result = flat.view(reversed_extents).permute(*reversed(range(value.dim())))
        result.copy_(value)
        return result
    return OrderedDict((key, view(value)) for key, value in state.items())


def repack(content, change):
    """The files of an archive, changed: `change(name, bytes)` returns bytes; None leaves a file out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            changed = change(info.filename, old.read(info))
            if changed is not None:
                content, method = changed
                # A fixed date: the same bytes each time.
                new.writestr(zipfile.ZipInfo(info.filename), content, method)
    return out.getvalue()


def saved(obj, **options):
    out = io.BytesIO()
    torch.save(obj, out, **options)
    return out.getvalue()


def deflated(content):
    return repack(content, lambda name, data: (data, zipfile.ZIP_DEFLATED))


def big_endian(content):
    """What a big-endian machine writes (float32 only: the counters are left as they are, nobody reads them)."""
    def change(name, data):
        if name.endswith("/byteorder"):
            data = b"big"
        elif "/data/" in name and len(data) % 4 == 0:
            data = np.frombuffer(data, "<f4").astype(">f4").tobytes()
        return data, zipfile.ZIP_STORED
    return repack(content, change)


class Calls:
    """Unpickling it would run a command."""

    def __reduce__(self):
        import os
        return os.system, ("true",)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent) / "weights"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = Named()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith("bn"):
                value.add_(torch.randn(value.shape) / 4)
        for name, value in model.named_buffers():
            if "running" in name:
                value.add_(torch.rand(value.shape) / 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    # A step, so that the optimizer has tensors of its own.
    model(torch.randn(8, 2, 6, 5)).square().mean().backward()
    optimizer.step()
    model.eval()
    own = model.state_dict()
    state = numbered(own)
    half = OrderedDict((k, v.half() if v.is_floating_point() else v) for k, v in state.items())
    bfloat16 = OrderedDict((k, v.bfloat16() if v.is_floating_point() else v) for k, v in state.items())
    double = OrderedDict((k, v.double() if v.is_floating_point() else v) for k, v in state.items())
    legacy = {"_use_new_zipfile_serialization": False}
    parameters = OrderedDict((k, nn.Parameter(v) if v.is_floating_point() else v) for k, v in state.items())
    files = {
        "zip": saved(state),
        "legacy": saved(state, **legacy),
        "named": saved(own),
        "parameters": saved(parameters),
        "protocol4": saved(state, pickle_protocol=4),
        "legacy_protocol4": saved(state, pickle_protocol=4, **legacy),
        "float16": saved(half),
        "bfloat16": saved(bfloat16),
        "legacy_bfloat16": saved(bfloat16, **legacy),
        "float64": saved(double),
        "strided": saved(strided(state)),
        "legacy_strided": saved(strided(state), **legacy),
        "parallel": saved(numbered(own, "module.")),
        "checkpoint": saved({"epoch": 7, "model_state_dict": own, "optimizer_state_dict": optimizer.state_dict(),
                             "loss": 0.25, "best": None, "losses": [0.5, 0.25]}),
        "deflated": deflated(saved(state)),
        "big_endian": big_endian(saved(state)),
    }
    for name, content in files.items():
        (folder / f"{name}.pt").write_bytes(content)
    save_file(dict(state), folder / "plain.safetensors")
    save_file({k: v for k, v in own.items()}, folder / "named.safetensors")
    save_file(dict(half), folder / "float16.safetensors")

    # In this order: one name is a part of the other.
    rounded = {"bfloat16": bfloat16, "float16": half}
    x = torch.randn(4, 2, 6, 5)
    arrays = {"input": x.numpy()}
    exact = model.double()
    names = {key: old for key, old in zip(state, own)}
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".pt", ".safetensors") or path.name.startswith("refused_"):
            continue
        of = next((v for k, v in rounded.items() if k in path.name), double)
        exact.load_state_dict({names[k]: v.double() if v.is_floating_point() else v for k, v in of.items()})
        with torch.no_grad():
            arrays[path.name] = exact(x.double()).numpy().astype(np.float32)
    np.savez(folder / "logits.npz", **arrays)

    # A class of torch's, so that the file can be written: a user's own would be __main__.Net.
    whole = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    refused = {
        "whole_model": saved(whole),
        "legacy_whole_model": saved(whole, **legacy),
        "calls": saved(OrderedDict(state, extra=Calls())),
        "legacy_calls": saved(OrderedDict(state, extra=Calls()), **legacy),
        "no_tensors": saved({"epoch": 7, "lr": 0.1}),
        "single_tensor": saved(torch.zeros(3)),
        "expanded": saved(OrderedDict(state, **{"0.bias": torch.zeros(1).expand(4)})),
    }
    for name, content in refused.items():
        (folder / f"refused_{name}.pt").write_bytes(content)
    (folder / "weights.toml").write_text(f"""\
# Written by make_weights.py with torch {torch.__version__.split("+")[0]}: the network of these files, as a recipe.
input = [2, 6, 5]
layers = [
    "Conv2d(2, 4, 3, padding=1)",
    "BatchNorm2d(4)",
    "ReLU()",
    "Conv2d(4, 4, 3, padding=1, bias=False)",
    "BatchNorm2d(4)",
    "ReLU()",
    "MaxPool2d(2)",
    "Flatten()",
    "Linear(24, 5)",
    "ReLU()",
    "Linear(5, 3)",
]
""")
    print(f"{len(files) + 3} files, {sum(p.stat().st_size for p in folder.iterdir())} bytes")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes losses.toml: PyTorch's losses with their gradients, and steps of AdamW, on a few numbers.

usage: make_losses.py [OUT_FILE]      (needs torch, numpy; OUT_FILE is losses.toml beside this file)

  [[cross_entropy]]  logits [samples][classes], labels [samples], class_weights [classes] (empty: none), label_smoothing;
                     loss, the mean of the batch, and its gradient by the logits
  [[squared_error]]  outputs and targets [samples][values]; loss, the mean of the batch, and its gradient by the outputs
  [[adam_w]]         the settings, `first` [parameters], gradients [steps][parameters]; the parameters after each step

Numbers are those of float64, rounded to float32: what is compared with them has no better.
"""
import pathlib
import sys

import numpy as np
import torch


def text(value):
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(item) for item in value) + "]"
    if isinstance(value, float):
        return repr(float(f"{np.float32(value):.9g}"))
    return repr(value)


def rows(tensor):
    return tensor.detach().tolist()


def table(name, entries):
    lines = [f"[[{name}]]"]
    lines += [f"{key} = {text(value)}" for key, value in entries.items()]
    return "\n".join(lines) + "\n"


def cross_entropy(random, weights, smoothing):
    samples, classes = 6, 4
    # Float32 from the start: both sides begin with the same numbers.
    logits = torch.tensor((2 * random.standard_normal((samples, classes))).astype("float32").tolist())
    logits = logits.double().requires_grad_()
    labels = [int(label) for label in random.integers(0, classes, samples)]
    weight = torch.tensor(weights, dtype=torch.float64) if weights else None
    rule = torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)
    loss = rule(logits, torch.tensor(labels))
    loss.backward()
    return {
        "logits": rows(logits),
        "labels": labels,
        "class_weights": weights,
        "label_smoothing": smoothing,
        "loss": loss.item(),
        "gradient": rows(logits.grad),
    }


def squared_error(random):
    numbers = lambda: torch.tensor(random.standard_normal((5, 3)).astype("float32").tolist()).double()
    outputs, targets = numbers().requires_grad_(), numbers()
    loss = torch.nn.MSELoss()(outputs, targets)
    loss.backward()
    return {
        "outputs": rows(outputs),
        "targets": rows(targets),
        "loss": loss.item(),
        "gradient": rows(outputs.grad),
    }


def adam_w(random, settings):
    count, steps = 5, 12
    first = random.standard_normal(count).astype("float32").tolist()
    gradients = random.standard_normal((steps, count)).astype("float32").tolist()
    parameters = torch.tensor(first, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([parameters], **settings)
    after = []
    for gradient in gradients:
        parameters.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        after.append(rows(parameters))
    group = optimizer.param_groups[0]
    return {
        "lr": group["lr"],
        "betas": list(group["betas"]),
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
        "first": first,
        "gradients": gradients,
        "after": after,
    }


def main():
    default = pathlib.Path(__file__).parent / "losses.toml"
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    random = np.random.default_rng(11)
    parts = [f'made_with = "make_losses.py, torch {torch.__version__.split("+")[0]}, numpy {np.__version__}"\n']
    for weights in ([], [0.5, 2.0, 1.0, 0.25]):
        for smoothing in (0.0, 0.1):
            parts.append(table("cross_entropy", cross_entropy(random, weights, smoothing)))
    parts.append(table("squared_error", squared_error(random)))
    parts.append(table("adam_w", adam_w(random, {"lr": 0.01})))
    parts.append(table("adam_w", adam_w(random, {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.5})))
    out.write_text("\n".join(parts))


main()

#!/usr/bin/env python3
"""Writes schedules.toml: the learning rates and momenta that PyTorch's schedulers give, step by step.

usage: make_schedules.py [OUT_DIR]     (needs Python 3.9 or later, torch; OUT_DIR is this file's folder)

Each case is a recipe's [optimizer] and [schedule], a number of epochs and of steps in each, and the learning rate
(and where it is cycled, the momentum or beta1) that the optimizer has in each step.
"""
import pathlib
import sys
import warnings

import torch
from torch.optim import lr_scheduler

SGD = {"type": "SGD", "lr": 0.1, "momentum": 0.9}
ADAM = {"type": "Adam", "lr": 0.001}
# name, optimizer, schedule, epochs, steps in an epoch
CASES = [
    ("step", SGD, {"type": "StepLR", "step_size": 3}, 10, 2),
    ("step_gamma", ADAM, {"type": "StepLR", "step_size": 2, "gamma": 0.5}, 7, 3),
    ("multi_step", SGD, {"type": "MultiStepLR", "milestones": [2, 5, 6], "gamma": 0.2}, 9, 2),
    ("cosine", SGD, {"type": "CosineAnnealingLR"}, 12, 3),
    ("cosine_min", ADAM, {"type": "CosineAnnealingLR", "T_max": 4, "eta_min": 0.0001}, 11, 1),
    ("one_cycle", SGD, {"type": "OneCycleLR", "max_lr": 0.4}, 5, 8),
    ("one_cycle_adam", ADAM, {"type": "OneCycleLR", "max_lr": 0.01, "pct_start": 0.45}, 3, 7),
    (
        "one_cycle_linear",
        SGD,
        {
            "type": "OneCycleLR",
            "max_lr": 1.0,
            "pct_start": 0.2,
            "anneal_strategy": "linear",
            "div_factor": 10.0,
            "final_div_factor": 100.0,
            "base_momentum": 0.8,
            "max_momentum": 0.9,
        },
        4,
        9,
    ),
    ("one_cycle_lr_only", SGD, {"type": "OneCycleLR", "max_lr": 0.5, "cycle_momentum": False}, 2, 6),
]


def run(optimizer, schedule, epochs, steps):
    optimizer, schedule = dict(optimizer), dict(schedule)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = getattr(torch.optim, optimizer.pop("type"))([weight], **optimizer)
    kind = schedule.pop("type")
    each_step = kind == "OneCycleLR"
    if kind == "CosineAnnealingLR":
        schedule.setdefault("T_max", epochs)
    if each_step:
        schedule |= {"epochs": epochs, "steps_per_epoch": steps}
    scheduler = getattr(lr_scheduler, kind)(optimizer, **schedule)
    rates, momenta = [], []
    for _ in range(epochs):
        for _ in range(steps):
            group = optimizer.param_groups[0]
            rates.append(group["lr"])
            momenta.append(group["betas"][0] if "betas" in group else group["momentum"])
            optimizer.step()
            if each_step:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    scheduler.step()
        if not each_step:
            scheduler.step()
    return rates, momenta


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    lines = [
        "# Written by make_schedules.py, which says what is here.",
        f'made_with = "torch {torch.__version__.split("+")[0]}"',
    ]
    for name, optimizer, schedule, epochs, steps in CASES:
        rates, momenta = run(optimizer, schedule, epochs, steps)
        lines += ["", "[[cases]]", f'name = "{name}"', f"epochs = {epochs}", f"steps = {steps}"]
        for section, values in (("optimizer", optimizer), ("schedule", schedule)):
            items = ", ".join(f"{key} = {toml(value)}" for key, value in values.items())
            lines.append(f"{section} = {{ {items} }}")
        lines += [f"learning_rates = {rates}", f"momenta = {momenta}"]
    (out / "schedules.toml").write_text("\n".join(lines) + "\n")
    print(f"{len(CASES)} schedules")


if __name__ == "__main__":
    main()

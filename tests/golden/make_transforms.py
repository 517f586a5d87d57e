#!/usr/bin/env python3
"""Writes transforms.npz and transforms.toml: what torchvision makes of PIL images, with the random numbers given.

usage: make_transforms.py [OUT_DIR]    (needs Python 3.9 or later, torchvision, Pillow, numpy; OUT_DIR is this file's
folder)

`transforms.toml` lists the cases: the picture, the function of torchvision.transforms.functional and its arguments.
`transforms.npz` holds, as uint8 [height, width, channels]:

  picture/NAME      what goes in            CASE      what comes out
"""
import pathlib
import sys

import numpy as np
import PIL
import torchvision
from PIL import Image
from torchvision.transforms import functional as F


def make_pictures():
    random = np.random.default_rng(11)
    # Every kind of color: noise, a smooth gradient of hues, grays, and the corners of the color cube.
    noise = random.integers(0, 256, (24, 20, 3))
    y, x = np.mgrid[0:16, 0:19]
    smooth = np.stack([x * 14, y * 16, 255 - x * 7 - y * 7], axis=2)
    smooth[:3] = smooth[:3, :, :1]
    smooth[3, :8] = [[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)]
    gray = random.integers(0, 256, (15, 18, 1))
    square = random.integers(0, 256, (8, 8, 3))
    pictures = {"noise": noise, "smooth": smooth, "gray": gray, "square": square}
    return {name: picture.astype(np.uint8) for name, picture in pictures.items()}


CASES = [("hflip", picture, {}) for picture in ("noise", "gray")]
CASES += [("vflip", picture, {}) for picture in ("noise", "gray")]
CASES += [("rotate", "noise", {"angle": angle}) for angle in (10.0, -7.3, 45.0, 180.0, 0.0, 90.0)]
CASES += [("rotate", "gray", {"angle": angle}) for angle in (3.7, -9.99)]
CASES += [("rotate", "square", {"angle": angle}) for angle in (90.0, -90.0, 270.0, 31.0)]
CASES += [("rotate", "smooth", {"angle": 25.0, "center": [3.0, 12.5], "fill": [9, 200, 77]})]
# padding as left, top, right, bottom; the window as top, left, height, width
CASES += [
    ("crop", "noise", {"padding": [4, 4, 4, 4], "window": window, "fill": 0})
    for window in ([0, 0, 24, 20], [8, 8, 24, 20], [3, 6, 24, 20])
]
CASES += [
    ("crop", "smooth", {"padding": [1, 5, 2, 7], "window": [2, 1, 25, 19], "fill": [3, 2, 1]}),
    ("crop", "gray", {"padding": [0, 0, 0, 0], "window": [5, 7, 9, 11], "fill": 0}),
    ("crop", "gray", {"padding": [20, 20, 20, 20], "window": [0, 0, 15, 18], "fill": 128}),
]
for function, factors in {
    "adjust_brightness": (0.0, 0.37, 0.8, 1.0, 1.2, 2.5),
    "adjust_contrast": (0.0, 0.37, 0.8, 1.0, 1.2, 2.5),
    "adjust_saturation": (0.0, 0.37, 0.8, 1.0, 1.2, 2.5),
    "adjust_hue": (-0.5, -0.1, 0.0, 0.03, 0.25, 0.5),
}.items():
    # As the random numbers are: a float32.
    factors = [float(np.float32(factor)) for factor in factors]
    CASES += [(function, picture, {"factor": factor}) for picture in ("noise", "smooth") for factor in factors]
    CASES += [(function, "gray", {"factor": factors[1]})]


def apply(function, image, arguments):
    channels = len(image.getbands())
    fill = arguments.get("fill", 0)
    fill = tuple(fill) if isinstance(fill, list) else fill
    if function == "rotate":
        fill = [fill] * channels if isinstance(fill, int) else fill
        return F.rotate(image, arguments["angle"], center=arguments.get("center"), fill=fill)
    if function == "crop":
        return F.crop(F.pad(image, arguments["padding"], fill), *arguments["window"])
    return getattr(F, function)(image, *([arguments["factor"]] if "factor" in arguments else []))


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    pictures = make_pictures()
    arrays = {f"picture/{name}": picture for name, picture in pictures.items()}
    manifest = [
        "# Written by make_transforms.py, which says what is in transforms.npz.",
        f'made_with = "torchvision {torchvision.__version__.split("+")[0]}, Pillow {PIL.__version__}, '
        f'numpy {np.__version__}"',
    ]
    for index, (function, picture, arguments) in enumerate(CASES):
        image = Image.fromarray(pictures[picture].squeeze())
        result = np.asarray(apply(function, image, arguments))
        name = f"{index:02}_{function}"
        arrays[name] = result.reshape(*result.shape[:2], -1)
        manifest += ["", "[[cases]]", f'name = "{name}"', f'function = "{function}"', f'picture = "{picture}"']
        manifest += [f"{key} = {value}" for key, value in arguments.items()]
    np.savez_compressed(out / "transforms.npz", **arrays)
    (out / "transforms.toml").write_text("\n".join(manifest) + "\n")
    print(f"{len(CASES)} cases, {(out / 'transforms.npz').stat().st_size} bytes")


if __name__ == "__main__":
    main()

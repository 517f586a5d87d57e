"""Writes the JPEG files of this folder and, beside each, what Pillow decodes: raw RGB or grey bytes."""

from pathlib import Path

import numpy as np
from PIL import Image

here = Path(__file__).parent
row, column = np.mgrid[0:17, 0:23]
picture = np.stack(
    [
        127 + 120 * np.sin(row / 3 + column / 7),
        127 + 120 * np.cos(row / 5 - column / 4),
        (row * 9 + column * 5) % 256,
    ],
    axis=2,
).astype(np.uint8)
color = Image.fromarray(picture)
color.save(here / "420.jpg", quality=90, subsampling="4:2:0")
color.save(here / "444.jpg", quality=95, subsampling="4:4:4")
color.save(here / "progressive.jpg", quality=85, progressive=True)
color.convert("L").save(here / "grey.jpg", quality=90)
for name in ["420", "444", "progressive", "grey"]:
    decoded = Image.open(here / f"{name}.jpg")
    raw = here / f"{name}.{decoded.mode.lower()}"
    raw.write_bytes(np.asarray(decoded).tobytes())

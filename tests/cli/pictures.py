"""Pictures of every depth, colour space, transparency and format that limner edits, and a reader of
files that shares nothing with limner's own: cv2 for 16-bit PNG, tifffile for TIFF, else Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

Array = npt.NDArray[Any]

BANDS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
KINDS = [
    *((mode, "uint8", suffix) for mode in ("L", "LA", "RGB", "RGBA") for suffix in ("png", "tif")),
    *((mode, "uint16", suffix) for mode in ("L", "RGB", "RGBA") for suffix in ("png", "tif")),
    *((mode, kind, "tif") for mode in ("L", "RGB") for kind in ("float32", "int16", "uint32")),
    ("LA", "uint16", "tif"),
    ("CMYK", "uint8", "tif"),
    ("RGB", "uint8", "webp"),
    ("RGBA", "uint8", "webp"),
]
"""(mode, type of a value, format) that limner writes as it read them."""


def noise(rng: np.random.Generator, mode: str, dtype: str, size_wh: tuple[int, int]) -> Array:
    """(H, W, C): every value there is, full transparency with colours under it among them."""
    shape = (size_wh[1], size_wh[0], BANDS[mode])
    if dtype == "float32":
        return rng.normal(0.5, 2, shape).astype(dtype)
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    if mode.endswith("A"):
        patches = rng.random((size_wh[1], size_wh[0])) < 0.2
        values[patches, -1] = rng.choice([0, info.max])
    return values


def write(path: Path, values: Array, mode: str, profile: bytes | None = None) -> None:
    if path.suffix == ".tif":
        alpha = ["unassalpha"] if mode in ("LA", "RGBA") else None
        names = {"L": "minisblack", "LA": "minisblack", "CMYK": "separated"}
        tifffile.imwrite(
            path,
            values[..., 0] if values.shape[2] == 1 else values,
            photometric=names.get(mode, "rgb"),
            planarconfig=None if values.shape[2] == 1 else "contig",
            extrasamples=alpha,
            iccprofile=profile,
        )
    elif values.dtype == np.uint16:
        order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[values.shape[2]]
        assert cv2.imwrite(str(path), values[..., order])
    else:
        flat = values[..., 0] if values.shape[2] == 1 else values
        how: dict[str, Any] = {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
        if profile:
            how["icc_profile"] = profile
        Image.fromarray(flat).save(path, **how)


def read(path: Path) -> Array:
    """(H, W, C) values of a file."""
    if path.suffix == ".tif":
        values: Array = tifffile.imread(path)
    elif path.suffix == ".png" and path.read_bytes()[24] == 16:
        values = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        if values.ndim == 3:
            values = values[..., [2, 1, 0, 3][: values.shape[2]]]
    else:
        with Image.open(path) as file:
            values = np.asarray(file)
    return values[..., None] if values.ndim == 2 else values


def profile_of(path: Path) -> bytes | None:
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            return file.pages.first.iccprofile or None
    with Image.open(path) as file:
        return file.info.get("icc_profile")

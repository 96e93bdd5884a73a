"""Photographs that tests make: no two alike, each with detail everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def photo(seed: int, size_wh: tuple[int, int] = (120, 90)) -> Image.Image:
    """Coloured blocks, sharp at any size."""
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size_wh, Image.Resampling.NEAREST)


def folder_of(path: Path, count: int = 4, size_wh: tuple[int, int] = (120, 90)) -> Path:
    """A folder with photographs 00.png, 01.png, …"""
    path.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        photo(k, size_wh).save(path / f"{k:02}.png")
    return path

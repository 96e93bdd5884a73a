"""How an upright picture lies in a file, by the file's tag of orientation (EXIF's and TIFF's)."""

from __future__ import annotations

import numpy as np

ORIENTATIONS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}
"""Of each value of the tag: (H, W, channels) upright -> the rows as they are stored."""

"""What a file holds outside the mask is in the result as it was: depth, colour space, transparency.

Counted on files, by a reader that shares no code with limner's.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.pipeline.doubles import FloodInpainter

from .command import Command
from .pictures import KINDS, Array, noise, profile_of, read, write

VERBS = ("remove", "edit", "redact", "background", "cutout", "extend")
SIZE = (46, 38)


def display_p3() -> bytes:
    """Display P3: sRGB's curve with other primaries (those of Apple's profile, adapted to D50)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        name, offset, _ = struct.unpack(">4sII", profile[at : at + 12])
        if name in primaries:
            numbers = [round(value * 65536) for value in primaries[name]]
            profile[offset + 8 : offset + 20] = struct.pack(">iii", *numbers)
    return bytes(profile)


def blob(rng: np.random.Generator) -> Array:
    """(H, W) bool: a box and a disc anywhere, the frame included."""
    width, height = SIZE
    x, y = rng.integers(0, width - 4), rng.integers(0, height - 4)
    mask = np.zeros((height, width), bool)
    mask[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = True
    yy, xx = np.mgrid[:height, :width]
    return mask | ((xx - x) ** 2 + (yy - y) ** 2 < rng.integers(1, 60))


def unchanged(verb: str, before: Array, after: Array, mask: Array) -> None:
    """Assert that what ``verb`` must leave alone is what it was, value by value."""
    if verb == "extend":
        after = after[3:, 5:]
        mask = np.zeros(before.shape[:2], bool)
    if verb == "background":
        mask = ~mask
    if verb == "cutout":
        alpha, white = after[..., -1], after[..., -1].max()
        assert not after[~mask].any()
        colours = before[..., :-1] if before.shape[2] in (2, 4) else before
        colours = np.broadcast_to(colours, (*colours.shape[:2], after.shape[2] - 1))
        np.testing.assert_array_equal(after[mask][:, :-1], colours[mask])
        if before.shape[2] in (2, 4):
            np.testing.assert_array_equal(alpha[mask], before[..., -1][mask])
        else:
            assert (alpha[mask] == white).all()
        return
    assert after.dtype == before.dtype
    if after.shape[2] != before.shape[2]:  # PNG of 16-bit greys with alpha
        after = after[..., [0, -1]]
    np.testing.assert_array_equal(after[~mask], before[~mask])


def edited(limner: Command, verb: str, source: Path, out: Path, **more: Any) -> str:
    words: dict[str, list[object]] = {
        "remove": ["--method", "telea", "--dilate", 0],
        "edit": ["--paint", "a cat", "--dilate", 0],
        "redact": ["--style", more.get("style", "solid"), "--dilate", 0],
        "background": ["--colour", "red", "--feather", 0],
        "cutout": ["--feather", 0],
        "extend": ["--extend", "left=5,top=3", "--method", "telea"],
    }
    mask = [] if verb == "extend" else ["--mask", "mask.png"]
    answer = limner(verb, source, *mask, *words[verb], "--no-store", "-o", out, "--overwrite")
    return answer.stdout + answer.stderr


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> None:
    """``edit`` paints without weights."""
    from limner.session import Session

    own = Session._following

    def following(self: Session, paint: Any, *rest: Any) -> Any:
        if paint is None:
            return own(self, paint, *rest)
        return self.models.painting_slot(words=False), FloodInpainter()

    monkeypatch.setattr(Session, "_following", following)


def random_edits(limner: Command, first: int, count: int) -> None:
    done = 0
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        mode, dtype, suffix = KINDS[seed % len(KINDS)]
        verb = VERBS[int(rng.integers(len(VERBS)))]
        if verb == "cutout" and (mode == "CMYK" or dtype not in ("uint8", "uint16")):
            verb = "redact"  # neither CMYK nor such numbers have a transparency here
        before, mask = noise(rng, mode, dtype, SIZE), blob(rng)
        if (mode.startswith("RGB") and suffix != "png") or (dtype == "uint8" and mode == "RGB"):
            profile = display_p3() if rng.random() < 0.5 else None
        else:
            profile = None
        source, out = Path(f"in.{suffix}"), Path(f"out.{suffix}")
        write(source, before, mode, profile)
        Image.fromarray(mask).save("mask.png")
        np.testing.assert_array_equal(read(source), before)  # the reader reads what was written
        said = edited(limner, verb, source, out)
        label = f"{seed} {verb} {mode} {dtype} {suffix}: {said}"
        try:
            unchanged(verb, before, read(out), mask)
        except AssertionError as error:
            raise AssertionError(label) from error
        assert profile_of(out) == profile, label
        if verb != "cutout":
            assert "0 pixels changed outside the mask" in said, label
        done += 1
    assert done == count


def test_random_edits_leave_the_files_own_values_alone(limner: Command, painter: None) -> None:
    random_edits(limner, 0, 48)


@pytest.mark.slow
def test_three_hundred_random_edits(limner: Command, painter: None) -> None:
    random_edits(limner, 1000, 300)

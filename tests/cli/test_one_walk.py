"""One edit does each thing once: what a command computes it hands on."""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.tiny_minis import save_tiny_minis, ship
from tests.models.tiny_owlvit import noise

from .command import Command


class Counts:
    """How often functions ran, by the end of their file's path and their name."""

    def __init__(self, work: Callable[[], Any]) -> None:
        profile = cProfile.Profile()
        profile.runcall(work)
        self._stats: Any = pstats.Stats(profile).stats  # type: ignore[attr-defined]

    def of(self, file: str, function: str, *, called_from: str = "") -> int:
        count: Counter[str] = Counter()
        for (path, _, name), (_, calls, _, _, callers) in self._stats.items():
            if path.endswith(file) and name == function:
                count["all"] += calls
                for (caller, _, _), numbers in callers.items():
                    count[Path(caller).name] += numbers[1]
        return count[called_from or "all"]


@pytest.fixture
def minis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The minis with random weights: the walk is the same."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("LIMNER_STORE", raising=False)  # recorded, as for a user
    return ship(monkeypatch, tmp_path / "package" / "minis", save_tiny_minis(tmp_path / "made"))


def test_an_edit_is_walked_once(limner: Command, minis: Path) -> None:
    """``limner edit`` made its job three times, hashed the picture six times, united all masks
    three times, unpacked what it had just packed, parsed its arguments twice, read a mask with
    transparency twice, wrote its run lengths five times and searched the catalog for its three
    models nineteen times."""
    noise(128, 128).save("scene.png")
    mask = np.zeros((128, 128, 4), dtype=np.uint8)
    mask[90:110, 90:110] = 255
    Image.fromarray(mask).save("mask.png")
    words = ("edit", "scene.png", "--find", "apple", "--threshold", "0", "--select", "largest")
    words += ("--object", "--mask", "mask.png", "--box", "85,85,115,115", "--paint", "car")
    words += ("--profile", "mini", "--seed", "1", "-o", "out.png")
    counts = Counts(lambda: limner(*words))
    assert counts.of("session/results.py", "make_job") == 1
    assert counts.of("PIL/Image.py", "tobytes", called_from="images.py") == 1, "the hash's pixels"
    assert counts.of("ops/detections.py", "union_of") == 1
    assert counts.of("cache/packing.py", "unpack") == 0, "a fresh answer is returned as it is"
    assert counts.of("limner/rle.py", "to_rle", called_from="values.py") == 1, "the mask as typed"
    assert counts.of("click/parser.py", "parse_args") == 2, "limner's own words, and edit's"
    assert counts.of("io/images.py", "read_picture") == 3, "the picture, the mask, the result"
    assert counts.of("registry/resolve.py", "resolve") == 3, "a model's name each"

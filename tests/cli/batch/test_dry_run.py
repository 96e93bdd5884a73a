"""``--dry-run`` names the models that the command would ask, and counts how often."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.pipeline.rotate import ANGLES
from tests.cli.command import Answer, Command

TEXT = ("--text", "dog")
BOX = ("--box", "10,10,60,60")
MASK = ("--mask", "mask.png")

PLANS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "a mask is taken as drawn": (("remove", *MASK), ["inpaint opencv-inpaint"]),
    "a cut-out of one asks nobody": (("cutout", *MASK), []),
    "segment refines it": (("segment", *MASK), ["segment grabcut"]),
    "a mask beside a box": (
        ("remove", *MASK, "--object", *BOX),
        ["segment grabcut", "inpaint opencv-inpaint"],
    ),
    "SAM 3 as the detector outlines by itself": (
        ("segment", *TEXT, "--detector", "sam3"),
        ["detect sam3"],
    ),
    "but not what is clicked": (
        ("segment", *TEXT, "--object", *BOX, "--detector", "sam3"),
        ["detect sam3", "segment grabcut"],
    ),
    "Florence as the segmenter reads phrases by itself": (
        ("segment", *TEXT, "--segmenter", "florence-2-base"),
        ["segment florence-2-base"],
    ),
    "but not what a phrase is not": (
        ("segment", *TEXT, "--not", "cat", "--segmenter", "florence-2-base"),
        ["detect haar", "segment florence-2-base"],
    ),
    "FastSAM has its phrases read": (
        ("segment", *TEXT, "--segmenter", "fastsam-s"),
        ["segment fastsam-s", "read clip-vit-base-patch32"],
    ),
    "a caption's phrases are looked for": (
        ("segment", "--what-is-here", "--captioner", "mini-blip", "--detector", "sam3"),
        ["caption mini-blip", "detect sam3"],
    ),
    "a redaction hides boxes": (
        ("redact", *TEXT, "--object", *BOX, "--object", *MASK),
        ["detect haar"],
    ),
    "or outlines": (("redact", *TEXT, "--region", "outline"), ["detect haar", "segment grabcut"]),
    "what is looked for in the result": (
        ("redact", *BOX, "--verify", "dog"),
        ["detect haar"],
    ),
    "a background of one colour paints nothing": (
        ("background", *BOX, "--colour", "white"),
        ["segment grabcut"],
    ),
    "one of words does": (
        ("background", *MASK, "--paint", "a beach", "--profile", "small"),
        ["inpaint sd15-inpaint"],
    ),
    "a refiner ends the work of a painter": (
        ("edit", *MASK, "--paint", "a cat", "--profile", "large", "--refiner", "sdxl-refiner"),
        ["inpaint sdxl-inpaint", "refine sdxl-refiner"],
    ),
    "extending looks for nothing": (
        ("extend", "--extend", "left=5"),
        ["inpaint opencv-inpaint"],
    ),
}


@pytest.fixture
def photo(limner: Command) -> Callable[..., Answer]:
    Image.new("RGB", (100, 80)).save("photo.png")
    Image.fromarray(np.eye(80, 100, dtype=np.uint8) * 255).save("mask.png")
    return limner.run


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_names_who_will_be_asked(name: str, limner: Command, photo: object) -> None:
    """It listed a segmenter for a mask that is taken as drawn, one beside SAM 3, a detector beside
    a segmenter that reads phrases, and not what reads them."""
    (verb, *words), expected = PLANS[name]
    plan = limner.json(verb, "photo.png", *words, "--dry-run")
    assert [f"{row['task']} {row['model']}" for row in plan["models"]] == expected


@pytest.mark.parametrize(
    ("look", "looks"),
    [
        ((), 1),
        (("--look", "tiles"), 1 + 8),
        (("--look", "tiles", "--slice-wh", "2000"), 1),
        (("--look", "turned"), 1 + 2 + len(ANGLES) - 1),
        (("--look", "zoom"), 1 + 2),
    ],
    ids=["whole", "tiles", "one tile", "turned", "zoom"],
)
def test_a_plan_counts_tiles_and_zooms(
    look: tuple[str, ...], looks: int, limner: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine looks at a picture cost nine times the seconds of one."""
    monkeypatch.setattr("limner.registry.costs.machine_speed", lambda: 0.1)
    Image.new("RGB", (2000, 1000)).save("large.png")
    words = ("detect", "large.png", *TEXT, "--detector", "owlv2-base-patch16-ensemble")
    (row,) = limner.json(*words, *look, "--dry-run")["models"]
    assert row.get("looks_per_image", 1) == looks
    (once,) = limner.json(*words, "--dry-run")["models"]
    assert row["seconds_per_image"] == pytest.approx(looks * once["seconds_per_image"], rel=0.01)
    said = limner(*words, *look, "--dry-run").stdout
    assert (f"{looks} looks an image" in said) == (looks > 1)


def test_what_is_counted_is_what_is_asked(limner: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan's looks are the detector's calls."""
    from limner.session.cache.stages import CachedDetector

    calls = []
    own = CachedDetector.detect

    def detect(self: CachedDetector, image: Image.Image, *rest: object) -> object:
        calls.append(image.size)
        return own(self, image, *rest)

    monkeypatch.setattr(CachedDetector, "detect", detect)
    Image.new("RGB", (2000, 1000)).save("large.png")
    for look in ("tiles", "turned"):
        calls.clear()
        words = ("detect", "large.png", "--text", "face", "--look", look, "--no-cache")
        (row,) = limner.json(*words, "--dry-run")["models"]
        limner(*words, "-o", f"{look}.png")
        assert len(calls) == row["looks_per_image"]
    assert Path("tiles.png").is_file()

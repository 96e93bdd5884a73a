"""Outpainting: what is typed, the canvas, and that the picture on it stays."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from limner.errors import OptionError
from limner.options import EditOptions
from limner.pipeline import Extension, extended
from limner.pipeline.extend import SIDES, parse_extension
from limner.prompts import Text
from limner.session import Session

lengths = st.one_of(
    st.integers(0, 300).map(str), st.integers(0, 150).map(lambda percent: f"{percent}%")
)
typed = st.dictionaries(st.sampled_from(SIDES), lengths, min_size=1).filter(
    lambda sides: any(length.strip("0%") for length in sides.values())
)


def picture(width: int = 40, height: int = 30) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@given(typed)
def test_what_is_typed_comes_back(sides: dict[str, str]) -> None:
    """Written down and read again it is the same extension: a replay depends on it."""
    said = ",".join(f"{side}={length}" for side, length in sides.items())
    extension = parse_extension(said)
    assert Extension.from_dict(extension.to_dict()) == extension


@given(typed, st.integers(2, 200), st.integers(2, 200))
def test_the_canvas_grows_by_what_was_asked_and_holds_the_picture(
    sides: dict[str, str], width: int, height: int
) -> None:
    extension = parse_extension(",".join(f"{side}={length}" for side, length in sides.items()))
    exact = [
        Fraction(length.strip("%")) * (Fraction(across, 100) if "%" in length else 1)
        for side, across in zip(SIDES, (width, height) * 2, strict=True)
        for length in [sides.get(side, "0")]
    ]
    if max(exact) < Fraction(1, 2):
        with pytest.raises(OptionError, match="adds no pixel"):
            extension.pixels((width, height))
        return
    if max(exact) == Fraction(1, 2):
        return  # half a pixel is one or none
    image = picture(width, height)
    canvas, new = extended(image, extension)
    added = extension.pixels((width, height))
    assert all(abs(got - asked) <= Fraction(1, 2) for got, asked in zip(added, exact, strict=True))
    left, top, right, bottom = added
    assert canvas.size == (width + left + right, height + top + bottom)
    assert new.shape == canvas.size[::-1]
    assert new.sum() == new.size - width * height
    assert not new[top : top + height, left : left + width].any()
    part = canvas.crop((left, top, left + width, top + height))
    assert part.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "takes left=256"),
        ("left", "takes left=256"),
        ("left=", "takes left=256"),
        ("left=-5", "takes left=256"),
        ("left=5,left=6", "each side once"),
        ("up=5", "takes left=256"),
        ("left=5 top=5", "takes left=256"),
        ("left=inf", "takes left=256"),
        ("left=1e3", "takes left=256"),
        ("left=" + "9" * 400, "from 0 to 1e9"),
        ("left=0", "extension of nothing"),
        ("left=0%,top=0", "extension of nothing"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        parse_extension(text)


@pytest.mark.parametrize("text", ["left=90000000", "left=999999999%"])
def test_a_canvas_beyond_what_can_be_opened_is_refused(text: str) -> None:
    """Before any memory is taken for it."""
    with pytest.raises(OptionError, match="million pixels; the most is"):
        extended(picture(), parse_extension(text))


@pytest.mark.parametrize("overlap", [0, 6])
def test_the_picture_stays_but_for_the_overlap(overlap: int) -> None:
    """The proof is counted, and the pixels say the same."""
    image = picture(64, 48)
    edit = EditOptions(dilate=overlap, feather=overlap)
    run = Session().extend(image, parse_extension("left=20,bottom=25%"), edit=edit)
    (made,) = run.edits
    assert made.image.size == run.source.image.size == (84, 60)
    assert made.outside_changed_pixels == 0
    before, after = np.asarray(image), np.asarray(made.image)[:48, 20:]
    changed = (before != after).any(axis=2)
    assert not changed[: 48 - overlap, overlap:].any()
    assert changed.any() == bool(overlap)
    assert run.record.input["size_wh"] == [64, 48]
    assert run.record.result["canvas_wh"] == [84, 60]
    assert [model["name"] for model in run.record.models] == ["opencv-inpaint"]


def test_a_feather_beyond_the_overlap_is_refused() -> None:
    """It would leave something of the padding in what is new."""
    with pytest.raises(OptionError, match="dilate of at least 4"):
        Session().extend(
            picture(), parse_extension("left=9"), edit=EditOptions(dilate=2, feather=4)
        )


def test_what_lies_under_the_mask_does_not_show_in_a_picture_painted_from_noise(
    monkeypatch: Any,
) -> None:
    """With strength 1, whatever the canvas is padded with: the same picture, bit for bit, where
    the model sees the canvas at its own size (resized, its edge takes in a shade of the border)."""
    from limner.options import InpaintOptions
    from limner.pipeline import extend

    session = Session(profile="mini")
    asked = {
        "paint": Text("grass"),
        "inpaint": InpaintOptions(num_inference_steps=2, seed=3),
    }
    image, extension = picture(48, 64), parse_extension("right=16")
    edge = session.extend(image, extension, **asked).edits[0].image
    pad = np.pad

    def black(array: Any, around: Any, **how: Any) -> Any:
        return pad(array, around) if how.get("mode") == "edge" else pad(array, around, **how)

    monkeypatch.setattr(extend.np, "pad", black)
    other = session.extend(image, extension, **asked).edits[0].image
    assert other.tobytes() == edge.tobytes()

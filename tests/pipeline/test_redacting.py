"""Hide something, then look whether it can still be found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner import masks
from limner.errors import OptionError, PromptError, UnsupportedPrompt
from limner.options import DetectOptions, RedactOptions, SegmentOptions
from limner.pipeline import BoxRegions, redact
from limner.pipeline.redacting import STILL_THERE
from limner.prompts import Box, Mask, Point, Text, VisualPrompt

from .doubles import ColourDetector, TableDetector

WIDTH, HEIGHT = 120, 80
FACE, OTHER = (30, 20, 60, 50), (80, 20, 110, 50)
RED = VisualPrompt(text=Text("red"))


@pytest.fixture
def picture() -> Image.Image:
    """Two red patches on grain."""
    grain = np.random.default_rng(0).integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for x0, y0, x1, y1 in (FACE, OTHER):
        grain[y0:y1, x0:x1] = (255, 0, 0)
    return Image.fromarray(grain)


def covering(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def seen(*boxes: tuple[tuple[float, float, float, float], float]) -> TableDetector:
    return TableDetector({"red": boxes})


# --- hiding -----------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["blur", "pixelate", "solid"])
def test_only_the_mask_changes_and_it_grows_by_15_percent(picture: Image.Image, style: str) -> None:
    mask = covering(*FACE)
    made = redact(picture, mask, RedactOptions(style=style))
    assert np.array_equal(made.edit.mask, masks.dilate(mask, round(0.15 * 30)))
    assert made.edit.outside_changed_pixels == 0
    before, after = np.asarray(picture), np.asarray(made.edit.image)
    assert np.array_equal(before[~made.edit.mask], after[~made.edit.mask])
    assert (before != after).any()
    assert made.edit.mask_coverage == pytest.approx(made.edit.mask.mean())


def test_how_far_it_grows_can_be_said(picture: Image.Image) -> None:
    mask = covering(*FACE)
    for dilate in (0, 5):
        made = redact(picture, mask, RedactOptions(colour="black", dilate=dilate))
        assert np.array_equal(made.edit.mask, masks.dilate(mask, dilate))
        assert not np.asarray(made.edit.image)[made.edit.mask].any()


@pytest.mark.parametrize("mask", [np.zeros((HEIGHT, WIDTH), bool), np.ones((HEIGHT, 9), bool)])
def test_a_mask_that_cannot_be_meant_is_refused(picture: Image.Image, mask: np.ndarray) -> None:
    with pytest.raises(PromptError):
        redact(picture, mask)


# --- looking again ----------------------------------------------------------------------


def test_without_a_detector_nothing_is_claimed(picture: Image.Image) -> None:
    for made in (
        redact(picture, covering(*FACE)),
        redact(picture, covering(*FACE), verify_with=ColourDetector()),
        redact(picture, covering(*FACE), prompts=[RED]),
    ):
        assert made.still_found is None
        assert made.verified is None
        assert made.to_dict()["verified"] is None


def test_what_is_hidden_is_looked_for_on_the_result(picture: Image.Image) -> None:
    """Hidden by paint it is gone; the other red patch was never hidden and doesn't count."""
    detector = ColourDetector()
    solid = RedactOptions(style="solid")
    made = redact(picture, covering(*FACE), solid, verify_with=detector, prompts=[RED])
    assert detector.calls == 1
    assert made.verified is True
    assert made.still_found is not None
    assert len(made.still_found) == 0


def test_what_still_shows_through_is_told(picture: Image.Image) -> None:
    """Red painted over a red patch leaves it red."""
    made = redact(
        picture,
        covering(*FACE),
        RedactOptions(colour="red", dilate=0),
        verify_with=ColourDetector(),
        prompts=[RED],
    )
    assert made.verified is False
    assert made.still_found is not None
    assert made.still_found.xyxy.tolist() == [list(FACE)]
    assert made.to_dict()["verified"] is False


@pytest.mark.parametrize(
    ("box", "verified"),
    [
        (FACE, False),
        (OTHER, True),
        ((30, 20, 60, 20 + 30 / STILL_THERE - 0.1), False),
        ((30, 20, 60 + 60, 20 + 40), True),
        ((-50, 20, 60, 50), False),
        ((10.4, 20, 30.9, 50), True),
        ((200, 200, 210, 210), True),
    ],
    ids=[
        "the same box",
        "elsewhere",
        "just enough of it hidden",
        "too little of it hidden",
        "partly outside the image",
        "beside it, by a part of a pixel",
        "wholly outside the image",
    ],
)
def test_a_box_counts_when_enough_of_it_was_hidden(
    picture: Image.Image, box: tuple[float, float, float, float], verified: bool
) -> None:
    made = redact(
        picture,
        covering(*FACE),
        RedactOptions(style="solid", dilate=0),
        verify_with=seen((box, 0.9)),
        prompts=[RED],
    )
    assert made.verified is verified


@pytest.mark.parametrize(
    "options",
    [DetectOptions(max_detections=1), DetectOptions(class_agnostic_nms=True)],
    ids=["a limit of one", "class-agnostic suppression"],
)
def test_no_setting_of_the_detector_hides_what_is_still_there(
    picture: Image.Image, options: DetectOptions
) -> None:
    """The better box elsewhere must not take the place of the one that was hidden badly."""
    blue = VisualPrompt(text=Text("blue"))
    beside = (28, 18, 58, 48)
    detector = TableDetector({"red": [(FACE, 0.5), (OTHER, 0.9)], "blue": [(beside, 0.95)]})
    made = redact(
        picture,
        covering(*FACE),
        verify_with=detector,
        prompts=[RED, blue],
        detect_options=options,
    )
    assert made.still_found is not None
    assert set(made.still_found.data["class_name"]) == {"red", "blue"}


def test_the_threshold_that_found_it_is_the_one_that_looks_again(picture: Image.Image) -> None:
    detector = seen((FACE, 0.2))
    for threshold, verified in ((0.15, False), (0.25, True)):
        made = redact(
            picture,
            covering(*FACE),
            verify_with=detector,
            prompts=[RED],
            detect_options=DetectOptions(threshold=threshold),
        )
        assert made.verified is verified


# --- boxes as regions -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "covered"),
    [
        (Box(3, 4, 10, 9), (3, 4, 10, 9)),
        (Box(3.9, 4.9, 10.1, 9.1), (3, 4, 11, 10)),
        (Box(5.2, 5.2, 5.3, 5.3), (5, 5, 6, 6)),
        (Box(0, 0, WIDTH, HEIGHT), (0, 0, WIDTH, HEIGHT)),
    ],
    ids=["whole pixels", "every pixel it touches", "within a pixel", "all"],
)
def test_a_box_region_is_every_pixel_the_box_touches(
    picture: Image.Image, box: Box, covered: tuple[int, int, int, int]
) -> None:
    regions = BoxRegions()
    found = regions.segment(regions.embed(picture), [VisualPrompt(box=box)], SegmentOptions())
    assert found.mask is not None
    assert np.array_equal(found.mask[0], covering(*covered))


@pytest.mark.parametrize(
    "prompt",
    [
        VisualPrompt(points=(Point(3, 3),)),
        VisualPrompt(mask=Mask(np.ones((HEIGHT, WIDTH), bool))),
        RED,
    ],
    ids=["point", "mask", "phrase"],
)
def test_a_region_is_made_from_a_box_alone(picture: Image.Image, prompt: VisualPrompt) -> None:
    regions = BoxRegions()
    with pytest.raises(UnsupportedPrompt, match="box"):
        regions.segment(regions.embed(picture), [prompt], SegmentOptions())


def test_a_setting_without_effect_on_a_region_is_refused(picture: Image.Image) -> None:
    regions = BoxRegions()
    boxed: list[Any] = [VisualPrompt(box=Box(3, 4, 10, 9))]
    with pytest.raises(OptionError, match="no effect"):
        regions.segment(regions.embed(picture), boxed, SegmentOptions(iterations=3))

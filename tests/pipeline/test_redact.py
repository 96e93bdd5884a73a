"""Hide something, then look whether it can still be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import OptionError, PromptError, UnsupportedPrompt
from limner.ops import masks
from limner.options import DetectOptions, RedactOptions, SegmentOptions
from limner.pipeline import BoxRegions, Questions, SecondLook, redact
from limner.pipeline.verify_redaction import STILL_THERE
from limner.prompts import Box, Mask, Point, Text, VisualPrompt
from tests.pipeline.doubles import ColourDetector, Found, TableDetector

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


class UprightTable(TableDetector):
    """Knows a picture by its size and a corner: turned or scaled it shows nothing."""

    def look(self, image: Image.Image, phrase: str) -> Found:
        grain = np.random.default_rng(0).integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        upright = image.size == (WIDTH, HEIGHT) and (np.asarray(image)[0, :9] == grain[0, :9]).all()
        return super().look(image, phrase) if upright else ()


def seen(*boxes: tuple[tuple[float, float, float, float], float]) -> TableDetector:
    return UprightTable({"red": boxes})


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
        redact(picture, covering(*FACE), second_look=SecondLook(ColourDetector(), Questions())),
    ):
        assert made.still_found is None
        assert made.verified is None
        assert made.to_dict()["verified"] is None


def test_what_is_hidden_is_looked_for_on_the_result(picture: Image.Image) -> None:
    """Hidden by paint it is gone; the other red patch was never hidden and doesn't count."""
    detector = ColourDetector()
    solid = RedactOptions(style="solid")
    made = redact(
        picture, covering(*FACE), solid, second_look=SecondLook(detector, Questions((RED,)))
    )
    assert detector.calls > 1
    assert made.verified is True
    assert made.still_found is not None
    assert len(made.still_found) == 0


def test_what_still_shows_through_is_told(picture: Image.Image) -> None:
    """Red painted over a red patch leaves it red."""
    made = redact(
        picture,
        covering(*FACE),
        RedactOptions(colour="red", dilate=0),
        second_look=SecondLook(ColourDetector(), Questions((RED,))),
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
        second_look=SecondLook(seen((box, 0.9)), Questions((RED,))),
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
        second_look=SecondLook(detector, Questions((RED, blue)), options=options),
    )
    assert made.still_found is not None
    assert set(made.still_found.data["class_name"]) == {"red", "blue"}


def test_the_threshold_that_found_it_is_the_one_that_looks_again(picture: Image.Image) -> None:
    detector = seen((FACE, 0.2))
    for threshold, verified in ((0.15, False), (0.25, True)):
        made = redact(
            picture,
            covering(*FACE),
            second_look=SecondLook(
                detector, Questions((RED,)), options=DetectOptions(threshold=threshold)
            ),
        )
        assert made.verified is verified


class Demanding(ColourDetector):
    """Sees red things in one position or size alone, as detectors of upright faces do."""

    def __init__(self, sees: Callable[[float, float], bool]) -> None:
        super().__init__()
        self.sees = sees

    def look(self, image: Image.Image, phrase: str) -> Found:
        every = super().look(image, phrase)
        return [row for row in every if self.sees(row[0][2] - row[0][0], row[0][3] - row[0][1])]


EYES = {
    "turned": lambda w, h: h > w * 1.2,
    "larger": lambda w, h: w > 50,
    "turned and larger": lambda w, h: h > 50 > w,
}
"""Who sees a patch of 40 x 20 px on a picture of 120 x 80 only otherwise than it lies there."""


@pytest.mark.parametrize("eyes", EYES)
def test_what_only_another_view_shows_is_still_found(eyes: str) -> None:
    """A blind detector must not check itself: four of ten faces were covered, "not found again"."""
    plain = Image.new("RGB", (WIDTH, HEIGHT), "grey")
    plain.paste("red", (20, 30, 60, 50))
    detector = Demanding(EYES[eyes])
    assert not detector.look(plain, "red"), "not as it lies there"
    second_look = SecondLook(detector, Questions((RED,)))
    bad, good = (
        redact(plain, covering(20, 30, 60, 50), options, second_look)
        for options in (RedactOptions(colour=colour, dilate=0) for colour in ("red", "white"))
    )
    assert bad.verified is False
    assert bad.still_found is not None
    (box,) = bad.still_found.xyxy.tolist()
    assert np.abs(np.array(box) - (20, 30, 60, 50)).max() < 8  # of the ellipse in a turned box
    assert good.verified is True


@pytest.mark.parametrize("everywhere", [True, False], ids=["all was meant", "some was meant"])
def test_what_only_another_view_shows_elsewhere_is_told(everywhere: bool) -> None:
    """One face upright and hidden, one on its side and open: that isn't called verified."""
    plain = Image.new("RGB", (WIDTH, HEIGHT), "grey")
    plain.paste("red", (10, 10, 30, 50))
    plain.paste("red", (60, 30, 100, 50))
    made = redact(
        plain,
        covering(10, 10, 30, 50),
        RedactOptions(dilate=0),
        second_look=SecondLook(Demanding(EYES["turned"]), Questions((RED,), everywhere=everywhere)),
    )
    assert made.verdict is not None
    assert made.still_found is not None
    assert not len(made.still_found)
    assert len(made.verdict.left_open) == everywhere
    assert made.verified is (None if everywhere else True)


def test_another_detector_looks_where_something_was_hidden(picture: Image.Image) -> None:
    """It needn't have found the thing; what it sees elsewhere is not its business."""
    for box, verified in ((FACE, False), (OTHER, True)):
        made = redact(
            picture,
            covering(*FACE),
            RedactOptions(dilate=0),
            second_look=SecondLook(
                seen(), Questions((RED,), everywhere=True), others=[seen((box, 0.9))]
            ),
        )
        assert made.verified is verified
        assert made.looked_by == ("table", "table")


@pytest.mark.parametrize(
    ("region", "phrase", "unseen"),
    [
        (FACE, "red", ()),
        ((0, 60, 20, 80), "red", ("box",)),
        (FACE, "blue", ("box",)),
    ],
    ids=["it was seen there", "it was seen elsewhere", "it was never seen"],
)
def test_only_what_was_seen_can_be_not_found_again(
    picture: Image.Image, region: tuple[int, int, int, int], phrase: str, unseen: tuple[str, ...]
) -> None:
    """A box pointed at by hand, with a phrase that says what is in it."""
    made = redact(
        picture,
        covering(*region),
        RedactOptions(dilate=0),
        second_look=SecondLook(
            ColourDetector(),
            Questions((VisualPrompt(text=Text(phrase)),), pointed=(("box", region),)),
        ),
    )
    assert made.verdict is not None
    assert made.verdict.unseen == unseen
    assert made.verified is (None if unseen else True)
    assert made.to_dict()["cannot_be_verified"] == list(unseen)


def test_a_phrase_that_is_nowhere_in_the_original_verifies_nothing(picture: Image.Image) -> None:
    blue = VisualPrompt(text=Text("blue"))
    made = redact(
        picture,
        covering(*FACE),
        second_look=SecondLook(ColourDetector(), Questions(nowhere=(blue,))),
    )
    assert made.verified is None
    assert made.verdict is not None
    assert made.verdict.unseen == ("“blue”",)


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

"""Large pictures: nothing is counted twice, nothing is lost where tiles end, boxes become exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.errors import OptionError
from limner.ops import detections as dets
from limner.options import DetectOptions
from limner.pipeline import detect
from limner.pipeline.zoom import ROUNDS
from limner.prompts import Box, Exemplar, PromptKind, Text, VisualPrompt
from limner.protocols import ModelRef

Rect = tuple[int, int, int, int]
RED, BLUE = VisualPrompt(text=Text("red")), VisualPrompt(text=Text("blue"))
CHANNEL = {"red": 0, "blue": 2}


class RectangleDetector:
    """Finds rectangles by really looking: each thing is one shade of its class's channel.

    Args:
        noise: px by which each side may be off, in the frame of what the model sees.
        side: px of the longer side of that frame; 0: the picture as it is, and things may touch.
    """

    accepts = frozenset({PromptKind.TEXT, PromptKind.EXEMPLAR})

    def __init__(self, noise: float = 0, side: int = 0, seed: int = 0) -> None:
        self.ref = ModelRef("rectangles", "double", "Apache-2.0")
        self.noise, self.side = noise, side
        self.random = np.random.default_rng(seed)
        self.calls = 0
        self.asked: list[Sequence[VisualPrompt]] = []

    def detect(
        self, image: Image.Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        assert (options.look, options.slice_wh, options.overlap_wh) == (None, None, None)
        self.calls += 1
        self.asked.append(prompts)
        scale = self.side / max(image.size) if self.side else 1.0
        pixels = np.asarray(image)
        boxes: list[Any] = []
        index = []
        for k, prompt in enumerate(prompts):
            channel = CHANNEL[prompt.text.phrase] if prompt.text else 0
            for box in _rectangles(pixels, channel, not self.side):
                off = self.random.uniform(-self.noise, self.noise, 4) / scale
                x0, y0, x1, y1 = np.array(box) + off
                boxes.append((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
                index.append(k)
        names = [p.text.phrase if p.text else "example" for p in prompts]
        xyxy = np.clip(np.array(boxes).reshape(-1, 4), 0, [*image.size, *image.size])
        found = dets.make(xyxy, np.full(len(xyxy), 0.9), index, [names[k] for k in index])
        return dets.take(found, slice(options.max_detections))


def _rectangles(pixels: np.ndarray, channel: int, by_shade: bool) -> list[Rect]:
    """Parts of one shade; or, where pictures were enlarged and are smooth, of more than half."""
    level = pixels[..., channel]
    shades = np.unique(level[level > 0])  # a thing may fill all that is looked at
    parts = [level == shade for shade in shades] if by_shade else [level >= 60]
    found = []
    for part in parts:
        _, _, stats, _ = cv2.connectedComponentsWithStats(part.view(np.uint8))
        found += [(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:].tolist()]
    return found


def drawn(size_wh: tuple[int, int], things: Sequence[tuple[Rect, str]]) -> Image.Image:
    """Each thing in a shade that no other of its class has, so that touching ones stay apart."""
    pixels = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    for number, ((x0, y0, x1, y1), name) in enumerate(things):
        pixels[y0:y1, x0:x1, CHANNEL[name]] = 110 + 10 * (number % 14)
    return Image.fromarray(pixels)


def boxes(found: sv.Detections, name: str) -> list[Rect]:
    kept = found.xyxy[found.data["class_name"] == name]
    return sorted(tuple(int(side) for side in np.rint(box)) for box in kept)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[tuple[int, int], list[tuple[Rect, str]]]:
    """Up to 10 things from a speck to larger than a tile, some touching, none overlapping."""
    size = (draw(st.integers(70, 400)), draw(st.integers(70, 400)))
    things: list[tuple[Rect, str]] = []
    for _ in range(draw(st.integers(0, 10))):
        w, h = draw(st.integers(3, 260)), draw(st.integers(3, 260))
        x, y = draw(st.integers(0, size[0] - 3)), draw(st.integers(0, size[1] - 3))
        if things and draw(st.booleans()):  # beside another
            x, y = things[-1][0][2], things[-1][0][1]
        box = (x, y, min(x + w, size[0]), min(y + h, size[1]))
        apart = all(
            box[0] >= b[2] or b[0] >= box[2] or box[1] >= b[3] or b[1] >= box[3] for b, _ in things
        )
        if apart and min(box[2] - box[0], box[3] - box[1]) > 2:
            things.append((box, draw(st.sampled_from(("red", "blue")))))
    return size, things


@settings(max_examples=40)
@given(layouts(), st.integers(64, 140), st.integers(3, 32), st.booleans())
def test_tiles_count_nothing_twice_and_lose_nothing_at_a_seam(
    layout: tuple[tuple[int, int], list[tuple[Rect, str]]], tile: int, overlap: int, both: bool
) -> None:
    """Things cut at seams, larger than a tile, touching each other, with exact boxes."""
    size, things = layout
    options = DetectOptions(look="tiles", slice_wh=tile, overlap_wh=overlap)
    prompts = [RED, BLUE] if both else [BLUE]
    found = detect(drawn(size, things), prompts, RectangleDetector(), options)
    for name in ("red", "blue") if both else ("blue",):
        assert boxes(found, name) == sorted(box for box, colour in things if colour == name)


@settings(max_examples=25)
@given(layouts(), st.integers(80, 140), st.integers(20, 36), st.integers(0, 99))
def test_tiles_count_right_when_boxes_are_a_little_off(
    layout: tuple[tuple[int, int], list[tuple[Rect, str]]], tile: int, overlap: int, seed: int
) -> None:
    """By up to 1 px, as those of models are."""
    size, things = layout
    big = [(box, name) for box, name in things if min(box[2] - box[0], box[3] - box[1]) >= 16]
    options = DetectOptions(look="tiles", slice_wh=tile, overlap_wh=overlap)
    found = detect(drawn(size, big), [RED, BLUE], RectangleDetector(1, seed=seed), options)
    wanted = [box for box, _ in big]
    assert len(found) == len(wanted)
    if wanted:
        off = np.abs(np.array(wanted)[:, None] - found.xyxy[None]).max(axis=2)
        assert off.min(axis=0).max() <= 2
        assert off.min(axis=1).max() <= 2


class WholeOnly(RectangleDetector):
    """Sees nothing in a tile that its thing doesn't lie wholly in: it needs to see the whole."""

    def __init__(self, size_wh: tuple[int, int]) -> None:
        super().__init__()
        self.size_wh = size_wh

    def detect(self, image: Image.Image, prompts: Any, options: DetectOptions) -> sv.Detections:
        found = super().detect(image, prompts, options)
        w, h = image.size
        inner = (found.xyxy[:, :2] > 0).all(axis=1) & (found.xyxy[:, 2:] < (w, h)).all(axis=1)
        return found if image.size == self.size_wh else dets.take(found, inner)


def test_what_no_tile_holds_is_found_by_the_look_at_the_whole() -> None:
    size, thing = (400, 300), (30, 40, 350, 260)
    picture = drawn(size, [(thing, "red"), ((5, 5, 25, 25), "red")])
    options = DetectOptions(look="tiles", slice_wh=100, overlap_wh=30)
    found = detect(picture, [RED], WholeOnly(size), options)
    assert boxes(found, "red") == [(5, 5, 25, 25), thing]
    assert sorted(map(tuple, found.data["seen_xyxy"].tolist())) == [
        (0, 0, 100, 100),
        (0, 0, 400, 300),
    ]


def test_a_side_that_no_tile_shows_comes_from_the_look_at_the_whole() -> None:
    """A tile sees the head of a dog, another nothing: the dog isn't cut off where the tile ends."""
    thing = (10, 10, 250, 60)

    class HeadOnly(RectangleDetector):
        def detect(self, image: Image.Image, prompts: Any, options: DetectOptions) -> sv.Detections:
            found = super().detect(image, prompts, options)
            seen = image.size == (300, 100) or (found.xyxy[:, 0] > 0).all()
            return found if seen else dets.take(found, slice(0))

    options = DetectOptions(look="tiles", slice_wh=100, overlap_wh=20)
    found = detect(drawn((300, 100), [(thing, "red")]), [RED], HeadOnly(), options)
    assert boxes(found, "red") == [thing]


def test_limits_and_suppression_come_after_the_tiles() -> None:
    """No tile loses a thing because it has many; the limit holds for the picture."""
    things = [((20 * k, 10, 20 * k + 12, 22), "red") for k in range(20)]
    options = DetectOptions(look="tiles", slice_wh=200, overlap_wh=40)
    picture = drawn((400, 64), things)
    detector = RectangleDetector()
    assert len(detect(picture, [RED], detector, options)) == 20
    assert detector.calls == 1 + 3
    assert len(detect(picture, [RED], detector, replace(options, max_detections=7))) == 7


def test_examples_and_phrases_reach_every_tile_unchanged() -> None:
    example = VisualPrompt(exemplar=Exemplar(np.zeros((9, 9, 3), np.uint8), Box(1, 1, 5, 5)))
    detector = RectangleDetector()
    thing = (90, 10, 115, 40)
    options = DetectOptions(look="tiles", slice_wh=100, overlap_wh=30)
    found = detect(drawn((200, 100), [(thing, "red")]), [example, BLUE], detector, options)
    assert all(list(asked) == [example, BLUE] for asked in detector.asked)
    assert len(detector.asked) == 4
    assert boxes(found, "example") == [thing]


def test_a_picture_no_larger_than_a_tile_is_asked_about_once() -> None:
    detector = RectangleDetector()
    picture = drawn((90, 80), [((5, 5, 40, 30), "red")])
    found = detect(picture, [RED], detector, DetectOptions(look="tiles", slice_wh=96))
    assert (detector.calls, boxes(found, "red")) == (1, [(5, 5, 40, 30)])


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"slice_wh": 200}, "slice_wh has no effect without look tiles"),
        ({"slice_wh": 200, "overlap_wh": 9, "look": "zoom"}, "slice_wh and overlap_wh have"),
        ({"look": "tiles", "slice_wh": 64, "overlap_wh": 64}, "less than slice_wh"),
        ({"look": "tiles", "overlap_wh": 0}, "at least 1"),
        ({"look": "sideways"}, "one of whole, tiles, zoom"),
    ],
)
def test_settings_of_looking_that_cant_be_meant_are_refused(
    settings_: dict[str, Any], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        DetectOptions(**settings_)


# --- zoom -----------------------------------------------------------------------------------------

ZOOM = DetectOptions(look="zoom")


@settings(max_examples=12)
@given(st.data(), st.sampled_from([(2000, 1400), (1600, 700), (200, 2000)]), st.integers(0, 999))
def test_zoom_brings_8_px_of_noise_under_2(
    data: st.DataObject, size: tuple[int, int], seed: int
) -> None:
    """In the frame of a model that sees 1024 px: up to 16 px of the largest picture here.

    The double itself is off by up to half a pixel where an enlarged edge is smooth.
    """
    spread = 8 * max(size) / 1024
    things: list[tuple[Rect, str]] = []
    for _ in range(data.draw(st.integers(1, 4))):
        w, h = data.draw(st.integers(12, 100)), data.draw(st.integers(12, 100))
        x = data.draw(st.integers(0, size[0] - w))
        y = data.draw(st.integers(0, size[1] - h))
        box = (x, y, x + w, y + h)
        apart = 2 * spread + 8
        if all(
            x - apart >= b[2] or b[0] >= x + w + apart or y - apart >= b[3] or b[1] >= y + h + apart
            for b, _ in things
        ):
            things.append((box, data.draw(st.sampled_from(("red", "blue")))))
    detector = RectangleDetector(8, side=1024, seed=seed)
    found = detect(drawn(size, things), [RED, BLUE], detector, ZOOM)
    assert detector.calls <= 1 + ROUNDS * len(found)
    for name in ("red", "blue"):
        wanted = np.array([box for box, colour in things if colour == name]).reshape(-1, 4)
        got = found.xyxy[found.data["class_name"] == name]
        assert len(got) == len(wanted)
        if len(wanted):
            off = np.abs(wanted[:, None] - got[None]).max(axis=2).min(axis=1)
            assert off.max() < 2


def test_a_thing_that_isnt_seen_again_keeps_its_first_box() -> None:
    class SeesOnce(RectangleDetector):
        def detect(self, image: Image.Image, prompts: Any, options: DetectOptions) -> sv.Detections:
            found = super().detect(image, prompts, options)
            return found if self.calls == 1 else dets.take(found, slice(0))

    picture = drawn((3000, 2000), [((500, 500, 600, 580), "red")])
    first = detect(picture, [RED], SeesOnce(8, side=1024), DetectOptions())
    found = detect(picture, [RED], SeesOnce(8, side=1024), ZOOM)
    assert found.xyxy.tolist() == first.xyxy.tolist()
    assert found.data["seen_xyxy"].tolist() == [[0, 0, 3000, 2000]]


def test_neighbours_dont_take_each_others_place() -> None:
    """Five alike things in a row, each crop showing several: five exact boxes, in their order."""
    things = [((1000 + 70 * k, 800, 1050 + 70 * k, 850), "red") for k in range(5)]
    picture = drawn((2000, 1600), things)
    first = detect(picture, [RED], RectangleDetector(8, side=1024, seed=3), DetectOptions())
    found = detect(picture, [RED], RectangleDetector(8, side=1024, seed=3), ZOOM)
    assert np.abs(found.xyxy - np.array([box for box, _ in things])).max() < 2
    assert np.abs(first.xyxy - np.array([box for box, _ in things])).max() > 8
    assert found.confidence.tolist() == first.confidence.tolist()


def test_only_what_is_kept_is_zoomed_in_on() -> None:
    """What "where" or a selection drops costs no call."""
    things = [((100 * k, 50, 100 * k + 30, 80), "red") for k in range(1, 9)]
    picture = drawn((2000, 1000), things)
    detector = RectangleDetector(side=1024)
    prompt = replace(RED, box=Box(90, 40, 140, 90))
    found = detect(picture, [prompt], detector, ZOOM)
    assert boxes(found, "red") == [things[0][0]]
    assert detector.calls <= 1 + ROUNDS


def test_a_thing_that_fills_the_picture_isnt_zoomed_in_on() -> None:
    detector = RectangleDetector()
    detect(drawn((1200, 900), [((30, 30, 1150, 870), "red")]), [RED], detector, ZOOM)
    assert detector.calls == 1

"""Looking at a picture turned: geometry, and finds that only a turned view shows."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.ops import detections as dets
from limner.options import DetectOptions
from limner.pipeline import ByPhrase, InferenceMode, detect, detect_turned
from limner.pipeline.look import look
from limner.pipeline.rotate import ANGLES, SHOWN, View
from limner.prompts import PromptKind, Text, VisualPrompt
from limner.protocols import ModelRef

FACE, PLATE = VisualPrompt(text=Text("face")), VisualPrompt(text=Text("plate"))
ANGLE = st.one_of(st.sampled_from((0, 90, 180, 270, 25, -25)), st.floats(-360, 360))
SIDE = st.integers(1, 400)


class UprightDetector:
    """Finds a blue patch on top of a red one, surest where they stand straight."""

    accepts = frozenset({PromptKind.TEXT})

    def __init__(self) -> None:
        self.ref = ModelRef("upright", "double", "")
        self.seen: list[tuple[tuple[int, int], list[str]]] = []

    def detect(
        self, image: Image.Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        self.seen.append((image.size, [p.text.phrase for p in prompts if p.text]))
        pixels = np.asarray(image).astype(int)
        boxes = []
        for box in _patches(pixels[..., 2] - pixels[..., 0] > 120):
            x0, _, x1, y1 = box
            below = pixels[y1 + 2 : y1 + 4, x0 + 2 : x1 - 2]
            if below.size and (below[..., 0] - below[..., 2]).mean() > 120:
                boxes.append(box)
        rows = [(box, k) for k in range(len(prompts)) for box in boxes]
        return dets.make(
            np.array([box for box, _ in rows], float),
            [_part(pixels, box) for box, _ in rows],
            [k for _, k in rows],
            ["face"] * len(rows),
        )


def _part(pixels: np.ndarray, box: tuple[int, int, int, int]) -> float:
    x0, y0, x1, y1 = box
    return float((pixels[y0:y1, x0:x1, 2] > 200).mean())


def _patches(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:].tolist() if area > 60]


def patch(size_wh: tuple[int, int], x: int, y: int, turns: int = 0) -> Image.Image:
    """A blue square of 20 px at (x, y) with a red one on its lower side, then turned."""
    pixels = np.full((size_wh[1], size_wh[0], 3), 100, np.uint8)
    pixels[y : y + 20, x : x + 20] = (0, 0, 250)
    pixels[y + 20 : y + 40, x : x + 20] = (250, 0, 0)
    return Image.fromarray(pixels).rotate(90 * turns, expand=True)


# --- geometry -------------------------------------------------------------------------------------


@given(SIDE, SIDE, ANGLE, st.floats(0.1, 4), st.integers(0, 99))
def test_points_come_back(wide: int, high: int, angle: float, scale: float, seed: int) -> None:
    view = View((wide, high), angle, scale)
    points = np.random.default_rng(seed).uniform(0, (wide, high), (9, 2))
    there = view.forward_points(points)
    np.testing.assert_allclose(view.inverse_points(there), points, atol=1e-6)
    assert (there >= -1e-6).all()
    assert (there <= np.array(view.target_wh) + 1e-6).all(), "the canvas holds all of the picture"


@given(SIDE, SIDE, st.sampled_from((0, 90, 180, 270, -90, 450)), st.integers(0, 99))
def test_boxes_of_quarter_turns_come_back_exactly(
    wide: int, high: int, angle: int, seed: int
) -> None:
    view = View((wide, high), angle, 1)
    assert view.target_wh == ((wide, high) if angle % 180 == 0 else (high, wide))
    ends = np.random.default_rng(seed).uniform(0, (wide, high), (5, 2, 2))
    boxes = np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)
    corners = view.forward_points(boxes.reshape(-1, 2)).reshape(-1, 2, 2)
    there = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    np.testing.assert_allclose(view.inverse_boxes(there), boxes, atol=1e-9)


@given(ANGLE, st.floats(0.5, 2), st.floats(2, 40))
def test_a_round_thing_keeps_its_box_at_any_angle(
    angle: float, scale: float, radius: float
) -> None:
    """A face's box must not grow with the angle at which it was seen."""
    view = View((300, 200), angle, scale)
    (x, y), *_ = view.forward_points([(150, 90)])
    r = radius * scale
    box = view.inverse_boxes([(x - r, y - r, x + r, y + r)])[0]
    expected = (150 - radius, 90 - radius, 150 + radius, 90 + radius)
    np.testing.assert_allclose(box, expected, atol=1e-6)


@settings(max_examples=40)
@given(st.integers(0, 999), st.sampled_from((0, 90, 180, 270, 25, -25, 140)), st.floats(0.5, 2))
def test_what_is_drawn_is_where_the_points_say(seed: int, angle: float, scale: float) -> None:
    """Pixels and coordinates go the same way: a wrong sign would hide the mirrored place."""
    random = np.random.default_rng(seed)
    x, y = random.integers(20, 100), random.integers(20, 60)
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[y - 6 : y + 6, x - 6 : x + 6] = 255
    view = View((120, 80), angle, scale)
    drawn = np.asarray(view.draw(Image.fromarray(pixels)))
    assert drawn.shape[:2] == view.target_wh[::-1]
    rows, columns = np.nonzero(drawn[..., 0] > 127)
    middle = (columns.mean() + 0.5, rows.mean() + 0.5)
    np.testing.assert_allclose(middle, view.forward_points([(x, y)])[0], atol=1.0)


def test_quarter_turns_lose_no_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (37, 52, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    for angle in (90, 180, 270):
        turned = np.asarray(View(image.size, angle, 1).draw(image))
        np.testing.assert_array_equal(turned, np.asarray(image.rotate(angle, expand=True)))


# --- looking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_thing_on_its_side_is_found_in_the_pictures_own_frame(turns: int) -> None:
    picture = patch((160, 120), 40, 30, turns)
    truth = _patches(np.asarray(picture)[..., 2] > 200)
    found = detect_turned(picture, lambda p: UprightDetector().detect(p, [FACE], DetectOptions()))
    assert len(found) == 1
    np.testing.assert_allclose(found.xyxy, truth, atol=2.5)


def test_one_thing_that_several_views_show_is_one_find() -> None:
    def ask(part: Image.Image) -> sv.Detections:
        width, height = part.size
        box = (width / 2 - 20, height / 2 - 20, width / 2 + 20, height / 2 + 20)
        return dets.make(np.array([box]), [0.5 + 0.1 * (width > 160)], [0], ["face"])

    found = detect_turned(Image.new("RGB", (160, 120)), ask, scales=(1,))
    assert len(found) == 1
    assert found.confidence[0] == pytest.approx(0.6), "the score of the view that saw it best"


def test_views_of_a_large_picture_are_bounded_and_boxes_are_not_small() -> None:
    detector = UprightDetector()
    picture = patch((40, 30), 10, 0).resize((4000, 3000), Image.Resampling.NEAREST)
    found = detect_turned(picture, lambda p: detector.detect(p, [FACE], DetectOptions()))
    assert max(max(size) for size, _ in detector.seen) <= SHOWN * 1.4
    np.testing.assert_allclose(found.xyxy, [(1000, 0, 3000, 2000)], atol=30)


def test_looks_by_name() -> None:
    """Turned only where it was asked for, or nobody said and the detector is to be thorough."""
    picture = patch((160, 120), 40, 30, turns=1)
    cases = (
        (UprightDetector(), None, 1),
        (UprightDetector(), "turned", len(ANGLES)),
        (InferenceMode(UprightDetector()), None, len(ANGLES)),
        (InferenceMode(UprightDetector()), "whole", 1),
    )
    for detector, how, looks in cases:
        found = look(detector, picture, [FACE], DetectOptions(look=how))
        plain = detector.members[0] if isinstance(detector, InferenceMode) else detector
        assert len(plain.seen) == looks
        assert len(found) == (looks > 1)


def test_who_is_asked_for_which_phrase() -> None:
    """Faces are looked for turned; plates are not, and an unasked detector isn't even made."""
    faces, others = UprightDetector(), UprightDetector()
    made = []

    def make(detector: UprightDetector) -> UprightDetector:
        made.append(detector)
        return detector

    def both() -> ByPhrase:
        return ByPhrase(
            lambda phrase: phrase == "face",
            lambda: InferenceMode(make(faces)),
            lambda: make(others),
            frozenset({PromptKind.TEXT}),
            "faces|others",
        )

    picture = patch((160, 120), 40, 30)
    assert len(detect(picture, [FACE], both())) == 1
    assert made == [faces]
    found = detect(picture, [PLATE, FACE], both(), DetectOptions(max_detections=2))
    assert sorted(found.class_id) == [0, 1]
    assert [phrases for _, phrases in others.seen] == [["plate"]]
    assert all(phrases == ["face"] for _, phrases in faces.seen)
    assert len(faces.seen) == 2 * len(ANGLES)

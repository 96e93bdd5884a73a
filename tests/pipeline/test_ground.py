"""Prompts to detections: which model is asked what, how often, and whose row comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import PromptError, UnsupportedPrompt
from limner.io import coco as export
from limner.ops.selection import parse_selection
from limner.options import DetectOptions, EverythingOptions, SegmentOptions
from limner.pipeline import (
    BoxRegions,
    Grounding,
    GroundModels,
    GroundOptions,
    detect,
    ground,
    segment_everything,
)
from limner.pipeline.ensemble import DetectorEnsemble
from limner.pipeline.ground import Embed
from limner.prompts import Box, Exemplar, Mask, Point, PromptKind, Text, VisualPrompt
from limner.protocols import Detector, Inpainter, Segmenter
from tests.pipeline.doubles import (
    SPATIAL,
    ColourDetector,
    FillSegmenter,
    FloodInpainter,
    OutliningDetector,
    TableDetector,
)

SEGMENT = SegmentOptions()
WIDTH, HEIGHT = 100, 80
PICTURE = Image.new("RGB", (WIDTH, HEIGHT), (40, 90, 60))
LEFT_DOG, RIGHT_DOG, CAT = (5, 10, 25, 30), (60, 10, 95, 50), (30, 50, 50, 70)
TABLE: dict[str, Any] = {
    "dog": [(LEFT_DOG, 0.6), (RIGHT_DOG, 0.9)],
    "poodle": [(RIGHT_DOG, 0.8)],
    "cat": [(CAT, 0.7)],
    "example": [(CAT, 0.5)],
}


def said(phrase: str, negative: str = "", **where: Any) -> VisualPrompt:
    return VisualPrompt(text=Text(phrase, negative), **where)


def a_mask() -> Mask:
    array = np.zeros((HEIGHT, WIDTH), dtype=bool)
    array[60:70, 60:90] = True
    return Mask(array)


def grounded(
    *prompts: VisualPrompt, embed: Embed | None = None, **options: Any
) -> tuple[Grounding, TableDetector, FillSegmenter]:
    models = GroundModels(FillSegmenter(), TableDetector(TABLE), embed)
    grounding = ground(PICTURE, prompts, models, GroundOptions(**options))
    return grounding, models.detector, models.segmenter


def boxes_of(found: Any) -> list[tuple[int, ...]]:
    return [tuple(int(v) for v in xyxy) for xyxy in found.xyxy]


@pytest.mark.parametrize(
    ("double", "protocol"),
    [
        (TableDetector({}), Detector),
        (ColourDetector(), Detector),
        (FillSegmenter(), Segmenter),
        (FloodInpainter(), Inpainter),
        (BoxRegions(), Segmenter),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_the_doubles_are_what_they_stand_for(double: Any, protocol: Any) -> None:
    assert isinstance(double, protocol)


@pytest.mark.parametrize("segmenter", [FillSegmenter(), BoxRegions()], ids=["fill", "regions"])
def test_a_double_answers_row_by_row_like_a_family(segmenter: Any) -> None:
    prompts = [VisualPrompt(box=Box(*box)) for box in (LEFT_DOG, CAT)]
    found = segmenter.segment(segmenter.embed(PICTURE), prompts, SEGMENT)
    assert found.mask.shape == (2, HEIGHT, WIDTH)
    assert list(found.data["prompt_index"]) == [0, 1]
    assert found.data["mask_score"].dtype == np.float32
    assert boxes_of(found) == [LEFT_DOG, CAT]
    with pytest.raises(UnsupportedPrompt, match="box"):
        segmenter.segment(segmenter.embed(PICTURE), [said("dog")], SEGMENT)


# --- who is asked -----------------------------------------------------------------------


def test_each_row_answers_the_prompt_that_asked_for_it() -> None:
    """Clicks and phrases in any order: index, name, mask and score belong together."""
    found, detector, _ = grounded(
        VisualPrompt(box=Box(70, 60, 80, 70)),
        said("cat"),
        VisualPrompt(points=(Point(50, 40),)),
        said("dog"),
        VisualPrompt(mask=a_mask()),
    )
    rows = found.detections
    assert list(rows.data["prompt_index"]) == [0, 1, 2, 3, 3, 4]
    assert list(rows.class_id) == [0, 1, 2, 3, 3, 4]
    assert list(rows.data["class_name"]) == ["box", "cat", "point", "dog", "dog", "mask"]
    assert rows.confidence == pytest.approx([0.75, 0.7, 0.75, 0.9, 0.6, 0.75])
    assert boxes_of(rows)[1] == CAT
    assert boxes_of(rows)[3:5] == [RIGHT_DOG, LEFT_DOG]
    assert rows.mask is not None
    assert rows.mask[1].sum() == 20 * 20
    assert np.array_equal(rows.mask[5], a_mask().array)
    assert np.array_equal(found.mask, rows.mask.any(axis=0))
    assert detector.phrases == ["cat", "dog"]
    assert set(found.seconds) == {"detect", "embed", "segment"}


@pytest.mark.parametrize("double", [TableDetector, OutliningDetector])
def test_how_a_phrase_was_found_is_kept_beside_a_click(double: type[TableDetector]) -> None:
    """In tiles and by a consensus; what no detector was asked has nothing to say, nor writes it."""
    one, other = double(TABLE), double(TABLE)
    other.ref = replace(one.ref, name="other")
    prompts = [VisualPrompt(points=(Point(50, 40),)), said("cat"), VisualPrompt(mask=a_mask())]
    for detector, options in (
        (DetectorEnsemble([one, other]), DetectOptions()),
        (one, DetectOptions(look="zoom")),
    ):
        rows = ground(
            PICTURE,
            prompts,
            GroundModels(FillSegmenter(), detector),
            GroundOptions(detect=options, as_drawn=True),
        ).detections
        assert list(rows.class_id) == [0, 1, 2]
        written = export.coco([("a.png", PICTURE.size, rows)])["annotations"]
        if isinstance(detector, DetectorEnsemble):
            assert [len(row) for row in rows.data["agreed"]] == [0, 2, 0]
            assert ["agreed" in row for row in written] == [False, True, False]
        else:
            assert rows.data["seen_xyxy"].dtype == np.int64
            assert rows.data["seen_xyxy"].any(axis=1).tolist() == [False, True, False]
            assert ["seen_xyxy" in row for row in written] == [False, True, False]


@pytest.mark.parametrize(
    "prompt",
    [
        VisualPrompt(points=(Point(50, 40),)),
        VisualPrompt(points=(Point(50, 40), Point(52, 40, foreground=False))),
        VisualPrompt(box=Box(0, 0, WIDTH, HEIGHT)),
        VisualPrompt(mask=a_mask()),
        VisualPrompt(box=Box(40, 30, 60, 50), points=(Point(50, 40),)),
    ],
    ids=["point", "background point", "box", "mask", "point in box"],
)
def test_what_is_pointed_at_needs_no_detector(prompt: VisualPrompt) -> None:
    found, detector, segmenter = grounded(prompt)
    assert len(found) == 1
    assert detector.calls == 0
    assert segmenter.asked == [[prompt]]


def test_a_phrase_without_a_detector_is_refused_before_anything_is_embedded() -> None:
    segmenter = FillSegmenter()
    with pytest.raises(UnsupportedPrompt, match="no detector"):
        ground(PICTURE, [said("dog")], GroundModels(segmenter))
    assert segmenter.embedded == []


def test_a_phrase_that_the_segmenter_takes_skips_the_detector() -> None:
    detector = TableDetector(TABLE)
    segmenter = FillSegmenter(SPATIAL | {PromptKind.TEXT})
    found = ground(PICTURE, [said("left half")], GroundModels(segmenter, detector))
    assert detector.calls == 0
    assert found.mask.sum() == WIDTH * HEIGHT // 2
    assert list(found.detections.data["class_name"]) == ["left half"]


def test_but_not_what_it_should_leave_out() -> None:
    """No segmenter takes "not": that is the detector's, on boxes."""
    detector = TableDetector(TABLE)
    segmenter = FillSegmenter(SPATIAL | {PromptKind.TEXT})
    found = ground(PICTURE, [said("dog", "poodle")], GroundModels(segmenter, detector))
    assert detector.phrases == ["dog", "poodle"]
    assert boxes_of(found.detections) == [LEFT_DOG]


def test_an_example_image_goes_through_the_detector() -> None:
    example = VisualPrompt(exemplar=Exemplar(np.zeros((9, 9, 3), np.uint8)))
    found, detector, _ = grounded(example)
    assert detector.phrases == ["example"]
    assert boxes_of(found.detections) == [CAT]


# --- once an image ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompts",
    [
        [VisualPrompt(points=(Point(50, 40),))],
        [VisualPrompt(points=(Point(float(x), 40),)) for x in range(20)],
        [said("dog"), said("cat")],
        [said("dog"), VisualPrompt(points=(Point(50, 40),)), VisualPrompt(mask=a_mask())],
    ],
    ids=["one click", "twenty clicks", "two phrases", "phrase, click and mask"],
)
def test_the_image_is_embedded_once_for_any_number_of_prompts(prompts: list[VisualPrompt]) -> None:
    found, detector, segmenter = grounded(*prompts)
    assert len(found) >= len(prompts)
    assert len(segmenter.embedded) == 1
    assert len(segmenter.asked) == 1
    assert detector.calls <= 1


def test_nothing_found_is_an_empty_answer_and_nothing_is_embedded() -> None:
    found, detector, segmenter = grounded(said("unicorn"), said("dragon", "cat"))
    assert len(found) == 0
    assert found.mask.shape == (HEIGHT, WIDTH)
    assert not found.mask.any()
    assert (detector.calls, segmenter.embedded, segmenter.asked) == (2, [], [])
    assert {"class_name", "prompt_index", "mask_score", "candidates"} <= set(found.detections.data)


def test_what_a_selection_drops_is_never_outlined() -> None:
    found, _, segmenter = grounded(said("dog"), selections=[parse_selection("leftmost")])
    assert len(found) == 1
    assert [len(prompts) for prompts in segmenter.asked] == [1]


def test_nothing_found_survives_selections() -> None:
    selections = [parse_selection(text) for text in ("largest", "nearest:3,4", "inside:0,0,9,9")]
    found, _, _ = grounded(said("unicorn"), selections=selections)
    assert len(found) == 0


def test_the_caller_may_hold_the_embeddings() -> None:
    kept = FillSegmenter().embed(PICTURE)
    found, _, segmenter = grounded(said("dog"), embed=lambda model, image: kept)
    assert len(found) == 2
    assert segmenter.embedded == []


# --- not, and where ---------------------------------------------------------------------


def test_not_is_asked_as_a_phrase_of_its_own_and_subtracted() -> None:
    found, detector, _ = grounded(said("dog", "poodle"), said("cat"))
    assert detector.phrases == ["cat", "dog", "poodle"]
    assert detector.calls == 2, "apart from the others, who may want what this one doesn't"
    assert boxes_of(found.detections) == [LEFT_DOG, CAT]
    assert list(found.detections.data["class_name"]) == ["dog", "cat"]


def test_not_concerns_only_the_prompt_that_said_it() -> None:
    found, _, _ = grounded(said("dog", "poodle"), said("dog"))
    assert list(found.detections.data["prompt_index"]) == [0, 1, 1]


@pytest.mark.parametrize(
    "options",
    [
        DetectOptions(class_agnostic_nms=True),
        DetectOptions(max_detections=1),
        DetectOptions(class_agnostic_nms=True, max_detections=1),
    ],
    ids=["class-agnostic suppression", "a limit of one", "both"],
)
def test_not_is_subtracted_before_boxes_crowd_each_other_out(options: DetectOptions) -> None:
    """The dog's box must neither suppress the poodle's nor take its place."""
    found, _, _ = grounded(said("dog", "poodle"), detect=options)
    assert boxes_of(found.detections) == [LEFT_DOG]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"box": Box(0, 0, 40, 40)}, [LEFT_DOG]),
        ({"box": Box(0, 0, WIDTH, HEIGHT)}, [RIGHT_DOG, LEFT_DOG]),
        ({"points": (Point(80, 30),)}, [RIGHT_DOG]),
        ({"points": (Point(10, 20, foreground=False), Point(80, 30))}, [RIGHT_DOG]),
        ({"points": (Point(50, 75),)}, []),
        ({"points": (Point(10, 20), Point(80, 30))}, []),
        ({"points": (Point(25, 20),)}, []),
        ({"mask": Mask(np.pad(np.ones((20, 20), bool), ((10, 50), (5, 75))))}, [LEFT_DOG]),
    ],
    ids=[
        "box around one",
        "box around both",
        "click on one",
        "click on one, not the other",
        "click beside both",
        "click on both",
        "a box's right edge is outside it",
        "mask on one",
    ],
)
def test_a_phrase_with_a_place_keeps_only_boxes_that_agree(
    where: dict[str, Any], expected: list[tuple[int, ...]]
) -> None:
    for options in (DetectOptions(), DetectOptions(class_agnostic_nms=True)):
        found, _, _ = grounded(said("dog", **where), detect=options)
        assert sorted(boxes_of(found.detections)) == sorted(expected)


def test_the_place_is_looked_at_before_the_limit() -> None:
    """At most one dog, and the one in the box, though another scores higher."""
    limit = DetectOptions(max_detections=1)
    found, _, _ = grounded(said("dog", box=Box(0, 0, 40, 40)), detect=limit)
    assert boxes_of(found.detections) == [LEFT_DOG]
    both, _, _ = grounded(said("dog", box=Box(0, 0, WIDTH, HEIGHT)), detect=limit)
    assert boxes_of(both.detections) == [RIGHT_DOG]


def test_the_points_said_with_a_phrase_reach_the_segmenter() -> None:
    points = (Point(80, 30), Point(10, 20, foreground=False))
    _, _, segmenter = grounded(said("dog", points=points))
    ((asked,),) = segmenter.asked
    assert asked == VisualPrompt(box=Box(*RIGHT_DOG), points=points)


def test_a_segmenter_of_boxes_still_gets_the_box_that_the_points_chose() -> None:
    found = ground(
        PICTURE,
        [said("dog", points=(Point(80, 30),))],
        GroundModels(BoxRegions(), TableDetector(TABLE)),
    )
    assert boxes_of(found.detections) == [RIGHT_DOG]


def test_boxes_that_leave_the_image_are_cut_at_its_edge() -> None:
    table: dict[str, Any] = {"dog": [((-30, -3, 20, 200), 0.9), ((99.8, 79.9, 140, 90), 0.8)]}
    segmenter = FillSegmenter()
    ground(PICTURE, [said("dog")], GroundModels(segmenter, TableDetector(table)))
    assert [prompt.box for prompt in segmenter.asked[0]] == [
        Box(0, 0, 20, HEIGHT),
        Box(99, 79, WIDTH, HEIGHT),
    ]


# --- selections -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("largest", [RIGHT_DOG, CAT]),
        ("leftmost", [LEFT_DOG, CAT]),
        ("count:1", [RIGHT_DOG, CAT]),
        ("smallest:2", [LEFT_DOG, RIGHT_DOG, CAT]),
        ("inside:0,0,50,40", [LEFT_DOG]),
    ],
    ids=str,
)
def test_a_selection_is_made_among_each_prompts_own(
    selection: str, expected: list[tuple[int, ...]]
) -> None:
    prompts = [said("dog"), said("cat")]
    chosen = [parse_selection(selection)]
    found, _, _ = grounded(*prompts, selections=chosen)
    assert boxes_of(found.detections) == expected
    assert len(found.detections.mask) == len(expected)
    boxes = detect(PICTURE, prompts, TableDetector(TABLE), None, chosen)
    assert boxes_of(boxes) == expected


def test_selections_are_made_one_after_another() -> None:
    selections = [parse_selection("largest:2"), parse_selection("leftmost")]
    found, _, _ = grounded(said("dog"), selections=selections)
    assert boxes_of(found.detections) == [LEFT_DOG]


# --- refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outside",
    [
        {"points": (Point(WIDTH, 3),)},
        {"points": (Point(-0.5, 3),)},
        {"box": Box(0, 0, WIDTH + 1, 9)},
        {"mask": Mask(np.ones((HEIGHT, WIDTH + 1), bool))},
    ],
    ids=["point right of it", "point left of it", "box", "mask of another size"],
)
def test_a_prompt_outside_the_image_is_refused_before_any_model_is_called(
    outside: dict[str, Any],
) -> None:
    detector, segmenter = TableDetector(TABLE), FillSegmenter()
    for prompt in (VisualPrompt(**outside), said("dog", **outside)):
        with pytest.raises(PromptError):
            ground(PICTURE, [said("cat"), prompt], GroundModels(segmenter, detector))
    with pytest.raises(PromptError):
        detect(PICTURE, [said("dog", **outside)], detector)
    assert (detector.calls, segmenter.embedded, segmenter.asked) == (0, [], [])


def test_detect_says_what_it_takes_when_only_a_place_was_given() -> None:
    detector = TableDetector(TABLE)
    with pytest.raises(UnsupportedPrompt, match="where, not what"):
        detect(PICTURE, [VisualPrompt(box=Box(0, 0, 9, 9))], detector)
    assert detector.calls == 0


def test_detect_gives_boxes_best_first() -> None:
    found = detect(PICTURE, [said("cat"), said("dog")], TableDetector(TABLE))
    assert boxes_of(found) == [RIGHT_DOG, CAT, LEFT_DOG]
    assert list(found.class_id) == list(found.data["prompt_index"]) == [1, 0, 1]
    least = detect(PICTURE, [said("dog")], TableDetector(TABLE), DetectOptions(threshold=0.8))
    assert boxes_of(least) == [RIGHT_DOG]
    assert len(detect(PICTURE, [said("unicorn")], TableDetector(TABLE))) == 0


def test_everything_mode_is_refused_where_there_is_none() -> None:
    segmenter = FillSegmenter()
    with pytest.raises(UnsupportedPrompt, match="no everything mode"):
        segment_everything(PICTURE, segmenter, EverythingOptions())
    assert segmenter.embedded == []


# --- detectors that outline ----------------------------------------------------------------------


def test_a_detectors_own_masks_are_the_answer() -> None:
    """No segmenter is asked about them; it still answers what says where."""
    segmenter, box = FillSegmenter(), VisualPrompt(box=Box(70, 60, 80, 70))
    found = ground(
        PICTURE, [box, said("dog"), said("cat")], GroundModels(segmenter, OutliningDetector(TABLE))
    )
    rows = found.detections
    assert segmenter.asked == [[box]]
    assert rows.class_id.tolist() == rows.data["prompt_index"].tolist() == [0, 1, 1, 2]
    assert rows.data["class_name"].tolist() == ["box", "dog", "dog", "cat"]
    x0, y0, x1, y1 = RIGHT_DOG
    best = rows.mask[1]
    assert best.sum() == (y1 - y0) * ((x0 + x1) // 2 - x0)
    assert best[y0:y1, x0].all()
    assert not best[y0:y1, x1 - 1].any()


def test_its_masks_are_left_where_only_boxes_are_wanted() -> None:
    found = ground(
        PICTURE,
        [said("cat")],
        GroundModels(BoxRegions(), OutliningDetector(TABLE)),
        GroundOptions(outlined=False),
    )
    x0, y0, x1, y1 = CAT
    assert found.mask[y0:y1, x0:x1].all()


def test_nothing_found_with_masks_is_an_answer() -> None:
    segmenter = FillSegmenter()
    found = ground(PICTURE, [said("unicorn")], GroundModels(segmenter, OutliningDetector(TABLE)))
    assert len(found) == 0
    assert not segmenter.asked
    assert not found.mask.any()

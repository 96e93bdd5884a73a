"""COCO scores: published figures to six digits, hand-computed cases, and files that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv

from limner.errors import InputError
from limner.evaluation import CocoScores, evaluate, results_from
from limner.ops import detections as dets
from limner.ops import masks
from limner.rle import BoolMask

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]

FAKE = "coco_fake100/instances_val2014_"
RODM = "rafaelpadilla/tests/test_coco_eval/"

# The fake100 pairs are cocoapi's own demo; its figures have three digits (bbox AP .505, segm .320),
# the six are pycocotools 2.0.11's and those of faster-coco-eval's tests/test_cocoapi_fake_data.py.
# The third row is asserted to six digits by rafaelpadilla's tests/test_coco_eval.py and by globox,
# both "from coco's official implementation".
PUBLISHED = [
    pytest.param(
        FAKE + "100.json",
        FAKE + "fakebbox100_results.json",
        "bbox",
        (
            *(0.504581, 0.696973, 0.572982, 0.585626, 0.519400, 0.501398),
            *(0.386813, 0.593680, 0.595353, 0.639811, 0.566421, 0.564291),
        ),
        id="cocoapi demo, boxes",
    ),
    pytest.param(
        FAKE + "100.json",
        FAKE + "fakesegm100_results.json",
        "segm",
        (
            *(0.319545, 0.562288, 0.298927, 0.387374, 0.310183, 0.326934),
            *(0.268230, 0.415449, 0.416839, 0.469450, 0.376759, 0.381472),
        ),
        id="cocoapi demo, masks",
    ),
    pytest.param(
        RODM + "gts/sampled_gts_bbox_area.json",
        RODM + "dets/sampled_bbox_results.json",
        "bbox",
        (
            *(0.503647, 0.696973, 0.571667, 0.593252, 0.557991, 0.489363),
            *(0.386813, 0.593680, 0.595353, 0.654764, 0.603130, 0.553744),
        ),
        id="rafaelpadilla, results in a dict",
    ),
]


@pytest.mark.parametrize(("truth", "results", "iou_type", "expected"), PUBLISHED)
def test_published_figures_come_out_to_six_digits(
    shared_data: Path,
    capsys: pytest.CaptureFixture[str],
    truth: str,
    results: str,
    iou_type: Any,
    expected: tuple[float, ...],
) -> None:
    folder = shared_data / "eval_pairs"
    scores = evaluate(folder / truth, folder / results, iou_type)
    assert list(scores.to_dict()) == NAMES
    assert list(scores.to_dict().values()) == pytest.approx(expected, abs=5.1e-7, rel=0)
    assert capsys.readouterr().out == ""


def test_published_masks_score_the_same_through_detections(shared_data: Path) -> None:
    """File -> sv.Detections -> results_from -> evaluate loses nothing, dense or compact."""
    folder = shared_data / "eval_pairs"
    truth = json.loads((folder / (FAKE + "100.json")).read_text())
    rows = json.loads((folder / (FAKE + "fakesegm100_results.json")).read_text())
    categories = [category["id"] for category in truth["categories"]]
    ours: list[dict[str, Any]] = []
    images = sorted({row["image_id"] for row in rows})
    for number, image in enumerate(images):
        of_image = [row for row in rows if row["image_id"] == image]
        made = detections_of(
            [masks.from_rle(row["segmentation"]) for row in of_image],
            [row["score"] for row in of_image],
            [categories.index(row["category_id"]) for row in of_image],
        )
        if number % 2:
            height, width = made.mask.shape[1:]
            made.mask = sv.CompactMask.from_dense(made.mask, made.xyxy, (height, width))
        ours += results_from(made, image, categories)
    assert (len(ours), len(images)) == (734, 99)
    again = evaluate(truth, ours, "segm").to_dict()
    assert again["AP"] == pytest.approx(0.319545, abs=5.1e-7)


def detections_of(picked: list[BoolMask], scores: list[float], classes: list[int]) -> sv.Detections:
    boxes = [masks.box_of(mask) or (0, 0, 0, 0) for mask in picked]
    made = dets.make(np.array(boxes), scores, classes, [str(k) for k in classes])
    return dets.with_masks(made, picked, scores)


# --- by hand --------------------------------------------------------------------------------------


def rectangle(x0: int, y0: int, x1: int, y1: int) -> BoolMask:
    mask = np.zeros((100, 100), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def truth_of(*objects: tuple[BoolMask, int], first_id: int = 1) -> dict[str, Any]:
    """One image, id 7, of 100 x 100 pixels."""
    annotations = []
    for number, (mask, category) in enumerate(objects):
        x0, y0, x1, y1 = masks.box_of(mask) or (0, 0, 0, 0)
        annotations.append(
            {
                "id": number + first_id,
                "image_id": 7,
                "category_id": category,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": int(mask.sum()),
                "iscrowd": 0,
                "segmentation": masks.to_rle(mask),
            }
        )
    return {
        "images": [{"id": 7, "width": 100, "height": 100}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
        "annotations": annotations,
    }


DOG, OTHER_DOG, CAT = rectangle(0, 0, 40, 40), rectangle(50, 0, 90, 40), rectangle(0, 50, 40, 90)


@pytest.mark.parametrize("compact", [False, True], ids=["dense masks", "CompactMask"])
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_detections_score_as_computed_by_hand(iou_type: Any, compact: bool) -> None:
    """Dog A exact (.9); dog B covered to 60 % (.8); the cat missed, with one false cat (.7).

    Dogs. IoU .50, .55, .60 (3 of 10 thresholds): both found, in order: precision 1 at all 101
    recalls. From .65 on (7 of 10): the second is false: precision 1 for recall 0 ... .50, which is
    51 of 101 points. AP(dog) = (3 + 7 * 51/101) / 10. AP(cat) = 0. AP is the mean of the two.
    """
    part = rectangle(50, 0, 90, 24)  # 24 of 40 rows: IoU .6 exactly, of the box as of the mask
    found = detections_of([DOG, part, rectangle(60, 60, 99, 99)], [0.9, 0.8, 0.7], [0, 0, 1])
    if compact:
        found.mask = sv.CompactMask.from_dense(found.mask, found.xyxy, (100, 100))
    rows = results_from(found, 7, [18, 17])
    assert json.loads(json.dumps(rows)) == rows
    assert [row["bbox"] for row in rows[:2]] == [[0, 0, 40, 40], [50, 0, 40, 24]]
    scores = evaluate(truth_of((DOG, 18), (OTHER_DOG, 18), (CAT, 17)), rows, iou_type).to_dict()
    assert scores["AP"] == pytest.approx((3 + 7 * 51 / 101) / 10 / 2)
    assert scores["AP50"] == pytest.approx(0.5)
    assert scores["AP75"] == pytest.approx(51 / 101 / 2)
    assert scores["AR1"] == pytest.approx(0.5 / 2)
    assert scores["AR100"] == pytest.approx((3 * 1 + 7 * 0.5) / 10 / 2)


def test_sizes_that_the_truth_lacks_are_none_and_not_minus_one() -> None:
    found = results_from(detections_of([DOG], [0.9], [0]), 7, {0: 18})
    scores = evaluate(truth_of((DOG, 18)), found, "segm")
    assert (scores.APs, scores.APm, scores.APl) == (None, pytest.approx(1), None)


def test_an_annotation_with_id_0_can_be_found() -> None:
    """pycocotools takes a match with id 0 for none: the same file, two scores."""
    found = results_from(detections_of([DOG], [0.9], [0]), 7, [18])
    for first_id in (0, 1):
        scores = evaluate(truth_of((DOG, 18), first_id=first_id), found, "bbox")
        assert (first_id, scores.AP) == (first_id, pytest.approx(1))


def test_a_masks_size_is_the_masks_even_when_it_has_a_box() -> None:
    """A thin diagonal of small area in a large box must count among the small results."""
    diagonal = np.eye(100, dtype=bool)
    found = results_from(
        detections_of([rectangle(50, 0, 99, 1), diagonal], [0.9, 0.8], [0, 0]), 7, [18]
    )
    without_boxes = [{k: v for k, v in row.items() if k != "bbox"} for row in found]
    truth = truth_of((diagonal, 18))
    assert evaluate(truth, found, "segm") == evaluate(truth, without_boxes, "segm")
    assert evaluate(truth, found, "segm").APs == pytest.approx(0.5)


def test_nothing_found_scores_0_and_no_objects_score_none() -> None:
    assert evaluate(truth_of((DOG, 18)), [], "segm").AP == 0
    assert results_from(dets.empty(), 7, [18]) == []
    assert set(evaluate(truth_of(), [], "bbox").to_dict().values()) == {None}


def test_evaluate_edits_none_of_its_arguments() -> None:
    """pycocotools writes ids, areas and masks into the rows it is given."""
    truth, found = truth_of((DOG, 18)), results_from(detections_of([DOG], [0.9], [0]), 7, [18])
    before = json.dumps([truth, found])
    evaluate(truth, found, "segm")
    evaluate(truth, found, "bbox")
    assert json.dumps([truth, found]) == before


def test_polygons_and_uncompressed_run_lengths_are_read() -> None:
    """All three ways COCO writes a mask give the same score."""
    square = [[0.0, 0.0, 40.0, 0.0, 40.0, 40.0, 0.0, 40.0]]
    runs = {"size": [100, 100], "counts": [0, *([40, 60] * 39), 40, 6060]}
    row = {"image_id": 7, "category_id": 18, "score": 0.5}
    tried = [square, runs, masks.to_rle(DOG)]
    scores = [
        evaluate(truth_of((DOG, 18)), [{**row, "segmentation": written}], "segm")
        for written in tried
    ]
    assert len(scores) == 3
    assert [score.AP for score in scores] == pytest.approx([1, 1, 1])


def test_scores_without_confidence_are_ranked_by_mask_score() -> None:
    found = detections_of([DOG, CAT], [0.3, 0.8], [0, 0])
    found.confidence = None
    assert [row["score"] for row in results_from(found, 7, [18])] == pytest.approx([0.3, 0.8])


# --- what is refused ------------------------------------------------------------------------------


def change(row: str, **values: Any) -> Callable[[dict[str, Any], list[dict[str, Any]]], None]:
    def edit(truth: dict[str, Any], found: list[dict[str, Any]]) -> None:
        target = {"result": found, "annotation": truth["annotations"], "image": truth["images"]}
        target[row][0].update(values)

    return edit


BAD_ROWS = [
    ("result of an unknown image", change("result", image_id=8), "image 8"),
    ("result of an unknown category", change("result", category_id=1), "category_id 1"),
    ("id that is text", change("result", image_id="7"), "image_id"),
    ("id that is a list", change("result", image_id=[7]), "image_id"),
    ("score that is NaN", change("result", score=float("nan")), "score"),
    ("score that is text", change("result", score="high"), "score"),
    ("score that is too large a number", change("result", score=10**400), "score"),
    ("box of three numbers", change("result", bbox=[0, 0, 1]), "bbox"),
    ("box of negative size", change("result", bbox=[0, 0, -1, 5]), "negative size"),
    ("no area", change("annotation", area=None), "area"),
    ("no segmentation", change("result", segmentation=None), "segmentation"),
    ("polygon of two corners", change("result", segmentation=[[0, 0, 1, 1]]), "polygons"),
    (
        "polygon far outside, which would take all memory",
        change("result", segmentation=[[0, 0, 1e12, 0, 1e12, 1e12]]),
        "polygons",
    ),
    (
        "runs too short, which pycocotools fills with whatever lies in memory",
        change("result", segmentation={"size": [100, 100], "counts": "0"}),
        "run-length",
    ),
    (
        "a size on which pycocotools crashes the interpreter",
        change("result", segmentation={"size": [2**40, 3], "counts": "06"}),
        "run-length",
    ),
    (
        "a mask of another size",
        change("result", segmentation=masks.to_rle(np.ones((5, 4), dtype=bool))),
        "4x5 pixels for an image of 100x100",
    ),
    ("image without height", change("image", height=None), "height and width"),
]


@pytest.mark.parametrize(("edit", "says"), [pytest.param(*row[1:], id=row[0]) for row in BAD_ROWS])
def test_a_bad_row_is_refused_with_what_is_wrong(edit: Any, says: str) -> None:
    truth, found = truth_of((DOG, 18)), results_from(detections_of([DOG], [0.9], [0]), 7, [18])
    edit(truth, found)
    refused = []
    for iou_type in ("bbox", "segm"):  # which of the two reads the field differs
        try:
            evaluate(truth, found, iou_type)  # type: ignore[arg-type]
        except InputError as error:
            refused.append(str(error))
    assert refused
    assert all(says in message for message in refused), refused


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "There is no truth file", id="no such file"),
        pytest.param(b"{", "json:1: This is not JSON", id="cut off"),
        pytest.param(b"\xff\xfe\x00", "not UTF-8 text", id="no text"),
        pytest.param(b"[" * 100_000, "nested deeper", id="nested without end"),
        pytest.param(b"[]", "images, categories and annotations", id="a list"),
        pytest.param(b'{"images": []}', "got images", id="half a truth"),
        pytest.param(
            b'{"images": [1], "categories": [], "annotations": []}', "image 0", id="image 1"
        ),
        pytest.param(
            b'{"images": {}, "categories": [], "annotations": []}', "list", id="images by key"
        ),
    ],
)
def test_a_bad_truth_file_is_refused_with_a_sentence(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "truth.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=says):
        evaluate(file, [], "bbox")


@pytest.mark.parametrize("results", [{"images": []}, "nowhere.json", 5, [5], ["text"]])
def test_bad_results_are_refused(results: Any) -> None:
    with pytest.raises(InputError):
        evaluate(truth_of((DOG, 18)), results, "bbox")


def test_an_unknown_way_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="bbox or segm"):
        evaluate(truth_of((DOG, 18)), [], "keypoints")  # type: ignore[arg-type]


def test_detections_that_can_not_be_ranked_or_named_are_refused() -> None:
    bare = sv.Detections(xyxy=np.array([[0, 0, 1, 1]], dtype=np.float32))
    with pytest.raises(InputError, match="class_id, and confidence"):
        results_from(bare, 7, [18])
    for number in (1, -1):  # -1 would be the last of a list
        with pytest.raises(InputError, match=f"class_id {number}"):
            results_from(detections_of([DOG], [0.9], [number]), 7, [18])


def test_scores_are_a_frozen_value_of_the_twelve_names() -> None:
    scores = CocoScores(*range(12))
    assert scores.to_dict() == {name: k for k, name in enumerate(NAMES)}
    with pytest.raises(AttributeError):
        scores.AP = 1.0  # type: ignore[misc]

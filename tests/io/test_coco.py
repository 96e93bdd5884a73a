"""Exports are read back by the programs they are for, pixel for pixel; overlays are looked at by
colour and by what must not change."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from PIL import Image
from pycocotools.coco import COCO

from limner.errors import ImageError, OutputError
from limner.io import coco as export
from limner.io import save
from limner.ops import masks
from limner.ops.overlay import MOST_LABELS, PALETTE, overlay
from limner.prompts import Box, Point, VisualPrompt

SIZE_WH = (60, 40)


def found(
    *boxes: tuple[int, int, int, int],
    names: tuple[str, ...] = (),
    scores: tuple[float, ...] = (),
    kind: str = "dense",
    size_wh: tuple[int, int] = SIZE_WH,
) -> sv.Detections:
    """Rectangles as detections, with dense, compact or no masks."""
    count = len(boxes)
    dense = np.zeros((count, size_wh[1], size_wh[0]), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(dense, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    xyxy = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    shape = (size_wh[1], size_wh[0])
    mask = {
        "dense": lambda: dense,
        "compact": lambda: sv.CompactMask.from_dense(dense, xyxy, shape),
        "none": lambda: None,
    }[kind]()
    names = names or ("dog", "cat", "dog")[:count]
    scores = scores or (0.9, 0.8, 0.7)[:count]
    return sv.Detections(
        xyxy=xyxy,
        mask=mask,
        confidence=np.array(scores, dtype=np.float32),
        class_id=np.arange(count),
        data={"class_name": np.array(names, dtype=str)},
    )


A, B, C = (5, 5, 25, 20), (15, 10, 40, 30), (45, 2, 58, 38)
KINDS = pytest.mark.parametrize("kind", ["dense", "compact"])


# COCO JSON ------------------------------------------------------------------------------------


def read_by_pycocotools(made: dict[str, object], path: Path) -> COCO:
    path.write_text(json.dumps(made))
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


@KINDS
def test_coco_json_is_read_by_pycocotools(kind: str, tmp_path: Path) -> None:
    first, second = found(A, B, kind=kind), found(C, names=("zebra",), scores=(0.5,), kind=kind)
    made = export.coco([("a.jpg", SIZE_WH, first), ("b.jpg", SIZE_WH, second)])
    read = read_by_pycocotools(made, tmp_path / "coco.json")
    assert {c["name"]: c["id"] for c in read.cats.values()} == {"cat": 1, "dog": 2, "zebra": 3}
    assert [image["file_name"] for image in read.imgs.values()] == ["a.jpg", "b.jpg"]
    annotations = read.loadAnns(read.getAnnIds())
    assert [a["image_id"] for a in annotations] == [1, 1, 2]
    expected = [*found(A, B).mask, *found(C).mask]
    for annotation, mask in zip(annotations, expected, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools under NumPy 2
            np.testing.assert_array_equal(read.annToMask(annotation).astype(bool), mask)
        assert annotation["area"] == mask.sum()
        assert annotation["iscrowd"] == 0
    assert annotations[0]["bbox"] == [5, 5, 20, 15]
    assert annotations[0]["score"] == pytest.approx(0.9)


def test_coco_json_of_boxes_without_masks_and_without_scores(tmp_path: Path) -> None:
    boxes = found(A, kind="none")
    boxes.confidence = None
    read = read_by_pycocotools(export.coco([("a.jpg", SIZE_WH, boxes)]), tmp_path / "coco.json")
    (annotation,) = read.loadAnns(read.getAnnIds())
    assert annotation["area"] == 300
    assert annotation["segmentation"] == []
    assert "score" not in annotation


def test_coco_json_of_nothing(tmp_path: Path) -> None:
    read = read_by_pycocotools(
        export.coco([("a.jpg", SIZE_WH, sv.Detections.empty())]), tmp_path / "coco.json"
    )
    assert len(read.imgs) == 1
    assert read.getAnnIds() == []
    assert export.coco([])["images"] == []


# Masks and maps -------------------------------------------------------------------------------


@KINDS
def test_mask_pngs(kind: str, tmp_path: Path) -> None:
    detections = found(A, B, names=("red cup / mug", "猫"), kind=kind)
    written = dict(export.mask_pngs(detections, "photo"))
    assert list(written) == ["photo-0-red-cup-mug.png", "photo-1-猫.png"]
    for (name, picture), mask in zip(written.items(), found(A, B).mask, strict=True):
        save.save_image(picture(), tmp_path / name)
        back = Image.open(tmp_path / name)
        assert back.mode == "L"
        np.testing.assert_array_equal(np.asarray(back), mask * np.uint8(255))


NAMES = {
    "path": ("../../etc/passwd", "etc-passwd"),
    "nothing left": ("///", "object"),
    "windows": ('a:b*c?"d', "a-b-c-d"),
    "long": ("x" * 300, "x" * 40),
    "dots": ("..", "object"),
}


@pytest.mark.parametrize(("name", "safe"), NAMES.values(), ids=NAMES.keys())
def test_class_names_become_safe_file_names(name: str, safe: str) -> None:
    ((file_name, _),) = export.mask_pngs(found(A, names=(name,)), "../x/photo")
    assert file_name == f"photo-0-{safe}.png"


def test_mask_png_names_sort_like_the_rows() -> None:
    names = [name for name, _ in export.mask_pngs(found(*[A] * 11, names=("dog",) * 11,
                                                        scores=(0.5,) * 11), "p")]  # fmt: skip
    assert names == sorted(names)
    assert len(set(names)) == 11


@KINDS
def test_semantic_map_gives_an_overlap_to_the_better_score(kind: str) -> None:
    painted, meaning = export.semantic_map(found(A, B, scores=(0.3, 0.6), kind=kind), SIZE_WH)
    assert meaning == {1: "cat", 2: "dog"}
    assert painted.dtype == np.uint8
    assert painted.shape == (40, 60)
    assert painted[7, 7] == 2
    assert painted[12, 20] == 1, "the overlap belongs to the cat, 0.6"
    assert painted[0, 0] == 0


def test_semantic_map_with_many_classes_is_16_bit() -> None:
    many = found(*[A] * 300, names=tuple(map(str, range(300))), scores=(0.5,) * 300)
    painted, meaning = export.semantic_map(many, SIZE_WH)
    assert painted.dtype == np.uint16
    assert len(meaning) == 300
    assert meaning[int(painted[7, 7])] == "0", "of equal scores the first row wins"


@KINDS
def test_panoptic_ids_and_segments(kind: str) -> None:
    hidden = found(A, B, A, names=("dog", "cat", "dog"), scores=(0.9, 0.8, 0.1), kind=kind)
    picture, segments = export.panoptic(hidden, SIZE_WH)
    ids = picture.astype(int) @ [1, 256, 65536]
    assert [segment["id"] for segment in segments] == [1, 2]
    assert [segment["category_id"] for segment in segments] == [2, 1]
    for segment in segments:
        assert (ids == segment["id"]).sum() == segment["area"]
        x, y, w, h = segment["bbox"]
        assert masks.box_of(ids == segment["id"]) == (x, y, x + w, y + h)
    assert segments[0]["area"] == 300
    assert set(np.unique(ids)) == {0, 1, 2}


def test_panoptic_ids_above_255_use_the_green_channel() -> None:
    size_wh = (300, 2)
    boxes = [(x, 0, x + 1, 1) for x in range(300)]
    row = found(*boxes, names=("a",) * 300, scores=(0.5,) * 300, size_wh=size_wh)
    picture, segments = export.panoptic(row, size_wh, {"a": 7})
    assert tuple(picture[0, 299]) == (300 - 256, 1, 0)
    assert {segment["category_id"] for segment in segments} == {7}
    assert len(segments) == 300


def test_maps_of_nothing_and_of_boxes_only() -> None:
    nothing = sv.Detections.empty()
    assert list(export.mask_pngs(nothing, "x")) == []
    assert export.semantic_map(nothing, SIZE_WH)[0].max() == 0
    picture, segments = export.panoptic(nothing, SIZE_WH)
    assert picture.shape == (40, 60, 3)
    assert segments == []
    boxes = found(A, kind="none")
    for refused in (
        lambda: list(export.mask_pngs(boxes, "x")),
        lambda: export.semantic_map(boxes, SIZE_WH),
        lambda: export.panoptic(boxes, SIZE_WH),
    ):
        with pytest.raises(OutputError, match="boxes only"):
            refused()
    with pytest.raises(OutputError, match="another image"):
        export.semantic_map(found(A), (10, 10))


def test_cutout() -> None:
    image = Image.new("RGB", (3, 1), (10, 20, 30))
    made = export.cutout(image, np.array([[0.0, 0.5, 1.0]], np.float32))
    assert made.mode == "RGBA"
    assert [made.getpixel((x, 0)) for x in range(3)] == [
        (0, 0, 0, 0), (10, 20, 30, 128), (10, 20, 30, 255)]  # fmt: skip
    assert export.cutout(image, np.array([[True, False, True]])).getpixel((0, 0))[3] == 255
    assert image.mode == "RGB"
    with pytest.raises(ImageError, match="shape"):
        export.cutout(image, np.zeros((3, 1)))


# The picture to look at -----------------------------------------------------------------------

GREY = Image.new("RGB", (300, 200), (128, 128, 128))
OBJECT = (100, 60, 220, 150)


def drawn(detections: sv.Detections, **options: object) -> np.ndarray:
    return np.asarray(overlay(GREY, detections, **options)).astype(int)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["dense", "compact"])
def test_overlay_tints_in_rgb_not_bgr(kind: str) -> None:
    detections = found(OBJECT, size_wh=GREY.size, kind=kind)
    pixels = drawn(detections, labels=False, opacity=0.5)
    colour = np.array(sv.Color.from_hex(PALETTE[0]).as_rgb())
    np.testing.assert_allclose(pixels[100, 160], (128 + colour) / 2, atol=1)
    assert tuple(pixels[60, 160]) == tuple(colour), "the outline is the pure colour"
    assert (pixels[10, 10] == 128).all()
    assert (np.asarray(GREY) == 128).all(), "the argument is left alone"


def test_overlay_colours_by_class_or_by_object() -> None:
    left, right = (10, 60, 100, 150), (160, 60, 250, 150)
    same = drawn(found(left, right, names=("dog", "dog"), size_wh=GREY.size), labels=False)
    assert tuple(same[100, 50]) != tuple(same[100, 200])
    three = found(left, right, OBJECT, names=("dog", "dog", "cat"), size_wh=GREY.size)
    mixed = drawn(three[[0, 1, 2]], labels=False)
    assert tuple(mixed[100, 50]) == tuple(mixed[100, 240])


FRAMES = {
    "tiny": (24, 16),
    "one pixel high": (200, 1),
    "small": (200, 140),
    "large": (3000, 2000),
}


@pytest.mark.parametrize("size_wh", FRAMES.values(), ids=FRAMES.keys())
def test_overlay_survives_any_size_and_long_names(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    detections = found(
        (0, 0, width, height), (width - 2, 0, width, 1),
        names=("an extraordinarily long phrase for one thing " * 3, "b"), size_wh=size_wh,
    )  # fmt: skip
    prompt = VisualPrompt(
        points=(Point(0, 0), Point(width - 1, height - 1, foreground=False)),
        box=Box(0, 0, width, height),
    )
    made = overlay(Image.new("RGB", size_wh), detections, [prompt])
    assert made.size == size_wh
    assert made.mode == "RGB"


def test_labels_stay_inside_the_frame() -> None:
    corner = found((290, 0, 300, 5), names=("hippopotamus",), size_wh=GREY.size)
    pixels = drawn(corner)
    ink = (pixels < 30).all(axis=2)  # black letters
    assert ink.sum() > 40
    assert not ink[:, -1].any()
    assert not ink[0].any()


def test_overlay_of_nothing_is_the_picture_and_of_boxes_draws_boxes() -> None:
    assert (drawn(sv.Detections.empty()) == 128).all()
    pixels = drawn(found(OBJECT, kind="none"), labels=False)
    assert (pixels[100, 160] == 128).all()
    assert tuple(pixels[60, 160]) == sv.Color.from_hex(PALETTE[0]).as_rgb()


def test_many_objects_are_not_labelled_unless_asked() -> None:
    many = MOST_LABELS + 1
    crowd = found(*[OBJECT] * many, names=("dog",) * many, scores=(0.5,) * many, size_wh=GREY.size)
    np.testing.assert_array_equal(drawn(crowd), drawn(crowd, labels=False))
    assert (drawn(crowd, labels=True) != drawn(crowd)).any()


def test_prompt_marks_lie_on_their_points() -> None:
    prompt = VisualPrompt(points=(Point(50.5, 50.5), Point(250.5, 50.5, foreground=False)))
    pixels = drawn(sv.Detections.empty(), prompts=[prompt])
    assert tuple(pixels[50, 50]) == sv.Color.from_hex("#009E73").as_rgb()
    assert tuple(pixels[50, 250]) == (255, 255, 255), "the cross"
    changed = np.argwhere((pixels != 128).any(axis=2)[:, :150])
    np.testing.assert_allclose(changed.mean(axis=0), [50, 50], atol=0.05)

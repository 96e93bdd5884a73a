"""YOLO's and VOC's files as they are in the wild: what each means, or what line means nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import InputError, LimnerError
from limner.evaluation import datasets
from limner.io.images import SUFFIXES, open_image, upright_size

W, H = 64, 48
SQUARE = (20.0, 10.0, 32.0, 22.0)
LINE = f"0 {26 / W:.6f} {16 / H:.6f} {12 / W:.6f} {12 / H:.6f}\n"
EDGES = (20, 10, 32, 10, 32, 22, 20, 22)
POLYGON = "0 " + " ".join(f"{v / (H if k % 2 else W):.6f}" for k, v in enumerate(EDGES)) + "\n"
BNDBOX = "<bndbox><xmin>21</xmin><ymin>11</ymin><xmax>32</xmax><ymax>22</ymax></bndbox>"
SIZE = f"<size><width>{W}</width><height>{H}</height></size>"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".heic": "HEIF", ".heif": "HEIF", ".jfif": "JPEG", ".jpe": "JPEG"}
    if kind.get(path.suffix.lower()) == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    Image.new("RGB", (W, H), "white").save(path, format=kind.get(path.suffix.lower()))


def yolo(
    folder: Path,
    lines: str | bytes = LINE,
    *,
    yaml: str = "names: [apple]\n",
    at: str = "{}/a",
    suffix: str = ".png",
) -> Path:
    """One labelled picture; ``at`` is its path, with ``{}`` for images or labels."""
    picture(folder / (at.format("images") + suffix))
    file = folder / (at.format("labels") + ".txt")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(lines.encode() if isinstance(lines, str) else lines)
    (folder / "data.yaml").write_text(yaml)
    return folder


def voc(
    folder: Path, objects: str, *, size: str = SIZE, at: str = "{}/a", end: str = ".png"
) -> Path:
    picture(folder / (at.format("JPEGImages") + end))
    file = folder / (at.format("Annotations") + ".xml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"<annotation>\n{size}\n{objects}</annotation>")
    return folder


def thing(inside: str = BNDBOX, name: str = "<name>apple</name>") -> str:
    return f"<object>{name}{inside}</object>\n"


def boxes(data: datasets.Dataset) -> list[tuple[str, str, tuple[float, ...]]]:
    return [
        (image.path.name, o.name, tuple(round(v, 1) for v in o.xyxy))
        for image in data.images
        for o in image.objects
    ]


# --- what is meant --------------------------------------------------------------------------------

MEANT: dict[str, tuple[Callable[[Path], Path], list[tuple[str, str]]]] = {
    "a byte order mark": (lambda f: yolo(f, b"\xef\xbb\xbf" + LINE.encode()), [("a.png", "apple")]),
    "names with a gap": (
        lambda f: yolo(f, "2" + LINE[1:], yaml="names: {1: apple, 2: car}"),
        [("a.png", "car")],
    ),
    "no and yes are words": (lambda f: yolo(f, yaml="names: [no, yes]"), [("a.png", "no")]),
    "names as they are written": (lambda f: yolo(f, yaml="names: [007, ~]"), [("a.png", "007")]),
    "a class as a decimal": (lambda f: yolo(f, "0.0" + LINE[1:]), [("a.png", "apple")]),
    "a box and its score": (lambda f: yolo(f, LINE.strip() + " .9"), [("a.png", "apple")]),
    "a polygon and its score": (lambda f: yolo(f, POLYGON.strip() + " .9"), [("a.png", "apple")]),
    "a pose": (
        lambda f: yolo(f, LINE.strip() + " .5 .5 2", yaml="names: [apple]\nkpt_shape: [1, 3]"),
        [("a.png", "apple")],
    ),
    "subfolders": (lambda f: yolo(f, at="{}/dogs/a"), [("a.png", "apple")]),
    "subfolders of a split": (lambda f: yolo(f, at="{}/val/dogs/a"), [("a.png", "apple")]),
    "data.yaml's own paths": (
        lambda f: yolo(f, at="pics/v/{}/a", yaml="path: pics\nval: v/images\nnames: [apple]"),
        [("a.png", "apple")],
    ),
    "COCO's folder names": (
        lambda f: yolo(f, at="{}/train2017/a", yaml="train: images/train2017\nnames: [apple]"),
        [("a.png", "apple")],
    ),
    "Roboflow's paths": (
        lambda f: yolo(f, at="valid/{}/a", yaml="val: ../valid/images\nnames: [apple]"),
        [("a.png", "apple")],
    ),
    "paths of another machine": (
        lambda f: yolo(f, yaml="path: /home/bob/x\nval: images/val\nnames: [apple]"),
        [("a.png", "apple")],
    ),
    "VOC's subfolders": (lambda f: voc(f, thing(), at="{}/x/a"), [("a.png", "apple")]),
    "VOC: no size": (lambda f: voc(f, thing(), size=""), [("a.png", "apple")]),
    "VOC: a size of 0": (
        lambda f: voc(f, thing(), size=SIZE.replace(str(W), "0").replace(str(H), "0")),
        [("a.png", "apple")],
    ),
    "VOC: a name space": (
        lambda f: voc(f, '<object xmlns="http://x"><name>apple</name>' + BNDBOX + "</object>"),
        [("a.png", "apple")],
    ),
    "VOC: parts come first": (
        lambda f: voc(f, thing(name="<part><name>leaf</name></part><name> apple </name>")),
        [("a.png", "apple")],
    ),
    "VOC: corners in any order": (
        lambda f: voc(
            f, thing(BNDBOX.replace(">21<", ">x<").replace(">32<", ">21<").replace(">x<", ">32<"))
        ),
        [("a.png", "apple")],
    ),
}


@pytest.mark.parametrize("case", MEANT)
def test_what_a_label_file_means(tmp_path: Path, case: str) -> None:
    write, expected = MEANT[case]
    data = datasets.read(write(tmp_path / "data"), "bbox")
    assert boxes(data) == [(*named, SQUARE) for named in expected]


def test_the_split_that_was_held_out_is_read(tmp_path: Path) -> None:
    """val before train, by data.yaml and by folder names; and never both."""
    for yaml in ("names: [apple]", "train: images/train\nval: images/val\nnames: [apple]"):
        folder = yolo(tmp_path / str(len(yaml)), at="{}/train/a", yaml=yaml)
        yolo(folder, at="{}/val/b", yaml=yaml)
        assert boxes(datasets.read(folder, "bbox")) == [("b.png", "apple", SQUARE)]


def test_a_list_of_pictures(tmp_path: Path) -> None:
    yaml = "val: val.txt\nnames: [apple]"
    folder = yolo(yolo(tmp_path, at="{}/x/a", yaml=yaml), at="{}/x/b", yaml=yaml)
    (folder / "val.txt").write_text("./images/x/b.png\n\n")
    assert boxes(datasets.read(folder / "data.yaml", "bbox")) == [("b.png", "apple", SQUARE)]


def test_where_a_missing_split_was_looked_for_is_said(tmp_path: Path) -> None:
    folder = yolo(tmp_path, yaml="val: nowhere\nnames: [apple]")
    (note,) = datasets.read(folder, "bbox").notes
    assert "says val: nowhere, which isn't here" in note
    assert f"{folder / 'labels'} are read" in note


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".JPG"])
@pytest.mark.parametrize("write", [yolo, voc])
def test_pictures_of_every_format_count(tmp_path: Path, write: Any, suffix: str) -> None:
    """supervision reads seven endings: labelled .gif and .jfif pictures vanished in silence."""
    is_yolo = write is yolo
    folder = yolo(tmp_path, suffix=suffix) if is_yolo else voc(tmp_path, thing(), end=suffix)
    assert boxes(datasets.read(folder, "bbox")) == [(f"a{suffix}", "apple", SQUARE)]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_a_turned_picture_is_labelled_upright(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    """TIFFs that lie on their side were turned twice. The size comes from the header alone."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    folder = yolo(tmp_path, suffix=suffix)
    path = folder / f"images/a{suffix}"
    tags = {"tiffinfo": {274: orientation}} if suffix == ".tif" else {"exif": exif.tobytes()}
    Image.new("RGB", (W, H)).save(path, **tags)
    size_wh = open_image(path).image.size
    assert size_wh == ((H, W) if orientation > 4 else (W, H)) == upright_size(path)
    (image,) = datasets.read(folder, "bbox").images
    x0, y0, x1, y1 = image.objects[0].xyxy
    assert image.size_wh == size_wh
    expected = np.array([20 / W, 10 / H, 32 / W, 22 / H]) * [*size_wh, *size_wh]
    assert np.allclose([x0, y0, x1, y1], expected, atol=1e-3)


def test_a_polygons_far_edge_is_no_part_of_it(tmp_path: Path) -> None:
    """One square of 144 pixels was 169 in YOLO and VOC, which cost a perfect answer .15 of IoU."""
    corners = "".join(
        f"<{'xy'[k % 2]}{k // 2 + 1}>{v + 1}</{'xy'[k % 2]}{k // 2 + 1}>"
        for k, v in enumerate(EDGES)
    )
    for folder in (
        yolo(tmp_path / "y", POLYGON),
        voc(tmp_path / "v", thing(f"{BNDBOX}<polygon>{corners}</polygon>")),
    ):
        (image,) = datasets.read(folder, "segm").images
        mask = image.objects[0].mask
        assert mask.sum() == 144
        assert mask[10:22, 20:32].all()


def test_numbers_of_classes_and_pictures_are_those_of_ultralytics_results(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "3" + LINE[1:], yaml="names: {1: a, 3: b}", at="{}/10")
    yolo(folder, "3" + LINE[1:], yaml="names: {1: a, 3: b}", at="{}/9")
    data = datasets.read(folder, "bbox")
    assert {image.path.stem: image.id for image in data.images} == {"9": 9, "10": 10}
    assert dict(zip(data.names, data.category_ids, strict=True)) == {"a": 2, "b": 4}


def test_labels_that_enclose_nothing_are_left_out_and_named(tmp_path: Path) -> None:
    data = datasets.read(yolo(tmp_path, "0 .5 .5 0 .2\n" + LINE), "bbox")
    assert boxes(data) == [("a.png", "apple", SQUARE)]
    assert [note.split("/")[-1] for note in data.notes] == [
        "a.txt:1 encloses no pixel and was left out."
    ]


# --- what can't be meant --------------------------------------------------------------------------

XMIN = "<xmin>21</xmin>"
BNDBOX_IN_PARTS = "<bndbox><xmin>.3</xmin><ymin>.2</ymin><xmax>.5</xmax><ymax>.4</ymax></bndbox>"
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "labels in pixels": (lambda f: yolo(f, LINE + "0 26 16 12 12\n"), r"a\.txt:2 labels 1280"),
    "a label outside": (lambda f: yolo(f, "0 1.5 .5 .2 .2"), r"a\.txt:1 labels 89\.6"),
    "a polygon outside": (lambda f: yolo(f, "0 0 0 1.1 0 1 1"), r"a\.txt:1 labels 0,0 to 70\.4"),
    "words": (lambda f: yolo(f, "apple .1 .1 .1 .1"), r"a\.txt:1: A YOLO label is"),
    "commas": (lambda f: yolo(f, LINE.replace(" ", ",")), r"a\.txt:1: A YOLO label is"),
    "not finite": (lambda f: yolo(f, "0 nan .1 .1 .1"), r"a\.txt:1: A YOLO label is"),
    "too few": (lambda f: yolo(f, "\n0 .1 .1 .1"), r"a\.txt:2: A YOLO label is"),
    "half a class": (lambda f: yolo(f, "0.5 .1 .1 .1 .1"), "names no class '0.5'"),
    "a negative side": (lambda f: yolo(f, "0 .5 .5 -.1 .1"), "no negative width"),
    "UTF-16": (lambda f: yolo(f, LINE.encode("utf-16")), r"a\.txt:1: This is not UTF-8"),
    "broken YAML": (lambda f: yolo(f, yaml="names: [a"), r"data\.yaml:2: This is not YAML"),
    "a tab": (lambda f: yolo(f, yaml="names:\n\t- a"), r"data\.yaml:2: This is not YAML"),
    "two documents": (lambda f: yolo(f, yaml="names: [a]\n---\nb: 1"), r"data\.yaml:2"),
    "an unknown tag": (lambda f: yolo(f, yaml="names: !!python/name:os.system x"), "has no names"),
    "deep YAML": (lambda f: yolo(f, yaml="names: " + "[" * 5000), "nested deeper"),
    "YAML that laughs": (
        lambda f: yolo(
            f,
            yaml="a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 8)),
        ),
        "Aliases written out, there are more than",
    ),
    "a list": (lambda f: yolo(f, yaml="[apple]"), "no mapping"),
    "a name that is a list": (lambda f: yolo(f, yaml="names: [[a]]"), r"data\.yaml:1: A class's"),
    "a number twice": (lambda f: yolo(f, yaml="names: {1: a, 01: b}"), "Class 1 has two names"),
    "numbers and words": (lambda f: yolo(f, yaml="names: {1: a, b: c}"), "begin with whole"),
    "a URL": (lambda f: yolo(f, yaml="val: https://x/y\nnames: [a]"), "download the pictures"),
    "a list of pictures that aren't there": (
        lambda f: yolo(f, yaml="val: labels/a.txt\nnames: [apple]"),
        r"a\.txt:1: There is no picture",
    ),
    "two pictures of one label": (
        lambda f: yolo(yolo(f), suffix=".jpg"),
        r"a\.txt would label .*a\.jpg and .*a\.png",
    ),
    "VOC: outside": (
        lambda f: voc(f, thing() + thing(BNDBOX.replace(XMIN, "<xmin>601</xmin>"))),
        r"a\.xml:4 labels 31,10 to 601,22",
    ),
    "VOC: parts of 1": (
        lambda f: voc(f, thing(BNDBOX_IN_PARTS)),
        r"Annotations: all boxes lie in the first pixel .* parts of 1",
    ),
    "YOLO: parts of 1 of parts of 1": (
        lambda f: yolo(f, "0 .008 .01 .004 .006"),
        r"all boxes lie in the first pixel .* 0\.384,0\.\d+ to 0\.64,0\.\d+",
    ),
    "VOC: no number": (
        lambda f: voc(f, thing(BNDBOX.replace(XMIN, "<xmin>x</xmin>"))),
        r"a\.xml:3: Expected a number of pixels as xmin, got 'x'",
    ),
    "VOC: a turned box": (
        lambda f: voc(f, thing("<robndbox><cx>26</cx></robndbox>")),
        r"a\.xml:3: The apple has no bndbox",
    ),
    "VOC: no name": (lambda f: voc(f, thing(name="")), r"a\.xml:3: An object has no name"),
    "VOC: two corners": (
        lambda f: voc(f, thing(BNDBOX + "<polygon><x1>1</x1><y1>1</y1></polygon>")),
        "three corners or more, got 1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_can_not_be_meant_is_refused_by_file_and_line(tmp_path: Path, case: str) -> None:
    """One sentence; a broken data.yaml ended in "A bug in limner"."""
    write, says = BAD[case]
    with pytest.raises(InputError, match=says):
        datasets.read(write(tmp_path / "data"), "bbox")


@pytest.mark.parametrize("name", ["images/a.png", "labels/a.txt", "data.yaml", "Annotations/a.xml"])
def test_only_regular_files_are_opened(tmp_path: Path, name: str) -> None:
    """A label that is a device or a pipe would never end."""
    folder = voc(tmp_path, thing()) if name.endswith(".xml") else yolo(tmp_path)
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(LimnerError, match="is a device"):
        datasets.read(folder, "bbox", name="voc" if name.endswith(".xml") else "yolo")


def test_labels_may_leave_their_picture_by_rounding(tmp_path: Path) -> None:
    """VOC's boxes that count from 0, and sums that end a hair outside; the box is cut to fit."""
    whole = "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>64</xmax><ymax>48</ymax></bndbox>"
    for folder in (voc(tmp_path / "v", thing(whole)), yolo(tmp_path / "y", "0 .5 .5 1.01 1.01")):
        (image,) = datasets.read(folder, "bbox").images
        assert image.objects[0].xyxy == (0, 0, W, H)

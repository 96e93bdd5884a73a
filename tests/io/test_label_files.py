"""Outlines in the label files of YOLO and VOC give exactly their masks back."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from limner.io.label_files import voc_xml, yolo_data, yolo_labels
from limner.ops.masks import MaskCrop, one_polygon


def filled(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """By pycocotools, whose rule is COCO's."""
    rles = coco.frPyObjects([corners.ravel().tolist()], *shape)
    return np.asarray(coco.decode(coco.merge(rles)), bool)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 24),
    st.integers(1, 24),
    st.sampled_from([0.1, 0.5, 0.9]),
    st.sampled_from([1, 3]),
)
def test_parts_and_holes_lie_in_one_polygon(
    seed: int, height: int, width: int, share: float, grain: int
) -> None:
    """Any mask there is: each part and each hole is reached, and no bridge leaves a pixel."""
    mask = np.random.default_rng(seed).random((height, width)) < share
    mask = np.kron(mask, np.ones((grain, grain))) > 0
    corners = one_polygon(mask)
    if not mask.any():
        assert corners.shape == (0, 2)
        return
    assert (filled(corners, mask.shape) == mask).all()
    line = yolo_labels([("mug", MaskCrop.of(mask))], {"mug": 4}).split()
    parts = np.array(line[1:], dtype=float).reshape(-1, 2)
    assert line[0] == "4"
    assert (filled(parts * mask.shape[::-1], mask.shape) == mask).all()


def test_long_outlines_are_bridged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not every corner is compared, a bridge may be longer, and the mask is the same."""
    monkeypatch.setattr("limner.ops.masks.MOST_GAPS", 50)
    mask = np.random.default_rng(1).random((40, 40)) < 0.6
    assert (filled(one_polygon(mask), mask.shape) == mask).all()


NAMES = ["no", "7", "a: b", "# c", "カップ", "☕️ mug", 'quote " and \\', "<&>"]


def test_any_name_is_the_same_name_when_read() -> None:
    """YAML would make false, numbers, mappings and comments of some, XML elements of others."""
    data = yaml.safe_load(yolo_data(NAMES, "images"))
    assert data == {"train": "images", "val": "images", "names": dict(enumerate(NAMES))}
    mask = np.zeros((5, 6), bool)
    mask[1:3, 2:5] = True
    things = [(name, MaskCrop.of(mask)) for name in NAMES]
    root = ElementTree.fromstring(voc_xml("x/<a>.png", (6, 5), things))
    assert [each.findtext("name") for each in root.iterfind("object")] == NAMES
    assert root.findtext("filename") == "<a>.png"
    box = root.find("object/bndbox")
    assert box is not None
    assert [each.text for each in box] == ["3", "2", "5", "3"]

"""Which mask answers which object, and whose mask a file is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.errors import InputError
from limner.evaluation import datasets
from limner.evaluation.datasets.mask_folder import files_of
from limner.evaluation.datasets.predictions import names_of
from limner.evaluation.metrics.segmentation import SegmentScores, pair_masks, score_image
from tests.evaluation.labelled import SIZE_WH, coco, rectangle

CAT, DOG = (10, 5, 30, 25), (40, 10, 50, 30)


@pytest.fixture
def data(tmp_path: Path) -> datasets.Dataset:
    return datasets.read(coco(tmp_path / "data"), "segm")


def test_the_pairing_is_the_best_over_all_not_the_first_that_fits() -> None:
    """The wide mask overlaps both; greedily it would take the object that the other needs."""
    left, right = rectangle((0, 0, 10, 10)), rectangle((10, 0, 30, 10))
    wide, narrow = rectangle((0, 0, 24, 10)), rectangle((12, 0, 30, 10))
    truths = [("cat", left), ("cat", right)]
    assert pair_masks(truths, [(None, wide), (None, narrow)]) == [0, 1]
    assert pair_masks(truths, [(None, narrow), (None, wide)]) == [1, 0]
    assert pair_masks(truths, []) == [None, None]
    assert pair_masks(truths, [("dog", left), ("cat", right)]) == [None, 1]


def test_scores_by_hand(data: datasets.Dataset) -> None:
    """Picture a: the cat exactly, the dog to its upper half, and one mask of nothing."""
    found = [
        (None, rectangle((0, 0, 5, 3))),
        ("dog", rectangle((40, 10, 50, 20))),
        ("cat", rectangle(CAT)),
    ]
    scores, surplus = score_image(data.images[0], found)
    assert [(s.name, s.iou) for s in scores] == [("cat", 1.0), ("dog", 0.5)]
    assert surplus == 1
    assert scores[0].boundary_f == scores[0].boundary_iou == 1
    assert 0 < scores[1].boundary_f < 1
    whole = SegmentScores.over(scores, surplus)
    assert (whole.objects, whole.missed, whole.surplus, whole.miou) == (2, 0, 1, 0.75)


def test_nothing_found_scores_0(data: datasets.Dataset) -> None:
    scores, surplus = score_image(data.images[0], [])
    whole = SegmentScores.over(scores, surplus)
    assert (whole.missed, whole.miou, whole.boundary_f, whole.boundary_iou) == (2, 0, 0, 0)
    assert SegmentScores.over([], 0).miou is None


def test_a_mask_of_another_size_is_refused(data: datasets.Dataset) -> None:
    with pytest.raises(InputError, match=r"a\.png is 61x40 pixels and the picture 60x40"):
        score_image(data.images[0], [(None, np.ones((40, 61), dtype=bool))])


def test_whose_mask_a_file_is(data: datasets.Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "masks" / "deeper"
    folder.mkdir(parents=True)
    for name in ("a-segment-0-cat", "a-1", "b", "bird-0-cat"):
        Image.new("L", SIZE_WH).save(folder / f"{name}.png")
    found, notes = files_of(tmp_path / "masks", names_of(data), data.names)
    assert notes == ["No labelled picture has the name of 1 masks: deeper/bird-0-cat.png"]
    named = {k: [(path.stem, name) for path, name in files] for k, files in found.items()}
    assert named == {7: [("a-1", None), ("a-segment-0-cat", "cat")], 9: [("b", None)]}


def test_masks_of_no_picture_are_refused(data: datasets.Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    with pytest.raises(InputError, match="no image in"):
        files_of(folder, names_of(data), data.names)
    Image.new("L", SIZE_WH).save(folder / "c.png")
    with pytest.raises(InputError, match=r"c\.png is the mask of no labelled picture.* a, b"):
        files_of(folder, names_of(data), data.names)

"""The measures themselves, on cases small enough to work out by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import supervision as sv

from minis import scenes
from minis.drawings import TEST_STYLE, UNSEEN, drawing, trained_nouns
from minis.scene import Thing
from minis.scores import captioning, detecting, grounding, naming, painting, samples
from minis.scores.autoencoding import psnr
from minis.scores.segmenting import held
from minis.scores.telling_apart import nearest


def found(rows: list[tuple[int, tuple[int, int, int, int], float]]) -> sv.Detections:
    """(class, box, score) rows as a detector gives them."""
    return sv.Detections(
        xyxy=np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4),
        confidence=np.array([score for *_, score in rows], np.float32),
        class_id=np.array([index for index, *_ in rows], int),
    )


BOX, OTHER = (0, 0, 20, 20), (50, 50, 80, 80)
NEAR = (0, 0, 20, 15)  # IoU .75 with BOX
HALF = (0, 0, 20, 9)  # IoU .45


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, BOX, 0.9), (1, OTHER, 0.9)], 1.0),
        ([(0, NEAR, 0.9), (1, OTHER, 0.2)], 1.0),
        ([(0, HALF, 0.9), (1, OTHER, 0.9)], 0.5),
        ([(0, BOX, 0.9)], 0.5),
        ([(1, BOX, 0.9), (0, OTHER, 0.9)], 0.0),
        ([], 0.0),
    ],
    ids=["both", "near enough", "too small", "one missed", "mixed up", "nothing"],
)
def test_ap50_is_a_mean_over_nouns(
    rows: list[tuple[int, tuple[int, int, int, int], float]], expected: float
) -> None:
    score = detecting.ap50([[(0, BOX), (1, OTHER)]], [found(rows)], 2)
    assert score == pytest.approx(expected, abs=0.01)


def test_ap50_counts_a_surer_wrong_answer_against_a_right_one() -> None:
    wrong_first = found([(0, OTHER, 0.9), (0, BOX, 0.5)])
    right_first = found([(0, OTHER, 0.5), (0, BOX, 0.9)])
    assert detecting.ap50([[(0, BOX)]], [wrong_first], 1) == pytest.approx(0.5, abs=0.01)
    assert detecting.ap50([[(0, BOX)]], [right_first], 1) == pytest.approx(1.0, abs=0.01)


def test_ap50_leaves_out_nouns_that_are_nowhere() -> None:
    assert detecting.ap50([[(0, BOX)]], [found([(0, BOX, 0.9)])], 50) == pytest.approx(1, abs=0.01)


def test_whoever_is_done_keeps_the_last_iou() -> None:
    assert held([0.5, 1.0], 5) == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert held([0.1, 0.2, 0.3, 0.4, 0.5], 5) == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_mask_is_compared_with_the_true_one_that_it_fits() -> None:
    left, right, whole = (np.zeros((4, 4), bool) for _ in range(3))
    left[:, :2], right[:, 2:], whole[:] = True, True, True
    assert grounding.best_iou(left, [right, left]) == 1.0
    assert grounding.best_iou(whole, [right, left]) == 0.5


def test_top_counts_ties_against_the_label() -> None:
    """A model that gives every noun the same score knows nothing."""
    scores = np.array([[3.0, 2, 1], [1, 2, 3], [1, 1, 1]])
    assert naming.top(scores, [0, 0, 0], 1) == pytest.approx(1 / 3)
    assert naming.top(scores, [1, 1, 0], 2) == pytest.approx(2 / 3)
    assert naming.top(scores, [0, 0, 0], 3) == 1.0


def test_the_nearest_is_the_one_with_the_largest_cosine() -> None:
    among = np.array([[1.0, 0], [0, 1], [-1, 0]])
    assert nearest(np.array([[0.9, 0.1], [-0.8, 0.6], [0.1, 0.9]]), among).tolist() == [0, 2, 1]


def test_psnr_in_decibels() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black) == float("inf")
    assert psnr(black, black + np.uint8(255)) == pytest.approx(0)
    assert psnr(black, black + np.uint8(10)) == pytest.approx(28.13, abs=0.01)


@pytest.mark.parametrize(
    ("caption", "nouns"),
    [
        ("an apple and two cars", {"apple": 1, "car": 2}),
        ("three maple leaves", {"maple_leaf": 3}),
        ("a fire truck", {"fire_truck": 1}),
        ("a red race car, a tree and six palm trees", {"race_car": 1, "tree": 1, "palm_tree": 6}),
        ("jeans and two french fries", {"jeans": 1, "french_fries": 2}),
        ("two frying pans with egg", {"frying_pan_with_egg": 2}),
        ("two jack - o - lanterns", {"jack-o-lantern": 2}),
        ("an apple and another apple", {"apple": 2}),
        ("a zebra and no apples", {"apple": 1}),
        ("", {}),
    ],
)
def test_nouns_are_read_from_a_caption(caption: str, nouns: dict[str, int]) -> None:
    assert captioning.named(caption) == nouns


def test_f1_and_counts() -> None:
    said, true = Counter(apple=2, car=1, cat=1), Counter(apple=1, car=1)
    assert captioning.f1([(said, true)]) == pytest.approx(2 * 2 / 5)
    assert captioning.right_counts([(said, true)]) == 0.5
    assert captioning.f1([(Counter(), true)]) == 0
    assert captioning.right_counts([(Counter(), true)]) == 0


# ---- what the models are asked


def test_scenes_for_a_noun_hold_it() -> None:
    for noun in ("apple", "watch"):
        shown = samples.showing(noun, scenes.test(), 3)
        assert len(shown) == 3
        for scene in shown:
            assert noun in {thing.noun for thing in scene.things}
            assert {thing.style for thing in scene.things} == {TEST_STYLE}
            assert len(scene.things) <= 6


def test_unseen_nouns_are_asked_in_scenes_of_their_own() -> None:
    noun = sorted(UNSEEN)[0]
    (shown,) = samples.showing(noun, scenes.unseen(), 1)
    assert noun in {thing.noun for thing in shown.things}


def test_as_many_things_as_were_wanted() -> None:
    some = samples.things(7)
    assert sum(len(things) for _, things in some) == 7
    assert all(things for _, things in some)


def test_a_hole_lies_around_its_thing() -> None:
    mask = np.zeros((64, 64), bool)
    mask[10:30, 20:60] = True
    thing = Thing("apple", TEST_STYLE, "red", mask)
    assert np.array_equal(samples.hull(thing, ellipse=False), mask)
    ellipse = samples.hull(thing, ellipse=True)
    assert not (ellipse & ~mask).any()
    assert ellipse.sum() == pytest.approx(np.pi * 20 * 10, rel=0.03)


def test_the_square_around_a_box_stays_inside() -> None:
    image = np.arange(64 * 64 * 3, dtype=np.uint32).reshape(64, 64, 3).astype(np.uint8)
    middle = samples.around(image, (20, 20, 40, 30), room=1.0)
    assert np.array_equal(middle, image[15:35, 20:40])
    corner = samples.around(image, (54, 0, 64, 10), room=2.0)
    assert np.array_equal(corner, image[:20, 44:])
    assert samples.around(image, (0, 0, 64, 60), room=2.0).shape == image.shape


def test_the_drawing_between_two_is_neither() -> None:
    between = samples.mixed("apple", ("fluent_flat", "noto_v1"))
    first = drawing("apple", "fluent_flat")
    assert between.rgba.shape == first.rgba.shape
    assert np.abs(between.rgba.astype(int) - first.rgba).mean() > 3


def test_every_noun_gets_a_partner_far_away() -> None:
    pairs = list(painting.ring(trained_nouns()[:48]))
    assert [b for _, b in pairs] == list(trained_nouns()[:48])
    assert all(a != b for a, b in pairs)
    assert len({a for a, _ in pairs}) == 48


def test_words_for_the_painter() -> None:
    assert painting.named("apple").phrase == "an apple"
    both = painting.without(painting.pair("ice_cream", "apple"), "apple")
    assert (both.phrase, both.negative) == ("an ice cream and an apple", "an apple")

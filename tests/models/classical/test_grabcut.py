"""Segmentation without weights, on pictures whose answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from limner.models.classical.grabcut import ObjectPrompt, grabcut, grabcut_candidates
from limner.models.classical.grabcut_plain import spanning_mask

H, W = 120, 160


def disc(x: float, y: float, radius: float) -> np.ndarray:
    ys, xs = np.mgrid[:H, :W] + 0.5
    return np.hypot(xs - x, ys - y) < radius


def picture(*discs: np.ndarray) -> np.ndarray:
    """Reddish textured discs on a greenish textured ground, (H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    image = np.full((H, W, 3), (60, 120, 70), float)
    for one in discs:
        image[one] = (190, 70, 60)
    return (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


DISC = disc(70, 60, 28)
TWO = DISC, disc(130, 60, 20)
BOX = np.array([42.0, 32, 98, 88])


@pytest.mark.parametrize(
    "prompt",
    [
        {"box": BOX},
        {"box": BOX + np.array([-5, -5, 5, 5])},
        {"points": np.array([[70.0, 60]])},
        {"points": np.array([[70.0, 60]]), "point_labels": np.array([1])},
        {
            "points": np.array([[70.0, 60], [20, 20], [130, 60]]),
            "point_labels": np.array([1, 0, 0]),
        },
        {"mask": disc(73, 62, 25)},
        {"mask": DISC},
        {"box": BOX, "points": np.array([[70.0, 60]])},
        {"box": BOX, "mask": disc(73, 62, 25)},
    ],
    ids=[
        "box",
        "loose box",
        "click",
        "labelled",
        "fg+bg",
        "rough mask",
        "mask",
        "box+click",
        "b+m",
    ],
)
def test_each_prompt_finds_the_disc(prompt: dict[str, np.ndarray]) -> None:
    mask, score = grabcut(picture(DISC), **prompt)
    assert mask.shape == (H, W)
    assert mask.dtype == bool
    assert iou(mask, DISC) > 0.9
    assert 0 <= score <= 1


def test_a_click_takes_one_of_two_alike_objects() -> None:
    mask, _ = grabcut(picture(*TWO), points=np.array([[70.0, 60]]))
    assert iou(mask, DISC) > 0.9


def test_a_second_foreground_click_adds_its_object() -> None:
    mask, _ = grabcut(picture(*TWO), points=np.array([[70.0, 60], [130, 60]]))
    assert iou(mask, TWO[0] | TWO[1]) > 0.85


@pytest.mark.parametrize("start", ["box", "mask"])
def test_a_background_click_removes_its_region(start: str) -> None:
    box = np.array([40.0, 30, 152, 90])
    prompt = {"box": box} if start == "box" else {"mask": TWO[0] | TWO[1]}
    both, _ = grabcut(picture(*TWO), **prompt)
    one, _ = grabcut(
        picture(*TWO), points=np.array([[130.0, 60]]), point_labels=np.array([0]), **prompt
    )
    assert iou(both, TWO[0] | TWO[1]) > 0.85
    assert (one & TWO[1]).sum() < 0.2 * TWO[1].sum()
    assert iou(one, DISC) > 0.8


def test_background_clicks_alone_leave_the_rest() -> None:
    mask, _ = grabcut(picture(DISC), points=np.array([[5.0, 5]]), point_labels=np.array([0]))
    assert not mask[5, 5]
    assert mask[60, 70]


def test_the_box_limits_the_mask() -> None:
    mask, _ = grabcut(picture(*TWO), box=BOX)
    assert not mask[:, 98:].any()
    assert not mask[:, :42].any()


def test_no_prompt_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="points, a box or a mask"):
        grabcut(picture(DISC))


def test_points_and_labels_must_pair() -> None:
    with pytest.raises(ValueError, match="one label a point"):
        grabcut(picture(DISC), points=np.array([[1.0, 1]]), point_labels=np.array([1, 0]))


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 90), (90, 1), (2, 2), (7, 5)])
@pytest.mark.parametrize("kind", ["click", "box", "mask", "all"])
def test_thin_and_tiny_images(size_hw: tuple[int, int], kind: str) -> None:
    h, w = size_hw
    image = np.random.default_rng(1).integers(0, 256, (h, w, 3), np.uint8)
    prompts = {
        "points": np.array([[w / 2, h / 2]]),
        "box": np.array([0.0, 0, w, h]),
        "mask": np.ones((h, w), bool),
    }
    chosen = {"click": ["points"], "box": ["box"], "mask": ["mask"]}.get(kind, list(prompts))
    mask, score = grabcut(image, **{name: prompts[name] for name in chosen})
    assert mask.shape == (h, w)
    assert mask.any()
    assert 0 <= score <= 1


def test_flat_colour_gives_back_the_box_or_a_disc() -> None:
    """Nothing to see: the prompt's own shape is the answer, and it is not empty."""
    image = np.full((H, W, 3), 128, np.uint8)
    box = np.zeros((H, W), bool)
    box[32:88, 42:98] = True
    assert iou(grabcut(image, box=BOX)[0], box) > 0.7
    mask, _ = grabcut(image, points=np.array([[70.0, 60]]))
    assert mask[60, 70]
    assert mask.any()
    assert iou(grabcut(image, mask=DISC)[0], DISC) > 0.7


@pytest.mark.parametrize(
    "box",
    [[0, 0, W, H], [-20, -9, W + 30, H + 5], [0, 0, 60, 60], [98, 88, 42, 32], [70, 60, 70, 60]],
    ids=["whole", "beyond", "corner", "swapped", "empty"],
)
def test_odd_boxes(box: list[float]) -> None:
    mask, score = grabcut(picture(DISC), box=np.array(box, float))
    assert mask.any()
    assert 0 <= score <= 1


@pytest.mark.parametrize("at", [(0, 0), (W - 1, H - 1), (W + 4, -3), (0, H - 0.01)])
def test_a_click_at_a_corner_is_in_the_mask(at: tuple[float, float]) -> None:
    mask, _ = grabcut(picture(DISC), points=np.array([at], float))
    x, y = np.clip(np.floor(at).astype(int), 0, [W - 1, H - 1])
    assert mask[y, x]


def test_clicks_are_obeyed_to_the_pixel() -> None:
    """Foreground pixels inside, background pixels outside, however the colours speak against it."""
    rng = np.random.default_rng(2)
    points = np.floor(rng.uniform((0, 0), (W, H), (12, 2))) + 0.5
    labels = np.arange(12) % 2
    for prompt in ({}, {"box": BOX}, {"mask": DISC}):
        mask, _ = grabcut(picture(DISC), points=points, point_labels=labels, **prompt)
        assert (mask[points[:, 1].astype(int), points[:, 0].astype(int)] == labels).all()


def test_an_empty_mask_is_no_obstacle() -> None:
    mask, _ = grabcut(picture(DISC), mask=np.zeros((H, W), bool), points=np.array([[70.0, 60]]))
    assert mask[60, 70]


def test_a_large_image_keeps_its_size_and_border() -> None:
    """Worked on small, answered at full size."""
    image = np.kron(picture(DISC), np.ones((20, 20, 1), np.uint8))
    truth = np.kron(DISC, np.ones((20, 20), bool))
    mask, _ = grabcut(image, box=BOX * 20)
    assert mask.shape == (2400, 3200)
    assert iou(mask, truth) > 0.95


def test_the_same_prompt_gives_the_same_mask() -> None:
    for prompt in ({"points": np.array([[70.0, 60]])}, {"box": BOX}):
        first, score = grabcut(picture(*TWO), **prompt)
        cv2.setRNGSeed(7)
        again, same = grabcut(picture(*TWO), **prompt)
        assert (first == again).all()
        assert score == same


def test_inputs_are_left_alone() -> None:
    image, mask, box = picture(DISC), DISC.copy(), BOX.copy()
    points = np.array([[70.0, 60]])
    grabcut(image, points=points, box=box, mask=mask)
    assert (image == picture(DISC)).all()
    assert (mask == DISC).all()
    assert (box == BOX).all()


def test_candidates_differ_and_start_with_the_answer() -> None:
    prompt = {"points": np.array([[70.0, 60]])}
    found = grabcut_candidates(picture(*TWO), ObjectPrompt(**prompt))
    assert 1 <= len(found) <= 3
    assert (found[0][0] == grabcut(picture(*TWO), **prompt)[0]).all()
    assert all(mask[60, 70] for mask, _ in found)


# ---- one large thing


YS, XS = np.mgrid[:H, :W]
LARGE = {
    "plus": ((abs(XS - 80) < 14) & (abs(YS - 60) < 50))
    | ((abs(YS - 60) < 14) & (abs(XS - 80) < 60)),
    "frame": (abs(XS - 80) < 55) & (abs(YS - 60) < 45) & ~((abs(XS - 80) < 35) & (YS < 85)),
    "ring": abs(np.hypot(XS - 80, YS - 60) - 41) < 9,
    "slant": (abs((XS - 80) * 0.8 - (YS - 60)) < 16) & (abs(XS - 80) < 55),
}


def box_around(mask: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(mask)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], float)


@pytest.mark.parametrize("name", LARGE)
def test_a_large_thing_that_does_not_fill_its_box_is_cut_out_of_it(name: str) -> None:
    """Geodesic evidence overfills such boxes (IoU .31 to .61); plain grabCut is the rough mask."""
    mask = LARGE[name]
    answer, score = grabcut(picture(mask), box=box_around(mask))
    assert iou(answer, mask) > 0.95
    assert 0 <= score <= 1


def test_clicks_correct_what_plain_grabcut_cut_out() -> None:
    """A click that agrees changes little, one that disagrees takes its part away."""
    mask = LARGE["frame"]
    image, box = picture(mask), box_around(mask)
    image[:, :50][mask[:, :50]] = (60, 70, 190)  # its left arm is of another colour
    alone = grabcut(image, box=box)[0]
    agreed = grabcut(image, box=box, points=np.array([[120.0, 60]]))[0]
    refused = grabcut(image, box=box, points=np.array([[35.0, 60]]), point_labels=np.array([0]))[0]
    assert iou(alone, mask) > 0.9
    assert iou(agreed, alone) > 0.97
    left = mask & (XS < 45)
    assert (refused & left).sum() < 0.3 * left.sum()


@pytest.mark.parametrize("at", [(10, 10), (150, 110), (70, 110)])
def test_a_click_that_agrees_with_the_answer_leaves_it(at: tuple[int, int]) -> None:
    """Each click ranked all sizes anew: one below the disc, where nothing was claimed, left its
    dark middle alone, a third of it."""
    thing = disc(70, 60, 40)
    image = picture(thing, thing)
    image[disc(70, 60, 22)] = (150, 90, 70)
    first = grabcut(image, points=np.array([[70.0, 60]]))[0]
    assert iou(first, thing) > 0.95
    assert not first[at[1], at[0]]
    points = np.array([[70.0, 60], at])
    second = grabcut(image, points=points, point_labels=np.array([1, 0]))[0]
    assert iou(second, first) > 0.97


@pytest.mark.parametrize(
    ("image", "box"),
    [
        (picture(disc(70, 60, 12)), [58, 48, 82, 72]),
        (picture(DISC), [0, 0, W, H]),
        (np.full((H, W, 3), 90, np.uint8), [20, 20, 140, 100]),
        (picture(disc(60, 50, 30)), [30, 20, 150, 115]),
    ],
    ids=["small", "no background", "one colour", "it doesn't span the box"],
)
def test_plain_grabcut_is_not_trusted_where_it_cannot_know(
    image: np.ndarray, box: list[float]
) -> None:
    """Small things, boxes with nothing around them, and masks that lost a part of the thing."""
    mask = spanning_mask(image, np.array(box, float))
    assert mask is None or mask[20:100, 20:140].all()

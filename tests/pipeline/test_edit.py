"""Edits that can be trusted: what stays, what changes, what the model sees, and the proof of it."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.errors import ImageError, PromptError
from limner.models.classical.adapters import OpenCvInpaint
from limner.ops import masks
from limner.ops.composite import composite
from limner.options import EditOptions, InpaintOptions
from limner.pipeline import composite_background, cut_out, repaint, repaint_weighted
from limner.pipeline.crops import Crop
from limner.pipeline.edit import changed_pixels, grow, make_edit, seam
from limner.prompts import Text
from limner.protocols import ModelRef
from tests.pipeline.doubles import FloodInpainter

COLOUR = (255, 0, 200)
Array = npt.NDArray[Any]


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def texture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Grain on grey, without edges of its own."""
    grain = np.random.default_rng(seed).normal(128, 12, (height, width, 3))
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


def disc(width: int, height: int, x: float, y: float, radius: float) -> Array:
    rows, columns = np.ogrid[:height, :width]
    inside: Array = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return inside


def rectangle(width: int, height: int, x0: int, y0: int, x1: int, y1: int) -> Array:
    mask = np.zeros((height, width), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


@st.composite
def anything_masked(draw: st.DrawFn) -> tuple[Image.Image, Array]:
    """An image down to one pixel wide, with specks or a rectangle masked in it."""
    width, height = draw(st.integers(1, 48)), draw(st.integers(1, 48))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    if draw(st.booleans()):
        mask = rng.random((height, width)) < draw(st.sampled_from([0.005, 0.1, 0.9]))
    else:
        xs, ys = np.sort(rng.integers(0, width, 2)), np.sort(rng.integers(0, height, 2))
        mask = rectangle(width, height, xs[0], ys[0], xs[1] + 1, ys[1] + 1)
    mask[rng.integers(height), rng.integers(width)] = True
    return noise(width, height, seed), mask


edits = st.builds(
    EditOptions,
    dilate=st.none() | st.integers(0, 6),
    feather=st.integers(0, 8),
    context=st.floats(0, 3),
)


# --- what stays -------------------------------------------------------------------------


@settings(max_examples=80)
@given(
    anything_masked(),
    edits,
    st.sampled_from([1, 8]),
    st.sampled_from([None, 16, 64]),
    st.booleans(),
)
def test_outside_the_mask_every_byte_is_the_originals(
    drawn: tuple[Image.Image, Array],
    options: EditOptions,
    grid: int,
    native_size: int | None,
    flat: bool,
) -> None:
    """Though the model repaints all that it sees."""
    image, mask = drawn
    before = image.tobytes()
    painter = FloodInpainter(COLOUR if flat else None, grid=grid, native_size=native_size)
    (edit,) = repaint(image, mask, painter, Text("a cat"), edit=options)
    after, original = np.asarray(edit.image), np.asarray(image)
    assert edit.image.size == image.size
    assert np.array_equal(edit.mask, grow(mask, options))
    assert np.array_equal(after[~edit.mask], original[~edit.mask])
    assert edit.outside_changed_pixels == 0
    assert edit.mask_coverage == pytest.approx(edit.mask.mean())
    assert image.tobytes() == before, "the original is not edited in place"
    seen = np.zeros_like(mask, dtype=int)
    for crop in edit.crops:
        x0, y0, x1, y1 = crop.xyxy
        seen[y0:y1, x0:x1] += 1
    assert (seen[edit.mask] == 1).all(), "each pixel of the mask lies in one crop"
    assert painter.sizes == [crop.working_wh for crop in edit.crops]
    if flat:  # the whole-image arithmetic that the work on crops must equal
        alpha = masks.feather(edit.mask, options.feather)
        painted = Image.new("RGB", image.size, COLOUR)
        whole = composite(image, painted, alpha, (0, 0, *image.size))
        assert edit.image.tobytes() == whole.tobytes()
        assert (after[alpha == 1] == COLOUR).all(), "beyond the soft border the paint stands"


def test_the_soft_border_lies_inside_the_mask() -> None:
    """White on black: 0 outside, rising from the border inwards, full beyond the feather."""
    image, mask = Image.new("RGB", (60, 60)), rectangle(60, 60, 20, 20, 50, 50)
    painter = FloodInpainter((255, 255, 255))
    (edit,) = repaint(image, mask, painter, edit=EditOptions(dilate=0, feather=4))
    across = np.asarray(edit.image)[35, :, 0].astype(int)
    assert across[19:26].tolist() == [0, 51, 102, 153, 204, 255, 255]
    assert across[44:51].tolist() == [255, 255, 204, 153, 102, 51, 0]


def test_the_crops_edge_is_no_frame_of_the_image() -> None:
    """A crop cut to the model's grid can end where the mask does, which stays soft there."""
    image, mask = Image.new("RGB", (17, 17)), rectangle(17, 17, 0, 0, 16, 17)
    painter = FloodInpainter((255, 255, 255), grid=16)
    (edit,) = repaint(image, mask, painter, edit=EditOptions(dilate=0, feather=4))
    assert edit.crops[0].xyxy == (0, 0, 16, 17)
    assert np.asarray(edit.image)[8, 10:, 0].tolist() == [255, 255, 204, 153, 102, 51, 0]


def test_nothing_attached_to_the_original_comes_along() -> None:
    image = noise(30, 30)
    image.info = {"exif": b"Exif"}
    (edit,) = repaint(image, rectangle(30, 30, 5, 5, 9, 9), FloodInpainter())
    assert edit.image.info == {}


def test_the_mask_grows_past_the_feather_by_default() -> None:
    """So that nothing of the object shines through: all of it is fully repainted."""
    mask = disc(200, 200, 100, 100, 50)
    (edit,) = repaint(noise(200, 200), mask, FloodInpainter(COLOUR))
    assert (np.asarray(edit.image)[mask] == COLOUR).all()
    assert np.array_equal(grow(mask, EditOptions(dilate=3)), masks.dilate(mask, 3))
    assert np.array_equal(grow(mask, EditOptions(feather=9)), masks.dilate(mask, 9 + 2 + 1))


@pytest.mark.parametrize(
    "mask",
    [
        rectangle(40, 30, 0, 10, 8, 20),
        rectangle(40, 30, 32, 22, 40, 30),
        rectangle(40, 30, 0, 0, 40, 30),
        rectangle(40, 30, 12, 9, 13, 10),
        rectangle(40, 30, 0, 14, 40, 15),
    ],
    ids=["left edge", "a corner", "the whole image", "one pixel", "a line through it"],
)
def test_masks_at_the_limits(mask: Array) -> None:
    options = EditOptions(dilate=0)
    (edit,) = repaint(noise(40, 30), mask, FloodInpainter(COLOUR, native_size=64), edit=options)
    assert edit.outside_changed_pixels == 0
    painted = (np.asarray(edit.image) == COLOUR).all(axis=2)
    assert painted.any()
    assert not (painted & ~mask).any()
    if mask.all():
        assert painted.all(), "the image's frame is no border to soften"
        assert edit.seam == 0


def test_each_picture_asked_for_is_an_edit_with_its_seed() -> None:
    painter = FloodInpainter(None)
    asked = InpaintOptions(seed=7, num_images_per_prompt=3)
    image, mask = noise(40, 40), disc(40, 40, 20, 20, 8)
    edits = repaint(image, mask, painter, Text("a cat"), asked)
    assert [edit.seed for edit in edits] == [7, 8, 9]
    assert len({edit.image.tobytes() for edit in edits}) == 3
    (second,) = repaint(image, mask, painter, Text("a cat"), InpaintOptions(seed=8))
    assert second.image.tobytes() == edits[1].image.tobytes()
    assert [text.phrase for text in painter.texts if text] == ["a cat", "a cat"]


def test_a_weight_is_taken_as_it_is() -> None:
    """Neither grown nor feathered: half the paint where it says half, none where it says 0."""
    image = noise(40, 30)
    weight = np.zeros((30, 40), dtype=np.float32)
    weight[5:25, 5:20], weight[5:25, 20:35] = 1, 0.5
    (edit,) = repaint_weighted(image, weight, FloodInpainter(COLOUR))
    before, after = np.asarray(image, dtype=float), np.asarray(edit.image, dtype=float)
    expected = before + weight[..., None] * (np.array(COLOUR) - before)
    assert np.abs(after - expected).max() <= 1
    assert np.array_equal(edit.mask, weight > 0)
    with pytest.raises(PromptError, match="empty"):
        repaint_weighted(image, np.zeros((30, 40), dtype=np.float32), FloodInpainter(COLOUR))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((30, 41), bool), "41x30 pixels and the image 40x30"),
        (np.ones((40, 30), bool), "30x40 pixels and the image 40x30"),
        (np.zeros((30, 40), bool), "empty"),
    ],
    ids=["too wide", "turned", "empty"],
)
def test_a_mask_that_cannot_be_meant_is_refused(mask: Array, message: str) -> None:
    painter = FloodInpainter()
    with pytest.raises(PromptError, match=message):
        repaint(noise(40, 30), mask, painter)
    with pytest.raises(PromptError, match=message):
        cut_out(noise(40, 30), mask)
    with pytest.raises(PromptError, match=message):
        composite_background(noise(40, 30), mask, noise(40, 30))
    assert painter.sizes == []


# --- a model that continues the surroundings --------------------------------------------


CLASSICAL = OpenCvInpaint(ModelRef("opencv-inpaint", "opencv_inpaint", "Apache-2.0"))


def test_nothing_to_continue_from_is_a_clear_error() -> None:
    with pytest.raises(PromptError, match="covers the whole image"):
        repaint(noise(40, 30), np.ones((30, 40), bool), CLASSICAL)


def test_without_context_there_is_still_something_to_continue_from() -> None:
    """A rectangle cut out tightly would be all hole, in an image that has plenty around it."""
    image, mask = texture(60, 50), rectangle(60, 50, 20, 20, 40, 35)
    tight = EditOptions(dilate=0, context=0)
    (edit,) = repaint(image, mask, CLASSICAL, edit=tight)
    assert edit.outside_changed_pixels == 0
    assert (np.asarray(edit.image)[mask] != np.asarray(image)[mask]).any()


# --- what the model sees ----------------------------------------------------------------


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """12 megapixels."""
    return noise(40, 30).resize((4000, 3000), Image.Resampling.BICUBIC)


def test_of_a_large_photograph_the_model_sees_the_object_at_its_own_resolution(
    photograph: Image.Image,
) -> None:
    mask = disc(4000, 3000, 2500, 700, 100)
    painter = FloodInpainter(None)
    tracemalloc.start()
    try:
        (edit,) = repaint(photograph, mask, painter)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    ((width, height),) = painter.sizes
    x0, y0, x1, y1 = edit.crops[0].xyxy
    assert (width, height) == (x1 - x0, y1 - y0), "scale 1"
    assert 200 < max(width, height) < 500
    assert changed_pixels(photograph, edit.image, ~edit.mask) == 0
    rest = edit.image.copy()
    rest.paste(photograph.crop(edit.crops[0].xyxy), edit.crops[0].xyxy)
    assert rest.tobytes() == photograph.tobytes()
    # Arrays of the whole photograph: its mask, grown and inverted (12 MB each), no float of it.
    assert peak < 60e6


def test_a_small_object_is_enlarged_for_a_model_of_512_and_pasted_at_its_own_size(
    photograph: Image.Image,
) -> None:
    mask = disc(4000, 3000, 2500, 700, 50)
    painter = FloodInpainter(COLOUR, native_size=512)
    (edit,) = repaint(photograph, mask, painter)
    x0, y0, x1, y1 = edit.crops[0].xyxy
    assert 200 <= x1 - x0 <= 256
    assert 200 <= y1 - y0 <= 256
    assert painter.sizes == [edit.crops[0].working_wh] == [(512, 512)]
    hole = painter.holes[0].mean() * (x1 - x0) * (y1 - y0)
    assert hole == pytest.approx(edit.mask.sum(), rel=0.05)
    assert edit.image.size == (4000, 3000)
    painted = (np.asarray(edit.image) == COLOUR).all(axis=2)
    assert (painted & mask).sum() == mask.sum()
    assert edit.outside_changed_pixels == 0


def test_two_things_far_apart_are_two_crops_at_their_own_resolution(
    photograph: Image.Image,
) -> None:
    """Each grown by its own size; things whose surroundings overlap share a crop."""
    near = disc(4000, 3000, 500, 500, 40) | disc(4000, 3000, 600, 500, 40)
    far = disc(4000, 3000, 3500, 2500, 40)
    painter = FloodInpainter(COLOUR, native_size=512)
    (edit,) = repaint(photograph, near | far, painter)
    assert len(edit.crops) == len(painter.sizes) == 2
    for crop in edit.crops:
        assert crop.xyxy[2] - crop.xyxy[0] < 500, "never the whole photograph made small"
    assert edit.mask.sum() < 2 * (near | far).sum()
    painted = (np.asarray(edit.image) == COLOUR).all(axis=2)
    assert (painted & (near | far)).sum() == (near | far).sum()
    assert edit.outside_changed_pixels == 0


def test_a_speck_is_not_enlarged_beyond_sense(photograph: Image.Image) -> None:
    painter = FloodInpainter(native_size=512)
    (edit,) = repaint(photograph, disc(4000, 3000, 9, 9, 2), painter)
    assert edit.crops[0].xyxy == (0, 0, 128, 128)
    assert painter.sizes == [(512, 512)]


def test_a_large_object_is_made_smaller_for_the_model() -> None:
    painter = FloodInpainter(None, native_size=64)
    (edit,) = repaint(noise(600, 300), disc(600, 300, 300, 150, 100), painter)
    assert max(painter.sizes[0]) <= 128
    assert edit.outside_changed_pixels == 0


@pytest.mark.parametrize("native_size", [None, 64], ids=["scale 1", "made smaller"])
def test_the_hole_covers_all_of_the_mask(native_size: int | None) -> None:
    """A line of one pixel too, which the nearest pixel of a smaller picture would miss."""
    mask = np.zeros((301, 607), dtype=bool)
    mask[np.arange(300), np.arange(300) + 200] = True
    painter = FloodInpainter(native_size=native_size)
    repaint(noise(607, 301), mask, painter, edit=EditOptions(dilate=0, feather=0))
    ((_, height),) = painter.sizes
    (hole,) = painter.holes
    assert hole.any(axis=1).sum() >= 0.45 * height, "the line from end to end, without a gap"
    assert masks.largest_part(hole).sum() == hole.sum()
    assert hole.mean() < 0.1


# --- the proof --------------------------------------------------------------------------


def test_the_counter_finds_a_composite_that_leaks() -> None:
    """One channel of one pixel by one is enough; changes inside the mask don't count."""
    image, mask = noise(50, 40), rectangle(50, 40, 10, 10, 20, 20)
    pixels = np.array(image)
    pixels[15, 15] ^= 255
    clean = Image.fromarray(pixels)
    pixels[5, 7, 2] ^= 1
    pixels[39, 49] ^= 255
    leaking = Image.fromarray(pixels)
    assert changed_pixels(image, image, np.ones_like(mask)) == 0
    assert changed_pixels(image, clean, ~mask) == 0
    assert changed_pixels(image, clean, mask) == 1
    assert changed_pixels(image, leaking, ~mask) == 2
    assert changed_pixels(image, leaking, np.ones_like(mask)) == 3
    edit = make_edit(image, leaking, mask, crops=(Crop((0, 0, 50, 40), (50, 40)),), feather=2)
    assert edit.outside_changed_pixels == 2
    assert edit.to_dict()["outside_changed_pixels"] == 2


@settings(max_examples=40)
@given(anything_masked(), st.integers(0, 20))
def test_the_counter_counts(drawn: tuple[Image.Image, Array], changes: int) -> None:
    image, mask = drawn
    rng = np.random.default_rng(changes)
    pixels = np.array(image)
    for _ in range(changes):
        pixels[rng.integers(image.height), rng.integers(image.width), rng.integers(3)] ^= 1
    expected = ((pixels != np.asarray(image)).any(axis=2) & mask).sum()
    assert changed_pixels(image, Image.fromarray(pixels), mask) == expected


def test_pictures_that_cannot_be_compared_are_refused() -> None:
    mask = np.ones((40, 50), dtype=bool)
    for other in (noise(50, 41), noise(49, 40), noise(50, 40).convert("L")):
        with pytest.raises(ImageError, match="one size and mode"):
            changed_pixels(noise(50, 40), other, mask)


def seam_of_the_whole_image(image: Image.Image, mask: Array, step: int) -> float:
    """``seam`` as its docstring says it, on whole arrays."""
    pixels = np.asarray(image, dtype=np.float64) / 255
    near = masks.dilate(mask, 4 * step)
    across, beside = [], []
    for axis in (0, 1):
        size = pixels.shape[axis]
        first, second = np.arange(max(size - step, 0)), np.arange(min(step, size), size)
        a, b = ([np.take(v, i, axis) for v in (pixels, mask, near)] for i in (first, second))
        contrast = np.abs(a[0] - b[0]).mean(axis=2)
        across.append(contrast[a[1] != b[1]])
        beside.append(contrast[~a[1] & ~b[1] & a[2] & b[2]])
    straddling, surroundings = np.concatenate(across), np.concatenate(beside)
    expected = surroundings.mean() if surroundings.size else 0.0
    return max(0.0, float(straddling.mean() - expected)) if straddling.size else 0.0


@settings(max_examples=60)
@given(anything_masked(), st.integers(1, 12), st.booleans())
def test_the_seam_of_the_crop_is_the_seam_of_the_whole(
    drawn: tuple[Image.Image, Array], step: int, invert: bool
) -> None:
    image, mask = drawn
    mask = ~mask if invert else mask
    expected = seam_of_the_whole_image(image, mask, step)
    assert seam(image, mask, step) == pytest.approx(expected, abs=1e-5)


def test_the_seam_tells_a_good_border_from_a_bad_one() -> None:
    """Untouched and continued: near 0; soft: some; hard: most."""
    image, mask = texture(160, 160), disc(160, 160, 80, 80, 40)
    hard = EditOptions(dilate=0, feather=0)
    soft = EditOptions(dilate=0, feather=8)
    patch = FloodInpainter((230, 40, 40))
    other_grain = FloodInpainter(
        paints=lambda picture, hole: texture(*picture.size, seed=1)  # same grain, other pixels
    )
    (of_hard,) = repaint(image, mask, patch, edit=hard)
    (of_soft,) = repaint(image, mask, patch, edit=soft)
    (of_texture,) = repaint(image, mask, other_grain, edit=hard)
    same_step = {
        "untouched": seam(image, mask, 1),
        "continued": of_texture.seam,
        "soft": seam(of_soft.image, mask, 1),
        "hard": of_hard.seam,
    }
    assert same_step["untouched"] < 0.005
    assert same_step["continued"] < 0.005
    assert same_step["hard"] > 0.2
    assert same_step["soft"] < 0.3 * same_step["hard"]


def test_the_seam_of_black_against_white_is_1_and_of_a_plain_picture_0() -> None:
    mask = rectangle(40, 40, 10, 10, 30, 30)
    split = Image.fromarray(np.where(mask[..., None], 255, 0).repeat(3, axis=2).astype(np.uint8))
    assert seam(split, mask, 1) == pytest.approx(1)
    assert seam(Image.new("RGB", (40, 40), "grey"), mask, 3) == 0
    assert seam(split, np.zeros_like(mask), 1) == seam(split, np.ones_like(mask), 1) == 0


# --- the other edits --------------------------------------------------------------------


@settings(max_examples=30)
@given(anything_masked(), st.integers(0, 8))
def test_a_new_background_mixes_with_the_subjects_border_alone(
    drawn: tuple[Image.Image, Array], feather: int
) -> None:
    """Nothing of the old background is left beside the subject: it showed as a halo."""
    image, subject = drawn
    if subject.all():
        return
    scene = Image.new("RGB", image.size, COLOUR)
    edit = composite_background(image, subject, scene, EditOptions(feather=feather))
    after = np.asarray(edit.image)
    inner = masks.feather(subject, feather) == 1
    assert np.array_equal(after[inner], np.asarray(image)[inner])
    assert edit.outside_changed_pixels == 0
    assert np.array_equal(edit.mask, ~inner)
    assert (after[~subject] == COLOUR).all()


def test_a_subject_without_background_is_refused() -> None:
    with pytest.raises(PromptError, match="no background"):
        composite_background(noise(9, 9), np.ones((9, 9), bool), noise(9, 9))


def test_a_cut_out_keeps_the_colours_and_softens_inside() -> None:
    image, mask = noise(40, 30), rectangle(40, 30, 5, 5, 25, 25)
    made = cut_out(image, mask)
    assert (made.mode, made.size) == ("RGBA", image.size)
    pixels = np.asarray(made)
    alpha = pixels[..., 3]
    assert np.array_equal(pixels[..., :3][alpha > 0], np.asarray(image)[alpha > 0])
    assert not pixels[alpha == 0].any()  # it held the whole photograph under alpha 0
    assert not alpha[~mask].any()
    assert alpha[15, 5:9].tolist() == [128, 255, 255, 255]
    grown = np.asarray(cut_out(image, mask, EditOptions(dilate=2, feather=0)))[..., 3]
    assert set(np.unique(grown)) == {0, 255}
    assert np.array_equal(grown > 0, masks.dilate(mask, 2))

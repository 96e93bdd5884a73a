"""Repaint, remove, cut out: edits that can be trusted.

Only the crop around the mask reaches the model, at the model's own grid and size; what comes back
is feathered *inside* the mask and pasted. Pixels outside the mask are the original's bytes because
nothing else is ever written there, and every ``Edit`` carries the count that proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as pil

from limner.errors import ImageError, PromptError
from limner.io import coco as export
from limner.io import raster
from limner.io.raster import Layer, Raster
from limner.io.save import save_image
from limner.ops import masks
from limner.ops.composite import composite
from limner.ops.masks import IntBox
from limner.options import BACKGROUND, CUTOUT, EditOptions, InpaintOptions
from limner.pipeline import notebook
from limner.pipeline.crops import Crop, crops_for
from limner.pipeline.stopwatch import Stopwatch
from limner.prompts import BoolMask, RgbArray, Text
from limner.protocols import Inpainter, OnStep

if TYPE_CHECKING:
    from PIL.Image import Image

Alpha = npt.NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class Edit:
    """A picture, and the proof of what was changed in it."""

    image: Image
    mask: BoolMask
    """(H, W): what was allowed to change: the object's mask, grown."""
    crops: tuple[Crop, ...]
    """The parts of the original that the model saw, and the sizes at which it saw them."""
    outside_changed_pixels: int
    """Pixels outside ``mask`` that differ from the original; 0 by construction."""
    seam: float
    """How visible the border is: 0 = as smooth as its surroundings, 1 = black against white."""
    mask_coverage: float
    """Part of the image that was allowed to change, 0..1."""
    seed: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    """What was painted where: how ``image`` came about, for putting it into a file of another
    depth, colour space or with transparency."""

    def __repr__(self) -> str:
        seed = "" if self.seed is None else f", seed {self.seed}"
        changed = f"{self.outside_changed_pixels} pixels changed outside"
        return f"Edit({self.mask_coverage:.1%} of the picture repainted, {changed}{seed})"

    def _repr_png_(self) -> bytes:
        return notebook.png_of(self.image)

    def show(self) -> None:
        """Show the picture."""
        notebook.show_picture(self.image)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the picture in 8 bits; ``Run.save`` keeps the input's depth and writes the record.

        Raises:
            OutputError: the place is taken or can't be written, or the format can't hold it.
        """
        return save_image(self.image, path, overwrite=overwrite)

    def to_dict(self) -> dict[str, Any]:
        """The numbers, for reports and records."""
        return {
            "outside_changed_pixels": self.outside_changed_pixels,
            "seam": round(self.seam, 4),
            "mask_coverage": round(self.mask_coverage, 6),
            "crops": [crop.to_dict() for crop in self.crops],
            "seed": self.seed,
        }


def repaint(
    image: Image,
    mask: BoolMask,
    inpainter: Inpainter,
    paint: Text | None = None,
    options: InpaintOptions | None = None,
    edit: EditOptions | None = None,
    on_step: OnStep | None = None,
) -> list[Edit]:
    """Fill ``mask`` with what ``paint`` says, or with what surrounds it (``paint=None``).

    Args:
        mask: (H, W) bool at the image's size, True = repaint; grown and feathered inside, by
            ``edit``.

    Returns:
        One edit a picture asked for (``num_images_per_prompt``).

    Raises:
        PromptError: the mask has another size, or nothing in it.
    """
    edit = edit or EditOptions()
    check_mask(mask, image.size)
    area = PaintArea(grow(mask, edit), edit.border())
    return _repaint(image, area, inpainter, paint, options, edit.context, on_step)


def repaint_weighted(
    image: Image,
    weight: Alpha,
    inpainter: Inpainter,
    paint: Text | None = None,
    options: InpaintOptions | None = None,
    edit: EditOptions | None = None,
    on_step: OnStep | None = None,
) -> list[Edit]:
    """``repaint`` of what a weight says, which is taken as it is.

    Args:
        weight: (H, W) 0..1 at the image's size: how much of what is painted comes; the mask is
            where it is above 0.
    """
    edit = edit or EditOptions()
    area = PaintArea(weight > 0, edit.border(), weight)
    check_mask(area.mask, image.size)
    return _repaint(image, area, inpainter, paint, options, edit.context, on_step)


@dataclass(frozen=True)
class PaintArea:
    """What is painted: a mask (H, W), and how soft its border is.

    ``weight`` (H, W) is how much of the paint comes; None: the mask, ``feather`` pixels soft
    inside.
    """

    mask: BoolMask
    feather: int
    weight: Alpha | None = None

    def alpha(self, crop: IntBox) -> Alpha:
        """(h, w) of the crop: how much of the paint comes."""
        if self.weight is None:
            return _feathered(self.mask, crop, self.feather)
        x0, y0, x1, y1 = crop
        return self.weight[y0:y1, x0:x1]


def _repaint(
    image: Image,
    area: PaintArea,
    inpainter: Inpainter,
    paint: Text | None,
    options: InpaintOptions | None,
    context: float,
    on_step: OnStep | None,
) -> list[Edit]:
    options = options or InpaintOptions()
    watch = Stopwatch()
    crops = crops_for(area.mask, inpainter, context)
    after: list[Image] = []
    layers: list[list[Layer]] = []
    for n, crop in enumerate(crops):
        alpha = area.alpha(crop.xyxy)
        view = image.crop(crop.xyxy).resize(crop.working_wh, pil.Resampling.LANCZOS)
        hole = _hole(area.mask, crop.xyxy, crop.working_wh)
        with watch.stage("inpaint"):
            painted = inpainter.inpaint(view, hole, paint, options, _nth(on_step, n, len(crops)))
        layers.append([Layer(crop.xyxy, _sized(sample, crop.xyxy), alpha) for sample in painted])
        after = [
            _pasted(before, layer)
            for before, layer in zip(after or [image] * len(painted), layers[-1], strict=True)
        ]
    edits = []
    for k, picture in enumerate(after):
        pasted = tuple(samples[k] for samples in layers)
        edit = make_edit(
            image, picture, area.mask, crops=tuple(crops), feather=area.feather, layers=pasted
        )
        seed = None if options.seed is None else options.seed + k
        edits.append(replace(edit, seed=seed, seconds=dict(watch.seconds)))
    return edits


def _nth(on_step: OnStep | None, n: int, count: int) -> OnStep | None:
    """Progress of the ``n``-th of ``count`` equal parts, as progress of the whole."""
    if on_step is None:
        return None
    return lambda done, total: on_step(n * total + done, count * total)


def _feathered(mask: BoolMask, crop: IntBox, feather: int) -> Alpha:
    """(h, w) of the crop: ``masks.feather`` of the whole mask, cut out."""
    height, width = mask.shape
    x0, y0, x1, y1 = crop
    # A pixel more on every side: the crop's edge must not pass for the image's frame.
    left, top = max(x0 - 1, 0), max(y0 - 1, 0)
    around = mask[top : min(y1 + 1, height), left : min(x1 + 1, width)]
    alpha: Alpha = masks.feather(around, feather)
    return alpha[y0 - top : y1 - top, x0 - left : x1 - left]


def _hole(mask: BoolMask, crop: IntBox, working_wh: tuple[int, int]) -> BoolMask:
    """The mask as the model sees it: True wherever any pixel of the mask falls.

    Not by the nearest pixel, which loses a thin line when a large crop is made smaller.
    """
    x0, y0, x1, y1 = crop
    part = pil.fromarray(mask[y0:y1, x0:x1].astype(np.float32))
    hole: BoolMask = np.asarray(part.resize(working_wh, pil.Resampling.BOX)) > 0
    return hole


def _sized(painted: Image, crop: IntBox) -> Image:
    size_wh = (crop[2] - crop[0], crop[3] - crop[1])
    if painted.size == size_wh:
        return painted
    return painted.resize(size_wh, pil.Resampling.LANCZOS)


def _pasted(image: Image, layer: Layer) -> Image:
    """``composite`` on the crop alone: the rest of a large photograph is only copied."""
    original = image.crop(layer.xyxy)
    mixed = composite(original, layer.painted, layer.weight, (0, 0, *original.size))
    after = image.copy()
    after.info = {}
    after.paste(mixed, layer.xyxy)
    return after


def weight_behind(subject: BoolMask, edit: EditOptions | None = None) -> Alpha:
    """(H, W): how much of another background comes: 1 all around the subject, 0 inside it.

    The soft border lies within the subject, as a cut-out's does: outside of it the old background
    would show through.
    """
    feather = (edit or EditOptions()).border(BACKGROUND["feather"])
    check_mask(subject, (subject.shape[1], subject.shape[0]))
    if subject.all():
        raise PromptError("The subject covers the whole image: there is no background to change.")
    weight: Alpha = 1 - masks.feather(subject, feather)
    return weight


def composite_background(
    image: Image, subject: BoolMask, background: Image, edit: EditOptions | None = None
) -> Edit:
    """The subject over another background; only its soft border mixes with that.

    Args:
        background: of the image's size.
    """
    check_mask(subject, image.size)
    weight = weight_behind(subject, edit)
    frame = (0, 0, *image.size)
    layer = Layer(frame, background, weight)
    return make_edit(
        image,
        composite(image, background, weight, frame),
        weight > 0,
        crops=(Crop(frame, image.size),),
        feather=(edit or EditOptions()).border(BACKGROUND["feather"]),
        layers=(layer,),
    )


def cut_out(image: Image, mask: BoolMask, edit: EditOptions | None = None) -> Image:
    """RGBA: the object's own pixels, transparent elsewhere; its border is soft on the inside."""
    edit = edit or EditOptions()
    check_mask(mask, image.size)
    grown = masks.dilate(mask, CUTOUT["dilate"] if edit.dilate is None else edit.dilate)
    return export.cutout(image, masks.feather(grown, edit.border(CUTOUT["feather"])))


def make_edit(
    before: Image,
    after: Image,
    mask: BoolMask,
    *,
    crops: tuple[Crop, ...],
    feather: int,
    layers: tuple[Layer, ...] = (),
) -> Edit:
    """An ``Edit`` with its proof measured on the pictures themselves."""
    return Edit(
        image=after,
        mask=mask,
        crops=crops,
        outside_changed_pixels=changed_pixels(before, after, ~mask),
        seam=seam(after, mask, feather + 1),
        mask_coverage=float(np.count_nonzero(mask) / mask.size),
        layers=layers,
    )


def check_mask(mask: BoolMask, size_wh: tuple[int, int]) -> None:
    """A mask of the image's size with something in it, or ``PromptError``."""
    if mask.shape != size_wh[::-1]:
        raise PromptError(
            f"The mask is {mask.shape[1]}x{mask.shape[0]} pixels and the image "
            f"{size_wh[0]}x{size_wh[1]}: a mask covers the whole image, pixel for pixel."
        )
    if not mask.any():
        raise PromptError("The mask is empty: no pixel of it is marked as the object.")


def grow(mask: BoolMask, edit: EditOptions) -> BoolMask:
    """An edit's mask: each thing grown past its own soft edge and the feather; a box as it is."""
    if edit.dilate is not None:
        return masks.dilate(mask, edit.dilate)
    if edit.region == "box":
        return mask
    return masks.dilate_parts(mask, lambda side: edit.border() + round(0.015 * side) + 1)


def changed_pixels(before: Image, after: Image, where: BoolMask) -> int:
    """Pixels of ``where`` in which any channel differs.

    Raises:
        ImageError: the pictures' sizes or modes differ.
    """
    if (before.size, before.mode) != (after.size, after.mode):
        raise ImageError(
            f"Expected two pictures of one size and mode, got {before.width}x{before.height} "
            f"{before.mode} and {after.width}x{after.height} {after.mode}."
        )
    return raster.changed_pixels(Raster(before), Raster(after), where)


STRIPE_PIXELS = 4_000_000
"""Of a picture that are looked at together: all of 108 megapixels at once took 1.5 GB."""


def seam(image: Image, mask: BoolMask, step: int) -> float:
    """How visible a mask's border is in a picture, 0 (not at all) to 1.

    The mean colour difference of pairs of pixels ``step`` apart across the border, less that of
    pairs as far apart that lie beside it: what remains is the border's own contrast.
    """
    reach = 4 * step
    inner, outer = masks.box_of(mask), masks.box_of(~mask)
    if inner is None or outer is None:
        return 0.0
    # The border and all that is near it lie within reach of both boxes.
    x0, y0 = (max(inner[k] - reach, outer[k] - reach, 0) for k in (0, 1))
    x1, y1 = (min(inner[k] + reach, outer[k] + reach, image.size[k - 2]) for k in (2, 3))
    rows = max(1, STRIPE_PIXELS // max(x1 - x0, 1))
    sums = np.zeros((2, 2))
    for top in range(y0, y1, rows):
        # With what is near its rows on both sides, and their partners below.
        upper, lower = max(top - reach, y0), min(top + rows + step + reach, y1)
        sums += _contrasts(
            np.asarray(image.crop((x0, upper, x1, lower))),
            mask[upper:lower, x0:x1],
            step,
            slice(top - upper, min(top + rows, y1) - upper),
        )
    (across, straddling), (beside, surroundings) = sums
    if not straddling:
        return 0.0
    return max(0.0, float(across / straddling - (beside / surroundings if surroundings else 0.0)))


def _contrasts(pixels: RgbArray, mask: BoolMask, step: int, rows: slice) -> npt.NDArray[np.float64]:
    """(2, 2): of pairs across the border and beside it, the sum of their contrasts, and how many.

    Pairs begin in ``rows``; the rows beyond only count as near the border and end pairs.
    """
    surroundings = masks.dilate(mask, 4 * step) & ~mask
    sums = np.zeros((2, 2))
    for down, right in ((step, 0), (0, step)):
        stop = min(rows.stop, len(mask) - down)
        first = slice(rows.start, stop), slice(0, max(mask.shape[1] - right, 0))
        second = slice(rows.start + down, stop + down), slice(right, None)
        if stop <= rows.start:
            continue
        across, beside = mask[first] != mask[second], surroundings[first] & surroundings[second]
        for kind, pairs in enumerate((across, beside)):
            contrast = _contrast(pixels[first][pairs], pixels[second][pairs])
            sums[kind] += contrast.sum(dtype=np.float64), len(contrast)
    return sums


def _contrast(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """(N,) mean difference over the channels of (N, 3) colours, 0..1."""
    return np.asarray(np.abs(first.astype(np.float32) - second).mean(axis=1) / 255, np.float32)

"""SAM's everything mode: a grid of points, each asked, the stable answers kept.

The rules and their order are segment-anything's ``SamAutomaticMaskGenerator`` for one crop, the
whole image (transformers' ``SamImageProcessor.filter_masks`` is the same up to the suppression).
What differs: boxes include their last pixel, so a mask one pixel wide has an area and can suppress
its twin; an empty mask is dropped. Masks are looked at one at a time and kept as run lengths.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import supervision as sv
import torch

from limner.models.blocks.nms import suppress
from limner.ops import detections, masks
from limner.options import EverythingOptions
from limner.protocols import DROPPED, OnStep

Floats = npt.NDArray[np.float64]

Ask = Callable[[Floats], tuple[torch.Tensor, npt.NDArray[np.float32]]]
"""(N, 2) XY points of the original image -> (N, M, h, w) logits and (N, M) predicted IoU."""
Upscale = Callable[[torch.Tensor], torch.Tensor]
"""(h, w) logits as the decoder gives them -> (H, W) float32 at the original size."""


SHOWN = 10
"""Where thresholds drop all, the ones that are named would keep about so many before the
suppression."""
RECALLED = 32
"""Candidates that are remembered for that, by the quality that the model predicts."""


@dataclass(frozen=True)
class Filters:
    """What a candidate must reach; the defaults are ``SamAutomaticMaskGenerator``'s."""

    points_per_side: int = 32
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    mask_threshold: float = 0.0

    @classmethod
    def of(cls, options: EverythingOptions, own: Mapping[str, Any]) -> Filters:
        """What was given, else the model's own, else the defaults."""
        names = cls.__dataclass_fields__
        given = {name: getattr(options, name, None) for name in names}
        given = {name: value for name, value in given.items() if value is not None}
        return cls(**{name: own[name] for name in names if name in own} | given)


@dataclass
class Candidates:
    """How many masks were looked at, and the best of those that no filter let through."""

    count: int = 0
    best: list[tuple[float, int, torch.Tensor]] = field(default_factory=list)
    """A heap of (score, number, (h, w) logits on the CPU)."""

    def add(self, score: float, logits: torch.Tensor) -> None:
        """Remember a candidate, if it is among the ``RECALLED`` best."""
        self.count += 1
        if len(self.best) < RECALLED or score > self.best[0][0]:
            push = heapq.heappush if len(self.best) < RECALLED else heapq.heappushpop
            push(self.best, (score, self.count, logits.cpu().clone()))


@dataclass(frozen=True)
class StableMask:
    """One mask that passed the filters."""

    mask: sv.CompactMask
    """Of length 1."""
    xyxy: tuple[int, int, int, int]
    score: float
    """The IoU that the model predicts for it."""
    stability: float
    point_xy: tuple[float, float]


def everything(
    ask: Ask,
    upscale: Upscale,
    size_wh: tuple[int, int],
    options: EverythingOptions,
    own: Mapping[str, Any],
    on_step: OnStep | None = None,
) -> sv.Detections:
    """All stable masks of an image, best first; ``on_step`` counts points.

    Where none is stable, ``metadata`` says under ``DROPPED`` which thresholds would keep some.

    Args:
        own: the model's own settings.
    """
    filters = Filters.of(options, own)
    points = point_grid(filters.points_per_side) * size_wh
    stable: list[StableMask] = []
    candidates = Candidates()
    for start in range(0, len(points), options.points_per_batch):
        batch = points[start : start + options.points_per_batch]
        logits, scores = ask(batch)
        stable += _filtered(logits, scores, batch, upscale, filters)
        if not stable:
            for n, m in np.ndindex(*scores.shape):
                candidates.add(float(scores[n, m]), logits[n, m])
        if on_step:
            on_step(start + len(batch), len(points))
    found = _best(stable, _scores(stable), filters.box_nms_thresh)
    if options.min_mask_region_area:
        found = _mended(found, options.min_mask_region_area, filters.box_nms_thresh)
    rows = _detections(found)
    if not stable:
        rows.metadata[DROPPED] = _dropped(candidates, upscale, filters)
    return rows


def point_grid(per_side: int) -> Floats:
    """(per_side ** 2, 2) XY centres of the cells of a grid over [0, 1] x [0, 1], row by row."""
    centres = (np.arange(per_side) + 0.5) / per_side
    return np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)


def stability_score(logits: torch.Tensor, threshold: float, offset: float) -> float:
    """IoU of the mask cut ``offset`` above the threshold and ``offset`` below it.

    The one lies inside the other, so areas are enough. Not a number where both are empty.
    """
    inner = torch.count_nonzero(logits > threshold + offset).item()
    outer = torch.count_nonzero(logits > threshold - offset).item()
    return inner / outer if outer else float("nan")


def _filtered(
    logits: torch.Tensor,
    scores: npt.NDArray[np.float32],
    points: Floats,
    upscale: Upscale,
    filters: Filters,
) -> Iterator[StableMask]:
    """A threshold of 0 switches its filter off, as it does in the original: predicted IoUs may be
    negative."""
    least_iou, least_stability = filters.pred_iou_thresh, filters.stability_score_thresh
    threshold = filters.mask_threshold
    for n, m in zip(*np.nonzero((scores > least_iou) | (least_iou == 0)), strict=True):
        full = upscale(logits[n, m])
        stability = stability_score(full, threshold, filters.stability_score_offset)
        if least_stability and not stability >= least_stability:
            continue
        mask = (full > threshold).cpu().numpy()
        if (xyxy := masks.box_of(mask)) is not None:
            point_xy = (float(points[n, 0]), float(points[n, 1]))
            yield StableMask(
                detections.compact(masks.MaskCrop.of(mask)),
                xyxy,
                float(scores[n, m]),
                stability,
                point_xy,
            )


def _dropped(candidates: Candidates, upscale: Upscale, filters: Filters) -> Mapping[str, Any]:
    """How many candidates there were, which thresholds dropped them all, and which would keep some;
    of these none where every candidate is empty."""
    pairs = []
    for score, _, logits in candidates.best:
        full = upscale(logits)
        if (full > filters.mask_threshold).any():
            offset = filters.stability_score_offset
            pairs.append((score, stability_score(full, filters.mask_threshold, offset)))
    best = sorted(pairs, key=lambda pair: pair[0] * pair[1], reverse=True)[:SHOWN]
    thresholds = {
        "pred_iou_thresh": filters.pred_iou_thresh,
        "stability_score_thresh": filters.stability_score_thresh,
    }
    worst = [min(values) for values in zip(*best, strict=True)]
    keep = {
        name: min(now, _just_below(least))
        for (name, now), least in zip(thresholds.items(), worst, strict=bool(best))
    }
    return {"candidates": candidates.count, "thresholds": thresholds, "keep": keep}


def _just_below(value: float) -> float:
    """The largest number of two digits below it, and not below 0."""
    return max(math.ceil(value * 100 - 1 - 1e-6) / 100, 0.0)


def _best(stable: Sequence[StableMask], merit: Floats, threshold: float) -> list[StableMask]:
    """Those that no box of more merit, (N,), suppresses; best first."""
    if not stable:
        return []
    xyxy = np.array([one.xyxy for one in stable], dtype=np.float64)
    one_class = np.zeros(len(stable), dtype=np.int64)
    rows = suppress(xyxy, merit, one_class, threshold=threshold, class_agnostic=True)
    return [stable[row] for row in rows]


def _scores(stable: Sequence[StableMask]) -> Floats:
    return np.array([one.score for one in stable], dtype=np.float64)


def _mended(stable: Sequence[StableMask], below_area: int, most_overlap: float) -> list[StableMask]:
    """Small holes filled, specks dropped; then a second suppression, for boxes have shrunk, in
    which masks that needed no mending go first. Best first."""
    mended, changed = [], []
    for one in stable:
        before = one.mask[0]
        filled = masks.fill_holes(before, below_area)
        after = masks.drop_specks(filled, below_area)
        xyxy = masks.box_of(after) or one.xyxy
        mended.append(
            StableMask(
                detections.compact(masks.MaskCrop.of(after)),
                xyxy,
                one.score,
                one.stability,
                one.point_xy,
            )
        )
        changed.append(not np.array_equal(before, after))
    order = np.lexsort((-_scores(mended), np.array(changed, dtype=bool)))
    merit = np.empty(len(mended))
    merit[order] = -np.arange(len(mended))
    best = _best(mended, merit, most_overlap)
    return sorted(best, key=lambda one: -one.score)


def _detections(stable: Sequence[StableMask]) -> sv.Detections:
    count = len(stable)
    rows = detections.make(
        np.array([one.xyxy for one in stable], dtype=np.float32).reshape(-1, 4),
        [one.score for one in stable],
        np.arange(count),
        ["object"] * count,
    )
    if stable:
        rows.mask = sv.CompactMask.merge([one.mask for one in stable])
    rows.data["mask_score"] = detections.clip_scores([one.score for one in stable])
    rows.data["stability_score"] = np.array([one.stability for one in stable], dtype=np.float32)
    points = np.array([one.point_xy for one in stable], dtype=np.float32)
    rows.data["point_xy"] = points.reshape(-1, 2)
    return rows

"""Our keys on ``sv.Detections``: rows made, taken, merged and named.

``sv.Detections`` is used unchanged. Keys in ``.data``, one value a row:

============== ============ ====================================================================
class_name     str          the phrase, or how the prompt was given ("point", "box", ...)
prompt_index   int64        which prompt the row answers; equals ``class_id``
mask_score     float32      the model's own estimate of the mask's quality
candidates     object       ``Candidates``, where kept: ``(mask (H, W) bool, score)``, the row's own
                            first, the rest in the model's order of preference
seen_xyxy      (4,) int64   of tiles or zoom: the part of the picture in which the box was seen;
                            zeros where no detector was asked
agreed         object       of an ensemble: tuple of ``pipeline.ensemble.MemberBox``, surest first;
                            empty where no detector was asked
============== ============ ====================================================================

``.mask`` is (N, H, W) bool up to ``DENSE_BYTES`` and an ``sv.CompactMask`` beyond, of which an
index gives (H, W) alike: 300 objects of a 12 megapixel photograph would take 3.6 GB. ``mask_of``
and ``crop_of`` read both.

Functions return new values; none edits its argument. What is decided on boxes is in ``ops.choose``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt
import supervision as sv

from limner.ops.masks import MaskCrop
from limner.prompts import BoolMask, Box, VisualPrompt

Boxes = npt.NDArray[np.number[Any]]

DENSE_BYTES = 32 * 2**20
"""Of all masks together, a byte a pixel: what is kept as one array."""


class Candidates(Sequence[tuple[BoolMask, float]]):
    """``(mask (H, W) bool, score)``, each mask made when it is looked at.

    Args:
        crops: what gives each mask.
        scores: one a candidate.
    """

    def __init__(self, crops: Sequence[Callable[[], MaskCrop]], scores: Sequence[float]) -> None:
        self._crops, self._scores = tuple(crops), tuple(float(score) for score in scores)

    @classmethod
    def of(cls, pairs: Sequence[tuple[MaskCrop, float]]) -> Candidates:
        """Of masks that are there."""
        return cls([partial(_same, crop) for crop, _ in pairs], [score for _, score in pairs])

    def __len__(self) -> int:
        return len(self._scores)

    @overload
    def __getitem__(self, index: int) -> tuple[BoolMask, float]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[BoolMask, float], ...]: ...
    def __getitem__(
        self, index: int | slice
    ) -> tuple[BoolMask, float] | tuple[tuple[BoolMask, float], ...]:
        if isinstance(index, slice):
            return tuple(self[k] for k in range(*index.indices(len(self))))
        crop, score = self.crop(index)
        return crop.full(), score

    def crop(self, index: int) -> tuple[MaskCrop, float]:
        """The mask's window and its score."""
        return self._crops[index](), self._scores[index]


def _same(crop: MaskCrop) -> MaskCrop:
    return crop


def make(
    xyxy: Boxes,
    confidence: npt.ArrayLike,
    prompt_index: npt.ArrayLike,
    class_name: Sequence[str],
) -> sv.Detections:
    """Detections with our keys; zero rows are welcome.

    Args:
        xyxy: (N, 4) pixels of the original image.
        confidence: (N,) 0..1; a model's estimate beyond that, as a predicted IoU of 1.02, is cut.
        prompt_index: (N,) which prompt each row answers.
        class_name: N names.
    """
    index = np.asarray(prompt_index, dtype=np.int64).reshape(-1)
    return sv.Detections(
        xyxy=np.asarray(xyxy, dtype=np.float32).reshape(-1, 4),
        confidence=clip_scores(confidence),
        class_id=index,
        data={"class_name": np.asarray(class_name, dtype=str), "prompt_index": index.copy()},
    )


def clip_scores(scores: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """(N,) scores cut to 0..1, which is what readers of COCO files expect."""
    return np.clip(np.asarray(scores, dtype=np.float32).reshape(-1), 0, 1)


def empty(*, with_mask_keys: bool = False) -> sv.Detections:
    """No rows, all keys."""
    none = make(np.empty((0, 4)), [], [], [])
    return with_masks(none, [], [], candidates=[]) if with_mask_keys else none


def mask_of(detections: sv.Detections, row: int) -> BoolMask:
    """(H, W) bool of one row, whether the masks are stored dense or compact."""
    if detections.mask is None:
        raise ValueError("These detections have boxes only, no masks.")
    return np.asarray(detections.mask[row], dtype=bool)


def crop_of(detections: sv.Detections, row: int) -> MaskCrop:
    """The window of one row's mask; of a compact one without the whole mask in between."""
    mask = detections.mask
    if not isinstance(mask, sv.CompactMask):
        return MaskCrop.of(mask_of(detections, row))
    left, top = mask.offsets[row].tolist()
    return MaskCrop(mask.crop(row), left, top, mask.image_shape[::-1])


def union_of(detections: sv.Detections, size_wh: tuple[int, int]) -> BoolMask:
    """(H, W): what any row's mask covers; all False where there is no row."""
    together = np.zeros(size_wh[::-1], dtype=bool)
    for row in range(len(detections)):
        crop = crop_of(detections, row)
        together[crop.slices] |= crop.window
    return together


def take(detections: sv.Detections, rows: Any) -> sv.Detections:
    """The rows picked by an index array, bool array or slice, as new detections."""
    return cast(sv.Detections, detections[rows])


def copy(detections: sv.Detections) -> sv.Detections:
    """The same rows in a value of their own."""
    return take(detections, np.arange(len(detections)))


def with_masks(
    detections: sv.Detections,
    masks: Sequence[MaskCrop | BoolMask],
    scores: npt.ArrayLike,
    **data: Any,
) -> sv.Detections:
    """The same rows with ``mask``, ``mask_score`` and further ``data`` columns.

    Args:
        masks: of each row its crop, or (H, W) bool.
    """
    rows = copy(detections)
    rows.mask = _masks([MaskCrop.of(m) if isinstance(m, np.ndarray) else m for m in masks])
    rows.data["mask_score"] = clip_scores(scores)
    for key, values in data.items():
        rows = with_column(rows, key, values)
    return rows


def _masks(crops: Sequence[MaskCrop]) -> npt.NDArray[np.bool_] | sv.CompactMask | None:
    """(N, H, W), or what stands for it where that is large."""
    if not len(crops):
        return None
    width, height = crops[0].size_wh
    if len(crops) * width * height > DENSE_BYTES:
        return sv.CompactMask.merge([compact(crop) for crop in crops])
    whole = np.zeros((len(crops), height, width), dtype=bool)
    for row, crop in enumerate(crops):
        whole[row][crop.slices] = crop.window
    return whole


def compact(crop: MaskCrop) -> sv.CompactMask:
    """One row. supervision's boxes name their last pixel, ours the one after it."""
    height, width = crop.window.shape
    box = np.array([[0, 0, width - 1, height - 1]])
    own = sv.CompactMask.from_dense(crop.window[None], box, image_shape=crop.window.shape)
    return own.with_offset(crop.left, crop.top, crop.size_wh[::-1])


def with_column(detections: sv.Detections, key: str, values: Sequence[Any]) -> sv.Detections:
    """The same rows with a column of objects in ``.data``, one a row."""
    rows = copy(detections)
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):  # at once, numpy would take tuples apart
        column[row] = value
    rows.data[key] = column
    return rows


def with_prompt_index(detections: sv.Detections, prompt_index: int) -> sv.Detections:
    """The same rows as answers to the prompt of that index."""
    rows = copy(detections)
    rows.class_id = np.full(len(rows), prompt_index, dtype=np.int64)
    rows.data["prompt_index"] = rows.class_id.copy()
    return rows


def with_labels(detections: sv.Detections, prompts: Sequence[VisualPrompt]) -> sv.Detections:
    """The same rows, called by the label of the prompt that each answers, where that has one."""
    if detections.class_id is None or not any(prompt.label for prompt in prompts):
        return detections
    rows = copy(detections)
    names = [
        prompts[index].label or name
        for index, name in zip(detections.class_id, class_names(detections), strict=True)
    ]
    rows.data["class_name"] = np.array(names, dtype=str)
    return rows


def merge(parts: Sequence[sv.Detections]) -> sv.Detections:
    """All rows in one, in order; only the keys that every part has are kept, masks likewise."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return parts[0] if parts else empty()
    if len(filled) == 1:
        return copy(filled[0])
    keys = set.intersection(*(set(part.data) for part in filled))
    masked = all(part.mask is not None for part in filled)
    slim = []
    for part in filled:
        bare = copy(part)
        bare.mask = None
        bare.data = {key: value for key, value in part.data.items() if key in keys}
        slim.append(bare)
    rows = sv.Detections.merge(slim)
    if masked:  # supervision's own merge cuts a dense mask at its box beside a compact one
        rows.mask = _masks([crop_of(part, row) for part in filled for row in range(len(part))])
    return rows


def by_confidence(detections: sv.Detections) -> sv.Detections:
    """Best first; equal scores keep their order."""
    if detections.confidence is None:
        return detections
    return take(detections, np.argsort(-detections.confidence, kind="stable"))


# --- boxes as arrays ------------------------------------------------------------------------------


def area(xyxy: Boxes) -> npt.NDArray[np.float64]:
    """(N,) square pixels of (N, 4) boxes."""
    sides = np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None).astype(np.float64)
    return np.asarray(sides[:, 0] * sides[:, 1])


def intersection(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """(N, M) square pixels shared by each of (N, 4) and each of (M, 4) boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(high - low, 0, None).astype(np.float64)
    return np.asarray(sides[..., 0] * sides[..., 1])


def iou(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """(N, M) intersection over union of each of (N, 4) and each of (M, 4) boxes; 0 for no area."""
    shared = intersection(a, b)
    together = area(a)[:, None] + area(b)[None, :] - shared
    return np.asarray(shared / np.maximum(together, 1e-9))


# --- from boxes back to prompts -------------------------------------------------------------------


def to_prompts(detections: sv.Detections, size_wh: tuple[int, int]) -> list[VisualPrompt]:
    """Each row's box as a box prompt, clipped to the image and at least a pixel wide and high."""
    width, height = size_wh
    prompts = []
    for x0, y0, x1, y1 in detections.xyxy.astype(float):
        x0, y0 = min(max(x0, 0.0), width - 1.0), min(max(y0, 0.0), height - 1.0)
        x1, y1 = min(max(x1, x0 + 1), float(width)), min(max(y1, y0 + 1), float(height))
        prompts.append(VisualPrompt(box=Box(x0, y0, x1, y1)))
    return prompts


def class_names(detections: sv.Detections) -> list[str]:
    """One a row."""
    names = detections.data.get("class_name")
    return [UNNAMED] * len(detections) if names is None else [str(name) for name in names]


def category_ids(names: Iterable[str], classes: Iterable[str] = ()) -> dict[str, int]:
    """Class names numbered from 1: 0 stays free for "nothing".

    Args:
        names: what was found.
        classes: what was asked for: these come first, in their order, found or not, so that
            pictures that were asked alike are numbered alike. The others follow, sorted.

    Returns:
        The numbers by name; names that differ in capitals alone have one.
    """
    numbers: dict[str, int] = {}
    known: dict[str, int] = {}
    for name in (*classes, *sorted(set(names))):
        numbers[name] = known.setdefault(folded(name), len(known) + 1)
    return numbers


UNNAMED = "object"
"""The class of rows without ``class_name``."""


def folded(name: str) -> str:
    """A class's name as a model reads it: capitals and spaces make no difference."""
    return " ".join(name.casefold().split())

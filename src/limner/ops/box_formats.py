"""The number formats in which models write boxes, as a table of pure codecs.

``encode`` goes from XYXY pixels to a model's own numbers, ``decode`` back. ``size_wh`` is the size
of the image the model saw (a frame's ``target_wh``), padding included; getting from there to the
original is :mod:`limner.ops.transforms`' work. Which convention a model speaks stands in its
adapter and is never guessed from the numbers: a value that can't be meant is refused.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from limner.errors import OptionError

FloatArray: TypeAlias = npt.NDArray[np.float64]
Order: TypeAlias = Literal["xyxy", "yxyx", "xywh", "cxcywh"]
Rounding: TypeAlias = Literal["none", "nearest", "bin"]

EDGE_SLACK = 1e-3
"""Pixels by which a box to encode may overshoot the image: float32's rounding at 8,000 pixels."""
OVERSHOOT = 0.1
"""Part of the image by which a regressed value to decode may overshoot it.

Detectors put boxes a little past the edge, and ``inverse_boxes`` clips them; further out, the
numbers are in another convention than the one named (950 in an image 640 pixels wide)."""


def _rows(name: str, values: npt.ArrayLike) -> FloatArray:
    """A new (N, 4) float64 array of finite numbers; nothing, in whatever shape, is N = 0."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"{name} boxes must be rows of 4 numbers, got {values!r}.") from None
    if array.shape == (0,):
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise OptionError(f"{name} boxes must have shape (N, 4), got {array.shape}.")
    if not np.isfinite(array).all():
        raise OptionError(f"{name} boxes must be finite numbers, got NaN or infinity.")
    return array


def _refuse(bad: npt.NDArray[np.bool_], values: FloatArray, why: str) -> None:
    """Raise for the first row of ``values`` where any of its row of ``bad``, (N, k), is true."""
    rows = np.flatnonzero(bad.any(axis=1))
    if rows.size:
        row = ", ".join(f"{v:g}" for v in values[rows[0]])
        raise OptionError(f"Box {rows[0]} of {len(values)}, [{row}], {why}.")


def _sides(size_wh: tuple[int, int]) -> tuple[int, int]:
    try:
        w, h = map(operator.index, size_wh)
    except (TypeError, ValueError):
        w = h = 0
    if w < 1 or h < 1:
        raise OptionError(f"size_wh must be two whole numbers of at least 1, got {size_wh!r}.")
    return w, h


@dataclass(frozen=True)
class BoxConvention:
    """One way of writing a box as four numbers."""

    name: str
    order: Order
    """"cxcywh" is centre, width, height; "xywh" is top left, width, height."""
    full: int | None
    """The number that stands for a whole side of the image; None: numbers are pixels."""
    rounding: Rounding
    """"none": floats. "nearest": whole numbers 0..full, full being the far edge. "bin": whole
    numbers 0..full-1, each the middle of its ``full``-th of the side."""
    used_by: str
    """Models that write it so; where that was read stands in the table."""

    @property
    def quantised(self) -> bool:
        """Whether values are whole numbers, so that a round trip moves a box."""
        return self.rounding != "none"

    @property
    def highest(self) -> int | None:
        """The largest whole number there is; None where values are floats."""
        if self.full is None or not self.quantised:
            return None
        return self.full - 1 if self.rounding == "bin" else self.full

    def step(self, size_wh: tuple[int, int]) -> tuple[float, float]:
        """Pixels between neighbouring values along x and y; (0, 0) where values are floats.

        ``decode(encode(xyxy))`` moves no edge by more than half of it.
        """
        w, h = _sides(size_wh)
        if self.full is None or not self.quantised:
            return 0.0, 0.0
        return w / self.full, h / self.full

    def _full(self, size_wh: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
        """For each of the four columns, a whole side in pixels and in this convention's numbers."""
        w, h = _sides(size_wh)
        sides = np.array((h, w, h, w) if self.order == "yxyx" else (w, h, w, h), dtype=np.float64)
        return sides, sides if self.full is None else np.full(4, float(self.full))

    def encode(self, xyxy: npt.ArrayLike, size_wh: tuple[int, int]) -> FloatArray:
        """(N, 4) XYXY pixels inside the image -> (N, 4) values; whole numbers if quantised.

        A box that leaves the image is refused: clip it first (``forward_boxes(..., clip=True)``).
        """
        w, h = _sides(size_wh)
        boxes = _rows("xyxy", xyxy)
        _refuse(_reversed(boxes, "xyxy"), boxes, "has its right or bottom before its left or top")
        inside = np.clip(boxes, 0.0, [w, h, w, h])
        outside = np.abs(boxes - inside) > EDGE_SLACK
        _refuse(outside, boxes, f"reaches outside the {w} x {h} image; clip it first")
        side, full = self._full(size_wh)
        values = _from_xyxy(inside, self.order) * full / side
        if self.rounding == "nearest":
            return np.rint(values)
        if self.rounding == "bin":
            return np.clip(np.floor(values), 0, self.highest)
        return values

    def decode(self, values: npt.ArrayLike, size_wh: tuple[int, int]) -> FloatArray:
        """(N, 4) values -> (N, 4) XYXY pixels of the image the model saw.

        Refused: another count than 4, NaN, a fraction where whole numbers are written, a value out
        of range (floats may overshoot by :data:`OVERSHOOT`), corners in the wrong order. A box
        without area is kept: on a coarse grid thin things have none.
        """
        side, full = self._full(size_wh)
        rows = _rows(self.name, values)
        if self.highest is not None:
            _refuse(rows != np.rint(rows), rows, f"isn't in whole numbers, as {self.name} is")
            outside = (rows < 0) | (rows > self.highest)
            _refuse(outside, rows, f"is outside {self.name}'s range 0 to {self.highest}")
        else:
            outside = (rows < -OVERSHOOT * full) | (rows > (1 + OVERSHOOT) * full)
            _refuse(outside, rows, f"can't be {self.name} in an image of size {size_wh}")
        _refuse(_reversed(rows, self.order), rows, f"has a negative width or height as {self.name}")
        pixels = (rows + 0.5 if self.rounding == "bin" else rows) * side / full
        return _to_xyxy(pixels, self.order)


def _reversed(values: FloatArray, order: Order) -> npt.NDArray[np.bool_]:
    """(N, 2): whether each row's width or height is negative."""
    if order in ("xywh", "cxcywh"):
        return values[:, 2:] < 0
    return values[:, 2:] < values[:, :2]


def _from_xyxy(xyxy: FloatArray, order: Order) -> FloatArray:
    low, high = xyxy[:, :2], xyxy[:, 2:]
    if order == "xyxy":
        return xyxy
    if order == "yxyx":
        return xyxy[:, [1, 0, 3, 2]]
    return np.hstack([low if order == "xywh" else (low + high) / 2, high - low])


def _to_xyxy(boxes: FloatArray, order: Order) -> FloatArray:
    first, second = boxes[:, :2], boxes[:, 2:]
    if order == "xyxy":
        return boxes
    if order == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    low = first if order == "xywh" else first - second / 2
    return np.hstack([low, low + second])


# fmt: off
_TABLE = (
    # segment_anything/predictor.py, predict. Qwen2.5-VL means pixels of its smart-resized image.
    BoxConvention("xyxy",          "xyxy",   None, "none",    "SAM, Qwen2.5-VL, GPT-4o, Claude"),
    # segment_anything/automatic_mask_generator.py, "bbox": not the order its predictor takes.
    BoxConvention("xywh",          "xywh",   None, "none",    "COCO, SAM's mask generator"),
    BoxConvention("cxcywh",        "cxcywh", None, "none",    "Roboflow's SAM 2 and OWLv2"),
    BoxConvention("xyxy_norm",     "xyxy",   1,    "none",    "Moondream, GPT-5 and 5.1"),
    # pred_boxes of DETR's descendants; sam3/model/sam3_image_processor.py, add_geometric_prompt.
    BoxConvention("cxcywh_norm",   "cxcywh", 1,    "none",    "OWL-ViT, GroundingDINO, SAM 3"),
    BoxConvention("xyxy_1000",     "xyxy",   1000, "nearest", "Qwen2-VL, Qwen3-VL, InternVL"),
    BoxConvention("yxyx_1000",     "yxyx",   1000, "nearest", "Gemini's box_2d"),
    # deepseek_vl2/serve/app_modules/utils.py, parse_ref_bbox: value / 999 * side.
    BoxConvention("xyxy_999",      "xyxy",   999,  "nearest", "DeepSeek-VL2"),
    # transformers processing_florence2.py, quantize and dequantize (which then drops the fraction).
    BoxConvention("xyxy_bin_1000", "xyxy",   1000, "bin",     "Florence-2"),
    # 1024 tokens, hence the name, but the last one is the far edge: big_vision labels with
    # round(box * 1023) (pp/proj/paligemma/segmentation.py) and evaluates with tokens / 1023.
    # The / 1024 of many ports puts a box that touches the far edge 0.1 % short of it.
    BoxConvention("yxyx_1024",     "yxyx",   1023, "nearest", "PaliGemma, PaliGemma 2"),
)
# fmt: on

CONVENTIONS: Mapping[str, BoxConvention] = MappingProxyType({c.name: c for c in _TABLE})
"""Every convention by name. A row: name, order, number for a whole side, rounding, who uses it."""


def _write_tokens(template: str, values: FloatArray) -> list[str]:
    return ["".join(template.format(int(v)) for v in row) for row in values]


def _read_tokens(text: str, prefix: str) -> list[list[int]]:
    """Rows of four from every unbroken run of ``<prefixNNN>`` in ``text``."""
    token = re.compile(rf"{prefix}([0-9]{{1,4}})>")
    if len(token.findall(text)) != text.count("<loc"):
        raise OptionError(f"The reply has a location token that isn't {prefix}N>: {text!r}.")
    rows: list[list[int]] = []
    for run in re.finditer(rf"(?:{token.pattern})+", text):
        numbers = [int(n) for n in token.findall(run.group())]
        if len(numbers) % 4:
            raise OptionError(
                f"A box is 4 tokens, but the reply has {len(numbers)} in a row: {run.group()!r}."
            )
        rows += [numbers[i : i + 4] for i in range(0, len(numbers), 4)]
    return rows


def paligemma_tokens(xyxy: npt.ArrayLike, size_wh: tuple[int, int]) -> list[str]:
    """(N, 4) XYXY pixels -> N strings such as "<loc0102><loc0204><loc0511><loc1023>", y first."""
    return _write_tokens("<loc{:04d}>", CONVENTIONS["yxyx_1024"].encode(xyxy, size_wh))


def from_paligemma_tokens(text: str, size_wh: tuple[int, int]) -> FloatArray:
    """Every box in a PaliGemma reply, in order of mention -> (N, 4) XYXY pixels.

    Words between the boxes are passed over; "<segNNN>" tokens too.
    """
    return CONVENTIONS["yxyx_1024"].decode(_read_tokens(text, "<loc"), size_wh)


def florence_tokens(xyxy: npt.ArrayLike, size_wh: tuple[int, int]) -> list[str]:
    """(N, 4) XYXY pixels -> N strings such as "<loc_12><loc_40><loc_500><loc_999>"."""
    return _write_tokens("<loc_{:d}>", CONVENTIONS["xyxy_bin_1000"].encode(xyxy, size_wh))


def from_florence_tokens(text: str, size_wh: tuple[int, int]) -> FloatArray:
    """Every box in a Florence-2 reply, in order of mention -> (N, 4) XYXY pixels.

    For boxes only: polygons and OCR's quadrilaterals are written in the same tokens.
    """
    return CONVENTIONS["xyxy_bin_1000"].decode(_read_tokens(text, "<loc_"), size_wh)

"""Settings: flat frozen dataclasses whose ranges are checked when they are made.

``None`` always means "the model's own default". An adapter declares the fields it honours; a field
that was set and has no effect on the model is refused with the reason, never ignored
(``check_honoured``). The command line's flags are generated from these fields
(``cli/options/flags.py``).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from limner.errors import OptionError
from limner.options.base import Checked, check_idle, setting

MOST_PICTURES = 64
SEEDS = 2**32 - MOST_PICTURES
"""Seeds are below this: torch's generator on the CPU (mt19937) takes their last 32 bits, so that
any other would draw what a smaller one does; the last picture's has room."""


def _pair(value: Any) -> tuple[Any, Any]:
    """A (phrase, score) pair; a string of two characters is none."""
    if isinstance(value, str):
        raise TypeError(value)
    phrase, least = value
    return phrase, least


@dataclass(frozen=True)
class DetectOptions(Checked):
    """How phrases and example images become boxes."""

    threshold: float | None = setting(None, "Least score of a box that is kept.", low=0.0, high=1.0)
    phrase_thresholds: tuple[tuple[str, float], ...] = setting(
        (), "(phrase, least score) pairs that override threshold for their phrase."
    )
    nms_threshold: float | None = setting(
        None,
        "Of boxes whose IoU is above this, the best one stays (default: the model's own, "
        "mostly 0.5).",
        low=0.0,
        high=1.0,
    )
    class_agnostic_nms: bool = setting(
        False, "Let boxes of different phrases suppress each other too."
    )
    max_detections: int = setting(100, "At most this many boxes, best first.", low=1)
    look: str | None = setting(
        None,
        "How the picture is looked at: whole; whole and in tiles that overlap, for small things in "
        "a large picture; whole and then zoomed in on each find, for exact boxes; or turned as "
        "well, by quarter turns and 25 degrees, for faces in any position (default: whole; redact "
        "with a face model: turned).",
        choices=("whole", "tiles", "zoom", "turned"),
    )
    slice_wh: int | None = setting(
        None, "Width and height of a tile in pixels (default 640; turned: 1600).", low=32
    )
    overlap_wh: int | None = setting(
        None, "Pixels that neighbouring tiles share (default 100, at most a quarter tile).", low=1
    )
    text_threshold: float | None = setting(
        None,
        "Least score of a phrase's best word, for a box to answer it (Grounding DINO: 0.25).",
        low=0.0,
        high=1.0,
    )
    phrases: str | None = setting(
        None,
        "Ask each phrase alone, or all in one text (Grounding DINO, Florence: parallel).",
        choices=("parallel", "together"),
    )
    samples: int | None = setting(
        None,
        "Ask a vision-language model so many times; a box's score is the part of the answers "
        "that agree on it.",
        low=1,
        high=100,
    )

    def __post_init__(self) -> None:
        try:
            pairs = tuple(
                (phrase, float(least)) for phrase, least in map(_pair, self.phrase_thresholds)
            )
        except (TypeError, ValueError, OverflowError):
            pairs = (("", math.nan),)
        if not all(isinstance(phrase, str) and 0 <= least <= 1 for phrase, least in pairs):
            raise OptionError(
                "phrase_thresholds are (phrase, score) pairs with scores between 0 and 1, "
                f"got {self.phrase_thresholds!r}."
            )
        object.__setattr__(self, "phrase_thresholds", pairs)
        super().__post_init__()
        if self.look not in ("tiles", "turned"):
            idle = [key for key in ("slice_wh", "overlap_wh") if getattr(self, key) is not None]
            check_idle(idle, "without look tiles or turned")
        if self.tiling()[1] >= self.tiling()[0]:
            raise OptionError(
                "overlap_wh must be less than slice_wh, got {1} and {0}.".format(*self.tiling())
            )

    def tiling(self, default: int | None = None) -> tuple[int, int]:
        """A tile's side and the overlap, in pixels; ``default`` is the side where none is set."""
        usual = default or (1600 if self.look == "turned" else 640)
        side = usual if self.slice_wh is None else self.slice_wh
        return side, min(100, side // 4) if self.overlap_wh is None else self.overlap_wh

    def most_overlap(self, default: float = 0.5) -> float:
        """The IoU above which the lesser of two boxes goes."""
        return default if self.nms_threshold is None else self.nms_threshold

    def least_score(self, phrase: str, default: float) -> float:
        """What a box must reach: the phrase's own threshold, else the common one, else default."""
        own = dict(self.phrase_thresholds).get(phrase)
        common = default if self.threshold is None else self.threshold
        return common if own is None else own


EVERY_DETECTOR = frozenset(
    {
        "threshold",
        "phrase_thresholds",
        "nms_threshold",
        "class_agnostic_nms",
        "max_detections",
    }
)
"""The fields that all detectors honour."""


@dataclass(frozen=True)
class SegmentOptions(Checked):
    """How a prompt becomes a mask."""

    multimask_output: bool | None = setting(
        None, "Let the model propose three masks and take the best (SAM: on for a single point)."
    )
    mask_threshold: float | None = setting(
        None, "Logit above which a pixel belongs to the mask (SAM: 0)."
    )
    iterations: int | None = setting(
        None, "GrabCut rounds (default 5; 2 for over 12 boxes at once).", low=1, high=50
    )


@dataclass(frozen=True)
class EverythingOptions(Checked):
    """Everything mode: a grid of points, each asked, the stable answers kept.

    Names are those of segment-anything's ``SamAutomaticMaskGenerator``, and so are a model's
    defaults, unless it carries its own (``defaults`` in ``limner models info``).
    """

    points_per_side: int | None = setting(
        None,
        "Points along each side of the grid (default: the model's own, mostly 32).",
        low=1,
        high=256,
    )
    points_per_batch: int = setting(64, "Points asked at once: lower it to save memory.", low=1)
    pred_iou_thresh: float | None = setting(
        None,
        "Least quality that the model predicts for its mask (default: the model's own, mostly "
        "0.88).",
        low=0.0,
        high=1.0,
    )
    stability_score_thresh: float | None = setting(
        None,
        "Least IoU of the mask cut a little higher and a little lower (default: the model's own, "
        "mostly 0.95).",
        low=0.0,
        high=1.0,
    )
    stability_score_offset: float = setting(1.0, "How much higher and lower, in logits.", low=0.0)
    box_nms_thresh: float | None = setting(
        None,
        "Of masks whose boxes' IoU is above this, the best one stays (default: the model's own, "
        "mostly 0.7).",
        low=0.0,
        high=1.0,
    )
    min_mask_region_area: int = setting(
        0, "Holes and specks below this many pixels are mended.", low=0
    )


@dataclass(frozen=True)
class InpaintOptions(Checked):
    """How a model fills the mask. Diffusion names are those of diffusers' inpaint pipelines."""

    num_inference_steps: int | None = setting(None, "Denoising steps.", low=1, high=1000)
    guidance_scale: float | None = setting(
        None, "Classifier-free guidance: how strictly the words are followed.", low=0.0, high=100.0
    )
    strength: float | None = setting(
        None, "1 repaints from noise, less keeps more of what was there.", low=0.01, high=1.0
    )
    denoising_end: float | None = setting(
        None,
        "Part of the noise after whose removal a refiner takes over (default 0.8).",
        low=0.01,
        high=0.99,
    )
    scheduler: str | None = setting(None, "A diffusers scheduler class, by name.")
    num_images_per_prompt: int | None = setting(
        None, "How many pictures to paint.", low=1, high=MOST_PICTURES
    )
    seed: int | None = setting(
        None, "Picture k is drawn with seed + k, whatever the batch.", low=0, high=SEEDS - 1
    )
    method: str | None = setting(None, "Which classical fill (limner models info opencv-inpaint).")
    radius: int | None = setting(
        None, "Pixels around the hole that a classical fill looks at.", low=1, high=200
    )


@dataclass(frozen=True)
class CanvasOptions(Checked):
    """The size of a picture that is made from words alone."""

    width: int | None = setting(
        None,
        "Pixels, a multiple of 8, of FLUX.1, Qwen-Image, Z-Image and Stable Diffusion 3 of 16 "
        "(default: what the model was taught at).",
        low=8,
        high=4096,
    )
    height: int | None = setting(None, "Likewise.", low=8, high=4096)


FEATHER = 4
"""px: the soft border of what is repainted."""
CUTOUT = {"dilate": 0, "feather": 1}
BACKGROUND = {"feather": 1}
"""What a cut-out and a new background take where ``EditOptions`` says None."""


@dataclass(frozen=True)
class EditOptions(Checked):
    """The mask and the crop of an edit, in pixels of the original image."""

    region: str | None = setting(
        None,
        "What is taken: the outline, or the box itself, with no pixel beyond it and no model to "
        "outline what is in it (default: the outline).",
        choices=("box", "outline"),
    )
    dilate: int | None = setting(
        None, "Grow the mask by this many pixels (default: 1.5 % of the object's size).", low=0
    )
    feather: int | None = setting(
        None,
        "Width of the soft border, inside the mask; of a new background, inside the subject "
        "(default: 4; cut-outs and backgrounds 1).",
        low=0,
        high=1000,
    )
    context: float = setting(
        0.5, "Space kept around the object, in parts of its size.", low=0.0, high=20.0
    )
    keep_metadata: bool = setting(
        False,
        "Carry the photograph's EXIF over: camera, date, author and place (GPS); thumbnails and "
        "the camera maker's notes never, for they show the original.",
    )

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON values; without a region that isn't set, as before there was one: a
        job's digest stays what it was."""
        fields = dataclasses.asdict(self)
        return {k: v for k, v in fields.items() if k != "region" or v is not None}

    def border(self, default: int = FEATHER) -> int:
        """px: the width of the soft border; ``default`` where none is set."""
        return default if self.feather is None else self.feather


@dataclass(frozen=True)
class RedactOptions(Checked):
    """How something is hidden."""

    region: str | None = setting(
        None,
        "What is covered: the box, or the outline (default: the box where there is one).",
        choices=("box", "outline"),
    )
    style: str = setting(
        "solid",
        "One colour, or what looks like a blur or a mosaic. All are made of what surrounds the "
        "object and hold nothing of it.",
        choices=("solid", "blur", "pixelate"),
    )
    amount: float | None = setting(
        None,
        "Blur: softness; pixelate: block; in parts of the object's longer side. How it looks: it "
        "hides no less when it is small.",
        low=0.01,
        high=1.0,
    )
    colour: str | None = setting(
        None,
        "Solid: a CSS name or #rrggbb (default: the mean of what surrounds the object).",
    )
    dilate: int | None = setting(
        None, "Grow the mask by this many pixels (default: 15 % of the object's size).", low=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.amount is not None and self.style == "solid":
            raise OptionError("amount has no effect on style solid: take blur or pixelate.")
        if self.colour is not None and self.style != "solid":
            raise OptionError(f"colour has no effect on style {self.style}: take solid.")
        _ = self.rgb()

    def rgb(self) -> tuple[int, int, int] | None:
        """The colour as three numbers of 0..255; None: that of what surrounds the object."""
        if self.colour is None:
            return None
        from PIL import ImageColor

        try:
            red, green, blue, *alpha = ImageColor.getrgb(self.colour)
        except ValueError:
            alpha = [0]
        if alpha not in ([], [255]):
            raise OptionError(
                f"A colour is a CSS name or #rrggbb, such as white or #1a2b3c; got {self.colour!r}."
            )
        return red, green, blue

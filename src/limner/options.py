"""Settings: flat frozen dataclasses whose ranges are checked when they are made.

``None`` always means "the model's own default". An adapter declares the fields it honours; a field
that was set and has no effect on the model is refused with the reason, never ignored
(``check_honoured``). The command line's flags are generated from these fields (``cli/flags.py``).
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from limner.errors import OptionError

OptionsT = TypeVar("OptionsT")

MOST_PICTURES = 64
SEEDS = 2**32 - MOST_PICTURES
"""Seeds are below this: torch's generator on the CPU (mt19937) takes their last 32 bits, so that
any other would draw what a smaller one does; the last picture's has room."""


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with its inclusive range and the sentence shown in ``--help``."""
    return field(
        default=default, metadata={"help": help, "low": low, "high": high, "choices": choices}
    )


class _Checked:
    """Checks each field's type and range when an options value is made.

    What inherits it is a dataclass, which mypy can't know here: hence the ignored ``arg-type``.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for spec in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, spec.name)
            object.__setattr__(self, spec.name, _checked(spec, hints[spec.name], value))


def field_type(hint: Any) -> tuple[type, bool]:
    """``(type, may be None)`` of a field annotated ``T`` or ``T | None``."""
    if typing.get_origin(hint) is tuple:
        return tuple, False
    if isinstance(hint, types.UnionType):
        (kind,) = (t for t in typing.get_args(hint) if t is not type(None))
        return kind, True
    return hint, False


def _checked(spec: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    kind, optional = field_type(hint)
    if value is None and optional:
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:  # JSON's numbers have no end
        raise OptionError(f"{spec.name} is too large a number.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    right_type = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not right_type:
        raise OptionError(f"{spec.name} is a {kind.__name__}, got {value!r}.")
    low, high = spec.metadata["low"], spec.metadata["high"]
    if kind in (int, float) and not (
        math.isfinite(value) and (low is None or value >= low) and (high is None or value <= high)
    ):
        if low is None:
            bounds = "a finite number"
        else:
            ends = [
                f"{end}" if isinstance(end, int) else f"{end:g}"
                for end in (low, high)
                if end is not None
            ]
            bounds = f"at least {ends[0]}" if high is None else f"between {' and '.join(ends)}"
        raise OptionError(f"{spec.name} must be {bounds}, got {value}.")
    choices = spec.metadata["choices"]
    if choices and value not in choices:
        raise OptionError(f"{spec.name} is one of {', '.join(choices)}; got {value!r}.")
    return value


def _pair(value: Any) -> tuple[Any, Any]:
    """A (phrase, score) pair; a string of two characters is none."""
    if isinstance(value, str):
        raise TypeError(value)
    phrase, least = value
    return phrase, least


@dataclass(frozen=True)
class DetectOptions(_Checked):
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
        idle = [name for name in ("slice_wh", "overlap_wh") if getattr(self, name) is not None]
        if idle and self.look not in ("tiles", "turned"):
            have = "have" if len(idle) > 1 else "has"
            raise OptionError(
                f"{' and '.join(idle)} {have} no effect without look tiles or turned."
            )
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
class SegmentOptions(_Checked):
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
class EverythingOptions(_Checked):
    """Everything mode: a grid of points, each asked, the stable answers kept.

    Names and defaults are those of segment-anything's ``SamAutomaticMaskGenerator``.
    """

    points_per_side: int = setting(32, "Points along each side of the grid.", low=1, high=256)
    points_per_batch: int = setting(64, "Points asked at once: lower it to save memory.", low=1)
    pred_iou_thresh: float = setting(
        0.88, "Least quality that the model predicts for its mask.", low=0.0, high=1.0
    )
    stability_score_thresh: float = setting(
        0.95, "Least IoU of the mask cut a little higher and a little lower.", low=0.0, high=1.0
    )
    stability_score_offset: float = setting(1.0, "How much higher and lower, in logits.", low=0.0)
    box_nms_thresh: float = setting(
        0.7, "Of masks whose boxes' IoU is above this, the best one stays.", low=0.0, high=1.0
    )
    min_mask_region_area: int = setting(
        0, "Holes and specks below this many pixels are mended.", low=0
    )


@dataclass(frozen=True)
class InpaintOptions(_Checked):
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
class EditOptions(_Checked):
    """The mask and the crop of an edit, in pixels of the original image."""

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


FEATHER = 4
"""px: the soft border of what is repainted."""
CUTOUT = {"dilate": 0, "feather": 1}
BACKGROUND = {"feather": 1}
"""What a cut-out and a new background take where ``EditOptions`` says None."""


@dataclass(frozen=True)
class RedactOptions(_Checked):
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


@dataclass(frozen=True)
class TeachOptions(_Checked):
    """How a model is taught a subject. Names are those of diffusers' ``train_dreambooth``."""

    instance_prompt: str | None = setting(
        None, 'The subject by its identifier and class: "a photo of sks dog".'
    )
    class_prompt: str | None = setting(None, 'The class alone: "a photo of a dog".')
    with_prior_preservation: bool = setting(
        True, "Also hold on to what the class looked like, by pictures the model makes itself."
    )
    prior_loss_weight: float = setting(1.0, "How much that counts: the paper's lambda.", low=0.0)
    num_class_images: int = setting(100, "Pictures made of the class.", low=1, high=100_000)
    sample_batch_size: int = setting(4, "How many of them are made at once.", low=1)
    method: str = setting(
        "lora",
        "What is trained: small matrices beside the weights, or all weights.",
        choices=("lora", "full"),
    )
    rank: int = setting(4, "Rank of LoRA's matrices.", low=1, high=1024)
    train_text_encoder: bool = setting(False, "Train the text encoder as well.")
    learning_rate: float | None = setting(
        None, "Step size (default: 5e-4 for lora, 5e-6 for full).", low=1e-9, high=1.0
    )
    lr_scheduler: str = setting(
        "constant",
        "How the step size changes.",
        choices=(
            "constant",
            "constant_with_warmup",
            "linear",
            "cosine",
            "cosine_with_restarts",
            "polynomial",
        ),
    )
    lr_warmup_steps: int = setting(0, "Steps over which it rises from 0.", low=0)
    lr_num_cycles: int = setting(
        3, "How often cosine_with_restarts falls from the whole step size.", low=2, high=10_000
    )
    lr_power: float = setting(
        2.0, "Power of polynomial's curve: 1 is linear, more falls sooner.", low=0.1, high=100.0
    )
    max_train_steps: int = setting(500, "Steps of the optimizer.", low=1, high=10_000_000)
    train_batch_size: int = setting(
        1, "Photographs a step, and with them as many pictures of the class.", low=1, high=4096
    )
    gradient_accumulation_steps: int = setting(
        1, "Batches whose gradients are added up for one step.", low=1, high=4096
    )
    resolution: int | None = setting(
        None, "Side in pixels of what is looked at (default: the model's own).", low=8, high=8192
    )
    mask_background: bool = setting(
        False, "Only the subject counts in the loss, not what is behind it (needs --crop-to)."
    )
    snr_gamma: float | None = setting(
        None, "Weight times by min-SNR with this gamma; its paper takes 5.", low=0.01, high=1e6
    )
    max_grad_norm: float = setting(1.0, "Longer gradients are shortened to this.", low=0.0)
    adam_weight_decay: float = setting(1e-2, "Weight decay of AdamW.", low=0.0, high=1.0)
    use_8bit_adam: bool = setting(False, "Keep the optimizer in 8 bits (bitsandbytes).")
    gradient_checkpointing: bool = setting(False, "Compute twice to keep less in memory.")
    mixed_precision: str = setting(
        "no", "What the frozen weights and the arithmetic are in.", choices=("no", "bf16", "fp16")
    )
    checkpointing_steps: int = setting(
        100, "A checkpoint, from which a killed run goes on, every so many steps.", low=1
    )
    checkpoints_total_limit: int | None = setting(
        None, "Keep only so many checkpoints, the newest.", low=1
    )
    validation_steps: int | None = setting(
        None, "Paint with and without the identifier every so many steps.", low=1
    )
    num_validation_images: int = setting(2, "Pictures of each of the two.", low=1, high=64)
    seed: int = setting(0, "Decides every draw, with the number of the step.", low=0, high=2**31)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = changed(self)
        of_the_prior = ("prior_loss_weight", "num_class_images", "sample_batch_size")
        for names, idle, where in (
            (("rank",), self.method == "full", "with method full, which trains all weights"),
            (
                ("lr_warmup_steps",),
                self.lr_scheduler == "constant",
                "with lr_scheduler constant: take constant_with_warmup",
            ),
            (
                ("lr_num_cycles",),
                self.lr_scheduler != "cosine_with_restarts",
                "without lr_scheduler cosine_with_restarts",
            ),
            (("lr_power",), self.lr_scheduler != "polynomial", "without lr_scheduler polynomial"),
            (("num_validation_images",), self.validation_steps is None, "without validation_steps"),
            (of_the_prior, not self.with_prior_preservation, "without with_prior_preservation"),
        ):
            said = [name for name in names if name in given]
            if idle and said:
                have = "have" if len(said) > 1 else "has"
                raise OptionError(f"{' and '.join(said)} {have} no effect {where}.")
        self._check_rate()

    def _check_rate(self) -> None:
        """Refuse a schedule that the run ends before."""
        left = self.max_train_steps - self.lr_warmup_steps
        if left < 1:
            raise OptionError(
                f"lr_warmup_steps must be fewer than max_train_steps, got {self.lr_warmup_steps} "
                f"and {self.max_train_steps}: the step size would still be rising at the end."
            )
        if self.lr_scheduler == "constant_with_warmup" and not self.lr_warmup_steps:
            raise OptionError(
                "lr_scheduler constant_with_warmup needs lr_warmup_steps: without it is constant."
            )
        if self.lr_scheduler == "cosine_with_restarts" and left < self.lr_num_cycles:
            raise OptionError(
                f"lr_num_cycles {self.lr_num_cycles} don't fit into the {left} steps after the "
                "warm-up: ask for fewer, or for more max_train_steps."
            )


@dataclass(frozen=True)
class EndpointOptions(_Checked):
    """A server with a vision-language model: a table of ``endpoints.toml``."""

    url: str = setting("", "Where the server's API begins: http://127.0.0.1:8000/v1.")
    model: str = setting("", "The model's name there.")
    convention: str | None = setting(
        None, "How it writes boxes, a name in limner.conventions (default: by the model's name)."
    )
    fit: str | None = setting(
        None, "How pictures are sized for it, a name in docs/vlm.md (default: by its name)."
    )
    max_side: int | None = setting(None, "Longest side of a picture that is sent.", low=28)
    key_env: str | None = setting(
        None, "The environment variable, or the keyring's entry, that holds the key."
    )
    samples: int = setting(1, "How often each question is asked.", low=1, high=100)
    temperature: float | None = setting(
        None, "Default: 0 for one sample, 0.7 for several.", low=0.0, high=2.0
    )
    phrases_at_once: int = setting(8, "Phrases in one question.", low=1, high=1000)
    timeout: float = setting(120.0, "Seconds to wait for an answer.", low=0.01)
    retries: int = setting(
        3, "How often a busy or unreachable server is asked again.", low=0, high=20
    )
    answer_tokens: int = setting(2048, "Tokens of one answer at most.", low=16)
    max_calls: int | None = setting(None, "Requests of one command or session at most.", low=1)
    max_tokens: int | None = setting(None, "Tokens of one command or session at most.", low=1)
    licence: str | None = setting(None, "The model's licence, or the service's terms.")
    commercial: str | None = setting(
        None, "Whether it allows commercial use.", choices=("yes", "no", "restricted")
    )


def from_dict(cls: type[OptionsT], data: Mapping[str, Any]) -> OptionsT:
    """Options from parsed JSON or TOML; an unknown key is an ``OptionError``."""
    known = [spec.name for spec in dataclasses.fields(cls)]  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise OptionError(f"{cls.__name__} has {', '.join(known)}; got {', '.join(unknown)}.")
    return cls(**data)


def to_dict(options: Any) -> dict[str, Any]:
    """All fields, as JSON values."""
    return dataclasses.asdict(options)


def changed(options: Any) -> dict[str, Any]:
    """The fields whose value is not the default."""
    return {
        spec.name: getattr(options, spec.name)
        for spec in dataclasses.fields(options)
        if getattr(options, spec.name) != spec.default
    }


def check_honoured(options: Any, honoured: frozenset[str], model: str, reason: str) -> None:
    """Refuse a setting that would have no effect.

    Args:
        honoured: names of the fields this model obeys.
        reason: why the others can't matter, as the end of a sentence.

    Raises:
        OptionError: a changed field is not among ``honoured``.
    """
    idle = sorted(set(changed(options)) - honoured)
    if idle:
        have = "has" if len(idle) == 1 else "have"
        raise OptionError(
            f"{', '.join(idle)} {have} no effect on {model}: {reason}. "
            f"It obeys {', '.join(sorted(honoured)) or 'no settings'}."
        )

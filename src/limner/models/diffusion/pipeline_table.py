"""Which of diffusers' pipelines paint for ``diffusion_fill``, and what each can and can't.

The table is read by the adapter and by the documentation (``docs/painting.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What all checkpoints of one pipeline share."""

    title: str
    pipeline: str
    """The class of diffusers that repaints."""
    opens: tuple[str, ...]
    """``_class_name`` of the folders whose parts it takes."""
    parts: tuple[str, ...]
    """The folders that hold weights."""
    native_size: int
    """px: the side of the pictures it was trained with."""
    grid: int
    """Latent pixels, or pairs of them, that sides must be multiples of."""
    tokens: int
    """Of text that it reads, with its own marks."""
    count: Callable[[Any, str], int]
    """``(pipeline, words)``: how many of them words take."""
    guidance: str | None = "guidance_scale"
    """The argument that ``guidance_scale`` goes to; None: the model has none."""
    guided_above: float | None = 1.0
    """Classifier-free guidance is off at this value and below; None: the guidance is distilled
    into the model, which computes no second answer."""
    negative: bool = True
    """Whether what must not be painted can be said."""
    no_negative: str | None = None
    """What stands for no negative phrase."""
    strength: bool = True
    """Whether it can keep something of what was there."""
    shrinks_mask: bool = True
    """Whether the mask is seen by latent pixels only."""
    from_words: str | None = None
    """The class of diffusers that makes whole pictures from words with the same parts; None: the
    checkpoint was made for inpainting."""
    fits: Callable[[Any], bool] = lambda pipe: True
    """Whether an opened pipeline of that class is of this kind."""


def _by(tokenizer: str) -> Callable[[Any, str], int]:
    def count(pipe: Any, words: str) -> int:
        reader = getattr(pipe, tokenizer)
        return len(reader.tokenize(words)) + int(reader.num_special_tokens_to_add())

    return count


def _in_qwens_template(pipe: Any, words: str) -> int:
    """The template's head is dropped after reading, its tail is not."""
    text = pipe.prompt_template_encode.format(words)
    return len(pipe.tokenizer(text).input_ids) - int(pipe.prompt_template_encode_start_idx)


def _in_a_chat(pipe: Any, words: str) -> int:
    text = pipe.tokenizer.apply_chat_template(
        [{"role": "user", "content": words}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=True,
    )
    return len(pipe.tokenizer(text).input_ids)


_TWO_ENCODERS = ("transformer", "vae", "text_encoder", "text_encoder_2")

FLUX_FILL = Kind(
    title="FLUX.1 Fill",
    pipeline="FluxFillPipeline",
    opens=("FluxFillPipeline",),
    parts=_TWO_ENCODERS,
    native_size=1024,
    grid=16,
    tokens=512,
    count=_by("tokenizer_2"),
    guided_above=None,
    negative=False,
    shrinks_mask=False,
)
FLUX_DEV = Kind(
    title="FLUX.1 dev",
    pipeline="FluxInpaintPipeline",
    opens=("FluxPipeline", "FluxInpaintPipeline"),
    parts=_TWO_ENCODERS,
    native_size=1024,
    grid=16,
    tokens=512,
    count=_by("tokenizer_2"),
    guided_above=None,
    negative=False,
    from_words="FluxPipeline",
    fits=lambda pipe: bool(pipe.transformer.config.guidance_embeds),
)
FLUX_SCHNELL = replace(
    FLUX_DEV, title="FLUX.1 schnell", tokens=256, guidance=None, fits=lambda pipe: True
)
KANDINSKY_22 = Kind(
    title="Kandinsky 2.2",
    pipeline="KandinskyV22InpaintCombinedPipeline",
    opens=("KandinskyV22InpaintCombinedPipeline",),
    parts=("unet", "movq", "prior_prior", "prior_image_encoder", "prior_text_encoder"),
    native_size=768,
    grid=64,
    tokens=77,
    count=_by("prior_tokenizer"),
    strength=False,
)
QWEN_IMAGE = Kind(
    title="Qwen-Image",
    pipeline="QwenImageInpaintPipeline",
    opens=("QwenImagePipeline", "QwenImageInpaintPipeline"),
    parts=("transformer", "vae", "text_encoder"),
    native_size=1024,
    grid=16,
    tokens=512,
    count=_in_qwens_template,
    guidance="true_cfg_scale",
    # Without a negative phrase diffusers turns guidance off; the model's card gives it a space.
    no_negative=" ",
    from_words="QwenImagePipeline",
)
Z_IMAGE = Kind(
    title="Z-Image",
    pipeline="ZImageInpaintPipeline",
    opens=("ZImagePipeline", "ZImageInpaintPipeline"),
    parts=("transformer", "vae", "text_encoder"),
    native_size=1024,
    grid=16,
    tokens=512,
    count=_in_a_chat,
    guided_above=0.0,
    from_words="ZImagePipeline",
)
STABLE_DIFFUSION_3 = Kind(
    title="Stable Diffusion 3 and 3.5",
    pipeline="StableDiffusion3InpaintPipeline",
    opens=("StableDiffusion3Pipeline", "StableDiffusion3InpaintPipeline"),
    parts=(*_TWO_ENCODERS, "text_encoder_3"),
    native_size=1024,
    grid=16,
    tokens=256,
    count=_by("tokenizer_3"),
    from_words="StableDiffusion3Pipeline",
    fits=lambda pipe: pipe.text_encoder_3 is not None,
)
STABLE_DIFFUSION_3_CLIP = replace(
    STABLE_DIFFUSION_3,
    title="Stable Diffusion 3 without T5",
    tokens=77,
    count=_by("tokenizer"),
    fits=lambda pipe: True,
)

KINDS = (
    FLUX_FILL,
    FLUX_DEV,
    FLUX_SCHNELL,
    KANDINSKY_22,
    QWEN_IMAGE,
    Z_IMAGE,
    STABLE_DIFFUSION_3,
    STABLE_DIFFUSION_3_CLIP,
)
"""Of several with one pipeline the first that fits."""

PIPELINES: Mapping[str, str] = {name: kind.pipeline for kind in KINDS for name in kind.opens}
"""``_class_name`` of a folder's ``model_index.json``, and what inpaints with its parts."""


def kind_of(pipe: Any) -> Kind:
    """The row of the table for a pipeline that was opened."""
    mine = type(pipe).__name__
    return next(kind for kind in KINDS if kind.pipeline == mine and kind.fits(pipe))

"""FLUX, Kandinsky, Qwen-Image, Z-Image and Stable Diffusion 3 repaint what a mask covers, and those
which weren't made for inpainting make whole pictures from words.

One adapter for what diffusers' ``AutoPipelineForInpainting`` opens and ``stable_diffusion``
doesn't; what differs is a row of ``pipeline_table.KINDS``. For the same numbers a picture is that
of diffusers' own pipeline, bit for bit.

These pipelines set their own noise levels by the size of the picture, in a way that only their own
scheduler takes: another one can't be chosen.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import diffusers
import numpy as np
import torch

from limner import options as settings
from limner.errors import OptionError, PromptError
from limner.models.blocks.lru import LruCache
from limner.models.blocks.overflow import check_finite
from limner.models.blocks.paint_checks import check_picture, words_given
from limner.models.diffusion.encoder_cache import ANSWERS_KEPT, cache_encoders
from limner.models.diffusion.loading import errors_only, pipeline_class, read_pipeline
from limner.models.diffusion.painting import (
    PictureRequest,
    canvas_requests,
    requests,
    resolve_seed,
    run_pipeline,
)
from limner.models.diffusion.pipeline_table import KANDINSKY_22, KINDS, PIPELINES, kind_of
from limner.models.diffusion.text_to_image import check_from_words, fill_canvas, with_parts_of
from limner.options import CanvasOptions, InpaintOptions
from limner.prompts import Text
from limner.protocols import ModelRef, OnStep
from limner.registry.weights import Runtime, Weights
from limner.rle import BoolMask

if TYPE_CHECKING:
    from PIL.Image import Image


def load(weights: Weights, runtime: Runtime) -> DiffusionFill:
    """Open a folder in diffusers' format; raises as ``read_pipeline`` does."""
    parts = dict.fromkeys(part for kind in KINDS for part in kind.parts)
    pipe = read_pipeline(weights, runtime, PIPELINES, parts, {})
    return DiffusionFill(weights.ref, pipe, weights.defaults)


class DiffusionFill:
    """Repaints from words. The pipeline is read, never changed: calls leave nothing behind."""

    takes_text = True

    def __init__(self, ref: ModelRef, pipe: Any, defaults: Mapping[str, Any]) -> None:
        """
        Args:
            pipe: of one of the classes in ``KINDS``.
            defaults: the checkpoint's own settings; what they don't name is as in diffusers.
        """
        self.ref = ref
        self.kind = kind_of(pipe)
        self.grid = self.kind.grid
        self.native_size: int | None = self.kind.native_size
        self.honoured = frozenset(
            {"num_inference_steps", "num_images_per_prompt", "seed"}
            | ({"guidance_scale"} if self.kind.guidance else set())
            | ({"strength"} if self.kind.strength else set())
        )
        self._pipe = pipe
        self._defaults = self._own_defaults(type(pipe), defaults)
        self._canvas_defaults = self._defaults
        if self.kind.from_words:
            whole = self._own_defaults(pipeline_class(self.kind.from_words), defaults)
            self._canvas_defaults = replace(whole, strength=None)
        self._answers: LruCache[Any] = LruCache(ANSWERS_KEPT)

    def _own_defaults(self, pipeline: Any, checkpoint: Mapping[str, Any]) -> InpaintOptions:
        call = inspect.signature(pipeline.__call__).parameters
        named = self.honoured - {"seed", "guidance_scale"}
        own = {name: call[name].default for name in named if name in call}
        if self.kind.guidance:
            own["guidance_scale"] = call[self.kind.guidance].default
        own |= {name: value for name, value in checkpoint.items() if name in self.honoured}
        return settings.from_dict(InpaintOptions, own)

    def resolve(self, options: InpaintOptions) -> InpaintOptions:
        """Fill in what was left to the model, and the seed; refuse what has no effect.

        What comes back holds all that decides the picture, and resolves to itself.

        Raises:
            OptionError: a setting with no effect.
        """
        self._check_honoured(options)
        return resolve_seed(self._defaults, options)

    def _check_honoured(self, options: InpaintOptions) -> None:
        settings.check_honoured(
            options, self.honoured, self.ref.name, f"{self.kind.title} doesn't know it"
        )

    def check(self, paint: Text | None, options: InpaintOptions) -> None:
        """Whether it can paint these words with these settings; no picture is needed to know.

        Raises:
            ModelError, PromptError, OptionError: as ``inpaint`` does.
        """
        self._words(paint, self.resolve(options))

    def _words(self, paint: Text | None, resolved: InpaintOptions) -> Text:
        paint = words_given(self.ref.name, paint)
        if paint.negative:
            self._check_negative(resolved)
        for what, words in (("phrase", paint.phrase), ("negative phrase", paint.negative)):
            tokens = self.kind.count(self._pipe, words)
            if tokens > self.kind.tokens:
                raise PromptError(
                    f"The {what} takes {tokens} tokens and {self.ref.name} reads "
                    f"{self.kind.tokens}: the rest would be cut off. Say it in fewer words."
                )
        return paint

    def _check_negative(self, resolved: InpaintOptions) -> None:
        """A negative phrase enters through classifier-free guidance, or not at all."""
        if not self.kind.negative:
            raise OptionError(
                f"negative_prompt has no effect on {self.ref.name}: it was distilled to paint "
                "without classifier-free guidance. Say what is to be there instead."
            )
        off = self.kind.guided_above or 0.0
        if (resolved.guidance_scale or 0.0) <= off:
            raise OptionError(
                f"negative_prompt has no effect with guidance_scale {resolved.guidance_scale:g}: "
                f"{off:g} or less turns classifier-free guidance off. Raise guidance_scale."
            )

    def inpaint(
        self,
        image: Image,
        mask: BoolMask,
        paint: Text | None,
        options: InpaintOptions,
        on_step: OnStep | None = None,
    ) -> list[Image]:
        """``num_images_per_prompt`` pictures; picture ``k`` is the one of seed ``seed + k`` alone.

        Raises:
            ModelError: no words were given.
            PromptError: more words than the text encoder holds, or a mask too thin to paint.
            OptionError: a setting with no effect, or a size that it can't paint.
            ResultError: the numbers overflowed.
        """
        resolved = self.resolve(options)
        words = self._words(paint, resolved)
        seen = 8 if self.kind.shrinks_mask else 1  # all of these have latents of 8 pixels
        check_picture(self.ref.name, image, mask, self.grid, seen)
        self._check_longest(max(image.size))
        return [self._paint(request) for request in requests(image, mask, words, resolved, on_step)]

    def resolve_canvas(
        self, canvas: CanvasOptions, options: InpaintOptions
    ) -> tuple[CanvasOptions, InpaintOptions]:
        """As ``resolve``, for whole pictures from words; what comes back resolves to itself.

        Raises:
            ModelError: the checkpoint was made for inpainting.
            OptionError: as ``resolve``; a strength, which needs a source; a size that it can't
                paint.
        """
        check_from_words(self.ref.name, self.kind.from_words is not None)
        canvas = fill_canvas(canvas, options, self.grid, self.kind.native_size)
        self._check_longest(max(canvas.width or 0, canvas.height or 0))
        self._check_honoured(options)
        return canvas, resolve_seed(self._canvas_defaults, replace(options, strength=None))

    def generate(
        self,
        paint: Text,
        canvas: CanvasOptions,
        options: InpaintOptions,
        on_step: OnStep | None = None,
    ) -> list[Image]:
        """``num_images_per_prompt`` pictures; picture ``k`` is the one of seed ``seed + k`` alone,
        and that of diffusers' own text-to-image pipeline.

        Raises:
            ModelError, OptionError: as ``resolve_canvas``.
            PromptError: more words than the text encoder holds.
            ResultError: the numbers overflowed.
        """
        canvas, resolved = self.resolve_canvas(canvas, options)
        words = self._words(paint, resolved)
        size_wh = (canvas.width or 0, canvas.height or 0)
        return [self._paint(r) for r in canvas_requests(size_wh, words, resolved, on_step)]

    def _check_longest(self, side: int) -> None:
        """Stable Diffusion 3 has learned a table of positions, which ends somewhere."""
        transformer = getattr(self._pipe, "transformer", None)
        table = getattr(transformer and transformer.config, "pos_embed_max_size", None)
        if table and side > table * self.grid:
            raise OptionError(
                f"{self.ref.name} paints sides up to {table * self.grid} pixels, got {side}: "
                "resize the image first."
            )

    def _paint(self, request: PictureRequest) -> Image:
        resolved, paint = request.options, request.paint
        call: dict[str, Any] = {}
        if self.kind.guidance:
            call[self.kind.guidance] = resolved.guidance_scale
        if self.kind.strength and request.mask is not None:
            call["strength"] = resolved.strength
        if self.kind.negative:
            call["negative_prompt"] = paint.negative or self.kind.no_negative
        if self.kind.tokens > 77:
            call["max_sequence_length"] = self.kind.tokens
        pipe = self._copy()
        cache_encoders(pipe, self._answers)
        if request.mask is None:
            pipe = with_parts_of(pipe, str(self.kind.from_words))
        # diffusers says that CLIP, which only sums a text up here, reads no more than 77 tokens.
        with errors_only(diffusers):
            painted = run_pipeline(pipe, self.ref.name, request, output_type="np", **call)
        check_finite(self.ref.name, torch.from_numpy(np.asarray(painted)), "in the autoencoder")
        picture: Image = pipe.numpy_to_pil(painted)[0]
        return picture

    def _copy(self) -> Any:
        """A call keeps its guidance and its scheduler's state in the pipeline: in this one."""
        pipe = copy.copy(self._pipe)
        if self.kind is KANDINSKY_22:  # two pipelines, which share the scheduler of none other
            for half in ("prior_pipe", "decoder_pipe"):
                setattr(pipe, half, _with_own_scheduler(copy.copy(getattr(pipe, half))))
            return pipe
        return _with_own_scheduler(pipe)


def _with_own_scheduler(pipe: Any) -> Any:
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    return pipe

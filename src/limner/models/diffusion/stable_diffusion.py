"""Stable Diffusion 1.5, 2 and XL repaint what a mask covers, from words, through diffusers.

For the same numbers a picture is that of diffusers' own pipeline, bit for bit, with these choices:

- Pictures are painted one at a time, each with its own generator. In a batch diffusers encodes the
  picture once, with the first generator, so all later ones differ from what their seed alone gives.
- No NSFW filter, even where the folder has one: it blacks out harmless photographs (CompVis
  #239, #331), costs 1.2 GB, and guards a public service, not one's own machine. No watermark
  either: whether diffusers adds one depends on which packages happen to be installed.
- A U-Net whose input is the latents alone (4 channels), made for text to image, works too: at each
  step diffusers puts the noised original back around the mask. Such a model doesn't see the
  surroundings while it paints; one made for inpainting (9: latents, mask, and the latents of what
  is around it) does, and joins better.
"""

from __future__ import annotations

import copy
import difflib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import diffusers
import torch

from limner import options as settings
from limner.errors import ModelError, OptionError, PromptError
from limner.models.blocks.lru import LruCache
from limner.models.blocks.overflow import check_finite
from limner.models.blocks.paint_checks import check_picture, words_given
from limner.models.diffusion.encoder_cache import ANSWERS_KEPT, cache_encoders
from limner.models.diffusion.loading import open_pipeline, own_deprecations_unheard
from limner.models.diffusion.lora import add_adapters
from limner.models.diffusion.painting import (
    PictureRequest,
    canvas_requests,
    requests,
    resolve_seed,
    run_pipeline,
)
from limner.models.diffusion.refiner import check_fast, check_shares, open_refiner, shares
from limner.models.diffusion.text_to_image import (
    check_from_words,
    fill_canvas,
    refining,
    text_to_image,
    text_to_image_class,
)
from limner.options import CanvasOptions, InpaintOptions
from limner.prompts import Text
from limner.protocols import ModelRef, OnStep
from limner.registry.store import DEFAULTS
from limner.registry.weights import Runtime, Weights
from limner.rle import BoolMask

if TYPE_CHECKING:
    from PIL.Image import Image

HONOURED = frozenset(
    {
        "num_inference_steps",
        "guidance_scale",
        "strength",
        "scheduler",
        "num_images_per_prompt",
        "seed",
    }
)

UNFIT: Mapping[str, str] = {
    "DPMSolverSDEScheduler": "it draws its noise from torchsde, not from the seed",
    "EDMEulerScheduler": "it is made for EDM models, and tells this one the wrong timesteps",
}
"""Schedulers that diffusers calls compatible, and why they aren't."""


def load(weights: Weights, runtime: Runtime) -> StableDiffusion:
    """Open a folder in diffusers' format; raises as ``open_pipeline`` and ``add_adapters`` do."""
    pipe = open_pipeline(weights, runtime)
    add_adapters(pipe, weights)
    fast = any(adapter.accelerates for adapter in weights.adapters)
    refiner = open_refiner(weights, pipe, runtime) if weights.refiner else None
    return StableDiffusion(weights.ref, pipe, weights.defaults, fast=fast, refiner=refiner)


class StableDiffusion:
    """Repaints from words. The pipeline is read, never changed: calls leave nothing behind."""

    takes_text = True

    def __init__(
        self,
        ref: ModelRef,
        pipe: Any,
        defaults: Mapping[str, Any],
        *,
        fast: bool = False,
        refiner: Any = None,
    ) -> None:
        """
        Args:
            pipe: an inpaint pipeline from ``open_pipeline``.
            defaults: the checkpoint's own settings; what they don't name is as in diffusers.
            fast: an adapter lets it paint in a few steps, by one scheduler.
            refiner: a pipeline from ``open_refiner`` that does the last steps.
        """
        self.ref = ref
        self.grid: int = pipe.vae_scale_factor
        """Latent pixels. The U-Net halves them with padding and doubles them with a crop, so
        that any number of them is aligned, not only multiples of its own factor of 8."""
        self.native_size: int | None = pipe.unet.config.sample_size * pipe.vae_scale_factor
        self._pipe, self._refiner, self._fast = pipe, refiner, fast
        self._schedulers = _schedulers(pipe.scheduler)
        if fast:  # it steps along any model's noise levels, where an adapter taught it to
            self._schedulers["LCMScheduler"] = diffusers.LCMScheduler
        own = ({"denoising_end": 0.8} if refiner else {}) | dict(defaults)
        self._defaults = _defaults(type(pipe), pipe, own)
        self._canvas_defaults = _defaults(text_to_image_class(pipe), pipe, own | {"strength": 1.0})
        self._answers: LruCache[Any] = LruCache(ANSWERS_KEPT)
        self._refiners_answers: LruCache[Any] = LruCache(ANSWERS_KEPT)
        self._possible: set[tuple[Any, ...]] = set()
        """Steps, strength and scheduler that go together."""

    def resolve(self, options: InpaintOptions) -> InpaintOptions:
        """Fill in what was left to the model, and the seed; refuse what can't be done.

        What comes back holds all that decides the picture, and resolves to itself.

        Raises:
            OptionError: a setting with no effect, no such scheduler, or no step to do.
        """
        return self._resolve(self._defaults, options)

    def _resolve(self, defaults: InpaintOptions, options: InpaintOptions) -> InpaintOptions:
        idle = "it paints by diffusion, not by a classical fill"
        if options.denoising_end is not None and not self._refiner:
            idle = "no refiner takes over (--refiner)"
        honoured = HONOURED | ({"denoising_end"} if self._refiner else set())
        settings.check_honoured(options, honoured, self.ref.name, idle)
        resolved = resolve_seed(defaults, options)
        if self._fast:
            check_fast(self.ref.name, resolved, str(self._defaults.scheduler))
        self._check_steps(resolved)
        return resolved

    def check(self, paint: Text | None, options: InpaintOptions) -> None:
        """Whether it can paint these words with these settings; no picture is needed to know.

        Raises:
            ModelError, PromptError, OptionError: as ``inpaint`` does.
        """
        self._words(paint, self.resolve(options))

    def _words(self, paint: Text | None, resolved: InpaintOptions) -> Text:
        paint = words_given(self.ref.name, paint)
        self._check_words(paint)
        self._check_guided(paint, resolved)
        return paint

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
            OptionError: a setting with no effect, or a size off the grid.
            ResultError: the numbers overflowed.
        """
        resolved = self.resolve(options)
        words = self._words(paint, resolved)
        # diffusers looks at one pixel in ``grid``, to shrink the mask.
        check_picture(self.ref.name, image, mask, self.grid, self.grid)
        return [self._paint(request) for request in requests(image, mask, words, resolved, on_step)]

    def resolve_canvas(
        self, canvas: CanvasOptions, options: InpaintOptions
    ) -> tuple[CanvasOptions, InpaintOptions]:
        """As ``resolve``, for whole pictures from words; what comes back resolves to itself.

        Raises:
            ModelError: its U-Net was made for inpainting.
            OptionError: as ``resolve``; a strength, which needs a source; a size off the grid.
        """
        latents = self._pipe.vae.config.latent_channels
        check_from_words(self.ref.name, int(self._pipe.unet.config.in_channels) <= latents)
        canvas = fill_canvas(canvas, options, int(self.grid), int(self.native_size or self.grid))
        return canvas, self._resolve(self._canvas_defaults, replace(options, strength=1.0))

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

    def _paint(self, request: PictureRequest) -> Image:
        if self._refiner is None:
            pixels = self._run(self._own(request), request)
        else:
            pixels = self._refined(request)
        check_finite(self.ref.name, pixels, "in the autoencoder")
        array = self._pipe.image_processor.pt_to_numpy(pixels)
        picture: Image = self._pipe.image_processor.numpy_to_pil(array)[0]
        return picture

    def _refined(self, request: PictureRequest) -> torch.Tensor:
        """The first steps by this model, the last by the refiner, from the first's latents."""
        resolved, report = request.options, request.report
        first, last = shares(self._scheduler(resolved), resolved)
        latents = self._run(
            self._own(request),
            replace(request, report=lambda done, _: report(done, first + last)),
            output_type="latent",
            denoising_end=resolved.denoising_end,
        )
        return self._run(
            self._refining(request),
            replace(
                request,
                image=latents,
                report=lambda done, _: report(first + done, first + last),
            ),
            denoising_start=resolved.denoising_end,
        )

    def _own(self, request: PictureRequest) -> Any:
        """The pipeline for one call: the one that repaints, or that makes pictures from words.

        A shallow copy, for a call keeps its guidance and its scheduler's state in the pipeline.
        Not ``from_pipe``: that casts the shared weights to float32.
        """
        pipe = copy.copy(self._pipe)
        pipe.scheduler = self._scheduler(request.options)
        cache_encoders(pipe, self._answers)
        return text_to_image(pipe) if request.mask is None else pipe

    def _refining(self, request: PictureRequest) -> Any:
        """The refiner's pipeline for one call, with the same scheduler on its own noise levels."""
        pipe = copy.copy(self._refiner)
        pipe.scheduler = self._scheduler(request.options, pipe.scheduler.config)
        cache_encoders(pipe, self._refiners_answers)
        return refining(pipe) if request.mask is None else pipe

    def _run(self, pipe: Any, request: PictureRequest, **arguments: Any) -> torch.Tensor:
        resolved = request.options
        call = {"output_type": "pt", **arguments}
        if request.mask is not None:
            call["strength"] = resolved.strength
        with _intact(pipe):
            images: torch.Tensor = run_pipeline(
                pipe,
                self.ref.name,
                request,
                # SDXL tells "no negative" from an empty one.
                negative_prompt=request.paint.negative or None,
                guidance_scale=resolved.guidance_scale,
                **call,
            )
        return images

    def _scheduler(self, resolved: InpaintOptions, config: Any = None) -> Any:
        """A new scheduler with the checkpoint's own noise schedule, or another's ``config``."""
        known, name = self._schedulers, str(resolved.scheduler)
        if name in known:
            with own_deprecations_unheard():
                return known[name].from_config(config or self._pipe.scheduler.config)
        if name in UNFIT:
            raise OptionError(f"{name} can't paint with {self.ref.name}: {UNFIT[name]}.")
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or sorted(known)
        raise OptionError(f"{self.ref.name} has no scheduler {name!r}; nearest: {', '.join(near)}.")

    def _check_steps(self, resolved: InpaintOptions) -> None:
        """Making a scheduler takes a few milliseconds, and the same is asked many times."""
        settings_of_steps = (
            resolved.num_inference_steps,
            resolved.strength,
            resolved.scheduler,
            resolved.denoising_end,
        )
        if settings_of_steps not in self._possible:
            self._check_schedule(resolved)
            self._possible.add(settings_of_steps)

    def _check_schedule(self, resolved: InpaintOptions) -> None:
        steps, strength = resolved.num_inference_steps or 0, resolved.strength or 0.0
        if int(steps * strength) < 1:  # as in the pipeline's get_timesteps
            raise OptionError(
                f"num_inference_steps {steps} x strength {strength:g} is less than one step, so "
                f"nothing would be painted: give at least {_least_steps(strength)} steps."
            )
        scheduler = self._scheduler(resolved)
        try:
            with own_deprecations_unheard():
                scheduler.set_timesteps(steps)
        except ValueError as error:
            raise OptionError(f"{resolved.scheduler} can't do {steps} steps: {error}") from error
        trained = scheduler.config.num_train_timesteps
        if scheduler.timesteps.max() >= trained:  # its steps start at 1, and one too many are asked
            raise OptionError(
                f"{resolved.scheduler} can't do {steps} steps: the model knows {trained} levels of "
                "noise, counted from 0. Ask for fewer."
            )
        if self._refiner:
            check_shares(*shares(scheduler, resolved), resolved)

    def _check_words(self, paint: Text) -> None:
        for what, words in (("phrase", paint.phrase), ("negative phrase", paint.negative)):
            for tokenizer in filter(None, map(self._part, ("tokenizer", "tokenizer_2"))):
                room: int = tokenizer.model_max_length
                edges: int = tokenizer.num_special_tokens_to_add()
                tokens = len(tokenizer.tokenize(words, verbose=False))
                if tokens + edges > room:
                    raise PromptError(
                        f"The {what} has {tokens} tokens and {self.ref.name} reads {room - edges}: "
                        "the rest would be cut off. Say it in fewer words."
                    )

    def _check_guided(self, paint: Text, resolved: InpaintOptions) -> None:
        """A negative phrase enters through classifier-free guidance, or not at all."""
        if not paint.negative:
            return
        if self._pipe.unet.config.time_cond_proj_dim is not None:
            raise OptionError(
                f"negative_prompt has no effect on {self.ref.name}: it was distilled to paint "
                "without classifier-free guidance."
            )
        if (resolved.guidance_scale or 0.0) <= 1.0:
            raise OptionError(
                f"negative_prompt has no effect with guidance_scale {resolved.guidance_scale:g}: "
                "1 or less turns classifier-free guidance off. Raise guidance_scale above 1."
            )

    def _part(self, name: str) -> Any:
        return getattr(self._pipe, name, None)


@contextmanager
def _intact(pipe: Any) -> Iterator[None]:
    """SDXL in float16 upcasts its autoencoder for a while; stopped then, it would stay so."""
    vae, dtype = pipe.vae, pipe.vae.dtype
    try:
        yield
    finally:
        if vae.dtype != dtype:
            vae.to(dtype)


def _schedulers(own: Any) -> dict[str, Any]:
    """The scheduler classes that can stand in for a checkpoint's own, and its own, by name."""
    compatible = {one.__name__: one for one in own.compatibles if one.__name__ not in UNFIT}
    return compatible | {type(own).__name__: type(own)}


def _defaults(kind: Any, pipe: Any, checkpoint: Mapping[str, Any]) -> InpaintOptions:
    """What a class of pipelines does where nothing is said, under the checkpoint's own settings."""
    call = inspect.signature(kind.__call__).parameters
    names = ("num_inference_steps", "guidance_scale", "strength", "num_images_per_prompt")
    own = {name: call[name].default for name in names if name in call}
    own["scheduler"] = type(pipe.scheduler).__name__
    try:
        return settings.from_dict(InpaintOptions, own | dict(checkpoint))
    except OptionError as error:  # of a folder's DEFAULTS: the catalog's are tested
        raise ModelError(f"The model's own settings ({DEFAULTS}) are damaged: {error}") from error


def _least_steps(strength: float) -> int:
    return next(steps for steps in range(1, 1001) if int(steps * strength) >= 1)

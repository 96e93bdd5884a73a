"""DreamBooth (Ruiz et al. 2022, arXiv:2208.12242), from the first photograph to the last step.

``teach`` is the recipe; it reads from top to bottom. What the model is shown is computed once and
kept by content, so that the autoencoder and the text encoder leave memory before the first step.
The losses are in ``losses``; every draw is decided by the seed and the step's number (``noise``).
Several devices and machines: start it with ``torchrun`` or ``accelerate launch``.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from limner.errors import MissingExtra, OptionError
from limner.io.save import write_atomic
from limner.models.blocks.oom import guard_memory
from limner.models.diffusion.loading import PARTS
from limner.options import TeachOptions, changed
from limner.options.base import check_idle
from limner.protocols import OnStep
from limner.registry.device import devices
from limner.registry.weights import Runtime
from limner.training import (
    captions,
    checkpoints,
    class_images,
    generate,
    identifiers,
    instance_images,
    latents,
    mmap_weights,
    rates,
    resume,
    validation,
)
from limner.training.base_model import Base, find_base, open_base, resolution_of
from limner.training.identifiers import Naming
from limner.training.instance_images import Outline, Photographs
from limner.training.step import Stepper, base_dtype
from limner.training.trainable import prepare_trainable
from limner.training.validation import Validation, Words

if TYPE_CHECKING:
    from accelerate import Accelerator
    from PIL.Image import Image

ADVICE = (
    "lower train_batch_size or resolution, or take --gradient-checkpointing or "
    "--mixed-precision bf16"
)


@dataclass(frozen=True)
class TeachConfig:
    """What is taught to which model, and where the run lies."""

    model: str
    """A name of the catalog, or a folder."""
    photographs: Path
    folder: Path
    """Of the run: job, log, checkpoints, validation pictures."""
    options: TeachOptions
    class_images: Path | None = None
    """Somebody's own pictures of the class, instead of made ones."""
    device: str | None = None
    """None: the first GPU, else the CPU."""
    anew: bool = False
    """Forget a run that is in the folder, once nothing speaks against this one."""


@dataclass(frozen=True)
class StepReport:
    """One step of the optimizer."""

    step: int
    """From 1."""
    total: int
    loss: float
    instance: float
    """Equation (1)'s term alone."""
    prior: float | None
    """The prior's term before λ; None without it."""
    seconds: float


def _do_nothing(*_: Any) -> None:
    """The callback where none was given."""


@dataclass(frozen=True)
class Callbacks:
    """What is called while a run goes on; by default nothing is."""

    say: Callable[[str], None] = _do_nothing
    on_begin: Callable[[Mapping[str, Any], Mapping[str, Any]], None] = _do_nothing
    """Once nothing speaks against the run: what decides what is learned, and the base."""
    on_class_image: OnStep = _do_nothing
    on_step: Callable[[StepReport], None] = _do_nothing
    on_picture: Callable[[str, int, Image], None] = _do_nothing
    """A validation picture: ``with-0`` or ``without-0``, and the step."""
    outline: Outline | None = None
    """Finds the subject in a photograph, to crop around it."""


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A finished run."""

    base: Base
    naming: Naming
    photographs: Photographs
    captions: Mapping[str, str]
    checkpoint: Path
    step: int
    side: int
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())
    class_images: int = 0
    """Pictures of the class that it was shown."""
    is_main: bool = True
    """False in all processes but one, where there are several."""


def teach(config: TeachConfig, callbacks: Callbacks | None = None) -> TrainingResult:
    """Teach a model a subject; a run that was stopped goes on.

    Raises:
        ImageError, OptionError, InputError: photographs, prompts or settings that can't be meant.
        ModelError: no diffusion model, or a run in this folder that was of something else.
        OutputError: no room, or no permission; the last whole checkpoint stays usable.
        OutOfMemory: with what to lower.
    """
    start, callbacks, options = time.monotonic(), callbacks or Callbacks(), config.options

    # What is asked: all that can be refused is, before anything is computed.
    naming = identifiers.naming(options.instance_prompt, options.class_prompt)
    optimizer_kind = _optimizer_kind(options)
    if options.mask_background and callbacks.outline is None:
        raise OptionError("mask_background needs to know where the subject is: give --crop-to.")
    _check_class_images(config)
    weights = find_base(config.model)
    accelerator = _accelerator(options, config.device)
    base = open_base(weights, Runtime(str(accelerator.device), base_dtype(options)))
    if options.method == "lora":
        parts = (getattr(base.pipe, name, None) for name in PARTS)
        mmap_weights.leave_in_file(*(part for part in parts if part is not None))
    side = resolution_of(base, options.resolution)
    warnings = [*naming.notes, *identifiers.check(naming.identifier, base.pipe.tokenizer)]
    photographs = instance_images.read(config.photographs, side, callbacks.outline)
    own_class_images = _own_class_images(config, side)
    prompt, class_prompt = str(options.instance_prompt), str(options.class_prompt)
    names = [photo.name for photo in photographs.usable]
    captioned = captions.read(config.photographs, names, prompt, naming)
    texts = list(captioned.texts)
    words = validation.words_of(options, naming)
    _check_lengths(base, prompt, class_prompt, dict(zip(names, texts, strict=True)), words)
    job = resume.job(options, base, photographs, texts, side, config.class_images)
    if not config.anew:
        resume.check_job(config.folder, job)
    elif accelerator.is_main_process:
        shutil.rmtree(config.folder, ignore_errors=True)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        for sentence in (*photographs.notes, *captioned.notes, *warnings):
            callbacks.say(sentence)
        if own_class_images:
            callbacks.say(
                f"{len(own_class_images)} pictures of the class are taken from "
                f"{config.class_images}."
            )
        callbacks.on_begin(job, base.ref.to_dict())

    # What the model is shown, computed once.
    with accelerator.main_process_first():
        pictures_of_class = own_class_images
        if options.with_prior_preservation and not own_class_images:
            pictures_of_class = _make_class_images(config, base, side, callbacks)
        validated = [each.prompt for each in words]
        embeddings = latents.read(base, [*texts, class_prompt, prompt, "", *validated])
        subject_latents = latents.encode(
            base,
            [photo.image for photo in photographs.usable],
            embeddings.rows(texts),
            [photo.subject for photo in photographs.usable] if options.mask_background else None,
        )
        class_latents = (
            latents.encode(
                base, pictures_of_class, embeddings.rows([class_prompt] * len(pictures_of_class))
            )
            if pictures_of_class
            else None
        )
    if not options.validates:
        base.let_go("vae")
    if not options.train_text_encoder:
        base.let_go("text_encoder", "text_encoder_2")

    # What learns, and how.
    trainable = prepare_trainable(base, options)
    most_checkpoints = options.checkpoints_total_limit or _checkpoints(options)
    checkpoints.check_room(config.folder / "checkpoints", trainable, most_checkpoints)
    parts_in_training = {name: accelerator.prepare(part) for name, part in trainable.parts.items()}
    optimizer = accelerator.prepare(
        optimizer_kind(
            trainable.parameters,
            lr=rates.learning_rate(options),
            weight_decay=options.adam_weight_decay,
        )
    )
    first_step = resume.resume(config.folder, trainable, optimizer.optimizer, options)
    if first_step:
        callbacks.say(f"Going on from step {first_step}.")
    if accelerator.is_main_process:
        write_atomic(config.folder / resume.JOB, json.dumps(job, indent=2) + "\n", overwrite=True)
        resume.cut_log(config.folder / resume.LOG, first_step)

    # The steps.
    step = Stepper(
        base, parts_in_training, embeddings, subject_latents, class_latents, options, accelerator
    )
    painter = Validation(base, options, words, embeddings, side, config.folder / "validation")
    checkpoint = config.folder / "checkpoints" / f"{first_step:06}"
    for number in range(first_step, options.max_train_steps):
        started = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = rates.rate_at(number, options)
        with guard_memory(ADVICE):
            instance, prior = step(number, optimizer, trainable)
        report = _report(number + 1, options, instance, prior, time.monotonic() - started)
        if not accelerator.is_main_process:
            continue
        resume.log(config.folder / resume.LOG, asdict(report))
        callbacks.on_step(report)
        if report.step % options.checkpointing_steps == 0 or report.step == report.total:
            checkpoint = checkpoints.save(
                config.folder / "checkpoints",
                report.step,
                base,
                trainable,
                optimizer.optimizer,
                keep=options.checkpoints_total_limit,
                facts={"loss": report.loss},
            )
        if validation.is_due(options, report.step):
            with accelerator.autocast():  # the U-Net answers in float32, whatever the rest is in
                painter.paint(report.step, callbacks.on_picture)
    return TrainingResult(
        base,
        naming,
        photographs,
        dict(zip(names, texts, strict=True)),
        checkpoint,
        options.max_train_steps,
        side,
        time.monotonic() - start,
        tuple(warnings),
        len(pictures_of_class),
        accelerator.is_main_process,
    )


# ---- parts of the recipe


def _accelerator(options: TeachOptions, device: str | None) -> Accelerator:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if options.mixed_precision == "fp16" and (device == "cpu" or devices() == ("cpu",)):
        raise OptionError("mixed_precision fp16 is for GPUs: on the CPU take bf16, or no.")
    # Kept for the whole process otherwise, and another precision then is an error.
    AcceleratorState._reset_state()
    return Accelerator(
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        mixed_precision=options.mixed_precision,
        cpu=device == "cpu",
    )


def _check_lengths(
    base: Base, prompt: str, class_prompt: str, texts: Mapping[str, str], words: Sequence[Words]
) -> None:
    named = {"instance prompt": prompt, "class prompt": class_prompt}
    named |= {f"caption of {name}": text for name, text in texts.items()}
    named |= {f"validation prompt {each.prompt!r}": each.prompt for each in words}
    tokenizers = (getattr(base.pipe, name, None) for name in ("tokenizer", "tokenizer_2"))
    captions.check_lengths(named, filter(None, tokenizers), base.ref.name)


def _check_class_images(config: TeachConfig) -> None:
    """Refuse settings of pictures that aren't made, or aren't looked at.

    Raises:
        OptionError: there are any.
    """
    if config.class_images is None:
        return
    if not config.options.with_prior_preservation:
        raise OptionError("class_images has no effect without with_prior_preservation.")
    making = ("sample_batch_size", "class_inference_steps", "class_guidance_scale")
    given = changed(config.options)
    check_idle([name for name in making if name in given], "with class_images: none is made")


def _own_class_images(config: TeachConfig, side: int) -> list[Any]:
    """Somebody's own pictures of the class; none where they are to be made."""
    if config.class_images is None:
        return []
    count, exactly = config.options.num_class_images, "num_class_images" in changed(config.options)
    return class_images.read(config.class_images, side, count, exactly=exactly)


def _make_class_images(
    config: TeachConfig, base: Base, side: int, callbacks: Callbacks
) -> list[Any]:
    options = config.options
    guidance = options.class_guidance_scale
    pictures = class_images.ClassImages(
        str(options.class_prompt),
        side,
        options.class_inference_steps or generate.STEPS,
        base.guidance if guidance is None else guidance,
    )
    count, batch = options.num_class_images, options.sample_batch_size
    return class_images.make(base, pictures, count, batch, callbacks.on_class_image)


def _optimizer_kind(options: TeachOptions) -> Any:
    if not options.use_8bit_adam:
        return torch.optim.AdamW
    try:
        import bitsandbytes
    except ImportError:
        raise MissingExtra(
            'use_8bit_adam needs the package bitsandbytes: pip install "limner[bitsandbytes]".'
        ) from None
    return bitsandbytes.optim.AdamW8bit


def _report(
    step: int,
    options: TeachOptions,
    instance: torch.Tensor,
    prior: torch.Tensor | None,
    seconds: float,
) -> StepReport:
    prior_loss = None if prior is None else float(prior)
    loss = float(instance) + options.prior_loss_weight * (prior_loss or 0.0)
    return StepReport(step, options.max_train_steps, loss, float(instance), prior_loss, seconds)


def _checkpoints(options: TeachOptions) -> int:
    return -(-options.max_train_steps // options.checkpointing_steps)

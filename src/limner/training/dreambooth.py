"""DreamBooth (Ruiz et al. 2022, arXiv:2208.12242), from the first photograph to the last step.

``teach`` is the recipe; it reads from top to bottom. What the model is shown is computed once and
kept by content, so that the autoencoder and the text encoder leave memory before the first step.
The losses are in ``losses``; every draw is decided by the seed and the step's number (``draws``).
Several devices and machines: start it with ``torchrun`` or ``accelerate launch``.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from limner.errors import MissingExtra, OptionError
from limner.io.save import save_image, write_atomic
from limner.models.blocks.oom import guard_memory
from limner.models.diffusion.loading import PARTS
from limner.options import TeachOptions, changed
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
)
from limner.training.base_model import Base, find_base, open_base, resolution_of
from limner.training.identifiers import Naming
from limner.training.instance_images import Outline, Photographs
from limner.training.latents import TextEmbeddings
from limner.training.step import Stepper, base_dtype, weight_dtype
from limner.training.trainable import prepare_trainable

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


def _unheard(*_: Any) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Callbacks:
    """Who hears of a run; by default nobody."""

    say: Callable[[str], None] = _unheard
    on_begin: Callable[[Mapping[str, Any], Mapping[str, Any]], None] = _unheard
    """Once nothing speaks against the run: what decides what is learned, and the base."""
    on_class_image: OnStep = _unheard
    on_step: Callable[[StepReport], None] = _unheard
    on_picture: Callable[[str, int, Image], None] = _unheard
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


def teach(order: TeachConfig, watch: Callbacks | None = None) -> TrainingResult:
    """Teach a model a subject; a run that was stopped goes on.

    Raises:
        ImageError, OptionError, InputError: photographs, prompts or settings that can't be meant.
        ModelError: no diffusion model, or a run in this folder that was of something else.
        OutputError: no room, or no permission; the last whole checkpoint stays usable.
        OutOfMemory: with what to lower.
    """
    began, watch, options = time.monotonic(), watch or Callbacks(), order.options

    # What is asked: all that can be refused is, before anything is computed.
    naming = identifiers.naming(options.instance_prompt, options.class_prompt)
    optimizer_kind = _optimizer_kind(options)
    if options.mask_background and watch.outline is None:
        raise OptionError("mask_background needs to know where the subject is: give --crop-to.")
    if order.class_images and not options.with_prior_preservation:
        raise OptionError("class_images has no effect without with_prior_preservation.")
    if order.class_images and "sample_batch_size" in changed(options):
        raise OptionError("sample_batch_size has no effect with class_images: none is made.")
    weights = find_base(order.model)
    accelerator = _accelerator(options, order.device)
    base = open_base(weights, Runtime(str(accelerator.device), base_dtype(options)))
    if options.method == "lora":
        parts = (getattr(base.pipe, name, None) for name in PARTS)
        mmap_weights.leave_in_file(*(part for part in parts if part is not None))
    side = resolution_of(base, options.resolution)
    warnings = [*naming.notes, *identifiers.check(naming.identifier, base.pipe.tokenizer)]
    shown = instance_images.read(order.photographs, side, watch.outline)
    own = _own_class_images(order, side)
    prompt, class_prompt = str(options.instance_prompt), str(options.class_prompt)
    names = [one.name for one in shown.usable]
    read = captions.read(order.photographs, names, prompt, naming)
    texts = list(read.texts)
    _check_lengths(base, prompt, class_prompt, dict(zip(names, texts, strict=True)))
    job = resume.job(options, base, shown, texts, side, order.class_images)
    if not order.anew:
        resume.check_job(order.folder, job)
    elif accelerator.is_main_process:
        shutil.rmtree(order.folder, ignore_errors=True)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        for sentence in (*shown.notes, *read.notes, *warnings):
            watch.say(sentence)
        if own:
            watch.say(f"{len(own)} pictures of the class are taken from {order.class_images}.")
        watch.on_begin(job, base.ref.to_dict())

    # What the model is shown, computed once.
    with accelerator.main_process_first():
        class_pictures = own
        if options.with_prior_preservation and not own:
            class_pictures = _made_class_images(order, base, side, watch)
        different = list(dict.fromkeys([*texts, class_prompt, prompt, ""]))
        words = latents.read(base, different)
        of_subject = latents.encode(
            base,
            [one.image for one in shown.usable],
            [different.index(text) for text in texts],
            [one.subject for one in shown.usable] if options.mask_background else None,
        )
        of_class = (
            latents.encode(
                base, class_pictures, [different.index(class_prompt)] * len(class_pictures)
            )
            if class_pictures
            else None
        )
    if options.validation_steps is None:
        base.let_go("vae")
    if not options.train_text_encoder:
        base.let_go("text_encoder", "text_encoder_2")

    # What learns, and how.
    pupil = prepare_trainable(base, options)
    kept_at_once = options.checkpoints_total_limit or _checkpoints(options)
    checkpoints.check_room(order.folder / "checkpoints", pupil, kept_at_once)
    learning = {name: accelerator.prepare(part) for name, part in pupil.parts.items()}
    optimizer = accelerator.prepare(
        optimizer_kind(
            pupil.parameters,
            lr=rates.learning_rate(options),
            weight_decay=options.adam_weight_decay,
        )
    )
    begin = resume.resume(order.folder, pupil, optimizer.optimizer, options)
    if begin:
        watch.say(f"Going on from step {begin}.")
    if accelerator.is_main_process:
        write_atomic(order.folder / resume.JOB, json.dumps(job, indent=2) + "\n", overwrite=True)
        resume.cut_log(order.folder / resume.LOG, begin)

    # The steps.
    step = Stepper(base, learning, words, of_subject, of_class, options, accelerator)
    checkpoint = order.folder / "checkpoints" / f"{begin:06}"
    for number in range(begin, options.max_train_steps):
        started = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = rates.rate_at(number, options)
        with guard_memory(ADVICE):
            instance, prior = step(number, optimizer, pupil)
        report = _report(number + 1, options, instance, prior, time.monotonic() - started)
        if not accelerator.is_main_process:
            continue
        resume.log(order.folder / resume.LOG, asdict(report))
        watch.on_step(report)
        if report.step % options.checkpointing_steps == 0 or report.step == report.total:
            checkpoint = checkpoints.save(
                order.folder / "checkpoints",
                report.step,
                base,
                pupil,
                optimizer.optimizer,
                keep=options.checkpoints_total_limit,
                facts={"loss": report.loss},
            )
        if options.validation_steps and report.step % options.validation_steps == 0:
            with accelerator.autocast():  # the U-Net answers in float32, whatever the rest is in
                _validate(order, base, words, different, side, report.step, watch)
    return TrainingResult(
        base,
        naming,
        shown,
        dict(zip(names, texts, strict=True)),
        checkpoint,
        options.max_train_steps,
        side,
        time.monotonic() - began,
        tuple(warnings),
        len(class_pictures),
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


def _check_lengths(base: Base, prompt: str, class_prompt: str, texts: Mapping[str, str]) -> None:
    named = {"instance prompt": prompt, "class prompt": class_prompt}
    named |= {f"caption of {name}": text for name, text in texts.items()}
    tokenizers = (getattr(base.pipe, name, None) for name in ("tokenizer", "tokenizer_2"))
    captions.check_lengths(named, filter(None, tokenizers), base.ref.name)


def _own_class_images(order: TeachConfig, side: int) -> list[Any]:
    """Somebody's own pictures of the class; none where they are to be made."""
    if order.class_images is None:
        return []
    count, exactly = order.options.num_class_images, "num_class_images" in changed(order.options)
    return class_images.read(order.class_images, side, count, exactly=exactly)


def _made_class_images(order: TeachConfig, base: Base, side: int, watch: Callbacks) -> list[Any]:
    options = order.options
    return class_images.make(
        base,
        str(options.class_prompt),
        side,
        options.num_class_images,
        options.sample_batch_size,
        watch.on_class_image,
    )


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
    of_class = None if prior is None else float(prior)
    loss = float(instance) + options.prior_loss_weight * (of_class or 0.0)
    return StepReport(step, options.max_train_steps, loss, float(instance), of_class, seconds)


def _validate(
    order: TeachConfig,
    base: Base,
    words: TextEmbeddings,
    different: list[str],
    side: int,
    step: int,
    watch: Callbacks,
) -> None:
    """Pictures of the same seeds with the identifier and without, which should stay as it was."""
    options = order.options
    for prompt, name in ((options.instance_prompt, "with"), (options.class_prompt, "without")):
        for k in range(options.num_validation_images):
            prompts: Any = [str(prompt)]
            if not options.train_text_encoder:
                prompts = _embedded(base, words, different, str(prompt), weight_dtype(options))
            seed = options.seed + k
            (picture,) = generate.paint(
                base.pipe, prompts, [seed], side, base.guidance, steps=generate.STEPS
            )
            record = {"prompt": prompt, "step": step, "seed": seed, "base": base.ref.to_dict()}
            path = order.folder / "validation" / f"{step:06}-{name}-{k}.png"
            save_image(picture, path, record=record, overwrite=True)
            watch.on_picture(f"{name}-{k}", step, picture)


def _embedded(
    base: Base, words: TextEmbeddings, different: list[str], prompt: str, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """A prompt and no words as a pipeline takes them, now that the text encoder is gone."""
    row, empty = different.index(prompt), different.index("")
    device, config = base.pipe.unet.device, base.pipe.config
    embeddings = {
        "prompt_embeds": words.states[[row]],
        "negative_prompt_embeds": words.states[[empty]],
    }
    if words.pooled is not None:
        embeddings["pooled_prompt_embeds"] = words.pooled[[row]]
        embeddings["negative_pooled_prompt_embeds"] = words.pooled[[empty]]
        if config.get("force_zeros_for_empty_prompt"):  # as SDXL says nothing
            embeddings |= {
                k: torch.zeros_like(v) for k, v in embeddings.items() if k.startswith("negative")
            }
    return {name: one.to(device, dtype) for name, one in embeddings.items()}


def _checkpoints(options: TeachOptions) -> int:
    return -(-options.max_train_steps // options.checkpointing_steps)

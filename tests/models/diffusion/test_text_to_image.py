"""Whole pictures from words, by the real pipelines of diffusers at tiny size."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from limner.errors import ModelError, OptionError, PromptError
from limner.models.diffusion import other_pipelines, stable_diffusion
from limner.models.diffusion.pipeline_table import KINDS, Kind
from limner.models.diffusion.stable_diffusion import StableDiffusion
from limner.options import CanvasOptions, InpaintOptions
from limner.prompts import Text
from limner.protocols import ModelRef, TextToImage
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_fill import PIPELINES, RELATIVES, save_tiny_fill
from tests.models.tiny_sd import save_tiny_sd

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = {
    "text2img": diffusers.StableDiffusionPipeline,
    "sdxl-text2img": diffusers.StableDiffusionXLPipeline,
}
DOG = Text("a dog")
WORDS = Text("a dog", negative="a cat")
WIDE = CanvasOptions(width=72)


def ref(name: str) -> ModelRef:
    return ModelRef(name, "stable_diffusion", "none")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny_sd")
    kinds = ("text2img", "sdxl-text2img", "inpaint")
    return {kind: save_tiny_sd(root / kind, kind=kind) for kind in kinds}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, StableDiffusion]:
    return {
        kind: stable_diffusion.load(Weights(ref("tiny-sd"), folder, {}), Runtime())
        for kind, folder in folders.items()
    }


def made(model: StableDiffusion, words: Text = WORDS, **settings: Any) -> list[np.ndarray]:
    options = InpaintOptions(**{"num_inference_steps": 3, "seed": 7, **settings})
    return [np.asarray(picture) for picture in model.generate(words, WIDE, options)]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_picture_is_diffusers_own(models, folders, kind):
    """The same seed gives what it gives there, at any size, without limner's inpaint pipeline
    in between: that draws its source's latents from the seed first."""
    model = models[kind]
    assert isinstance(model, TextToImage)
    none = {"safety_checker": None} if kind == "text2img" else {"add_watermarker": False}
    pipe = CLASSES[kind].from_pretrained(folders[kind], **none)
    pipe.set_progress_bar_config(disable=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        (theirs,) = pipe(
            "a dog",
            negative_prompt="a cat",
            width=72,
            height=64,
            num_inference_steps=3,
            guidance_scale=5.0,
            generator=torch.Generator("cpu").manual_seed(7),
        ).images
    (ours,) = made(model, guidance_scale=5.0)
    assert ours.shape == (64, 72, 3)
    np.testing.assert_array_equal(ours, np.asarray(theirs))


def test_picture_k_is_that_of_seed_plus_k_alone_and_steps_are_told(models):
    """Another batch changes nothing; nothing of a call is left behind."""
    steps: list[tuple[int, int]] = []
    options = InpaintOptions(num_inference_steps=3, seed=7, num_images_per_prompt=2)
    batch = models["text2img"].generate(
        WORDS, WIDE, options, lambda done, total: steps.append((done, total))
    )
    for k, picture in enumerate(batch):
        (alone,) = made(models["text2img"], seed=7 + k)
        np.testing.assert_array_equal(np.asarray(picture), alone)
    assert (np.asarray(batch[0]) != np.asarray(batch[1])).any()
    assert steps[-1][0] == steps[-1][1] == len(steps)


def test_each_setting_changes_the_picture(models):
    (usual,) = made(models["text2img"])
    for changes in (
        {"guidance_scale": 2.0},
        {"num_inference_steps": 4},
        {"scheduler": "EulerDiscreteScheduler"},
        {"words": DOG},
    ):
        (other,) = made(models["text2img"], **changes)
        assert (usual != other).any(), changes


def test_what_it_cannot_paint_is_refused(models):
    """A folder made for inpainting by what it holds: no catalog knows it."""
    for model, canvas, options, error, words in (
        ("inpaint", WIDE, {}, ModelError, "made for inpainting.*mini-sd"),
        ("text2img", CanvasOptions(height=60), {}, OptionError, "multiple of 8, got 60: take 64"),
        ("text2img", WIDE, {"strength": 0.5}, OptionError, "strength has no effect"),
        ("text2img", WIDE, {"radius": 3}, OptionError, "radius has no effect"),
    ):
        with pytest.raises(error, match=words):
            models[model].generate(WORDS, canvas, InpaintOptions(**options))
    with pytest.raises(PromptError, match="reads 75"):
        made(models["text2img"], Text("x" * 80))


def test_the_resolved_settings_resolve_to_themselves(models):
    """They are what a record holds: nothing that decides the picture is left open."""
    canvas, options = models["text2img"].resolve_canvas(CanvasOptions(), InpaintOptions())
    assert canvas == CanvasOptions(64, 64)
    assert options.seed is not None
    assert models["text2img"].resolve_canvas(canvas, options) == (canvas, options)


def test_what_a_folder_leaves_open_is_as_in_its_text_to_image_pipeline(models):
    """SDXL's has another guidance than the one that inpaints with the same parts."""
    _, options = models["sdxl-text2img"].resolve_canvas(WIDE, InpaintOptions())
    assert (options.guidance_scale, options.num_inference_steps) == (5.0, 50)
    assert models["sdxl-text2img"].resolve(InpaintOptions()).guidance_scale == 7.5


# ---- SDXL with its refiner


@pytest.mark.parametrize("scheduler", ["PNDMScheduler", "HeunDiscreteScheduler"])
def test_a_refined_picture_is_diffusers_own(folders, tmp_path, scheduler):
    """Its documentation's way: the base's latents go to the image-to-image pipeline."""
    own = tmp_path / "refiner"
    refiner = Weights(ref("refiner"), save_tiny_sd(own, kind="sdxl-refiner", seed=5))
    base = Weights(ref("base"), folders["sdxl-text2img"], refiner=refiner)
    options = InpaintOptions(
        num_inference_steps=6, seed=7, denoising_end=0.6, guidance_scale=4.0, scheduler=scheduler
    )
    steps: list[tuple[int, int]] = []
    model = stable_diffusion.load(base, Runtime())
    (ours,) = model.generate(WORDS, WIDE, options, lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1] == len(steps)
    call = {"prompt": "a dog", "negative_prompt": "a cat", "guidance_scale": 4.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = CLASSES["sdxl-text2img"].from_pretrained(base.path, add_watermarker=False)
        kind = diffusers.StableDiffusionXLImg2ImgPipeline
        last = kind.from_pretrained(own, add_watermarker=False)
        for pipe in (first, last):
            pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
            pipe.set_progress_bar_config(disable=True)
        both = {**call, "num_inference_steps": 6}
        size = {"width": 72, "height": 64, "output_type": "latent", "denoising_end": 0.6}
        latents = first(**both, **size, generator=torch.Generator("cpu").manual_seed(7)).images
        more = {"image": latents, "denoising_start": 0.6}
        theirs = last(**both, **more, generator=torch.Generator("cpu").manual_seed(7)).images[0]
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    (later,) = model.generate(WORDS, WIDE, replace(options, denoising_end=0.4))
    assert (np.asarray(later) != np.asarray(ours)).any()


# ---- the other pipelines

TITLES = [kind.title for kind in KINDS if kind.from_words]


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Kind, Path, Any]]:
    """By title: the row of the table, a tiny folder, and the model opened from it."""
    root, opened = tmp_path_factory.mktemp("tiny_fill"), {}
    for kind in KINDS:
        name = kind.title if kind.title in RELATIVES else kind.pipeline
        if kind.from_words or kind.pipeline == "FluxFillPipeline":
            assert name in RELATIVES or name in PIPELINES
            folder = save_tiny_fill(root / name, pipeline=name)
            weights = Weights(ModelRef(kind.title, "diffusion_fill", "none"), folder, {})
            opened[kind.title] = (kind, folder, other_pipelines.load(weights, Runtime()))
    return opened


TALL = CanvasOptions(width=64, height=128)


def painted(model: Any, words: Text = DOG, **settings: Any) -> list[np.ndarray]:
    options = InpaintOptions(**{"num_inference_steps": 2, "seed": 7, **settings})
    return [np.asarray(picture) for picture in model.generate(words, TALL, options)]


@pytest.mark.parametrize("title", TITLES)
def test_a_picture_of_each_other_pipeline_is_diffusers_own(others, title):
    """With each setting that the table gives it, under the name that it has there; the settings
    matter, and a call leaves nothing to the next."""
    kind, folder, model = others[title]
    assert isinstance(model, TextToImage)
    assert model.kind == kind
    options: dict[str, Any] = {"guidance_scale": 3.0} if kind.guidance else {}
    call: dict[str, Any] = {str(kind.guidance): 3.0} if kind.guidance else {}
    words = Text("a dog", negative="a cat") if kind.negative else DOG
    call |= {"negative_prompt": "a cat"} if kind.negative else {}
    call |= {"max_sequence_length": kind.tokens} if kind.tokens > 77 else {}
    absent = ("text_encoder_3", "tokenizer_3") if "without T5" in title else ()
    pipe = getattr(diffusers, str(kind.from_words)).from_pretrained(folder, **dict.fromkeys(absent))
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        "a dog",
        width=64,
        height=128,
        num_inference_steps=2,
        generator=torch.Generator("cpu").manual_seed(7),
        **call,
    ).images[0]
    (ours,) = painted(model, words, **options)
    assert ours.shape == (128, 64, 3)
    np.testing.assert_array_equal(ours, np.asarray(theirs))
    changes = [{"seed": 8}, {"num_inference_steps": 3}, {"words": Text("cats")}]
    for change in changes + [{"guidance_scale": 2.0} for _ in options]:
        (other,) = painted(model, **{"words": words, **options, **change})
        assert (ours != other).any(), change
    np.testing.assert_array_equal(painted(model, words, **options)[0], ours)


@pytest.mark.parametrize("title", TITLES)
def test_what_another_pipeline_resolves_to_resolves_to_itself(others, title):
    """A record's settings are all that decides the picture; a strength isn't among them."""
    kind, _, model = others[title]
    usual = TALL if "Diffusion 3" in title else CanvasOptions()  # the tiny one paints 256 px
    canvas, options = model.resolve_canvas(usual, InpaintOptions(strength=1.0))
    if usual != TALL:
        assert canvas == CanvasOptions(kind.native_size, kind.native_size)
    assert model.resolve_canvas(canvas, options) == (canvas, options)
    assert options.strength is None
    assert options.seed is not None
    if title == "FLUX.1 dev":  # its text-to-image pipeline's, where the one that inpaints has 7
        assert options.guidance_scale == 3.5


def test_a_batch_of_another_pipeline_has_the_pictures_of_its_seeds(others):
    *_, model = others["Z-Image"]
    first, second = painted(model, num_images_per_prompt=2)
    np.testing.assert_array_equal(second, painted(model, seed=8)[0])
    assert (first != second).any()


def test_what_another_pipeline_cannot_paint_is_refused(others):
    """One made for inpainting says which aren't; a side off its grid, what is near."""
    for title, canvas, options, error, says in (
        ("FLUX.1 Fill", TALL, {}, ModelError, "made for inpainting.*flux-schnell"),
        ("Z-Image", CanvasOptions(72, 64), {}, OptionError, "multiple of 16, got 72: take 64"),
        ("Qwen-Image", TALL, {"strength": 0.5}, OptionError, "strength has no effect"),
        ("FLUX.1 schnell", TALL, {"guidance_scale": 2.0}, OptionError, "no effect"),
        ("Stable Diffusion 3 and 3.5", CanvasOptions(64, 272), {}, OptionError, "up to 256 pixels"),
    ):
        with pytest.raises(error, match=says):
            others[title][2].generate(DOG, canvas, InpaintOptions(**options))
    with pytest.raises(PromptError, match="reads 256"):
        painted(others["FLUX.1 schnell"][2], Text("a" * 300))

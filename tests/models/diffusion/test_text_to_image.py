"""Whole pictures from words, by the real pipelines of diffusers at tiny size."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from limner.errors import ModelError, OptionError, PromptError
from limner.models.diffusion import stable_diffusion
from limner.models.diffusion.stable_diffusion import StableDiffusion
from limner.options import CanvasOptions, InpaintOptions
from limner.prompts import Text
from limner.protocols import ModelRef, TextToImage
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_sd import save_tiny_sd

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = {
    "text2img": diffusers.StableDiffusionPipeline,
    "sdxl-text2img": diffusers.StableDiffusionXLPipeline,
}
WORDS = Text("a dog", negative="a cat")
WIDE = CanvasOptions(width=72)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny_sd")
    kinds = ("text2img", "sdxl-text2img", "inpaint")
    return {kind: save_tiny_sd(root / kind, kind=kind) for kind in kinds}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, StableDiffusion]:
    ref = ModelRef("tiny-sd", "stable_diffusion", "none")
    return {
        kind: stable_diffusion.load(Weights(ref, folder, {}), Runtime())
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
        {"words": Text("a dog")},
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

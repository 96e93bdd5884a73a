"""Each pipeline of ``pipeline_table``, real classes at tiny size, held against diffusers' own."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from limner.errors import ModelError, OptionError, PromptError, ResultError
from limner.models.diffusion import other_pipelines
from limner.models.diffusion.other_pipelines import DiffusionFill
from limner.models.diffusion.pipeline_table import KINDS, STABLE_DIFFUSION_3
from limner.options import InpaintOptions
from limner.prompts import Text
from limner.protocols import Inpainter, ModelRef
from limner.registry import store
from limner.registry.pool import ModelPool
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_fill import PIPELINES, RELATIVES, save_tiny_fill

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = tuple(PIPELINES)
BY_NAME = {kind.pipeline: kind for kind in KINDS}
BY_NAME[STABLE_DIFFUSION_3.pipeline] = STABLE_DIFFUSION_3
GUIDED = [name for name in NAMES if name != "FluxInpaintPipeline"]
DOG = Text("a dog")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny_fill")
    return {name: save_tiny_fill(root / name, pipeline=name) for name in NAMES}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Any]:
    """Loaded as a session loads a user's folder."""
    pool = ModelPool()
    return {name: pool.get(store.from_folder(path), Runtime()) for name, path in folders.items()}


def scene(width: int = 64, height: int = 128) -> tuple[Image.Image, np.ndarray]:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    mask = np.zeros((height, width), dtype=bool)
    mask[16:48, 8:40] = True
    return image, mask


def paint(model: Any, text: Text = DOG, **options: Any) -> list[np.ndarray]:
    settings = InpaintOptions(**{"num_inference_steps": 2, "seed": 7, **options})
    return [np.asarray(picture) for picture in model.inpaint(*scene(), text, settings)]


def direct(folder: Path, without: tuple[str, ...] = (), **call: Any) -> np.ndarray:
    """What diffusers itself paints, with nothing of limner's."""
    pipe = getattr(diffusers, folder.name).from_pretrained(folder, **dict.fromkeys(without))
    pipe.set_progress_bar_config(disable=True)
    image, mask = scene()
    call["mask_image"] = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
    call["generator"] = torch.Generator("cpu").manual_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # diffusers towards numpy
        made = pipe("a dog", image=image, height=128, width=64, num_inference_steps=2, **call)
    return np.asarray(made.images[0])


@pytest.mark.parametrize("name", NAMES)
def test_equals_diffusers_exactly(models, folders, name):
    """With every setting that the table says it has, under the name that it has there."""
    kind = BY_NAME[name]
    options: dict[str, Any] = {}
    call: dict[str, Any] = {}
    text = DOG
    if name in GUIDED:
        options["guidance_scale"] = call[kind.guidance] = 3.0
    if kind.strength:
        options["strength"] = call["strength"] = 0.8
    if kind.negative:
        text, call["negative_prompt"] = Text("a dog", negative="a cat"), "a cat"
    if kind.tokens == 256:  # FLUX.1 schnell reads half of what the class does
        call["max_sequence_length"] = 256
    (ours,) = paint(models[name], text, **options)
    np.testing.assert_array_equal(ours, direct(folders[name], **call))


@pytest.mark.parametrize(
    "name", ["QwenImageInpaintPipeline", "KandinskyV22InpaintCombinedPipeline"]
)
def test_without_a_negative_phrase_guidance_still_guides(models, folders, name):
    """Qwen-Image's own code would ignore it; its card says to give a space."""
    (ours,) = paint(models[name])
    (stronger,) = paint(models[name], guidance_scale=9.0)
    assert (ours != stronger).any()
    blank = {"negative_prompt": " "} if "Qwen" in name else {}
    np.testing.assert_array_equal(ours, direct(folders[name], **blank))


@pytest.mark.parametrize("title", RELATIVES)
def test_kinds_that_share_a_pipeline_are_told_apart(tmp_path, title):
    """By their parts: what a checkpoint hears and reads is not in its pipeline's name."""
    (kind,) = (kind for kind in KINDS if kind.title == title)
    folder = save_tiny_fill(tmp_path / kind.pipeline, pipeline=title)
    model = ModelPool().get(store.from_folder(folder), Runtime())
    assert model.kind == kind
    call = {"guidance_scale": 3.0, "strength": 0.8}
    text = Text("a dog", negative="a cat") if kind.negative else DOG
    more = {"negative_prompt": "a cat"} if kind.negative else {}
    without = ("text_encoder_3", "tokenizer_3") if "without T5" in title else ()
    theirs = direct(folder, without, **call, **more)
    np.testing.assert_array_equal(paint(model, text, **call)[0], theirs)
    with pytest.raises(PromptError, match=rf"reads {kind.tokens}:"):
        model.check(Text("a" * 600), InpaintOptions())


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_changes_its_picture_and_not_the_next(models, name):
    model = models[name]
    (before,) = paint(model)
    changes: list[tuple[Text, dict[str, Any]]] = [
        (Text("cats"), {}),
        (DOG, {"seed": 8}),
        (DOG, {"num_inference_steps": 3}),
    ]
    if name in GUIDED:
        changes.append((DOG, {"guidance_scale": 2.0}))
    if BY_NAME[name].strength:
        changes.append((DOG, {"strength": 0.5}))
    for text, options in changes:
        assert (paint(model, text, **options)[0] != before).any(), (text, options)
    np.testing.assert_array_equal(paint(model)[0], before)


@pytest.mark.parametrize("name", ["FluxFillPipeline", "ZImageInpaintPipeline"])
def test_picture_k_is_that_of_seed_plus_k_alone(models, name):
    first, second = paint(models[name], num_images_per_prompt=2)
    np.testing.assert_array_equal(second, paint(models[name], seed=8)[0])
    assert (first != second).any()


@pytest.mark.parametrize("name", NAMES)
def test_what_it_resolves_to_resolves_to_itself(models, name):
    model = models[name]
    settled = model.resolve(InpaintOptions())
    assert isinstance(model, Inpainter)
    assert settled.seed is not None
    assert model.resolve(settled) == settled
    named = {"num_inference_steps", "strength", "guidance_scale", "num_images_per_prompt"}
    filled = {each for each in named if getattr(settled, each) is not None}
    assert filled == model.honoured - {"seed"}


def test_a_checkpoints_defaults_come_before_diffusers(folders):
    path = folders["FluxFillPipeline"]
    ref = ModelRef("fill", "diffusion_fill", "none")
    model = other_pipelines.load(Weights(ref, path, {"num_inference_steps": 9}), Runtime())
    settled = model.resolve(InpaintOptions())
    assert (settled.num_inference_steps, settled.guidance_scale) == (9, 30.0)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("FluxInpaintPipeline", {"guidance_scale": 3.0}, "guidance_scale has no effect"),
        ("KandinskyV22InpaintCombinedPipeline", {"strength": 0.5}, "strength has no effect"),
        ("FluxFillPipeline", {"scheduler": "DDIMScheduler"}, "scheduler has no effect"),
        ("ZImageInpaintPipeline", {"method": "telea"}, "method has no effect"),
    ],
)
def test_a_setting_without_effect_is_refused(models, name, options, says):
    with pytest.raises(OptionError, match=says):
        models[name].resolve(InpaintOptions(**options))


@pytest.mark.parametrize("name", NAMES)
def test_a_negative_phrase_that_could_not_matter_is_refused(models, name):
    kind = BY_NAME[name]
    off = InpaintOptions(guidance_scale=kind.guided_above) if kind.negative else InpaintOptions()
    with pytest.raises(OptionError, match="negative_prompt has no effect"):
        models[name].check(Text("a dog", negative="a cat"), off)


@pytest.mark.parametrize("name", NAMES)
def test_words_beyond_what_is_read_are_never_cut(models, name):
    """Exactly as many as fit are read; one more is refused with the numbers."""
    model, kind = models[name], BY_NAME[name]
    words = "a"
    while kind.count(model._pipe, words) < kind.tokens:
        words += "a"
    assert kind.count(model._pipe, words) == kind.tokens
    model.check(Text(words), InpaintOptions())
    with pytest.raises(PromptError, match=rf"takes {kind.tokens + 1} tokens .* {kind.tokens}:"):
        model.check(Text(words + "a"), InpaintOptions())


@pytest.mark.parametrize("name", ["QwenImageInpaintPipeline", "ZImageInpaintPipeline"])
def test_the_count_of_tokens_is_what_the_text_encoder_gets(models, name, monkeypatch):
    """Templates are around the words: those that fit must be those that diffusers lets in."""
    model, kind = models[name], BY_NAME[name]
    pipe = model._pipe
    got, _ = pipe.encode_prompt(
        "a small dog", **({"do_classifier_free_guidance": False} if "ZImage" in name else {})
    )
    assert got[0].shape[0] == kind.count(pipe, "a small dog")


def test_no_words(models):
    with pytest.raises(ModelError, match="repaints from words"):
        models["FluxFillPipeline"].check(None, InpaintOptions())


@pytest.mark.parametrize("name", NAMES)
def test_sizes_off_the_grid(models, name):
    model = models[name]
    image, mask = scene(64 + 8, 128)
    with pytest.raises(OptionError, match=f"multiples of {model.grid}, got 72x128"):
        model.inpaint(image, mask, DOG, InpaintOptions())


def test_sides_beyond_the_table_of_positions(models):
    """Stable Diffusion 3 alone has one; the tiny one's ends at 16 pairs of latents."""
    image, mask = scene(64, 272)
    with pytest.raises(OptionError, match="sides up to 256 pixels, got 272"):
        models["StableDiffusion3InpaintPipeline"].inpaint(image, mask, DOG, InpaintOptions())


def test_a_thin_mask_is_painted_by_flux_fill_and_refused_by_others(models):
    """FLUX Fill sees each pixel of the mask, the others one in eight."""
    image, mask = scene()
    mask[:] = False
    mask[:, 33:36] = True
    options = InpaintOptions(num_inference_steps=1)
    assert models["FluxFillPipeline"].inpaint(image, mask, DOG, options)
    with pytest.raises(PromptError, match="too thin"):
        models["QwenImageInpaintPipeline"].inpaint(image, mask, DOG, options)


@pytest.mark.parametrize("name", ["FluxFillPipeline", "KandinskyV22InpaintCombinedPipeline"])
def test_progress_and_a_stop_that_leaves_nothing_behind(models, name):
    model = models[name]
    (before,) = paint(model)
    seen: list[tuple[int, int]] = []
    asked = InpaintOptions(num_inference_steps=2, seed=7)

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.inpaint(*scene(), DOG, InpaintOptions(num_inference_steps=5), stop)
    assert [done for done, _ in seen] == [1, 2]
    seen.clear()
    model.inpaint(*scene(), DOG, asked, lambda done, total: seen.append((done, total)))
    assert seen
    assert seen[-1] == (seen[-1][1], seen[-1][1])
    np.testing.assert_array_equal(paint(model)[0], before)


def test_an_overflow_is_no_black_picture(folders):
    ref = ModelRef("fill", "diffusion_fill", "none")
    broken = other_pipelines.load(Weights(ref, folders["FluxFillPipeline"]), Runtime())
    assert isinstance(broken, DiffusionFill)
    torch.nn.init.constant_(broken._pipe.vae.decoder.conv_out.bias, float("nan"))
    with pytest.raises(ResultError, match="in the autoencoder"):
        paint(broken)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16(folders, name):
    """What half precision does to a picture of noise is little, and is no black."""
    ref = ModelRef("fill", "diffusion_fill", "none")
    model = other_pipelines.load(Weights(ref, folders[name]), Runtime(dtype="bfloat16"))
    assert paint(model)[0].std() > 5


def test_another_pipeline_and_a_part_that_is_missing(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxControlPipeline"}))
    ref = ModelRef("fill", "diffusion_fill", "none")
    with pytest.raises(ModelError, match="opens FluxFillPipeline"):
        other_pipelines.load(Weights(ref, tmp_path), Runtime())
    folder = save_tiny_fill(tmp_path / "half")
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights .* in .*transformer"):
        other_pipelines.load(Weights(ref, folder), Runtime())

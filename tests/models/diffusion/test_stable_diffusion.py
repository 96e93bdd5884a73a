"""The real pipelines of diffusers at tiny size, with untrained weights."""

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

from limner.errors import (
    ImageError,
    ModelError,
    OptionError,
    OutOfMemory,
    PromptError,
    ResultError,
    UnsafeWeights,
    WeightsMissing,
)
from limner.models.blocks.lru import LruCache
from limner.models.diffusion import stable_diffusion
from limner.models.diffusion.stable_diffusion import StableDiffusion
from limner.options import InpaintOptions
from limner.prompts import Text
from limner.protocols import Inpainter, ModelRef
from limner.registry import pool
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_sd import NATIVE_SIZE, save_tiny_sd

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = ("inpaint", "text2img", "sdxl-inpaint")
DOG = Text("a dog")
QUICK = InpaintOptions(num_inference_steps=3, seed=7)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny_sd")
    return {kind: save_tiny_sd(root / kind, kind=kind) for kind in KINDS}


def weights(path: Path | None, **defaults: Any) -> Weights:
    return Weights(ModelRef("tiny-sd", "stable_diffusion", "none"), path, defaults)


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, StableDiffusion]:
    return {
        kind: stable_diffusion.load(weights(folder), Runtime()) for kind, folder in folders.items()
    }


@pytest.fixture
def model(models: dict[str, StableDiffusion]) -> StableDiffusion:
    return models["inpaint"]


@pytest.fixture
def broken(folders: dict[str, Path]) -> StableDiffusion:
    """One that a test may spoil."""
    return stable_diffusion.load(weights(folders["inpaint"]), Runtime())


def scene(width: int = 64, height: int = 64) -> tuple[Image.Image, np.ndarray]:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    mask = np.zeros((height, width), dtype=bool)
    mask[16:48, 8:40] = True
    return image, mask


def paint(model: StableDiffusion, text: Text = DOG, **options: Any) -> list[np.ndarray]:
    settings = {"num_inference_steps": 3, "seed": 7, **options}
    pictures = model.inpaint(*scene(), text, InpaintOptions(**settings))
    return [np.asarray(picture) for picture in pictures]


def direct(folder: Path, **call: Any) -> np.ndarray:
    """What diffusers itself paints, with nothing of limner's."""
    sdxl = "sdxl" in folder.name
    kind = (
        diffusers.StableDiffusionXLInpaintPipeline
        if sdxl
        else diffusers.StableDiffusionInpaintPipeline
    )
    pipe = kind.from_pretrained(folder, **({} if sdxl else {"safety_checker": None}))
    pipe.set_progress_bar_config(disable=True)
    image, mask = scene()
    call["mask_image"] = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
    call["generator"] = torch.Generator("cpu").manual_seed(7)
    scheduler = call.pop("scheduler", type(pipe.scheduler).__name__)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # diffusers towards numpy
        pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
        return np.asarray(pipe("a dog", image=image, height=64, width=64, **call).images[0])


# ---- the picture is diffusers' own


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [1.0, 0.7])
def test_equals_diffusers_exactly(models, folders, kind, strength):
    call = {"num_inference_steps": 3, "strength": strength, "guidance_scale": 5.0}
    (ours,) = paint(models[kind], Text("a dog", negative="a cat"), **call)
    theirs = direct(folders[kind], negative_prompt="a cat", **call)
    np.testing.assert_array_equal(ours, theirs)


def test_without_a_negative_phrase_sdxl_equals_diffusers_too(models, folders):
    (ours,) = paint(models["sdxl-inpaint"], strength=1.0)
    theirs = direct(folders["sdxl-inpaint"], num_inference_steps=3, strength=1.0)
    np.testing.assert_array_equal(ours, theirs)


def test_another_scheduler_equals_diffusers(model, folders):
    call = {"num_inference_steps": 3, "scheduler": "EulerAncestralDiscreteScheduler"}
    (ours,) = paint(model, **call)
    np.testing.assert_array_equal(ours, direct(folders["inpaint"], **call))


@pytest.mark.parametrize("kind", KINDS)
def test_picture_k_is_that_of_seed_plus_k_alone(models, kind):
    batch = paint(models[kind], num_images_per_prompt=3, strength=0.7)
    alone = [paint(models[kind], seed=7 + k, strength=0.7)[0] for k in range(3)]
    assert len(batch) == 3
    for picture, same in zip(batch, alone, strict=True):
        np.testing.assert_array_equal(picture, same)
    assert (batch[0] != batch[1]).any()


def test_no_other_randomness_than_the_seed(model):
    names = sorted(model._schedulers)
    assert len(names) == 13
    for name in names:
        torch.manual_seed(1)
        (once,) = paint(model, scheduler=name, num_inference_steps=2)
        torch.manual_seed(2)
        (again,) = paint(model, scheduler=name, num_inference_steps=2)
        np.testing.assert_array_equal(once, again, err_msg=name)


# ---- each knob does something, and leaves nothing behind


@pytest.mark.parametrize(
    ("text", "options"),
    [
        pytest.param(DOG, {"guidance_scale": 2.0}, id="guidance"),
        pytest.param(DOG, {"guidance_scale": 1.0}, id="no guidance"),
        pytest.param(DOG, {"strength": 0.4}, id="strength"),
        pytest.param(DOG, {"num_inference_steps": 4}, id="steps"),
        pytest.param(DOG, {"seed": 8}, id="seed"),
        pytest.param(DOG, {"scheduler": "DDIMScheduler"}, id="scheduler"),
        pytest.param(Text("a dog", negative="a cat"), {}, id="negative"),
        pytest.param(Text("a cat"), {}, id="phrase"),
    ],
)
@pytest.mark.parametrize("kind", ["inpaint", "sdxl-inpaint"])
def test_a_setting_changes_its_picture_and_not_the_next(models, kind, text, options):
    model = models[kind]
    (before,) = paint(model)
    (changed,) = paint(model, text, **options)
    (after,) = paint(model)
    assert (changed != before).any()
    np.testing.assert_array_equal(after, before)


def test_a_call_that_was_stopped_leaves_nothing_behind(model):
    (before,) = paint(model)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.inpaint(*scene(), DOG, InpaintOptions(scheduler="HeunDiscreteScheduler"), stop)
    np.testing.assert_array_equal(paint(model)[0], before)


def test_the_masks_place_matters(model):
    image, mask = scene()
    (here,) = model.inpaint(image, mask, DOG, QUICK)
    (there,) = model.inpaint(image, mask[:, ::-1].copy(), DOG, QUICK)
    assert (np.asarray(here) != np.asarray(there)).any()


# ---- resolve


def test_resolve_fills_every_setting_from_diffusers(model):
    settled = model.resolve(InpaintOptions(seed=1))
    assert settled == InpaintOptions(
        num_inference_steps=50,
        guidance_scale=7.5,
        strength=1.0,
        scheduler="PNDMScheduler",
        num_images_per_prompt=1,
        seed=1,
    )
    assert model.resolve(settled) == settled


def test_the_catalogs_defaults_come_before_diffusers_and_the_callers_before_both(folders):
    source = weights(folders["inpaint"], guidance_scale=3.0, num_inference_steps=9)
    model = stable_diffusion.load(source, Runtime())
    settled = model.resolve(InpaintOptions(num_inference_steps=4))
    assert (settled.guidance_scale, settled.num_inference_steps) == (3.0, 4)


def test_a_seed_is_drawn_where_none_was_given(model):
    first, second = (model.resolve(InpaintOptions()).seed for _ in range(2))
    assert first is not None
    assert first != second


# ---- refusals


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param({"method": "telea"}, "method has no effect", id="classical method"),
        pytest.param({"radius": 5}, "radius has no effect", id="classical radius"),
        pytest.param(
            {"num_inference_steps": 3, "strength": 0.3}, "at least 4 steps", id="no step left"
        ),
        pytest.param(
            {"scheduler": "DDIMSchedular"}, r"nearest: DDIMScheduler", id="misspelt scheduler"
        ),
        pytest.param({"scheduler": "Karras"}, "has no scheduler 'Karras'", id="no scheduler"),
        pytest.param({"scheduler": "EDMEulerScheduler"}, "wrong timesteps", id="EDM scheduler"),
        pytest.param({"scheduler": "DPMSolverSDEScheduler"}, "torchsde", id="unseeded scheduler"),
        pytest.param({"num_inference_steps": 1000}, "1000 levels", id="a step too many"),
    ],
)
def test_settings_that_cannot_be_honoured(model, options, says):
    with pytest.raises(OptionError, match=says):
        model.resolve(InpaintOptions(**options))


def test_a_scheduler_that_refuses_a_number_of_steps_is_quoted(folders, tmp_path):
    folder = save_tiny_sd(tmp_path / "lcm")
    diffusers.LCMScheduler(steps_offset=1).save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "LCMScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    model = stable_diffusion.load(weights(folder), Runtime())
    assert paint(model)[0].shape == (64, 64, 3)
    with pytest.raises(OptionError, match="LCMScheduler can't do 60 steps"):
        model.resolve(InpaintOptions(num_inference_steps=60))


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0])
def test_a_negative_phrase_without_guidance(model, guidance_scale):
    with pytest.raises(OptionError, match=r"negative_prompt .* guidance_scale"):
        paint(model, Text("a dog", negative="a cat"), guidance_scale=guidance_scale)


def test_a_negative_phrase_for_a_model_distilled_without_guidance(broken):
    broken._pipe.unet.register_to_config(time_cond_proj_dim=8)
    with pytest.raises(OptionError, match="distilled"):
        paint(broken, Text("a dog", negative="a cat"))


def test_no_words(model):
    with pytest.raises(ModelError, match="repaints from words"):
        model.inpaint(*scene(), None, QUICK)


@pytest.mark.parametrize("kind", ["inpaint", "sdxl-inpaint"])
def test_words_beyond_what_the_text_encoder_reads_are_never_cut(models, kind):
    exactly, more = "a" * 75, "a" * 76
    assert len(paint(models[kind], Text(exactly))) == 1
    with pytest.raises(PromptError, match="phrase has 76 tokens and tiny-sd reads 75"):
        paint(models[kind], Text(more))
    with pytest.raises(PromptError, match="negative phrase has 76 tokens"):
        paint(models[kind], Text("a dog", negative=more))


def test_pictures_and_masks_that_do_not_fit(model):
    image, mask = scene()
    with pytest.raises(PromptError, match="32x64 pixels and the image 64x64"):
        model.inpaint(image, mask[:, :32], DOG, QUICK)
    with pytest.raises(ImageError, match="mode L"):
        model.inpaint(image.convert("L"), mask, DOG, QUICK)
    with pytest.raises(OptionError, match="multiples of 8, got 60x64"):
        model.inpaint(*scene(60, 64), DOG, QUICK)


def test_a_mask_that_would_vanish_between_the_latent_pixels(model):
    image, _ = scene()
    thin = np.zeros((64, 64), dtype=bool)
    thin[:, 33:36] = True
    with pytest.raises(PromptError, match="too thin"):
        model.inpaint(image, thin, DOG, QUICK)


# ---- sizes and progress


@pytest.mark.parametrize("kind", KINDS)
def test_the_protocol(models, kind):
    assert isinstance(models[kind], Inpainter)
    assert models[kind].takes_text
    assert (models[kind].grid, models[kind].native_size) == (8, NATIVE_SIZE)


@pytest.mark.parametrize("size_wh", [(64, 64), (72, 64), (64, 104), (40, 136)])
def test_any_multiple_of_the_grid_comes_back_in_its_size(model, size_wh):
    image, mask = scene(*size_wh)
    (picture,) = model.inpaint(image, mask[: size_wh[1]], DOG, QUICK)
    assert (picture.size, picture.mode) == (size_wh, "RGB")


def test_odd_latents_stay_aligned():
    """The U-Net keeps every second latent going down; coming up it doubles, then crops."""
    for side in range(2, 200):
        low = torch.arange((side + 1) // 2).float()[None, None]
        up = torch.nn.functional.interpolate(low, size=side, mode="nearest")
        torch.testing.assert_close(up[0, 0], torch.arange(side).float() // 2, atol=0.5, rtol=0)
        assert (up[0, 0] == low[0, 0].repeat_interleave(2)[:side]).all()


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        pytest.param({"num_images_per_prompt": 3}, 3 * 4, id="PNDM does its second step twice"),
        pytest.param({"scheduler": "DDIMScheduler"}, 3, id="DDIM"),
        pytest.param({"scheduler": "DDIMScheduler", "strength": 0.7}, 2, id="fewer by strength"),
    ],
)
def test_progress(model, options, steps):
    seen: list[tuple[int, int]] = []
    settings = InpaintOptions(**{"num_inference_steps": 3, "seed": 7} | options)
    model.inpaint(*scene(), DOG, settings, lambda done, total: seen.append((done, total)))
    assert seen == [(done, steps) for done in range(1, steps + 1)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nothing_is_printed(folders, capfd, dtype):
    """Loaded as a session loads it: no bars of the libraries' own, no log lines."""
    paint(pool.load(weights(folders["sdxl-inpaint"]), Runtime(dtype=dtype)))
    assert capfd.readouterr() == ("", "")


# ---- overflow and memory


def test_an_overflow_while_denoising_is_no_black_picture(broken):
    torch.nn.init.constant_(broken._pipe.unet.conv_out.bias, float("inf"))
    with pytest.raises(ResultError, match="overflowed in float32 after step 1 of 4"):
        paint(broken)


def test_an_overflow_in_the_autoencoder_is_no_black_picture(broken):
    torch.nn.init.constant_(broken._pipe.vae.decoder.conv_out.bias, float("nan"))
    with pytest.raises(ResultError, match="in the autoencoder"):
        paint(broken)


def test_memory_that_runs_out_is_said(broken, monkeypatch):
    def full(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(broken._pipe.unet, "forward", full)
    with pytest.raises(OutOfMemory, match="smaller picture"):
        paint(broken)


# ---- half precision


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16(folders, kind):
    model = stable_diffusion.load(weights(folders[kind]), Runtime(dtype="bfloat16"))
    once, again = paint(model)[0], paint(model)[0]
    np.testing.assert_array_equal(once, again)
    assert once.std() > 5
    assert {p.dtype for p in model._pipe.unet.parameters()} == {torch.bfloat16}
    assert model._pipe.vae.dtype == torch.bfloat16


def test_float16_gets_its_autoencoder_back_even_when_stopped(folders, monkeypatch):
    model = stable_diffusion.load(weights(folders["sdxl-inpaint"]), Runtime(dtype="float16"))

    def full(*args: Any, **kwargs: Any) -> None:
        raise MemoryError

    assert paint(model)[0].std() > 5
    with monkeypatch.context() as patched:
        patched.setattr(model._pipe.vae, "encode", full)
        patched.setattr(model, "_answers", LruCache(1))  # else it need not be asked again
        with pytest.raises(OutOfMemory):
            paint(model)
    assert model._pipe.vae.dtype == torch.float16
    assert paint(model)[0].std() > 5


# ---- loading


def test_no_folder_and_half_a_folder(tmp_path):
    with pytest.raises(WeightsMissing, match="needs a folder"):
        stable_diffusion.load(weights(None), Runtime())
    with pytest.raises(WeightsMissing, match=r"no model_index\.json"):
        stable_diffusion.load(weights(tmp_path), Runtime())
    folder = save_tiny_sd(tmp_path / "half")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsMissing, match=r"no weights .* in .*vae"):
        stable_diffusion.load(weights(folder), Runtime())


def test_pickles_are_never_opened(tmp_path):
    folder = save_tiny_sd(tmp_path / "pickled")
    unet = folder / "unet"
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    (unet / "diffusion_pytorch_model.bin").write_bytes(b"not opened")
    with pytest.raises(UnsafeWeights, match=r"no safetensors found in .*unet"):
        stable_diffusion.load(weights(folder), Runtime())


def test_damaged_weights(tmp_path):
    folder = save_tiny_sd(tmp_path / "damaged")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(ModelError, match="can't be read"):
        stable_diffusion.load(weights(folder), Runtime())


@pytest.mark.parametrize("kind", ["FluxFillPipeline", ["mine", "Pipeline"]])
def test_another_pipeline(tmp_path, kind):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    with pytest.raises(ModelError, match="opens StableDiffusionInpaintPipeline"):
        stable_diffusion.load(weights(tmp_path), Runtime())


def test_a_folder_fetched_in_half_precision_only(tmp_path, folders, model):
    folder = save_tiny_sd(tmp_path / "half")
    for file in folder.glob("*/*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    half = stable_diffusion.load(weights(folder), Runtime())
    np.testing.assert_array_equal(paint(half)[0], paint(model)[0])


def test_a_folders_safety_checker_is_left_out(tmp_path):
    folder = save_tiny_sd(tmp_path / "checked")
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    index["requires_safety_checker"] = True
    (folder / "model_index.json").write_text(json.dumps(index))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = stable_diffusion.load(weights(folder), Runtime())
    assert model._pipe.safety_checker is None
    assert len(paint(model)) == 1


# ---- remembering


def counting(monkeypatch: pytest.MonkeyPatch, model: StableDiffusion) -> dict[str, int]:
    """How often the text encoder and the autoencoder's encoder are asked."""
    calls = {"text": 0, "latent": 0}
    pipe = model._pipe
    for part, method, name in (
        (pipe.text_encoder, "forward", "text"),
        (pipe.vae, "encode", "latent"),
    ):
        ask = getattr(part, method)

        def counted(*args: Any, _ask: Any = ask, _name: str = name, **kwargs: Any) -> Any:
            calls[_name] += 1
            return _ask(*args, **kwargs)

        monkeypatch.setattr(part, method, counted)
    return calls


@pytest.mark.parametrize("kind", KINDS)
def test_words_and_pictures_are_read_once(kind, folders, monkeypatch):
    """However they are painted then: a sweep asks for the same with other settings."""
    model = stable_diffusion.load(weights(folders[kind]), Runtime())
    calls = counting(monkeypatch, model)
    paint(model, guidance_scale=3.0)
    first = dict(calls)
    assert min(first.values()) >= 1
    for guidance, seed in ((2.0, 7), (5.0, 8)):
        paint(model, guidance_scale=guidance, seed=seed)
    assert calls == first


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_remembers_paints_what_a_new_one_does(kind, folders):
    """Bit for bit: an autoencoder that samples still draws from the picture's own seed."""
    model = stable_diffusion.load(weights(folders[kind]), Runtime())
    paint(model, seed=3)
    new = stable_diffusion.load(weights(folders[kind]), Runtime())
    np.testing.assert_array_equal(paint(model, seed=4), paint(new, seed=4))

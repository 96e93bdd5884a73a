"""Latent consistency and SDXL's refiner, held against diffusers' own."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from limner.errors import LicenceRefused, LimnerError, ModelError, OptionError, WeightsMissing
from limner.models.diffusion import stable_diffusion
from limner.options import InpaintOptions
from limner.prompts import Mask, Text, VisualPrompt
from limner.protocols import ModelRef
from limner.registry.weights import Adapter, Runtime, Weights
from limner.runs.store import Store
from limner.session import Session
from limner.session.replay import replay
from tests.models.tiny_sd import save_tiny_lora, save_tiny_sd

pytestmark = pytest.mark.usefixtures("one_thread")

DOG = Text("a dog", negative="a cat")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("stages")
    made = {kind: save_tiny_sd(root / kind, kind=kind) for kind in ("inpaint", "sdxl-inpaint")}
    made["sdxl-refiner"] = save_tiny_sd(root / "refiner", kind="sdxl-refiner", seed=5)
    made["lora"] = save_tiny_lora(root / "lora", made["inpaint"])
    return made


def scene() -> tuple[Image.Image, np.ndarray]:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 8:40] = True
    return image, mask


def weights(path: Path, **more: Any) -> Weights:
    return Weights(ModelRef(path.name, "stable_diffusion", "none"), path, **more)


def refined(folders: dict[str, Path]) -> Any:
    refiner = weights(folders["sdxl-refiner"])
    return stable_diffusion.load(weights(folders["sdxl-inpaint"], refiner=refiner), Runtime())


def fast(folders: dict[str, Path]) -> Any:
    adapter = Adapter("lcm", folders["lora"], 1.0, "0" * 64, accelerates=True)
    defaults = {"num_inference_steps": 4, "guidance_scale": 1.5, "scheduler": "LCMScheduler"}
    source = weights(folders["inpaint"], defaults=defaults, adapters=(adapter,))
    return stable_diffusion.load(source, Runtime())


def call() -> dict[str, Any]:
    image, mask = scene()
    return {
        "prompt": "a dog",
        "negative_prompt": "a cat",
        "image": image,
        "mask_image": Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)),
        "width": 64,
        "height": 64,
        "generator": torch.Generator("cpu").manual_seed(7),
    }


# ---- the refiner


@pytest.mark.parametrize("scheduler", ["PNDMScheduler", "HeunDiscreteScheduler"])
def test_a_refined_picture_is_diffusers_own(folders, scheduler):
    """Two pipelines after each other, latents handed over, with nothing of limner's."""
    model = refined(folders)
    options = InpaintOptions(
        num_inference_steps=6, seed=7, strength=0.9, denoising_end=0.6, scheduler=scheduler
    )
    (ours,) = model.inpaint(*scene(), DOG, options)
    kind = diffusers.StableDiffusionXLInpaintPipeline
    more = {"num_inference_steps": 6, "strength": 0.9, "guidance_scale": 7.5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base, refiner = (
            kind.from_pretrained(folders[name], add_watermarker=False)
            for name in ("sdxl-inpaint", "sdxl-refiner")
        )
        for pipe in (base, refiner):
            pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
        latents = base(**call(), **more, denoising_end=0.6, output_type="latent").images
        given = {**call(), "image": latents}
        theirs = refiner(**given, **more, denoising_start=0.6).images[0]
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_where_the_refiner_takes_over_matters_and_progress_counts_both(folders):
    model = refined(folders)
    seen: list[tuple[int, int]] = []

    def painted(end: float | None) -> np.ndarray:
        seen.clear()
        options = InpaintOptions(
            num_inference_steps=5,
            strength=1.0,
            seed=7,
            denoising_end=end,
            scheduler="DDIMScheduler",
        )
        image = model.inpaint(*scene(), DOG, options, lambda *step: seen.append(step))
        return np.asarray(image[0])

    usual = painted(None)
    assert seen == [(done, 5) for done in range(1, 6)]
    assert (painted(0.4) != usual).any()
    np.testing.assert_array_equal(painted(0.8), usual)


def test_a_share_of_no_steps_is_refused(folders):
    with pytest.raises(OptionError, match="no step for the painter"):
        refined(folders).resolve(InpaintOptions(strength=0.3, denoising_end=0.2))


def test_without_a_refiner_nobody_takes_over(folders):
    model = stable_diffusion.load(weights(folders["sdxl-inpaint"]), Runtime())
    with pytest.raises(OptionError, match=r"denoising_end has no effect .* no refiner"):
        model.resolve(InpaintOptions(denoising_end=0.5))


def test_only_sdxl_is_refined_and_only_by_its_refiner(folders):
    with pytest.raises(ModelError, match="refines what Stable Diffusion XL paints, and inpaint"):
        stable_diffusion.load(
            weights(folders["inpaint"], refiner=weights(folders["sdxl-refiner"])), Runtime()
        )
    with pytest.raises(ModelError, match="sdxl-inpaint is no refiner"):
        stable_diffusion.load(
            weights(folders["sdxl-inpaint"], refiner=weights(folders["sdxl-inpaint"])), Runtime()
        )


# ---- a few steps


def test_a_fast_picture_is_diffusers_own(folders):
    """Its way: load_lora_weights, and the LCM scheduler on the model's own noise levels."""
    (ours,) = fast(folders).inpaint(*scene(), DOG, InpaintOptions(seed=7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = diffusers.StableDiffusionInpaintPipeline.from_pretrained(
            folders["inpaint"], safety_checker=None
        )
        pipe.load_lora_weights(folders["lora"].parent)
        pipe.scheduler = diffusers.LCMScheduler.from_config(pipe.scheduler.config)
        theirs = pipe(**call(), num_inference_steps=4, guidance_scale=1.5).images[0]
        pipe.unload_lora_weights()
        plain = pipe(**call(), num_inference_steps=4, guidance_scale=1.5).images[0]
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    assert (np.asarray(plain) != np.asarray(theirs)).any(), "the adapter counts"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_inference_steps": 20}, "num_inference_steps is between 4 and 8, got 20"),
        ({"guidance_scale": 7.5}, "guidance_scale is between 1 and 2, got 7.5"),
        ({"scheduler": "DDIMScheduler"}, "by LCMScheduler only"),
    ],
)
def test_numbers_that_it_was_not_made_for_are_refused(folders, options, says):
    with pytest.raises(OptionError, match=says):
        fast(folders).resolve(InpaintOptions(**options))


# ---- by name


@pytest.fixture
def home(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which tiny models lie under the names of the real ones."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    for name, made in (
        ("sd15-inpaint", "inpaint"),
        ("sdxl-inpaint", "sdxl-inpaint"),
        ("sdxl-refiner", "sdxl-refiner"),
    ):
        shutil.copytree(folders[made], tmp_path / "models" / name)
    (tmp_path / "models" / "lcm-lora-sd15").mkdir()
    shutil.copy(folders["lora"], tmp_path / "models" / "lcm-lora-sd15")
    return tmp_path


def edit(session: Session, **options: Any) -> Any:
    image, mask = scene()
    asked = InpaintOptions(seed=7, **options)
    return session.edit(image, [VisualPrompt(mask=Mask(mask))], DOG, inpaint=asked)


def test_a_session_paints_fast_and_refined_and_its_replay_does_too(home, tmp_path):
    """What decided the picture is in the record: the adapter's and the refiner's files."""
    store = Store.open(tmp_path / "runs")
    quick = Session(profile="small", fast=True, dtype="float32", store=store)
    run = edit(quick)
    assert run.record.result["settings"]["scheduler"] == "LCMScheduler"
    assert run.record.result["settings"]["num_inference_steps"] == 4
    assert any(name.startswith("lcm-lora-sd15/") for name in run.record.models[0]["files"])
    named = {"inpaint": "sdxl-inpaint", "refine": "sdxl-refiner"}
    fine = edit(
        Session(models=named, dtype="float32", store=store),
        num_inference_steps=5,
        denoising_end=0.5,
    )
    assert any(name.startswith("refiner/") for name in fine.record.models[0]["files"])
    for each in (run, fine):
        again = replay(store, str(each.id))
        assert (again.pixels, again.changed) == (0, ())
    jobs = {each.record.job.models["inpaint"] for each in (run, fine)}
    plain = Session(profile="small", dtype="float32").models.identities(["inpaint"])["inpaint"]
    assert plain not in jobs, "another job than without"


@pytest.mark.parametrize(
    ("session", "error", "says"),
    [
        ({"profile": "mini", "fast": True}, OptionError, "no effect on mini-sd-inpaint"),
        ({"profile": "base", "fast": True}, WeightsMissing, "pull sd2-inpaint"),
        (
            {"models": {"inpaint": "sdxl-inpaint"}, "fast": True},
            WeightsMissing,
            "models pull lcm-lora-sdxl",
        ),
        (
            {"models": {"inpaint": "sd15-inpaint", "refine": "sdxl-refiner"}},
            ModelError,
            "refines what Stable Diffusion XL",
        ),
        (
            {"models": {"inpaint": "mini-sd-inpaint", "refine": "mini-clip"}},
            ModelError,
            "one to refine is needed: sdxl-refiner",
        ),
        (
            {"profile": "small", "fast": True, "commercial_safe": True},
            LicenceRefused,
            "refuses sd15-inpaint",
        ),
    ],
)
def test_what_cannot_go_together_is_one_sentence(home, session, error, says):
    with pytest.raises(error, match=says) as caught:
        edit(Session(**session))
    assert isinstance(caught.value, LimnerError)

"""The minis' shapes through the adapters of the big models, with no path of their own.

The weights here are random; what the minis that ship are worth is measured by minis/check.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer, SamImageProcessorPil, SamModel, SamProcessor

from limner.errors import ModelError
from limner.models.diffusion.stable_diffusion import _schedulers
from limner.options import DetectOptions, InpaintOptions, SegmentOptions
from limner.prompts import Box, Mask, Point, Text, VisualPrompt
from limner.protocols import Captioner, Detector, Encoder, Inpainter, Segmenter, TextToImage
from limner.registry import catalog, store
from limner.registry.pool import ModelPool
from limner.registry.weights import Runtime
from tests.models.tiny_minis import LATENTS, save_mini_sd, save_tiny_minis, ship
from tests.models.tiny_owlvit import noise

PROTOCOLS = {
    "segment": Segmenter,
    "detect": Detector,
    "inpaint": Inpainter,
    "generate": TextToImage,
    "encode": Encoder,
    "caption": Captioner,
}


@pytest.fixture(scope="module")
def minis(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By name, loaded as a session loads them."""
    folder = tmp_path_factory.mktemp("minis")
    save_tiny_minis(folder / "made")
    with pytest.MonkeyPatch.context() as patch:
        ship(patch, folder / "package" / "minis", folder / "made")
        pool = ModelPool()
        names = [entry.name for entry in catalog.catalog().values() if entry.shipped]
        yield {name: pool.get(store.find(name), Runtime()) for name in names}


@pytest.fixture(scope="module")
def made(minis: Any) -> Path:
    """The package's folder of them."""
    return store.where("mini-sam").parent


def test_each_does_its_task(minis: dict[str, Any]) -> None:
    for name, model in minis.items():
        assert all(isinstance(model, PROTOCOLS[task]) for task in catalog.catalog()[name].tasks)
        assert model.ref.licence == "Apache-2.0"
        assert model.ref.files
    assert len(minis) == 7


@pytest.mark.parametrize("size_wh", [(128, 128), (160, 96), (50, 75)])
def test_mini_sams_masks_are_transformers_own(
    minis: dict[str, Any], made: Path, size_wh: tuple[int, int]
) -> None:
    model = SamModel.from_pretrained(made / "mini-sam", dtype=torch.float32).eval()
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(made / "mini-sam"))
    image, box = noise(*size_wh), (8.0, 10.0, 40.0, 60.0)
    inputs = processor(
        images=image,
        input_points=[[[[20.0, 30.0]]]],
        input_labels=[[[1]]],
        input_boxes=[[list(box)]],
        return_tensors="pt",
    )
    sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
    with torch.no_grad():
        out = model(**inputs, multimask_output=True)
    assert out.pred_masks.shape[-2:] == (64, 64)
    (theirs,) = processor.post_process_masks(out.pred_masks, *sizes)
    sam = minis["mini-sam"]
    prompt = VisualPrompt(points=(Point(20, 30),), box=Box(*box))
    found = sam.segment(sam.embed(image), [prompt], SegmentOptions(multimask_output=True))
    best = int(out.iou_scores[0, 0].argmax())
    np.testing.assert_array_equal(found.mask[0], theirs[0, best].numpy())
    drawn = np.zeros(size_wh[::-1], dtype=bool)
    drawn[10:40, 8:30] = True
    again = sam.segment(sam.embed(image), [VisualPrompt(mask=Mask(drawn))], SegmentOptions())
    assert again.mask.shape == (1, *size_wh[::-1])


def test_mini_owlvit_answers_words_it_never_saw(minis: dict[str, Any]) -> None:
    """In another alphabet too: bytes are its last resort, so that nothing is unknown."""
    phrases = ["apple", "a red car", "яблоко", "リンゴ", "zxqv"]
    prompts = [VisualPrompt(text=Text(phrase)) for phrase in phrases]
    found = minis["mini-owlvit"].detect(noise(128, 100), prompts, DetectOptions(threshold=0.0))
    assert set(found.data["class_name"]) <= set(phrases)
    assert (found.xyxy <= (128, 100, 128, 100)).all()


def test_mini_clip_sees_the_whole_picture(minis: dict[str, Any]) -> None:
    """Its processor crops nothing: what is at the left edge matters."""
    wide = noise(144, 72)
    other = wide.copy()
    other.paste((255, 0, 0), (0, 0, 20, 72))
    a, b = minis["mini-clip"].encode_images([wide, other])
    assert np.abs(a - b).max() > 0.01


# ---- the painters: latents of another width than Stable Diffusion's


def scene() -> tuple[Any, np.ndarray]:
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 8:40] = True
    return noise(64, 64), mask


def paint(model: Any, words: str = "a red car", **options: Any) -> np.ndarray:
    settings = {"num_inference_steps": 3, "guidance_scale": 3.0, "seed": 7, **options}
    (picture,) = model.inpaint(*scene(), Text(words), InpaintOptions(**settings))
    return np.asarray(picture)


def by_hand(folder: Path, words: str, steps: int, guidance: float) -> np.ndarray:
    """The picture from the parts alone, as the papers have it: no pipeline is asked."""
    part = {"local_files_only": True, "torch_dtype": torch.float32}
    vae = AutoencoderTiny.from_pretrained(folder / "vae", **part)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", **part)
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    image, mask = scene()
    pixels = torch.from_numpy(np.asarray(image).copy()).float().permute(2, 0, 1)[None] / 127.5 - 1
    hole = torch.from_numpy(mask)[None, None].float()
    tokens = tokenizer(["", words], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        states = encoder(tokens)[0]
        around = vae.encode(pixels * (1 - hole)).latents * vae.config.scaling_factor
        small = torch.nn.functional.interpolate(hole, size=(8, 8))
        generator = torch.Generator().manual_seed(7)
        x = torch.randn((1, LATENTS, 8, 8), generator=generator)
        scheduler.set_timesteps(steps)
        for t in scheduler.timesteps:
            seen = torch.cat([x, small, around], dim=1).repeat(2, 1, 1, 1)
            without, with_words = unet(seen, t, encoder_hidden_states=states).sample.chunk(2)
            guess = without + guidance * (with_words - without)
            x = scheduler.step(guess, t, x).prev_sample
        painted = vae.decode(x / vae.config.scaling_factor).sample
    return ((painted[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1) * 255).round().byte().numpy()


def test_an_inpainting_u_net_of_33_channels_paints(minis: dict[str, Any], made: Path) -> None:
    """diffusers' pipeline knows such a U-Net by its 9 channels; with latents of 16 it has 33."""
    ours = paint(minis["mini-sd-inpaint"]).astype(int)
    expected = by_hand(made / "mini-sd-inpaint", "a red car", 3, 3.0).astype(int)
    assert np.abs(ours - expected).max() <= 1
    assert np.ptp(ours) > 20, "a flat picture would prove nothing"


def test_a_text_to_image_u_net_of_16_channels_keeps_what_is_around(minis: dict[str, Any]) -> None:
    """At each step the noised original is put back around the hole; in latents, so nearly."""
    model = minis["mini-sd"]
    vae = model._pipe.vae
    image, mask = scene()
    pixels = torch.from_numpy(np.asarray(image).copy()).float().permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        kept = vae.decode(vae.encode(pixels).latents).sample[0].permute(1, 2, 0)
    original = ((kept / 2 + 0.5).clamp(0, 1) * 255).numpy()
    away = np.abs(paint(model).astype(float) - original).mean(axis=2)
    assert away[mask].mean() > 1
    assert away[:, 56:].mean() < away[mask].mean() / 5, "random weights are blunt: it is all small"


@pytest.mark.parametrize("name", ["mini-sd-inpaint", "mini-sd"])
def test_settings_matter_and_seeds_repeat(name: str, minis: dict[str, Any]) -> None:
    model = minis[name]
    assert model.native_size == 64
    assert model.grid == 8
    first = paint(model)
    np.testing.assert_array_equal(paint(model), first)
    for changed in ({"seed": 8}, {"guidance_scale": 7.0}, {"strength": 0.7}):
        assert (paint(model, **changed) != first).any(), changed
    assert (paint(model, "two apples") != first).any()


def test_every_scheduler_paints_or_says_why_not(minis: dict[str, Any]) -> None:
    """The noise goes to its end here (zero SNR), where a sampler may divide by nothing."""
    model = minis["mini-sd-inpaint"]
    known = _schedulers(model._pipe.scheduler)
    assert len(known) > 5
    for name in known:
        assert np.ptp(paint(model, scheduler=name, num_inference_steps=5)) > 0


def test_a_u_net_made_for_something_else_is_refused(tmp_path: Path) -> None:
    folder = save_mini_sd(tmp_path / "sd")
    other = UNet2DConditionModel.from_config(
        {**UNet2DConditionModel.load_config(folder / "unet"), "in_channels": LATENTS + 4}
    )
    other.save_pretrained(folder / "unet")
    with pytest.raises(ModelError, match=r"20 input channels.* 16 \(text to image\) or 33 "):
        ModelPool().get(store.from_folder(folder), Runtime())

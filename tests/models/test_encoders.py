"""CLIP, DINO, BLIP and BLIP-2 against transformers' own forward passes, at tiny size."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertTokenizer,
    BitImageProcessorPil,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    Dinov2Model,
    ViTImageProcessorPil,
    ViTModel,
)

from limner.errors import ModelError, PromptError, WeightsMissing
from limner.models import blip, clip, dino
from limner.protocols import ModelRef
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_encoders import (
    save_tiny_blip,
    save_tiny_blip2,
    save_tiny_clip,
    save_tiny_dino,
)
from tests.models.tiny_owlvit import noise

PICTURES = [noise(50, 40), noise(40, 70, seed=1), noise(32, 32, seed=2)]
TEXTS = ["a red dog", "cat", "a dog on a cat"]
LOADERS = {"clip": clip.load, "dinov2": dino.load, "vit": dino.load, "blip": blip.load}
LOADERS["blip-2"] = blip.load


def weights(path: Path | None, family: str) -> Weights:
    return Weights(ModelRef("tiny", family, "none"), path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {
        "clip": save_tiny_clip(root / "clip"),
        "dinov2": save_tiny_dino(root / "dinov2", kind="dinov2"),
        "vit": save_tiny_dino(root / "vit", kind="vit"),
        "blip": save_tiny_blip(root / "blip"),
        "blip-2": save_tiny_blip2(root / "blip-2", seed=5),
    }


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Any:
    """A folder that a test may spoil."""
    return lambda kind: Path(shutil.copytree(folders[kind], tmp_path / kind))


def load(folders: dict[str, Path], kind: str, dtype: str = "float32") -> Any:
    return LOADERS[kind](weights(folders[kind], kind), Runtime(dtype=dtype))


def unit(rows: torch.Tensor) -> np.ndarray:
    return (rows / rows.norm(dim=-1, keepdim=True)).numpy()


def test_clips_rows_give_transformers_logits(folders: dict[str, Path]) -> None:
    """What CLIP was trained to answer: picture times text, scaled."""
    folder = folders["clip"]
    model = CLIPModel.from_pretrained(folder).eval()
    processor = CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    inputs = processor(text=TEXTS, images=PICTURES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = model(**inputs)
    ours = load(folders, "clip")
    images, texts = ours.encode_images(PICTURES), ours.encode_texts(TEXTS)
    np.testing.assert_allclose(images, theirs.image_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(texts, theirs.text_embeds.numpy(), atol=1e-5)
    logits = images @ texts.T * model.logit_scale.exp().item()
    np.testing.assert_allclose(logits, theirs.logits_per_image.numpy(), atol=1e-4)
    assert np.abs(images[0] - images[1]).max() > 0.05, "two pictures must not be one row"
    assert np.abs(texts[0] - texts[1]).max() > 0.05, "two texts must not be one row"


@pytest.mark.parametrize(
    ("kind", "architecture", "processor"),
    [("dinov2", Dinov2Model, BitImageProcessorPil), ("vit", ViTModel, ViTImageProcessorPil)],
)
def test_dinos_row_is_the_class_token(
    kind: str, architecture: Any, processor: Any, folders: dict[str, Path]
) -> None:
    model = architecture.from_pretrained(folders[kind]).eval()
    pixels = processor.from_pretrained(folders[kind])(PICTURES, return_tensors="pt").pixel_values
    with torch.inference_mode():
        theirs = model(pixels).last_hidden_state[:, 0]
    ours = load(folders, kind).encode_images(PICTURES)
    np.testing.assert_allclose(ours, unit(theirs), atol=1e-5)
    assert np.abs(ours[0] - ours[1]).max() > 0.05


def test_blips_sentences_are_transformers_own(folders: dict[str, Path]) -> None:
    folder = folders["blip"]
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    processor = BlipProcessor(
        BlipImageProcessorPil.from_pretrained(folder), BertTokenizer.from_pretrained(folder)
    )
    theirs = []
    for picture in PICTURES:
        inputs = processor(images=picture, return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=blip.TOKENS)
        theirs.append(processor.decode(tokens[0], skip_special_tokens=True))
    ours = load(folders, "blip").caption(PICTURES)
    assert ours == theirs
    assert len(set(ours)) > 1


def test_blip2s_sentences_are_transformers_own(folders: dict[str, Path]) -> None:
    folder = folders["blip-2"]
    model = Blip2ForConditionalGeneration.from_pretrained(folder).eval()
    processor = Blip2Processor(
        BlipImageProcessorPil.from_pretrained(folder), BertTokenizer.from_pretrained(folder)
    )
    theirs = []
    for picture in PICTURES:
        inputs = processor(images=picture, return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=blip.TOKENS)
        theirs.append(processor.decode(tokens[0], skip_special_tokens=True).strip())
    ours = load(folders, "blip-2").caption(PICTURES)
    assert ours == theirs
    assert len(set(ours)) > 1


@pytest.mark.parametrize("kind", LOADERS)
def test_bfloat16_stays_near(kind: str, folders: dict[str, Path]) -> None:
    model = load(folders, kind, "bfloat16")
    if kind.startswith("blip"):
        assert all(model.caption(PICTURES))
        return
    exact = load(folders, kind).encode_images(PICTURES)
    rough = model.encode_images(PICTURES)
    assert rough.dtype == np.float32
    assert (exact * rough).sum(axis=1).min() > 0.99


def test_a_batch_is_larger_than_one_pass(folders: dict[str, Path]) -> None:
    model = load(folders, "clip")
    many = model.encode_images([PICTURES[n % 3] for n in range(35)])
    assert len(many) == 35
    np.testing.assert_allclose(many[34], model.encode_images([PICTURES[1]])[0], atol=1e-5)


def test_a_text_too_long_is_refused_and_never_cut(folders: dict[str, Path]) -> None:
    model = load(folders, "clip")
    model.encode_texts(["dog " * 14])
    with pytest.raises(PromptError, match=r"17 tokens.*holds 16"):
        model.encode_texts(["cat", "dog " * 15])


@pytest.mark.parametrize("kind", LOADERS)
def test_a_folder_that_lacks_a_tensor_is_refused(kind: str, copied: Any) -> None:
    """Never filled with random numbers."""
    folder = copied(kind)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    lost = next(
        name
        for name in tensors
        if name.endswith(("patch_embedding.weight", "patch_embeddings.projection.weight"))
    )
    save_file({k: v for k, v in tensors.items() if k != lost}, file, {"format": "pt"})
    with pytest.raises(WeightsMissing, match=f"lack 1 of tiny's tensors, such as .*{lost[-20:]}"):
        LOADERS[kind](weights(folder, kind), Runtime())


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_folder_that_lacks_a_file_is_refused(kind: str, file: str, copied: Any) -> None:
    folder = copied(kind)
    (folder / file).unlink()
    with pytest.raises(WeightsMissing, match="tiny can't be read from"):
        LOADERS[kind](weights(folder, kind), Runtime())


@pytest.mark.parametrize("kind", ["clip", "vit", "blip"])
def test_files_of_two_models_are_refused(kind: str, copied: Any) -> None:
    folder = copied(kind)
    file = folder / "preprocessor_config.json"
    config = json.loads(file.read_text())
    config |= {key: {"height": 48, "width": 48} for key in ("size", "crop_size") if key in config}
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"for images of 32 pixels .* 48 x 48"):
        LOADERS[kind](weights(folder, kind), Runtime())


@pytest.mark.parametrize("kind", LOADERS)
def test_another_kind_of_model_is_refused(kind: str, folders: dict[str, Path]) -> None:
    other = "blip" if kind == "clip" else "clip"
    with pytest.raises(ModelError, match=f"holds a {other} model"):
        LOADERS[kind](weights(folders[other], kind), Runtime())


def test_no_folder(folders: dict[str, Path]) -> None:
    with pytest.raises(WeightsMissing, match="none was given"):
        clip.load(weights(None, "clip"), Runtime())


def test_the_processor_is_the_one_the_folder_names(copied: Any) -> None:
    """facebook/dino-vits16 says ViTFeatureExtractor, a name that is no class any more."""
    folder = copied("vit")
    file = folder / "preprocessor_config.json"
    config = json.loads(file.read_text())
    del config["image_processor_type"]
    file.write_text(json.dumps(config | {"feature_extractor_type": "ViTFeatureExtractor"}))
    assert len(dino.load(weights(folder, "dino"), Runtime()).encode_images(PICTURES)) == 3

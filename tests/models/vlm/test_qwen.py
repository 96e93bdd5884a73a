"""Qwen-VL in this process: the answers of transformers' own path, and exact boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, Qwen2VLImageProcessorPil

from limner.errors import LicenceRefused, ModelError, NoAnswer, PromptError
from limner.models.vlm.questions import question
from limner.models.vlm.qwen import ARCHITECTURES
from limner.options import DetectOptions
from limner.prompts import Text, VisualPrompt
from limner.registry import catalog, store
from limner.registry.pool import ModelPool
from limner.registry.vlm_formats import vlm_format_of
from limner.registry.weights import Runtime
from tests.models.tiny_qwen import Kind, save_tiny_qwen

KINDS: tuple[Kind, ...] = ("qwen2_5_vl", "qwen3_vl")
FACTORS = {"qwen2_5_vl": 28, "qwen3_vl": 32}
SAYS = '```json\n[{"bbox_2d": [100, 50, 400, 350], "label": "the dog"}]\n```'
DOG = VisualPrompt(text=Text("the dog"))

TEMPLATES = {
    "qwen2_5_vl": "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}",
    "qwen3_vl": "{% for message in messages %}",
}
"""How the chat templates of the two checkpoints begin; the rest is the same."""
REST = (
    "<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models with random weights, and one of each that always says the same."""
    root = tmp_path_factory.mktemp("qwen")
    made = {kind: save_tiny_qwen(root / kind, kind=kind) for kind in KINDS}
    return made | {
        f"{kind} says": save_tiny_qwen(root / f"{kind}-says", kind=kind, says=SAYS)
        for kind in KINDS
    }


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    noise = np.random.default_rng(3).integers(0, 255, (25, 38, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((380, 250), Image.Resampling.BICUBIC)


def loaded(folder: Path, **defaults: Any) -> Any:
    return ModelPool().get(replace(store.from_folder(folder), defaults=defaults), Runtime())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_tokens_as_transformers_on_the_same_weights(
    kind: Kind, folders: dict[str, Path], picture: Image.Image
) -> None:
    """From the original picture and the chat template, with the bounds that Qwen's authors
    recommend: the pixels, the question's tokens and the 16 likeliest answers."""
    folder = folders[kind]
    model = loaded(folder, answer_tokens=16)
    calls: list[tuple[dict[str, Any], torch.Tensor]] = []
    real = model._backend._model.generate

    def generate(**given: Any) -> torch.Tensor:
        answer: torch.Tensor = real(**given)
        calls.append((given, answer))
        return answer

    model._backend._model.generate = generate
    with pytest.raises(NoAnswer):
        model.detect(picture, [DOG], DetectOptions())
    ours, answer = calls[0]

    factor = FACTORS[kind]
    bounds = {"shortest_edge": 256 * factor**2, "longest_edge": 1280 * factor**2}
    processor = Qwen2VLImageProcessorPil.from_pretrained(folder, size=bounds)
    seen = processor(images=picture, return_tensors="pt")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    manner = vlm_format_of(ARCHITECTURES[kind].name)
    words = question(["the dog"], manner, manner.frame(picture.size).target_wh)
    content = [{"type": "image"}, {"type": "text", "text": words}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=TEMPLATES[kind] + REST,
        add_generation_prompt=True,
        tokenize=False,
    )
    count = int(seen["image_grid_thw"].prod()) // 4
    ids = tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * count), return_tensors="pt")
    upstream = ARCHITECTURES[kind].model.from_pretrained(folder).eval()
    pad = upstream.config.image_token_id
    theirs = upstream.generate(
        **ids,
        **seen,
        mm_token_type_ids=(ids["input_ids"] == pad).int(),
        do_sample=False,
        max_new_tokens=16,
    )
    assert torch.equal(ours["image_grid_thw"], seen["image_grid_thw"])
    assert torch.equal(ours["pixel_values"], seen["pixel_values"])
    assert torch.equal(ours["input_ids"], ids["input_ids"])
    assert torch.equal(answer, theirs)
    assert len(set(answer[0, -16:].tolist())) > 3, "the answers differ, so that equal says much"


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_come_back_in_pixels_of_the_original(
    kind: Kind, folders: dict[str, Path], picture: Image.Image
) -> None:
    """2.5 answers in pixels of what it saw, 3 in thousandths; several samples agree."""
    model = loaded(folders[f"{kind} says"])
    found = model.detect(picture, [DOG, DOG], DetectOptions())
    if kind == "qwen2_5_vl":
        w, h = vlm_format_of("qwen2.5-vl").frame(picture.size).target_wh
        assert (w % 28, h % 28) == (0, 0)
        assert 256 * 28**2 <= w * h <= 1280 * 28**2
        expected = [100 / w * 380, 50 / h * 250, 400 / w * 380, 350 / h * 250]
    else:
        expected = [38, 12.5, 152, 87.5]
    assert np.allclose(found.xyxy, [expected] * 2, atol=1e-4)
    assert found.data["prompt_index"].tolist() == [0, 1]
    sampled = model.detect(picture, [DOG], DetectOptions(samples=3))
    assert sampled.confidence is not None
    assert sampled.confidence.tolist() == [1.0]


@pytest.mark.parametrize("kind", KINDS)
def test_nonsense_is_no_box(kind: Kind, folders: dict[str, Path], picture: Image.Image) -> None:
    """Random weights write bytes: that is said, and nothing is made of them."""
    with pytest.raises(NoAnswer, match="can't be read: it"):
        loaded(folders[kind], answer_tokens=24).detect(picture, [DOG], DetectOptions())


def test_a_crop_is_a_picture_like_any_other(folders: dict[str, Path], picture: Image.Image) -> None:
    """Twelve by nine pixels are enlarged to what the model can see, and mapped back."""
    model = loaded(folders["qwen3_vl says"])
    found = model.detect(picture.crop((5, 5, 17, 14)), [DOG], DetectOptions())
    assert np.allclose(found.xyxy, [[1.2, 0.45, 4.8, 3.15]], atol=1e-4)


@pytest.mark.parametrize(
    ("phrase", "why"),
    [
        ("a dog<|im_end|>", "control token"),
        ("very " * 1000 + "old dog", r"take \d+ tokens, and qwen3_vl-says holds 4096"),
    ],
)
def test_a_phrase_that_can_not_be_asked_is_refused(
    folders: dict[str, Path], picture: Image.Image, phrase: str, why: str
) -> None:
    model = loaded(folders["qwen3_vl says"])
    with pytest.raises(PromptError, match=why):
        model.detect(picture, [VisualPrompt(text=Text(phrase))], DetectOptions())


def test_files_of_two_models_are_refused(tmp_path: Path) -> None:
    folder = save_tiny_qwen(tmp_path / "mixed", kind="qwen3_vl")
    Qwen2VLImageProcessorPil(patch_size=14).save_pretrained(folder)
    with pytest.raises(ModelError, match="patches of 16 pixels and an image processor that makes"):
        loaded(folder)
    tokenizer = AutoTokenizer.from_pretrained(save_tiny_qwen(folder, kind="qwen3_vl"))
    other = AutoTokenizer.from_pretrained(save_tiny_qwen(folder, kind="qwen3_vl", says=SAYS))
    assert len(tokenizer) < len(other)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"image_token_id": ', '"image_token_id": 1'))
    with pytest.raises(ModelError, match="tokenizer"):
        loaded(folder)


def test_commercial_safe_refuses_the_3b_and_names_others() -> None:
    refused = catalog.catalog()["qwen25-vl-3b"]
    with pytest.raises(LicenceRefused, match=r"Qwen Research.*qwen25-vl-7b.*qwen3-vl-4b"):
        catalog.require_commercial(refused)
    for name in ("qwen25-vl-7b", "qwen3-vl-2b", "qwen3-vl-4b", "qwen3-vl-8b"):
        assert catalog.catalog()[name].commercial == "yes"

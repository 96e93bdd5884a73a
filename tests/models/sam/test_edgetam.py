"""EdgeTAM against transformers' own path, where timm is installed; and what is said where not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import EdgeTamModel

from limner.errors import MissingExtra
from limner.models.sam import sam2
from limner.models.sam.prompt_tensors import mask_logits
from limner.options import SegmentOptions
from limner.protocols import ModelRef
from limner.registry import store
from limner.registry.pool import ModelPool
from limner.registry.weights import Runtime, Weights
from tests.models.sam.test_sam2 import MEAN, PROMPTS, SIZES, STD, squashed
from tests.models.tiny_owlvit import noise


@pytest.fixture(scope="module", params=[False, True], ids=["image model", "video model"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("timm", reason="EDGETAM MISSING: limner[edgetam] isn't installed.")
    from tests.models.tiny_edgetam import save_tiny_edgetam

    return save_tiny_edgetam(tmp_path_factory.mktemp("edgetam"), video=request.param)


@pytest.mark.parametrize("multimask", [True, False], ids=["three masks", "one mask"])
@pytest.mark.parametrize("size", SIZES)
def test_masks_are_those_of_transformers_to_the_pixel(
    folder: Path, size: str, multimask: bool
) -> None:
    """Points, boxes and masks, from a folder as a user has it."""
    weights = store.from_folder(folder)
    assert weights.ref.family == "edgetam"
    ours = ModelPool().get(weights, Runtime())
    theirs = EdgeTamModel.from_pretrained(folder).eval()
    image = noise(*SIZES[size])
    embedding = ours.embed(image)
    for kind, prompt in PROMPTS.items():
        if kind == "mask" and size != "wide":
            continue
        found = ours.segment(embedding, [prompt], SegmentOptions(multimask_output=multimask))
        inputs = squashed(image, prompt, 128, MEAN, STD)
        if prompt.mask:
            logits = mask_logits(prompt.mask.array, embedding.data.frame, 32)
            inputs["input_masks"] = torch.from_numpy(logits)[None, None]
        with torch.no_grad():
            out = theirs(**inputs, multimask_output=multimask)
        enlarged = torch.nn.functional.interpolate(
            out.pred_masks[0], image.size[::-1], mode="bilinear", align_corners=False
        )
        expected = enlarged[0].numpy() > 0
        scores = out.iou_scores[0, 0].numpy()
        (candidates,) = found.data["candidates"]
        assert len(candidates) == len(expected) == (3 if multimask else 1)
        for (mask, score), m in zip(candidates, np.argsort(-scores, kind="stable"), strict=True):
            np.testing.assert_array_equal(mask, expected[m], err_msg=kind)
            assert score == pytest.approx(np.clip(scores[m], 0, 1), abs=1e-5)
        assert any(0 < mask.mean() < 1 for mask in expected), "empty masks show nothing"


def test_bfloat16_answers_nearly_the_same(folder: Path) -> None:
    weights = store.from_folder(folder)
    image, prompts = noise(*SIZES["wide"]), [PROMPTS["point"], PROMPTS["box"]]
    full, half = (
        model.segment(model.embed(image), prompts, SegmentOptions()).mask
        for model in (sam2.load_edgetam(weights, Runtime(dtype=d)) for d in ("float32", "bfloat16"))
    )
    assert ((full == half).mean(axis=(1, 2)) > 0.9).all()


def test_timm_missing_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install has none, for timm brings torchvision."""
    found = importlib.util.find_spec
    monkeypatch.setattr(sam2, "find_spec", lambda name: None if name == "timm" else found(name))
    (tmp_path / "config.json").write_text('{"model_type": "edgetam_video"}')
    weights = Weights(ModelRef("edgetam", "edgetam", "Apache-2.0"), tmp_path)
    with pytest.raises(MissingExtra, match=r'edgetam needs.*pip install "limner\[edgetam\]"'):
        sam2.load_edgetam(weights, Runtime())

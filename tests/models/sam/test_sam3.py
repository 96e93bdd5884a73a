"""SAM 3 on a tiny model of the real classes with random weights, against transformers' own path
step by step: its processor needs torchvision."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer, Sam3Model

from limner import FindOptions, Session
from limner.errors import ModelError, OptionError, PromptError, UnsupportedPrompt, WeightsMissing
from limner.models.blocks.roi_align import roi_align
from limner.models.sam.sam3 import Sam3, load
from limner.options import DetectOptions, RedactOptions, SegmentOptions
from limner.prompts import Box, Exemplar, Like, Point, Text, VisualPrompt
from limner.protocols import Detector, ModelRef
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_owlvit import noise
from tests.models.tiny_sam3 import SIDE, save_tiny_sam3, save_tiny_sam3_video

REF = ModelRef("tiny", "sam3", "SAM License")
ALL = DetectOptions(threshold=0.0)
HERE, THERE = Like(Box(10, 10.5, 60, 61)), Like(Box(100, 10, 120, 60), positive=False)
PROMPTS = {
    "phrase": VisualPrompt(text=Text("dog")),
    "another phrase": VisualPrompt(text=Text("red cat")),
    "example box": VisualPrompt(likes=(HERE,)),
    "example boxes of both signs": VisualPrompt(likes=(HERE, THERE)),
    "phrase and example boxes": VisualPrompt(text=Text("dog"), likes=(HERE, THERE)),
    "phrase and negative box": VisualPrompt(text=Text("dog"), likes=(THERE,)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="module")
def sam3(folder: Path) -> Sam3:
    return load(Weights(REF, folder), Runtime())


@pytest.fixture
def image() -> Image.Image:
    return noise(160, 96)


def upstream(folder: Path, image: Image.Image, prompt: VisualPrompt, threshold: float) -> Any:
    """``Sam3Processor``'s steps, the model, and those of ``post_process_instance_segmentation``:
    (K,) scores, (K, 4) boxes and (K, H, W) masks."""
    model = Sam3Model.from_pretrained(folder).eval()
    rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    square = torch.nn.functional.interpolate(
        rgb, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
    )
    tokens = CLIPTokenizer.from_pretrained(folder)(
        prompt.text.phrase if prompt.text else "visual",
        return_tensors="pt",
        padding="max_length",
        max_length=16,
    )
    inputs = {
        "pixel_values": (square.float() - 127.5) / 127.5,
        "input_ids": tokens.input_ids,
        "attention_mask": tokens.attention_mask,
    }
    if prompt.likes:
        x0, y0, x1, y1 = torch.tensor([like.box.xyxy for like in prompt.likes]).T
        centred = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=-1)
        width, height = image.size
        inputs["input_boxes"] = (centred / torch.tensor([width, height, width, height]))[None]
        inputs["input_boxes_labels"] = torch.tensor([[like.label for like in prompt.likes]])
    with torch.no_grad():
        out = model(**inputs)
    scores = (out.pred_logits.sigmoid() * out.presence_logits.sigmoid())[0]
    kept = scores > threshold
    whole = torch.tensor([*image.size, *image.size])
    enlarged = torch.nn.functional.interpolate(
        out.pred_masks.sigmoid(), image.size[::-1], mode="bilinear", align_corners=False
    )
    return scores[kept], (out.pred_boxes[0] * whole)[kept], enlarged[0, kept] > 0.5


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_answers_are_those_of_transformers(
    sam3: Sam3, folder: Path, image: Image.Image, prompt: VisualPrompt
) -> None:
    """Scores, boxes and masks; beside other prompts as alone."""
    found = sam3.detect(image, [PROMPTS["another phrase"], prompt], ALL)
    found = found[found.class_id == (0 if prompt == PROMPTS["another phrase"] else 1)]
    if prompt == PROMPTS["another phrase"]:
        found = sam3.detect(image, [prompt], ALL)
    scores, boxes, masks = upstream(folder, image, prompt, 0.0)
    order = np.argsort(-scores.numpy(), kind="stable")
    assert len(found) == len(scores) > 5
    np.testing.assert_allclose(np.sort(found.confidence), np.sort(scores.numpy()), atol=1e-5)
    compared = 0
    for row, theirs in zip(range(len(found)), order, strict=True):
        gaps = np.abs(scores.numpy() - scores.numpy()[theirs])
        if np.sort(gaps)[1] < 1e-4:  # equal scores have no order
            continue
        expected = np.clip(boxes[theirs].numpy(), 0, [160, 96, 160, 96])
        np.testing.assert_allclose(found.xyxy[row], expected, atol=1e-2)
        assert (found.mask[row] == masks[theirs].numpy()).mean() > 0.9999
        compared += 1
    assert compared > 2
    assert 0 < found.mask.mean() < 1


def test_each_part_of_a_prompt_counts(sam3: Sam3, image: Image.Image) -> None:
    """A phrase, a box that is like it and one that is not: leaving one out changes the answer."""
    best = [
        tuple(sam3.detect(image, [prompt], ALL).confidence.round(6)) for prompt in PROMPTS.values()
    ]
    assert len(set(best)) == len(PROMPTS)


def test_rows_have_masks_and_our_keys(sam3: Sam3, image: Image.Image) -> None:
    assert isinstance(sam3, Detector)
    prompts = [PROMPTS["phrase"], PROMPTS["example box"], PROMPTS["phrase"]]
    found = sam3.detect(image, prompts, ALL)
    assert (np.diff(found.confidence) <= 0).all()
    assert set(found.class_id) == {0, 1, 2}
    assert found.mask.shape == (len(found), 96, 160)
    names = dict(zip(found.class_id.tolist(), found.data["class_name"], strict=True))
    assert names == {0: "dog", 1: "example", 2: "dog"}
    for row, ((mask, score),) in enumerate(found.data["candidates"]):
        assert np.array_equal(mask, found.mask[row])
        assert score == pytest.approx(found.data["mask_score"][row])


def test_options_are_obeyed(sam3: Sam3, image: Image.Image) -> None:
    prompt = PROMPTS["another phrase"]
    every = sam3.detect(image, [prompt], ALL)
    least = float(every.confidence[1])
    assert len(sam3.detect(image, [prompt], DetectOptions(threshold=least))) == 1
    assert len(sam3.detect(image, [prompt], DetectOptions())) == 0, "0.5 unless the catalog says"
    own = DetectOptions(threshold=0.0, phrase_thresholds=(("red cat", least),))
    assert len(sam3.detect(image, [prompt], own)) == 1
    assert len(sam3.detect(image, [prompt], DetectOptions(threshold=0, max_detections=4))) == 4
    fewer = sam3.detect(image, [prompt], DetectOptions(threshold=0, nms_threshold=0.3))
    assert 0 < len(fewer) < len(every)
    assert len(sam3.detect(image, [], ALL)) == 0


def test_an_image_is_encoded_once(sam3: Sam3) -> None:
    calls: list[int] = []
    hook = sam3._model.vision_encoder.register_forward_hook(lambda *_: calls.append(1))
    image = noise(90, 70, seed=9)
    sam3.detect(image, [PROMPTS["phrase"], PROMPTS["another phrase"]], ALL)
    sam3.detect(image, [VisualPrompt(text=Text("cat"))], ALL)
    hook.remove()
    assert len(calls) == 1


REFUSED = {
    "a long phrase": (VisualPrompt(text=Text("dog " * 20)), PromptError, "22 tokens"),
    "a negative phrase": (
        VisualPrompt(text=Text("dog", "cat")),
        PromptError,
        "no negative phrases",
    ),
    "a box outside": (VisualPrompt(likes=(Like(Box(0, 0, 200, 9)),)), PromptError, "leaves the im"),
    "a point": (VisualPrompt(points=(Point(1, 1),)), UnsupportedPrompt, "can't take a point"),
    "an image": (
        VisualPrompt(exemplar=Exemplar(np.zeros((5, 5, 3), np.uint8))),
        UnsupportedPrompt,
        "can't take an exemplar",
    ),
}


@pytest.mark.parametrize(("prompt", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_what_it_cant_be_asked_is_refused(
    sam3: Sam3, image: Image.Image, prompt: VisualPrompt, error: Any, says: str
) -> None:
    with pytest.raises(error, match=says):
        sam3.detect(image, [prompt], ALL)


def test_the_video_models_folder_holds_it(tmp_path: Path, image: Image.Image) -> None:
    """As on the hub: the image model's tensors stand under ``detector_model``."""
    whole = load(Weights(REF, save_tiny_sam3_video(tmp_path / "video")), Runtime())
    scores, *_ = upstream(tmp_path / "video", image, PROMPTS["phrase"], 0.0)
    found = whole.detect(image, [PROMPTS["phrase"]], ALL)
    np.testing.assert_allclose(found.confidence, -np.sort(-scores.numpy()), atol=1e-5)


def test_folders_it_cant_read_are_refused(folder: Path, tmp_path: Path) -> None:
    hollow = shutil.copytree(folder, tmp_path / "hollow")
    tensors = load_file(hollow / "model.safetensors")
    del tensors["geometry_encoder.label_embed.weight"]
    save_file(tensors, hollow / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsMissing, match=r"lack 1 of tiny's tensors.*label_embed"):
        load(Weights(REF, hollow), Runtime())
    (hollow / "config.json").write_text('{"model_type": "sam2"}')
    with pytest.raises(ModelError, match="holds a sam2 model"):
        load(Weights(REF, hollow), Runtime())


def test_bfloat16_answers_nearly_the_same(sam3: Sam3, folder: Path, image: Image.Image) -> None:
    half = load(Weights(REF, folder), Runtime(dtype="bfloat16"))
    prompts = [PROMPTS["phrase and example boxes"]]
    ours, full = (model.detect(image, prompts, ALL) for model in (half, sam3))
    np.testing.assert_allclose(ours.confidence, full.confidence, atol=0.05)


# --- pooling ----------------------------------------------------------------------------------


def test_pooling_is_torchvisions() -> None:
    """Numbers of ``torchvision.ops.roi_align._roi_align`` (0.28.0, the pure-torch form of the
    kernel), for a box inside, one that is larger than the picture and one of less than a pixel."""
    features = torch.arange(48, dtype=torch.float32).reshape(1, 1, 6, 8) ** 1.5 / 50
    boxes = torch.tensor([[1.2, 0.5, 6.9, 4.0], [-3.0, -2.0, 2.0, 9.0], [2.0, 2.0, 2.2, 2.1]])
    expected = [
        *[1.0471588, 1.3746828, 2.9440174, 3.4028435],
        *[0.7625411, 0.8225991, 4.7809715, 4.9269061],
        *[1.8422307, 1.9099214, 2.4074757, 2.4815166],
    ]
    pooled = roi_align(features, [boxes], 2)
    assert pooled.shape == (3, 1, 2, 2)
    np.testing.assert_allclose(pooled.flatten(), expected, rtol=1e-5)
    assert roi_align(features, [boxes[:0]], 2).shape == (0, 1, 2, 2)


# --- without a second model -------------------------------------------------------------------


def test_a_session_outlines_with_no_segmenter_at_all(folder: Path, image: Image.Image) -> None:
    """The small profile's segmenter isn't on this machine, and nobody asks for it."""
    session = Session(profile="small", models={"detect": str(folder)})
    finding = FindOptions(detect=DetectOptions(threshold=0.05))
    run = session.segment(image, [PROMPTS["another phrase"]], finding=finding)
    assert len(run.grounding) > 2
    assert run.grounding.detections.mask is not None
    assert run.grounding.mask.any()
    idle = FindOptions(segment=SegmentOptions(mask_threshold=1.0))
    with pytest.raises(OptionError, match="it outlines by itself"):
        session.segment(image, [PROMPTS["phrase"]], finding=idle)
    with pytest.raises(WeightsMissing, match="slimsam"):
        session.segment(image, [PROMPTS["phrase"], VisualPrompt(points=(Point(5, 5),))])


def test_fused_boxes_are_outlined_by_the_segmenter(folder: Path, image: Image.Image) -> None:
    """A consensus has boxes only, whoever is in it: its rectangles are no outlines."""
    twin = shutil.copytree(folder, folder.with_name("twin"))
    session = Session(profile="small", models={"detect": f"{folder}+{twin}"})
    with pytest.raises(WeightsMissing, match="slimsam"):
        session.segment(image, [PROMPTS["another phrase"]])


def test_a_redaction_of_boxes_covers_boxes(folder: Path, image: Image.Image) -> None:
    """Whoever asks for boxes wants all of them covered, not the outlines within."""
    session = Session(profile="small", models={"detect": str(folder)})
    finding = FindOptions(detect=DetectOptions(threshold=0.05, max_detections=1))
    run = session.redact(
        image, [PROMPTS["another phrase"]], finding=finding, redact=RedactOptions(region="box")
    )
    (x0, y0, x1, y1) = run.grounding.detections.xyxy[0]
    covered = run.grounding.mask
    assert covered[int(y0) + 1 : int(y1) - 1, int(x0) + 1 : int(x1) - 1].all()

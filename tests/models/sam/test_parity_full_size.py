"""SAM ViT-B at its real size, random weights, against transformers' own path, to the pixel.

Costs about 80 seconds and 3 GB on two free cores, nearly all of it the image encoder: a pass each
way for each of three images at 6 to 10 seconds, and one image for a model of SlimSAM's size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import SamConfig, SamImageProcessorPil, SamModel, SamProcessor

from limner.models.sam.sam import load
from limner.models.sam.segmenter import SamSegmenter
from limner.options import SegmentOptions
from limner.prompts import Box, Point, VisualPrompt
from limner.protocols import ModelRef
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_sam import random_sam

VIT_B: dict[str, Any] = {}
SLIM = {"hidden_size": 168, "mlp_dim": 696}
"""About SlimSAM-77: ViT-B's depth and a fifth of its width, 9.7 M weights in all."""
CASES = {
    "ViT-B landscape": (VIT_B, (640, 427)),
    "SlimSAM portrait": (SLIM, (333, 500)),
    "SlimSAM square": (SLIM, (512, 512)),
    "SlimSAM landscape": (SLIM, (640, 427)),
}
PROMPTS = {
    "point": VisualPrompt(points=(Point(200.5, 150.25),)),
    "box": VisualPrompt(box=Box(80.3, 60, 300, 333.7)),
}


def save_random_sam(folder: Path, vision: dict[str, Any]) -> Path:
    random_sam(SamConfig(vision_config=vision), std=0.02, seed=20).save_pretrained(folder)
    SamImageProcessorPil().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SamSegmenter, SamModel]:
    """Our adapter and transformers' model, each read from the same folder."""
    folder = save_random_sam(tmp_path_factory.mktemp("sam"), request.param)
    ours = load(Weights(ModelRef("sam-random", "sam", "none"), folder), Runtime())
    return ours, SamModel.from_pretrained(folder).eval()


def their_masks(
    model: SamModel, inputs: Any, grid: torch.Tensor, prompt: dict[str, Any], multimask: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(M, H, W) bool and (M,) scores, from the grid of transformers' own encoder pass."""
    processor = SamProcessor(SamImageProcessorPil())
    with torch.no_grad():
        out = model(image_embeddings=grid, multimask_output=multimask, **prompt)
    (found,) = processor.post_process_masks(
        out.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )
    return found[0].numpy(), out.iou_scores[0, 0].numpy()


@pytest.mark.slow
@pytest.mark.parametrize(("both", "size_wh"), CASES.values(), ids=CASES, indirect=["both"])
def test_masks_are_those_of_transformers_to_the_pixel(
    both: tuple[SamSegmenter, SamModel], size_wh: tuple[int, int]
) -> None:
    ours, theirs = both
    width, height = size_wh
    coarse = np.random.default_rng(width).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    point, box = PROMPTS["point"].points[0], PROMPTS["box"].box
    assert box
    inputs = SamProcessor(SamImageProcessorPil())(
        images=image,
        input_points=[[[[point.x, point.y]]]],
        input_labels=[[[1]]],
        input_boxes=[[list(box.xyxy)]],
        return_tensors="pt",
    )
    with torch.no_grad():
        grid = theirs.get_image_embeddings(inputs["pixel_values"])
    asked = {
        "point": {key: inputs[key] for key in ("input_points", "input_labels")},
        "box": {"input_boxes": inputs["input_boxes"]},
    }
    embedding = ours.embed(image)
    assert torch.equal(embedding.data.features[0], grid)
    compared = 0
    for name, prompt in PROMPTS.items():
        for multimask in (True, False):
            masks, scores = their_masks(theirs, inputs, grid, asked[name], multimask)
            found = ours.segment(embedding, [prompt], SegmentOptions(multimask_output=multimask))
            (candidates,) = found.data["candidates"]
            for (mask, score), m in zip(candidates, np.argsort(-scores), strict=True):
                np.testing.assert_array_equal(mask, masks[m], err_msg=f"{name} {m}")
                assert score == pytest.approx(np.clip(scores[m], 0, 1), abs=1e-6)
                assert 0.001 < mask.mean() < 0.999
                compared += 1
    assert compared == 8

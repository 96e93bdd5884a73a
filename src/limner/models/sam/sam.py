"""Segment Anything (Kirillov et al. 2023, arXiv 2304.02643) and SlimSAM: points, boxes and masks to
masks, through transformers' ``SamModel``; and HQ-SAM (Ke et al. 2023, arXiv 2306.01567), through
``SamHQModel``: SAM with one more token, whose mask has finer edges and is added to SAM's.

Masks are those of transformers' own path (``SamProcessor``, ``SamModel``, ``post_process_masks``)
for the same numbers. As there, the original's x and y are scaled to the model's 1024 pixels and
half a pixel of those is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import SamHQModel, SamImageProcessorPil, SamModel

from limner.errors import ImageError, ModelError
from limner.models.blocks.pretrained import folder_of, read_model, read_part, resized_pixels
from limner.models.sam.enlarging import Pass
from limner.models.sam.segmenter import Features, SamSegmenter
from limner.ops import transforms
from limner.registry.weights import Runtime, Weights


def load(weights: Weights, runtime: Runtime) -> SamSegmenter:
    """Read a SAM's folder made by ``save_pretrained``. One without an image processor gets SAM's
    own.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model.
    """
    path, _ = folder_of(weights, ("sam",))
    return _segmenter(SamNetwork, SamModel, weights, path, runtime)


def load_hq(weights: Weights, runtime: Runtime) -> SamSegmenter:
    """The same for an HQ-SAM's."""
    path, _ = folder_of(weights, ("sam_hq",))
    return _segmenter(SamHQNetwork, SamHQModel, weights, path, runtime)


def _segmenter(
    network: type[SamNetwork], architecture: Any, weights: Weights, path: Path, runtime: Runtime
) -> SamSegmenter:
    model = read_model(architecture, weights, path, Runtime())
    processor = _read_processor(weights, path, model.config.vision_config.image_size)
    # The prompt encoder and the decoder, 4 M of ViT-B's 94 M weights, stay in float32: bfloat16
    # rounds a click to 2 of 1024 pixels.
    model.vision_encoder.to(getattr(torch, runtime.dtype))
    model.to(runtime.device)
    return SamSegmenter(weights.ref, network(model, processor, runtime.device), weights.defaults)


def _read_processor(weights: Weights, path: Path, side: int) -> Any:
    if any((path / f"{kind}_config.json").exists() for kind in ("preprocessor", "processor")):
        processor = read_part(SamImageProcessorPil, weights, path)
    else:
        square = {"height": side, "width": side}
        processor = SamImageProcessorPil(size={"longest_edge": side}, pad_size=square)
    longest = processor.size["longest_edge"]
    if longest != side:
        raise ModelError(
            f"{path} holds a model for images of {side} pixels and an image processor that makes "
            f"them {longest}: get the files of one model."
        )
    return processor


class SamNetwork:
    """SAM as a ``Network``; one feature, the (1, C, h, w) grid."""

    advice = "take a smaller model, such as slimsam-77, or load it in bfloat16"

    def __init__(self, model: Any, processor: Any, device: str) -> None:
        self.model = model
        self.device = torch.device(device)
        # SamProcessor's precision, where the device has it
        self.real = torch.float32 if self.device.type == "mps" else torch.float64
        self._processor = processor
        self._side = int(processor.size["longest_edge"])
        grid = model.config.prompt_encoder_config.image_embedding_size
        self.mask_side = 4 * grid
        self.shapes: tuple[tuple[int, ...], ...] = (
            (1, model.config.vision_config.output_channels, grid, grid),
        )

    def frame(self, size_wh: transforms.Size) -> transforms.Chain:
        return sam_frame(size_wh, self._side)

    def encode(self, image: Image.Image) -> Features:
        return (self.model.get_image_embeddings(self._pixels(image)).float(),)

    def decode(
        self, features: Features, prompts: Mapping[str, torch.Tensor], multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(next(iter(prompts.values())))
        out = self.model(
            image_embeddings=features[0].expand(count, -1, -1, -1),
            multimask_output=multimask,
            **prompts,
        )
        return out.pred_masks[:, 0], out.iou_scores[:, 0]

    def passes(self, frame: transforms.Chain) -> tuple[Pass, ...]:
        """As ``post_process_masks``: to the square, without its padding to the original's size."""
        resized = frame.steps[0].target_wh
        square = Pass((self._side, self._side), (resized[1], resized[0]))
        return square, Pass.whole((frame.source_wh[1], frame.source_wh[0]))

    def _pixels(self, image: Image.Image) -> torch.Tensor:
        size_wh = self.frame(image.size).steps[0].target_wh
        tensor = resized_pixels(self._processor, image, size_wh)
        pixels: torch.Tensor = tensor.to(self.device, self.model.vision_encoder.dtype)
        return pixels


class SamHQNetwork(SamNetwork):
    """HQ-SAM, which also reads what the encoder's first global block answers."""

    advice = "take a smaller model, such as sam-hq-vit-base, or load it in bfloat16"

    def __init__(self, model: Any, processor: Any, device: str) -> None:
        super().__init__(model, processor, device)
        vision = model.config.vision_config
        patches = vision.image_size // vision.patch_size
        self.shapes = (*self.shapes, (1, patches, patches, vision.hidden_size))

    def encode(self, image: Image.Image) -> Features:
        grid, early = self.model.get_image_embeddings(self._pixels(image))
        return grid.float(), early[0].float()

    def decode(
        self, features: Features, prompts: Mapping[str, torch.Tensor], multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(next(iter(prompts.values())))
        out = self.model(
            image_embeddings=features[0].expand(count, -1, -1, -1),
            intermediate_embeddings=[features[1]],
            multimask_output=multimask,
            **prompts,
        )
        return out.pred_masks[:, 0], out.iou_scores[:, 0]


def sam_frame(size_wh: tuple[int, int], side: int) -> transforms.Chain:
    """Where ``SamImageProcessor`` puts an image of ``size_wh`` in its square of ``side``."""
    short, long = sorted(size_wh)
    if short * (side / long) + 0.5 < 1:
        raise ImageError(
            f"An image of {size_wh[0]}x{size_wh[1]} pixels is too long for this model: its longer "
            f"side may be at most {2 * side} times the shorter; crop it."
        )
    resized = transforms.resize_longest(size_wh, side)
    return resized.then(transforms.pad(resized.target_wh, (side, side)))

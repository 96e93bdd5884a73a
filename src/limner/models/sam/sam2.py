"""SAM 2.1 (Ravi et al. 2024, arXiv 2408.00714) and its kin on single images: points, boxes and
masks to masks, through transformers' ``Sam2Model``, ``Sam3TrackerModel`` (the part of SAM 3 that
takes clicks) and ``EdgeTamModel`` (Zhou et al. 2025, arXiv 2501.07256).

Masks are those of transformers' own path (``Sam2Processor``, the model, ``post_process_masks``).
The image is squashed to a square, so x and y have scales of their own.

Asked for one mask, the model gives that of its single-mask token; where that one is not stable, the
best of its three others (``dynamic_multimask_via_stability``). Its guess whether there is an object
at all is made for video, where things leave the picture, and changes no mask here. Weights of video
models are read without their memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from PIL import Image
from transformers import EdgeTamModel, Sam2Model, Sam3TrackerModel
from transformers.utils.constants import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    IMAGENET_STANDARD_MEAN,
    IMAGENET_STANDARD_STD,
)

from limner.errors import MissingExtra
from limner.models.blocks.pretrained import config_within, folder_of, read_model
from limner.models.blocks.square_resize import SquareResize, read_squash
from limner.models.sam.enlarging import Pass
from limner.models.sam.segmenter import Features, SamSegmenter
from limner.ops import transforms
from limner.registry.weights import Runtime, Weights

ARCHITECTURES: Mapping[str, Any] = {
    "sam2": Sam2Model,
    "sam2_video": Sam2Model,
    "sam3_tracker": Sam3TrackerModel,
    "sam3_tracker_video": Sam3TrackerModel,
    "sam3_video": Sam3TrackerModel,
}
"""By the ``model_type`` of a checkpoint's config.json."""

EDGETAM: Mapping[str, Any] = {"edgetam": EdgeTamModel, "edgetam_video": EdgeTamModel}
"""As ``ARCHITECTURES``; a family apart, for its backbone is timm's, which requires torchvision."""


def load(weights: Weights, runtime: Runtime) -> SamSegmenter:
    """Read a folder made by ``save_pretrained``, of the image model or of the video model.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model, or files of two.
    """
    return _load(weights, runtime, ARCHITECTURES)


def load_edgetam(weights: Weights, runtime: Runtime) -> SamSegmenter:
    """``load`` for EdgeTAM.

    Raises:
        MissingExtra: ``limner[edgetam]`` isn't installed.
        WeightsMissing, ModelError: as ``load``.
    """
    if find_spec("timm") is None:
        raise MissingExtra(
            f'{weights.ref.name} needs the package timm: pip install "limner[edgetam]".'
        )
    return _load(weights, runtime, EDGETAM)


def _load(weights: Weights, runtime: Runtime, architectures: Mapping[str, Any]) -> SamSegmenter:
    path, kind = folder_of(weights, architectures)
    architecture = architectures[kind]
    config = config_within(architecture, path, "tracker_config")
    model = read_model(architecture, weights, path, Runtime(), config=config)
    side = model.prompt_encoder.input_image_size
    standard = (
        (IMAGENET_STANDARD_MEAN, IMAGENET_STANDARD_STD)
        if kind.startswith("sam3")
        else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    )
    squash = read_squash(path, side, *map(tuple, standard))
    # The prompt encoder and the decoder stay in float32, as SAM's do.
    model.vision_encoder.to(getattr(torch, runtime.dtype))
    model.to(runtime.device)
    return SamSegmenter(weights.ref, Sam2Network(model, squash, runtime.device), weights.defaults)


class Sam2Network:
    """A ``Network``. Three features: two of high resolution, then the grid that is attended to."""

    advice = "take a smaller model, such as sam2-hiera-tiny, or load it in bfloat16"
    real = torch.float32

    def __init__(self, model: Any, squash: SquareResize, device: str) -> None:
        self.model = model
        self.device = torch.device(device)
        self._squash = squash
        self.mask_side = model.prompt_encoder.mask_input_size[0]
        width = model.config.mask_decoder_config.hidden_size
        channels = (width // 8, width // 4, width)
        self.shapes = tuple(
            (1, count, *size)
            for count, size in zip(channels, model.backbone_feature_sizes, strict=True)
        )

    def frame(self, size_wh: transforms.Size) -> transforms.Chain:
        return self._squash.frame(size_wh)

    def encode(self, image: Image.Image) -> Features:
        """As the model's ``get_image_embeddings``, which can't be asked here: the convolutions
        after the encoder are the decoder's, and stay in float32.

        Of SAM 3's four maps the coarsest is left out, and "no memory" added to the last that stays,
        as its authors' code does; transformers 5.23 adds it to the one that it leaves out.
        """
        encoder = self.model.vision_encoder
        pixels = self._squash.pixels(image).to(self.device, encoder.dtype)
        maps = encoder(pixels).fpn_hidden_states[: len(self.shapes)]
        fine, middle, grid = (level.float() for level in maps)
        no_memory = self.model.no_memory_embedding.reshape(1, -1, 1, 1)
        decoder = self.model.mask_decoder
        return decoder.conv_s0(fine), decoder.conv_s1(middle), grid + no_memory

    def decode(
        self, features: Features, prompts: Mapping[str, torch.Tensor], multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(next(iter(prompts.values())))
        out = self.model(
            image_embeddings=[feature.expand(count, -1, -1, -1) for feature in features],
            multimask_output=multimask,
            **prompts,
        )
        return out.pred_masks[:, 0], out.iou_scores[:, 0]

    def passes(self, frame: transforms.Chain) -> tuple[Pass, ...]:
        return (Pass.whole((frame.source_wh[1], frame.source_wh[0])),)

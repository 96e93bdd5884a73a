"""A network with YOLOv8-seg's outputs, random weights, exported as a user's FastSAM is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

SIDE = 128
STRIDES = (8, 16, 32)
BINS = 16
TOLD = {"task": "segment", "stride": "32", "names": "{0: 'object'}", "imgsz": f"[{SIDE}, {SIDE}]"}
"""What Ultralytics writes into an exported file, as far as limner reads it."""


class TinyYoloSeg(nn.Module):
    """Per level a distribution of each box side, a score and 32 coefficients; 32 prototypes."""

    def __init__(self, width: int = 8, classes: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(*(down(3 if n == 0 else width, width) for n in range(3)))
        self.deeper = nn.ModuleList([down(width, width), down(width, width)])
        self.heads = nn.ModuleList(nn.Conv2d(width, 4 * BINS + classes + 32, 1) for _ in STRIDES)
        self.prototypes = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width, 32, 3, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        levels = [self.stem(image)]
        for further in self.deeper:
            levels.append(further(levels[-1]))
        rows = [
            in_pixels(head(level), stride)
            for head, level, stride in zip(self.heads, levels, STRIDES, strict=True)
        ]
        return torch.cat(rows, 2), self.prototypes(levels[0])


def down(given: int, made: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(given, made, 3, 2, 1), nn.SiLU())


def in_pixels(head: Tensor, stride: int) -> Tensor:
    """(1, 4 * BINS + 1 + 32, h, w) -> (1, 4 + 1 + 32, h * w): sides become a box, scores 0..1."""
    _, channels, height, width = head.shape
    sides, score, coefficients = head.flatten(2).split([4 * BINS, channels - 4 * BINS - 32, 32], 1)
    distances = sides.reshape(1, 4, BINS, -1).softmax(2)
    left, top, right, bottom = (distances * torch.arange(BINS)[:, None]).sum(2).unbind(1)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    x, y = x.flatten(), y.flatten()
    box = torch.stack(
        [x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom], 1
    )
    return torch.cat([box * stride, score.sigmoid(), coefficients], 1)


def tiny_network(seed: int = 0, classes: int = 1) -> TinyYoloSeg:
    """Random weights that make scores, boxes and masks differ from place to place."""
    torch.manual_seed(seed)
    network = TinyYoloSeg(classes=classes).eval()
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            inputs = part.in_channels * part.kernel_size[0] ** 2
            nn.init.normal_(part.weight, 0, 2 * inputs**-0.5)
    for head in network.heads:
        assert isinstance(head, nn.Conv2d)
        assert head.bias is not None
        nn.init.constant_(head.bias, -1)
        with torch.no_grad():  # most sides are one or two strides long
            head.bias[: 4 * BINS] = -0.7 * torch.arange(BINS).repeat(4)
    return network


def save_tiny_fastsam(
    folder: Path,
    *,
    seed: int = 0,
    classes: int = 1,
    dynamic: bool = False,
    told: Mapping[str, str] = TOLD,
) -> TinyYoloSeg:
    """``FastSAM-s.onnx`` in a folder; returns the network in it."""
    folder.mkdir(parents=True)
    network = tiny_network(seed, classes)
    any_size = {
        "images": {2: "height", 3: "width"},
        "output0": {2: "anchors"},
        "output1": {2: "mask_height", 3: "mask_width"},
    }
    path = folder / "FastSAM-s.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ultralytics exports in the old way too
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, SIDE, SIDE),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            output_names=["output0", "output1"],
            dynamic_axes=any_size if dynamic else None,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(told))
    onnx.save(model, path)
    return network

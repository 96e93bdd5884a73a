"""A network with BiRefNet's input and output, as the hub's ONNX files have them: what is bright is
the thing, and its edges are soft. BiRefNet's own class is code in its repository and isn't run."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

SIDE = 64
FILE = "birefnet-general-lite.onnx"
BLUR = 5


class TinyMatting(nn.Module):
    """The channels' blurred sum, as logits."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.blur = nn.Conv2d(3, outputs, BLUR, padding=BLUR // 2, padding_mode="replicate")
        nn.init.constant_(self.blur.weight, 6 / (3 * BLUR**2))
        nn.init.constant_(self.blur.bias, 0.0)

    def forward(self, image: Tensor) -> Tensor:
        return self.blur(image)


def save_tiny_birefnet(
    folder: Path,
    *,
    file: str = FILE,
    side: int = SIDE,
    outputs: int = 1,
    dynamic: bool = False,
    half: bool = False,
) -> TinyMatting:
    """One ONNX file in a folder; returns the network in it."""
    path = folder / file
    path.parent.mkdir(parents=True)
    network = TinyMatting(outputs).eval()
    given = torch.zeros(1, 3, side, side)
    any_size = {name: {2: "height", 3: "width"} for name in ("input_image", "output_image")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.half() if half else network,
            (given.half() if half else given,),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["input_image"],
            output_names=["output_image"],
            dynamic_axes=any_size if dynamic else None,
        )
    return network.float()

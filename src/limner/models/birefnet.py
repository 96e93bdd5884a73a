"""BiRefNet: the main thing of a picture, with soft edges (Zheng et al. 2024, arXiv:2401.03407).

Its own class is code in its repository, which is never run here; the same network is had as an
ONNX file and run by onnxruntime. The picture is looked at squeezed to a square, as in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as pil

from limner.errors import ImageError, ModelError, ResultError, WeightsMissing
from limner.models.blocks.onnx_session import first_line, fits, open_session
from limner.protocols import Matte, ModelRef
from limner.registry.weights import Runtime, Weights

if TYPE_CHECKING:
    from PIL.Image import Image

FILES = ("onnx/model.onnx", "birefnet-general-lite.onnx", "birefnet-general.onnx")
"""As the hub's repositories have it, and as rembg names them."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
"""ImageNet's."""
SIDE = 1024
"""px of the square, where a graph takes any."""
MOST_SIDE = 4096
HALF = 0.5
"""From this opacity a pixel belongs to the thing."""


@dataclass(frozen=True)
class Graph:
    """What the network takes: (1, 3, height, width) floats of one precision."""

    session: Any
    input: str
    half: bool
    size_wh: tuple[int, int]


def load(weights: Weights, runtime: Runtime) -> BiRefNet:
    """Read a folder with one of ``FILES``.

    Raises:
        WeightsMissing: no such file.
        ModelError: another network, or a file that onnxruntime can't read.
        UnsafeWeights: a file that reaches beyond itself.
        MissingExtra: onnxruntime isn't installed.
    """
    folder = weights.path or Path()
    path = next((folder / file for file in FILES if (folder / file).is_file()), None)
    if path is None:
        raise WeightsMissing(f"{folder} holds none of {', '.join(FILES)}.")
    return BiRefNet(weights.ref, _graph_of(path, open_session(path, weights, runtime)))


def _graph_of(path: Path, session: Any) -> Graph:
    taken, given = session.get_inputs(), session.get_outputs()
    wanted = (1, 3, "height", "width"), (1, 1, "height", "width")
    right = len(taken) == len(given) == 1
    if not (right and fits(taken[0].shape, wanted[0]) and fits(given[0].shape, wanted[1])):
        shapes = [tuple(each.shape) for each in (*taken, *given)]
        raise ModelError(
            f"{path} has inputs and outputs of {' and '.join(map(str, shapes))}, and a BiRefNet "
            f"{wanted[0]} and {wanted[1]}: this is another network."
        )
    height, width = (side if isinstance(side, int) else SIDE for side in taken[0].shape[2:])
    if not (0 < height <= MOST_SIDE and 0 < width <= MOST_SIDE):
        raise ModelError(
            f"{path} takes {width}x{height} pixels; sides of 1 to {MOST_SIDE} are run."
        )
    half = taken[0].type == "tensor(float16)"
    return Graph(session, taken[0].name, half, (width, height))


class BiRefNet:
    """A ``Matting`` model."""

    soft = True
    caveat = ""

    def __init__(self, ref: ModelRef, graph: Graph) -> None:
        self.ref = ref
        self._graph = graph

    def matte(self, image: Image) -> Matte:
        """How much of each pixel belongs to the main thing.

        Raises:
            ImageError: not RGB.
            ModelError: onnxruntime can't run it, or something else comes out.
            ResultError: the numbers overflowed.
        """
        if image.mode != "RGB":
            raise ImageError(f"{self.ref.name} takes RGB images, got mode {image.mode}.")
        small = image.resize(self._graph.size_wh, pil.Resampling.BILINEAR)
        values = (np.asarray(small, np.float32) / 255 - MEAN) / STD
        opacity = _sigmoid(self._run(np.asarray(values.transpose(2, 0, 1)[None], np.float32)))
        alpha = pil.fromarray(opacity).resize(image.size, pil.Resampling.BILINEAR)
        array = np.clip(np.asarray(alpha, np.float32), 0, 1)
        inside = array >= HALF
        return Matte(array, float(array[inside].mean()) if inside.any() else 0.0)

    def _run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(h, w) logits."""
        given = batch.astype(np.float16 if self._graph.half else np.float32)
        try:
            answer = self._graph.session.run(None, {self._graph.input: given})
        except Exception as error:  # of onnxruntime's own, which share no base
            raise ModelError(
                f"onnxruntime can't run {self.ref.name}: {first_line(error)}"
            ) from error
        logits = np.asarray(answer[0], np.float32)
        if logits.ndim != 4 or logits.shape[:2] != (1, 1):
            raise ModelError(
                f"{self.ref.name} gave {logits.shape}, and a BiRefNet (1, 1, height, width)."
            )
        if not np.isfinite(logits).all():
            raise ResultError(f"{self.ref.name}'s numbers overflowed: it has no answer here.")
        plane: npt.NDArray[np.float32] = logits[0, 0]
        return plane


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), np.float32)

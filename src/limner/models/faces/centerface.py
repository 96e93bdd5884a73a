"""CenterFace (Xu et al. 2019, arXiv 1911.03599): faces as points, in one pass of a small network.

Every point of a map with a quarter of the input's side says how surely a face's centre lies in it,
where in it, and how large the face is; what is a box is decoded here. The file comes with a fixed
input of 32 px and can take any multiple of 32: OpenCV's reader binds the size when the network is
first run, and gives wrong numbers when it is run at another size later (4.14: score maps differed
by up to 1.0 from onnxruntime's). So each look has a network of its own, which takes 0.04 s to make;
then all four outputs agree with onnxruntime's to 4e-5, at the same speed, and nobody needs another
package. It also lets threads share a model, and gives the memory of a large look back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from limner.errors import ModelError

Floats: TypeAlias = npt.NDArray[np.float32]

FILE = "centerface.onnx"
STRIDE = 4
"""px of the input a point of the maps stands for."""
GRID = 32
"""Sides of the input are multiples of this: the network halves five times."""
OUTPUTS = ("537", "538", "539", "540")
CHANNELS = (1, 2, 2, 10)
"""Of the score, the size, the offset and the landmarks."""
WORK = 64
"""px of the side at which a file is tried out when it is loaded."""


@dataclass(frozen=True, eq=False)
class Maps:
    """What the network says of an image of h x w px; each (channels, h / 4, w / 4) float32."""

    score: Floats
    """(1, ...) 0..1 that a face's centre lies here."""
    size: Floats
    """(2, ...) log of its height and width, in points."""
    offset: Floats
    """(2, ...) y and x of the centre from the middle of the point, in points."""
    landmarks: Floats
    """(10, ...) y and x of both eyes, nose and mouth corners from the box's corner, in parts of its
    height and width."""


def boxes(maps: Maps, least: float) -> tuple[Floats, Floats]:
    """Boxes of all points that score at least ``least``, overlapping as they come.

    Returns:
        (N, 4) xyxy in px of the input, and (N,) scores in 0..1.
    """
    y, x = np.nonzero(maps.score[0] >= least)
    height, width = np.exp(maps.size[:, y, x]) * STRIDE
    centre_y, centre_x = (np.stack([y, x]) + 0.5 + maps.offset[:, y, x]) * STRIDE
    corners = [
        centre_x - width / 2,
        centre_y - height / 2,
        centre_x + width / 2,
        centre_y + height / 2,
    ]
    return np.stack(corners, axis=1).astype(np.float32), maps.score[0, y, x]


class CenterFace:
    """The network in a file, ready to look at images of any size."""

    def __init__(self, path: Path) -> None:
        """Reads it, and tries it out.

        Raises:
            ModelError: OpenCV can't read it, or it is another network.
        """
        self._path = path
        self._content = np.frombuffer(path.read_bytes(), np.uint8)
        self.maps(np.zeros((WORK, WORK, 3), np.uint8))

    def find(self, image: npt.NDArray[np.uint8], least: float) -> tuple[Floats, Floats]:
        """Boxes (N, 4) xyxy in px of the image, overlapping, and scores (N,); ``least`` in 0..1.

        Args:
            image: (h, w, 3) uint8 RGB.
        """
        height, width = image.shape[:2]
        padded = cv2.copyMakeBorder(
            image, 0, -height % GRID, 0, -width % GRID, cv2.BORDER_CONSTANT, value=(0, 0, 0)
        )
        xyxy, scores = boxes(self.maps(np.asarray(padded, np.uint8)), least)
        return np.clip(xyxy, 0, np.array([width, height] * 2, np.float32)), scores

    def maps(self, image: npt.NDArray[np.uint8]) -> Maps:
        """The network's answer to (h, w, 3) uint8 RGB whose sides are multiples of ``GRID``.

        Raises:
            ModelError: OpenCV can't run it, or it is another network.
        """
        height, width = image.shape[:2]
        batch = np.ascontiguousarray(image.transpose(2, 0, 1)[None].astype(np.float32))
        try:
            network = cv2.dnn.readNetFromONNX(self._content)
            network.setInput(batch)
            answer = network.forward(OUTPUTS)
        except cv2.error as error:
            raise ModelError(
                f"{self._path} can't be run by OpenCV as a CenterFace ({_reason(error)}). "
                "Delete its folder and run `limner models pull centerface`."
            ) from error
        for part, channels in zip(answer, CHANNELS, strict=True):
            if part.shape != (1, channels, height // STRIDE, width // STRIDE):
                raise ModelError(
                    f"{self._path} gives {part.shape} where a CenterFace gives "
                    f"{(1, channels, height // STRIDE, width // STRIDE)}: it is another network."
                )
        return Maps(*(part[0] for part in answer))


def _reason(error: cv2.error) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][-160:] if lines else "no reason given"

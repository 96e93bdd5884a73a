"""YuNet (Wu, Peng, Yu 2023, Machine Intelligence Research 20:656).

It is run by OpenCV's own ``FaceDetectorYN``, which decodes and suppresses. Each look has a detector
of its own: see ``centerface.py`` for what becomes of a network that is run at another size.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from limner.errors import ModelError

Floats = npt.NDArray[np.float32]

FILE = "face_detection_yunet_2023mar.onnx"
MOST_BEFORE_NMS = 5000
OVERLAP = 0.3
"""IoU above which the lesser of two boxes goes: the value of OpenCV's own sample."""
WORK = 64
"""px of the side at which a file is tried out when it is loaded."""


class YuNet:
    """The detector in a file, ready to look at images of any size."""

    def __init__(self, path: Path) -> None:
        """Reads it, and tries it out.

        Raises:
            ModelError: OpenCV can't read it, or it is another network.
        """
        self._path = path
        self._content = np.frombuffer(path.read_bytes(), np.uint8)
        self.find(np.zeros((WORK, WORK, 3), np.uint8), 0.9)

    def find(self, image: npt.NDArray[np.uint8], least: float) -> tuple[Floats, Floats]:
        """Boxes (N, 4) xyxy in px of the image, best first, and scores (N,); ``least`` in 0..1.

        Args:
            image: (h, w, 3) uint8 RGB.

        Raises:
            ModelError: OpenCV can't run it.
        """
        height, width = image.shape[:2]
        try:
            detector = cv2.FaceDetectorYN.create(
                "onnx",
                self._content,
                np.zeros(0, np.uint8),
                (width, height),
                float(least),
                OVERLAP,
                MOST_BEFORE_NMS,
            )
            _, rows = detector.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        except cv2.error as error:
            raise ModelError(
                f"{self._path} can't be run by OpenCV as a YuNet. Delete its folder and run "
                "`limner models pull yunet`."
            ) from error
        if rows is None:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        xywh, scores = rows[:, :4], rows[:, 14]
        xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        bounds = np.array([width, height] * 2, np.float32)
        return np.clip(xyxy, 0, bounds), np.asarray(scores, np.float32)

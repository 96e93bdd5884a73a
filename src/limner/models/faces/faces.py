"""The family ``faces``: networks that know one thing, people's faces.

A picture is looked at whole, enlarged by half (faces from about 10 px up are seen then) or made
smaller until its longer side is ``LONGEST``, so that memory doesn't grow with the picture. What is
smaller than that in a large picture is found by looking in tiles (``pipeline.look``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import Image as pil

from limner.errors import PromptError, WeightsMissing
from limner.models.blocks.check_parts import try_apart
from limner.models.faces import centerface, yunet
from limner.ops import detections as dets
from limner.ops import transforms
from limner.ops.suppression import distinct
from limner.options import EVERY_DETECTOR, DetectOptions, check_honoured
from limner.prompts import PromptKind, VisualPrompt
from limner.protocols import ModelRef, check_accepts
from limner.registry import onnx_header
from limner.registry.face_choice import FACE_PHRASES, is_face
from limner.registry.weights import OWN_FOLDER, Runtime, Weights

if TYPE_CHECKING:
    from PIL.Image import Image

Floats: TypeAlias = npt.NDArray[np.float32]

ENLARGED = 1.5
"""How many times larger a small picture is seen. Measured: docs/faces.md."""
LONGEST = 1600
"""px: the longer side of what a network sees at most; 1600 x 1600 take 0.7 GB for a moment."""
THRESHOLD = 0.5
"""Where the catalog says none."""
OVERLAP = 0.3
"""IoU above which the lesser of two boxes goes: faces overlap less than things do."""


class Network(Protocol):
    """What a file of the family offers."""

    def find(self, image: npt.NDArray[np.uint8], least: float) -> tuple[Floats, Floats]:
        """(N, 4) boxes xyxy in px of a (h, w, 3) RGB image, and (N,) scores from ``least`` up."""
        ...


NETWORKS: dict[str, type[centerface.CenterFace] | type[yunet.YuNet]] = {
    centerface.FILE: centerface.CenterFace,
    yunet.FILE: yunet.YuNet,
}
"""By the name of the file in a model's folder."""


def load(weights: Weights, runtime: Runtime) -> Faces:
    """Read a folder with one of the files of ``NETWORKS``. Runs on the CPU, without torch.

    Raises:
        WeightsMissing: no such file.
        UnsafeWeights: a file that reaches beyond itself.
        ModelError: a file that OpenCV can't run, or another network.
    """
    folder = weights.path or Path()
    for file, network in NETWORKS.items():
        if (folder / file).is_file():
            onnx_header.check_closed(folder / file, onnx_header.read(folder / file))
            if weights.ref.licence == OWN_FOLDER:
                reader = f"{network.__module__}:{network.__name__}"
                try_apart(folder / file, reader)
            least = float(weights.defaults.get("threshold", THRESHOLD))
            return Faces(weights.ref, network(folder / file), least)
    raise WeightsMissing(f"{folder} holds none of {', '.join(NETWORKS)}.")


class Faces:
    """A ``Detector`` of faces. Its scores are a network's own, not probabilities."""

    accepts = frozenset({PromptKind.TEXT})

    def __init__(self, ref: ModelRef, network: Network, threshold: float) -> None:
        self.ref = ref
        self._network = network
        self._threshold = threshold

    def detect(
        self, image: Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """Boxes of faces, best first, for each phrase that means them.

        Raises:
            PromptError: a phrase that means something else.
        """
        check_honoured(options, EVERY_DETECTOR, self.ref.name, "it knows faces and reads no words")
        check_accepts(self, prompts)
        self.check_phrases(prompts)
        phrases = [prompt.text.phrase if prompt.text else "" for prompt in prompts]
        if not phrases:
            return dets.empty()
        least = [options.least_score(phrase, self._threshold) for phrase in phrases]
        xyxy, scores = self._look(image, min(least))
        rows = []
        for index, (phrase, lowest) in enumerate(zip(phrases, least, strict=True)):
            keep = scores >= lowest
            count = int(keep.sum())
            rows.append(dets.make(xyxy[keep], scores[keep], [index] * count, [phrase] * count))
        return distinct(dets.merge(rows), options.most_overlap(OVERLAP), options)

    def check_phrases(self, prompts: Sequence[VisualPrompt]) -> None:
        """Refuse phrases that mean something else than people's faces.

        Raises:
            PromptError: such a phrase.
        """
        for prompt in prompts:
            phrase = prompt.text.phrase if prompt.text else ""
            if not is_face(phrase):
                raise PromptError(
                    f"{self.ref.name} knows {', '.join(FACE_PHRASES)}; got {phrase!r}. haar "
                    "(--detector haar) knows number plates, eyes and cats' faces; for any other "
                    "phrase name a detector such as owlvit-base-patch32."
                )

    def _look(self, image: Image, least: float) -> tuple[npt.NDArray[np.float64], Floats]:
        frame = seen_at(image.size)
        smaller = max(frame.target_wh) < max(image.size)
        way = pil.Resampling.BOX if smaller else pil.Resampling.BILINEAR
        seen = image if frame.target_wh == image.size else image.resize(frame.target_wh, way)
        xyxy, scores = self._network.find(np.asarray(seen.convert("RGB"), np.uint8), least)
        return transforms.inverse_boxes(frame, xyxy), scores


def seen_at(size_wh: tuple[int, int]) -> transforms.Placement:
    """How a picture is scaled for the network: at most ``ENLARGED`` times, to ``LONGEST`` px."""
    scale = min(ENLARGED, LONGEST / max(size_wh))
    width, height = (max(1, round(side * scale)) for side in size_wh)
    return transforms.resize(size_wh, (width, height))

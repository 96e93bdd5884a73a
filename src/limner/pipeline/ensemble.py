"""Several detectors as one: their boxes fused, with who agreed on what.

Weighted boxes fusion (Solovyev, Wang, Gabruseva 2021, Image and Vision Computing 107:104117; arXiv
1910.13302, section 3). Its authors' package, ensemble-boxes, gives the same numbers (a test holds
this against them, written down) and needs numba and pandas: 290 MB for what is forty lines here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import supervision as sv

from limner.errors import OptionError
from limner.ops import detections as dets
from limner.ops.suppression import limited
from limner.options import DetectOptions
from limner.pipeline.look import look, unlimited
from limner.prompts import PromptKind, VisualPrompt
from limner.protocols import Detector, ModelRef, check_accepts

if TYPE_CHECKING:
    from PIL.Image import Image

Floats: TypeAlias = npt.NDArray[np.float64]

SAME = 0.55
"""IoU above which a box belongs to a fused one: THR of the paper's section 3."""

AGREED = "agreed"
"""Column of ``.data``: per row a tuple of ``MemberBox``, the surest first."""


@dataclass(frozen=True)
class MemberBox:
    """What one model said of a fused row: its own box, in pixels of the picture, and score."""

    model: str
    xyxy: tuple[float, float, float, float]
    score: float

    def to_dict(self) -> dict[str, Any]:
        return {"model": self.model, "xyxy": list(self.xyxy), "score": self.score}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MemberBox:
        """Inverse of ``to_dict``."""
        x0, y0, x1, y1 = data["xyxy"]
        return cls(data["model"], (x0, y0, x1, y1), data["score"])


class DetectorEnsemble:
    """A ``DetectorGroup`` whose answer is what several detectors say together.

    It takes the kinds of prompt that all of them take: who can't be asked can't agree. A fused
    score is the mean of its boxes' scores times the part of the models that found it, so a thing
    that one of two saw has half that one's score. Thresholds hold for each model's own boxes, and
    once more for the fused scores where one is set. Models score on scales of their own: the order
    of fused boxes says less than who agreed on them.

    Args:
        members: at least two, of different names.
    """

    def __init__(self, members: Sequence[Detector]) -> None:
        names = [member.ref.name for member in members]
        if len(set(names)) < max(2, len(names)):
            raise OptionError(
                f"A consensus needs at least two different detectors, got {' and '.join(names)}."
            )
        self.members = tuple(members)
        self.accepts = frozenset.intersection(*(member.accepts for member in members))
        licences = dict.fromkeys(member.ref.licence for member in members)
        self.ref = ModelRef("+".join(names), "consensus", ", ".join(licences))

    def detect(
        self, image: Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """Fused boxes for each prompt, best first, with the column ``AGREED``.

        Each model looks for itself, in tiles where ``options`` say so.

        Raises:
            UnsupportedPrompt: naming the models that can't take a prompt.
        """
        check_accepts(self, prompts)
        answers = [look(member, image, prompts, unlimited(options)) for member in self.members]
        names = [prompt.text.phrase if prompt.text else "example" for prompt in prompts]
        fused = [self._fused(answers, k, name, options) for k, name in enumerate(names)]
        rows = dets.by_confidence(dets.merge(fused)) if fused else dets.empty()
        return limited(rows, options)

    def refusal(self, kinds: frozenset[PromptKind]) -> str:
        """Which of the models can't take these kinds of prompt."""
        unable = [
            f"{member.ref.name} can't take {' or '.join(sorted(kinds - member.accepts))}"
            for member in self.members
            if kinds - member.accepts
        ]
        common = ", ".join(sorted(self.accepts)) or "nothing"
        return (
            f"A consensus asks all its models the same, and {', and '.join(unable)}; together they "
            f"take {common}. Leave such a model out."
        )

    def _fused(
        self, answers: Sequence[sv.Detections], prompt: int, name: str, options: DetectOptions
    ) -> sv.Detections:
        """What the models say together to one prompt."""
        own = [dets.take(answer, answer.class_id == prompt) for answer in answers]
        member = np.repeat(np.arange(len(own)), [len(answer) for answer in own])
        xyxy = np.concatenate([answer.xyxy for answer in own]).astype(np.float64)
        score = np.concatenate([answer.confidence for answer in own]).astype(np.float64)
        boxes, scores, clusters = weighted_boxes_fusion(xyxy, score, len(own))
        agreed = [
            tuple(
                MemberBox(
                    self.members[member[row]].ref.name, tuple(xyxy[row].tolist()), float(score[row])
                )
                for row in cluster
            )
            for cluster in clusters
        ]
        fused = dets.make(boxes, scores, [prompt] * len(boxes), [name] * len(boxes))
        fused = dets.with_column(fused, AGREED, agreed)
        return dets.take(fused, scores >= options.least_score(name, 0.0))


def weighted_boxes_fusion(
    xyxy: Floats, score: Floats, models: int, same: float = SAME
) -> tuple[Floats, Floats, list[list[int]]]:
    """Boxes of several models of one thing become one box each.

    Args:
        xyxy: (K, 4) the boxes of all models.
        score: (K,) their confidences C, over 0.
        models: N, how many were asked.
        same: THR, the IoU above which a box joins a fused one.

    Returns:
        (M, 4) fused boxes, sum(C_i X_i) / sum(C_i) over their T boxes; (M,) their confidences,
        sum(C_i) / T * min(T, N) / N (equations 1, 2, 3 and 6); and for each the rows that it is
        made of, the surest first. The surest box comes first.
    """
    boxes: list[Floats] = []
    clusters: list[list[int]] = []
    for row in np.argsort(-score, kind="stable"):
        overlap = dets.iou(xyxy[[row]], np.array(boxes).reshape(-1, 4))[0]
        at = int(overlap.argmax()) if len(boxes) else -1
        if at >= 0 and overlap[at] > same:
            clusters[at].append(int(row))
            boxes[at] = np.average(xyxy[clusters[at]], axis=0, weights=score[clusters[at]])
        else:
            boxes.append(xyxy[row])
            clusters.append([int(row)])
    fused = np.array(
        [score[rows].mean() * min(len(rows), models) / models for rows in clusters], dtype=float
    )
    order = np.argsort(-fused, kind="stable")
    return np.array(boxes).reshape(-1, 4)[order], fused[order], [clusters[k] for k in order]

"""Whether a checkpoint answers what was published for it: ``published.toml`` holds the figures.

limner's own adapters are asked, in float32, so that a pass says that the files are right and that
limner reads them right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Protocol

import numpy as np
from PIL import Image

from limner.errors import ImageError
from limner.options import DetectOptions, SegmentOptions
from limner.prompts import Box, Point, Text, VisualPrompt
from limner.protocols import Captioner, Detector, Encoder, Segmenter
from limner.untrusted.json_toml import parse_toml

Answer = tuple[float, ...] | str
"""Numbers, or a sentence."""


class Models(Protocol):
    """Models by their task, as a session has them."""

    @property
    def encoder(self) -> Encoder: ...
    @property
    def segmenter(self) -> Segmenter: ...
    @property
    def detector(self) -> Detector: ...
    @property
    def captioner(self) -> Captioner: ...


@dataclass(frozen=True)
class Figure:
    """What one model was asked of one picture, and what was published as its answer."""

    model: str
    picture: str
    """Where it lies: none of them ships."""
    source: str
    size_wh: tuple[int, int] | None = None
    """The picture's, where it is known."""
    texts: tuple[str, ...] = ()
    """To an encoder; its answer is the cosines, ``scale`` times."""
    scale: float = 1.0
    point: tuple[float, float] | None = None
    """To a segmenter; its answer is the three candidates' scores, best first."""
    box: tuple[float, float, float, float] | None = None
    phrase: str = ""
    """To a detector; its answer is the scores, best first."""
    threshold: float = 0.0
    says: str = ""
    """A captioner's answer."""
    expected: tuple[float, ...] = ()
    tolerance: float = 0.0

    @property
    def question(self) -> str:
        """What was asked, for people."""
        if self.texts:
            return " / ".join(self.texts)
        if self.point:
            return "point {:g},{:g}".format(*self.point)
        if self.box:
            return "box {:g},{:g},{:g},{:g}".format(*self.box)
        return self.phrase or "caption"

    def check_picture(self, image: Image.Image) -> None:
        """Refuse a picture of another size than the published figures are of.

        Raises:
            ImageError: which it should be.
        """
        if self.size_wh not in (None, image.size):
            raise ImageError(
                f"The figures for {self.model} are of a picture of {self.size_wh[0]}x"
                f"{self.size_wh[1]} pixels, {self.picture}; this one has {image.size[0]}x"
                f"{image.size[1]}. Take that file as it is."
            )


@dataclass(frozen=True)
class Comparison:
    """A figure beside what a model answered here."""

    figure: Figure
    answer: Answer

    @property
    def difference(self) -> float | None:
        """The largest of the numbers'; None for a sentence, or where there are more or fewer."""
        wanted, came = self.figure.expected, self.answer
        if isinstance(came, str) or len(wanted) != len(came):
            return None
        return float(np.abs(np.subtract(wanted, came)).max())

    @property
    def passed(self) -> bool:
        if isinstance(self.answer, str):
            return self.answer == self.figure.says
        return self.difference is not None and self.difference <= self.figure.tolerance

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        figure = self.figure
        return {
            "question": figure.question,
            "expected": figure.says or list(figure.expected),
            "answer": self.answer if isinstance(self.answer, str) else list(self.answer),
            "difference": self.difference,
            "tolerance": figure.tolerance,
            "passed": self.passed,
            "picture": figure.picture,
            "source": figure.source,
        }


@cache
def figures() -> Mapping[str, tuple[Figure, ...]]:
    """Those of each model that has any."""
    text = resources.files("limner.evaluation").joinpath("published.toml").read_text("utf-8")
    by_model: dict[str, tuple[Figure, ...]] = {}
    for row in parse_toml(text, "published.toml")["figures"]:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        by_model[row["model"]] = (*by_model.get(row["model"], ()), Figure(**values))
    return by_model


def compare(models: Models, figures: Sequence[Figure], image: Image.Image) -> list[Comparison]:
    """Ask the model of each figure, which all are of this picture.

    Raises:
        ImageError: a picture of another size.
    """
    for figure in figures:
        figure.check_picture(image)
    return [Comparison(figure, _answer(models, figure, image)) for figure in figures]


def _answer(models: Models, figure: Figure, image: Image.Image) -> Answer:
    if figure.texts:
        cosines = (
            models.encoder.encode_images([image]) @ models.encoder.encode_texts(figure.texts).T
        )
        return tuple(float(cosine) * figure.scale for cosine in cosines[0])
    if figure.point or figure.box:
        points = (Point(*figure.point),) if figure.point else ()
        prompt = VisualPrompt(points=points, box=Box(*figure.box) if figure.box else None)
        segmenter = models.segmenter
        options = SegmentOptions(multimask_output=True)
        rows = segmenter.segment(segmenter.embed(image), [prompt], options)
        return tuple(float(score) for _, score in rows.data["candidates"][0])
    if figure.phrase:
        options_of_boxes = DetectOptions(threshold=figure.threshold)
        prompts = [VisualPrompt(text=Text(figure.phrase))]
        boxes = models.detector.detect(image, prompts, options_of_boxes)
        scores = [] if boxes.confidence is None else boxes.confidence.tolist()
        return tuple(sorted(scores, reverse=True))
    (sentence,) = models.captioner.caption([image])
    return sentence

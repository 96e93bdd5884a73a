"""How sensitive an answer is to its prompt: points and boxes moved a little, phrases reworded.

RClicks (Antonov et al. 2024, arXiv:2410.11722) showed that real clicks score below the simulated
centre clicks of the published tables. A prompt whose answer survives small changes can be
trusted; one whose answer doesn't needs a second click or a box.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from limner.errors import InputError, PromptError
from limner.ops import masks
from limner.prompts import Box, Point, Text, VisualPrompt
from limner.rle import BoolMask

Ask = Callable[[VisualPrompt], BoolMask]
"""A prompt -> (H, W) bool, all False where nothing was found."""

TEMPLATES = (
    "{a} {thing}",
    "the {thing}",
    "a photo of {a} {thing}",
    "a picture of the {thing}",
    "a close-up of {a} {thing}",
    "one {thing}",
)
"""Ways to say a phrase, after CLIP's own templates; ``{a}`` is its article, ``{thing}`` itself."""


@dataclass(frozen=True)
class Variant:
    """A prompt that means the same, and how it differs."""

    how: str
    prompt: VisualPrompt


@dataclass(frozen=True)
class Trial:
    """The result of one variant. ``answer`` is for the picture: a mask, or a painting."""

    how: str
    value: float
    answer: Any = None
    prompt: VisualPrompt | None = None


@dataclass(frozen=True)
class Sensitivity:
    """The results of all variants."""

    measure: str
    """``iou``, ``clip_t`` or ``seam``."""
    against: str
    """What each answer was held against."""
    as_given: float | None
    """The value of the prompt as it was given; None: it is what the others are held against."""
    trials: tuple[Trial, ...]
    """At least one."""
    higher_is_better: bool = True

    @property
    def mean(self) -> float:
        return statistics.mean(self.values)

    @property
    def spread(self) -> float:
        """Sample standard deviation; 0 for a single trial."""
        return statistics.stdev(self.values) if len(self.trials) > 1 else 0.0

    @property
    def values(self) -> list[float]:
        return [trial.value for trial in self.trials]

    @property
    def worst(self) -> Trial:
        pick = min if self.higher_is_better else max
        return pick(self.trials, key=lambda trial: trial.value)

    def to_dict(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "against": self.against,
            "asked": self.as_given,
            "mean": self.mean,
            "spread": self.spread,
            "worst": self.worst.value,
            "worst_how": self.worst.how,
            "trials": [{"how": trial.how, "value": trial.value} for trial in self.trials],
        }


def probe(
    ask: Ask, prompt: VisualPrompt, variants: Sequence[Variant], truth: BoolMask | None = None
) -> Sensitivity:
    """IoU of each variant's answer with the truth, or with the answer to the prompt as given.

    Raises:
        InputError: no variants; or no truth, and nothing was found as the prompt stands.
    """
    if not variants:
        raise InputError("There is nothing to vary: give a point, a box or a phrase.")
    first = ask(prompt)
    if truth is None and not first.any():
        raise InputError(
            "Nothing was found by the prompt as it stands, so there is no answer to hold others "
            "against: give the true mask with --truth."
        )
    reference = first if truth is None else truth
    trials = []
    for variant in variants:
        mask = ask(variant.prompt)
        trials.append(Trial(variant.how, masks.iou(mask, reference), mask, variant.prompt))
    return Sensitivity(
        "iou",
        "the answer to the prompt as given" if truth is None else "the true mask",
        None if truth is None else masks.iou(first, truth),
        tuple(trials),
    )


def jittered(
    prompt: VisualPrompt, size_wh: tuple[int, int], pixels: float, times: int, seed: int
) -> Iterator[Variant]:
    """The prompt's points and box moved at random, ``times`` times; nothing where it has neither.

    A point goes anywhere within ``pixels`` of where it was, all places alike; each edge of a box
    by up to ``pixels`` in or out on its own. Both stay in the image, and a box keeps at least half
    of its width and height.
    """
    if not prompt.points and prompt.box is None:
        return
    rng = np.random.default_rng(seed)
    for number in range(1, times + 1):
        points = tuple(_moved_point(point, size_wh, pixels, rng) for point in prompt.points)
        box = _moved_box(prompt.box, size_wh, pixels, rng) if prompt.box else None
        parts = [f"point {p.x:.0f},{p.y:.0f}" for p in points]
        parts += [f"box {','.join(f'{side:.0f}' for side in box.xyxy)}"] if box else []
        yield Variant(f"{number}: {', '.join(parts)}", replace(prompt, points=points, box=box))


def _moved_point(
    point: Point, size_wh: tuple[int, int], pixels: float, rng: np.random.Generator
) -> Point:
    radius, angle = pixels * math.sqrt(rng.random()), 2 * math.pi * rng.random()
    x, y = point.x + radius * math.cos(angle), point.y + radius * math.sin(angle)
    width, height = size_wh
    return replace(point, x=min(max(x, 0.0), width - 0.5), y=min(max(y, 0.0), height - 0.5))


def _moved_box(box: Box, size_wh: tuple[int, int], pixels: float, rng: np.random.Generator) -> Box:
    x0, x1 = _moved_span(box.x0, box.x1, size_wh[0], pixels, rng)
    y0, y1 = _moved_span(box.y0, box.y1, size_wh[1], pixels, rng)
    return Box(x0, y0, x1, y1)


def _moved_span(
    low: float, high: float, side: int, pixels: float, rng: np.random.Generator
) -> tuple[float, float]:
    most = min(pixels, (high - low) / 4)
    start, end = low + rng.uniform(-most, most), high + rng.uniform(-most, most)
    return max(start, 0.0), min(end, float(side))


def reworded(prompt: VisualPrompt, templates: Sequence[str] = TEMPLATES) -> Iterator[Variant]:
    """The phrase in each template; what it is not stays. Nothing where there is no phrase.

    Raises:
        PromptError: a template without ``{thing}``.
    """
    if prompt.text is None:
        return
    article = "an" if prompt.text.phrase[0].lower() in "aeiou" else "a"
    for template in templates:
        if "{thing}" not in template:
            raise PromptError(
                f"A template holds {{thing}} where the phrase goes (and {{a}} for its article); "
                f"got {template!r}."
            )
        phrase = template.replace("{thing}", prompt.text.phrase).replace("{a}", article)
        if phrase != prompt.text.phrase:
            yield Variant(f"“{phrase}”", replace(prompt, text=Text(phrase, prompt.text.negative)))

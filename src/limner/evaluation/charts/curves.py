"""Scores as pictures: over a sweep, precision against recall, confidences, clicks.

Each function takes plain values and returns a matplotlib ``Figure``; ``style.save_chart`` writes
it as PNG or SVG. Lines are named at their ends, in their colours: no legend must be matched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limner.errors import InputError
from limner.evaluation.charts.style import COLOURS, FAINT, MARKERS, Label, label_ends, new_axes
from limner.evaluation.metrics.noc import LIMIT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Setting = float | str


@dataclass(frozen=True)
class Curve:
    """A line of scores, with how far they spread.

    Lengths are equal; ``low`` and ``high`` lie around ``middle``. Settings are numbers, or words
    such as a scheduler's name, which are shown in their order and evenly apart.
    """

    name: str
    settings: tuple[Setting, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.settings), len(self.middle), len(self.low), len(self.high)}
        if lengths != {len(self.settings)} or not self.settings:
            raise InputError(
                f"The curve {self.name!r} needs a score for each setting; "
                f"got {len(self.settings)} settings and {len(self.middle)} scores."
            )

    @classmethod
    def of(cls, name: str, scores: Mapping[Setting, Sequence[float]]) -> Curve:
        """The mean of each setting's scores, from the least to the greatest of them.

        Args:
            scores: setting -> the scores of its runs (seeds, pictures), at least one each.

        Raises:
            InputError: a setting without scores.
        """
        empty = [setting for setting, values in scores.items() if not values]
        if empty:
            raise InputError(f"The curve {name!r} has no score for the setting {empty[0]!r}.")
        numeric = all(isinstance(setting, int | float) for setting in scores)
        order = sorted(scores) if numeric else list(scores)
        return cls(
            name,
            tuple(order),
            tuple(math.fsum(scores[s]) / len(scores[s]) for s in order),
            tuple(min(scores[s]) for s in order),
            tuple(max(scores[s]) for s in order),
        )


def score_curves(
    curves: Sequence[Curve], *, setting: str, score: str, title: str = "", best: str = "max"
) -> Figure:
    """Scores over a sweep: a line a curve, a band for its spread, a ring around the best point.

    Args:
        setting, score: what the axes are called.
        best: which end of the score is better, "max" or "min"; "" marks none.

    Raises:
        InputError: no curves, or curves that mix words and numbers as settings.
    """
    if not curves:
        raise InputError("There are no scores to draw: give at least one curve.")
    words = [isinstance(s, str) for curve in curves for s in curve.settings]
    if any(words) and not all(words):
        raise InputError(f"The settings of {setting} are words and numbers: draw two charts.")
    figure, axes = new_axes(setting, score, title, width=7.2)
    names = list(dict.fromkeys(str(s) for curve in curves for s in curve.settings))
    labels: list[Label] = []
    for k, curve in enumerate(curves):
        colour = COLOURS[k % len(COLOURS)]
        xs = [names.index(str(s)) if any(words) else float(s) for s in curve.settings]
        if curve.low != curve.high:
            axes.fill_between(xs, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(xs, curve.middle, color=colour, marker=MARKERS[k % len(MARKERS)])
        text = curve.name
        if best and len(xs) > 1:
            at = (max if best == "max" else min)(range(len(xs)), key=curve.middle.__getitem__)
            axes.plot(xs[at], curve.middle[at], "o", ms=12, mfc="none", mec=colour, mew=1.4)
            text += f"\nbest {curve.middle[at]:.3g} at {curve.settings[at]}"
        labels.append((text, xs[-1], curve.middle[-1], colour))
    if any(words):
        axes.set_xticks(range(len(names)), names)
    axes.margins(x=0.03, y=0.12)
    freeze(axes)
    label_ends(figure, axes, labels)
    return figure


def precision_recall(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str = ""
) -> Figure:
    """Precision against recall, both 0..1.

    Args:
        curves: name -> (recalls, precisions) by falling threshold, as ``operating_points`` gives
            them. Put the AP into the name: which AP it is, only the caller knows.

    Raises:
        InputError: no curves, or an empty or uneven one.
    """
    if not curves:
        raise InputError("There is no curve to draw: give at least one.")
    figure, axes = new_axes("recall", "precision", title, width=7.4, height=4.4)
    labels: list[Label] = []
    for k, (name, (recalls, precisions)) in enumerate(curves.items()):
        if len(recalls) != len(precisions) or not recalls:
            raise InputError(
                f"The curve {name!r} needs as many precisions as recalls, and at least one; "
                f"got {len(precisions)} and {len(recalls)}."
            )
        colour = COLOURS[k % len(COLOURS)]
        axes.step([0, *recalls], [precisions[0], *precisions], where="pre", color=colour)
        axes.plot(
            recalls[-1], precisions[-1], MARKERS[k % len(MARKERS)], color=colour, clip_on=False
        )
        labels.append((name, recalls[-1], precisions[-1], colour))
    axes.set(xlim=(0, 1.03), ylim=(0, 1.02))  # names begin beside a mark at 1
    label_ends(figure, axes, labels)
    return figure


def operating_points(
    scores: Sequence[float], hits: Sequence[bool], positives: int
) -> tuple[list[float], list[float]]:
    """(recalls, precisions) for every threshold that separates two scores, from the highest.

    Args:
        scores: of the detections of all images.
        hits: whether each was matched with a thing of the truth.
        positives: things in the truth, found or not.

    Raises:
        InputError: nothing in the truth, or lists of different lengths.
    """
    if positives < 1 or len(scores) != len(hits):
        raise InputError(
            f"Recall needs things in the truth and a hit or miss for each score; got {positives} "
            f"things, {len(scores)} scores and {len(hits)} hits."
        )
    order = sorted(range(len(scores)), key=lambda k: -scores[k])
    recalls, precisions, hit_count = [], [], 0
    for rank, k in enumerate(order, start=1):
        hit_count += bool(hits[k])
        if rank < len(order) and scores[order[rank]] == scores[k]:
            continue  # no threshold lies between equal scores
        recalls.append(hit_count / positives)
        precisions.append(hit_count / rank)
    return recalls, precisions


def confidence_histogram(
    hits: Sequence[float],
    misses: Sequence[float],
    *,
    threshold: float | None = None,
    bins: int = 20,
    title: str = "",
) -> Figure:
    """How sure a detector was when it was right (upwards) and when it was wrong (downwards).

    Args:
        hits, misses: scores 0..1.
        threshold: drawn as a line, with what of each lies at or above it.

    Raises:
        InputError: no scores, or one outside 0..1.
    """
    import numpy as np
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    every = [*hits, *misses]
    if not every or not all(0 <= score <= 1 for score in every):
        raise InputError("A histogram of confidences needs scores between 0 and 1, at least one.")
    figure, axes = new_axes("confidence", "detections", title)
    edges = np.linspace(0, 1, bins + 1)
    up, down = np.histogram(hits, edges)[0], np.histogram(misses, edges)[0]
    width = 1 / bins
    axes.bar(edges[:-1], up, width * 0.92, align="edge", color=COLOURS[0])
    axes.bar(edges[:-1], -down, width * 0.92, align="edge", color=COLOURS[1])
    axes.axhline(0, color=FAINT, linewidth=0.8)
    tallest = max(int(up.max()), int(down.max()), 1)
    axes.set(xlim=(0, 1), ylim=(-1.45 * max(int(down.max()), 0.25 * tallest),
                                1.45 * max(int(up.max()), 0.25 * tallest)))  # fmt: skip
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))
    texts = [
        f"{len(hits)} hit{'' if len(hits) == 1 else 's'}",
        f"{len(misses)} miss{'' if len(misses) == 1 else 'es'}",
    ]
    if threshold is not None:
        axes.axvline(threshold, color="#222222", linewidth=1, linestyle=(0, (4, 3)))
        counts = [sum(score >= threshold for score in part) for part in (hits, misses)]
        texts = [
            f"{text}, {n} at {threshold:g} or more" for text, n in zip(texts, counts, strict=True)
        ]
    for text, at, side, colour in zip(
        texts, (0.97, 0.03), ("top", "bottom"), COLOURS, strict=False
    ):
        axes.text(
            0.01,
            at,
            text,
            transform=axes.transAxes,
            va=side,
            color=colour,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
        )
    return figure


def click_curves(
    models: Mapping[str, Sequence[Sequence[float]]],
    *,
    limit: int = LIMIT,
    targets: Sequence[float] = (0.85, 0.9),
    title: str = "",
) -> Figure:
    """Mean IoU after each click, with the middle half of the objects as a band.

    An object whose list ends early keeps its last IoU: there was nothing left to click.

    Args:
        models: name -> for each object the IoU after each click, as ``noc.simulate`` gives it.
        targets: IoUs drawn as lines.

    Raises:
        InputError: no models, or an object without clicks.
    """
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    if not models or not all(objects and all(objects) for objects in models.values()):
        raise InputError("A click curve needs models, each with objects of at least one click.")
    figure, axes = new_axes("clicks", "IoU", title)
    least, labels = 1.0, []
    for k, (name, objects) in enumerate(models.items()):
        colour = COLOURS[k % len(COLOURS)]
        table = np.array([[ious[min(c, len(ious) - 1)] for c in range(limit)] for ious in objects])
        clicks, mean = np.arange(1, limit + 1), table.mean(axis=0)
        low, high = np.percentile(table, (25, 75), axis=0)
        axes.fill_between(clicks, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.plot(clicks, mean, color=colour, marker=MARKERS[k % len(MARKERS)], markersize=4)
        least = min(least, float(low.min()), float(mean.min()))
        labels.append((name, float(limit), float(mean[-1]), colour))
    axes.set(xlim=(0.6, 1.02 * limit), ylim=(min(max(0.0, math.floor(least * 10) / 10), 0.9), 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for target in targets:
        axes.axhline(target, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(f"{target:.0%}", (0.6, target), (4, 3), textcoords="offset points",
                      fontsize=8, color="#666666")  # fmt: skip
    label_ends(figure, axes, labels)
    return figure


def freeze(axes: Axes) -> None:
    """Make the limits that matplotlib chose final, before labels are placed by them."""
    axes.autoscale_view()
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())

"""Charts of what ``tune`` and ``probe`` found; the look and the saving are those of ``charts``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from limner.errors import InputError
from limner.evaluation.charts.curves import freeze
from limner.evaluation.charts.style import COLOURS, FAINT, new_axes, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def threshold_curves(
    thresholds: Sequence[float],
    scores: Mapping[str, Sequence[float | None]],
    *,
    chosen: float | None = None,
    span: tuple[float, float] | None = None,
    title: str = "",
) -> Figure:
    """What holds at each threshold, with the one that was chosen and how sure that is.

    Args:
        thresholds: rising, at least one above 0.
        scores: name -> the score at each threshold, and down to the one before it; None where there
            is none.
        chosen: drawn as a line.
        span: where the choice may as well lie, drawn as a band.

    Raises:
        InputError: no thresholds, or scores that aren't one for each.
    """
    if (
        not thresholds
        or thresholds[-1] <= 0
        or any(len(values) != len(thresholds) for values in scores.values())
    ):
        raise InputError("A chart of thresholds needs at least one, and each score at every one.")
    marks = [f"dashed: {chosen:.3f}"] if chosen is not None else []
    marks += [f"band: {span[0]:.3f} to {span[1]:.3f}"] if span is not None else []
    name_x = "threshold" + (f" ({', '.join(marks)})" if marks else "")
    figure, axes = new_axes(name_x, "score", title, width=7.2)
    if span is not None:
        axes.axvspan(*span, color=FAINT, alpha=0.18, linewidth=0)
    if chosen is not None:
        axes.axvline(chosen, color="#222222", linewidth=1, linestyle=(0, (4, 3)))
    heights = _name_heights(scores)
    for k, (name, values) in enumerate(scores.items()):
        colour = COLOURS[k % len(COLOURS)]
        drawn = [math.nan if value is None else value for value in values]
        axes.step(thresholds, drawn, where="pre", color=colour, linewidth=1.5 if k else 2.4)
        if name in heights:
            axes.annotate(
                name,
                (0, heights[name]),
                (4, 0),
                textcoords="offset points",
                va="center",
                color=colour,
                fontweight="bold",
                fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            )
    axes.set(xlim=(0, thresholds[-1]), ylim=(0, 1.02))
    return figure


def _name_heights(scores: Mapping[str, Sequence[float | None]]) -> dict[str, float]:
    """Where each line's name stands: at its beginning, for where they end most are 0."""
    first = {name: values[0] for name, values in scores.items() if values[0] is not None}
    order = sorted(first, key=first.__getitem__)
    return dict(
        zip(order, spread([first[name] + 0.03 for name in order], 0.06, 0.03, 1), strict=True)
    )


def trial_dots(
    trials: Mapping[str, float],
    *,
    score: str,
    asked: float | None = None,
    higher_is_better: bool = True,
    most: float | None = None,
    title: str = "",
) -> Figure:
    """A dot a trial, the best on top; their mean, and the score of what was asked, as lines.

    Args:
        trials: what was varied -> its score, at least one.
        score: what the axis is called.
        most: where the score ends, such as 1; the axis shows a fifth of it or more, so that small
            differences look small.

    Raises:
        InputError: no trials.
    """
    if not trials:
        raise InputError("There are no trials to draw: give at least one.")
    order = sorted(trials, key=trials.__getitem__, reverse=not higher_is_better)
    height = 1.4 + 0.24 * min(len(order), 60)
    figure, axes = new_axes(score, "", title, width=7.2, height=height)
    values = [trials[name] for name in order]
    colours = [COLOURS[1], *[COLOURS[0]] * (len(order) - 1)]  # the worst stands out
    axes.scatter(values, range(len(order)), c=colours, s=30, zorder=3)
    named = len(order) <= 60
    axes.set_yticks(range(len(order)) if named else [], [_short(n) for n in order] if named else [])
    axes.set_ylim(-0.8, len(order) - 0.2)
    axes.margins(x=0.08)
    if most is not None:
        axes.set_xlim(min(0.8 * most, *(value - 0.02 * most for value in values)), 1.01 * most)
    mean = math.fsum(values) / len(values)
    lines = [("mean", mean, FAINT)]
    if asked is not None:
        lines.append(("as given", asked, COLOURS[2]))
    freeze(axes)
    for k, (name, at, colour) in enumerate(lines):
        axes.axvline(at, color=colour, linewidth=1, linestyle=(0, (4, 3)))
        left = sum(axes.get_xlim()) / 2 < at
        axes.annotate(
            f"{name} {at:.3f}",
            (at, 1),
            (-4 if left else 4, -10 - 13 * k),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=9,
            color=colour if name != "mean" else "#555555",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1},
        )
    return figure


def _short(text: str, most: int = 46) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

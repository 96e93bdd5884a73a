"""A taught subject's trade-off as a chart: how like it portraits are, against obeyed prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from limner.errors import InputError
from limner.evaluation.charts.curves import freeze
from limner.evaluation.charts.style import COLOURS, FAINT, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]
"""CLIP-T and DINO."""
BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5}
"""A text stays readable where a line runs through it."""
KEPT = 0.9
"""Of the untaught model's CLIP-T: a tenth less is as much as should be given up."""


def trade_off(
    points: Mapping[str, Point],
    *,
    before: Point,
    ceiling: float,
    best: str | None,
    joined: bool = True,
    title: str = "",
) -> Figure:
    """Fidelity (DINO, upwards) against prompt-following (CLIP-T, to the right).

    The best has a ring. Lines are drawn at the photographs' own DINO, half way to it, and a tenth
    off the untaught model's CLIP-T.

    Args:
        points: name -> scores, in the order in which they were taught.
        before: the untaught model's.
        ceiling: DINO of the photographs against each other.
        best: one of the names; None: none is good enough.
        joined: by a line from the untaught model on, as checkpoints of one run.

    Raises:
        InputError: no points, or a best that is none of them.
    """
    if not points or (best is not None and best not in points):
        raise InputError(f"The best is one of the points, {', '.join(points) or 'none'}: {best!r}.")
    figure, axes = new_axes(
        "CLIP-T: portraits against their words",
        "DINO: portraits against photographs",
        title,
        width=7.2,
        height=4.8,
    )
    if joined:
        xs, ys = zip(before, *points.values(), strict=True)
        axes.plot(xs, ys, color=COLOURS[0], linewidth=1, alpha=0.45, zorder=2)
    axes.plot(*before, "o", mfc="white", mec=COLOURS[0], ms=7, zorder=3)
    for name, point in points.items():
        colour = COLOURS[1] if name == best else COLOURS[0]
        axes.plot(*point, "o", color=colour, ms=6, zorder=3)
    if best is not None:
        axes.plot(*points[best], "o", ms=13, mfc="none", mec=COLOURS[1], mew=1.6, zorder=4)
    axes.margins(x=0.12, y=0.1)
    _draw_levels(axes, before, ceiling)
    freeze(axes)
    for name, point in {"untaught": before, **points}.items():
        text = f"{name}, best" if name == best else name
        axes.annotate(
            text, point, (8, 5), textcoords="offset points", fontsize=8.5,
            color=COLOURS[1] if name == best else COLOURS[0],
            fontweight="bold" if name == best else "normal", bbox=BEHIND,
        )  # fmt: skip
    return figure


def _draw_levels(axes: Axes, before: Point, ceiling: float) -> None:
    """The photographs' own DINO, half way to it, and a tenth off the untaught model's CLIP-T."""
    level = (before[1] + ceiling) / 2
    for y, text in ((ceiling, f"photographs {ceiling:.3f}"), (level, f"half way {level:.3f}")):
        axes.axhline(y, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            text, (0, y), (4, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", fontsize=8, color="#666666", bbox=BEHIND,
        )  # fmt: skip
    if before[0] > 0:  # a tenth of a cosine below 0 means nothing
        axes.axvline(KEPT * before[0], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            f"a tenth off {KEPT * before[0]:.3f}", (KEPT * before[0], 0), (4, 4),
            xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8,
            color="#666666", bbox=BEHIND,
        )  # fmt: skip

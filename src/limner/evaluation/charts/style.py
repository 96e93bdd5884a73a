"""How limner's charts look, and how they are saved. Matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import OutputError
from limner.io.save import write_atomic
from limner.ops import lettering, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = palette.ON_PAPER
"""Okabe and Ito's, told apart with any colour vision; not their yellow, which fades on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""A second way to tell series apart, for a copy in grey."""

INK, FAINT = "#222222", "#8A8A8A"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "svg.fonttype": "none",  # text stays text: it can be searched and copied
    "svg.hashsalt": "limner",  # ids are otherwise random, and every file another
}

DPI = 160
"""Of a PNG: sharp at the width of a page."""

Label = tuple[str, float, float, str]
"""Text, the x and y of the point that it names (in data), and its colour."""


def new_axes(
    x: str, y: str, title: str = "", *, width: float = 6.4, height: float = 4.0
) -> tuple[Figure, Axes]:
    """An empty chart with named axes, in our style; no global state of pyplot's.

    Args:
        width, height: in inches.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)  # inches around it all
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set(xlabel=x, ylabel=y)
        if title:
            axes.set_title(title, loc="left", pad=12, fontsize=11.5, fontweight="bold")
    return figure, axes


def save_chart(figure: Figure, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a chart as PNG or SVG, by the suffix; the same chart is the same bytes.

    Raises:
        OutputError: another suffix, or the place is taken or can't be written.
    """
    from matplotlib import rc_context

    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise OutputError(f"A chart is saved as .png or .svg; got {path.name}.")
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    buffer = io.BytesIO()
    with rc_context(STYLE), _legible(figure):
        figure.savefig(buffer, format=kind, dpi=DPI, facecolor="white", metadata=metadata)
    return write_atomic(path, buffer.getvalue(), overwrite=overwrite)


@contextmanager
def _legible(figure: Figure) -> Iterator[None]:
    """Letters that DejaVu lacks come from a font of the system, else they are written as code
    points; a price in a phrase is no formula. Afterwards the figure says what it said."""
    from matplotlib.font_manager import FontProperties, fontManager
    from matplotlib.text import Text

    changed = []
    for artist in figure.findobj(Text):
        assert isinstance(artist, Text)
        text = artist.get_text()
        artist.set_parse_math("mathdefault" in text)  # matplotlib's own, of logarithmic axes
        if text.isascii():
            continue
        path = lettering.font_path(text)
        if path != lettering.font_path(""):
            fontManager.addfont(path)
            artist.set_fontfamily([FontProperties(fname=path).get_name()])
        changed.append((artist, text))
        artist.set_text(lettering.readable(text, path))
    try:
        yield
    finally:
        for artist, text in changed:
            artist.set_text(text)


def label_ends(figure: Figure, axes: Axes, labels: Sequence[Label]) -> None:
    """Names at the right of the lines that they name, moved apart where they would overlap.

    Call it when the limits are final. The room for them is taken from the plot.
    """
    if not labels:
        return
    low, high = axes.get_ylim()
    height = figure.get_size_inches()[1] * 72 * 0.75  # points, about, of the plot itself
    lines = max(text.count("\n") for text, *_ in labels) + 1
    gap = 13 * lines / height * (high - low)
    order = sorted(range(len(labels)), key=lambda k: labels[k][2])
    heights = spread([labels[k][2] for k in order], gap, low, high)
    left, right = axes.get_xlim()
    for k, y in zip(order, heights, strict=True):
        text, at_x, at_y, colour = labels[k]
        axes.annotate(
            text,
            xy=(at_x, at_y),
            xytext=(right, y),
            textcoords="data",
            va="center",
            ha="left",
            color=colour,
            fontweight="bold",
            fontsize=9 if lines == 1 else 8.5,
            annotation_clip=False,
            arrowprops=(
                {"arrowstyle": "-", "color": colour, "lw": 0.6, "alpha": 0.6}
                if abs(y - at_y) > gap / 3 or right - at_x > (right - left) / 20
                else None
            ),
        )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending positions as near to the wanted ones as a least ``gap`` allows.

    They stay in ``low``–``high`` as long as there is room for all.
    """
    placed: list[float] = []
    for position in wanted:
        placed.append(max(position, placed[-1] + gap) if placed else max(position, low))
    limit = max(high, low + gap * (len(placed) - 1))
    for k in reversed(range(len(placed))):
        placed[k] = min(placed[k], limit)
        limit = placed[k] - gap
    return placed

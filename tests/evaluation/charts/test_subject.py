"""The trade-off of a taught subject: points where the scores are, the best marked, in any order."""

from __future__ import annotations

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limner.errors import InputError
from limner.evaluation.charts.subject import trade_off

POINTS = {"100": (0.30, 0.5), "200": (0.28, 0.7), "300": (0.2, 0.8)}
BEFORE = (0.32, 0.1)


def drawn(
    best: str | None = "200", *, before: tuple[float, float] = BEFORE, joined: bool = True
) -> Figure:
    return trade_off(POINTS, before=before, ceiling=0.9, best=best, joined=joined, title="ohwx dog")


def axes_of(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def test_a_point_a_checkpoint_from_the_untaught_model_on() -> None:
    axes = axes_of(drawn())
    line = axes.lines[0]
    assert line.get_xdata() == pytest.approx([0.32, 0.30, 0.28, 0.2])  # type: ignore[arg-type]
    assert line.get_ydata() == pytest.approx([0.1, 0.5, 0.7, 0.8])  # type: ignore[arg-type]
    (ring,) = (one for one in axes.lines if one.get_markersize() == 13)
    assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([0.28], [0.7])  # type: ignore[arg-type]
    said = [text.get_text() for text in axes.texts]
    assert {"untaught", "100", "200, best", "300"} <= set(said)


def test_lines_say_what_was_to_be_reached() -> None:
    """The photographs' own likeness, half way to it, and a tenth off the words, within sight."""
    axes = axes_of(drawn())
    said = [text.get_text() for text in axes.texts]
    assert {"photographs 0.900", "half way 0.500", "a tenth off 0.288"} <= set(said)
    assert axes.get_ylim()[1] > 0.9
    low, high = axes.get_xlim()
    assert low < 0.288 < high


def test_adapters_of_several_runs_are_not_joined() -> None:
    assert all(len(list(line.get_xdata())) < 4 for line in axes_of(drawn(joined=False)).lines)  # type: ignore[arg-type]


def test_a_tenth_of_nothing_is_no_bar() -> None:
    """A model that obeys no words has no CLIP-T of which a tenth may be lost."""
    said = [text.get_text() for text in axes_of(drawn(before=(-0.1, 0.1))).texts]
    assert not any("tenth" in text for text in said)


def test_none_is_marked_where_none_is_good_enough() -> None:
    figure = drawn(best=None)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert not [text for text in said if "best" in text]
    assert {"untaught", "100", "200", "300"} <= set(said)


def test_the_best_must_be_there() -> None:
    with pytest.raises(InputError, match="'400'"):
        drawn(best="400")
    with pytest.raises(InputError, match="none"):
        trade_off({}, before=BEFORE, ceiling=0.9, best="")

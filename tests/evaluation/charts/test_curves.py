"""What the charts say: limits, names, marks, texts; that they are files like any other of ours."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from limner.errors import InputError, OutputError
from limner.evaluation.charts import curves, prompts, style

SWEEP: dict[curves.Setting, list[float]] = {5.0: [0.3, 0.34], 1.0: [0.1, 0.2], 10.0: [0.2, 0.22]}
CLICKS = {"sam": [[0.5, 0.9], [0.7, 0.8, 0.95]], "grabcut": [[0.4] * 5, [0.6] * 5]}


def axes_of(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in axes_of(figure).texts]


def every_chart() -> dict[str, Figure]:
    recalls, precisions = curves.operating_points([0.9, 0.8, 0.4], [True, False, True], 4)
    return {
        "sweep": curves.score_curves(
            [curves.Curve.of("sd15", SWEEP)], setting="guidance_scale", score="CLIP-T"
        ),
        "words": curves.score_curves(
            [curves.Curve.of("seam", {"ddim": [0.2], "euler": [0.1]})],
            setting="scheduler",
            score="seam",
            best="min",
        ),
        "recall": curves.precision_recall({"owlvit": (recalls, precisions)}, title="“mug”"),
        "confidence": curves.confidence_histogram([0.9, 0.7, 0.2], [0.1, 0.4], threshold=0.35),
        "clicks": curves.click_curves(CLICKS, limit=5),
        "thresholds": prompts.threshold_curves(
            [0.0, 0.4, 0.8, 0.9],
            {"F1": [0.5, 0.8, 0.4, 0.0], "precision": [0.3, 0.7, 1.0, None]},
            chosen=0.6,
            span=(0.45, 0.7),
            title="mug",
        ),
        "probe": prompts.trial_dots(
            {"1: box": 0.9, "2: box": 0.7, "3: " + "box " * 40: 0.95},
            score="IoU",
            asked=0.8,
            most=1,
        ),
    }


def test_a_sweep_is_drawn_in_the_order_of_its_settings_with_its_spread() -> None:
    figure = every_chart()["sweep"]
    axes = axes_of(figure)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("guidance_scale", "CLIP-T")
    line = axes.lines[0]
    assert line.get_xdata() == pytest.approx([1, 5, 10])  # type: ignore[arg-type]
    assert line.get_ydata() == pytest.approx([0.15, 0.32, 0.21])  # type: ignore[arg-type]
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]  # type: ignore[index]
    assert (heights.min(), heights.max()) == pytest.approx((0.1, 0.34))
    low, high = axes.get_ylim()
    assert low < 0.1 < 0.34 < high
    assert texts(figure) == ["sd15\nbest 0.32 at 5.0"]


def test_words_are_settings_in_their_own_order_and_the_least_can_be_best() -> None:
    figure = every_chart()["words"]
    ticks = [tick.get_text() for tick in axes_of(figure).get_xticklabels()]
    assert ticks == ["ddim", "euler"]
    assert texts(figure) == ["seam\nbest 0.1 at euler"]


def test_operating_points_are_worked_out_by_hand() -> None:
    recalls, precisions = curves.operating_points(
        [0.5, 0.9, 0.5, 0.7], [True, True, False, False], 4
    )
    assert recalls == [1 / 4, 1 / 4, 2 / 4]  # equal scores are one point
    assert precisions == [1, 1 / 2, 2 / 4]


def test_precision_and_recall_keep_to_their_range() -> None:
    axes = axes_of(every_chart()["recall"])
    assert axes.get_xlim() == (0, 1.03)
    assert axes.get_ylim() == pytest.approx((0, 1.02))
    assert axes.get_title(loc="left") == "“mug”"


def test_hits_point_up_and_misses_down_and_the_threshold_counts_both() -> None:
    figure = every_chart()["confidence"]
    axes = axes_of(figure)
    heights = [bar.get_height() for bar in axes.patches]  # type: ignore[attr-defined]
    assert (sum(h for h in heights if h > 0), sum(h for h in heights if h < 0)) == (3, -2)
    assert axes.get_xlim() == (0, 1)
    assert texts(figure) == ["3 hits, 2 at 0.35 or more", "2 misses, 1 at 0.35 or more"]
    axes.figure.canvas.draw()
    assert not [t for t in axes.get_yticklabels() if t.get_text().startswith(("-", "−"))]


def test_an_object_that_is_done_keeps_its_last_iou() -> None:
    axes = axes_of(every_chart()["clicks"])
    sam = axes.lines[0].get_ydata()
    assert sam == pytest.approx([0.6, 0.85, 0.925, 0.925, 0.925])  # type: ignore[arg-type]
    assert axes.get_ylim() == (0.4, 1)
    assert axes_of(curves.click_curves({"sam": [[1.0]]})).get_ylim() == (0.9, 1)
    assert {"sam", "grabcut", "85%", "90%"} <= {text.get_text() for text in axes.texts}


def test_thresholds_hold_down_to_the_one_before_and_say_how_sure_they_are() -> None:
    axes = axes_of(every_chart()["thresholds"])
    chosen, f1, precision = axes.lines
    assert list(chosen.get_xdata()) == [0.6, 0.6]
    assert f1.get_drawstyle() == "steps-pre"
    assert np.isnan(np.asarray(precision.get_ydata(), dtype=float)).tolist() == [False] * 3 + [True]
    assert axes.get_xlabel() == "threshold (dashed: 0.600, band: 0.450 to 0.700)"
    assert axes.get_xlim() == (0, 0.9)
    names = {text.get_text(): text.xyann for text in axes.texts}  # type: ignore[attr-defined]
    assert set(names) == {"F1", "precision"}


def test_the_worst_trial_stands_out_at_the_bottom() -> None:
    axes = axes_of(every_chart()["probe"])
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[:2] == ["2: box", "1: box"]
    assert labels[2].endswith("…")
    dots = axes.collections[0]
    assert np.asarray(dots.get_offsets())[:, 0].tolist() == [0.7, 0.9, 0.95]
    assert len({tuple(colour) for colour in dots.get_facecolors().tolist()[1:]}) == 1  # type: ignore[attr-defined]
    low, high = axes.get_xlim()
    assert low < 0.7 < 1 < high, "all there can be is shown"
    lone = axes_of(prompts.trial_dots({"a": 0.99}, score="IoU", most=1))
    assert lone.get_xlim() == pytest.approx((0.8, 1.01))


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_chart_is_the_same_bytes_and_nothing_is_cut_off(
    tmp_path: Path, suffix: str
) -> None:
    first, again = every_chart(), every_chart()
    for name in first:
        one = style.save_chart(first[name], tmp_path / f"{name}-1{suffix}")
        other = style.save_chart(again[name], tmp_path / f"{name}-2{suffix}")
        assert one.read_bytes() == other.read_bytes()
        if suffix == ".png":
            with Image.open(io.BytesIO(one.read_bytes())) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            frame = [pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]]
            assert all((edge == 255).all() for edge in frame), name
    assert not list(tmp_path.glob(".limner-*"))


def test_an_svgs_texts_can_be_searched(tmp_path: Path) -> None:
    path = style.save_chart(every_chart()["recall"], tmp_path / "a.svg")
    found = {text for element in ElementTree.parse(path).iter() if (text := element.text)}
    assert {"recall", "precision", "owlvit", "“mug”"} <= found


def test_a_chart_is_refused_another_format_and_a_taken_place(tmp_path: Path) -> None:
    figure = every_chart()["recall"]
    with pytest.raises(OutputError, match=r"\.png or \.svg; got a\.pdf"):
        style.save_chart(figure, tmp_path / "a.pdf")
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(OutputError):
        style.save_chart(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("wanted", "placed"),
    [
        ([0.1, 0.9], [0.1, 0.9]),
        ([0.5, 0.5, 0.5], [0.5, 0.6, 0.7]),
        ([0.95, 0.99], [0.9, 1.0]),
        ([-1.0, 0.0], [0.0, 0.1]),
    ],
)
def test_labels_keep_apart_and_inside(wanted: list[float], placed: list[float]) -> None:
    assert style.spread(wanted, 0.1, 0.0, 1.0) == pytest.approx(placed)


def test_what_can_not_be_drawn_is_said() -> None:
    for sentence, draw in {
        "at least one curve": lambda: curves.score_curves([], setting="s", score="iou"),
        "no score for the setting 2": lambda: curves.Curve.of("a", {2: []}),
        "words and numbers": lambda: curves.score_curves(
            [curves.Curve.of("a", {"x": [1]}), curves.Curve.of("b", {1: [1]})],
            setting="s",
            score="iou",
        ),
        "needs a score for each setting": lambda: curves.Curve("a", (1,), (), (), ()),
        "as many precisions as recalls": lambda: curves.precision_recall({"a": ([0.1], [])}),
        "between 0 and 1": lambda: curves.confidence_histogram([1.2], []),
        "at least one click": lambda: curves.click_curves({"a": [[]]}),
        "at least one, and each": lambda: prompts.threshold_curves([], {}),
        "each score at every one": lambda: prompts.threshold_curves([1.0], {"F1": []}),
        "at least one": lambda: prompts.trial_dots({}, score="iou"),
        "things in the truth": lambda: curves.operating_points([], [], 0),
    }.items():
        with pytest.raises(InputError, match=sentence):
            draw()

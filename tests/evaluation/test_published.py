"""A checkpoint is held against published figures: what passes, what fails, what is asked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import supervision as sv
from click.testing import CliRunner, Result
from PIL import Image

from limner.cli.commands.models.models import models
from limner.evaluation import published
from limner.evaluation.published import Comparison, Figure, compare, figures
from limner.registry import catalog, store

PAGE = Path(__file__).parents[2] / "docs" / "checkpoints.md"
CAT = Figure(
    model="m", picture="http://x/cat.jpg", source="s", phrase="a cat", expected=(0.9, 0.5),
    tolerance=0.01,
)  # fmt: skip


def test_each_figure_is_of_a_model_that_can_answer_it() -> None:
    """A row with a typing error would be asked of the wrong task, or never fail."""
    entries = catalog.catalog()
    tasks = {"texts": "encode", "point": "segment", "box": "segment", "phrase": "detect"}
    for name, rows in figures().items():
        for figure in rows:
            (kind,) = [k for k in (*tasks, "says") if getattr(figure, k)]
            assert entries[name].task == tasks.get(kind, "caption")
            assert bool(figure.expected) == (kind != "says")
            assert figure.source.startswith("transformers, tests/models/")
            if figure.expected:  # best first, and no tolerance that would let two change places
                gaps = -np.diff(figure.expected)
                assert (gaps > 2 * figure.tolerance).all(), figure
                assert figure.tolerance > 0
        assert len({figure.picture for figure in rows}) == 1  # one picture is given for all


def test_the_page_names_every_figure() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, rows in figures().items():
        assert page.count(f"| `{name}` |") == len(rows)
        for figure in rows:
            numbers = ", ".join(f"{value:.4f}".removeprefix("0") for value in figure.expected)
            assert (numbers or figure.says) in page


@pytest.mark.parametrize(
    ("answer", "passed", "difference"),
    [
        ((0.905, 0.492), True, 0.008),
        ((0.92, 0.5), False, 0.02),
        ((0.9,), False, None),
        ((0.9, 0.5, 0.1), False, None),
        ((), False, None),
        ((float("nan"), 0.5), False, float("nan")),
    ],
)
def test_an_answer_passes_within_the_tolerance(
    answer: tuple[float, ...], passed: bool, difference: float | None
) -> None:
    """One box more or fewer is a failure, however near the others are."""
    row = Comparison(CAT, answer)
    assert row.passed is passed
    assert row.difference == pytest.approx(difference, nan_ok=True)


def test_a_sentence_passes_word_for_word() -> None:
    figure = Figure(model="m", picture="p", source="s", says="a cat")
    assert Comparison(figure, "a cat").passed
    assert not Comparison(figure, "a cat on a mat").passed


class Fakes:
    """Models that answer from their question, so that a swapped axis or order is seen."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @property
    def encoder(self) -> Any:
        rows = np.eye(3, dtype=np.float32)
        return SimpleNamespace(
            encode_images=lambda images: np.array([[0.2, 0.3, 0.0]]),
            encode_texts=lambda texts: rows[: len(texts)],
        )

    @property
    def segmenter(self) -> Any:
        def segment(embedding: Any, prompts: Any, options: Any) -> Any:
            self.asked += [prompts[0], options.multimask_output]
            kept = np.empty(1, dtype=object)
            kept[0] = [(None, 0.9), (None, 0.4), (None, 0.1)]
            return SimpleNamespace(data={"candidates": kept})

        return SimpleNamespace(embed=lambda image: image, segment=segment)

    @property
    def detector(self) -> Any:
        def detect(image: Any, prompts: Any, options: Any) -> sv.Detections:
            self.asked += [prompts[0], options.threshold]
            boxes = np.array([[0, 0, 1, 1], [0, 0, 2, 2]], np.float32)
            return sv.Detections(boxes, confidence=np.array([0.4, 0.6]))

        return SimpleNamespace(detect=detect)

    @property
    def captioner(self) -> Any:
        return SimpleNamespace(caption=lambda images: ["a cat"] * len(images))


def test_each_kind_of_figure_is_asked_of_its_adapter() -> None:
    fakes, image = Fakes(), Image.new("RGB", (40, 30))
    common = {"model": "m", "picture": "p", "source": "s"}
    rows = compare(
        fakes,
        [
            Figure(**common, texts=("a", "b"), scale=100.0),
            Figure(**common, point=(4, 5)),
            Figure(**common, box=(1, 2, 3, 4)),
            Figure(**common, phrase="a cat", threshold=0.35),
            Figure(**common, says="a cat"),
        ],
        image,
    )
    encoded, pointed, boxed, found, told = (row.answer for row in rows)
    assert encoded == pytest.approx((20, 30))
    assert pointed == boxed == (0.9, 0.4, 0.1)
    assert found == pytest.approx((0.6, 0.4))
    assert told == "a cat"
    point, many, box, _, phrase, threshold = fakes.asked
    assert (point.points[0].x, point.points[0].y) == (4, 5)
    assert many is True
    assert (box.box.x0, box.box.y0, box.box.x1, box.box.y1) == (1, 2, 3, 4)
    assert phrase.text.phrase == "a cat"
    assert threshold == 0.35


# ---- the command


def run(*words: str) -> Result:
    result = CliRunner().invoke(models, ["check", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """grounding-dino-tiny is here, and answers what the test says; a picture of the right size."""
    monkeypatch.setattr(store, "is_here", lambda entry: True)
    monkeypatch.setattr(store, "verify", lambda entry: None)
    monkeypatch.setattr(store, "locked", lambda entry: None)
    monkeypatch.setattr("limner.session.Session", lambda **choices: SimpleNamespace(models=None))
    Image.new("RGB", (640, 480)).save(tmp_path / "cats.png")
    return tmp_path


@pytest.mark.parametrize(("scores", "status"), [((0.4527, 0.4080), 0), ((0.2, 0.1), 1)])
def test_the_command_says_pass_or_fail_and_writes_what_it_saw(
    scores: tuple[float, ...], status: int, pulled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_answer", lambda models, figure, image: scores)
    report = pulled / "report.json"
    words = ("grounding-dino-tiny", "--picture", str(pulled / "cats.png"))
    result = run(*words, "--report", str(report))
    assert result.exit_code == status
    assert re.match("pass" if status == 0 else "FAIL", result.output)
    assert "0.4526 0.4082" in result.output
    content = json.loads(report.read_text())
    assert content["passed"] is (status == 0)
    assert content["figures"][0]["answer"] == list(scores)
    assert {"limner", "torch", "transformers"} <= content["versions"].keys()
    assert str(pulled) not in report.read_text()  # a folder's name may be somebody's


def test_a_report_that_is_there_stays(pulled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is asked for in vain."""
    asked: list[Figure] = []
    monkeypatch.setattr(published, "_answer", lambda models, figure, image: asked.append(figure))
    (pulled / "report.json").write_text("old")
    with pytest.raises(Exception, match=r"report\.json is there already"):
        run("grounding-dino-tiny", "--picture", str(pulled / "cats.png"), "--report",
            str(pulled / "report.json"))  # fmt: skip
    assert (pulled / "report.json").read_text() == "old"
    assert asked == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("grounding-dino-tiny",), "are of http://images.cocodataset.org/val2017/000000039769.jpg"),
        (("mini-sam",), "No figures for mini-sam are known here"),
        (("grabcut",), "No figures for grabcut are known here"),
        (("blip-base", "--picture", "x.jpg"), "limner models pull blip-base"),
    ],
)
def test_what_cannot_be_checked_is_said(
    words: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    with pytest.raises(Exception, match=re.escape(sentence)):
        run(*words)


def test_another_picture_is_refused(pulled: Path) -> None:
    """Its answers would differ, and the model would be blamed."""
    Image.new("RGB", (480, 640)).save(pulled / "other.png")
    with pytest.raises(Exception, match=r"640x480 pixels.*this one has 480x640"):
        run("grounding-dino-tiny", "--picture", str(pulled / "other.png"))

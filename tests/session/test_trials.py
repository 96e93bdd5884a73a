"""What asks many sessions, from Python: comparisons, suites, sweeps and teaching as methods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner import LimnerError, Session
from limner.errors import OptionError, OutputError
from limner.io.save import read_record
from limner.runs.store import Store
from tests.models.tiny_sd import save_tiny_sd
from tests.training.photos import folder_of

SUITE = """\
models: [grabcut]
settings: [{iterations: 1}]
defaults: {mask: mask.png}
cases:
- {description: easy, image: thing.png, find: {box: "20,20,70,70"},
   assert: [{type: iou, value: 0.5}]}
- {description: "<b>hard</b>", image: thing.png, find: {box: "0,0,12,12"},
   assert: [{type: iou, value: 0.99}]}
"""
RECIPE = """\
image = "thing.png"
mask = "mask.png"
[segment]
find = {box = [20, 20, 70, 70]}
[sweep]
iterations = [1, 3]
[search]
objective = "iou"
"""
BOX = (20, 20, 70, 70)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A red disc on grey noise, its outline, a suite and a recipe."""
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:96, :96]
    disc = (x - 45) ** 2 + (y - 45) ** 2 < 20**2
    pixels = np.random.default_rng(7).integers(120, 150, (96, 96, 3)).astype(np.uint8)
    pixels[disc] = (190, 30, 30)
    Image.fromarray(pixels).save(tmp_path / "thing.png")
    Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    (tmp_path / "suite.yaml").write_text(SUITE)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def test_a_suite_is_run_and_looked_at(folder: Path) -> None:
    """The line, the matrix with no markup of the suite's own, each report, and its runs stored
    where the session's are."""
    steps: list[tuple[int, int]] = []
    session = Session(store="runs")
    tests = session.evaluate("suite.yaml", on_step=lambda done, total: steps.append((done, total)))
    assert repr(tests) == "Evaluated(2 cells: 1 pass, 1 fail, 0 error)"
    assert tests.failed
    assert steps == [(1, 2), (2, 2)]
    assert [cell["status"] for cell in tests.cells] == ["pass", "fail"]
    assert "data:image" in tests.html
    assert "<b>hard" not in tests._repr_html_()
    assert tests._repr_html_().count("<iframe") == 1
    for ending in (".html", ".json", ".csv", ".xml"):
        assert tests.save(folder / f"report{ending}").stat().st_size > 100
    with pytest.raises(OutputError, match=r"\.html, \.json"):
        tests.save("report.docx")
    assert Store.open("runs").get("latest").row.verb == "segment"
    assert not session.evaluate("suite.yaml", pattern="easy").failed


def test_a_sweep_is_run_and_looked_at(folder: Path) -> None:
    """In its folder, with the sheet as a picture, and the best by name."""
    swept = Session().sweep("recipe.toml", "out")
    best = swept.best
    assert best is not None
    assert best["score"] == max(trial["score"] for trial in swept.trials)
    assert repr(swept).startswith("Swept(2 settings tried, best iterations ")
    assert (swept.folder / "index.html").is_file()
    assert swept.image.width > 96
    assert swept._repr_html_().count("<img") == len(swept.sheets) > 0
    png = swept._repr_png_()
    assert png is not None
    assert png.startswith(b"\x89PNG")
    with pytest.raises(OutputError, match="out"):
        Session().sweep("recipe.toml", "out")
    assert len(Session().sweep("recipe.toml", "out", resume=True).trials) == 2


def test_models_are_compared_and_looked_at(folder: Path) -> None:
    """One row a model, also of one that can't answer; the picture carries all of it."""
    compared = Session().compare("thing.png", BOX, "grabcut, sam-vit-base", iterations=1)
    able, unable = compared.models
    assert (able["name"], len(able["boxes"])) == ("grabcut", 1)
    assert unable["error"]
    assert set(compared.detections) == {"grabcut"}
    assert repr(compared).startswith("Compared(grabcut: 1 object, sam-vit-base: ")
    assert "\n" not in repr(compared)
    assert "<td>grabcut</td><td>1 object</td>" in compared._repr_html_()
    record = read_record(compared.save(folder / "compared.png"))
    assert record is not None
    assert [row["name"] for row in record["models"]] == ["grabcut", "sam-vit-base"]


def test_a_subject_is_taught(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command does: the subject lies where the session's painter looks for it."""
    monkeypatch.setenv("LIMNER_HOME", str(folder / "home"))
    base = save_tiny_sd(folder / "base", kind="text2img")
    steps: list[tuple[int, int]] = []
    subject = Session(device="cpu", store="runs").teach(
        "mycat",
        folder_of(folder / "photos", 3),
        str(base),
        instance_prompt="a sks cat",
        class_prompt="a cat",
        with_prior_preservation=False,
        max_train_steps=2,
        resolution=32,
        on_step=lambda done, total: steps.append((done, total)),
    )
    assert subject.card["steps"] == 2
    assert subject.adapter.is_file()
    assert steps == [(1, 2), (2, 2)]
    assert Store.open("runs").get("latest").row.verb == "teach"


REFUSED: dict[str, tuple[Callable[[Session], Any], type[LimnerError], str]] = {
    "no model": (lambda s: s.compare("thing.png", BOX, []), OptionError, "models by name"),
    "both kinds": (
        lambda s: s.compare("thing.png", ["cup", BOX], "grabcut"),
        OptionError,
        "same question",
    ),
    "a suite's typo": (
        lambda s: s.evaluate("suite.yaml", repeats=2),
        OptionError,
        "did you mean repeat",
    ),
    "no suite": (lambda s: s.evaluate("gone.yaml"), LimnerError, r"gone\.yaml"),
    "no cell": (lambda s: s.evaluate("suite.yaml", pattern="x" * 9), OptionError, "No cell"),
    "a sweep's typo": (lambda s: s.sweep("recipe.toml", worker=2), OptionError, "mean workers"),
    "a teaching's typo": (
        lambda s: s.teach("a", "photos", "mini-sd", instance_promt="x"),
        OptionError,
        "mean instance_prompt",
    ),
    "no words": (
        lambda s: s.teach("a", "photos", "mini-sd", class_prompt="a cat"),
        OptionError,
        "teach needs instance_prompt,",
    ),
    "a person": (
        lambda s: s.teach("a", "p", "mini-sd", instance_prompt="a sks man", class_prompt="a man"),
        OptionError,
        "consent",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str, folder: Path) -> None:
    """One sentence, and nothing is written."""
    ask, error, says = REFUSED[name]
    before = sorted(folder.rglob("*"))
    with pytest.raises(error, match=says):
        ask(Session())
    assert sorted(folder.rglob("*")) == before

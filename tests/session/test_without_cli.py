"""Suites, sweeps, comparisons and scorecards are the library's: Python runs them as commands do."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.evaluation.sweeps.recipe import read_recipe
from limner.prompts import Box, VisualPrompt
from limner.registry import bundled, subjects
from limner.session.cell_answers import AnswererConfig
from limner.session.compare import Question, compare, sheet_of
from limner.session.scorecard import (
    CardJudges,
    PaintingOptions,
    SubjectNames,
    score_painters,
)
from limner.session.suites import SuiteOptions, run_suite
from limner.session.sweeps import run_sweep
from tests.cli.command import Command
from tests.conftest import need_minis
from tests.models.tiny_sd import save_tiny_lora
from tests.training.photos import folder_of

ROOT = Path(__file__).parents[2]
CLI = "limner.cli"
OF_ONE_RUN = (
    "created", "id", "seconds", "loading_seconds", "peak_bytes", "device_peak_bytes", "sweep",
)  # fmt: skip
"""What two runs of the same differ in."""


class NoCommandLine(MetaPathFinder):
    """Whoever imports ``limner.cli`` meanwhile fails."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == CLI or fullname.startswith(f"{CLI}."):
            raise AssertionError(f"the library imports {fullname}")


def loaded() -> list[str]:
    return [name for name in sys.modules if name == CLI or name.startswith(f"{CLI}.")]


@contextmanager
def without_cli() -> Iterator[None]:
    """As if this process had never heard of the command line."""
    with pytest.MonkeyPatch.context() as patch:
        for name in loaded():
            patch.delitem(sys.modules, name)
        patch.delattr("limner.cli", raising=False)
        patch.setattr(sys, "meta_path", [NoCommandLine(), *sys.meta_path])
        yield
        assert loaded() == []


def same(value: Any) -> Any:
    """A report without what belongs to one run of it."""
    if isinstance(value, dict):
        return {key: same(each) for key, each in value.items() if key not in OF_ONE_RUN}
    return [same(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.fixture
def limner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command line in a folder with a red disc on grey noise, and its outline."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / ".home"))
    y, x = np.mgrid[:64, :64]
    disc = (x - 30) ** 2 + (y - 30) ** 2 < 14**2
    pixels = np.random.default_rng(7).integers(120, 150, (64, 64, 3)).astype(np.uint8)
    pixels[disc] = (190, 30, 30)
    Image.fromarray(pixels).save(tmp_path / "thing.png")
    Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    return Command(capsys.readouterr)


SUITE = """\
models: [grabcut]
defaults: {image: thing.png, mask: mask.png}
cases:
- {description: outlined, find: {box: [14, 14, 47, 47]}, assert: [{type: iou, value: 0.5}]}
- {description: impossible, find: {box: [2, 2, 9, 9]}, assert: [{type: iou, value: 0.99}]}
- {description: removed, remove: {mask: mask.png}, assert: [outside_changed_pixels]}
"""


def test_a_suite_run_from_python_reports_what_the_command_does(limner: Command) -> None:
    """The same cells, verdicts and pictures; the reports are written, and the eval is kept."""
    Path("suite.yaml").write_text(SUITE)
    began: list[str] = []
    steps: list[tuple[int, int]] = []
    with without_cli():
        run = run_suite(
            Path("suite.yaml"),
            options=SuiteOptions(outputs=(Path("ours.json"), Path("ours.html"))),
            on_begin=began.append,
            on_step=lambda done, total: steps.append((done, total)),
        )
    assert run.failed
    assert run.report["stats"] == {"pass": 2, "fail": 1, "error": 0}
    assert began == [run.report["id"]]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert "data:image/jpeg" in Path("ours.html").read_text()
    answer = limner.run("eval", "suite.yaml", "--baseline", "last", "-o", "theirs.json")
    assert answer.code == 0, "nothing is worse than what Python kept"
    theirs = json.loads(Path("theirs.json").read_text())
    del theirs["baseline"]
    assert same(theirs) == same(run.report) == same(json.loads(Path("ours.json").read_text()))


RECIPE = """\
image = "thing.png"
mask = "mask.png"
[remove]
find = {mask = "mask.png"}
[sweep]
radius = [1, 5]
dilate = [0, 4]
[search]
objective = "seam"
"""


def test_a_sweep_run_from_python_lays_out_what_the_command_does(limner: Command) -> None:
    """Tables, sheets and pictures are equal to the byte; only the command knows commands."""
    Path("r.toml").write_text(RECIPE)
    with without_cli():
        run = run_sweep(read_recipe(Path("r.toml")), Path("ours"), AnswererConfig(record=False))
    limner("sweep", "r.toml", "-o", "theirs", "--no-record")
    theirs = json.loads(Path("theirs/results.json").read_text())
    assert same(theirs) == same(json.loads(Path("ours/results.json").read_text()))
    assert run.best is not None
    assert run.best.trial.number == theirs["best"]
    assert run.sheets == (Path("ours/sheet.png"),)
    pictures = [path.relative_to("ours") for path in Path("ours").rglob("*.png")]
    assert len(pictures) == 7  # four results, one input, the sheet, the curves
    for path in pictures:
        assert Image.open(Path("ours") / path) == Image.open(Path("theirs") / path), path
    assert "limner remove" in Path("theirs/index.html").read_text()
    assert "limner remove" not in Path("ours/index.html").read_text()


@pytest.mark.slow
def test_a_comparison_from_python_answers_what_the_command_does(limner: Command) -> None:
    """The rows of the table, and the picture of all answers."""
    picture, prompt = Image.open("thing.png").convert("RGB"), VisualPrompt(box=Box(14, 14, 47, 47))
    with without_cli():
        answers = list(compare(Question(picture, (prompt,)), ["grabcut"]))
        sheet = sheet_of(picture, (prompt,), answers)
    theirs = limner.json("compare", "thing.png", "--box", "14,14,47,47", "--models", "grabcut")
    assert same(theirs["models"]) == same([answer.to_dict() for answer in answers])
    (box,) = theirs["models"][0]["boxes"]
    assert box["score"] > 0
    with Image.open("thing-compare.png") as drawn:
        assert drawn.size == sheet.size


@pytest.mark.slow
def test_a_scorecard_from_python_is_that_of_the_command(limner: Command, tmp_path: Path) -> None:
    """One prompt, one seed: the untaught model and a LoRA file."""
    need_minis("mini-sd", "mini-clip", "mini-dino")
    folder_of(tmp_path / "photos", 2)
    (tmp_path / "lora").mkdir()
    file = save_tiny_lora(tmp_path / "lora", bundled.folder("mini-sd"))
    prompts = ("a photo of ohwx cat", "a photo of a cat")
    steps: list[tuple[int, int]] = []
    with without_cli():
        card = score_painters(
            SubjectNames("mini-sd", *prompts),
            Path("photos"),
            {str(file): subjects.adapter_of(str(file))},
            CardJudges.of("mini"),
            PaintingOptions(count=1, seeds=1),
            on_step=lambda done, total: steps.append((done, total)),
        )
    assert steps == [(1, 2), (2, 2)]
    theirs = limner.json(
        "score", "subject", "photos", "--adapter", file, "--model", "mini-sd",
        "--instance-prompt", prompts[0], "--class-prompt", prompts[1],
        "--prompts", 1, "--seeds", 1, "--profile", "mini",
    )  # fmt: skip
    assert [row["name"] for row in theirs["rows"]] == ["before", str(file)]
    assert theirs["rows"][0]["dino"] != theirs["rows"][1]["dino"]
    assert {key: theirs[key] for key in card.report} == json.loads(json.dumps(card.report))


def test_a_process_that_imports_them_alone_has_no_command_line() -> None:
    """Also at import, which this process did long ago."""
    code = (
        "import sys\n"
        "import limner.session.suites, limner.session.sweeps, limner.session.compare\n"
        "import limner.session.scorecard, limner.session.probe, limner.session.teach\n"
        "import limner.session.labelled_answers\n"
        f"print([name for name in sys.modules if name.startswith({CLI!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_benchmark_imports_the_command_line() -> None:
    """They measure the library; ``startup`` starts a whole program, which is no import."""
    files = sorted((ROOT / "benchmarks").glob("*.py"))
    assert len(files) > 8
    imported = {
        f"{path.name}: {name}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imported(node)
        if name == CLI or name.startswith(f"{CLI}.")
    }
    assert imported == set()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []

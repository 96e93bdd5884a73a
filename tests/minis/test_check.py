"""The check fails when, and only when, what ships has become worse than its record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minis import check
from minis.scores import record
from minis.scores.bars import BARS, BY_NAME, Bar
from minis.scores.record import Verdict
from minis.scores.shipped_models import ShippedModels

HIGH = Bar("h", "high", 0.80, slack=0.02)
LOW = Bar("l", "low", 0.10, slack=0.02, at_most=True)
FREE = Bar("f", "free", 5.0, slack=None, at_most=True)


@pytest.mark.parametrize(
    ("bar", "measured", "recorded", "word", "regressed"),
    [
        (HIGH, 0.85, 0.85, "ok", False),
        (HIGH, 0.84, 0.85, "ok", False),
        (HIGH, 0.82, 0.85, "ok, WORSE THAN RECORDED", True),
        (HIGH, 0.60, 0.61, "SHORT", False),
        (HIGH, 0.50, 0.61, "SHORT, WORSE THAN RECORDED", True),
        (HIGH, 0.50, None, "SHORT", False),
        (HIGH, None, None, "missing", False),
        (HIGH, None, 0.61, "missing, WORSE THAN RECORDED", True),
        (LOW, 0.08, 0.08, "ok", False),
        (LOW, 0.09, 0.08, "ok", False),
        (LOW, 0.20, 0.08, "SHORT, WORSE THAN RECORDED", True),
        (LOW, 0.01, 0.08, "ok", False),
        (FREE, 9.0, 1.0, "SHORT", False),
    ],
)
def test_a_verdict_says_both(
    bar: Bar, measured: float | None, recorded: float | None, word: str, regressed: bool
) -> None:
    verdict = Verdict(bar, measured, recorded)
    assert verdict.word == word
    assert verdict.regressed is regressed


def test_every_bar_of_the_issue_is_asked() -> None:
    """The issue's table, number by number: none may be lowered on the way."""
    asked = {bar.name: bar.required for bar in BARS if bar.required is not None}
    assert asked == {
        "sam-box": 0.88,
        "sam-click-1": 0.78,
        "sam-click-3": 0.85,
        "sam-click-5": 0.88,
        "sam-best-of-3": 0.05,
        "owlvit-words": 0.60,
        "owlvit-example": 0.65,
        "owlvit-unseen": 0.55,
        "words-mask": 0.75,
        "words-first": 0.70,
        "clip-top1": 0.80,
        "dino-held-out": 0.90,
        "vae-psnr": 25.0,
        "painter-top1": 0.60,
        "painter-top5": 0.85,
        "painter-rise": 0.01,
        "painter-negative": 0.5,
        "canvas-top1": 0.40,
        "canvas-top5": 0.65,
        "blip-f1": 0.75,
        "edit-seconds": 2.0,
        "weights": 48.0,
        "wheel": 60.0,
    }


def test_every_bar_belongs_to_one_part() -> None:
    for bar in BARS:
        owners = [name for name, part in check.PARTS.items() if bar.name.startswith(part.rows)]
        assert len(owners) == 1, bar.name


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record, a page and a part of their own: the check with nothing to measure."""
    page = tmp_path / "minis.md"
    page.write_text(f"before\n{record.START}\nold\n{record.END}\nafter\n")
    monkeypatch.setattr(record, "FILE", tmp_path / "scores.json")
    monkeypatch.setattr(record, "PAGE", page)
    return tmp_path


def measuring(monkeypatch: pytest.MonkeyPatch, value: float, needs: tuple[str, ...] = ()) -> None:
    def measure(models: ShippedModels, quick: bool) -> dict[str, float]:
        return {"clip-top1": value if quick else value + 0.1}

    monkeypatch.setattr(check, "PARTS", {"clip": check.Part(needs, ("clip-top1",), measure)})


def test_a_fall_ends_with_1(
    stage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(monkeypatch, 0.5)
    assert check.main(["--quick"]) == 0, "nothing recorded, nothing to fall behind"
    assert "SHORT" in capsys.readouterr().out
    assert check.main(["--quick", "--record"]) == 0
    assert check.main(["--quick"]) == 0, "short of the bar, but no worse"
    measuring(monkeypatch, 0.4)
    capsys.readouterr()
    assert check.main(["--quick"]) == 1
    assert "WORSE THAN RECORDED" in capsys.readouterr().out


def test_a_recorded_model_that_is_gone_ends_with_1(
    stage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(monkeypatch, 0.9, needs=("mini-nothing",))
    assert check.main([]) == 0
    record.write("full", {"clip-top1": 0.9})
    assert check.main([]) == 1
    assert "missing" in capsys.readouterr().out


def test_quick_and_full_are_recorded_apart(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring(monkeypatch, 0.5)
    check.main(["--quick", "--record"])
    check.main(["--record", "--json", str(stage / "out.json")])
    assert json.loads((stage / "scores.json").read_text()) == {
        "quick": {"clip-top1": 0.5},
        "full": {"clip-top1": 0.6},
    }
    assert json.loads((stage / "out.json").read_text()) == {"clip-top1": 0.6}
    page = (stage / "minis.md").read_text()
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "old" not in page
    assert "| ≥ 0.800 | 0.600 | 0.500 | SHORT |" in page


def test_the_docs_show_the_record() -> None:
    """The page's table is that of the recorded scores: run the check with --record."""
    page = record.PAGE.read_text(encoding="utf-8")
    scores = json.loads(record.FILE.read_text()) if record.FILE.exists() else {}
    assert record.with_table(page, scores) == page
    for mode in scores.values():
        assert set(mode) <= set(BY_NAME)


def test_make_runs_every_recipe_and_then_records_the_files() -> None:
    recipes = Path(check.__file__).parent / "recipes"
    makefile = (recipes.parents[1] / "Makefile").read_text()
    for path in recipes.glob("[a-z]*.py"):
        assert f"-m minis.recipes.{path.stem}" in makefile, path.name
    assert makefile.index("limner.registry.bundled") > makefile.rindex("-m minis.recipes.")

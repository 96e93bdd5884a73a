"""What a job takes is known before, and what can't fit is refused before a model is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from limner.cli import main
from limner.errors import OutOfMemory
from limner.prompts import Box, Point, VisualPrompt
from limner.session import footprint
from limner.session.footprint import bytes_needed, check_fits


def boxes(count: int, side: float) -> list[VisualPrompt]:
    return [VisualPrompt(box=Box(0, 0, side, side))] * count


def test_many_large_objects_take_more_than_few_small_ones() -> None:
    size = (4000, 3000)
    one, many, large = (bytes_needed(size, boxes(*k)) for k in ((1, 9), (300, 9), (300, 900)))
    assert one < many < large
    assert bytes_needed(size, []) < one < bytes_needed((8000, 6000), [])
    assert bytes_needed(size, [VisualPrompt(points=(Point(1, 1),))]) > one


def test_what_no_machine_holds_is_refused_with_both_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(footprint, "memory_limit", lambda: 10**9)
    check_fits((1000, 1000), boxes(300, 100))
    with pytest.raises(OutOfMemory, match=r"12000x9000 pixels and 2 objects takes about 4\.1 GB"):
        check_fits((12000, 9000), boxes(2, 9))


@pytest.mark.parametrize("verb", ["segment", "redact", "remove"])
def test_a_job_that_cannot_fit_ends_before_a_model_is_asked(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, one sentence, nothing written."""
    monkeypatch.setattr(footprint, "memory_limit", lambda: 10**6)
    monkeypatch.setattr("limner.pipeline.ground", lambda *_, **__: pytest.fail("asked"))
    Image.new("RGB", (300, 300)).save(tmp_path / "a.png")
    out = tmp_path / "out" / "b.png"
    assert main([verb, str(tmp_path / "a.png"), "--box", "1,1,9,9", "-o", str(out)]) == 2
    assert "takes about 0.0 GB of memory" in capsys.readouterr().err
    assert not out.exists()


def test_a_dry_run_says_what_the_objects_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (4000, 3000)).save(tmp_path / "a.png")
    many = [word for _ in range(300) for word in ("--object", "--box", "0,0,900,900")][1:]
    assert main(["segment", str(tmp_path / "a.png"), *many, "--dry-run"]) == 0
    assert "the largest picture and its objects: up to 1.19 GB" in capsys.readouterr().out

"""Values that nobody looks at before the first picture, and files that crash what reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limner.cli import main
from limner.errors import ModelError
from limner.models.blocks.check_parts import try_apart
from tests.fuzz import targets

PAINTER, DETECTOR = (targets.painter, targets.PAINT), (targets.detector, targets.DETECT)
VALUES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "a norm of no number": (PAINTER, "unet/config.json", {"norm_eps": []}),
    "a decoder's norm": (PAINTER, "vae/config.json", {"act_fn": 0}),
    "steps of no kind": (PAINTER, "scheduler/scheduler_config.json", {"prediction_type": "../x"}),
    "no size": (DETECTOR, "preprocessor_config.json", {"do_resize": None}),
    "a crop of 1e40": (DETECTOR, "preprocessor_config.json", {"do_center_crop": 1e40}),
}


@pytest.mark.parametrize(("asked", "file", "change"), VALUES.values(), ids=VALUES)
def test_a_value_that_fails_late_is_a_sentence(
    asked: Any,
    file: str,
    change: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not "a bug in limner": the folder is named, and nothing is written."""
    write, words = asked
    write(tmp_path)
    path = tmp_path / "model" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    code = main(list(words))
    said = capsys.readouterr().err
    assert code == 2, said
    assert str(tmp_path / "model") in said
    assert not (tmp_path / "o.png").exists()


@pytest.mark.slow
def test_what_crashes_a_reader_ends_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reader merely refuses is left to be explained where it is read; and a module of the
    working folder, which may be a stranger's, isn't taken for the library."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pathlib.py").write_text("import os; os.abort()")
    with pytest.raises(ModelError, match=r"crashed \(signal 6\)"):
        try_apart(tmp_path / "a.onnx", "tests.fuzz.test_first_answers:crash")
    try_apart(tmp_path / "a.onnx", "tests.fuzz.test_first_answers:refuse")


def crash(path: Path) -> None:
    import os

    os.abort()


def refuse(path: Path) -> None:
    raise ValueError(path)

"""The command line starts without what it doesn't need yet.

The seconds themselves are in ``benchmarks/startup.py``; what makes them is tested here.
"""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "PIL",
    "alembic",
    "cv2",
    "diffusers",
    "huggingface_hub",
    "numpy",
    "rich",
    "scipy",
    "sqlalchemy",
    "supervision",
    "torch",
    "transformers",
}


def loaded_by(*words: str) -> set[str]:
    """Top-level modules in a fresh interpreter after a command line has run."""
    code = (
        "import sys; from limner.cli import main; main(sys.argv[1:]);"
        "print('\\n@', *{name.partition('.')[0] for name in sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    return set(run.stdout.rsplit("@", 1)[1].split())


def test_help_loads_nothing_heavy() -> None:
    assert not loaded_by("--help") & HEAVY


def test_no_store_no_database_library() -> None:
    """A verb that has nothing to record, or is told not to, doesn't pay for sqlalchemy."""
    assert not loaded_by("detect", "none.png", "--text", "face", "--store", "x") & {"sqlalchemy"}
    assert not loaded_by("runs", "--help") & HEAVY


def test_a_weightless_verb_loads_no_torch() -> None:
    """GrabCut, filling and faces work without the 1.8 GB being touched."""
    assert not loaded_by("detect", "none.png", "--text", "face") & {"torch", "transformers"}


def test_closed_and_full_outputs_are_no_bugs() -> None:
    """stdout closed: nobody wants to know, exit code 0; full: one sentence, exit code 2."""
    command = [sys.executable, "-m", "limner", "models", "where"]
    closed = subprocess.run(
        [f"{sys.executable} -m limner models where >&-"], shell=True, capture_output=True, text=True
    )
    assert (closed.returncode, "bug" in closed.stderr) == (0, False)
    with open("/dev/full", "w") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 2
    assert "no space" in run.stderr.lower()

"""Importing limner is quick and does nothing: the heavy libraries wait until they are needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["torch", "transformers", "diffusers", "cv2", "supervision", "PIL", "scipy", "pycocotools"]


def run(code: str) -> str:
    """A fresh interpreter, because this one has imported everything already."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "module",
    [
        "limner",
        "limner.errors",
        "limner.prompts",
        "limner.options",
        "limner.prompts.syntax",
        "limner.protocols",
    ],
)
def test_import_leaves_the_heavy_libraries_out(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(run(code))
    assert module in loaded
    assert sorted({*HEAVY} & {*loaded}) == []


def test_import_prints_nothing_and_starts_nothing() -> None:
    code = "import threading, limner; assert threading.active_count() == 1"
    assert run(code) == ""


def test_every_public_name_resolves_and_is_listed_by_dir() -> None:
    """``__all__`` promises; the lazy ``__getattr__`` must keep it."""
    code = """
import json, warnings
warnings.simplefilter("ignore")
import limner
missing = [name for name in limner.__all__ if getattr(limner, name, None) is None]
unlisted = sorted(set(limner.__all__) - set(dir(limner)))
print(json.dumps([len(limner.__all__), missing, unlisted]))
"""
    count, missing, unlisted = json.loads(run(code))
    assert count > 1
    assert (missing, unlisted) == ([], [])


def test_public_names_are_listed_once_and_a_wrong_one_is_an_attribute_error() -> None:
    code = """
import limner
assert len(limner.__all__) == len(set(limner.__all__)), limner.__all__
try:
    limner.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error), error
else:
    raise SystemExit("limner.no_such_name exists")
"""
    run(code)

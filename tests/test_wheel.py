"""What is in the wheel: the minis' weights, unless it is a slim one; never the training code."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from limner.registry import bundled

ROOT = Path(__file__).parents[1]
INSIDE = "limner/registry/minis/"


def build(folder: Path, slim: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    environment = {**os.environ, "LIMNER_SLIM": slim}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_what_ships(tmp_path: Path) -> None:
    """Each file of each folder, byte for byte by its size; 40 MB at most."""
    wheel = build(tmp_path, "0")
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    for path in bundled.root().rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            inside = INSIDE + path.relative_to(bundled.root()).as_posix()
            assert sizes[inside] == path.stat().st_size
    assert "limner/registry/minis.lock.json" in sizes
    assert "limner/py.typed" in sizes
    assert not [name for name in sizes if name.startswith("minis/")], "training code"
    assert wheel.stat().st_size < 40e6


def test_a_slim_wheel_works_and_says_what_it_lacks(tmp_path: Path) -> None:
    wheel = build(tmp_path, "1")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    assert not [name for name in names if name.startswith(INSIDE)]
    assert "limner/registry/minis.lock.json" in names
    assert wheel.stat().st_size < 2e6
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    photo = ROOT / "examples" / "photos" / "coffee.png"
    words = ["segment", str(photo), "--box", "20,20,90,90", "--segmenter", "mini-sam"]
    said = subprocess.run(
        [sys.executable, "-c", "import sys, limner.cli; sys.exit(limner.cli.main())", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2, said.stderr
    assert "mini-sam ship with limner" in said.stderr
    assert "LIMNER_SLIM" in said.stderr
    assert str(tmp_path) in said.stderr, "the wheel's own code answered"


CONSUMER = """from limner import Box, Session, VisualPrompt

run = Session(profile="classical").segment("photo.jpg", [VisualPrompt(box=Box(1, 2, 3, 4))])
reveal_type(run)
Session(profile=7)
"""


@pytest.mark.slow
def test_a_program_is_checked_against_the_installed_packages_types(tmp_path: Path) -> None:
    """py.typed ships and counts: whoever installs limner gets its types, not ``Any``.

    What limner stands on isn't installed here, which a checker takes for ``Any``.
    """
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (packages,) = home.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(build(tmp_path, "1")) as archive:
        archive.extractall(packages)
    (tmp_path / "consumer.py").write_text(CONSUMER)
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n")
    checker = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--python-executable"]
    answer = subprocess.run(
        [*checker, str(home / "bin" / "python"), "consumer.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = answer.stdout.splitlines()
    assert 'consumer.py:4: note: Revealed type is "limner.session.results.Run"' in lines, lines
    assert [line for line in lines if "error" in line and "Found" not in line] == [
        'consumer.py:5: error: Argument "profile" to "Session" has incompatible type "int"; '
        'expected "str"  [arg-type]'
    ]

"""What the project's own files promise each other: pins, versions, Pythons, a release."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from limner import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def pins() -> dict[str, str]:
    """Name, as PyPI normalises it -> pinned version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    rows = [line.split("==") for line in lines if not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in rows}


def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_commits_ruff_is_the_checks_ruff() -> None:
    """Two versions format differently: one would undo what the other did."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["entry"].split()[1] for hook in hooks} == {"format", "check"}
    for hook in hooks:
        assert hook["additional_dependencies"] == [f"ruff=={pins()['ruff']}"], hook["id"]


def test_what_is_installed_to_work_here_is_pinned() -> None:
    """A tool without a pin is another one tomorrow."""
    groups = PROJECT["dependency-groups"]
    for name in ("dev", "hooks", "pythons", "release", "site"):
        for row in groups[name]:
            if isinstance(row, str):
                tool = re.split(r"[<>=\[]", row)[0]
                assert re.sub(r"[-_.]+", "-", tool).lower() in pins(), (name, row)


def test_the_pythons_that_are_promised_are_the_pythons_that_are_tried() -> None:
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    (tried,) = re.findall(r"^PYTHONS \?= (.+)$", MAKEFILE, re.MULTILINE)
    assert tried.split() == promised
    assert PROJECT["project"]["requires-python"] == f">={promised[0]}"


@pytest.mark.parametrize(
    ("tags", "changelog", "dirty", "reasons"),
    [
        ([], "", True, []),
        (["v1.2.0"], "## 1.2.0 (2026-12-01)\n", False, []),
        (["v1.2.1"], "## 1.2.0\n", False, ["tag is v1.2.1, version.py says 1.2.0"]),
        (["v1.2.0"], "## Unreleased\n\n## 1.2.0.post1\n", False, ["no section `## 1.2.0`"]),
        (["v1.2.0"], "## 1.2.0\n", True, ["aren't committed"]),
    ],
)
def test_nothing_is_built_under_a_tag_that_says_otherwise(
    tags: list[str], changelog: str, dirty: bool, reasons: list[str]
) -> None:
    """A wheel can't be taken back from an index: version, tag and changelog agree before."""
    answers = release().disagreements("1.2.0", tags, changelog, dirty)
    assert len(answers) == len(reasons)
    assert all(part in whole for part, whole in zip(reasons, answers, strict=True))


def test_the_release_reads_the_version_that_the_package_has() -> None:
    assert release().version_of(ROOT) == __version__


def test_ci_builds_the_site_and_what_a_release_uploads() -> None:
    commands = (ROOT / ".ci" / "run").read_text()
    assert "timed make site\n" in commands
    assert "timed make dist\n" in commands


def test_what_the_examples_write_is_no_part_of_the_repository() -> None:
    """They write to lessons/ under the current folder, where their reader is in the clone."""
    assert "/lessons/" in (ROOT / ".gitignore").read_text().splitlines()
    assert 'default=Path("lessons") / name' in (ROOT / "examples" / "lesson.py").read_text()


def test_the_changelog_is_by_kind() -> None:
    """Each line of the next version stands once, under what was added, changed or fixed."""
    text = (ROOT / "CHANGELOG.md").read_text()
    unreleased = re.split(r"^## ", text, flags=re.MULTILINE)[1]
    assert unreleased.startswith("Unreleased\n")
    before, *sections = re.split(r"^### ", unreleased, flags=re.MULTILINE)
    assert before.strip() == "Unreleased", "a line stands above the headings: put it under one"
    titles = [section.split("\n", 1)[0] for section in sections]
    assert titles == [title for title in ("Added", "Changed", "Fixed") if title in titles]
    lines = re.findall(r"^- .+(?:\n  .+)*", unreleased, re.MULTILINE)
    assert len(lines) == len(set(lines)), "a merge repeated a line"

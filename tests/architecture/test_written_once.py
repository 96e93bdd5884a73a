"""What many places need is written in one: whoever changes it there changes it everywhere."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from limner.registry import catalog

SOURCE = Path(__file__).parents[2] / "src" / "limner"

HOMES: dict[object, set[str]] = {
    ".limner": {"home.py"},
    100_000_000: {
        "io/limits.py",
        "registry/weight_files.py",  # bytes of a header
        "cli/batch/redacted_folder.py",  # bytes of a list
    },
    "OrderedDict": {
        "models/blocks/lru.py",
        "registry/pool.py",  # under a budget of bytes, not a number of values
    },
}
"""A value or a class -> the files that may write it, with the reason of a second one."""


@cache
def trees() -> dict[str, ast.Module]:
    return {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    }


@pytest.mark.parametrize("value", HOMES, ids=str)
def test_a_value_is_written_in_one_file(value: object) -> None:
    """The limit of pixels stood in ten files, the folder ``.limner`` in seven."""
    written = defaultdict(set)
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and type(node.value) is type(value):
                named = isinstance(value, str) and isinstance(node.value, str)
                hidden = named and ".limner-" in node.value  # names of temporary files
                written[".limner" if hidden else node.value].add(file)
            elif isinstance(node, ast.Name):
                written[node.id].add(file)
    assert written[value] == HOMES[value]


def test_the_tasks_are_listed_in_the_catalog_alone() -> None:
    """Four modules had lists of their own; a new task would have been missing from three."""
    some, known = {"segment", "detect", "inpaint"}, {*catalog.TASKS, *catalog.SLOTS}
    lists = [
        (file, node.lineno)
        for file, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Tuple | ast.List | ast.Set)
        if some <= {getattr(each, "value", None) for each in node.elts} <= known
    ]
    assert {file for file, _ in lists} == {"registry/catalog.py"}

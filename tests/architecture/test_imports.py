"""How the rooms of the package hang together: no circles, and names that say which one is meant."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"limner": ROOT / "src", "minis": ROOT}
Graph = Mapping[str, set[str]]


def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file."""
    top = PACKAGES[package]
    names = {}
    for path in sorted((top / package).rglob("*.py")):
        parts = path.relative_to(top).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported(tree: ast.AST, known: Mapping[str, Path]) -> Iterator[str]:
    """The package's modules that are imported anywhere, in functions and for types alone too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from (name for name in (whole, node.module) if name in known)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)


def graph_of(package: str) -> dict[str, set[str]]:
    known = modules(package)
    graph = {}
    for name, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        graph[name] = {
            other
            for other in imported(tree, known)
            # a package's own rooms: naming one loads the package, which is no circle
            if other != name and not name.startswith(f"{other}.")
        }
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules each of which reaches each other (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return groups


def test_a_circle_is_seen() -> None:
    """The search itself: a circle of three, entered from outside, and none in a tree."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == [["b", "c", "d"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_circle(package: str) -> None:
    """Neither at import, nor inside functions, nor for types alone."""
    graph = graph_of(package)
    assert len(graph) > 30
    assert circles(graph) == []


def test_no_file_name_in_more_than_two_folders() -> None:
    """Names lead to one place: ``__init__`` aside, a name occurs twice at most."""
    places = defaultdict(list)
    for path in (ROOT / "src" / "limner").rglob("*.py"):
        places[path.name].append(path.parent.name)
    assert {n: d for n, d in places.items() if len(d) > 2 and n != "__init__.py"} == {}

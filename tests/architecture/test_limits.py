"""How long a file, a function and a list of parameters may be, and which names say nothing.

Past these sizes there is a second idea to be found. What is larger for a reason is named here with
it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "limner"
FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 7
TEST_LINES = 600
PARTICIPLES = frozenset({"found", "said", "made", "asked", "kept", "told", "settled"})
BINDINGS = 100
"""Fewer than these may be bound to a participle: a value's name is a noun."""

EXCEPTIONS = {
    "training/dreambooth.py teach": "a recipe, read from top to bottom; its parts are functions",
}
"""``file`` or ``file function`` below ``src/limner`` -> why it may be larger."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def trees() -> dict[str, ast.Module]:
    """Path below ``src/limner`` -> what is written there."""
    return {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    }


def functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def is_click_callback(function: Function) -> bool:
    """Whether click calls it, with a parameter for each flag."""
    calls = [node for node in function.decorator_list if isinstance(node, ast.Call)]
    names = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
    return bool(names & {"command", "group", "option", "argument"})


def count_parameters(function: Function) -> int:
    """Without ``self``; ``*args`` and ``**settings`` count as one each."""
    arguments = function.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    own = positional[1:] if positional[:1] in (["self"], ["cls"]) else positional
    rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return len(own) + len(arguments.kwonlyargs) + len(rest)


def bindings(tree: ast.AST) -> Counter[str]:
    """Names that are stored to, whether by ``=``, ``for``, ``with`` or a comprehension."""
    return Counter(
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def too_large() -> dict[str, str]:
    """``file`` or ``file function`` -> what is too large about it."""
    large = {}
    for path, tree in trees().items():
        lines = lines_of(SOURCE / path)
        if lines > FILE_LINES:
            large[path] = f"{lines} lines"
        for function in functions(tree):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > FUNCTION_LINES:
                large[f"{path} {function.name}"] = f"{length} lines"
            parameters = count_parameters(function)
            if parameters > PARAMETERS and not is_click_callback(function):
                large[f"{path} {function.name}"] = f"{parameters} parameters"
    return large


@pytest.mark.parametrize(
    ("source", "parameters", "callback"),
    [
        ("def f(a, /, b, *c, d, **e): ...", 5, False),
        ("def f(self, a, *, b=1): ...", 2, False),
        ("@click.command()\n@click.option('--a')\ndef f(a): ...", 1, True),
        ("@property\ndef f(self): ...", 0, False),
    ],
    ids=["every kind", "self", "click", "a decorator that isn't click's"],
)
def test_parameters_are_counted(source: str, parameters: int, callback: bool) -> None:
    """The count itself: what is counted as one, and what isn't."""
    (function,) = functions(ast.parse(source))
    assert count_parameters(function) == parameters
    assert is_click_callback(function) is callback


def test_bindings_are_counted_where_a_name_is_stored() -> None:
    """The count itself: reading a name, an attribute or a parameter is none."""
    source = "found = 1\nfor found in x: pass\n[found for found in x]\na.found = found\n"
    assert bindings(ast.parse(source))["found"] == 3


def test_no_file_function_or_signature_is_too_large() -> None:
    assert {name: how for name, how in too_large().items() if name not in EXCEPTIONS} == {}


def test_an_exception_that_is_none_any_longer_goes() -> None:
    assert EXCEPTIONS.keys() - too_large().keys() == set()


def test_a_value_is_named_by_a_noun() -> None:
    """``found`` may be boxes, a path or a match: the next reader has to look."""
    counts = {
        path: sum(bindings(tree)[name] for name in PARTICIPLES) for path, tree in trees().items()
    }
    assert len(counts) > 200
    assert sum(counts.values()) < BINDINGS, {path: n for path, n in counts.items() if n}


def test_no_test_file_is_too_long() -> None:
    files = {
        path.relative_to(ROOT).as_posix(): lines_of(path) for path in (ROOT / "tests").rglob("*.py")
    }
    assert len(files) > 100
    assert {path: lines for path, lines in files.items() if lines >= TEST_LINES} == {}

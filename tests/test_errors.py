"""The exception tree: as drawn, as documented, and what the command line returns for each."""

from __future__ import annotations

import inspect
import re

import pytest

from limner import errors
from limner.errors import LimnerError

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, Exception)
}


def drawn() -> dict[str, str | None]:
    """Each name in the docstring's drawing with the name that it hangs from."""
    tree: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:[│ ]   )*(?:[├└]── )?)([A-Z]\w+)  ", line)
        if found is None:
            continue
        depth, name = len(found[1]) // 4, found[2]
        above = [(level, parent) for level, parent in above if level < depth]
        tree[name] = above[-1][1] if above else None
        above.append((depth, name))
    return tree


def test_the_drawn_tree_is_the_tree_of_classes() -> None:
    tree = drawn()
    assert len(tree) == len(CLASSES) > 10
    assert tree == {
        name: None if value is LimnerError else value.__base__.__name__
        for name, value in CLASSES.items()
    }


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_exit_codes_are_as_drawn_for_the_three_branches(name: str) -> None:
    """2 for what the caller or the machine can mend, 1 for a refused result."""
    expected = 1 if issubclass(CLASSES[name], errors.ResultError) else 2
    assert CLASSES[name]("why").exit_code == expected


def test_the_drawing_states_the_exit_code_of_each_branch() -> None:
    stated = dict(re.findall(r"── (\w+).*\(CLI exit code (\d)\)", errors.__doc__ or ""))
    assert stated == {"InputError": "2", "ModelError": "2", "ResultError": "1"}
    assert {name: str(CLASSES[name].exit_code) for name in stated} == stated


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_each_error_is_documented_and_keeps_its_message(name: str) -> None:
    assert inspect.cleandoc(CLASSES[name].__doc__ or "").endswith(".") or name == "LimnerError"
    assert str(CLASSES[name]("Expected a, got b.")) == "Expected a, got b."


def test_none_is_a_python_error_that_a_broad_except_would_swallow() -> None:
    """``except ValueError`` around a parser must not catch what limner raises on purpose."""
    builtin = (ValueError, TypeError, KeyError, OSError, RuntimeError, AssertionError)
    caught = [name for name, value in CLASSES.items() if issubclass(value, builtin)]
    assert not caught

"""What an assertion's value says, from the words of a suite: a number, "2s", "2GB", ">=2", a file's
function."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from limner.evaluation.cells.config_nodes import ConfigNode

SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0}
BYTES = {
    "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30,
}  # fmt: skip

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_COUNT = re.compile(r"(==|>=|<=|>|<)?\s*(\d+)")
_AMOUNT = re.compile(r"(\d+\.?\d*|\.\d+)\s*([A-Za-z]+)")


@dataclass(frozen=True)
class Count:
    """How many: ``2``, ``">=2"``, ``"<3"``."""

    comparison: str
    number: int

    def holds(self, count: int) -> bool:
        return COMPARISONS[self.comparison](count, self.number)

    def __str__(self) -> str:
        return f"{self.comparison} {self.number}"


def part(spot: ConfigNode, what: str) -> float:
    """A measure from 0 to 1."""
    return spot.number(what, 0, 1)


def cosine(spot: ConfigNode, what: str) -> float:
    return spot.number(what, -1, 1)


def amount(spot: ConfigNode, what: str) -> float:
    """Any number from 0."""
    return spot.number(what, 0)


def seconds(spot: ConfigNode, what: str) -> float:
    """``2s``, ``300ms``, ``1.5min``; a bare number counts seconds."""
    return _with_unit(spot, what, SECONDS, "2s or 300ms", bare=1.0)


def size(spot: ConfigNode, what: str) -> float:
    """Bytes of ``2GB``, ``500MB``, ``1GiB``; a bare number would be a guess."""
    return _with_unit(spot, what, BYTES, "2GB or 500MB", bare=None)


def count(spot: ConfigNode, what: str) -> Count:
    match = _COUNT.fullmatch(spot.text(what))
    if not match:
        spot.fail(f'{what} is how many, such as 2, ">=2" or "<3"; got {spot.kind}.')
    return Count(match[1] or "==", int(match[2]))


def phrase(spot: ConfigNode, what: str) -> str:
    return " ".join(spot.text(what).split())


def function(spot: ConfigNode, what: str) -> tuple[Path, str]:
    """``checks.py:is_red``: a file beside the suite and a function in it, which is run later."""
    name, colon, function_name = spot.text(what).rpartition(":")
    if not colon or not name.endswith(".py") or not function_name.isidentifier():
        spot.fail(f"{what} is a file and a function, such as checks.py:is_red; got {spot.kind}.")
    path = spot.path.parent / name
    if not path.is_file():
        spot.fail(f"There is no {path}: the file of {what[0].lower() + what[1:]}.")
    return path, function_name


def _with_unit(
    spot: ConfigNode, what: str, units: dict[str, float], example: str, bare: float | None
) -> float:
    text = spot.text(what)
    match = _AMOUNT.fullmatch(text)
    if match and match[2] in units:
        return float(match[1]) * units[match[2]]
    if bare is None or match or not re.fullmatch(r"\d+\.?\d*|\.\d+", text):
        spot.fail(f"{what} is such as {example} ({', '.join(units)}); got {spot.kind}.")
    return float(text) * bare

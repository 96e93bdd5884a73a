"""A suite's YAML becomes its cells, or one sentence with the line of what is wrong.

Everything that can be known before a model runs is refused here; that a picture is missing is not:
it is its own cell's error, so that the rest of the suite is tested all the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limner.errors import PromptError, SuiteError
from limner.evaluation.cells.cell import Ask, Case, Cell, digest_of_files
from limner.evaluation.cells.config_nodes import ConfigFormat, ConfigNode, read_config
from limner.evaluation.cells.queries import VERB_KEYS, label_of, read_own, read_prompt
from limner.evaluation.cells.settings import (
    check_effective,
    effective,
    read_judges,
    read_models,
    read_settings,
)
from limner.evaluation.suites.load_assertions import Placed, check_applies, read_assertions
from limner.evaluation.suites.suite import Suite
from limner.prompts import Box
from limner.untrusted.yaml_documents import compose_yaml

SUITE_KEYS = ("description", "models", "prompts", "settings", "judges", "defaults", "cases")
DEFAULT_KEYS = ("image", "vars", "mask", "box", "assert", "threshold")
CASE_KEYS = ("description", *DEFAULT_KEYS, *VERB_KEYS)
MOST_CELLS = 100_000

SUITE_FILE = ConfigFormat("suite", "YAML", "models, prompts and cases", SuiteError, compose_yaml)

PROMPTFOO = {
    "providers": "models",
    "targets": "models",
    "tests": "cases",
    "defaultTest": "defaults",
    "scenarios": "cases",
}
"""What promptfoo calls our keys, where the names differ."""


@dataclass(frozen=True)
class _Read:
    """A case with what is needed until its cells are made."""

    case: Case
    spot: ConfigNode
    variables: Mapping[str, Any]
    assertions: tuple[Placed, ...]
    own: Ask | None


def read_suite(path: Path, repeat: int = 1) -> Suite:
    """The suite in a file.

    Args:
        repeat: tries of every cell.

    Raises:
        SuiteError: what can't be meant, with its line.
    """
    root = read_config(path, SUITE_FILE)
    entry = root.mapping("A suite", SUITE_KEYS, PROMPTFOO)
    for needed in ("models", "cases"):
        if needed not in entry:
            root.fail(f"The suite has no {needed}.")
    models = read_models(entry["models"])
    settings = read_settings(entry.get("settings"))
    prompts = entry["prompts"].items("prompts") if "prompts" in entry else []
    _check_columns(prompts)
    defaults = entry["defaults"].mapping("defaults", DEFAULT_KEYS) if "defaults" in entry else {}
    cases = [read for spot in _cases(entry["cases"]) for read in _of_one(spot, defaults)]
    counts = {
        "cases": len(cases),
        "prompts": max(len(prompts), 1),
        "models": len(models),
        "settings": len(settings),
        "repeats": repeat,
    }
    _check_count(root, "The suite has", counts)
    names = _unique([read.case.name for read in cases])
    cells: list[Cell] = []
    known: dict[Path, str] = {}
    for read, name in zip(cases, names, strict=True):
        case = replace(read.case, name=name)
        for ask in _asks(read, prompts):
            for placed in read.assertions:
                check_applies(placed, case, ask)
            content = digest_of_files(files_of(case, ask), known)
            cells += [
                Cell(case, ask, choice, effective(setting, ask), again, content)
                for choice in models
                for setting, _ in settings
                for again in range(repeat)
            ]
    check_effective(settings, {cell.ask for cell in cells})
    description = entry["description"].text("description") if "description" in entry else ""
    return Suite(path, description, tuple(cells), read_judges(entry.get("judges")))


def _cases(spot: ConfigNode) -> list[ConfigNode]:
    if not spot.is_list:
        spot.fail(f"cases is a list, got {spot.kind}.")
    return spot.items("cases")


def _check_count(spot: ConfigNode, what: str, counts: Mapping[str, int]) -> None:
    cells = math.prod(counts.values())
    if cells > MOST_CELLS:
        factors = " × ".join(f"{count:,} {name}" for name, count in counts.items() if count > 1)
        spot.fail(
            f"{what} {cells:,} cells ({factors}) and a suite may have {MOST_CELLS:,}: make several "
            "of it."
        )


def _of_one(spot: ConfigNode, defaults: Mapping[str, ConfigNode]) -> Iterator[_Read]:
    """The cases that one entry is: a variable with a list of values makes one of each, and several
    such variables one of each combination, as promptfoo does."""
    entry = spot.mapping("A case", CASE_KEYS)
    values = _variables(defaults.get("vars")) | _variables(entry.get("vars"))
    _check_count(spot, "This makes", {name: len(each) for name, each in values.items()})
    for combination in itertools.product(*values.values()):
        variables = dict(zip(values, combination, strict=True))
        yield _case(
            spot, entry, defaults, variables, several=any(len(v) > 1 for v in values.values())
        )


def _case(
    spot: ConfigNode,
    entry: Mapping[str, ConfigNode],
    defaults: Mapping[str, ConfigNode],
    variables: Mapping[str, Any],
    *,
    several: bool,
) -> _Read:
    """One case.

    Args:
        several: its entry is other cases, too, which have its description.
    """
    here = {
        key: value.filled_from(variables)
        for key, value in {**defaults, **entry}.items()
        if key not in ("vars", "assert")
    }
    if "image" not in here:
        spot.fail("A case has an image, and this one has none.")
    own = read_own({key: here[key] for key in entry if key in here}, spot)
    placed = tuple(
        assertion
        for listed in (defaults.get("assert"), entry.get("assert"))
        if listed is not None
        for assertion in read_assertions(listed.filled_from(variables))
    )
    image = here["image"].text("image")
    folder = spot.path.parent
    case = Case(
        name=_name(here.get("description"), image, variables, own, several=several),
        image=folder / image,
        mask=folder / here["mask"].text("mask") if "mask" in here else None,
        box=read_box(here["box"]) if "box" in here else None,
        variables=tuple(variables.items()),
        assertions=tuple(each.assertion for each in placed),
        threshold=here["threshold"].number("threshold", 0, 1) if "threshold" in here else None,
    )
    return _Read(case, spot, variables, placed, own)


def _variables(spot: ConfigNode | None) -> dict[str, list[Any]]:
    """The values of each variable: one, or those of a list."""
    if spot is None:
        return {}
    return {
        name: [item.variable(name) for item in value.items(f"The variable {name}")]
        for name, value in spot.mapping("vars", ()).items()
    }


def _name(
    description: ConfigNode | None,
    image: str,
    variables: Mapping[str, Any],
    own: Ask | None,
    *,
    several: bool,
) -> str:
    values = ", ".join(f"{name}={value}" for name, value in variables.items())
    if description is not None:
        text = description.text("description")
        return f"{text} ({values})" if several else text
    parts = [f"{image} ({values})" if values else image, *([own.label] if own else [])]
    return ": ".join(parts)


def read_box(spot: ConfigNode) -> tuple[float, float, float, float]:
    """XYXY as a list of four numbers, or as one text."""
    what = "The true box [left, top, right, bottom]"
    if spot.is_list:
        sides = [item.number(what) for item in spot.items(what)]
    else:
        try:
            sides = [float(part) for part in spot.text(what).split(",")]
        except ValueError:
            sides = []
    if len(sides) != 4:
        spot.fail(f"{what} has four numbers in pixels, got {spot.plain()!r}.")
    try:
        return Box(*sides).xyxy
    except PromptError as error:
        spot.fail(error)


def _asks(read: _Read, prompts: list[ConfigNode]) -> list[Ask]:
    """The case's own ask, or every prompt filled in for it."""
    if read.own:
        return [read.own]
    if not prompts:
        read.spot.fail(
            f"Nothing is asked of this case: the suite has no prompts, and it has no verb of its "
            f"own ({', '.join(VERB_KEYS)})."
        )
    try:
        return [read_prompt(spot.filled_from(read.variables), spot) for spot in prompts]
    except SuiteError as error:
        raise SuiteError(f"{error} (This is for the case in line {read.spot.line}.)") from None


def _check_columns(prompts: list[ConfigNode]) -> None:
    seen: dict[str, int] = {}
    for spot in prompts:
        label = label_of(spot)
        if label in seen:
            spot.fail(f"This prompt stands in line {seen[label]} already: give it another label.")
        seen[label] = spot.line


def _unique(names: list[str]) -> list[str]:
    """The same, with a number where a name stood before."""
    taken: dict[str, int] = {}
    """The number that was given last, by name."""
    unique = []
    for name in names:
        chosen, number = name, taken.get(name, 0)
        while chosen in taken:
            number = max(number, 1) + 1
            chosen = f"{name} ({number})"
        taken[name] = number
        taken.setdefault(chosen, 1)
        unique.append(chosen)
    return unique


def files_of(case: Case, ask: Ask) -> list[Path]:
    """All that a cell reads from disk besides models."""
    asserted = [assertion.reference for assertion in case.assertions]
    asserted += [a.value[0] for a in case.assertions if a.type == "python"]
    shown = [Path(draft.mask) for draft in ask.find if draft.mask]
    shown += [Path(draft.exemplar[0]) for draft in ask.find if draft.exemplar]
    return [path for path in (case.image, case.mask, *asserted, *shown) if path]

"""A recipe's TOML becomes a value that makes cells, or one sentence with the line of what is wrong.

A recipe is a verb as data: pictures, one of detect, segment, edit and remove with its options, and
what is varied. A *point* is one value for each axis; its *cells* are what it is tried on, one a
picture.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from limner.errors import RecipeError
from limner.evaluation.cells.cell import Ask, Case, Cell, ModelChoice, Setting, digest_of_files
from limner.evaluation.cells.config_nodes import ConfigFormat, ConfigNode, read_config
from limner.evaluation.cells.queries import read_verb
from limner.evaluation.cells.settings import (
    OPTIONS,
    effective,
    read_choice,
    read_judges,
    read_value,
)
from limner.evaluation.suites.load import files_of, read_box
from limner.evaluation.sweeps.axes import PROMPTS, TASKS, Axis, Value, read_axes
from limner.evaluation.sweeps.objectives import Measures
from limner.evaluation.sweeps.search_config import GRID, Search, read_search
from limner.evaluation.sweeps.toml_nodes import compose_toml, scalar, table
from limner.options import DetectOptions, InpaintOptions, SegmentOptions
from limner.verbs import SUITE_VERBS, VERBS

STAGES: Mapping[str, tuple[type[Any], ...]] = {
    "detect": (DetectOptions,),
    "segment": (SegmentOptions,),
    "inpaint": (InpaintOptions,),
    **{verb: () for verb in SUITE_VERBS if VERBS[verb].repaints},
}
"""Tables of options; the verb's own takes those of all stages before it, too."""
LAST_FIRST = SUITE_VERBS[::-1]
"""The verb is the first of these that has a table: the others are stages on the way to it."""

PICTURE_KEYS = ("image", "mask", "box")
KEYS = (
    "description", "image", "images", "mask", "box", "profile", "models", "vars", *STAGES,
    "sweep", "search", "judges",
)  # fmt: skip
PROMPTS_OF = {verb: PROMPTS if VERBS[verb].paints else ("find",) for verb in SUITE_VERBS}

RECIPE_FILE = ConfigFormat(
    "recipe", "TOML", "a picture, a verb and what is swept", RecipeError, compose_toml
)

MOST_POINTS = 100_000

Point = tuple[Value, ...]
"""A value for each axis, in the axes' order."""


@dataclass(frozen=True)
class Recipe:
    """A file that says what is swept."""

    path: Path
    description: str
    verb: str
    cases: tuple[Case, ...]
    """One a picture."""
    axes: tuple[Axis, ...]
    search: Search
    judges: Mapping[str, str]
    fixed: Mapping[str, ConfigNode] = field(repr=False)
    """What isn't varied, by the names that axes have."""
    spot: ConfigNode = field(repr=False)
    """The verb's table."""
    _digests: dict[Path, str] = field(default_factory=dict, repr=False, compare=False)

    def cells(self, point: Point) -> tuple[Cell, ...]:
        """What a point is tried on.

        Raises:
            RecipeError: a value that can't be meant, with its line.
        """
        spots = dict(self.fixed)
        for axis, value in zip(self.axes, point, strict=True):
            spots[axis.name] = value.spot
        ask, models = self._ask(spots), self._models(spots)
        names = ", ".join(
            f"{axis.title}={value.label}" for axis, value in zip(self.axes, point, strict=True)
        )
        values = [(name, read_value(name, spots[name])) for name in _settings(spots)]
        setting = effective(Setting(names, tuple(sorted(values, key=lambda pair: pair[0]))), ask)
        return tuple(
            Cell(
                case,
                ask,
                models,
                setting,
                content=digest_of_files(files_of(case, ask), self._digests),
            )
            for case in self.cases
        )

    def points(self) -> Iterator[Point]:
        """All of a grid: the last axis goes fastest."""
        return itertools.product(*(axis.values for axis in self.axes))

    def each_value_once(self) -> Iterator[Point]:
        """Points in which every listed value, and both ends of every span, come."""
        columns = []
        for axis in self.axes:
            ends = (axis.span.low, axis.span.high) if axis.span and not axis.values else ()
            columns.append(axis.values or tuple(map(axis.number, ends)))
        for k in range(max(map(len, columns))):
            yield tuple(column[min(k, len(column) - 1)] for column in columns)

    @property
    def size(self) -> float:
        """How many points there are; infinite where numbers are drawn from a span."""
        sizes = [_numbers_in(axis) if not axis.values else len(axis.values) for axis in self.axes]
        return math.prod(sizes)

    def variables(self, spots: Mapping[str, ConfigNode]) -> dict[str, Any]:
        return {
            name.removeprefix("vars."): spot.plain()
            for name, spot in spots.items()
            if name.startswith("vars.")
        }

    def _ask(self, spots: Mapping[str, ConfigNode]) -> Ask:
        given = {key: spots[key] for key in PROMPTS_OF[self.verb] if key in spots}
        if "find" not in given:
            self.spot.fail(f"[{self.verb}] doesn't say what to find.")
        body = given["find"]
        if VERBS[self.verb].paints:
            body = replace(self.spot, node=_table(given, self.spot))
        return read_verb(self.verb, body.filled_from(self.variables(spots)))

    def _models(self, spots: Mapping[str, ConfigNode]) -> ModelChoice:
        given = {
            name.removeprefix("models."): spot
            for name, spot in spots.items()
            if name == "profile" or name.startswith("models.")
        }
        if not given:
            return ModelChoice("classical")
        return read_choice(replace(self.spot, node=_table(given, self.spot)))


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file; every value of every axis was tried in a cell.

    Raises:
        RecipeError: what can't be meant, with its line.
    """
    root = read_config(path, RECIPE_FILE)
    entry = root.mapping("A recipe", KEYS)
    if "sweep" not in entry:
        root.fail("The recipe has no [sweep]: the settings to vary, with their values.")
    verb = _verb(entry, root)
    axes = read_axes(entry["sweep"])
    search, measures = read_search(entry.get("search"))
    recipe = Recipe(
        path=path,
        description=entry["description"].text("description") if "description" in entry else "",
        verb=verb,
        cases=_cases(entry, root, measures),
        axes=tuple(axes),
        search=search,
        judges=read_judges(entry.get("judges")),
        fixed=_fixed(entry, verb),
        spot=entry[verb],
    )
    _check_swept_once(recipe)
    _check_variables(recipe)
    _check_space(recipe, entry)
    _check_cells(recipe, measures)
    return recipe


def _verb(entry: Mapping[str, ConfigNode], root: ConfigNode) -> str:
    there = [verb for verb in LAST_FIRST if verb in entry]
    if not there:
        root.fail("The recipe has no verb: [detect], [segment], [edit] or [remove].")
    if {"edit", "remove"} <= set(there):
        entry["edit"].fail("A recipe has one verb, and this one has both [edit] and [remove].")
    return there[0]


# --- pictures -------------------------------------------------------------------------------------


def _cases(
    entry: Mapping[str, ConfigNode], root: ConfigNode, measures: Measures
) -> tuple[Case, ...]:
    if ("image" in entry) == ("images" in entry):
        root.fail('The recipe has one of image = "a.png" and images = ["a.png", "b.png"].')
    if "image" in entry:
        given = [{key: entry[key] for key in PICTURE_KEYS if key in entry}]
    else:
        for key in ("mask", "box"):
            if key in entry:
                entry[key].fail(
                    f"{key} is of one picture: write images = [{{image = …, {key} = …}}]."
                )
        given = [
            picture.mapping("A picture", PICTURE_KEYS) if picture.is_mapping else {"image": picture}
            for picture in entry["images"].items("images")
        ]
    cases: list[Case] = []
    for picture in given:
        if "image" not in picture:
            next(iter(picture.values())).fail("This picture has no image.")
        case = _case(picture, measures)
        if any(case.name == other.name for other in cases):
            picture["image"].fail(f"{case.name} is among the images already.")
        cases.append(case)
    return tuple(cases)


def _case(given: Mapping[str, ConfigNode], measures: Measures) -> Case:
    return Case(
        name=given["image"].text("image"),
        image=_file(given["image"], "image"),
        mask=_file(given["mask"], "mask") if "mask" in given else None,
        box=read_box(given["box"]) if "box" in given else None,
        assertions=measures.assertions,
    )


def _file(spot: ConfigNode, what: str) -> Path:
    path = spot.path.parent / Path(spot.text(what)).expanduser()
    if not path.is_file():
        spot.fail(f"There is no picture {path}; files are looked for beside the recipe.")
    short = Path(os.path.normpath(path))  # without "..", unless a link makes that another file
    return short if short.is_file() and short.samefile(path) else path


# --- what isn't varied ----------------------------------------------------------------------------


def _fixed(entry: Mapping[str, ConfigNode], verb: str) -> dict[str, ConfigNode]:
    """Prompts, settings, models and variables, by the names that axes have."""
    fixed: dict[str, ConfigNode] = {}
    for stage, classes in STAGES.items():
        if stage not in entry:
            continue
        own = [name for name, cls in OPTIONS.items() if stage == verb or cls in classes]
        prompts = PROMPTS_OF[verb] if stage == verb else ()
        if stage != verb:
            for key in PROMPTS:
                if key in (named := entry[stage].mapping(f"[{stage}]", ())):
                    named[key].fail(f"{key} belongs to the verb, which is [{verb}] here.")
        picks = ("select",) if stage in (verb, "detect", "segment") else ()
        for name, spot in entry[stage].mapping(f"[{stage}]", (*prompts, *own, *picks)).items():
            if name in fixed:
                spot.fail(f"{name} was said already in line {fixed[name].line}.")
            fixed[name] = spot
    if "profile" in entry:
        fixed["profile"] = entry["profile"]
    for key, known in (("models", TASKS), ("vars", ())):
        if key in entry:
            for name, spot in entry[key].mapping(f"[{key}]", known).items():
                fixed[f"{key}.{name}"] = spot
    return fixed


def _settings(names: Iterable[str]) -> list[str]:
    return [name for name in names if name in OPTIONS or name == "select"]


# --- what is refused ------------------------------------------------------------------------------


def _check_swept_once(recipe: Recipe) -> None:
    for axis in recipe.axes:
        if axis.name in recipe.fixed:
            recipe.fixed[axis.name].fail(
                f"{axis.name} is swept in line {axis.spot.line}, so this has no effect: take "
                "one of them away."
            )
        if axis.name in PROMPTS and axis.name not in PROMPTS_OF[recipe.verb]:
            axis.spot.fail(f"{axis.name} has no effect on {recipe.verb}, which paints no words.")


def _check_variables(recipe: Recipe) -> None:
    """Refuse a variable that no prompt asks for."""
    spots = {axis.name: axis.spot for axis in recipe.axes} | dict(recipe.fixed)
    prompts = " ".join(str(spots[name].plain()) for name in PROMPTS if name in spots)
    placeholders = " ".join(re.findall(r"{[{%].*?[}%]}", prompts))
    for name, spot in spots.items():
        variable = name.removeprefix("vars.")
        if name.startswith("vars.") and not re.search(rf"\b{re.escape(variable)}\b", placeholders):
            spot.fail(f"No prompt asks for {variable}: write {{{{{variable}}}}} in one.")


def _check_space(recipe: Recipe, entry: Mapping[str, ConfigNode]) -> None:
    for axis in recipe.axes:
        if recipe.search.method == GRID and not axis.values:
            axis.spot.fail(
                f"A grid needs the values of {axis.name}: give its range a count or a step."
            )
    if recipe.search.method == GRID and recipe.size > MOST_POINTS:
        entry["sweep"].fail(
            f"This grid has {recipe.size:.0f} points and at most {MOST_POINTS} are tried: "
            'draw some of them, with method = "random" in [search].'
        )
    trials = recipe.search.trials or 0
    if recipe.search.method == "random" and trials > recipe.size:
        entry["search"].fail(
            f"There are only {recipe.size:.0f} points to draw, and {trials} trials are asked for."
        )


def _check_cells(recipe: Recipe, measures: Measures) -> None:
    """Make a cell of every value, so that what can't be meant is refused before a model runs."""
    matters: set[str] = set()
    for point in recipe.each_value_once():
        for cell in recipe.cells(point):
            measures.check(cell.case, cell.ask)
            matters |= {name for name, _ in cell.setting.values}
    spots = {axis.name: axis.spot for axis in recipe.axes} | dict(recipe.fixed)
    for name in _settings(spots):
        if name not in matters:
            spots[name].fail(f"{name} has no effect on what is asked here: {recipe.verb}.")


def _numbers_in(axis: Axis) -> float:
    if axis.span is None or not axis.span.whole:
        return math.inf
    return axis.span.high - axis.span.low + 1


def _table(given: Mapping[str, ConfigNode], place: ConfigNode) -> yaml.MappingNode:
    """Values that stand in different places as one table."""
    return table(
        [(scalar(key, spot.node.start_mark), spot.node) for key, spot in given.items()],
        place.node.start_mark,
    )

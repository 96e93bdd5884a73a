"""What is varied: ``[sweep]`` as axes, each with its values or a span to draw numbers from."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from limner.errors import OptionError
from limner.evaluation.cells.config_nodes import ConfigNode
from limner.evaluation.cells.queries import label_of_find
from limner.evaluation.cells.settings import OPTIONS
from limner.evaluation.cells.templates import near
from limner.evaluation.sweeps.ranges import Span
from limner.evaluation.sweeps.toml_nodes import scalar
from limner.options import field_type
from limner.registry.catalog import ANSWERING

PROMPTS = ("find", "paint", "negative_prompt")
RANGE_KEYS = ("from", "to", "count", "step", "log")
TASKS = ANSWERING
"""Judges stay the same over a sweep."""


@dataclass(frozen=True)
class Value:
    """One value of an axis."""

    label: str
    plain: Any
    """As JSON: a number, a text, a list or mapping of such."""
    spot: ConfigNode = field(compare=False, repr=False)
    """The same as it is read, with the line that errors name."""


@dataclass(frozen=True)
class Axis:
    """A setting, prompt, model or variable that is varied."""

    name: str
    """``guidance_scale``, ``paint``, ``models.inpaint``, ``vars.colour``."""
    spot: ConfigNode = field(compare=False, repr=False)
    values: tuple[Value, ...] = ()
    span: Span | None = None
    """Where numbers are drawn from; None where values are listed."""

    @property
    def title(self) -> str:
        """The name for people."""
        return self.name.removeprefix("vars.").removeprefix("models.")

    @property
    def is_ordered(self) -> bool:
        """Whether values are numbers, of which one is nearer than another."""
        return self.span is not None or all(
            isinstance(value.plain, int | float) and not isinstance(value.plain, bool)
            for value in self.values
        )

    def number(self, drawn: float) -> Value:
        """A number of the span as a value."""
        plain = int(drawn) if self.span and self.span.whole else drawn
        node = scalar(plain, self.spot.node.start_mark)
        return Value(
            f"{plain:.6g}" if isinstance(plain, float) else str(plain),
            plain,
            replace(self.spot, node=node),
        )


def read_axes(spot: ConfigNode) -> list[Axis]:
    """The axes in the order in which they stand.

    Raises:
        RecipeError: an axis that nothing has, or without values.
    """
    spots: dict[str, ConfigNode] = {}
    for key, value in spot.mapping("[sweep]", ()).items():
        if key in ("models", "vars") and value.is_mapping:
            for inner, each in value.mapping(f"sweep.{key}", ()).items():
                spots[f"{key}.{inner}"] = each
        else:
            spots[key] = value
    if not spots:
        spot.fail("[sweep] is empty: give it a setting with its values.")
    return [_axis(name, value) for name, value in spots.items()]


def _axis(name: str, spot: ConfigNode) -> Axis:
    if name.startswith("vars."):
        return _ranged(name, spot) if spot.is_mapping else Axis(name, spot, _listed(name, spot))
    known = [*OPTIONS, "select", *PROMPTS, "profile", *(f"models.{task}" for task in TASKS)]
    if name not in known:
        spot.fail(
            f"Nothing is called {name!r} that could be swept.{near(name, known)} It is a setting, "
            f"find, paint, negative_prompt, select, profile, models.<task>, or vars.<name> for a "
            f"{{{{name}}}} in a prompt."
        )
    if spot.is_mapping and name != "phrase_thresholds":
        if name not in OPTIONS or _kind(name) not in (int, float):
            spot.fail(f"{name} takes no numbers, so it has no range: list its values.")
        return _ranged(name, spot)
    return Axis(name, spot, _listed(name, spot))


def _listed(name: str, spot: ConfigNode) -> tuple[Value, ...]:
    values: list[Value] = []
    for item in spot.items(name):
        value = Value(label_of(name, item.plain()), item.plain(), item)
        if any(value.label == other.label for other in values):
            item.fail(f"{name} has the value {value.label} twice.")
        values.append(value)
    return tuple(values)


def label_of(name: str, plain: Any) -> str:
    """A value in a few words; a model's folder by its name."""
    if name.startswith("models."):
        return Path(str(plain)).name
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, float):
        return f"{plain:.12g}"
    return label_of_find(plain)


def _kind(name: str) -> type:
    return field_type(typing.get_type_hints(OPTIONS[name])[name])[0]


def _ranged(name: str, spot: ConfigNode) -> Axis:
    entry = spot.mapping("A range", RANGE_KEYS)
    for end in ("from", "to"):
        if end not in entry:
            spot.fail(f"A range has from and to, and {end} is missing.")
    if "count" in entry and "step" in entry:
        entry["step"].fail("A range has a count or a step, not both.")
    ends = [entry[end].plain() for end in ("from", "to")]
    whole = all(isinstance(end, int) for end in ends)
    if not name.startswith("vars."):
        whole = _kind(name) is int
    low, high = (_end(name, entry[end], whole) for end in ("from", "to"))
    try:
        span = Span(low, high, _flag(entry), whole)
        if "count" in entry:
            numbers = span.by_count(entry["count"].whole_number("count"))
        elif "step" in entry:
            numbers = span.by_step(entry["step"].number("step"))
        else:
            return Axis(name, spot, span=span)
    except OptionError as error:
        spot.fail(error)
    axis = Axis(name, spot, span=span)
    return Axis(name, spot, tuple(map(axis.number, numbers)))


def _end(name: str, spot: ConfigNode, whole: bool) -> float:
    value = spot.number(f"An end of the range of {name}")
    if whole and value != int(value):
        spot.fail(f"{name} is a whole number, so its range ends at one; got {value:g}.")
    return int(value) if whole else value


def _flag(entry: Mapping[str, ConfigNode]) -> bool:
    if "log" not in entry:
        return False
    value = entry["log"].plain()
    if not isinstance(value, bool):
        entry["log"].fail(f"log is true or false, got {entry['log'].kind}.")
    return value

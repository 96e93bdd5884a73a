"""Assertions as a suite says them: ``{type: iou, value: 0.8, weight: 2}``.

Checked against the table of types, and against what they are said of.
"""

from __future__ import annotations

from dataclasses import dataclass

from limner.evaluation.cells.assertions import TYPES, Type, lacking
from limner.evaluation.cells.cell import Ask, Assertion, Case
from limner.evaluation.cells.config_nodes import ConfigNode
from limner.evaluation.cells.templates import near

KEYS = ("type", "value", "threshold", "weight", "text", "reference")


@dataclass(frozen=True)
class Placed:
    """An assertion, and where it stands."""

    assertion: Assertion
    spot: ConfigNode


def read_assertions(spot: ConfigNode) -> list[Placed]:
    return [Placed(_assertion(item), item) for item in spot.items("assert")]


def _assertion(spot: ConfigNode) -> Assertion:
    """A mapping, or a type alone where it needs no value."""
    entry = {"type": spot}
    if spot.is_mapping:
        entry = spot.mapping("An assertion", KEYS)
    if "type" not in entry:
        spot.fail(f"An assertion has a type, one of {', '.join(TYPES)}.")
    type_name = entry["type"].text("type")
    name = type_name.removeprefix("not-")
    if name not in TYPES:
        every = [*TYPES, *(f"not-{known}" for known in TYPES)]
        entry["type"].fail(
            f"There is no assertion {type_name!r}.{near(type_name, every)} There are "
            f"{', '.join(TYPES)}, each with not- before it."
        )
    kind = TYPES[name]
    _check_keys(entry, name, kind)
    value, words = kind.default, ""
    bar = entry.get("value") or (entry.get("threshold") if "threshold" not in kind.takes else None)
    if bar is not None:
        value, words = kind.reads(bar, f"The value of {type_name}"), bar.text("The value")
    elif kind.required:
        spot.fail(f"{type_name} needs a value.")
    own_threshold = "threshold" in entry and "threshold" in kind.takes
    return Assertion(
        type=name,
        negated=type_name != name,
        value=value,
        threshold=entry["threshold"].number("threshold", 0, 1) if own_threshold else None,
        weight=entry["weight"].number("weight", 0) if "weight" in entry else 1.0,
        text=entry["text"].text("text") if "text" in entry else None,
        reference=spot.path.parent / entry["reference"].text("reference")
        if "reference" in entry
        else None,
        said=words,
    )


def _check_keys(entry: dict[str, ConfigNode], name: str, kind: Type) -> None:
    if "value" in entry and "threshold" in entry and "threshold" not in kind.takes:
        entry["threshold"].fail(f"{name} takes a value or a threshold: they mean the same.")
    for key in ("text", "reference"):
        if key in entry and key not in kind.takes:
            takers = ", ".join(
                known for known, known_type in TYPES.items() if key in known_type.takes
            )
            entry[key].fail(f"{key} has no effect on {name}: it is for {takers}.")


def check_applies(placed: Placed, case: Case, ask: Ask) -> None:
    """Refuse what can never be measured: an outline's agreement without the true one."""
    name, of_case = placed.assertion.name, f"and the case {case.name!r} has none"
    sentences = {
        "mask": f"{name} needs the true mask, {of_case}: mask: truth.png.",
        "box": f"{name} needs the true box or mask, {of_case}.",
        "outline": f"{name} needs an outline, and detect gives boxes: box_iou.",
        "edit": f"{name} is about edits, and {case.name!r} is asked to {ask.verb}.",
        "reference": f"{name} needs a reference: the picture to be like.",
        "words": f"{name} needs a text: {ask.label} has no words to compare with.",
    }
    if need := lacking(placed.assertion, case, ask):
        placed.spot.fail(sentences[need])

"""The axes besides prompts and cases: which models, which settings; and who judges."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from limner.errors import LimnerError, OptionError
from limner.evaluation.cells.cell import Ask, ModelChoice, Setting
from limner.evaluation.cells.config_nodes import ConfigNode
from limner.evaluation.cells.outcome import JUDGES
from limner.evaluation.cells.templates import near
from limner.ops.selection import parse_selection
from limner.options import DetectOptions, EditOptions, InpaintOptions, SegmentOptions
from limner.registry import catalog
from limner.registry.resolve import resolve
from limner.registry.weights import between, is_path, members_of

BASE = "classical"
"""The profile that answers the tasks of which a choice of models says nothing."""

Choice = TypeVar("Choice", ModelChoice, Setting)

OPTIONS: dict[str, type[Any]] = {
    field.name: cls
    for cls in (DetectOptions, SegmentOptions, InpaintOptions, EditOptions)
    for field in dataclasses.fields(cls)
}
"""Every setting, with the options that it belongs to."""


# --- models ---------------------------------------------------------------------------------------


def read_models(spot: ConfigNode) -> list[ModelChoice]:
    return _all_different([(read_choice(item), item) for item in spot.items("models")], "models")


def read_choice(spot: ConfigNode) -> ModelChoice:
    """A name, whose task the catalog knows, or ``a+b`` for detectors that are to agree; or
    ``{profile: mini, segment: grabcut, label: …}``."""
    if not spot.is_mapping:
        name = spot.text("A model")
        if len(_members(spot, "detect", name)) > 1:
            name = _model_of(spot, "detect")
            return ModelChoice(name, BASE, (("detect", name),))
        if is_path(name):
            spot.fail(f"The folder {name} doesn't say what it is for: write {{segment: {name}}}.")
        entry = _entry(spot, name)
        return ModelChoice(name, BASE, ((entry.task, name),))
    keys = spot.mapping("A choice of models", ("profile", *catalog.TASKS, "label"))
    profile = keys["profile"].text("profile") if "profile" in keys else BASE
    if profile not in catalog.profiles():
        keys["profile"].fail(
            f"There is no profile {profile!r}.{near(profile, catalog.profiles())} "
            f"There are {', '.join(catalog.profiles())}."
        )
    chosen = tuple((task, _model_of(keys[task], task)) for task in catalog.TASKS if task in keys)
    if not chosen and "profile" not in keys:
        spot.fail(f"A choice of models has a profile or one of {', '.join(catalog.TASKS)}.")
    parts = [profile] if "profile" in keys else []
    named = (between(*each).join(Path(one).name for one in members_of(*each)) for each in chosen)
    label = " + ".join([*parts, *named])
    if "label" in keys:
        label = keys["label"].text("label")
    return ModelChoice(label, profile, chosen)


def _model_of(spot: ConfigNode, task: str) -> str:
    """The model's name or whole path; of a consensus ``a+b`` to detect, those of its members."""
    name = spot.text(f"The model to {task}")
    members = _members(spot, task, name)
    if not all(members) or len(set(members)) < len(members):
        spot.fail(f"Detectors that are to agree are named once each, with + between them: {name}.")
    return "+".join(_member_of(spot, member, task) for member in members)


def _members(spot: ConfigNode, task: str, name: str) -> tuple[str, ...]:
    """As ``members_of``; a folder with a + in its name lies beside the suite."""
    if is_path(name) and (spot.path.parent / Path(name).expanduser()).is_dir():
        return (name,)
    return members_of(task, name)


def _member_of(spot: ConfigNode, name: str, task: str) -> str:
    if is_path(name):  # beside the suite, like its pictures
        return str((spot.path.parent / Path(name).expanduser()).resolve())
    entry = _entry(spot, name)
    if task not in entry.tasks:
        spot.fail(
            f"{name} is a model to {entry.purpose}, and one to {task} is needed: "
            f"{', '.join(catalog.names(task))}."
        )
    return name


def _entry(spot: ConfigNode, name: str) -> catalog.ModelEntry:
    try:
        return resolve(name)[0]
    except LimnerError as error:
        spot.fail(error)


def read_judges(spot: ConfigNode | None) -> dict[str, str]:
    """Who scores, by key of ``JUDGES``."""
    chosen = {key: name for key, (_, name) in JUDGES.items()}
    if spot is not None:
        for key, value in spot.mapping("judges", tuple(JUDGES)).items():
            chosen[key] = _model_of(value, JUDGES[key][0])
    return chosen


# --- settings -------------------------------------------------------------------------------------


def read_settings(spot: ConfigNode | None) -> list[tuple[Setting, ConfigNode | None]]:
    """Each with its place; one without fields where the suite has none."""
    if spot is None:
        return [(Setting(), None)]
    read = [(_setting(item), item) for item in spot.items("settings")]
    _all_different(read, "settings")
    return [(setting, item) for setting, item in read]


def _setting(spot: ConfigNode) -> Setting:
    entry = spot.mapping("A setting", (*OPTIONS, "select", "label"))
    values = []
    for name, value in entry.items():
        if name != "label":
            values.append((name, read_value(name, value)))
    label = ", ".join(f"{name}={entry[name].plain()}" for name, _ in values) or "defaults"
    if "label" in entry:
        label = entry["label"].text("label")
    return Setting(label, tuple(values))


def read_value(name: str, spot: ConfigNode) -> Any:
    """A field's value, in range."""
    value = spot.plain()
    try:
        if name == "select":
            texts = tuple(item.text("select") for item in spot.items("select"))
            for text in texts:
                parse_selection(text)
            return texts
        if name == "phrase_thresholds":
            value = tuple(value.items()) if isinstance(value, dict) else value
        return getattr(OPTIONS[name](**{name: value}), name)
    except LimnerError as error:
        spot.fail(error)


def effective(setting: Setting, ask: Ask) -> Setting:
    """The fields that can matter to an ask; the label stays."""
    obeyed: set[type[Any]] = {DetectOptions} if ask.detects else set()
    if ask.outlines:
        obeyed.add(SegmentOptions)
    if ask.repaints:
        obeyed |= {InpaintOptions, EditOptions}
    values = tuple(
        (name, value)
        for name, value in setting.values
        if name == "select" or OPTIONS[name] in obeyed
    )
    return Setting(setting.label, values)


def check_effective(
    settings: Iterable[tuple[Setting, ConfigNode | None]], asks: Iterable[Ask]
) -> None:
    """Refuse a setting that matters to nothing that is asked."""
    asks = tuple(asks)
    for setting, spot in settings:
        matters = {name for ask in asks for name, _ in effective(setting, ask).values}
        idle = [name for name, _ in setting.values if name not in matters]
        if idle and spot is not None:
            have = "has" if len(idle) == 1 else "have"
            verbs = ", ".join(dict.fromkeys(ask.verb for ask in asks)) or "nothing"
            spot.fail(f"{', '.join(idle)} {have} no effect on what is asked here: {verbs}.")


def options_of(setting: Setting) -> dict[type[Any], Any]:
    """Options by class, for whoever runs the verb; ``select`` apart.

    Raises:
        OptionError: fields that don't go together.
    """
    values: dict[type[Any], dict[str, Any]] = {
        cls: {} for cls in (DetectOptions, SegmentOptions, InpaintOptions, EditOptions)
    }
    for name, value in setting.values:
        if name != "select":
            if name not in OPTIONS:
                raise OptionError(f"There is no setting {name}.")
            values[OPTIONS[name]][name] = value
    return {cls: cls(**given) for cls, given in values.items()}


def _all_different(read: list[tuple[Choice, ConfigNode]], what: str) -> list[Choice]:
    seen: dict[str, int] = {}
    for choice, spot in read:
        if choice.label in seen:
            spot.fail(
                f"{choice.label or 'This'} stands in {what} already, in line "
                f"{seen[choice.label]}: give one of them another label."
            )
        seen[choice.label] = spot.line
    return [choice for choice, _ in read]

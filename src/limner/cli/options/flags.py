"""Click options made from the option dataclasses, and values made back from what was typed.

A setting that can have no effect is refused here, before anything is opened.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.configuration import default_profile
from limner.cli.help_groups import REST, SETTINGS, Setting
from limner.errors import OptionError
from limner.options import DetectOptions, SegmentOptions, field_type

if TYPE_CHECKING:
    from limner.prompts.syntax import Draft

Command = TypeVar("Command", bound=Callable[..., Any])
OptionsT = TypeVar("OptionsT")


def profile_option(command: Command) -> Command:
    """Adds which models answer where none is named."""
    return click.option(
        "--profile",
        default=default_profile,
        show_default="classical",
        help="Which models by default: classical has no weights; mini ships with limner and "
        "knows drawn things; small, base, large.",
    )(command)


def runtime_options(command: Command) -> Command:
    """Adds which models are refused, and where and in what they compute."""
    for option in (
        click.option("--dtype", help="float32, bfloat16 or float16 (default: the fastest here)."),
        click.option("--device", help="cpu, cuda, cuda:1, mps (default: the fastest here)."),
        click.option(
            "--commercial-safe",
            is_flag=True,
            help="Refuse models whose licence bars commercial use.",
        ),
    ):
        command = option(command)
    return command


def jobs_option(command: Command) -> Command:
    """Adds how many processes share the work."""
    return click.option(
        "--jobs",
        "-j",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Worker processes, each with its own models in memory.",
    )(command)


def flag_name(field_name: str) -> str:
    return "--" + field_name.replace("_", "-")


def flags(
    cls: type[Any],
    *,
    leave_out: frozenset[str] = frozenset(),
    defaults: Mapping[str, object] | None = None,
) -> Callable[[Command], Command]:
    """A decorator that adds a flag for every field of an options dataclass.

    Types are read from the fields; ranges are checked by the dataclass, so that Python and the
    command line say the same sentence. A flag that wasn't typed stays the field's default.

    Args:
        defaults: what the verb takes where a field says None, for its help.
    """

    def decorate(command: Command) -> Command:
        hints = typing.get_type_hints(cls)
        for spec in reversed(dataclasses.fields(cls)):
            if spec.name in leave_out:
                continue
            kind, _ = field_type(hints[spec.name])
            names = flag_name(spec.name)
            if kind is bool:
                names += f"/--no-{names[2:]}"
            several: dict[str, Any] = {"multiple": True} if kind is tuple else {}
            choices = spec.metadata["choices"]
            command = click.option(
                names,
                spec.name,
                type=click.Choice(choices) if choices else str if several else kind,
                default=None,
                **several,
                cls=Setting,
                heading=SETTINGS.get(cls.__name__, REST),
                help=_help(spec, (defaults or {}).get(spec.name)),
            )(command)
        return command

    return decorate


def _help(spec: dataclasses.Field[Any], default: object = None) -> str:
    low, high = spec.metadata["low"], spec.metadata["high"]
    text = str(spec.metadata["help"])
    notes = []
    if default is not None:
        text = re.sub(r" \(default: [^)]*\)", "", text)
        notes.append(f"default {default}")
    elif spec.default not in (None, False, ()):
        notes.append(f"default {spec.default}")
    if low is not None and high is not None and high < 1e6:
        notes.append(f"{low:g}–{high:g}")
    return f"{text} [{', '.join(notes)}]" if notes else text


def typed(cls: type[OptionsT], values: Mapping[str, Any]) -> OptionsT:
    """An options value from a command's parameters; those not typed keep their defaults.

    Raises:
        OptionError: out of range.
    """
    names = {spec.name for spec in dataclasses.fields(cls)}  # type: ignore[arg-type]  # always a dataclass
    return cls(**{k: v for k, v in values.items() if k in names and v is not None})


def threshold_for(text: str) -> tuple[str, float]:
    """``dog=0.3`` as a pair.

    Raises:
        OptionError: not of that form.
    """
    phrase, _, score = text.rpartition("=")
    try:
        return " ".join(phrase.split()), float(score)
    except ValueError:
        raise OptionError(f"--threshold-for takes PHRASE=SCORE; got {text!r}.") from None


def check_detecting(
    given: Mapping[str, Any],
    objects: Sequence[Draft],
    verify: Sequence[str] = (),
    *,
    captioned: bool = False,
) -> None:
    """Refuse settings of a detector where none will be asked, or not for that phrase.

    Args:
        verify: phrases that are looked for afterwards.
        captioned: phrases of a caption, which isn't known yet, are looked for too.

    Raises:
        OptionError: a setting that would have no effect.
    """
    names = [spec.name for spec in dataclasses.fields(DetectOptions)]
    idle = [
        flag_name(name)
        for name in ("detector", "threshold_for", *names)
        if given.get(name) not in (None, (), "")
    ]
    phrases = [draft.text.phrase for draft in objects if draft.text]
    phrases += [" ".join(phrase.split()) for phrase in verify]
    if not captioned and not phrases and not any(draft.says_what for draft in objects):
        if idle:
            have = "have" if len(idle) > 1 else "has"
            raise OptionError(
                f"{' and '.join(idle)} {have} no effect without --text, --exemplar or --like."
            )
        return
    for phrase, _ in map(threshold_for, given.get("threshold_for") or ()):
        if phrase not in phrases:
            named = ", ".join(map(repr, phrases)) or "no phrase"
            raise OptionError(
                f"--threshold-for {phrase!r} has no effect: what was asked for is {named}."
            )


def check_unprompted(given: Mapping[str, Any]) -> None:
    """Refuse settings of finding by prompts where there is none.

    Raises:
        OptionError: a setting that would have no effect.
    """
    fields = (*dataclasses.fields(DetectOptions), *dataclasses.fields(SegmentOptions))
    names = ("detector", "segmenter", "threshold_for", "select", *(spec.name for spec in fields))
    idle = [flag_name(name) for name in names if given.get(name) not in (None, (), "")]
    if idle:
        have = "have" if len(idle) > 1 else "has"
        raise OptionError(
            f"{' and '.join(idle)} {have} no effect without a prompt, where the main thing is "
            "taken: give --box, --point, --mask, --text or --exemplar."
        )

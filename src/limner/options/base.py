"""What all options share: fields that are checked when made, and flags made from fields."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, TypeVar

from limner.errors import OptionError

OptionsT = TypeVar("OptionsT")


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with its inclusive range and the sentence shown in ``--help``."""
    return field(
        default=default, metadata={"help": help, "low": low, "high": high, "choices": choices}
    )


class Checked:
    """Checks each field's type and range when an options value is made.

    What inherits it is a dataclass, which mypy can't know here: hence the ignored ``arg-type``.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for spec in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, spec.name)
            object.__setattr__(self, spec.name, _checked(spec, hints[spec.name], value))


def field_type(hint: Any) -> tuple[type, bool]:
    """``(type, may be None)`` of a field annotated ``T`` or ``T | None``."""
    if typing.get_origin(hint) is tuple:
        return tuple, False
    if isinstance(hint, types.UnionType):
        (kind,) = (t for t in typing.get_args(hint) if t is not type(None))
        return kind, True
    return hint, False


def _checked(spec: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    kind, optional = field_type(hint)
    if value is None and optional:
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:  # JSON's numbers have no end
        raise OptionError(f"{spec.name} is too large a number.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    right_type = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not right_type:
        raise OptionError(f"{spec.name} is a {kind.__name__}, got {value!r}.")
    low, high = spec.metadata["low"], spec.metadata["high"]
    if kind in (int, float) and not (
        math.isfinite(value) and (low is None or value >= low) and (high is None or value <= high)
    ):
        if low is None:
            bounds = "a finite number"
        else:
            ends = [
                f"{end}" if isinstance(end, int) else f"{end:g}"
                for end in (low, high)
                if end is not None
            ]
            bounds = f"at least {ends[0]}" if high is None else f"between {' and '.join(ends)}"
        raise OptionError(f"{spec.name} must be {bounds}, got {value}.")
    choices = spec.metadata["choices"]
    if choices and value not in choices:
        raise OptionError(f"{spec.name} is one of {', '.join(choices)}; got {value!r}.")
    return value


def from_dict(cls: type[OptionsT], data: Mapping[str, Any]) -> OptionsT:
    """Options from parsed JSON or TOML; an unknown key is an ``OptionError``."""
    known = [spec.name for spec in dataclasses.fields(cls)]  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise OptionError(f"{cls.__name__} has {', '.join(known)}; got {', '.join(unknown)}.")
    return cls(**data)


def to_dict(options: Any) -> dict[str, Any]:
    """All fields, as JSON values."""
    return dataclasses.asdict(options)


def changed(options: Any) -> dict[str, Any]:
    """The fields whose value is not the default."""
    return {
        spec.name: getattr(options, spec.name)
        for spec in dataclasses.fields(options)
        if getattr(options, spec.name) != spec.default
    }


def check_idle(names: Sequence[str], where: str) -> None:
    """Refuse settings that were made where they have no effect.

    Args:
        where: the end of the sentence: "without look tiles".

    Raises:
        OptionError: there are any.
    """
    if names:
        have = "have" if len(names) > 1 else "has"
        raise OptionError(f"{' and '.join(names)} {have} no effect {where}.")


def check_honoured(options: Any, honoured: frozenset[str], model: str, reason: str) -> None:
    """Refuse a setting that would have no effect.

    Args:
        honoured: names of the fields this model obeys.
        reason: why the others can't matter, as the end of a sentence.

    Raises:
        OptionError: a changed field is not among ``honoured``.
    """
    idle = sorted(set(changed(options)) - honoured)
    if idle:
        have = "has" if len(idle) == 1 else "have"
        raise OptionError(
            f"{', '.join(idle)} {have} no effect on {model}: {reason}. "
            f"It obeys {', '.join(sorted(honoured)) or 'no settings'}."
        )

"""A file of settings whose every value knows its line, so that what is wrong can be pointed at.

A format gives PyYAML's nodes, which have marks (YAML by its own ``compose``, TOML by
``sweeps.toml_nodes``); ``ConfigNode`` reads them as what is expected, or fails with the file, the
line, what was expected, what came, and the nearest known word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import yaml

from limner.errors import FileError, FileMissing, InputError, LimnerError, SuiteError
from limner.evaluation.cells.templates import TemplateFault, fill, is_template, near
from limner.untrusted.json_toml import MOST_TEXT_BYTES
from limner.untrusted.regular_files import read_text, shown

MERGE = "tag:yaml.org,2002:merge"
NUMBER = re.compile(
    r"[-+]?(?:0|[1-9][0-9]*|(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|\.inf|\.Inf|\.INF)"
    r"|0x[0-9a-fA-F]+|\.nan|\.NaN|\.NAN"
)
"""What is a number in a suite."""
DEEPEST = 20
"""Levels of lists and mappings that are followed: an anchor may contain itself."""


@dataclass(frozen=True)
class ConfigNode:
    """A value in a file. Texts are filled in from ``variables`` when they are read."""

    node: yaml.Node
    path: Path
    variables: Mapping[str, Any] | None = None
    """None: templates are left as they stand."""
    loader: yaml.SafeLoader = field(repr=False, default_factory=lambda: yaml.SafeLoader(""))
    refusal: type[InputError] = SuiteError
    """What is raised when it can't be meant."""

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    def fail(self, sentence: str | LimnerError) -> NoReturn:
        raise self.refusal(f"{self.path}:{self.line}: {sentence}")

    def filled_from(self, variables: Mapping[str, Any]) -> ConfigNode:
        return replace(self, variables=variables)

    # --- what it is -------------------------------------------------------------------------------

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def kind(self) -> str:
        """What came, for sentences."""
        if self.is_mapping:
            return "a mapping"
        if self.is_list:
            return "a list"
        value = self._scalar()
        return "nothing" if value is None else repr(value)

    # --- reading ----------------------------------------------------------------------------------

    def mapping(
        self, what: str, known: Collection[str], hints: Mapping[str, str] | None = None
    ) -> dict[str, ConfigNode]:
        """The values by key.

        Args:
            what: such as "A case", for sentences.
            known: the keys that it may have; none: any.
            hints: what other programs' keys are called here.
        """
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"{what} is a mapping, got {self.kind}.")
        values: dict[str, ConfigNode] = {}
        for key_node, value_node in self._pairs(self.node, what):
            key_spot = replace(self, node=key_node)
            key = str(key_node.value)
            if known and key not in known:
                hint = f" Did you mean {hints[key]}?" if hints and key in hints else ""
                key_spot.fail(
                    f"{what} has no key {key!r}.{hint or near(key, known)} "
                    f"It has {', '.join(known)}."
                )
            if key in values:
                key_spot.fail(f"{key} was said already in line {values[key].line}.")
            values[key] = replace(self, node=value_node)
        return values

    def items(self, what: str) -> list[ConfigNode]:
        """The values of a list; a single value counts as a list of one."""
        if not isinstance(self.node, yaml.SequenceNode):
            return [self]
        if not self.node.value:
            self.fail(f"{what} is empty: give at least one.")
        return [replace(self, node=node) for node in self.node.value]

    def text(self, what: str) -> str:
        value = self._filled()
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.fail(f"{what} is a text, got {self.kind}.")
        text = (value if isinstance(value, str) else str(self.node.value)).strip()
        if not text:
            self.fail(f"{what} is empty.")
        return text

    def number(self, what: str, low: float | None = None, high: float | None = None) -> float:
        """A finite number between ``low`` and ``high``; ``1e-3`` counts, which YAML 1.1 reads as a
        word, and so does a number that a template gave."""
        value = self._filled()
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        outside = (low is not None and number < low) or (high is not None and number > high)
        if not math.isfinite(number) or outside:
            bounds = "" if low is None else f" from {low:g}"
            bounds += f" to {high:g}" if high is not None else ""
            self.fail(f"{what} is a number{bounds}, got {self.kind}.")
        return number

    def whole_number(self, what: str, low: float | None = None, high: float | None = None) -> int:
        """The same without a fraction."""
        number = self.number(what, low, high)
        if number != int(number):
            self.fail(f"{what} is a whole number, got {self.kind}.")
        return int(number)

    def plain(self, depth: int = 0) -> Any:
        """The value as Python's, texts filled in.

        Every key is a text, as JSON's are.
        """
        if depth > DEEPEST:
            self.fail(f"This is nested more than {DEEPEST} levels deep.")
        if self.is_mapping:
            return {k: v.plain(depth + 1) for k, v in self.mapping("This", ()).items()}
        if isinstance(self.node, yaml.SequenceNode):
            return [replace(self, node=node).plain(depth + 1) for node in self.node.value]
        return self._filled()

    def variable(self, name: str) -> str | int | float | bool:
        """The value of a variable of templates, which write it as it stands here.

        Args:
            name: for sentences.
        """
        if self.is_mapping or self.is_list:
            self.fail(f"The variable {name} is a text or a number, got {self.kind}.")
        value = self._scalar()
        if value is None:
            self.fail(f"The variable {name} has no value: give it one, or leave it out.")
        if isinstance(value, bool):
            return value
        if not isinstance(value, str):
            written = str(self.node.value)
            return value if str(value) == written else written  # 1.50 is not written 1.5
        if is_template(value):
            self.fail(
                f"The variable {name} is a template itself, and {{{{…}}}} is filled in once: write "
                "it out."
            )
        return value

    def _filled(self) -> Any:
        value = self._scalar()
        if isinstance(value, str) and self.variables is not None:
            try:
                return fill(value, self.variables)
            except TemplateFault as fault:
                self.fail(str(fault))
        return value

    def _scalar(self) -> Any:
        if not isinstance(self.node, yaml.ScalarNode):
            return None
        try:
            value = self.loader.construct_object(self.node)
        except (yaml.YAMLError, ValueError) as error:
            self.fail(f"{self.node.value!r} can't be read: {_reason(error)}.")
        # YAML 1.1 takes on, off, yes and no for truth values, 2026-01-01 for a day, 12:30:00 for a
        # number of base 60 and 010 for 8; in a suite they are words, as in YAML 1.2.
        written = str(self.node.value)
        is_word = isinstance(value, bool) and written.lower() not in ("true", "false")
        is_word |= type(value) in (int, float) and not NUMBER.fullmatch(written)
        plain = value is None or isinstance(value, str | int | float)
        return value if plain and not is_word else written

    def _pairs(
        self, node: yaml.MappingNode, what: str, depth: int = 0
    ) -> list[tuple[yaml.Node, yaml.Node]]:
        """Keys and values, those of ``<<: *common`` after its own, where it has none itself."""
        if depth > DEEPEST:
            self.fail("<< merges a mapping into itself.")
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                spot = replace(self, node=key)
                spot.fail(f"A key of {_lower(what)} is a word, got {spot.kind}.")
        own = [(key, value) for key, value in node.value if key.tag != MERGE]
        names = {key.value for key, _ in own}
        for key, value in node.value:
            if key.tag != MERGE:
                continue
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in sources:
                if not isinstance(source, yaml.MappingNode):
                    replace(self, node=value).fail("<< takes a mapping or a list of them.")
                merged = [
                    pair
                    for pair in self._pairs(source, what, depth + 1)
                    if pair[0].value not in names
                ]
                names |= {key.value for key, _ in merged}
                own += merged
        return own


@dataclass(frozen=True)
class ConfigFormat:
    """A kind of file that people write settings in."""

    what: str
    """For sentences: "suite"."""
    language: str
    """Its name: "YAML"."""
    keys: str
    """What such a file has."""
    refusal: type[InputError]
    """What is raised when something in it can't be meant."""
    compose: Callable[[str, str], yaml.Node | None]
    """``compose(text, the file's name for sentences)``; None where the file is empty; raises
    ``FileError``."""


def read_config(path: Path, form: ConfigFormat) -> ConfigNode:
    """A file's one document.

    Raises:
        InputError: the format's ``refusal``: no such file, not UTF-8, not of this language, empty,
            or beyond what its ``compose`` reads; with the line where there is one.
    """
    try:
        text = read_text(path, limit=MOST_TEXT_BYTES, what=form.what)
        node = form.compose(text, shown(path))
    except FileMissing as error:
        raise form.refusal(f"{error} It is a {form.language} file.") from None
    except FileError as error:
        raise form.refusal(str(error)) from None
    if node is None:
        raise form.refusal(f"{path}:1: The {form.what} is empty: it has {form.keys}.")
    return ConfigNode(node, path, refusal=form.refusal)


def _reason(error: Exception) -> str:
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return " ".join(str(reason).split())


def _lower(what: str) -> str:
    return what[:1].lower() + what[1:]

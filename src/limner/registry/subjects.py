"""Subjects that models were taught: where they lie, and which weights they add to a painter.

::

    $LIMNER_HOME/subjects/mydog/
    ├── pytorch_lora_weights.safetensors   the adapter, in diffusers' layout (LoRA)
    ├── model/                             the whole model (full fine-tuning)
    ├── subject.json                       the card, for programs
    ├── README.md                          the card, for people
    ├── thumbnails/                        of the photographs
    ├── scores/                            once it was scored: trade-off.png, portraits
    └── run/                               job, log, checkpoints: what a stopped run goes on from
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limner.errors import (
    FileError,
    FileMissing,
    InputError,
    ModelError,
    OptionError,
    UnknownModel,
    WeightsMissing,
)
from limner.io.save import write_atomic
from limner.registry.store import absolute, home
from limner.registry.subject_readme import readme
from limner.registry.weights import Adapter, is_path
from limner.untrusted.json_toml import read_json_object

ADAPTER = "pytorch_lora_weights.safetensors"
"""The file that diffusers' ``load_lora_weights`` looks for in a folder."""
TEACHABLE = "stable_diffusion"
"""The family whose models can be taught a subject."""
CARD, README, WHOLE, RUN, SCORES = "subject.json", "README.md", "model", "run", "scores"


LONGEST_NAME = 100
"""Bytes: folders' names end at 255."""

KINDS: Mapping[str, Any] = {
    "name": str,
    "base": dict,
    "base.name": str,
    "base.asked_for": str,
    "identifier": str,
    "class": str,
    "called": str,
    "instance_prompt": str,
    "class_prompt": str,
    "steps": int,
    "side": int,
    "licence": str,
    "created": str,
    "kind": str,
    "rank": int | None,
    "consent": str | None,
    "options": dict,
    "photographs": dict,
    "captions": dict,
    "class_images": int,
    "warnings": list,
    "thumbnails": list,
    "scores": dict,
    "scores.models": list,
    "scores.prompts": list,
    "scores.seeds": int,
    "scores.ceiling": dict,
    "scores.rows": list,
    "scores.best": str | None,
    "scores.pictures": list,
}
"""What a card says, and as what."""
REQUIRED = frozenset(
    "name base identifier class instance_prompt class_prompt steps side licence created".split()
)
"""What every card says."""


@dataclass(frozen=True)
class Subject:
    """A taught subject."""

    name: str
    folder: Path
    card: Mapping[str, Any]
    """What ``subject.json`` holds."""

    @property
    def adapter(self) -> Path:
        return self.folder / ADAPTER

    @property
    def run(self) -> Path:
        return self.folder / RUN


def root() -> Path:
    """The folder of all subjects."""
    return home() / "subjects"


def folder_of(name: str) -> Path:
    """Where a subject lies, or would.

    Raises:
        OptionError: a name that is no folder's.
    """
    if (size := len(name.encode("utf-8", "replace"))) > LONGEST_NAME:
        raise OptionError(
            f"A subject's name has at most {LONGEST_NAME} bytes, got {size}: such as mydog."
        )
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise OptionError(
            f"A subject's name has letters, digits, - and _, got {name!r}: such as mydog."
        )
    return root() / name


def all_subjects(say: Callable[[str], None] | None = None) -> list[Subject]:
    """All finished subjects, by name.

    Args:
        say: hears of each that is damaged, which is left out.
    """
    subjects = []
    for name in _names():
        try:
            subjects.append(find(name))
        except (ModelError, OptionError) as error:
            if say:
                say(f"{name} is left out: {error}")
    return subjects


def _names() -> list[str]:
    """Folders that have a card."""
    if not root().is_dir():
        return []
    return sorted(path.name for path in root().iterdir() if (path / CARD).is_file())


def find(name: str) -> Subject:
    """A finished subject.

    Raises:
        UnknownModel: no such subject; which there are.
        ModelError: its card is damaged.
    """
    folder = folder_of(name)
    try:
        card = read_json_object(folder / CARD, what="card")
    except FileMissing:
        known = ", ".join(_names()) or "none yet"
        begun = " It was begun, and not finished: run its `limner teach` again."
        raise UnknownModel(
            f"There is no subject {name!r}; there {'is' if known == 'none yet' else 'are'} {known}."
            + (begun if (folder / RUN).is_dir() else "")
        ) from None
    except FileError as error:
        raise ModelError(f"The card of {name} is damaged: {error} Teach it again.") from error
    return Subject(name, folder, _checked(folder / CARD, card))


def _checked(path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """A card, each of whose entries is of its kind; older ones lack some, which is well.

    Raises:
        ModelError: no card, or one that lacks what every one has.
    """
    inside = {f"{of}.": card[of] for of in ("base", "scores") if isinstance(card.get(of), dict)}
    for of, entries in {"": card, **inside}.items():
        for key, kind in KINDS.items():
            name = key.removeprefix(of)
            if not key.startswith(of) or "." in name:
                continue
            value = entries.get(name)
            needed = of or key in REQUIRED
            if (name in entries or needed) and (
                not isinstance(value, kind) or isinstance(value, bool)
            ):
                came = f"is {str(value)[:40]!r}" if name in entries else "is missing"
                raise ModelError(f"{path} is damaged ({key} {came}): teach the subject again.")
    for key, fits in INSIDE.items():
        of, _, name = key.rpartition(".")
        value = card.get(of, card).get(name)
        if value is not None and not fits(value):
            raise ModelError(f"{path} is damaged (what stands in {key}): teach the subject again.")
    return {"called": f"{card['identifier']} {card['class']}", **card}  # later versions say it


def _texts(value: Any) -> bool:
    return all(isinstance(text, str) for text in value)


def _named(value: Any) -> bool:
    return all(isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in value)


def _scores(value: Any) -> bool:
    """A row for each painter: its name, and numbers or nothing under the names of scores."""
    return (
        bool(value)
        and _named(value)
        and all(_cosines({k: v for k, v in row.items() if k != "name"}) for row in value)
    )


def _cosines(value: Any) -> bool:
    numbers = [number for number in value.values() if number is not None]
    return value.get("dino") is not None and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in numbers
    )


INSIDE: Mapping[str, Callable[[Any], bool]] = {
    "warnings": _texts,
    "thumbnails": _texts,
    "scores.prompts": _texts,
    "scores.pictures": _texts,
    "scores.models": _named,
    "scores.rows": _scores,
    "scores.ceiling": _cosines,
}
"""What stands in a card's lists and tables, which are shown, drawn and put on its page."""


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write a subject's card, for people and then for programs: its being there says that all is.

    Raises:
        OutputError: no room, or no permission.
    """
    write_atomic(folder / README, readme(card), overwrite=True)
    text = json.dumps(card, indent=2, ensure_ascii=False)
    write_atomic(folder / CARD, text + "\n", overwrite=True)


def take(subject: Subject, checkpoint: Path, step: int) -> Subject:
    """Make a checkpoint's adapter the subject's.

    Whichever of its files a kill falls between, each of them is whole, and doing it again mends
    what they say of each other.

    Raises:
        InputError: a subject that is a whole model, whose checkpoints hold no adapter.
        OutputError: no room, or no permission.
    """
    if not (checkpoint / ADAPTER).is_file():
        raise InputError(
            f"{subject.name} is a whole model, taught by full fine-tuning: its last "
            "checkpoint stays."
        )
    data = (checkpoint / ADAPTER).read_bytes()
    write_atomic(subject.adapter, data, overwrite=True)
    return rewrite(subject, {"steps": step, "sha256": hashlib.sha256(data).hexdigest()})


def rewrite(subject: Subject, changes: Mapping[str, Any]) -> Subject:
    """The subject with entries of its card changed or added, such as ``scores``.

    Raises:
        OutputError: no room, or no permission.
    """
    card = {**subject.card, **changes}
    write_card(subject.folder, card)
    return Subject(subject.name, subject.folder, card)


def adapter_of(named: str, weight: float = 1.0) -> Adapter:
    """The weights that a subject adds.

    Args:
        named: a subject's name, or the path of a LoRA file or of a folder that has one.

    Raises:
        UnknownModel, WeightsMissing: there is none.
        ModelError: a subject that is a model of its own.
    """
    if is_path(named):
        path = absolute(named)
        path = path / ADAPTER if os.path.isdir(path) else path  # of a name too long: False
        if path.suffix != ".safetensors" or not os.path.isfile(path):
            raise WeightsMissing(
                f"There is no LoRA at {named}: expected a .safetensors file, or a folder with "
                f"{ADAPTER} in it."
            )
        name = path.parent.name if path.name == ADAPTER else path.name
        return Adapter(name, path, weight, _sha256(path))
    subject = find(named)
    if not subject.adapter.is_file():
        raise ModelError(
            f"{named} was taught by full fine-tuning, so it is a model of its own: "
            f"--inpainter {subject.folder / WHOLE} (of generate: --model)."
        )
    base = (subject.card.get("base") or {}).get("name", "")
    return Adapter(named, subject.adapter, weight, _sha256(subject.adapter), base)


def with_distinct_names(adapters: Sequence[Adapter]) -> tuple[Adapter, ...]:
    """The same adapters, no two of a name: those of one name are called by their folders too.

    Raises:
        OptionError: one file twice.
    """
    paths = [adapter.path.resolve() for adapter in adapters]
    if len(set(paths)) < len(paths):
        raise OptionError(f"A subject is named once; {max(paths, key=paths.count)} came twice.")
    distinct = []
    for adapter in adapters:
        of_its_name = [other.path for other in adapters if other.name == adapter.name]
        if len(of_its_name) > 1:
            common = os.path.commonpath([path.parent for path in of_its_name])
            adapter = replace(adapter, name=adapter.path.relative_to(common).as_posix())
        distinct.append(adapter)
    return tuple(distinct)


def parse(text: str) -> tuple[str, float]:
    """``mydog`` or ``mydog=0.8`` as name and weight; a path may have a = of its own.

    Raises:
        OptionError: a weight that is no number from -2 to 2.
    """
    name, equals, number = text.rpartition("=")
    if not equals or (is_path(text) and (_is_there(text) or re.search(r"[/\\]", number))):
        name, number = text, "1"
    try:
        weight = float(number)
    except ValueError:
        weight = float("nan")
    if not name or not -2 <= weight <= 2:
        raise OptionError(f"A subject is NAME or NAME=WEIGHT, from -2 to 2; got {text!r}.")
    return name, weight


def _is_there(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

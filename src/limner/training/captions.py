"""What each photograph shows: ``metadata.jsonl`` beside them, as diffusers and datasets read it, or
a ``.txt`` beside each, as kohya's sd-scripts do.

One JSON object a line, ``{"file_name": "00.jpg", "text": "a photo of sks dog on a sofa"}``. A
person may edit it; a photograph without words of its own has the instance prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import FileError, FileMissing, InputError, PromptError
from limner.io.save import write_atomic
from limner.training.identifiers import Naming
from limner.training.instance_images import METADATA
from limner.untrusted.json_toml import parse_json
from limner.untrusted.regular_files import MB, read_text

MOST_BYTES = 16 * MB
"""Of a file with captions."""


@dataclass(frozen=True)
class Captions:
    """The words of a folder's photographs."""

    texts: tuple[str, ...]
    """One for each, with the identifier."""
    notes: tuple[str, ...] = ()
    """Sentences: lines for no photograph, photographs without a line."""


@dataclass(frozen=True)
class _Line:
    place: str
    """File and line, for sentences."""
    file_name: str
    text: str


def read(folder: Path, names: Sequence[str], instance_prompt: str, naming: Naming) -> Captions:
    """The words for each photograph, every one with the identifier.

    A line's file name is taken as datasets' tools write it too: with folders before it
    (``train/0.png``, ``./0.png``) and with other capitals, unless it is another file's own.

    Args:
        names: file names of the photographs.
        instance_prompt: for those that no line is for.

    Raises:
        InputError: a line that can't be meant, two that differ for one photograph, or a file none
            of whose lines is for a photograph.
    """
    by_photograph: dict[str, _Line] = {}
    astray: list[str] = []
    lines = [*_lines(folder / METADATA), *_beside(folder, names)]
    for line in lines:
        name = _photograph(folder, names, line.file_name)
        if name is None:
            astray.append(line.file_name)
            continue
        earlier = by_photograph.setdefault(name, line)
        if earlier.text != line.text:
            raise InputError(
                f"{earlier.place} and {line.place} say different things of {name}: keep one."
            )
    if lines and not by_photograph:
        raise InputError(
            f"None of the {len(lines)} captions in {folder / METADATA} is for a photograph in "
            f"{folder}: they are for {_some(astray)}. Mend the file names, or delete the file."
        )
    bare = [name for name in names if name not in by_photograph] if lines else []
    notes = []
    if astray:
        single = len(astray) == 1
        notes.append(f"{METADATA}: {_some(astray)} {'is' if single else 'are'} no photograph here.")
    if bare:
        notes.append(f"No caption for {_some(bare)}: the instance prompt is taken.")
    texts = (
        with_identifier(by_photograph[name].text, naming)
        if name in by_photograph
        else instance_prompt
        for name in names
    )
    return Captions(tuple(texts), tuple(notes))


def check_lengths(texts: Mapping[str, str], tokenizers: Iterable[Any], model: str) -> None:
    """Refuse words whose end the model wouldn't read.

    Args:
        texts: by what they are, such as "instance prompt".
        tokenizers: of the model's text encoders.

    Raises:
        PromptError: with their length and the model's.
    """
    for tokenizer in tokenizers:
        room = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()
        for label, text in texts.items():
            count = len(tokenizer.tokenize(text, verbose=False))
            if count > room:
                raise PromptError(
                    f"The {label} has {count} tokens and {model} reads {room}: the rest would be "
                    "cut off. Say it in fewer words."
                )


def write(folder: Path, captions: Mapping[str, str]) -> Path:
    """Write the file for people to edit; one that is there is replaced.

    Raises:
        OutputError: it can't be written.
    """
    rows = [{"file_name": name, "text": text} for name, text in captions.items()]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return write_atomic(folder / METADATA, lines, overwrite=True)


def with_identifier(caption: str, naming: Naming) -> str:
    """A caption that names the subject: "a dog on a sofa" becomes "a sks dog on a sofa".

    The identifier goes before the first mention of the class; where the class isn't mentioned,
    identifier and class go in front.
    """
    if all(_mentions(word).search(caption) for word in naming.identifier.split()):
        return caption
    named = f"{naming.identifier} {naming.noun}"
    noun = _mentions(naming.noun)
    if noun.search(caption):
        return noun.sub(lambda mention: f"{naming.identifier} {mention[0]}", caption, count=1)
    return f"{named}, {caption}" if caption.strip() else named


def without_identifier(caption: str, naming: Naming) -> str:
    """The same scene with any of the class: "a sks dog on a sofa" becomes "a dog on a sofa"; where
    the class isn't mentioned, it takes the identifier's place."""
    words = naming.identifier.split()
    if not _mentions(naming.noun).search(caption):
        caption = _mentions(words[0]).sub(lambda _: naming.noun, caption, count=1)
    for word in words:
        caption = _mentions(word).sub("", caption)
    return " ".join(caption.split())


def _mentions(word: str) -> re.Pattern[str]:
    """A word by itself, whatever characters it has: ``<s1>``, ``c++``."""
    return re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])", re.IGNORECASE)


def _photograph(folder: Path, names: Sequence[str], file_name: str) -> str | None:
    """Which photograph a line is for; None: another file, or none.

    Raises:
        InputError: two photographs whose names differ in capitals alone, and neither is meant.
    """
    parts = re.split(r"[/\\]", file_name)
    last = parts[-1]
    plain = [part for part in parts[:-1] if part not in ("", ".")]
    if plain and _is_file(folder.joinpath(*plain, last)):
        return None  # a file of its own in a folder below, and photographs lie in this one
    if last in names:
        return last
    if _is_file(folder / last) and last in {path.name for path in folder.iterdir()}:
        return None  # left out: damaged, or there twice
    alike = [name for name in names if name.casefold() == last.casefold()]
    if len(alike) > 1:
        raise InputError(f"{METADATA}: {file_name} may be {' or '.join(alike)}: write it as it is.")
    return alike[0] if alike else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long
        return False


def _beside(folder: Path, names: Sequence[str]) -> list[_Line]:
    """A text file beside each photograph, in one line."""
    lines = []
    for name in names:
        path = (folder / name).with_suffix(".txt")
        if path.is_file():
            text = read_text(path, limit=MOST_BYTES, what="caption")
            lines.append(_Line(str(path), name, " ".join(text.split())))
    return lines


def _lines(path: Path) -> list[_Line]:
    """The lines of ``metadata.jsonl``. Empty without a file."""
    try:
        content = read_text(path, limit=MOST_BYTES, what="file of captions")
    except FileMissing:
        return []
    lines = []
    # Not splitlines: a text may hold what Unicode calls the end of a line.
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, f"{path}:{number}")
            name, text = row["file_name"], row["text"]
        except (FileError, KeyError, TypeError):
            name = text = None
        if not isinstance(name, str) or not isinstance(text, str):
            raise InputError(
                f'{path}:{number} is not of the form {{"file_name": "00.jpg", "text": "a photo of '
                '…"}: mend the line, or delete the file.'
            )
        lines.append(_Line(f"{path}:{number}", name, text))
    return lines


def _some(names: Sequence[str], most: int = 3) -> str:
    """Names for a sentence."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")

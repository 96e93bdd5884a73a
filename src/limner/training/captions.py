"""What each photograph shows: ``metadata.jsonl`` beside them, as diffusers and datasets read it.

One JSON object a line, ``{"file_name": "00.jpg", "text": "a photo of sks dog on a sofa"}``. A
person may edit it; without the file every photograph has the instance prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from limner.documents import MOST_BYTES, parse_json
from limner.errors import FileError, FileMissing, InputError
from limner.regular_files import read_text
from limner.saving import write_atomic
from limner.training.identifiers import Naming
from limner.training.photographs import METADATA


def read(folder: Path, names: Sequence[str], instance_prompt: str, naming: Naming) -> list[str]:
    """The words for each photograph, every one with the identifier.

    Args:
        names: file names of the photographs.
        instance_prompt: for those that the file doesn't know, or where there is none.

    Raises:
        InputError: a line that can't be meant.
    """
    said = _lines(folder / METADATA)
    return [with_identifier(said[n], naming) if n in said else instance_prompt for n in names]


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
    said = re.findall(r"[\w-]+", caption.lower())
    if all(word in said for word in naming.identifier.split()):
        return caption
    named = f"{naming.identifier} {naming.noun}"
    noun = rf"\b{re.escape(naming.noun)}\b"
    if re.search(noun, caption, re.IGNORECASE):
        return re.sub(
            noun,
            lambda found: f"{naming.identifier} {found[0]}",
            caption,
            count=1,
            flags=re.IGNORECASE,
        )
    return f"{named}, {caption}" if caption.strip() else named


def _lines(path: Path) -> dict[str, str]:
    """File name -> words. Empty without a file."""
    try:
        lines = read_text(path, limit=MOST_BYTES).split("\n")
    except FileMissing:
        return {}
    said = {}
    for number, line in enumerate(lines, start=1):
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
        said[name] = text
    return said

"""Which files a folder's weights are read from, looked at before any library opens them.

transformers and diffusers take the names of weight files from other files of the folder: an index
of parts (``model.safetensors.index.json``), ``transformers_weights`` in a config, and
``adapter_config.json``, which brings an adapter along. A name may end in ``.bin``, and is then
opened as a pickle; or lead elsewhere, to a file that nobody hashed. So every name is that of a
plain file in the same folder which is safetensors by its first bytes, and nothing else is named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limner.errors import FileError, ModelError, UnsafeWeights
from limner.untrusted.json_toml import read_json
from limner.untrusted.plain_text import visible

ENDING = ".safetensors"
INDEX = re.compile(r"\.index(\..+)?\.json$")
"""Ends of an index's name: ``.index.json``, and that of a variant, ``.index.fp16.json``."""
ADAPTER = "adapter_config.json"
DEEPEST = 6
"""Levels of sub-folders that a model may have; diffusers' have one."""
MOST_FILES = 10_000
LONGEST_HEAD = 100_000_000
"""Bytes of a safetensors file's header: the format's own bound."""


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder but those in hidden sub-folders; those in linked ones too: a library
    that loads the folder follows links, so they are hashed and looked at like any other.

    Raises:
        ModelError: more files or deeper folders than a model has, as of a link that leads back.
    """
    count = 0
    for parent, inside, names in os.walk(folder, followlinks=True):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        count += len(names)
        depth = len(Path(parent).relative_to(folder).parts)
        if depth > DEEPEST or count > MOST_FILES:
            raise ModelError(
                f"{folder} is no model's folder: it has more than {DEEPEST} levels of folders or "
                f"{MOST_FILES:,} files."
            )
        yield from (Path(parent, name) for name in sorted(names))


def check(folder: Path) -> None:
    """Refuse a folder whose weights would be read from anything but its own safetensors files.

    Raises:
        UnsafeWeights: with the file that names another, or that isn't what its ending says.
        ModelError: an index that can't be read, or no model's folder.
        OSError: a file that can't be read.
    """
    for path in walk(folder):
        if INDEX.search(path.name):
            _check_index(path)
        elif path.name.endswith(ENDING):
            _check_start(path)
        elif path.name == "config.json":
            _check_config(path)
        elif path.name == ADAPTER:
            raise UnsafeWeights(
                f"{path} would load an adapter on top of the model, from files that it names: take "
                "it away, and give a LoRA by its own file with --subject."
            )


def _check_index(path: Path) -> None:
    if ENDING not in path.name:
        return  # of pickles beside them (pytorch_model.bin.index.json), which nothing reads
    parts = _json(path)
    parts = parts.get("weight_map") if isinstance(parts, dict) else None
    if not isinstance(parts, dict) or not parts:
        raise ModelError(f"{path} has no weight_map: expected tensors' names and their files.")
    for name in set(map(_text, parts.values())):
        plain = name == os.path.basename(name) and not name.startswith(".") and "\\" not in name
        if not plain or not name.endswith(ENDING):
            raise UnsafeWeights(
                f"{path} names {visible(name)!r} as a file of weights: expected the plain name of "
                f"a {ENDING} file beside it. limner reads nothing else; get the model elsewhere, "
                "or save it again with safe_serialization=True."
            )
        if not (path.parent / name).is_file():
            raise ModelError(f"{path} names {visible(name)}, which isn't there: get it again.")
        _check_header(path.parent / name)


def _check_config(path: Path) -> None:
    try:
        config = _json(path)
    except ModelError:
        return  # whoever reads the config says what is wrong with it
    if isinstance(config, dict) and config.get("transformers_weights") is not None:
        raise UnsafeWeights(
            f"{path} names its own file of weights (transformers_weights): take that entry away, "
            "and call the file model.safetensors."
        )


def _check_header(path: Path) -> None:
    """The format begins with its header's length, 8 bytes, and the header, a JSON object."""
    head = _check_start(path)
    length = int.from_bytes(head[:8], "little")
    if head[8:] != b"{" or length > min(LONGEST_HEAD, path.stat().st_size - 8):
        raise ModelError(f"{path} is damaged (it has no header): get the file again.")


def _check_start(path: Path) -> bytes:
    """The first 9 bytes, which are not a pickle's; whoever opens the file checks the rest."""
    if not path.is_file():
        raise UnsafeWeights(f"{path} is no regular file: expected safetensors.")
    with path.open("rb") as file:
        head = file.read(9)
    if head[:4] == b"PK\x03\x04" or (head[:1] == b"\x80" and head[8:] != b"{"):
        raise UnsafeWeights(
            f"{path} is called safetensors and is a pickle, which can run code when it is opened: "
            "get the model elsewhere."
        )
    return head


def _json(path: Path) -> Any:
    try:
        return read_json(path, what="index of weights" if INDEX.search(path.name) else "config")
    except FileError as error:
        raise ModelError(str(error)) from None


def _text(name: Any) -> str:
    return name if isinstance(name, str) else repr(name)

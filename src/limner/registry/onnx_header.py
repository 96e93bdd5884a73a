"""What an ONNX file says of itself, read with no runtime and no protocol-buffers package.

ONNX (onnx.proto3, ``ModelProto``) is a graph of operators and its numbers. It holds no code, so it
may be opened where a pickle may not. Two things in it reach beyond the file and are refused:
operators that a runtime would take from a library of the sender's, and numbers kept in other files,
whose paths may lead anywhere.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from limner.errors import ModelError, UnsafeWeights

STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Domains of the operators that ONNX itself defines."""

MOST_FIELDS = 4_000_000
"""Fields that are looked at, a few seconds' worth; a model of 10,000 operators has 200,000."""
DEEPEST = 32
"""Messages within messages: a graph in an operator's branch adds three."""

# Field numbers of onnx.proto3.
_IR_VERSION, _GRAPH, _OPSET, _METADATA = 1, 7, 8, 14  # ModelProto
_DOMAIN = 1  # OperatorSetIdProto
_KEY, _VALUE = 1, 2  # StringStringEntryProto
_NODE_DOMAIN = 7  # NodeProto
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # TensorProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types

_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {_GRAPH: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""By kind of message, the fields that may hold numbers or operators, and their kinds."""


@dataclass(frozen=True)
class OnnxFile:
    """The parts of a file that say what it is."""

    metadata: Mapping[str, str]
    """What its maker wrote beside the graph."""
    domains: frozenset[str]
    """Where its operators come from."""
    external: bool
    """Whether some of its numbers lie in other files."""


def read(path: Path) -> OnnxFile:
    """Read a file's head; the numbers in it are stepped over.

    Raises:
        ModelError: no ONNX file, or one that is cut off.
        OSError: a file that can't be read.
    """
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _model(data)
        except ValueError as error:  # UnicodeDecodeError is one
            raise ModelError(
                f"{path} is no ONNX file, or it is cut off ({error}): export or copy it again."
            ) from None


def check_closed(path: Path, model: OnnxFile) -> None:
    """Refuse a file that reaches beyond itself.

    Raises:
        UnsafeWeights: operators that ONNX doesn't define, or numbers in other files.
    """
    if foreign := sorted(model.domains - STANDARD):
        raise UnsafeWeights(
            f"{path} asks for operators of {', '.join(foreign)}, which ONNX doesn't define: they "
            "would be code from elsewhere. Export it with the standard operators."
        )
    if model.external:
        raise UnsafeWeights(
            f"{path} keeps its weights in other files, whose paths may lead anywhere: export it "
            "as one file."
        )


def _model(data: mmap.mmap) -> OnnxFile:
    metadata: dict[str, str] = {}
    domains: set[str] = set()
    seen: set[int] = set()
    for number, value in _fields(data, range(len(data))):
        seen.add(number)
        if isinstance(value, int):
            continue
        if number == _OPSET:
            domains.add(_texts(data, value).get(_DOMAIN, ""))
        elif number == _METADATA:
            entry = _texts(data, value)
            metadata[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    if not {_IR_VERSION, _GRAPH} <= seen:
        raise ValueError("it has no graph")
    external = _look_inside(data, domains)
    return OnnxFile(MappingProxyType(metadata), frozenset(domains), external)


def _look_inside(data: mmap.mmap, domains: set[str]) -> bool:
    """Whether any tensor of the model lies in another file: of its graphs, the branches and bodies
    in their operators, and its functions. The operators' domains are added to ``domains``.

    Raises:
        ValueError: these bytes are no message, or more than a model has.
    """
    to_read = [("model", range(len(data)), 0)]
    external, count = False, 0
    while to_read:
        kind, message, depth = to_read.pop()
        if depth > DEEPEST:
            raise ValueError(f"its graphs are nested more than {DEEPEST} levels deep")
        inside = _INSIDE[kind]
        for number, value in _fields(data, message):
            count += 1
            if count > MOST_FIELDS:
                raise ValueError(f"it has more than {MOST_FIELDS:,} fields")
            if kind == "tensor":
                external |= number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
            if isinstance(value, int):
                continue
            if number in inside:
                to_read.append((inside[number], value, depth + 1))
            elif kind == "node" and number == _NODE_DOMAIN:
                domains.add(data[value.start : value.stop].decode())
    return external


def _texts(data: mmap.mmap, message: range) -> dict[int, str]:
    """A message's texts by their field's number."""
    return {
        number: data[value.start : value.stop].decode()
        for number, value in _fields(data, message)
        if not isinstance(value, int)
    }


def _fields(data: mmap.mmap, message: range) -> Iterator[tuple[int, int | range]]:
    """A message's fields in order: number, and the whole number it holds or where its bytes lie.

    Raises:
        ValueError: these bytes are no message.
    """
    at = message.start
    while at < message.stop:
        tag, at = _varint(data, at, message.stop)
        number, wire = tag >> 3, tag & 7
        if tag >= 1 << 32:  # readers differ in what they make of it
            raise ValueError("it has a field whose number is too large")
        if number == 0:
            raise ValueError("it has a field without a number")
        if wire == _VARINT:
            value, at = _varint(data, at, message.stop)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at, message.stop)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"it has a field of the unknown type {wire}")
        if at + size > message.stop:
            raise ValueError("a field is longer than what is left")
        yield number, range(at, at + size)
        at += size


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first; returns the number and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError("it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")

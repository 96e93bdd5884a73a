"""What a public signature needs can be imported from ``limner`` itself."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import limner

OUTSIDE = frozenset(
    "Any Callable ClassVar Iterable Iterator Literal Mapping None Path Self Sequence Unpack "
    "Image NDArray IntBox Xyxy".split()
)
"""Names of Python, typing and PIL in our annotations, and plain tuples of four numbers."""
LOOSE = frozenset("AnyText AnyBox AnyPoint AnyMask AnyLike".split())
"""A typed value, or what people write for it: strings, numbers, arrays."""
OPAQUE = frozenset({"Store", "StageCache", "Raster"})
"""Made by one call and handed on: their own methods are for the rooms inside."""


def names_in(annotation: Any) -> set[str]:
    """Capitalised names of an annotation, as written."""
    if annotation is inspect.Signature.empty:
        return set()
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    if text.startswith("Unpack["):
        return set()  # keywords, which are written by their names
    tree = ast.parse(text or "None", mode="eval")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return {name for name in names if name[0].isupper() and name not in LOOSE} - OUTSIDE


def signatures(public: str) -> Iterator[tuple[str, set[str]]]:
    """Where it stands, and the names in it."""
    value = getattr(limner, public)
    if public in OPAQUE or not callable(value) or value.__module__.partition(".")[0] != "limner":
        return
    members = {public: value}
    if inspect.isclass(value):
        own = [vars(each) for each in reversed(value.__mro__) if each.__module__[:6] == "limner"]
        for name, member in {name: each[name] for each in own for name in each}.items():
            if name.startswith("_") and name != "__init__":
                continue
            member = getattr(member, "__func__", member)
            member = member.fget if isinstance(member, property) else member
            if inspect.isfunction(member):
                members[f"{public}.{name}"] = member
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                yield f"{public}.{field.name}", names_in(field.type)
    for where, member in members.items():
        try:
            signature = inspect.signature(member)
        except ValueError:  # an enum's or an exception's own
            continue
        parameters = signature.parameters.values()
        notes = [p.annotation for p in parameters if not p.name.startswith("_")]
        for annotation in (*notes, signature.return_annotation):
            yield where, names_in(annotation)


def test_every_name_in_a_public_signature_is_public() -> None:
    """Nobody has to look for the module of what a verb takes or returns; walked transitively,
    because what is exported is walked too."""
    walked, missing = 0, {}
    for public in limner.__all__:
        for where, names in signatures(public):
            walked += 1
            missing |= dict.fromkeys(names - set(limner.__all__), where)
    assert walked > 100
    assert missing == {}

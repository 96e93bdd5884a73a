"""Valid files spoilt as by a stranger or a bad disk. The same seed, the same bytes."""

from __future__ import annotations

import json
import random
import re
from typing import Any

NUMBERS = (
    "0", "-1", "1e308", "-1e308", "1e-320", "NaN", "Infinity", "nan", "inf", "99999999999",
    "18446744073709551616", "1" * 400, "2147483648", "0.5", "٣", "1_0", "0x7f",
)  # fmt: skip
WORDS = (
    "", "null", "true", "[]", "{}", "[" * 300, "{" * 300, '"', "'", "\\u0000", "\\ud800", "\0",
    "\ufeff", "\u202e", "\x1b[2J", "../../etc/passwd", "/dev/zero", "x" * 5000, "{{ 7 * 7 }}",
    "{{", "{% for a in b %}", "&a [*a]", "!!python/object:os.system", "<!DOCTYPE a [", "&amp;",
    "=cmd()", "\r\n", "\t", "- ", ": ", "#", ",", "%1000000000d",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e40, -1e308, 10**30, "", "x", "../x", "\0", [], {}, [[]], [0] * 300,
    ["a", "b"], {"a": 1}, float("nan"), float("inf"), "9" * 400,
)  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four changes of a file; text, JSON and bytes each in their own ways."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        ways = [flipped, cut, doubled, dropped]
        if _is_text(data):
            ways = [renumbered, renumbered, worded, worded, line_doubled, cut, flipped, dropped]
            if (value := _json(data)) is not None:
                ways += [lambda d, r, v=value: revalued(v, r)] * 8
        elif len(data) > 8 and data[8:9] == b"{":
            ways += [header_revalued] * 4
        data = rng.choice(ways)(data, rng)
    return data


def flipped(data: bytes, rng: random.Random) -> bytes:
    """A few bytes are others; headers, where most is decided, oftener."""
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        if spoilt:
            at = rng.randrange(min(len(spoilt), rng.choice((32, 512, len(spoilt)))))
            spoilt[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, spoilt[at] ^ (1 << rng.randrange(8))))
    return bytes(spoilt)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def doubled(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:stop] + data[start:stop] * rng.choice((1, 2, 50)) + data[stop:]


def dropped(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def renumbered(data: bytes, rng: random.Random) -> bytes:
    """A number in a text is another."""
    places = list(re.finditer(rb"-?\d+(?:\.\d+)?", data))
    if not places:
        return flipped(data, rng)
    place = rng.choice(places)
    return data[: place.start()] + rng.choice(NUMBERS).encode() + data[place.end() :]


def worded(data: bytes, rng: random.Random) -> bytes:
    """A word of a text is another, or one more stands in it."""
    new = rng.choice(WORDS).encode("utf-8", "surrogatepass")
    places = list(re.finditer(rb"\w+", data))
    if not places or rng.random() < 0.3:
        at = rng.randrange(len(data) + 1)
        return data[:at] + new + data[at:]
    place = rng.choice(places)
    return data[: place.start()] + new + data[place.end() :]


def line_doubled(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    return b"\n".join(lines[: at + 1] + lines[at:] * rng.choice((1, 1, 30)))


def revalued(value: Any, rng: random.Random) -> bytes:
    """JSON in which one value is another, is missing, or stands under another name."""
    value = json.loads(json.dumps(value))
    places = list(_places(value))
    if not places:
        return json.dumps(rng.choice(VALUES)).encode()
    inside, key = rng.choice(places)
    way = rng.random()
    if way < 0.7:
        inside[key] = rng.choice(VALUES)
    elif way < 0.85 or isinstance(inside, list):
        del inside[key]
    else:
        inside[rng.choice(("", "x", "../x", str(key) * 2))] = inside.pop(key)
    return json.dumps(value).encode()


def header_revalued(data: bytes, rng: random.Random) -> bytes:
    """The JSON at the head of a safetensors file is another, of its own length."""
    length = int.from_bytes(data[:8], "little")
    header = _json(data[8 : 8 + length])
    if header is None:
        return flipped(data, rng)
    new = revalued(header, rng)
    return len(new).to_bytes(8, "little") + new + data[8 + length :]


def _places(value: Any) -> Any:
    """Every (container, key) below a value."""
    keys = (
        value.keys()
        if isinstance(value, dict)
        else range(len(value))
        if isinstance(value, list)
        else ()
    )
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 4, 40)))


def _is_text(data: bytes) -> bool:
    return b"\0" not in data and all(byte < 0x80 for byte in data[:64])


def _json(data: bytes) -> Any:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None

"""Replies of servers, read within bounds and without the key that was sent.

A server may be anybody's: its reply may never end, be a bomb of compressed zeros, or repeat the
``Authorization`` header in a message that is then shown and stored.
"""

from __future__ import annotations

import base64
import importlib
import ipaddress
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

MOST_BYTES = 16_000_000
"""Of one reply: an answer of 100,000 tokens has half a megabyte, a long listing a few."""


class ReplyRefused(Exception):
    """Why a reply was not read to its end; a sentence's middle, after the server's name."""


def bounded(most_bytes: int = MOST_BYTES, seconds: float | None = None) -> Callable[[Any], None]:
    """A hook of an httpx client that reads a reply within bounds, before anything else does.

    Args:
        seconds: for the reply as a whole, once it began; a client's own timeout is for each piece.

    Raises:
        ReplyRefused: from the hook.
    """

    def read(response: Any) -> None:
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if packed not in ("", "identity"):
            raise ReplyRefused(f"answered packed ({packed[:20]!r}), which it was not asked for")
        if response.headers.get("content-length", "").isdigit():
            _check(int(response.headers["content-length"]), most_bytes)
        began, content = time.monotonic(), bytearray()
        for piece in response.stream:
            content += piece
            _check(len(content), most_bytes)
            if seconds is not None and time.monotonic() - began > seconds:
                raise ReplyRefused(f"took more than {seconds:g} s to send its answer")
        response.stream.close()
        library = importlib.import_module(type(response).__module__.partition(".")[0])
        response.stream = library.ByteStream(bytes(content))

    return read


def _check(size: int, most: int) -> None:
    if size > most:
        raise ReplyRefused(f"answered with more than {most / 1e6:g} MB, which is no answer")


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine, which no proxy can reach."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Scrubber:
    """Takes a key out of texts, as it is and as programs write it: escaped as JSON or in a URL, in
    hexadecimal, and in base64 wherever in a longer text it stands."""

    def __init__(self, key: str | None) -> None:
        forms = sorted(_forms(key), key=len, reverse=True) if key else []
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub("…", text) if self._pattern else text


def _forms(key: str) -> set[str]:
    data = key.encode("utf-8", "surrogatepass")
    every = "".join(f"%{byte:02x}" for byte in data)
    forms = {key, quote(key, safe=""), quote(key), every, every.upper(), data.hex()}
    forms |= {data.hex().upper(), json.dumps(key)[1:-1], "".join(f"\\u{ord(c):04x}" for c in key)}
    for before in range(3):  # bytes that stand before it in a group of three
        whole = base64.b64encode(b"\0" * before + data).decode()
        # Only the letters that the key alone decides.
        sure = whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        forms |= {sure, sure.replace("+", "-").replace("/", "_")} if len(sure) > 3 else set()
    return forms

"""A server on this machine that speaks OpenAI's chat protocol and sees: it opens the PNG it got,
finds the coloured things in it by itself, and writes their boxes as the model it plays would.

A real HTTP server on the loopback, so that tests run the real ``openai`` client. What it knows of a
vendor's own resize it knows from the vendor's rule, not from limner.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from limner.ops.box_formats import CONVENTIONS

GREY = 128
COLOURS = {
    "the red thing": (200, 60, 60),
    "the green thing": (60, 200, 60),
    "the blue thing": (60, 60, 200),
    "the yellow thing": (200, 200, 60),
}
"""Phrases that the server understands. Things lie apart from each other, on a grey ground."""

# ---- what vendors do to a picture before their model sees it


def openai_sees(w: int, h: int) -> tuple[int, int]:
    """Within 2048 x 2048, then the shorter side down to 768."""
    scale = min(1, 2048 / max(w, h))
    w, h = round(w * scale), round(h * scale)
    scale = min(1, 768 / min(w, h))
    return round(w * scale), round(h * scale)


def claude_sees(w: int, h: int) -> tuple[int, int]:
    """Within 1568 pixels and 1568 patches of 28 x 28."""
    for scale in np.linspace(1, 0.01, 1000):
        a, b = int(w * scale), int(h * scale)
        if max(a, b) <= 1568 and math.ceil(a / 28) * math.ceil(b / 28) <= 1568:
            return a, b
    raise AssertionError("too long")


def qwen_sees(factor: int, most: int) -> Callable[[int, int], tuple[int, int]]:
    """transformers' own rule, with a server's bounds: 4 to ``most`` visual tokens."""

    def sees(w: int, h: int) -> tuple[int, int]:
        high, wide = smart_resize(h, w, factor, 4 * factor**2, most * factor**2)
        return wide, high

    return sees


def any_size(w: int, h: int) -> tuple[int, int]:
    return w, h


@dataclass(frozen=True)
class Vendor:
    """How one model sees and writes."""

    model: str
    convention: str
    sees: Callable[[int, int], tuple[int, int]]
    key: str = "bbox_2d"
    decimals: int | None = 0
    """Digits it writes behind the point; 0: whole numbers."""


VENDORS = (
    Vendor("gpt-4o-2024-08-06", "xyxy", openai_sees),
    Vendor("gpt-5.1", "xyxy_norm", openai_sees, decimals=4),
    Vendor("claude-sonnet-4-5", "xyxy", claude_sees),
    Vendor("gemini-2.5-flash", "yxyx_1000", any_size, "box_2d"),
    Vendor("Qwen/Qwen2.5-VL-7B-Instruct", "xyxy", qwen_sees(28, 1280)),
    Vendor("Qwen/Qwen2-VL-7B-Instruct", "xyxy_1000", qwen_sees(28, 16384)),
    Vendor("qwen3-vl-8b-instruct", "xyxy_1000", qwen_sees(32, 2560)),
    Vendor("OpenGVLab/InternVL3-8B", "xyxy_1000", any_size),
)


def find(picture: Image.Image, colour: tuple[int, int, int]) -> list[list[float]]:
    """XYXY of every patch of a colour on grey, to parts of a pixel."""
    towards = np.array(colour, dtype=np.float32) - GREY
    near = (np.asarray(picture, dtype=np.float32) - GREY) @ (towards / (towards @ towards))
    patches, _ = ndimage.label(near > 0.75)
    boxes = []
    for rows, columns in ndimage.find_objects(patches):
        if rows.stop - rows.start > 1 and columns.stop - columns.start > 1:
            y0, y1 = _edges(near[:, _core(columns)].mean(axis=1), rows)
            x0, x1 = _edges(near[_core(rows)].mean(axis=0), columns)
            boxes.append([x0, y0, x1, y1])
    return boxes


def _core(inside: slice) -> slice:
    """Without the blurred border."""
    border = min(4, (inside.stop - inside.start - 1) // 2)
    return slice(inside.start + border, inside.stop - border)


def _edges(profile: np.ndarray, inside: slice) -> tuple[float, float]:
    """Where a profile rises to 1 and falls to 0 around ``inside``: a resize spreads an edge over
    pixels, and leaves their sum as it was."""
    middle = (inside.start + inside.stop) // 2
    first, last = max(0, inside.start - 4), inside.stop + 4
    return middle - float(profile[first:middle].sum()), middle + float(profile[middle:last].sum())


def asked_for(words: str) -> list[str]:
    """The phrases in a question, as a model would read them."""
    return [json.loads(line) for line in re.findall(r'^- (".*")$', words, re.MULTILINE)]


@dataclass
class Trouble:
    """How a request goes wrong instead of being answered."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    cut: bool = False
    """Close the connection in the middle of the body."""


class VlmServer:
    """``with VlmServer(vendor) as server: ...``; ``server.url`` is where its API begins.

    Attributes:
        requests: every request's JSON so far; ``headers`` theirs; ``pictures`` what was sent.
        troubles: taken from the front, one a request, before anything is answered.
        replies: texts to answer with, one a request, before it looks itself.
        answer: makes the text from the picture and the words.
        key: the bearer token wanted; None: none.
        refuses: names of settings that it answers with 400.
        finish: ``finish_reason`` of every answer.
    """

    def __init__(self, vendor: Vendor = VENDORS[0]) -> None:
        self.vendor = vendor
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.pictures: list[Image.Image] = []
        self.troubles: list[Trouble] = []
        self.replies: list[str] = []
        self.answer: Callable[[Image.Image, str], str] = self.look
        self.key: str | None = None
        self.refuses: set[str] = set()
        self.finish = "stop"
        self.usage: dict[str, int] | None = {"prompt_tokens": 900, "completion_tokens": 100}
        server = self

        class Handler(_Handler):
            vlm = server

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> VlmServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def look(self, picture: Image.Image, words: str) -> str:
        """The boxes of the things that were asked for, as the vendor's model writes them."""
        seen_wh = self.vendor.sees(*picture.size)
        seen = picture if seen_wh == picture.size else picture.resize(seen_wh)
        convention = CONVENTIONS[self.vendor.convention]
        items = []
        for phrase in asked_for(words):
            for xyxy in find(seen, COLOURS[phrase]) if phrase in COLOURS else []:
                inside = np.clip([xyxy], 0, [*seen.size, *seen.size])
                values = convention.encode(inside, seen.size)[0]
                if not convention.quantised and self.vendor.decimals is not None:
                    values = np.round(values, self.vendor.decimals)
                whole = convention.quantised or self.vendor.decimals == 0
                numbers = [int(v) if whole else float(v) for v in values]
                items.append({self.vendor.key: numbers, "label": phrase})
        return json.dumps({"boxes": items})


class _Handler(BaseHTTPRequestHandler):
    vlm: VlmServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        vlm = self.vlm
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        vlm.requests.append(asked)
        vlm.headers.append({name.lower(): value for name, value in self.headers.items()})
        if vlm.troubles:
            self._fail(vlm.troubles.pop(0))
            return
        if vlm.key and self.headers.get("Authorization") != f"Bearer {vlm.key}":
            said = f"Incorrect API key provided: {self.headers.get('Authorization')}"
            self._refuse(401, said, None)
            return
        if self.path != "/v1/chat/completions":
            self._refuse(404, "no such place", None)
            return
        for name in sorted(vlm.refuses):
            kind = asked.get("response_format", {}).get("type")
            if name in asked or name == kind:
                self._refuse(400, f"{name} is not supported", name if name in asked else None)
                return
        picture, words = _parts(asked)
        vlm.pictures.append(picture)
        text = vlm.replies.pop(0) if vlm.replies else vlm.answer(picture, words)
        answer = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": vlm.finish,
                }
            ],
        }
        if vlm.usage:
            answer["usage"] = {**vlm.usage, "total_tokens": sum(vlm.usage.values())}
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, message: str, param: str | None) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
        body = json.dumps({"error": error}).encode()
        self._send(status, body, {"Content-Type": "application/json"})

    def _fail(self, trouble: Trouble) -> None:
        time.sleep(trouble.wait)
        try:
            if trouble.cut:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "5000")
                self.end_headers()
                self.wfile.write(b'{"id": "chatcmpl-1", "choi')
                self.close_connection = True
                return
            self._send(trouble.status, trouble.body, trouble.headers)
        except (BrokenPipeError, ConnectionResetError):  # who asked has gone
            self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _parts(asked: dict[str, Any]) -> tuple[Image.Image, str]:
    """The picture and the words of a question, which must be a PNG and a text."""
    shown, said = asked["messages"][0]["content"]
    prefix, _, content = shown["image_url"]["url"].partition(",")
    assert prefix == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(content)), formats=["PNG"])
    picture.load()
    return picture, said["text"]

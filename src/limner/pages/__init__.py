"""Pages that limner writes: one base, one style sheet, one palette.

A page is one file that works opened from disk: its style and its script stand in it, and nothing is
fetched. Every value is escaped; what is markup says so.
"""

from __future__ import annotations

import base64
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.ops import palette

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colours"] = palette.ON_PAPER
    return environment


def render(template: str, **values: Any) -> str:
    """A page of ``templates/``; text in ``values`` shows as text, whatever it holds."""
    return _environment().get_template(f"{template}.html").render(values)


def script_json(value: Any) -> str:
    """JSON that can stand in a page's script: no text in it ends the script.

    Raises:
        ValueError: not a number, or endless.
    """
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    for sign in ("<", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def data_uri(picture: bytes, kind: str = "jpeg") -> str:
    """A picture's file, of a ``kind`` such as png, as what an ``<img>`` holds itself."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"

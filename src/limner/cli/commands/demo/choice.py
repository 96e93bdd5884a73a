"""What ``limner demo`` asks of its scene, measured and chosen by ``examples/scenes/choose.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILES = Path(__file__).parent / "files"
"""The inputs and the page's frame. The package is installed as ordinary files, never zipped."""

CHOICE: dict[str, Any] = json.loads((FILES / "choice.json").read_text(encoding="utf-8"))
FIND: str = CHOICE["find"]
"""A noun: the thing that is found, outlined, repainted and taken away."""
PAINT: str = CHOICE["paint"]
SEED: int = CHOICE["seed"]
ALIKE: dict[str, str] = CHOICE["alike"]
"""``noun``, of which the scene has three, and ``example``, the box of one."""
PAIR: dict[str, Any] = CHOICE["pair"]
"""``box`` around two ``things`` that overlap, and ``clicks``, one on each."""

"""One small model of every family, made as a user's would be: a folder on disk, loaded by catalog.

A new family adds a row here and gets every contract test.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from limner.models import catalog, store
from limner.models.runtime import ModelPool
from limner.models.source import Runtime
from tests.models.tiny_encoders import save_tiny_blip, save_tiny_clip, save_tiny_dino
from tests.models.tiny_owlvit import save_tiny_owlvit
from tests.models.tiny_qwen import save_tiny_qwen
from tests.models.tiny_sam import save_tiny_sam
from tests.models.tiny_sd import save_tiny_sd
from tests.vlm_server import VlmServer, asked_for

CAT = {"bbox_2d": [45, 29, 115, 99], "label": "a cat"}
"""What the vision-language models say, whatever they see."""


@dataclass(frozen=True)
class Family:
    """``save`` writes a tiny real-class model; None for families without weights."""

    name: str
    task: str
    weightless: str = ""
    save: Callable[[Path], Any] | None = None

    def __str__(self) -> str:
        return self.weightless or self.name


FAMILIES = (
    Family("grabcut", "segment", weightless="grabcut"),
    Family("haar", "detect", weightless="haar"),
    Family("opencv_inpaint", "inpaint", weightless="opencv-inpaint"),
    Family("sam", "segment", save=save_tiny_sam),
    Family("owlvit", "detect", save=save_tiny_owlvit),
    Family("stable_diffusion", "inpaint", save=save_tiny_sd),
    Family("clip", "encode", save=save_tiny_clip),
    Family("dino", "encode", save=save_tiny_dino),
    Family("blip", "caption", save=save_tiny_blip),
    Family("vlm", "detect", weightless="vlm:gpt-4o"),
    Family("qwen_vl", "detect", save=partial(save_tiny_qwen, says=json.dumps([CAT]))),
)


def of(task: str) -> list[Family]:
    return [family for family in FAMILIES if family.task == task]


@cache
def endpoint() -> VlmServer:
    """The server behind ``vlm:gpt-4o``; it ends with the process."""
    server = VlmServer()
    server.answer = lambda _, words: json.dumps([{**CAT, "label": p} for p in asked_for(words)])
    return server.__enter__()


def load(family: Family, folder: Path) -> Any:
    """The model, through the store and the pool as a session would have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        if family.name == "vlm":
            patch.setenv("LIMNER_VLM_URL", endpoint().url)
        if family.save is None:
            weights = store.find(catalog.resolve(family.weightless)[0].name)
        else:
            family.save(folder)
            weights = store.from_folder(folder)
        return ModelPool().get(weights, Runtime())

"""One small model of every family, made as a user's would be: a folder on disk, loaded by catalog.

A new family adds a row here and gets every contract test.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from limner.registry import store
from limner.registry.pool import ModelPool
from limner.registry.resolve import resolve
from limner.registry.weights import Runtime
from tests.models.tiny_birefnet import save_tiny_birefnet
from tests.models.tiny_edgetam import save_tiny_edgetam
from tests.models.tiny_encoders import save_tiny_blip, save_tiny_clip, save_tiny_dino
from tests.models.tiny_faces import save_tiny_centerface
from tests.models.tiny_fastsam import save_tiny_fastsam
from tests.models.tiny_fill import save_tiny_fill
from tests.models.tiny_florence import save_tiny_florence
from tests.models.tiny_grounding_dino import save_tiny_grounding_dino
from tests.models.tiny_lama import save_tiny_lama
from tests.models.tiny_owlvit import save_tiny_owlvit
from tests.models.tiny_qwen import save_tiny_qwen
from tests.models.tiny_sam import save_tiny_sam
from tests.models.tiny_sam2 import save_tiny_sam2, save_tiny_sam_hq
from tests.models.tiny_sam3 import save_tiny_sam3
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
    also: tuple[str, ...] = ()
    """Other tasks of the same model."""
    save: Callable[[Path], Any] | None = None
    needs: str = ""
    """A package that no development environment has."""

    def __str__(self) -> str:
        return self.weightless or self.name


ALL = (
    Family("grabcut", "segment", weightless="grabcut"),
    Family("haar", "detect", weightless="haar"),
    Family("faces", "detect", save=save_tiny_centerface),
    Family("opencv_inpaint", "inpaint", weightless="opencv-inpaint"),
    Family("sam", "segment", save=save_tiny_sam),
    Family("fastsam", "segment", save=save_tiny_fastsam),
    Family("sam_hq", "segment", save=save_tiny_sam_hq),
    Family("sam2", "segment", save=save_tiny_sam2),
    Family("edgetam", "segment", save=save_tiny_edgetam, needs="timm"),
    Family("sam3", "detect", save=save_tiny_sam3),
    Family("owlvit", "detect", save=save_tiny_owlvit),
    Family("stable_diffusion", "inpaint", save=save_tiny_sd),
    Family("diffusion_fill", "inpaint", save=save_tiny_fill),
    Family("lama", "inpaint", save=save_tiny_lama),
    Family("clip", "encode", save=save_tiny_clip),
    Family("dino", "encode", save=save_tiny_dino),
    Family("blip", "caption", save=save_tiny_blip),
    Family("grounding_dino", "detect", save=save_tiny_grounding_dino),
    Family("florence", "detect", also=("caption", "segment"), save=save_tiny_florence),
    Family("middle", "matte", weightless="grabcut-middle"),
    Family("birefnet", "matte", save=save_tiny_birefnet),
    Family("vlm", "detect", weightless="vlm:gpt-4o"),
    Family("qwen_vl", "detect", save=partial(save_tiny_qwen, says=json.dumps([CAT]))),
)
FAMILIES = tuple(family for family in ALL if not family.needs or find_spec(family.needs))


def of(task: str) -> list[Family]:
    return [family for family in FAMILIES if task in (family.task, *family.also)]


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
            weights = store.find(resolve(family.weightless)[0].name)
        else:
            family.save(folder)
            weights = store.from_folder(folder)
        return ModelPool().get(weights, Runtime())

"""The shipped models, loaded as a user loads them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from PIL import Image

from limner import Session
from limner.protocols import Captioner, Detector, Encoder, Segmenter
from limner.registry import bundled
from minis.scene import Pixels


class ShippedModels:
    """limner's own adapters, by the profile ``mini``; each is loaded when it is first needed."""

    @cached_property
    def session(self) -> Session:
        """The profile as it is."""
        return session_with({})

    @cached_property
    def canvas_session(self) -> Session:
        """mini-sd repaints."""
        return session_with({"inpaint": "mini-sd"})

    @property
    def segmenter(self) -> Segmenter:
        return self.session.models.segmenter

    @property
    def detector(self) -> Detector:
        return self.session.models.detector

    @property
    def encoder(self) -> Encoder:
        return self.session.models.encoder

    @property
    def captioner(self) -> Captioner:
        return self.session.models.captioner

    @cached_property
    def instance_encoder(self) -> Encoder:
        """mini-dino."""
        return session_with({"encode": "mini-dino"}).models.encoder


def session_with(models: Mapping[str, str]) -> Session:
    """The profile with other models for some tasks; everywhere computed alike."""
    return Session(profile="mini", models=models, device="cpu", dtype="float32")


def is_there(name: str) -> bool:
    """Whether a mini's weights lie in the package."""
    return any(bundled.folder(name).rglob("*.safetensors"))


def pictured(image: Pixels) -> Image.Image:
    """(H, W, 3) RGB as limner's adapters take it."""
    return Image.fromarray(image)

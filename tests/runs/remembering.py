"""Trackers for tests: one that remembers all it is told, one that fails at everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from PIL.Image import Image

from limner.trackers.protocol import Layer


class Remembering:
    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.tags: list[str] = []
        self.numbers: dict[int | None, dict[str, float]] = {}
        self.images: dict[str, tuple[Image, Sequence[Layer], int | None]] = {}
        self.files: dict[str, bytes] = {}
        self.artifacts: dict[str, Mapping[str, bytes]] = {}
        self.times_set = self.times_ended = 0

    def parameters(self, values: Mapping[str, str | float | bool]) -> None:
        self.settings |= values
        self.times_set += 1

    def tag(self, names: Sequence[str]) -> None:
        self.tags += names

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        self.numbers[step] = dict(values)

    def save_image(
        self, name: str, image: Image, layers: Sequence[Layer] = (), step: int | None = None
    ) -> None:
        self.images[name] = (image, layers, step)

    def save_file(self, name: str, data: bytes, step: int | None = None) -> None:
        self.files[name] = data

    def save_artifact(self, name: str, kind: str, files: Mapping[str, bytes]) -> None:
        self.artifacts[name] = files

    def end(self) -> str:
        self.times_ended += 1
        return "memory"


class Failing:
    """Prints, warns and raises at every call."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> NoReturn:
            print("chatter")
            raise RuntimeError("the server is gone\nand more that nobody wants to read")

        if name.startswith("_"):
            raise AttributeError(name)
        return fail


opened: list[Remembering] = []


def open_remembering(folder: Path) -> Remembering:
    opened.append(Remembering())
    return opened[-1]


def open_failing(folder: Path) -> Failing:
    return Failing()


def open_unopenable(folder: Path) -> NoReturn:
    raise ConnectionError("no route")

"""TensorBoard and Weights & Biases, through accelerate's trackers.

Of accelerate's others, Comet and Trackio have files of their own here, because accelerate passes no
pictures to them; MLflow, Aim, ClearML, DVCLive and SwanLab are not offered: they take no pictures
through accelerate or need a server.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.protocols import Layer
from limner.runs import sinks

if TYPE_CHECKING:
    from PIL.Image import Image


def open_tensorboard(folder: Path) -> Accelerated:
    """Event files in a folder for each experiment; ``tensorboard --logdir`` shows them."""
    from accelerate.tracking import TensorBoardTracker

    folder.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    tracker = TensorBoardTracker(name, logging_dir=str(folder))
    tracker.start()

    def add_text(name: str, text: str) -> None:
        # Indented: Markdown shows it as it stands.
        tracker.writer.add_text(name, "    " + text.replace("\n", "\n    "))

    return Accelerated(tracker, add_text, f"{folder} (tensorboard --logdir {folder})")


def open_wandb(folder: Path) -> Accelerated:
    """Online with ``WANDB_API_KEY`` or a ``WANDB_MODE`` that says so, else a folder to sync."""
    from accelerate.tracking import WandBTracker

    folder.mkdir(parents=True, exist_ok=True)
    online = os.environ.get("WANDB_MODE", "online") == "online" and "WANDB_API_KEY" in os.environ
    tracker = WandBTracker(
        sinks.PROJECT, dir=str(folder), mode="online" if online else "offline", save_code=False
    )
    tracker.start()

    def add_text(name: str, text: str) -> None:
        tracker.run.summary[name] = text

    where = str(tracker.run.url) if online else f"{folder} (wandb sync {folder}/wandb/offline-*)"
    return Accelerated(tracker, add_text, where)


class Accelerated:
    """A ``Recorder`` over one of accelerate's trackers, started.

    Args:
        tracker: has ``store_init_configuration``, ``log``, ``log_images`` and ``finish``.
        add_text: puts a name and a text where the tracker keeps texts; files of other kinds it
            doesn't keep.
        where: what ``end`` returns.
    """

    def __init__(self, tracker: Any, add_text: Callable[[str, str], None], where: str) -> None:
        self._tracker = tracker
        self._add_text = add_text
        self._where = where

    def parameters(self, values: Mapping[str, str | float | bool]) -> None:
        self._tracker.store_init_configuration(dict(values))

    def tag(self, names: Sequence[str]) -> None:
        self._add_text("tags", ", ".join(names))

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        self._tracker.log(dict(values), step=step)

    def save_image(
        self, name: str, image: Image, layers: Sequence[Layer] = (), step: int | None = None
    ) -> None:
        import numpy as np

        batch = np.asarray(image.convert("RGB"))[None]  # (1, H, W, 3) uint8
        # Only TensorBoard must be told the order, and only it takes the word.
        order = {"dataformats": "NHWC"} if self._tracker.name == "tensorboard" else {}
        self._tracker.log_images({name: batch}, step=step, **order)

    def save_file(self, name: str, data: bytes, step: int | None = None) -> None:
        if name.endswith((".json", ".txt")):
            self._add_text(name, data.decode("utf-8"))

    def save_artifact(self, name: str, kind: str, files: Mapping[str, bytes]) -> None:
        """Neither keeps files through accelerate: what is text in them came by ``save_file``."""

    def end(self) -> str:
        self._tracker.finish()
        return self._where

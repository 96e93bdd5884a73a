"""TensorBoard, through accelerate's tracker: event files in a folder, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.trackers.protocol import Layer

if TYPE_CHECKING:
    from PIL.Image import Image


def open_tensorboard(folder: Path) -> TensorBoard:
    """Event files in a folder for each experiment; ``tensorboard --logdir`` shows them."""
    from accelerate.tracking import TensorBoardTracker

    folder.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    tracker = TensorBoardTracker(name, logging_dir=str(folder))
    tracker.start()
    return TensorBoard(tracker, folder)


class TensorBoard:
    """A tracker over accelerate's ``TensorBoardTracker``, started."""

    def __init__(self, tracker: Any, folder: Path) -> None:
        self._tracker = tracker
        self._folder = folder

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
        self._tracker.log_images({name: batch}, step=step, dataformats="NHWC")

    def save_file(self, name: str, data: bytes, step: int | None = None) -> None:
        if name.endswith((".json", ".txt")):
            self._add_text(name, data.decode("utf-8"))

    def save_artifact(self, name: str, kind: str, files: Mapping[str, bytes]) -> None:
        """TensorBoard keeps no files: what is text in them came by ``save_file``."""

    def end(self) -> str:
        self._tracker.finish()
        return f"{self._folder} (tensorboard --logdir {self._folder})"

    def _add_text(self, name: str, text: str) -> None:
        # Indented: Markdown shows it as it stands.
        self._tracker.writer.add_text(name, "    " + text.replace("\n", "\n    "))

"""Trackio: a database on this machine, looked at with ``trackio show``.

It goes online where Trackio's own settings say so (``TRACKIO_SPACE_ID``, ``TRACKIO_SERVER_URL``).
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from limner import trackers
from limner.trackers.protocol import Layer

if TYPE_CHECKING:
    from PIL.Image import Image

FOLDER = "TRACKIO_DIR"
"""Trackio's own setting of where it keeps things; it is read once, when Trackio is imported."""

_ONLINE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


def open_trackio(folder: Path) -> Trackio:
    """A run in ``folder``, or where ``TRACKIO_DIR`` says.

    Trackio sets its configuration once, at the start: it is opened by ``parameters``.
    """
    os.environ.setdefault(FOLDER, str(folder.absolute()))
    return Trackio(Path(os.environ[FOLDER]), online=any(map(os.environ.get, _ONLINE)))


class Trackio:
    """A ``Tracker`` over a Trackio run."""

    def __init__(self, folder: Path, *, online: bool) -> None:
        self._folder = folder
        self._online = online
        self._run: Any = None

    def parameters(self, values: Mapping[str, str | float | bool]) -> None:
        import trackio

        with _hub_left_alone(not self._online):
            self._run = trackio.init(
                project=trackers.PROJECT,
                config=dict(values),
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def tag(self, names: Sequence[str]) -> None:
        """Trackio has no tags; its table of runs can be filtered by its settings."""
        self._run.config["tags"] = ", ".join(names)

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        self._run.log(dict(values), step=step)

    def save_image(
        self, name: str, image: Image, layers: Sequence[Layer] = (), step: int | None = None
    ) -> None:
        import trackio

        self._run.log({name: trackio.Image(image, caption=name)}, step=step)

    def save_file(self, name: str, data: bytes, step: int | None = None) -> None:
        self.save_artifact(name.replace("/", "-"), "file", {PurePosixPath(name).name: data})

    def save_artifact(self, name: str, kind: str, files: Mapping[str, bytes]) -> None:
        import trackio

        artifact = trackio.Artifact(artifact_name(name), type=kind, description=name)
        with tempfile.TemporaryDirectory() as temporary:
            for file, data in files.items():
                path = Path(temporary) / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            artifact.add_dir(temporary)
            self._run.log_artifact(artifact)

    def end(self) -> str:
        import trackio

        trackio.finish()
        if self._online:
            return f"trackio project {trackers.PROJECT}"
        return f"{self._folder} ({FOLDER}={self._folder} trackio show --project {trackers.PROJECT})"


def artifact_name(name: str) -> str:
    """A name of the letters that Trackio takes for artifacts, others than which it refuses; two
    names stay two. The description holds the whole one."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    if plain == name:
        return name
    return f"{plain}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


@contextmanager
def _hub_left_alone(alone: bool) -> Iterator[None]:
    """Trackio asks the hub for the user's name, even for a run that stays on this machine."""
    from huggingface_hub import constants

    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = alone or was_offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline

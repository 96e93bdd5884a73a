"""Comet: online where an API key is configured, otherwise an archive on this machine.

Formats: https://www.comet.com/docs/v2/guides/tracking-ml-training/image-annotations/ (boxes are
x, y, width, height; a polygon is one flat list of x and y).
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import trackers
from limner.trackers.protocol import Layer, Mark

if TYPE_CHECKING:
    from PIL.Image import Image

_NOTHING_BY_ITSELF: dict[str, Any] = {
    "log_code": False,
    "log_graph": False,
    "auto_param_logging": False,
    "auto_metric_logging": False,
    "auto_output_logging": False,
    "auto_log_co2": False,
    "parse_args": False,
    "log_env_details": False,
    "log_git_metadata": False,
    "log_git_patch": False,
    "display_summary_level": 0,
}
"""Comet would also take the command line, the environment, the repository: where keys lie about."""

_BEFORE_IMPORT = {
    "COMET_DISABLE_AUTO_LOGGING": "1",  # no patches to torch and others
    "COMET_ERROR_TRACKING_ENABLE": "false",  # no reports of its own errors over the network
}


def open_comet(folder: Path) -> Comet:
    """An experiment: Comet's ``Experiment`` with a key, else ``OfflineExperiment`` in ``folder``.

    The key and the project are Comet's own settings: ``COMET_API_KEY`` and ``COMET_PROJECT_NAME``,
    or ``~/.comet.config``.
    """
    for name, value in _BEFORE_IMPORT.items():
        os.environ.setdefault(name, value)
    import comet_ml
    from comet_ml import config as settings

    # Its console says at length what was logged; what goes wrong is still heard.
    logging.getLogger("comet_ml").setLevel(logging.ERROR)
    config = settings.get_config()
    project = config["comet.project_name"] or trackers.PROJECT
    if settings.get_api_key(None, config):
        online = comet_ml.Experiment(project_name=project, **_NOTHING_BY_ITSELF)
        return Comet(online, online=True)
    folder.mkdir(parents=True, exist_ok=True)
    offline = comet_ml.OfflineExperiment(
        project_name=project, offline_directory=str(folder), **_NOTHING_BY_ITSELF
    )
    return Comet(offline, online=False)


class Comet:
    """A ``Tracker`` over a Comet experiment.

    Args:
        experiment: an ``Experiment`` or an ``OfflineExperiment``.
    """

    def __init__(self, experiment: Any, *, online: bool) -> None:
        self._experiment = experiment
        self._online = online
        # Comet reads files later, from a thread; of bytes it would put two copies in its archive.
        self._waiting = tempfile.TemporaryDirectory(prefix="limner-comet-")
        self._count = 0

    def parameters(self, values: Mapping[str, str | float | bool]) -> None:
        self._experiment.log_parameters(dict(values))

    def tag(self, names: Sequence[str]) -> None:
        self._experiment.add_tags(list(names))

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        self._experiment.log_metrics(dict(values), step=step)

    def save_image(
        self, name: str, image: Image, layers: Sequence[Layer] = (), step: int | None = None
    ) -> None:
        annotations = [annotation_layer(layer) for layer in layers]
        self._experiment.log_image(image, name=name, annotations=annotations or None, step=step)

    def save_file(self, name: str, data: bytes, step: int | None = None) -> None:
        self._experiment.log_asset(self._laid_down(data), file_name=name, step=step)

    def save_artifact(self, name: str, kind: str, files: Mapping[str, bytes]) -> None:
        """Offline, Comet knows no artifacts (``OfflineExperiment.log_artifact`` raises): the files
        are assets under ``artifacts/<name>``, whose metadata says what they belong to."""
        if not self._online:
            fields = {"artifact": name, "artifact_type": kind}
            for file, data in files.items():
                asset = f"artifacts/{name}/{file}"
                path = self._laid_down(data)
                self._experiment.log_asset(path, file_name=asset, metadata=fields)
            return
        import comet_ml

        artifact = comet_ml.Artifact(name, kind)
        for file, data in files.items():
            artifact.add(self._laid_down(data), logical_path=file)
        self._experiment.log_artifact(artifact)

    def end(self) -> str:
        self._experiment.end()
        self._waiting.cleanup()
        if self._online:
            return str(self._experiment.url)
        archive = Path(self._experiment.offline_directory) / f"{self._experiment.get_key()}.zip"
        return f"{archive} (comet upload {archive} sends it)"

    def _laid_down(self, data: bytes) -> str:
        """A file with these bytes that stays until the end."""
        self._count += 1
        path = Path(self._waiting.name) / str(self._count)
        path.write_bytes(data)
        return str(path)


def annotation_layer(layer: Layer) -> dict[str, Any]:
    """A layer in Comet's format."""
    return {"name": layer.name, "data": [_annotation(mark) for mark in layer.marks]}


def _annotation(mark: Mark) -> dict[str, Any]:
    annotation: dict[str, Any] = {"label": mark.label, "score": mark.score}
    if mark.boxes:
        annotation["boxes"] = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in mark.boxes]
    if mark.outlines:
        annotation["points"] = [
            [side for corner in line for side in corner] for line in mark.outlines
        ]
    return annotation

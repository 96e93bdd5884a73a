"""Real trackers, offline: one command tells all of them, and what each kept is opened and read.

The command runs in a process of its own, in which a socket that is connected is written down.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import types
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import limner
from limner.trackers import TRACKERS, comet

PHOTO = Path(__file__).parents[2] / "examples" / "photos" / "astronaut.png"
SECRET = "hf_ThisIsNobodysKeyButMustNotLeak"

# Connections to a file of this machine (AF_UNIX) are no network.
GUARDED = """
import os, socket, sys
def refuse(self, address, *rest):
    if self.family == socket.AF_UNIX:
        return connect(self, address, *rest)
    open("network.txt", "a").write(f"{address}\\n")
    raise OSError("no network in this test")
connect, look_up = socket.socket.connect, socket.getaddrinfo
socket.socket.connect = socket.socket.connect_ex = refuse
def refuse_name(host, *rest, **more):
    if host in (None, "", "127.0.0.1", "localhost", socket.gethostname()):
        return look_up(host, *rest, **more)
    open("network.txt", "a").write(f"{host}\\n")
    raise OSError("no network in this test")
socket.getaddrinfo = refuse_name
from limner.cli import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Tracked:
    """What one ``limner remove --track …`` left behind."""

    folder: Path
    answer: dict[str, Any]
    stderr: str

    def archive(self) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
        """Comet's messages, and its files by their names in the archive."""
        (path,) = (self.folder / "kept" / "comet").glob("*.zip")
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        lines = files["messages.json"].decode().splitlines()
        return [json.loads(line) for line in lines], files


NAMES = ("comet", "trackio", "tensorboard")


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    missing = [n for n in NAMES if find_spec(TRACKERS[n].package) is None]
    if missing:
        pytest.skip(f"TRACKERS MISSING: {', '.join(missing)}; install limner[{','.join(NAMES)}].")
    folder = tmp_path_factory.mktemp("tracked")
    Image.open(PHOTO).crop((160, 40, 280, 160)).save(folder / "face.png")
    words = ["remove", "face.png", "--box", "20,15,100,110", "-o", "out.png", "--json"]
    words += ["--track", ",".join(NAMES), "--track-to", "kept"]
    unset = ("COMET_", "TRACKIO_", "WANDB_", "LIMNER_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    env |= {"HOME": str(folder), "HF_TOKEN": SECRET, "HF_HOME": str(folder / "hf")}
    env["PYTHONPATH"] = str(Path(limner.__file__).parents[1])  # whatever folder it runs in
    env.pop("HF_HUB_OFFLINE", None)  # so that staying off the network is our doing
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, *words],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Tracked(folder, json.loads(done.stdout), done.stderr)


def test_standard_output_is_the_commands_own_and_each_place_is_said(tracked: Tracked) -> None:
    assert tracked.answer["verb"] == "remove"
    assert "stopped tracking" not in tracked.stderr
    assert tracked.stderr.count("limner: tracked in") == len(NAMES)
    assert "COMET" not in tracked.stderr


def test_nothing_is_asked_of_the_network(tracked: Tracked) -> None:
    log = tracked.folder / "network.txt"
    assert not log.exists(), log.read_text()


def test_no_key_of_the_environment_is_kept(tracked: Tracked) -> None:
    _, archived = tracked.archive()
    kept = [p.read_bytes() for p in (tracked.folder / "kept").rglob("*") if p.is_file()]
    assert len(kept) > 5
    assert [data for data in (*kept, *archived.values()) if SECRET.encode() in data] == []


def test_comets_archive_holds_settings_numbers_and_tags(tracked: Tracked) -> None:
    messages, files = tracked.archive()
    bodies = [message["payload"] for message in messages]
    settings = {b["param"]["paramName"]: b["param"]["paramValue"] for b in bodies if b.get("param")}
    assert settings["verb"] == "remove"
    assert settings["models.segment"].startswith("grabcut")
    numbers = {
        b["metric"]["metricName"]: b["metric"]["metricValue"] for b in bodies if b.get("metric")
    }
    assert float(numbers["edit/outside_changed_pixels"]) == 0
    assert float(numbers["seconds/inpaint"]) > 0
    about = json.loads(files["experiment.json"])
    assert about["project_name"] == "limner"
    assert {"limner", "remove", "grabcut"} <= set(about["tags"])


def test_comets_picture_has_boxes_and_masks_as_separate_layers(tracked: Tracked) -> None:
    uploads, files = comet_uploads(tracked)
    picture = uploads["face/input"]
    layers = {layer["name"]: layer["data"] for layer in picture["metadata"]["annotations"]}
    assert list(layers) == ["boxes", "masks", "prompts"]
    (box,), (mask,) = layers["boxes"], layers["masks"]
    assert box["score"] == mask["score"]
    assert box["label"] == mask["label"]
    (x, y, width, height) = box["boxes"][0]
    xs, ys = mask["points"][0][::2], mask["points"][0][1::2]
    assert x - 1 <= min(xs) < max(xs) <= x + width + 1
    assert y - 1 <= min(ys) < max(ys) <= y + height + 1
    assert files[picture["file_path"]].startswith(b"\x89PNG")
    assert {"face/overlay", "face/output"} <= set(uploads)


def test_comets_archive_holds_the_record_and_the_artifacts_files(tracked: Tracked) -> None:
    uploads, files = comet_uploads(tracked)
    record = json.loads(files[uploads["face/record.json"]["file_path"]])
    assert record["job"] == tracked.answer["job"]
    for name in ("record.json", "found.json", "input.png", "output.png"):
        asset = uploads[f"artifacts/remove-face/{name}"]
        assert asset["metadata"]["artifact"] == "remove-face"
        assert files[asset["file_path"]]


def comet_uploads(tracked: Tracked) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """What Comet would upload, by the names it shows, and the archive's files."""
    messages, files = tracked.archive()
    found = {}
    for message in messages:
        if message["type"] == "file_upload":
            payload = message["payload"]
            shown = payload["additional_params"]
            found[shown.get("figName") or shown["fileName"]] = payload
    assert len(files) == len(found) + 2, "each file once, besides the two that describe them"
    return found, files


def test_trackios_database_holds_settings_numbers_and_pictures(tracked: Tracked) -> None:
    folder = tracked.folder / "kept" / "trackio"
    with sqlite3.connect(folder / "limner.db") as database:
        ((settings,),) = database.execute("select config from configs").fetchall()
        rows = database.execute("select step, metrics from metrics").fetchall()
        artifacts = database.execute("select name, type from artifacts").fetchall()
    database.close()
    settings = json.loads(settings)
    assert settings["verb"] == "remove"
    assert settings["tags"].startswith("limner, remove, grabcut")
    assert settings["_Username"] is None  # the hub wasn't asked
    assert {step for step, _ in rows} == {0}
    told = {name: value for _, values in rows for name, value in json.loads(values).items()}
    assert told["edit/outside_changed_pixels"] == 0
    for part in ("input", "overlay", "output"):
        about = told[f"face/{part}"]
        with Image.open(folder / "media" / about["file_path"]) as picture:
            assert picture.size == (120, 120)
    assert ("remove-face", "limner-run") in artifacts


def test_tensorboards_events_hold_numbers_pictures_and_the_record(tracked: Tracked) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = (tracked.folder / "kept" / "tensorboard").glob("*/events*")
    events = EventAccumulator(str(file.parent))
    events.Reload()
    tags = events.Tags()
    assert {"seconds/inpaint", "edit/seam"} <= set(tags["scalars"])
    assert {"face/input", "face/overlay", "face/output"} <= set(tags["images"])
    assert events.Images("face/output")[0].width == 120
    text = events.Tensors("face/record.json/text_summary")[0].tensor_proto.string_val[0]
    assert tracked.answer["job"].encode() in text


class FakeExperiment:
    """Comet's ``Experiment`` needs its server; this one keeps what it is told."""

    url = "https://www.comet.com/nobody/limner/1"

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.artifacts: list[Any] = []

    def log_artifact(self, artifact: Any) -> None:
        self.artifacts.append(artifact)

    def end(self) -> None: ...


class FakeArtifact:
    def __init__(self, name: str, artifact_type: str) -> None:
        self.name, self.type = name, artifact_type
        self.files: dict[str, bytes] = {}

    def add(self, path: str, logical_path: str) -> None:
        self.files[logical_path] = Path(path).read_bytes()


@pytest.fixture
def comet_with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for ``comet_ml`` on a machine where a key is configured."""
    package, config = types.ModuleType("comet_ml"), types.ModuleType("comet_ml.config")
    package.Experiment = FakeExperiment  # type: ignore[attr-defined]
    package.Artifact = FakeArtifact  # type: ignore[attr-defined]
    config.get_config = lambda: {"comet.project_name": None}  # type: ignore[attr-defined]
    config.get_api_key = lambda given, settings: SECRET  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comet_ml", package)
    monkeypatch.setitem(sys.modules, "comet_ml.config", config)
    for name in ("COMET_DISABLE_AUTO_LOGGING", "COMET_ERROR_TRACKING_ENABLE"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))


def test_with_a_key_comet_is_online_and_takes_nothing_by_itself(
    comet_with_key: None, tmp_path: Path
) -> None:
    recorder = comet.open_comet(tmp_path / "comet")
    made = recorder._experiment
    recorder.save_artifact("remove-face", "limner-run", {"record.json": b"{}"})
    assert recorder.end() == made.url
    assert made.settings.pop("project_name") == "limner"
    assert "api_key" not in made.settings
    assert set(map(bool, made.settings.values())) == {False}
    (artifact,) = made.artifacts
    assert (artifact.name, artifact.type) == ("remove-face", "limner-run")
    assert artifact.files == {"record.json": b"{}"}
    assert not (tmp_path / "comet").exists()

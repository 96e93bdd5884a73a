"""Pictures from words as runs: kept, made again, told to trackers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import OptionError, StoreError
from limner.runs.entries import PICTURE, Labels
from limner.runs.export_zip import write_zip
from limner.runs.import_zip import import_zip
from limner.runs.store import Store
from limner.session import Generated, Session
from limner.session.replay import replay
from limner.session.track import record_generated
from tests.models.tiny_sd import save_tiny_lora, save_tiny_sd

FEW: dict[str, Any] = {"num_inference_steps": 2}


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sd(tmp_path_factory.mktemp("words") / "painter", kind="text2img")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "runs")


def test_a_run_keeps_each_picture_and_is_made_again_to_the_pixel(painter, store):
    """With the seed that was drawn, which nobody had given; the second run knows its first."""
    session = Session(generate=str(painter), store=store, labels=Labels(tags=("dogs",)))
    pictures = session.generate("a dog", "a cat", num_images_per_prompt=2, width=72, **FEW)
    entry = store.get(str(pictures.id))
    assert (entry.row.verb, entry.row.words, entry.row.status) == ("generate", "a dog", "done")
    assert entry.row.seed == pictures.seeds[0]
    assert entry.row.tags == ("dogs",)
    assert entry.asked["settings"] == {
        "paint": {"phrase": "a dog", "negative": "a cat"},
        "canvas": {"width": 72},
        "inpaint": {"num_images_per_prompt": 2, **FEW},
    }
    files = [store.files.load(file.name) for file in entry.of_role(PICTURE)]
    assert len(files) == 2
    again = replay(store, entry.id)
    assert isinstance(again.run, Generated)
    assert again.differing == {"picture 0": 0, "picture 1": 0}
    assert again.changed == ()
    assert again.run.seeds == pictures.seeds
    assert store.get(str(again.run.id)).labels.parent == entry.id
    assert store.find_by_record(pictures.record_of(1)).id == entry.id  # type: ignore[union-attr]


def test_a_replay_says_what_changed_meanwhile(tmp_path, store):
    """Other weights in the folder give another picture: it is counted, and the file is named."""
    folder = save_tiny_sd(tmp_path / "painter", kind="text2img")
    run = Session(generate=str(folder), store=store).generate("a dog", seed=3, **FEW)
    save_tiny_sd(folder, kind="text2img", seed=9)
    again = replay(store, str(run.id))
    assert again.pixels > 0
    assert any("files changed" in sentence for sentence in again.changed)


def test_a_subject_and_another_prompt_are_other_jobs(painter, tmp_path, store):
    """What decides the picture is in the job's digest: by it a result is known."""
    lora = save_tiny_lora(tmp_path / "pack", painter)
    plain = Session(generate=str(painter), store=store)
    taught = Session(generate=str(painter), store=store, subjects={str(lora): 1.0})
    runs = [
        plain.generate("a dog", seed=1, **FEW),
        plain.generate("a cat", seed=1, **FEW),
        taught.generate("a dog", seed=1, **FEW),
    ]
    assert len({store.get(str(run.id)).job for run in runs}) == 3
    again = replay(store, str(runs[2].id))
    assert (again.pixels, again.changed) == (0, ())


def test_what_fails_is_a_failed_run_and_what_is_refused_is_none(painter, store):
    session = Session(generate=str(painter), store=store)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.generate("a dog", seed=1, on_step=stop, **FEW)
    (entry,) = store.entries()
    assert (entry.row.status, entry.files) == ("failed", ())
    with pytest.raises(StoreError, match="failed: only a run that was done"):
        replay(store, entry.id)
    with pytest.raises(OptionError):
        session.generate("a dog", width=63, **FEW)
    assert len(store.entries()) == 1


def test_it_is_exported_and_taken_in_elsewhere(painter, store, tmp_path):
    """A run without an input goes the same way as the others."""
    run = Session(generate=str(painter), store=store).generate("a dog", seed=1, **FEW)
    write_zip(store.entries(), store.files, tmp_path / "runs.zip", overwrite=False)
    other = Store.open(tmp_path / "other")
    assert import_zip(other, tmp_path / "runs.zip").ids == (run.id,)
    assert replay(other, str(run.id)).pixels == 0


class Listener:
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.tags: list[str] = []
        self.numbers: dict[str, float] = {}
        self.pictures: dict[str, Image.Image] = {}
        self.files: dict[str, bytes] = {}
        self.artifacts: dict[str, Mapping[str, bytes]] = {}

    def parameters(self, values: Mapping[str, Any]) -> None:
        self.settings |= values

    def tag(self, names: Sequence[str]) -> None:
        self.tags += names

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        self.numbers |= values

    def save_image(
        self, name: str, image: Image.Image, layers: Any = (), step: int | None = None
    ) -> None:
        self.pictures[name] = image

    def save_file(self, name: str, data: bytes, step: int | None = None) -> None:
        self.files[name] = data

    def save_artifact(self, name: str, kind: str, files: Mapping[str, bytes]) -> None:
        self.artifacts[name] = files

    def end(self) -> str:
        return ""


def test_trackers_are_told_settings_seeds_and_every_picture(painter, store):
    """By a name that any tracker can have, whatever the prompt holds."""
    session = Session(generate=str(painter), store=store)
    run = session.generate("a dog: in/out", seed=5, num_images_per_prompt=2, **FEW)
    listener = Listener()
    record_generated([listener], run)
    assert listener.settings["verb"] == "generate"
    assert listener.settings["options.prompt"] == "a dog: in/out"
    assert listener.settings["options.num_inference_steps"] == 2
    assert {"limner", "generate", "painter"} <= set(listener.tags)
    assert (listener.numbers["seed/0"], listener.numbers["seed/1"]) == (5, 6)
    assert listener.numbers["seconds/generate"] > 0
    assert list(listener.pictures) == ["a dog- in-out/output-0", "a dog- in-out/output-1"]
    np.testing.assert_array_equal(
        np.asarray(listener.pictures["a dog- in-out/output-1"]), np.asarray(run.images[1])
    )
    record = json.loads(listener.files["a dog- in-out/record.json"])
    assert record["run"] == run.id
    assert set(listener.artifacts["generate-a dog- in-out"]) == {
        "record.json",
        "output-0.png",
        "output-1.png",
    }

"""Which models a session means: known by their files, and never refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from limner.registry import lock, store
from limner.session import Session


def copied(home: Path, name: str, weights: bytes = b"weights") -> Path:
    folder = home / "models" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "sam"}')
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def identity(segment: str, **how: Any) -> str:
    return Session(models={"segment": segment}, **how).models.identities()["segment"]


def test_models_are_known_by_task_and_only_those_asked_for() -> None:
    models = Session().models
    known = {"segment": "grabcut", "detect": "haar", "inpaint": "opencv-inpaint"}
    known |= {"matte": "grabcut-middle"}
    assert models.identities() == known
    assert models.identities(["detect", "caption"]) == {"detect": "haar"}


def test_a_pulled_model_is_known_by_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = set()
    for weights in (b"weights", b"others!"):
        home = tmp_path / weights.decode()
        monkeypatch.setenv("LIMNER_HOME", str(home))
        assert identity("sam-vit-base") == "sam-vit-base", "nothing pulled"
        copied(home, "sam-vit-base", weights)
        store.find("sam-vit-base")
        with monkeypatch.context() as patch:
            patch.setattr(lock, "marks", lambda folder: pytest.fail("hashed"))
            known.add(identity("sam-vit-base"))
            assert identity("facebook/sam-vit-base") in known, "another name of the same"
    assert len(known) == 2
    assert all(text.startswith("sam-vit-base@") for text in known)


def test_a_copied_model_is_known_by_its_record_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    folder = copied(tmp_path, "sam-vit-base")
    unused = identity("sam-vit-base")
    assert unused.startswith("sam-vit-base@")
    (folder / "model.safetensors").write_bytes(b"more weights")
    assert identity("sam-vit-base") != unused
    made = lock.LockEntry("facebook/sam-vit-base", "c0ffee", lock.now(), lock.marks(folder))
    (folder / lock.RECORD).write_text(json.dumps(made.to_dict()))
    recorded = identity("sam-vit-base")
    store.find("sam-vit-base")
    assert identity("sam-vit-base") == recorded


@pytest.mark.parametrize("part", ["model.safetensors", "config.json"])
def test_a_local_folder_is_known_by_its_files(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(tmp_path, "mine")
    before = identity(str(folder))
    assert before.startswith(f"{folder}@")
    assert identity(str(folder)) == before
    monkeypatch.chdir(folder.parent)
    assert identity("./mine") == before, "the same folder by another path"
    os.utime(folder / part, ns=(1, 1))
    touched = identity(str(folder))
    (folder / part).write_bytes(b"more")
    os.utime(folder / part, ns=(1, 1))
    assert len({before, touched, identity(str(folder))}) == 3


def test_a_chosen_device_or_format_is_part_of_it(tmp_path: Path) -> None:
    folder = str(copied(tmp_path, "mine"))
    plain = identity(folder)
    assert identity(folder, device="cpu") == f"{plain} cpu"
    assert identity(folder, device="cpu", dtype="bf16") == f"{plain} cpu bfloat16"
    assert identity(folder, dtype="bfloat16") == identity(folder, dtype="bf16")
    assert identity("grabcut", device="cpu") == "grabcut", "no torch, no device"


@pytest.mark.parametrize(
    "name", ["", "/", "no-such-model", "./" + "x" * 300, "~nobody-here/sam", "./a\0b", "./none"]
)
def test_what_models_are_meant_is_never_refused(name: str) -> None:
    assert isinstance(identity(name), str)


def test_a_broken_lock_is_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    copied(tmp_path, "sam-vit-base")
    (tmp_path / lock.LOCK).write_text("{")
    assert identity("sam-vit-base") == "sam-vit-base"

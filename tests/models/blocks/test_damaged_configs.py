"""Config files that transformers and diffusers choke on, or swallow until the first picture: one
sentence that names the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from limner.errors import ModelError
from limner.registry import bundled, pool, store
from limner.registry.weights import Runtime
from limner.training import merge
from limner.training.base_model import find_base, open_base
from tests.conftest import need_minis
from tests.models.tiny_sd import save_tiny_sd

DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sd(tmp_path_factory.mktemp("tiny") / "sd")


def changed(folder: Path, file: str, change: str | dict[str, Any]) -> None:
    """A config replaced by a text, or with entries changed."""
    path = folder / file
    text = (
        change
        if isinstance(change, str)
        else json.dumps({**json.loads(path.read_text()), **change})
    )
    path.write_text(text)


PICTURES: dict[str, tuple[str, str | dict[str, Any]]] = {
    "a mean of words": ("preprocessor_config.json", {"image_mean": ["a", "b", "c"]}),
    "a mean of one": ("preprocessor_config.json", {"image_mean": [0.5]}),
    "a mean that is none": ("preprocessor_config.json", {"image_mean": None}),
    "a deviation of 0": ("preprocessor_config.json", {"image_std": [0.0, 0.0, 0.0]}),
    "a huge picture": ("preprocessor_config.json", {"size": {"height": 10**6, "width": 10**6}}),
    "a size of words": ("preprocessor_config.json", {"size": ["a", "b"]}),
    "a filter that isn't there": ("preprocessor_config.json", {"resample": -1}),
    "nested deep": ("preprocessor_config.json", DEEP),
    "no JSON": ("preprocessor_config.json", "{"),
    "a config nested deep": ("config.json", DEEP),
    "words that are none": ("tokenizer.json", "{}"),
    "words nested deep": ("tokenizer_config.json", DEEP),
}


@pytest.mark.parametrize(("file", "change"), PICTURES.values(), ids=PICTURES)
def test_a_models_folder(tmp_path: Path, file: str, change: str | dict[str, Any]) -> None:
    need_minis("mini-clip")
    folder = tmp_path / "clip"
    shutil.copytree(bundled.folder("mini-clip"), folder)
    changed(folder, file, change)
    with pytest.raises(ModelError) as refused:
        pool.load(store.from_folder(folder), Runtime())
    named(refused.value, str(folder))


PIPELINES: dict[str, tuple[str, str | dict[str, Any]]] = {
    "nothing of a tokenizer": ("tokenizer/tokenizer_config.json", "{}"),
    "a tokenizer nested deep": ("tokenizer/tokenizer_config.json", DEEP),
    "no padding": ("tokenizer/tokenizer_config.json", {"pad_token": None}),
    "more tokens than places": ("tokenizer/tokenizer_config.json", {"model_max_length": 500}),
    "betas of words": ("scheduler/scheduler_config.json", {"beta_start": "x"}),
    "no noise levels": ("scheduler/scheduler_config.json", {"num_train_timesteps": 0}),
    "a scheduler nested deep": ("scheduler/scheduler_config.json", DEEP),
    "an index nested deep": ("model_index.json", DEEP),
    "a U-Net nested deep": ("unet/config.json", DEEP),
    "a U-Net that is a list": ("unet/config.json", "[]"),
    "blocks of nothing": ("vae/config.json", {"block_out_channels": []}),
    "a text encoder of words": ("text_encoder/config.json", {"hidden_size": "wide"}),
}


@pytest.mark.parametrize(("file", "change"), PIPELINES.values(), ids=PIPELINES)
def test_a_pipelines_folder(
    pipeline: Path, tmp_path: Path, file: str, change: str | dict[str, Any]
) -> None:
    """To paint, to teach and to merge: none ends in a bug."""
    folder = tmp_path / "sd"
    shutil.copytree(pipeline, folder)
    changed(folder, file, change)
    for use in (
        lambda: pool.load(store.from_folder(folder), Runtime(dtype="bfloat16")),
        lambda: open_base(find_base(str(folder)), Runtime()),
    ):
        with pytest.raises(ModelError) as refused:
            use()
        named(refused.value, str(folder))
        assert torch.get_default_dtype() == torch.float32  # else the next model is of half the bits
    if change == DEEP:
        with pytest.raises(ModelError):
            merge.merge(str(folder), [], tmp_path / "merged")
        assert not (tmp_path / "merged").exists()


def named(error: ModelError, place: str) -> None:
    assert place in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 700

"""A model in a folder of one's own is used and described, with and without ``./`` before it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner import Session
from limner.registry import store
from limner.registry.weights import as_path
from tests.conftest import need_minis

from .command import Command


@pytest.fixture
def folder(limner: Command) -> Path:
    """mymodels/my-sam, below the working folder, and a picture beside it."""
    need_minis("mini-sam")
    source = store.find("mini-sam").path
    assert source
    shutil.copytree(source, "mymodels/my-sam")
    Image.fromarray(np.full((32, 32, 3), 120, np.uint8)).save("im.png")
    return Path("mymodels/my-sam")


def test_a_folder_needs_no_dot(limner: Command, folder: Path) -> None:
    """It was "There is no model 'mymodels/my-sam'"."""
    words = ("segment", "im.png", "--point", "50%,50%", "--segmenter")
    models = limner.json(*words, folder)["models"]
    assert [model["name"] for model in models] == ["my-sam"]
    assert Session(segment=str(folder)).segment("im.png", (4, 4, 20, 20)).record.models


def test_a_folder_is_described(limner: Command, folder: Path) -> None:
    """By what limner reads of it: its family, what that takes, and that its licence is unknown."""
    for name in (folder, f"./{folder}", folder.absolute()):
        facts = limner.json("models", "info", name)
        assert facts["family"] == "sam"
        assert "point" in facts["accepts"]
        assert "unknown" in facts["licence"]
        assert facts["path"] == str(folder.absolute())
        assert "model.safetensors" in facts["files"]
    lines = limner("models", "info", f"./{folder}").stdout.splitlines()
    assert "tasks       segment" in lines


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("models", "info", "./nix"), "There is no folder"),
        (("models", "info", "a/nix"), "There is no model 'a/nix'"),
        (("models", "info", "./empty"), "empty"),
        (("models", "info", "./empty", "--verify"), "--verify has no effect"),
    ],
)
def test_what_is_no_model_is_refused(
    limner: Command, words: tuple[str, ...], sentence: str
) -> None:
    Path("empty").mkdir()
    answer = limner.run(*words)
    assert answer.code == 2
    assert sentence in answer.stderr


def test_names_that_are_no_folder_stay(limner: Command) -> None:
    Path("haar").mkdir()
    Path("mine/owl").mkdir(parents=True)
    assert as_path("detect", "haar") == "haar"
    assert as_path("detect", "facebook/sam-vit-base") == "facebook/sam-vit-base"
    assert as_path("detect", "haar+mine/owl") == "haar+./mine/owl"


@pytest.mark.parametrize(
    "words",
    [
        ("detect", "--text", "face"),
        ("segment", "--box", "4,4,20,20"),
        ("remove", "--box", "4,4,20,20", "--region", "box"),
    ],
)
def test_a_device_that_is_not_here_is_refused_without_weights_too(
    limner: Command, words: tuple[str, ...]
) -> None:
    """haar and GrabCut compute on the CPU whatever is said; nobody should believe otherwise."""
    Image.new("RGB", (32, 32)).save("im.png")
    answer = limner.run(words[0], "im.png", *words[1:], "--device", "cuda:77")
    assert answer.code == 2
    assert "There is no device 'cuda:77' here" in answer.stderr

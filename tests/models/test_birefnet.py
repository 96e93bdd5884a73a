"""BiRefNet's answers: the right squeeze, numbers and edges, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from limner.errors import ImageError, MissingExtra, ModelError, UnsafeWeights, WeightsMissing
from limner.models import birefnet
from limner.protocols import ModelRef
from limner.registry import store
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_birefnet import SIDE, save_tiny_birefnet


def load(folder: Path) -> birefnet.BiRefNet:
    return birefnet.load(Weights(ModelRef("tiny", "birefnet", "MIT"), folder, {}), Runtime())


def picture(width: int = 200, height: int = 120) -> Image.Image:
    """A white thing on black, off the middle."""
    image = Image.new("RGB", (width, height))
    image.paste("white", (20, 30, 80, 90))
    return image


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("file", birefnet.FILES)
def test_the_matte_is_the_networks_own_in_the_pictures_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, dynamic: bool
) -> None:
    """The same numbers as torch gives by BiRefNet's published steps: squeezed to a square,
    ImageNet's mean and deviation, a sigmoid, back to the picture's size; by each name of file."""
    network = save_tiny_birefnet(tmp_path / "m", file=file, dynamic=dynamic)
    monkeypatch.setattr(birefnet, "SIDE", SIDE)  # of a graph that takes any
    image = picture()
    matte = load(tmp_path / "m").matte(image)
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32) / 255
    values = (torch.from_numpy(small) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    with torch.inference_mode():
        expected = network(values.permute(2, 0, 1)[None]).sigmoid()[0, 0].numpy()
    resized = Image.fromarray(expected).resize(image.size, Image.Resampling.BILINEAR)
    assert matte.alpha.shape == (120, 200)
    assert matte.alpha.dtype == np.float32
    assert np.abs(matte.alpha - np.asarray(resized)).max() < 1e-5


def test_edges_are_soft_and_the_thing_is_where_it_is(tmp_path: Path) -> None:
    """In pixels of the picture, whatever its shape; a hard mask would have two values."""
    save_tiny_birefnet(tmp_path / "m")
    alpha = load(tmp_path / "m").matte(picture()).alpha
    assert alpha[60, 50] > 0.99
    assert alpha[60, 150] < 0.01
    inside = alpha >= 0.5
    ys, xs = np.nonzero(inside)
    assert np.abs(np.array([xs.min(), ys.min(), xs.max(), ys.max()]) - (20, 30, 79, 89)).max() <= 4
    assert np.count_nonzero((alpha > 0.1) & (alpha < 0.9)) > 100


def test_half_precision_is_fed_as_it_wants(tmp_path: Path) -> None:
    save_tiny_birefnet(tmp_path / "half", half=True)
    save_tiny_birefnet(tmp_path / "full")
    half, full = (load(tmp_path / name).matte(picture()).alpha for name in ("half", "full"))
    assert np.abs(half - full).max() < 0.02


def test_where_nothing_is_the_score_is_zero(tmp_path: Path) -> None:
    save_tiny_birefnet(tmp_path / "m")
    matte = load(tmp_path / "m").matte(Image.new("RGB", (50, 40)))
    assert matte.score == 0
    assert matte.alpha.max() < 0.5


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    save_tiny_birefnet(tmp_path / "m")
    assert load(tmp_path / "m").matte(Image.new("RGB", (1, 1), "white")).alpha.shape == (1, 1)


def test_another_mode_is_refused(tmp_path: Path) -> None:
    save_tiny_birefnet(tmp_path / "m")
    with pytest.raises(ImageError, match="RGB images, got mode L"):
        load(tmp_path / "m").matte(Image.new("L", (9, 9)))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ({"outputs": 2}, "this is another network"),
        ({"side": 4097}, "sides of 1 to 4096"),
    ],
)
def test_another_network_is_refused_when_it_is_loaded(
    tmp_path: Path, made: dict[str, Any], sentence: str
) -> None:
    save_tiny_birefnet(tmp_path / "m", **made)
    with pytest.raises(ModelError, match=sentence):
        load(tmp_path / "m")


def test_a_file_that_reaches_beyond_itself_is_refused(tmp_path: Path) -> None:
    """Numbers in other files, whose paths may lead anywhere: before onnxruntime opens it."""
    save_tiny_birefnet(tmp_path / "m")
    (path,) = (tmp_path / "m").glob("*.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(UnsafeWeights, match="keeps its weights in other files"):
        load(tmp_path / "m")


def test_no_file_and_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"onnx/model\.onnx"):
        load(tmp_path)
    (tmp_path / "birefnet-general.onnx").write_bytes(b"\x08\x07" + b"nonsense" * 9)
    with pytest.raises(ModelError, match="no ONNX file"):
        load(tmp_path)


def test_numbers_that_overflow_are_no_answer(tmp_path: Path) -> None:
    save_tiny_birefnet(tmp_path / "m")
    model = load(tmp_path / "m")

    class Overflown:
        def run(self, names: Any, values: Any) -> list[np.ndarray]:
            return [np.full((1, 1, SIDE, SIDE), np.nan, np.float32)]

    graph = birefnet.Graph(Overflown(), "input_image", False, (SIDE, SIDE))
    with pytest.raises(Exception, match="overflowed"):
        birefnet.BiRefNet(model.ref, graph).matte(picture())


def test_without_onnxruntime_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_birefnet(tmp_path / "m")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r'pip install "limner\[matting\]"'):
        load(tmp_path / "m")


def test_a_folder_of_the_users_own_is_known_by_its_file(tmp_path: Path) -> None:
    """As the hub lays it out and as rembg keeps it; but where a config stands beside a file that
    any model may have, the config says what it is."""
    for file in birefnet.FILES:
        save_tiny_birefnet(tmp_path / file.replace("/", "-"), file=file)
        assert store.family_of(tmp_path / file.replace("/", "-")) == "birefnet"
    folder = tmp_path / "onnx-model.onnx"
    (folder / "config.json").write_text('{"model_type": "sam"}')
    assert store.family_of(folder) == "sam"

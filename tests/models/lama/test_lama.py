"""LaMa in limner's own network.

That it computes what the authors' code does was seen once, with their file at commit 786f593 run
beside it on the same random weights: the largest difference is 0.0 at 64 x 48 (width 8, 2 blocks),
72 x 104 (8, 3 blocks) and 128 x 128 (big-lama itself: 64, 18 blocks). ``AUTHORS`` are numbers of
that code's answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from limner import pipeline
from limner.errors import ModelError, OptionError, PromptError, ResultError, WeightsMissing
from limner.models.lama import lama
from limner.models.lama.network import Generator, GlobalToGlobal, shape_of
from limner.options import InpaintOptions
from limner.prompts import Text
from limner.protocols import Inpainter, ModelRef
from limner.registry import store
from limner.registry.pool import ModelPool
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_lama import save_tiny_lama, tiny_generator

AUTHORS = (
    *(0.508831, 0.509118, 0.509117, 0.506669, 0.516956),
    *(0.516958, 0.515920, 0.500035, 0.499903, 0.501173),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_lama(tmp_path_factory.mktemp("lama"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    """Loaded as a session loads a user's folder."""
    return ModelPool().get(store.from_folder(folder), Runtime())


def scene(width: int = 64, height: int = 48) -> tuple[Image.Image, np.ndarray]:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    mask = np.zeros((height, width), dtype=bool)
    mask[10:30, 20:50] = True
    return image, mask


def ramp() -> torch.Tensor:
    """An input that any machine makes alike."""
    return torch.linspace(0, 1, 4 * 48 * 64).reshape(1, 4, 48, 64)


def test_the_network_answers_as_the_authors_code() -> None:
    with torch.inference_mode():
        made = tiny_generator()(ramp()).flatten()
    torch.testing.assert_close(made[::1000], torch.tensor(AUTHORS), atol=3e-6, rtol=0)


def test_its_modules_have_the_names_of_the_published_weights() -> None:
    """989 of them, 51.1 M numbers: what big-lama holds."""
    with torch.device("meta"):
        weights = Generator().state_dict()
    assert len(weights) == 989
    assert sum(value.numel() for value in weights.values()) == 51_057_179
    for name in (
        "model.1.ffc.convl2l.weight",
        "model.4.bn_g.running_var",
        "model.22.conv2.ffc.convg2g.fu.conv_layer.weight",
        "model.5.conv1.ffc.convg2g.conv1.1.num_batches_tracked",
        "model.24.bias",
        "model.34.weight",
    ):
        assert name in weights
    assert shape_of(weights) == {"width": 64, "blocks": 18, "global_channels": 384}


def test_a_global_channel_reaches_across_the_picture() -> None:
    """What LaMa is for: one layer sees the other end; a convolution of 3 x 3 sees one pixel."""
    torch.manual_seed(0)
    layer = GlobalToGlobal(8).eval()
    dark = torch.rand(1, 8, 32, 32)
    lit = dark.clone()
    lit[..., 0, 0] += 1
    with torch.inference_mode():
        changed = (layer(lit) - layer(dark)).abs().amax(dim=1)[0]
    assert (changed[16:, 16:] > 1e-6).any()


def test_the_picture_stays_outside_the_hole_and_ignores_what_was_in_it(model: Any) -> None:
    image, mask = scene()
    (filled,) = model.inpaint(image, mask, None, InpaintOptions())
    before, after = np.asarray(image), np.asarray(filled)
    assert np.array_equal(before[~mask], after[~mask])
    assert (before[mask] != after[mask]).any()
    other = before.copy()
    other[mask] = 255
    (again,) = model.inpaint(Image.fromarray(other), mask, None, InpaintOptions())
    assert np.array_equal(after, np.asarray(again))


def test_the_pipeline_fits_crops_to_its_grid(model: Any) -> None:
    """A photograph of an odd size: each crop is enlarged or reduced, and the proof holds."""
    assert isinstance(model, Inpainter)
    image, mask = scene(101, 77)
    (edit,) = pipeline.repaint(image, mask, model)
    assert edit.outside_changed_pixels == 0
    assert all(side % 16 == 0 for crop in edit.crops for side in crop.working_wh)


@pytest.mark.parametrize("size_wh", [(16, 16), (16, 208), (1024, 16)])
def test_the_narrowest_pictures(model: Any, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    image = Image.fromarray(np.full((height, width, 3), 90, np.uint8))
    mask = np.zeros((height, width), dtype=bool)
    mask[2:6, 2:9] = True
    (filled,) = model.inpaint(image, mask, None, InpaintOptions())
    assert filled.size == size_wh


def test_names_with_the_prefix_of_training_load_too(tmp_path: Path, model: Any) -> None:
    """And what was trained beside the generator is left where it is."""
    folder = save_tiny_lama(tmp_path / "trained", prefix="generator.")
    weights = load_file(folder / lama.FILE)
    save_file({**weights, "discriminator.model0.weight": torch.zeros(3)}, folder / lama.FILE)
    other = ModelPool().get(store.from_folder(folder), Runtime())
    asked = (*scene(), None, InpaintOptions())
    assert other.inpaint(*asked)[0].tobytes() == model.inpaint(*asked)[0].tobytes()


def test_half_precision_is_asked_for_and_float32_is_computed(folder: Path, model: Any) -> None:
    """torch has no Fourier transform of bfloat16, and a session has one format for all models."""
    half = lama.load(store.from_folder(folder), Runtime(dtype="bfloat16"))
    asked = (*scene(), None, InpaintOptions())
    assert half.inpaint(*asked)[0].tobytes() == model.inpaint(*asked)[0].tobytes()


@pytest.mark.parametrize(
    ("options", "paint", "error", "says"),
    [
        ({"guidance_scale": 3.0}, None, OptionError, "guidance_scale has no effect"),
        ({"method": "telea"}, None, OptionError, "in one step, in one way"),
        ({}, Text("a dog"), OptionError, "can't follow words"),
    ],
)
def test_what_has_no_effect_is_refused(model, options, paint, error, says) -> None:
    with pytest.raises(error, match=says):
        model.check(paint, InpaintOptions(**options))


def test_masks_and_sizes_that_do_not_fit(model: Any) -> None:
    image, mask = scene()
    with pytest.raises(PromptError, match="covers the whole image"):
        model.inpaint(image, np.ones_like(mask), None, InpaintOptions())
    with pytest.raises(PromptError, match="empty"):
        model.inpaint(image, np.zeros_like(mask), None, InpaintOptions())
    with pytest.raises(OptionError, match="multiples of 16, got 60x48"):
        model.inpaint(*scene(60, 48), None, InpaintOptions())


def test_an_overflow_is_no_black_picture(folder: Path) -> None:
    broken = lama.load(store.from_folder(folder), Runtime())
    torch.nn.init.constant_(broken._network.model[-2].bias, float("nan"))
    with pytest.raises(ResultError, match="in its only step"):
        broken.inpaint(*scene(), None, InpaintOptions())


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    ref = ModelRef("lama", "lama", "Apache-2.0")
    with pytest.raises(WeightsMissing, match="needs a folder"):
        lama.load(Weights(ref), Runtime())
    (tmp_path / lama.FILE).write_bytes(b"\0" * 64)
    with pytest.raises(ModelError, match="can't be read"):
        lama.load(Weights(ref, tmp_path), Runtime())
    save_file({"weight": torch.zeros(3)}, tmp_path / lama.FILE)
    with pytest.raises(ModelError, match="doesn't hold LaMa's generator"):
        lama.load(Weights(ref, tmp_path), Runtime())

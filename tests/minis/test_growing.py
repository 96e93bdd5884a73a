"""A larger model starts with what the smaller one knew."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import (
    Dinov2Config,
    Dinov2Model,
    OwlViTConfig,
    OwlViTForObjectDetection,
    SamModel,
)

from minis.growing import between, deepened, regridded, repatched, spread
from minis.recipes import dino, owlvit, sam

SILENT = r"lambda1$"


def small_dino(layers: int) -> Dinov2Model:
    """Two heads of eight."""
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=layers, num_attention_heads=2, image_size=24, patch_size=8
    )
    return Dinov2Model(config).eval()


def test_a_deeper_model_answers_as_the_shallow_one_did() -> None:
    """The new layers add nothing at first, and the old ones keep their order."""
    torch.manual_seed(0)
    shallow, deep = small_dino(2), small_dino(5)
    for weight in shallow.parameters():  # layers that differ, so that an exchange would be seen
        weight.data += 0.1 * torch.randn_like(weight)
    layers = spread(2, 5)
    state = deepened(deep.state_dict(), shallow.state_dict(), layers, SILENT)
    deep.load_state_dict(state)
    picture = torch.randn(1, 3, 24, 24)
    assert layers == [0, 2]
    with torch.no_grad():
        wanted = shallow(pixel_values=picture).last_hidden_state
        assert torch.allclose(deep(pixel_values=picture).last_hidden_state, wanted, atol=1e-5)


def test_new_layers_can_learn() -> None:
    """Their voice is zero, what they would say is not: else no gradient would ever reach them."""
    deep = small_dino(2)
    state = deepened(deep.state_dict(), small_dino(1).state_dict(), [0], SILENT)
    deep.load_state_dict(state)
    deep(pixel_values=torch.randn(1, 3, 24, 24)).last_hidden_state.pow(2).sum().backward()
    assert deep.encoder.layer[1].layer_scale1.lambda1.grad.abs().sum() > 0


def test_a_part_by_its_name_grows_and_the_others_stay() -> None:
    fresh = {f"{part}.layers.{k}.w": torch.ones(1) for part in ("eyes", "words") for k in range(2)}
    trained = {
        "eyes.layers.0.w": torch.full((1,), 5.0),
        "words.layers.0.w": torch.full((1,), 6.0),
        "words.layers.1.w": torch.full((1,), 7.0),
    }
    state = deepened(fresh, trained, [1], "w$", "eyes.")
    assert {name: float(weight) for name, weight in state.items()} == {
        "eyes.layers.0.w": 0.0,
        "eyes.layers.1.w": 5.0,
        "words.layers.0.w": 6.0,
        "words.layers.1.w": 7.0,
    }


@pytest.mark.parametrize(
    ("trained", "layers", "sentence"),
    [
        ({"layers.0.w": torch.ones(3)}, [0], "layers.0.w is"),
        ({"head.w": torch.ones(1)}, [0], "head.w isn't"),
    ],
)
def test_what_does_not_fit_is_named(
    trained: dict[str, torch.Tensor], layers: list[int], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        deepened({"layers.0.w": torch.ones(2)}, trained, layers, "w$")


def test_fewer_layers_cannot_hold_more() -> None:
    assert spread(3, 3) == [0, 1, 2]
    with pytest.raises(ValueError, match="2 layers can't hold 3"):
        spread(3, 2)


def test_a_finer_grid_keeps_its_corners_apart_and_its_class_token() -> None:
    """Rows and columns aren't exchanged: what rises to the right still does."""
    rising = torch.arange(9).remainder(3).float()[:, None]
    positions = regridded(torch.cat([torch.full((1, 1), 9.0), rising]), 6)
    assert positions.shape == (37, 1)
    assert float(positions[0]) == 9
    grid = positions[1:].reshape(6, 6)
    assert (grid.diff(dim=1) > 0).all()
    assert torch.allclose(grid, grid[:1].expand(6, 6), atol=1e-5)


def test_a_kernel_answers_the_same_to_a_patch_resized() -> None:
    """Enlarged it loses nothing, so there the answer is exact."""
    torch.manual_seed(0)
    kernel, patch = torch.randn(4, 3, 6, 6), torch.randn(2, 3, 6, 6)
    larger = F.interpolate(patch, size=(9, 9), mode="bilinear", antialias=True)
    answer = F.conv2d(larger, repatched(kernel, 9))
    assert torch.allclose(answer, F.conv2d(patch, kernel), atol=1e-3)


def test_mini_sam_on_a_larger_picture_keeps_what_lies_where(
    small_sam: tuple[SamModel, SamModel],
) -> None:
    """What was at the left or at the top still is, and every other weight is as it was."""
    small, large = small_sam
    name = "vision_encoder.pos_embed"
    before, after = small.state_dict(), large.state_dict()
    assert after[name].shape == (1, 24, 24, 128)
    assert torch.allclose(after[name][0, 0, 0], before[name][0, 0, 0], atol=0.3)
    assert (after[name][0].diff(dim=1) > 0).all()
    assert torch.allclose(after[name][0, :1].expand(24, -1, -1), after[name][0], atol=1e-4)
    assert all(torch.equal(after[key], weight) for key, weight in before.items() if key != name)


@pytest.fixture
def small_sam() -> tuple[SamModel, SamModel]:
    """mini-sam at its first size, places rising to the right, and the one grown from it."""
    small = sam.build(sam.FIRST)
    rising = torch.arange(16).float()[None, None, :, None].expand(1, 16, 16, 128)
    small.vision_encoder.pos_embed.data.copy_(rising)
    return small, sam.grown(small)


@pytest.mark.parametrize("low", [64, 96, 128])
def test_a_mask_of_any_size_covers_as_much_as_the_thing(low: int) -> None:
    """96 doesn't divide 128: mini-sam is still asked for the covered part of a pixel."""
    mask = np.zeros((1, 128, 128), bool)
    mask[0, 30:77, 11:90] = True
    wanted = sam.covered(mask, low)
    assert wanted.shape == (1, low, low)
    assert float(wanted.mean()) == pytest.approx(mask.mean(), abs=1e-5)
    assert 0 <= float(wanted.min()) <= float(wanted.max()) <= 1


def test_mini_owlvit_on_a_finer_grid_begins_with_boxes_of_the_same_size() -> None:
    """transformers adds a patch's size to every box: that of a finer grid is smaller."""
    small = owlvit_of(owlvit.SMALL_SEES)
    large = owlvit.grown(small)
    sizes = []
    for model in (small, large):
        grid = model.config.vision_config.image_size // owlvit.PATCH
        features = torch.zeros(1, grid * grid, 16)
        with torch.no_grad():
            boxes = model.box_predictor(features, features.reshape(1, grid, grid, 16))
        assert boxes.shape == (1, grid * grid, 4)
        sizes.append(boxes[0, :, 2:].mean(dim=0))
    assert torch.allclose(*sizes, atol=1e-3)


def owlvit_of(sees: int) -> OwlViTForObjectDetection:
    """mini-owlvit in small, with random weights."""
    part = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2}  # fmt: skip
    config = OwlViTConfig(
        text_config={**part, "vocab_size": 8},
        vision_config={**part, "image_size": sees, "patch_size": owlvit.PATCH},
        projection_dim=16,
    )
    torch.manual_seed(0)
    return OwlViTForObjectDetection(config).eval()


def test_weights_between_two_models_lie_on_the_way() -> None:
    """Part 0 is the first, part 1 the second; whole numbers, such as places, aren't mixed."""
    before, after = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    after.weight.data.fill_(3.0)
    after.num_batches_tracked.fill_(7)
    state = between(before, after, 0.25)
    assert torch.equal(state["weight"], torch.full((2,), 1.5))
    assert int(state["num_batches_tracked"]) == 7
    after.load_state_dict(between(before, after, 0.0))
    assert torch.equal(after.weight, before.weight)


def test_mini_dino_on_a_finer_grid_sees_nearly_what_it_saw() -> None:
    """With the picture enlarged as the grid is, the class token hardly moves."""
    taught = dino.build()
    shown = torch.rand(1, 3, dino.SIDE, dino.SIDE)
    shown = F.interpolate(shown[..., ::12, ::12], size=shown.shape[2:], mode="bicubic")
    enlarged = F.interpolate(shown, size=(dino.SEES, dino.SEES), mode="bicubic")
    finer = dino.finer(taught)
    assert finer.config.image_size == dino.SEES
    with torch.no_grad():
        before = taught.eval()(pixel_values=shown).last_hidden_state[:, 0]
        after = finer(pixel_values=enlarged).last_hidden_state[:, 0]
    assert after.shape == before.shape
    assert float(F.cosine_similarity(before, after)) > 0.9

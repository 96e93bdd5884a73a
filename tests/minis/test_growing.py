"""A larger model starts with what the smaller one knew."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from transformers import Dinov2Config, Dinov2Model

from minis.growing import deepened, regridded, repatched, spread

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

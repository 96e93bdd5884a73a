"""Frozen weights stay in their file: less memory, and not one bit of the numbers changes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from limner.training import mmap_weights

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pages are let go of on Linux only")
WIDTH = 512  # a megabyte a layer


class Layers(torch.nn.Module):
    """Frozen layers as ``from_pretrained`` maps them, and a matrix that learns below them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        from safetensors.torch import load_file

        weights = load_file(path)
        self.learns = torch.nn.Parameter(torch.full((WIDTH,), 0.5))
        self.layers = torch.nn.ModuleList(torch.nn.Linear(1, 1, bias=False) for _ in weights)
        for layer, weight in zip(self.layers, weights.values(), strict=True):
            layer.weight = torch.nn.Parameter(weight, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * self.learns
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    made = torch.Generator().manual_seed(0)
    save_file({f"{k}": torch.randn(WIDTH, WIDTH, generator=made) / 20 for k in range(8)}, path)
    return path


def resident(path: Path) -> int:
    """Kilobytes of a file that are memory of this process."""
    found = 0
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line[0] in "0123456789abcdef" and "-" in line.split()[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


def learned(model: Layers) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(1))
    answer = model(x)
    answer.sum().backward()
    assert model.learns.grad is not None
    return answer.detach(), model.learns.grad


def test_weights_leave_memory_and_the_numbers_stay(weights: Path) -> None:
    """After a step hardly a page of the file is held; answer and gradient are the same bits."""
    kept = Layers(weights)
    asked = learned(kept)
    held = resident(weights)
    assert held >= 8 * 1024
    del kept
    model = Layers(weights)
    assert mmap_weights.leave_in_file(model) > 8 * 1000 * 1000
    for one, other in zip(asked, learned(model), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert resident(weights) < held / 8
    before = model.layers[0].weight.clone()
    assert torch.equal(before, Layers(weights).layers[0].weight)


def test_weights_that_changed_are_never_let_go_of(weights: Path) -> None:
    """What was written to them is not in the file."""
    model = Layers(weights)
    mmap_weights.leave_in_file(model)
    with torch.no_grad():
        model.layers[0].weight.fill_(0.25)
    model.layers[1].weight.requires_grad_(True)
    model.layers[2].weight.data = torch.full((WIDTH, WIDTH), 0.75)
    learned(model)
    assert bool((model.layers[0].weight == 0.25).all())
    assert bool((model.layers[2].weight == 0.75).all())
    changed = Layers(weights)
    with torch.no_grad():
        for layer in changed.layers:
            layer.weight.mul_(2)
    assert mmap_weights.leave_in_file(changed) == 0  # pages that differ from the file's already


def test_copies_stay_where_they_are(weights: Path) -> None:
    """Another number format, or weights that were never in a file."""
    assert mmap_weights.leave_in_file(Layers(weights).to(torch.bfloat16)) == 0
    assert mmap_weights.leave_in_file(torch.nn.Linear(WIDTH, WIDTH).requires_grad_(False)) == 0

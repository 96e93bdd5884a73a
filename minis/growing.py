"""Larger models that start as smaller ones: more layers, finer grids, the same answers at first.

A deeper model gets each old layer where it stood and new ones between them, which add nothing
until they have learned something (as in Net2Net, arXiv 1511.05641). A finer grid gets the old
places between its own, and patches resized so that they see the same (arXiv 2212.08013).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

State = dict[str, torch.Tensor]


def spread(old: int, new: int) -> list[int]:
    """Which of ``new`` layers the ``old`` ones become: the rest lies evenly between and after."""
    if new < old:
        raise ValueError(f"{new} layers can't hold {old}")
    return [k * new // old for k in range(old)]


def deepened(
    fresh: Mapping[str, torch.Tensor],
    trained: Mapping[str, torch.Tensor],
    layers: Sequence[int],
    silent: str,
    prefix: str = "",
) -> State:
    """Weights of a deeper model.

    Args:
        fresh: those that it has from its initialisation.
        trained: those of the shallow one; names that aren't in a layer must fit as they are.
        layers: which layer of the deep one each of the shallow one becomes.
        silent: pattern of the weights through which a new layer speaks; set to zero there.
        prefix: how the names of the growing part begin; other parts keep their layers.
    """
    pattern = re.compile(re.escape(prefix) + r"(.*?layers?\.)(\d+)\.(.*)")
    state = dict(fresh)
    for name, weight in trained.items():
        match = pattern.fullmatch(name)
        if match:
            head, number, tail = match.groups()
            name = f"{prefix}{head}{layers[int(number)]}.{tail}"
        if name not in state:
            raise ValueError(f"{name} isn't a part of the larger model")
        if state[name].shape != weight.shape:
            raise ValueError(f"{name} is {tuple(weight.shape)}, not {tuple(state[name].shape)}")
        state[name] = weight.clone()
    for name, weight in fresh.items():
        match = pattern.fullmatch(name)
        if match and int(match[2]) not in layers and re.search(silent, match[3]):
            state[name] = torch.zeros_like(weight)
    return state


def between(before: torch.nn.Module, after: torch.nn.Module, part: float) -> State:
    """Weights on the way from one model to another, ``part`` of the way: what a short training
    learned, with more of what was known before it (WiSE-FT, arXiv 2109.01903)."""
    start, end = before.state_dict(), after.state_dict()
    return {
        name: torch.lerp(start[name], weight, part) if weight.is_floating_point() else weight
        for name, weight in end.items()
    }


def regridded(positions: torch.Tensor, side: int) -> torch.Tensor:
    """(1 + n, D) embeddings of a class token and n places in a square, for ``side`` x ``side``."""
    old = round((len(positions) - 1) ** 0.5)
    grid = positions[1:].T.reshape(1, -1, old, old)
    grid = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], grid.flatten(2)[0].T])


def repatched(kernel: torch.Tensor, side: int) -> torch.Tensor:
    """(D, C, k, k) -> (D, C, side, side): what it answers to a patch, it answers to the patch
    resized (FlexiViT's pseudo-inverse, arXiv 2212.08013)."""
    old = kernel.shape[-1]
    unit = torch.eye(old * old).reshape(-1, 1, old, old)
    shape = (side, side)
    resize = F.interpolate(unit, size=shape, mode="bilinear", antialias=True).flatten(1).T
    flat = kernel.float().flatten(2) @ torch.linalg.pinv(resize)
    return flat.reshape(*kernel.shape[:2], side, side)

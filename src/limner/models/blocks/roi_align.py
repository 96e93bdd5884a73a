"""RoIAlign (He et al. 2017, arXiv 1703.06870, section 3) in plain torch.

SAM 3 pools the features in an example box with ``torchvision.ops.roi_align``; limner has no
torchvision. The numbers are those of its defaults: scale 1, as many samples a bin as it is pixels
wide (``sampling_ratio=-1``), no half-pixel shift (``aligned=False``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def roi_align(features: torch.Tensor, boxes: Sequence[torch.Tensor], bins: int) -> torch.Tensor:
    """What lies in each box, in ``bins`` x ``bins`` means of bilinear samples.

    Args:
        features: (B, C, H, W).
        boxes: B of (N, 4) XYXY in pixels of the features, within them.

    Returns:
        (all N, C, bins, bins), the first image's boxes first.
    """
    pooled = []
    for one, own in zip(features, boxes, strict=True):
        for x0, y0, x1, y1 in own.tolist():
            down = _weights(y0, y1, bins, one.shape[1]).to(one)
            across = _weights(x0, x1, bins, one.shape[2]).to(one)
            pooled.append(torch.einsum("ph,chw,qw->cpq", down, one, across))
    if not pooled:
        return features.new_zeros((0, features.shape[1], bins, bins))
    return torch.stack(pooled)


def _weights(low: float, high: float, bins: int, size: int) -> torch.Tensor:
    """(bins, size) part of each pixel of an axis in each bin of ``low``..``high``, float64."""
    wide = max(high - low, 1.0) / bins
    samples = max(1, -int(-wide // 1))
    place = low + wide * (torch.arange(bins * samples, dtype=torch.float64) + 0.5) / samples
    place = place.clamp(0, size - 1)
    before = place.long()
    after = (before + 1).clamp(max=size - 1)
    part = place - before
    weights = torch.zeros((bins * samples, size), dtype=torch.float64)
    rows = torch.arange(bins * samples)
    weights[rows, before] += 1 - part
    weights[rows, after] += part
    return weights.reshape(bins, samples, size).mean(dim=1)

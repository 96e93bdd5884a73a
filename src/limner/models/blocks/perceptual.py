"""Distances that networks trained on photographs give: LPIPS, FID and KID, by kept libraries.

Both libraries need torchvision, which limner's base install does without, and fetch their network's
weights on first use: AlexNet's (about 230 MB, from pytorch.org) and Inception's (90 MB, GitHub).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner.errors import InputError, MissingExtra, WeightsMissing

LEAST_FOR_FID = 2
"""Pictures a side without which no covariance can be had; fewer than 2,048 bias FID upwards."""


def lpips(first: Sequence[Image.Image], second: Sequence[Image.Image]) -> list[float]:
    """LPIPS of picture k and picture k (Zhang et al. 2018, arXiv:1801.03924), AlexNet, version 0.1.

    0 for equal pictures; the authors' own package.

    Raises:
        MissingExtra: ``limner[perceptual]`` isn't installed.
        WeightsMissing: AlexNet's weights are neither here nor to be had.
        InputError: pictures of a pair differ in size.
    """
    import torch

    network = load_lpips()
    distances = []
    for one, other in zip(first, second, strict=True):
        if one.size != other.size:
            raise InputError(f"LPIPS compares pictures of one size, got {one.size}, {other.size}.")
        with torch.inference_mode():
            distances.append(float(network(_tensor(one), _tensor(other))))
    return distances


def has_lpips() -> bool:
    """Whether LPIPS can be had without fetching anything: its packages and AlexNet are here."""
    try:
        import_module("lpips")
        from torchvision.models import AlexNet_Weights
    except ImportError:
        return False
    import torch

    file = AlexNet_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    return (Path(torch.hub.get_dir()) / "checkpoints" / file).is_file()


def frechet_and_kernel(real: Path, generated: Path) -> tuple[float, float]:
    """(FID, KID) of two folders of pictures, by torch-fidelity with its Inception v3.

    FID: Heusel et al. 2017 (arXiv:1706.08500). KID: Binkowski et al. 2018 (arXiv:1801.01401), the
    mean over subsets, whose size is at most the smaller folder's. Lower is better.

    Raises:
        MissingExtra: ``limner[perceptual]`` isn't installed.
        WeightsMissing: Inception's weights are neither here nor to be had.
        InputError: fewer than ``LEAST_FOR_FID`` pictures in a folder.
    """
    try:
        from torch_fidelity import calculate_metrics
    except ImportError as error:
        raise _missing("FID and KID") from error
    from limner.io.images import find_images

    fewest = min(len(find_images(folder)) for folder in (real, generated))
    if fewest < LEAST_FOR_FID:
        raise InputError(f"FID and KID need {LEAST_FOR_FID} pictures a folder or more: {fewest}.")
    try:
        scores = calculate_metrics(
            input1=str(generated),
            input2=str(real),
            fid=True,
            kid=True,
            kid_subset_size=min(1000, fewest),
            cuda=False,
            verbose=False,
            samples_find_deep=False,
        )
    except OSError as error:
        raise WeightsMissing(f"Inception's weights can't be had: {error}.") from error
    except ValueError as error:  # it looks for PNG and JPEG only, and says so
        raise InputError(f"FID and KID can't be had of {real} and {generated}: {error}") from error
    return (
        float(scores["frechet_inception_distance"]),
        float(scores["kernel_inception_distance_mean"]),
    )


@lru_cache(maxsize=1)
def load_lpips() -> Any:
    """The network of ``lpips``, fetched if need be.

    Raises:
        MissingExtra, WeightsMissing: as ``lpips`` does.
    """
    try:
        import lpips as package
    except ImportError as error:
        raise _missing("LPIPS") from error
    try:
        return package.LPIPS(net="alex", verbose=False).eval()
    except OSError as error:
        raise WeightsMissing(f"AlexNet's weights, which LPIPS needs, can't be had: {error}.") from (
            error
        )


def _tensor(image: Image.Image) -> Any:
    """(1, 3, H, W) in -1 to 1."""
    import torch

    pixels = np.asarray(image.convert("RGB"), np.float32) / 127.5 - 1
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def _missing(what: str) -> MissingExtra:
    return MissingExtra(f"{what} need packages that aren't here: pip install 'limner[perceptual]'.")

"""LPIPS, FID and KID: what is handed to the kept libraries, here doubles of them, and what comes
back. With the extra installed the real LPIPS runs too, its network untrained: AlexNet's weights are
fetched on first use and no test fetches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import InputError, MissingExtra, WeightsMissing
from limner.models.blocks import perceptual


def picture(value: int, size: int = 64) -> Image.Image:
    return Image.new("RGB", (size, size), (value, 0, 255))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    perceptual.load_lpips.cache_clear()
    yield
    perceptual.load_lpips.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))


def test_lpips_gets_pictures_from_minus_1_to_1_in_rgb(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Double:
        def __init__(self, net: str, verbose: bool) -> None:
            assert (net, verbose) == ("alex", False)

        def eval(self) -> Double:
            return self

        def __call__(self, first: Any, second: Any) -> Any:
            seen.append((first[0, :, 0, 0].tolist(), tuple(first.shape)))
            return (first - second).abs().mean()

    install(monkeypatch, "lpips", LPIPS=Double)
    found = perceptual.lpips([picture(0), picture(9)], [picture(255), picture(9)])
    assert found == pytest.approx([2 / 3, 0])
    assert seen[0] == ([-1.0, -1.0, 1.0], (1, 3, 64, 64))
    with pytest.raises(InputError, match="one size"):
        perceptual.lpips([picture(0)], [picture(0, 32)])


@pytest.mark.parametrize("weights", [True, False])
def test_lpips_is_here_only_with_its_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: bool
) -> None:
    """A scorecard fills DIV by itself only if nothing is fetched for it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    install(monkeypatch, "lpips")
    named = SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(url="https://x/models/alex-7be5.pth"))
    install(monkeypatch, "torchvision")
    install(monkeypatch, "torchvision.models", AlexNet_Weights=named)
    if weights:
        (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
        (tmp_path / "hub" / "checkpoints" / "alex-7be5.pth").touch()
    assert perceptual.has_lpips() is weights


def test_without_the_extra_there_is_no_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert not perceptual.has_lpips()


def test_weights_that_can_not_be_had_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_: Any) -> Any:
        raise OSError("no network")

    install(monkeypatch, "lpips", LPIPS=offline)
    with pytest.raises(WeightsMissing, match=r"AlexNet.*no network"):
        perceptual.lpips([picture(0)], [picture(0)])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name, count in (("real", 3), ("made", 2)):
        (tmp_path / name).mkdir()
        for k in range(count):
            picture(k).save(tmp_path / name / f"{k}.png")
    return tmp_path / "real", tmp_path / "made"


def test_fid_and_kid_of_two_folders(
    monkeypatch: pytest.MonkeyPatch, folders: tuple[Path, Path]
) -> None:
    asked: dict[str, Any] = {}

    def double(**given: Any) -> dict[str, float]:
        asked.update(given)
        return {"frechet_inception_distance": 12.5, "kernel_inception_distance_mean": 0.25}

    install(monkeypatch, "torch_fidelity", calculate_metrics=double)
    real, made = folders
    assert perceptual.frechet_and_kernel(real, made) == (12.5, 0.25)
    assert (asked["input1"], asked["input2"]) == (str(made), str(real))
    assert (asked["samples_find_deep"], asked["cuda"]) == (False, False)
    assert (asked["fid"], asked["kid"], asked["kid_subset_size"]) == (True, True, 2)
    (made / "0.png").unlink()
    with pytest.raises(InputError, match="2 pictures a folder or more: 1"):
        perceptual.frechet_and_kernel(real, made)


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, folders: tuple[Path, Path]) -> None:
    for package in ("lpips", "torch_fidelity"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"limner\[perceptual\]"):
        perceptual.lpips([picture(0)], [picture(0)])
    with pytest.raises(MissingExtra, match=r"limner\[perceptual\]"):
        perceptual.frechet_and_kernel(*folders)


def test_the_real_lpips_is_0_for_equal_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    package: ModuleType = pytest.importorskip("lpips", reason="limner[perceptual] isn't installed")
    untrained = package.LPIPS(net="alex", verbose=False, pnet_rand=True).eval()
    monkeypatch.setattr(perceptual, "load_lpips", lambda: untrained)
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    same, other = perceptual.lpips([noise, noise], [noise, picture(0)])
    assert same == 0
    assert other > 0

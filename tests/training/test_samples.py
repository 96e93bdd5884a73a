"""Portraits are painted once: the same pixels again, and only what isn't there yet."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from limner.registry.weights import Adapter, Runtime
from limner.training import generate, samples
from limner.training.dreambooth import teach
from limner.training.samples import Painter
from tests.training.teaching import order

SIDE = 32


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, int]]:
    """What is really painted from now on, in a home of its own."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    really, asked = generate.paint, list[tuple[str, int]]()

    def watched(pipe: object, words: list[str], seeds: list[int], *rest: object, **how: object):  # type: ignore[no-untyped-def]
        asked.extend(zip(words, seeds, strict=True))
        return really(pipe, words, seeds, *rest, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(samples.generate, "paint", watched)
    return asked


def test_more_seeds_paint_only_the_new_ones(
    bases: dict[str, Path], painted: list[tuple[str, int]]
) -> None:
    """So that killed scoring goes on; a broken file counts as not there."""
    painter = Painter(str(bases["text2img"]), None, Runtime())
    first = painter.paint(["a dog", "a cat"], [0, 0], SIDE, 2)
    assert painted == [("a dog", 0), ("a cat", 0)]
    again = painter.paint(["a dog", "a dog", "a cat"], [0, 1, 0], SIDE, 2)
    assert painted[2:] == [("a dog", 1)]
    assert [again[0].tobytes(), again[2].tobytes()] == [one.tobytes() for one in first]
    assert again[1].tobytes() != again[0].tobytes()
    folder = Path(samples.tensor_cache.folder()) / "portraits"
    for path in folder.rglob("*-1.png"):
        path.write_bytes(path.read_bytes()[:40])
    painter.paint(["a dog"], [1], SIDE, 2)
    assert painted[3:] == [("a dog", 1)]


def test_what_decides_a_picture_decides_its_place(
    bases: dict[str, Path], photos: Path, tmp_path: Path, painted: list[tuple[str, int]]
) -> None:
    """Another model, weight or side is another picture; a checkpoint's adapter is its file."""
    model = str(bases["text2img"])
    done = teach(order(bases["text2img"], photos, tmp_path / "run", max_train_steps=2,
                       learning_rate=0.1))  # fmt: skip
    painted.clear()
    file = done.checkpoint / "pytorch_lora_weights.safetensors"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    once = Painter(model, done.checkpoint, Runtime()).paint(["a dog"], [0], SIDE, 1)
    adapter = Adapter("by name", file, 1.0, digest)
    same = Painter(model, adapter, Runtime()).paint(["a dog"], [0], SIDE, 1)
    assert len(painted) == 1
    assert same[0].tobytes() == once[0].tobytes()
    others = [
        Painter(model, None, Runtime()),
        Painter(model, Adapter("half", file, 0.5, digest), Runtime()),
        Painter(str(bases["other"]), None, Runtime()),
    ]
    for number, painter in enumerate(others, start=2):
        (picture,) = painter.paint(["a dog"], [0], SIDE, 1)
        assert len(painted) == number
        assert picture.tobytes() != once[0].tobytes()
    Painter(model, None, Runtime()).paint(["a dog"], [0], SIDE * 2, 1)
    assert len(painted) == 5

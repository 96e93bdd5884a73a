"""What the minis cost: seconds of an edit, scenes a second, megabytes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import limner
from limner.options import InpaintOptions
from limner.prompts import Text, VisualPrompt
from limner.registry import bundled
from minis import scenes
from minis.drawings import phrase
from minis.scores import samples
from minis.scores.shipped_models import ShippedModels, pictured

ROOT = Path(__file__).parents[2]
REPEATS = 5


def edit_seconds(models: ShippedModels) -> dict[str, float]:
    """Median of a few edits from words alone; the first one, which loads the models, is not
    counted, and neither are those in which nothing was found to repaint."""
    seconds = islice(_edits(models), REPEATS + 1)
    counted = sorted(list(seconds)[1:])
    return {"edit-seconds": counted[len(counted) // 2]} if counted else {}


def _edits(models: ShippedModels) -> Iterable[float]:
    for scene in samples.held_out(20):
        noun = scene.things[0].noun if scene.things else ""
        start = time.perf_counter()
        run = models.session.edit(
            pictured(scene.image),
            [VisualPrompt(text=Text(phrase(noun or "apple")))],
            Text("a car"),
            inpaint=InpaintOptions(seed=0, num_inference_steps=20),
        )
        if run.edits:
            yield time.perf_counter() - start


def scene_speed(amount: int = 100) -> dict[str, float]:
    """Training scenes a second; the drawings are read before the clock starts."""
    split = scenes.train()
    for k in range(amount):
        scenes.scene(k, split)
    start = time.perf_counter()
    for k in range(amount):
        scenes.scene(k, split)
    return {"scenes-per-second": amount / (time.perf_counter() - start)}


def sizes(*, build: bool) -> dict[str, float]:
    """Megabytes (10^6 bytes) of the weights and of the wheel.

    Args:
        build: make the wheel; else the package's files are added up, which is never less.
    """
    package = Path(limner.__file__).parent
    wheel = wheel_bytes() if build else total(package)
    weights = sum(path.stat().st_size for path in bundled.root().rglob("*.safetensors"))
    return {"weights": weights / 1e6, "wheel": wheel / 1e6}


def total(folder: Path) -> int:
    """Bytes of all files below a folder, compiled Python aside."""
    files = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files if path.is_file())


def wheel_bytes() -> int:
    """Bytes of the wheel that pip makes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.stat().st_size

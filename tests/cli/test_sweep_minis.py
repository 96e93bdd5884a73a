"""A sweep of the minis that ship: words that score, and a command that paints the same again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.registry import store
from limner.registry.catalog import catalog
from tests.conftest import MINI_MISSING

from .command import Command

NEEDED = ("mini-sam", "mini-clip", "mini-sd-inpaint")
LACKING = [name for name in NEEDED if not store.is_here(catalog()[name])]
SCENES = Path(__file__).parents[2] / "examples" / "scenes"

RECIPE = """\
image = "lawn.png"
profile = "mini"
[edit]
find = {box = [156, 44, 234, 126]}
num_inference_steps = 2
[sweep]
paint = ["a sunflower", "a red car"]
guidance_scale = [1.5]
[search]
objective = "clip_t"
text = "a red car"
[judges]
clip = "mini-clip"
"""


@pytest.mark.skipif(bool(LACKING), reason=f"{MINI_MISSING}: {', '.join(LACKING)}")
def test_what_is_painted_is_scored_and_the_best_is_made_again_by_its_command(
    limner: Command, tmp_path: Path
) -> None:
    """Without a seed in the recipe, too: cells are painted with the same one, which is said."""
    (tmp_path / "lawn.png").write_bytes((SCENES / "lawn.png").read_bytes())
    (tmp_path / "r.toml").write_text(RECIPE)
    answer = limner("sweep", "r.toml", "-o", "out")
    report = json.loads((tmp_path / "out" / "results.json").read_text())
    flower, car = (trial["score"] for trial in report["trials"])
    assert flower != car
    best = report["trials"][report["best"]]
    assert best["score"] == max(flower, car)
    assert best["cells"][0]["models"] == ["mini-sam", "mini-sd-inpaint"]
    words = shlex.split(answer.stdout.splitlines()[1])
    assert words[words.index("--seed") + 1] == "0"
    limner(*words[1:], "-o", "again.png")
    kept = tmp_path / "out" / "pictures" / best["cells"][0]["whole"]
    assert np.array_equal(Image.open("again.png"), Image.open(kept))

"""A suite of the minis that ship: words that score, pictures that score, repeats that differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from limner.registry import store
from limner.registry.catalog import catalog
from tests.conftest import MINI_MISSING

from .command import Command

NEEDED = ("mini-sam", "mini-clip", "mini-dino", "mini-sd-inpaint")
LACKING = [name for name in NEEDED if not store.is_here(catalog()[name])]
SCENES = Path(__file__).parents[2] / "examples" / "scenes"

SUITE = """\
models: [{profile: mini}]
judges: {clip: mini-clip, dino: mini-dino}
settings: [{num_inference_steps: 2, seed: 5}]
cases:
- {description: outlined, image: lawn.png, find: {box: [15, 85, 71, 159]}, box: [15, 85, 71, 159],
   assert: [{type: box_iou, value: 0.5}, {type: dino, value: 0.6, reference: part.png},
            {type: clip_i, value: 0.6, reference: part.png}]}
- {description: painted, image: lawn.png,
   edit: {find: {box: [15, 85, 71, 159]}, paint: apple},
   assert: [outside_changed_pixels, {type: clip_t, value: -1}, {type: not-clip_t, value: 1}]}
"""


@pytest.mark.skipif(bool(LACKING), reason=f"{MINI_MISSING}: {', '.join(LACKING)}")
def test_minis_answer_and_minis_judge(limner: Command, tmp_path: Path) -> None:
    """Two repeats of a painted cell are two pictures, and the same two whenever it is run."""
    scene = Image.open(SCENES / "lawn.png").convert("RGB")
    scene.save(tmp_path / "lawn.png")
    scene.crop((15, 85, 71, 159)).save(tmp_path / "part.png")
    (tmp_path / "suite.yaml").write_text(SUITE)
    answer = limner("eval", "suite.yaml", "--repeat", 2, "-o", "report.json", "-o", "report.html")
    assert "4 cells: 4 passed" in answer.stdout
    cells = json.loads((tmp_path / "report.json").read_text())["cells"]
    outlined, painted = cells[0], cells[2:]
    assert outlined["answered"] == ["mini-sam"]
    assert all(verdict["measured"] > 0.5 for verdict in outlined["verdicts"])
    words = [cell["verdicts"][1]["measured"] for cell in painted]
    assert words[0] != words[1], "another seed, another picture"

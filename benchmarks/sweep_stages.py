"""A sweep of 24 edit settings beside the 24 repaint calls alone.

``python benchmarks/sweep_stages.py``. Both use the minis, in one process and in turn: a round is
the sweep (reading, finding once, painting, scoring, recording, pictures to disk) and then
``pipeline.repaint`` on the finished mask with the same settings. Models are loaded before. Between
the rounds everything that was remembered is forgotten. Processor seconds, which other work on the
machine doesn't stretch as it does those on the clock.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from limner import Session, Text, VisualPrompt, pipeline
from limner.evaluation.sweeps.recipe import read_recipe
from limner.evaluation.sweeps.run import run_trials
from limner.evaluation.sweeps.state import new_state
from limner.options import InpaintOptions
from limner.runs.store import Store
from limner.session.cache.disk import StageCache
from limner.session.cell_answers import AnswererConfig, SessionAnswerer

SCENE = Path(__file__).parents[1] / "examples" / "scenes" / "lawn.png"
GUIDANCE, STRENGTH = (1, 2, 3, 4, 6, 8), (0.4, 0.6, 0.8, 1.0)
RECIPE = f"""
image = "{SCENE}"
profile = "mini"
[edit]
find = "apple"
paint = "a red car"
num_inference_steps = 20
seed = 1
[sweep]
guidance_scale = {list(GUIDANCE)}
strength = {list(STRENGTH)}
"""


def swept(answerer: SessionAnswerer, recipe_path: Path, folder: Path, session: Session) -> float:
    """Processor seconds of a whole sweep with loaded models."""
    session.stages.forget()
    start = time.process_time()
    recipe = read_recipe(recipe_path)
    done = run_trials(recipe, lambda: answerer, folder, new_state(1))
    seconds = time.process_time() - start
    assert len(done.tried) == len(GUIDANCE) * len(STRENGTH)
    assert not [each for tried in done.tried for each in tried.results if each.error]
    return seconds


def repainted(session: Session) -> float:
    """Processor seconds of the repaint calls alone."""
    run = session.segment(SCENE, [VisualPrompt(text=Text("apple"))])
    image, mask = run.source.image, run.grounding.mask
    inpainter, paint = session.models.inpainter, Text("a red car")
    start = time.process_time()
    for guidance in GUIDANCE:
        for strength in STRENGTH:
            options = InpaintOptions(
                guidance_scale=guidance, strength=strength, num_inference_steps=20, seed=1
            )
            pipeline.repaint(image, mask, inpainter, paint, inpainter.resolve(options))
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--objective", default="", help="score the cells: clip_t, seam, …")
    parser.add_argument("--json", type=Path, help="write the seconds here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        recipe = folder / "recipe.toml"
        text = RECIPE
        if args.objective:
            text += f'[search]\nobjective = "{args.objective}"\n[judges]\nclip = "mini-clip"\n'
        recipe.write_text(text)
        rows = []
        config = AnswererConfig(
            {"clip": "mini-clip", "dino": "mini-dino", "detect": ""},
            store=lambda: Store.open(folder / "store"),
            stages=StageCache(folder / "cache"),
        )
        answerer = SessionAnswerer(config)
        warm = read_recipe(recipe)
        cell = warm.cells(next(warm.points()))[0]
        answerer.answer(cell)
        session = answerer.session_of(cell.models)
        for n in range(args.rounds + 1):  # the first one warms up
            before = Counter(session.stages.computed)
            shutil.rmtree(folder / "cache", ignore_errors=True)
            one = swept(answerer, recipe, folder / f"sweep{n}", session)
            computed = Counter(session.stages.computed) - before
            two = repainted(session)
            if n:
                rows.append({"sweep": one, "repaint": two, "computed": dict(computed)})
    ratios = [row["sweep"] / row["repaint"] for row in rows]
    print(f"{'sweep s':>9} {'repaint s':>9} {'ratio':>6}  computed")
    for row, ratio in zip(rows, ratios, strict=True):
        print(f"{row['sweep']:9.2f} {row['repaint']:9.2f} {ratio:6.3f}  {row['computed']}")
    print(f"median ratio {statistics.median(ratios):.3f}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

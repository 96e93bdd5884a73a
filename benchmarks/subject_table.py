"""What teaching a mini a subject does: DreamBooth's tables, at the size of the minis.

``python benchmarks/subject_table.py --folder FOLDER``. Four conditions, each taught with several
seeds; of each teaching the checkpoint that its scorecard names; of that the dataset's prompts with
4 seeds. Everything is kept in FOLDER: a run that was killed goes on where it stopped. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.io.save import write_atomic
from limner.options import TeachOptions
from limner.registry import pool
from limner.registry.device import let_threads_sleep
from limner.session.scorecard import CardJudges, PaintingOptions, SubjectNames, score_painters
from limner.training import checkpoints
from limner.training.dreambooth import Callbacks, TeachConfig, teach

PHOTOGRAPHS = Path(__file__).parents[1] / "examples" / "subject"
MODEL, SIDE = "mini-sd", 64
"""The mini that draws on a whole canvas, as the paper's model does."""
SETTINGS: dict[str, Any] = {
    "rank": 16,
    "learning_rate": 1e-3,
    "train_batch_size": 4,
    "num_class_images": 48,
    "sample_batch_size": 16,
    "checkpointing_steps": 100,
}
BATCH = 24


@dataclass(frozen=True)
class Condition:
    """What is varied: the words, and whether the class is held on to."""

    name: str
    instance_prompt: str
    class_prompt: str
    prior: bool = True

    @property
    def names(self) -> SubjectNames:
        return SubjectNames(MODEL, self.instance_prompt, self.class_prompt, SIDE)


BACKPACK = "a photo of a backpack"
WITH = Condition("right noun", "a photo of ohwx backpack", BACKPACK)
WITHOUT = Condition("right noun, no prior", "a photo of ohwx backpack", BACKPACK, prior=False)
WRONG = Condition("wrong noun", "a photo of ohwx cat", "a photo of a cat")
MISSING = Condition("no noun", "a photo of ohwx", BACKPACK)
CONDITIONS = (WITH, WITHOUT, WRONG, MISSING)


def taught(folder: Path, condition: Condition, seed: int, steps: int) -> dict[int, Path]:
    """Teach, or go on with it; the checkpoints of its second half, by their steps."""
    place = folder / f"{condition.name}, seed {seed}"
    options = TeachOptions(
        instance_prompt=condition.instance_prompt,
        class_prompt=condition.class_prompt,
        with_prior_preservation=condition.prior,
        max_train_steps=steps,
        seed=seed,
        **SETTINGS,
    )
    whole = dict(checkpoints.find(place / "checkpoints"))
    if steps not in whole:
        teach(TeachConfig(MODEL, PHOTOGRAPHS, place, options, device="cpu"), Callbacks())
        whole = dict(checkpoints.find(place / "checkpoints"))
        print(f"taught: {place.name}", file=sys.stderr, flush=True)
    return {step: path for step, path in whole.items() if steps // 2 <= step <= steps}


def scored(
    report: Path, condition: Condition, learned: Mapping[str, Path], prompts: int, seeds: int
) -> dict[str, Any]:
    """The report on checkpoints by name, beside the untaught model; one that is there is read."""
    if not report.is_file():
        judges = CardJudges.of("mini", device="cpu")
        options = PaintingOptions(prompts, seeds, batch=BATCH, device="cpu")
        card = score_painters(condition.names, PHOTOGRAPHS, learned, judges, options)
        write_atomic(report, json.dumps(card.report, indent=1))
        print(f"scored: {report.name}", file=sys.stderr, flush=True)
    return dict(json.loads(report.read_text()))


def chosen(
    folder: Path, condition: Condition, runs: Mapping[int, Mapping[int, Path]], prompts: int
) -> dict[int, int]:
    """Of each seed's checkpoints the step that is worth most on the scorecard."""
    learned = {
        f"{seed}/{step}": path for seed, whole in runs.items() for step, path in whole.items()
    }
    report = scored(folder / f"choice, {condition.name}.json", condition, learned, prompts, 1)
    worth = {row["name"]: row["worth"] for row in report["rows"]}
    return {
        seed: max(whole, key=lambda step: worth[f"{seed}/{step}"]) for seed, whole in runs.items()
    }


def table(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Markdown: a row a condition, mean ± sample standard deviation over its seeds."""
    keys = {"dino": "DINO", "clip_i": "CLIP-I", "clip_t": "CLIP-T", "pres": "PRES",
            "div_dino": "DIV by DINO", "leak": "leak", "drift": "drift"}  # fmt: skip
    lines = ["| | " + " | ".join(keys.values()) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, report in reports.items():
        before, *rows = report["rows"]
        lines.append(_row(f"{name}: untaught", [f"{before[key]:.3f}" for key in keys]))
        spread = [_spread([row[key] for row in rows]) for key in keys]
        lines.append(_row(f"**{name}**, {len(rows)} seeds", spread))
    real = next(iter(reports.values()))["ceiling"]
    lines.append(_row("photographs", [f"{real['dino']:.3f}", f"{real['clip_i']:.3f}"] + ["–"] * 5))
    return lines


def bars(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was to be shown, and whether it was."""

    def mean(condition: Condition, key: str) -> float:
        return statistics.fmean(row[key] for row in reports[condition.name]["rows"][1:])

    report = reports[WITH.name]
    before, ceiling = report["rows"][0], report["ceiling"]["dino"]
    half = (before["dino"] + ceiling) / 2
    checks = [
        (f"DINO at least half way, {half:.3f}", mean(WITH, "dino"), mean(WITH, "dino") >= half),
        (
            f"CLIP-T at least .9 of the untaught model's, {0.9 * before['clip_t']:.3f}",
            mean(WITH, "clip_t"),
            mean(WITH, "clip_t") >= 0.9 * before["clip_t"],
        ),
    ]
    for key, other, lower in (
        ("pres", WITHOUT, True),
        ("div_dino", WITHOUT, False),
        ("dino", WRONG, False),
        ("dino", MISSING, False),
    ):
        ours, theirs = mean(WITH, key), mean(other, key)
        sentence = f"{key} {'below' if lower else 'above'} that of “{other.name}”, {theirs:.3f}"
        checks.append((sentence, ours, ours < theirs if lower else ours > theirs))
    return [
        "| bar | measured | |",
        "|---|---|---|",
        *(
            _row(sentence, [f"{value:.3f}", "yes" if ok else "**no**"])
            for sentence, value, ok in checks
        ),
    ]


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}"
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"


def _row(first: str, cells: Sequence[str]) -> str:
    return f"| {first} | " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--trainings", type=int, default=3, help="seeds of training")
    parser.add_argument("--choose-by", type=int, default=8, help="prompts a checkpoint")
    parser.add_argument("--seeds", type=int, default=4, help="pictures a prompt, at the end")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds: DIV compares pictures of one prompt, at least 2")
    let_threads_sleep()
    reports_folder = args.folder / f"{args.steps} steps, chosen by {args.choose_by} prompts"
    reports_folder.mkdir(parents=True, exist_ok=True)
    runs: dict[Condition, dict[int, dict[int, Path]]] = {one: {} for one in CONDITIONS}
    reports, best = {}, {}
    with pool.no_progress_bars():
        for seed in range(args.trainings):
            for condition in CONDITIONS:
                runs[condition][seed] = taught(args.folder, condition, seed, args.steps)
        for condition in CONDITIONS:
            best[condition] = chosen(reports_folder, condition, runs[condition], args.choose_by)
        for alike in ([WITH, WITHOUT], [WRONG], [MISSING]):  # by their prompts
            learned = {
                f"{condition.name}, seed {seed}": runs[condition][seed][step]
                for condition in alike
                for seed, step in best[condition].items()
            }
            file = reports_folder / f"scores, {alike[0].name}, {args.seeds} seeds.json"
            report = scored(file, alike[0], learned, 25, args.seeds)
            before, *rows = report["rows"]
            for condition in alike:
                own = [row for row in rows if row["name"].startswith(f"{condition.name}, seed")]
                reports[condition.name] = {**report, "rows": [before, *own]}
    print("\n".join(table(reports)), end="\n\n")
    print("\n".join(bars(reports)), end="\n\n")
    for condition in CONDITIONS:
        print(f"{condition.name}: steps {', '.join(map(str, best[condition].values()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What all recipes share: the loop with its schedule, averaged weights, checkpoints and log.

A recipe gives a model, a function that makes what a step is shown, and one that makes its loss of
it; ``train`` runs them for a number of steps or minutes, goes on after a kill where its last
checkpoint was, and returns the averaged weights.
"""

from __future__ import annotations

import copy
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from minis import devices
from minis.devices import Render
from minis.muon import Muon

OUT = Path(os.environ.get("LIMNER_MINIS_OUT", Path(__file__).parent / "out"))
"""Checkpoints and logs; not kept in git."""
SHIPPED = Path(__file__).parents[1] / "src" / "limner" / "registry" / "minis"
"""Where the finished models go."""
TRAINED = Path(__file__).parent / "trained.json"
"""Steps, seconds and commit of what ships."""
GO_ON = "--go-on"
"""Flag of a recipe: where there is no checkpoint, start from what ships instead of from nothing."""

LARGE = "--large"
"""Flag of a recipe: the size that an accelerator has the time for, where the recipe has one."""
SHARD = "16MB"
"""Most that one file of weights holds, as a host of code takes it."""
MINUTES = "--minutes"
"""Option of a recipe: minutes by the clock for each of its runs, in place of the plan's steps."""

Loss = tuple[torch.Tensor, dict[str, float]]
"""What is minimised, and numbers for the log."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast."""

    steps: int
    learning_rate: float
    weight_decay: float = 0.05
    warmup: int = 200
    ema: float = 0.998
    clip: float = 1.0
    bf16: bool = True
    seed: int = 0
    beta2: float = 0.98
    muon: bool = False
    """Muon for the matrices of the layers, at AdamW's learning rate; AdamW for all else."""
    checkpoint_seconds: float = 180


def train(
    name: str,
    model: torch.nn.Module,
    plan: Plan,
    render: Render,
    step_loss: Callable[[Any, np.random.Generator], Loss],
    shipped: Path | None = None,
) -> torch.nn.Module:
    """Minimise, and return a copy of ``model`` with the averaged weights, in eval mode, on the CPU.

    ``render`` gets a generator that depends only on the plan's seed and the step; ``step_loss``
    gets what it made, on the device of ``--device``, and a generator for what is left to chance.
    Steps that a checkpoint holds are not done again; with ``--go-on`` nor are those that the
    weights in the folder ``shipped`` have behind them.
    """
    device = devices.chosen()
    model.to(device)
    cv2.setNumThreads(torch.get_num_threads())  # its own pool fights the other core's run
    optimizers = make_optimizers(model, plan)
    average = copy.deepcopy(model).requires_grad_(False)
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.pt"
    done, spent, before = 0, 0.0, 0.0  # `before`: seconds of what ships
    if path.exists():
        saved = torch.load(path, weights_only=True, map_location=device)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        done, spent, before = saved["step"], saved["seconds"], saved.get("before", 0.0)
    elif GO_ON in sys.argv and shipped:
        done, spent = take_up(name, model, shipped)
        before = spent
        average.load_state_dict(model.state_dict())
    began = 0 if path.exists() else done
    model.train()
    torch.manual_seed(plan.seed + done)
    start = noted = saved_at = time.time()
    sums: dict[str, float] = {}
    minutes = devices.option(MINUTES)
    step, gone = done, part_done(plan, minutes, done, spent - before)
    workers = devices.spare_cores() if device.type != "cpu" else 0
    steps = devices.rendered(render, plan.seed, done, workers)
    while gone < 1:
        rate = learning_rate(step, gone, plan) * min(1.0, (step - began + 1) / plan.warmup)
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        shown, rng = next(steps)
        half = plan.bf16 or device.type != "cpu"
        with device, torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            loss, numbers = step_loss(devices.moved(shown, device), rng)
        model.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        if torch.isfinite(norm):
            for optimizer in optimizers:
                optimizer.step()
        _average(average, model, min(plan.ema, (1 + step) / (10 + step)))
        for key, value in (numbers | {"loss": float(loss.detach()), "norm": float(norm)}).items():
            sums[key] = sums.get(key, 0.0) + value
        step += 1
        gone = part_done(plan, minutes, step, spent - before + time.time() - start)
        if step % 50 == 0:
            now = time.time()
            line = {key: round(value / 50, 4) for key, value in sums.items()}
            line |= {"step": step, "s": round((now - noted) / 50, 3), "lr": round(rate, 6)}
            with (OUT / f"{name}.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            noted, sums = now, {}
        if time.time() - saved_at > plan.checkpoint_seconds or gone >= 1:
            state = {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "step": step,
                "seconds": spent + time.time() - start,
                "before": before,
            }
            torch.save(state, path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
            saved_at = time.time()
    model.cpu()
    return average.cpu().eval()


def begun(name: str) -> bool:
    """Whether a run has a checkpoint."""
    return (OUT / f"{name}.pt").exists()


def fits(model: torch.nn.Module, shipped: Path) -> bool:
    """Whether what ships has this model's parts and shapes, so that a run can go on from it. Parts
    that are thrown away after a training, whole ones at the top, needn't be there."""
    if not shipped.is_dir():
        return False
    old = type(model).from_pretrained(shipped).state_dict()
    mine = model.state_dict()
    parts = {name.split(".")[0] for name in old}
    shapes = {name: weight.shape for name, weight in mine.items() if name.split(".")[0] in parts}
    return shapes == {name: weight.shape for name, weight in old.items()}


def take_up(name: str, model: torch.nn.Module, shipped: Path) -> tuple[int, float]:
    """Load the weights that ship into ``model``; the steps and seconds that they took.

    Parts that are thrown away after a training keep their random weights.
    """
    old = type(model).from_pretrained(shipped, torch_dtype=torch.float32).state_dict()
    _, unexpected = model.load_state_dict(old, strict=False)
    if unexpected:
        raise ValueError(f"{shipped} and the recipe differ: {unexpected}")
    known = json.loads(TRAINED.read_text())[name]
    return known["steps"], known["seconds"]


def make_optimizers(model: torch.nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or for what Muon (arXiv 2502.16982) isn't made for."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    hidden = {
        name
        for name, p in trained.items()
        if plan.muon and p.ndim == 2 and re.search(r"layers?\.\d", name)
    }
    others = [p for name, p in trained.items() if name not in hidden]
    adam = torch.optim.AdamW(
        [
            {"params": [p for p in others if p.ndim > 1]},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=plan.learning_rate,
        betas=(0.9, plan.beta2),
        weight_decay=plan.weight_decay,
    )
    if not hidden:
        return [adam]
    muon = Muon(
        [trained[name] for name in sorted(hidden)],
        lr=plan.learning_rate,
        weight_decay=plan.weight_decay,
    )
    return [adam, muon]


def learning_rate(step: int, gone: float, plan: Plan) -> float:
    """Linear warm-up over steps, and a cosine down to a hundredth over the ``gone`` part."""
    warm = min(1.0, (step + 1) / plan.warmup)
    return plan.learning_rate * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * gone)) / 2)


def part_done(plan: Plan, minutes: str | None, step: int, seconds: float) -> float:
    """What part of a run lies behind: of its steps, or of the minutes where these bind."""
    if minutes is None:
        return step / plan.steps
    return seconds / (60 * float(minutes))


def to_tensor(images: list[np.ndarray]) -> torch.Tensor:
    """RGB uint8 pictures of one size -> (N, 3, H, W) in [-1, 1]."""
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    return batch / 127.5 - 1


@torch.no_grad()
def _average(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    for mean, now in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for mean, now in zip(average.buffers(), model.buffers(), strict=True):
        mean.copy_(now)

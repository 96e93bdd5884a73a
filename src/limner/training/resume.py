"""Resuming a run that stopped: only with the same job, and from its last whole checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from limner.errors import FileError, ModelError, OptionError, OutputError
from limner.io.save import write_atomic
from limner.options import TeachOptions
from limner.training import checkpoints
from limner.training.base_model import Base
from limner.training.instance_images import Photographs
from limner.training.trainable import TrainableModel
from limner.untrusted.json_toml import MOST_BYTES, parse_json, read_json_object
from limner.untrusted.regular_files import read_text

LOG, JOB = "log.jsonl", "job.json"
NOT_DECIDING = frozenset(
    {
        "checkpointing_steps",
        "checkpoints_total_limit",
        "validation_steps",
        "num_validation_images",
        "validation_prompt",
        "sample_batch_size",
        "gradient_checkpointing",
        "max_train_steps",
    }
)
"""Options that a run may go on with changed: what was learned so far is the same."""

OF_SCHEDULERS = {"lr_num_cycles": "cosine_with_restarts", "lr_power": "polynomial"}


def job(
    options: TeachOptions,
    base: Base,
    photographs: Photographs,
    captions: list[str],
    side: int,
    class_images: Path | None,
) -> dict[str, Any]:
    """All that decides what is learned."""
    decides = {k: v for k, v in asdict(options).items() if k not in NOT_DECIDING}
    if options.lr_scheduler not in ("constant", "constant_with_warmup"):
        decides["max_train_steps"] = options.max_train_steps
    for name, scheduler in OF_SCHEDULERS.items():
        if options.lr_scheduler != scheduler:
            del decides[name]
    return {
        "base": base.ref.name,
        "base_digest": base.digest,
        "photographs": [photo.digest for photo in photographs.usable],
        "captions": captions,
        "side": side,
        "class_images": str(class_images) if class_images else None,
        **decides,
    }


def check_job(folder: Path, job: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that was of something else.

    Raises:
        ModelError: another base.
        OptionError: other photographs or settings.
    """
    try:
        previous = read_json_object(folder / JOB)
    except FileError:
        return
    if not checkpoints.find(folder / "checkpoints"):
        return
    # Of options that came after the run did; before these two, the curves were cosine and linear.
    usual = {**asdict(TeachOptions()), "lr_num_cycles": 1, "lr_power": 1.0}
    differ = [key for key in job if previous.get(key, usual.get(key)) != job[key]]
    if not differ:
        return
    key = differ[0]
    advice = "give another --name, or --overwrite to begin anew"
    if key.startswith("base"):
        raise ModelError(
            f"{folder} holds a run on {previous.get('base')} "
            f"({str(previous.get('base_digest'))[:8]}), and {job['base']} "
            f"({job['base_digest'][:8]}) was asked for: {advice}."
        )
    raise OptionError(f"{folder} holds a run with other {', '.join(differ)}: {advice}.")


def resume(
    folder: Path, trainable: TrainableModel, optimizer: torch.optim.Optimizer, options: TeachOptions
) -> int:
    """The step to go on from; 0 for a new run."""
    whole = checkpoints.find(folder / "checkpoints")
    usable = [(step, path) for step, path in whole if step <= options.max_train_steps]
    if not usable:
        return 0
    step, path = usable[-1]
    checkpoints.load(path, trainable, optimizer)
    return step


def log(path: Path, values: Mapping[str, Any]) -> None:
    """Add a line of JSON.

    Raises:
        OutputError: no room, or no permission.
    """
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
    except OSError as error:
        raise OutputError(
            f"{path} can't be written ({error.strerror}): make room and run the same command "
            "again, it goes on from the last checkpoint."
        ) from error


def cut_log(path: Path, first_step: int) -> None:
    """Keep the lines up to the checkpoint: the steps after it are done again."""
    lines = read_text(path, limit=MOST_BYTES).splitlines() if path.is_file() else []
    finished = [line for line in lines if _step_of(line) <= first_step]
    write_atomic(path, "".join(line + "\n" for line in finished), overwrite=True)


def _step_of(line: str) -> float:
    try:
        return float(parse_json(line, LOG)["step"])
    except (FileError, ValueError, KeyError, TypeError):
        return float("inf")

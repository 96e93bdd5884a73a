"""What teaching would cost here: three steps are done, and measured."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from limner.options import TeachOptions
from limner.runs import peak_memory
from limner.training.dreambooth import Callbacks, StepReport, TeachConfig, teach

STEPS = 3
"""The first of them also warms up, and isn't counted."""


@dataclass(frozen=True)
class Plan:
    """What a run takes: seconds of its parts, and bytes of memory."""

    seconds_a_step: float
    seconds_a_class_image: float | None
    """None: one was at hand already, or none is needed."""
    memory_bytes: int | None
    """Most that the process held; None where the system can't tell."""
    device_bytes: int | None
    steps: int
    class_images: int
    side: int

    @property
    def minutes_a_hundred(self) -> float:
        return self.seconds_a_step * 100 / 60

    @property
    def minutes(self) -> float:
        """All of it, with the pictures of the class."""
        making = (self.seconds_a_class_image or 0.0) * self.class_images
        return (self.seconds_a_step * self.steps + making) / 60


def plan(config: TeachConfig, callbacks: Callbacks) -> Plan:
    """Do three steps in a folder that is deleted again.

    Raises:
        what ``teach`` raises: a plan refuses what the run would refuse.
    """
    times: list[float] = []
    making: list[float] = []
    began = [0.0]

    def on_class_image(done: int, total: int) -> None:
        now = time.monotonic()
        if done == total and began[0]:
            making.append(now - began[0])
        began[0] = now

    def on_step(report: StepReport) -> None:
        times.append(report.seconds)

    options = config.options
    short = replace(
        options,
        max_train_steps=STEPS,
        num_class_images=1 if options.with_prior_preservation else options.num_class_images,
        checkpointing_steps=STEPS,
        lr_scheduler=TeachOptions.lr_scheduler,  # the others may not fit into so few
        lr_warmup_steps=TeachOptions.lr_warmup_steps,
        lr_num_cycles=TeachOptions.lr_num_cycles,
        lr_power=TeachOptions.lr_power,
        validation_steps=None,
        validation_prompt=(),
        num_validation_images=TeachOptions.num_validation_images,  # else it is refused
    )
    peak_memory.forget_peak()
    with tempfile.TemporaryDirectory() as folder:
        short_config = replace(config, folder=Path(folder), options=short)
        result = teach(
            short_config, replace(callbacks, on_class_image=on_class_image, on_step=on_step)
        )
    class_images = options.num_class_images if options.with_prior_preservation else 0
    return Plan(
        median(times[1:]),
        making[0] if making else None,
        peak_memory.peak_bytes(),
        peak_memory.device_peak_bytes(),
        options.max_train_steps,
        0 if config.class_images else class_images,
        result.side,
    )

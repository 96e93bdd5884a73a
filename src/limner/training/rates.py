"""How the step size changes: by the step's number alone, so that a resumed run needs no state.

The curves are those of diffusers' ``get_scheduler`` (optimization.py), but that its command line
asks for one cycle of ``cosine_with_restarts``, which is ``cosine``, and for power 1 of
``polynomial``, which is ``linear``; and that a polynomial ends at 0, not at 1e-7, which a learning
rate may be below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from limner.options import TeachOptions

Curve = Callable[[float, TeachOptions], float]


def learning_rate(options: TeachOptions) -> float:
    """The largest step size."""
    if options.learning_rate is not None:
        return options.learning_rate
    return 5e-4 if options.method == "lora" else 5e-6


def rate_at(step: int, options: TeachOptions) -> float:
    """The step size of a step, counted from 0.

    It rises from 0 through ``lr_warmup_steps`` and then follows the scheduler's curve.
    """
    most, rising = learning_rate(options), options.lr_warmup_steps
    if step < rising:
        return most * step / rising
    progress = (step - rising) / max(1, options.max_train_steps - rising)
    return most * CURVES[options.lr_scheduler](min(1.0, progress), options)


def _restarting(progress: float, options: TeachOptions) -> float:
    if progress >= 1:
        return 0.0
    return _cosine(progress * options.lr_num_cycles % 1.0)


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


CURVES: Mapping[str, Curve] = {
    "constant": lambda progress, options: 1.0,
    "constant_with_warmup": lambda progress, options: 1.0,
    "linear": lambda progress, options: 1 - progress,
    "cosine": lambda progress, options: _cosine(progress),
    "cosine_with_restarts": _restarting,
    "polynomial": lambda progress, options: (1 - progress) ** options.lr_power,
}
"""Parts of the largest step size, from the warm-up's end (0) to the run's (1)."""

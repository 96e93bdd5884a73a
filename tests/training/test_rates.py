"""The step size by the step: each scheduler's own curve, held against diffusers' functions."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from diffusers import optimization

from limner.errors import OptionError
from limner.options import TeachOptions
from limner.training.rates import rate_at

STEPS, WARM_UP, MOST = 100, 10, 1e-3


def options(**given: Any) -> TeachOptions:
    return TeachOptions(**{"max_train_steps": STEPS, "learning_rate": MOST, **given})


def curve(**given: Any) -> list[float]:
    return [rate_at(step, options(**given)) for step in range(STEPS)]


def of_diffusers(name: str, **given: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=MOST)
    scheduler = getattr(optimization, name)(optimizer, num_warmup_steps=WARM_UP, **given)
    return [MOST * scheduler.lr_lambdas[0](step) for step in range(STEPS)]


TOTAL = {"num_training_steps": STEPS}
SAME: dict[str, tuple[dict[str, Any], str, dict[str, Any], float]] = {
    "constant_with_warmup": ({}, "get_constant_schedule_with_warmup", {}, 1e-12),
    "linear": ({}, "get_linear_schedule_with_warmup", TOTAL, 1e-12),
    "cosine": ({}, "get_cosine_schedule_with_warmup", TOTAL, 1e-12),
    "cosine_with_restarts": (
        {"lr_num_cycles": 4},
        "get_cosine_with_hard_restarts_schedule_with_warmup",
        {**TOTAL, "num_cycles": 4},
        1e-12,
    ),
    "polynomial": (
        {"lr_power": 3.0},
        "get_polynomial_decay_schedule_with_warmup",
        {**TOTAL, "power": 3.0},
        1.1e-7,  # where theirs ends
    ),
}


@pytest.mark.parametrize("scheduler", SAME)
def test_each_curve_is_that_of_diffusers(scheduler: str) -> None:
    given, name, theirs, near = SAME[scheduler]
    found = curve(lr_scheduler=scheduler, lr_warmup_steps=WARM_UP, **given)
    assert found == pytest.approx(of_diffusers(name, **theirs), abs=near)


def test_restarts_restart() -> None:
    """Back to the whole step size at the beginning of each cycle, also where nothing was said."""
    found = curve(lr_scheduler="cosine_with_restarts", lr_num_cycles=4)
    assert [step for step in range(STEPS) if found[step] == MOST] == [0, 25, 50, 75]
    usual = curve(lr_scheduler="cosine_with_restarts")
    assert sum(after > before for before, after in itertools.pairwise(usual)) == 2


def test_a_polynomial_is_not_linear_and_begins_anywhere() -> None:
    """diffusers' ends at 1e-7, and refuses a learning rate that is no larger."""
    linear = curve(lr_scheduler="linear")
    assert curve(lr_scheduler="polynomial")[50] == pytest.approx(linear[50] / 2)
    small = curve(lr_scheduler="polynomial", learning_rate=1e-8)
    assert small[0] == 1e-8
    assert all(after < before for before, after in itertools.pairwise(small))
    assert small[-1] > 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"lr_scheduler": "linear", "lr_warmup_steps": 500},
            "fewer than max_train_steps, got 500 and 100",
        ),
        ({"lr_scheduler": "linear", "lr_warmup_steps": 100}, "still be rising"),
        ({"lr_scheduler": "constant_with_warmup"}, "needs lr_warmup_steps"),
        ({"lr_scheduler": "cosine", "lr_num_cycles": 2}, "lr_num_cycles has no effect"),
        ({"lr_scheduler": "linear", "lr_power": 1.0}, "lr_power has no effect"),
        ({"lr_scheduler": "cosine_with_restarts", "max_train_steps": 2}, "don't fit into the 2"),
    ],
)
def test_schedules_that_a_run_would_not_see_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        options(**given)

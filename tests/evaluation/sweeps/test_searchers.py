"""What a search proposes hangs on its seed and on the scores it was told, and on nothing else."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from limner.errors import MissingExtra
from limner.evaluation.sweeps import searchers
from limner.evaluation.sweeps.recipe import Recipe, read_recipe
from limner.evaluation.sweeps.search_config import SAMPLERS
from limner.evaluation.sweeps.searchers import Searcher, Trial, searcher_of
from tests.evaluation.suites.doubles import draw

RECIPE = """\
image = "thing.png"
[edit]
find = "mug"
paint = "a car"
[sweep]
strength = {from = 0.1, to = 1.0}
seed = {from = 0, to = 20}
guidance_scale = [7, 1, 3]
scheduler = ["DDIMScheduler", "PNDMScheduler"]
[search]
method = "METHOD"
trials = 14
objective = "clip_t"
"""


def recipe_of(folder: Path, method: str, **replaced: str) -> Recipe:
    if not (folder / "thing.png").exists():
        draw(folder)
    text = RECIPE.replace("METHOD", method)
    for old, new in replaced.items():
        text = text.replace(f"{old} = ", f"{old} = {new} #")
    (folder / "r.toml").write_text(text)
    return read_recipe(folder / "r.toml")


def score(trial: Trial) -> float:
    """Best at strength 0.7 and guidance 3."""
    strength, _, guidance, _ = (value.plain for value in trial.point)
    return -((strength - 0.7) ** 2) - (guidance - 3) ** 2 / 50


def go(searcher: Searcher, batch: int, failing: int = -1) -> list[tuple[object, ...]]:
    seen = []
    while trials := searcher.propose(batch):
        for trial in trials:
            seen.append(tuple(value.plain for value in trial.point))
            searcher.tell(trial, None if trial.number == failing else score(trial))
    return seen


@pytest.mark.parametrize("method", ["random", *(name for name in SAMPLERS if name != "gp")])
def test_a_search_told_the_same_proposes_the_same(tmp_path: Path, method: str) -> None:
    """How a killed search goes on: begun anew, it asks for what was done, then for what wasn't."""
    recipe = recipe_of(tmp_path, method)
    first = go(searcher_of(recipe, at_once=2), 2, failing=3)
    assert go(searcher_of(recipe, at_once=2), 2, failing=3) == first
    assert len(first) == 14
    for strength, seed, guidance, scheduler in first:
        assert isinstance(strength, float)
        assert 0.1 <= strength <= 1
        assert seed in range(21)
        assert guidance in (1, 3, 7)
        assert scheduler in ("DDIMScheduler", "PNDMScheduler")
    other = recipe_of(tmp_path, method, trials="14\nseed = 5")
    assert go(searcher_of(other, at_once=2), 2) != first, "another seed, another search"


def test_a_gaussian_process_searches_too(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "gp", trials="12")
    seen = go(searcher_of(recipe, at_once=1), 1)
    assert len(seen) == 12


def test_what_it_is_told_guides_the_search(tmp_path: Path) -> None:
    """TPE comes nearer to what scores well than to what it is told scores well when it doesn't."""
    recipe = recipe_of(tmp_path, "tpe", trials="40")
    seen = go(searcher_of(recipe, at_once=1), 1)
    late = [abs(float(str(point[0])) - 0.7) for point in seen[20:]]
    assert math.fsum(late) / len(late) < 0.15, "a draw without learning is 0.24 off"


def test_a_draw_from_listed_values_has_no_point_twice(tmp_path: Path) -> None:
    replaced = {"strength": "[0.1, 0.2]", "seed": "{from = 1, to = 2}", "trials": "24"}
    recipe = recipe_of(tmp_path, "random", **replaced)
    assert recipe.size == 24
    assert len(set(go(searcher_of(recipe, at_once=1), 100))) == 24


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(tmp_path, "tpe")
    monkeypatch.setattr(searchers, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "limner\[optuna\]"'):
        searcher_of(recipe, at_once=1)

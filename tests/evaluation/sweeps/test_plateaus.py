"""The best of a sweep: of equals the middle one, and none where nothing was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.evaluation.cells.results import CellResult
from limner.evaluation.sweeps.plateaus import best_of
from limner.evaluation.sweeps.recipe import Recipe, read_recipe
from limner.evaluation.sweeps.run import TrialResult
from limner.evaluation.sweeps.searchers import Trial
from tests.evaluation.suites.doubles import draw


def recipe_of(folder: Path, sweep: str, objective: str = "box_iou", search: str = "") -> Recipe:
    draw(folder)
    (folder / "r.toml").write_text(
        f'image = "thing.png"\nbox = [30, 30, 60, 60]\n[detect]\nfind = "{{{{what}}}}"\n'
        f'[sweep]\n{sweep}\n[search]\nobjective = "{objective}"\n{search}\n'
    )
    return read_recipe(folder / "r.toml")


def tried(
    recipe: Recipe, scores: list[float | None], found: list[int] | None = None
) -> list[TrialResult]:
    found = found or [1] * len(scores)
    return [
        TrialResult(Trial(k, point), (CellResult("k", "n", "pass", found=count),), score)
        for k, (point, score, count) in enumerate(zip(recipe.points(), scores, found, strict=True))
    ]


ONE_AXIS = 'threshold = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]\nvars.what = ["mug"]'

PLATEAUS: dict[str, tuple[list[float | None], float | None]] = {
    "a single best": ([0.1, 0.2, 0.3, 0.9, 0.3, 0.2, 0.1], 0.4),
    "the middle of equals": ([0.1, 0.8, 0.8, 0.8, 0.8, 0.8, 0.1], 0.4),
    "a plateau at the edge": ([0.8, 0.8, 0.8, 0.1, 0.1, 0.1, 0.1], 0.2),
    "the longer of two": ([0.8, 0.1, 0.8, 0.8, 0.8, 0.1, 0.8], 0.4),
    "equal but for the last bits": ([0.8, 0.8 + 1e-16, 0.8, 0.1, 0.1, 0.1, 0.1], 0.2),
    "not through one without a score": ([0.8, 0.8, 0.8, None, 0.8, 0.1, 0.1], 0.2),
    "nothing right": ([0.0] * 7, None),
    "no score": ([None] * 7, None),
}


@pytest.mark.parametrize("name", PLATEAUS)
def test_the_middle_of_what_is_equally_good_is_the_best(name: str, tmp_path: Path) -> None:
    """The first of equals was taken: the edge of a plateau, where the next picture fails."""
    scores, expected = PLATEAUS[name]
    recipe = recipe_of(tmp_path, ONE_AXIS)
    best = best_of(recipe, tried(recipe, scores))
    assert (None if best is None else best.point[0].plain) == expected


def test_a_plateau_spans_all_axes_with_an_order_and_stays_with_one_value_of_the_others(
    tmp_path: Path,
) -> None:
    """A square of 3 × 3 for one phrase is larger than a row of 5 for another."""
    axes = "threshold = [0.1, 0.2, 0.3, 0.4, 0.5]\nnms_threshold = [0.3, 0.5, 0.7]"
    axes += '\nvars.what = ["cup", "mug"]'
    recipe = recipe_of(tmp_path, axes)
    square = {(t, n, "cup") for t in (0.2, 0.3, 0.4) for n in (0.3, 0.5, 0.7)}
    row = {(t, 0.3, "mug") for t in (0.1, 0.2, 0.3, 0.4, 0.5)}
    values = [tuple(value.plain for value in point) for point in recipe.points()]
    scores: list[float | None] = [0.9 if each in square | row else 0.2 for each in values]
    assert scores.count(0.9) == 14
    best = best_of(recipe, tried(recipe, scores))
    assert best is not None
    assert [value.plain for value in best.point] == [0.3, 0.5, "cup"]


def test_where_nothing_was_found_there_is_no_best(tmp_path: Path) -> None:
    """Nothing at all is found the fastest, which made the threshold of 0.7 the best one."""
    recipe = recipe_of(tmp_path, ONE_AXIS, objective="latency")
    scores: list[float | None] = [0.9, 0.8, 0.7, 0.6, 0.5, 0.2, 0.1]
    best = best_of(recipe, tried(recipe, scores, [3, 2, 2, 1, 1, 0, 0]))
    assert best is not None
    assert best.point[0].plain == 0.5
    assert best_of(recipe, tried(recipe, scores, [0] * 7)) is None

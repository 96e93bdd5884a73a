"""A sweep tries every point once, whatever breaks or is killed, and says which was best."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import OutputError, StoreError
from limner.evaluation.cells.cell import Cell
from limner.evaluation.cells.journal import CELLS, PICTURES
from limner.evaluation.cells.outcome import Outcome
from limner.evaluation.cells.runner import Execution
from limner.evaluation.sweeps import report as tables
from limner.evaluation.sweeps.plateaus import best_of
from limner.evaluation.sweeps.recipe import Recipe, read_recipe
from limner.evaluation.sweeps.run import Ratings, SweepResult, run_trials
from limner.evaluation.sweeps.sheets import curves, sheets
from limner.evaluation.sweeps.state import State, new_state, read_state
from limner.io.save import read_record
from limner.pipeline.edit import make_edit
from tests.evaluation.suites.doubles import TRUE_BOX, Told, draw

RECIPE = """\
image = "thing.png"
[edit]
paint = "something blue"
[sweep]
guidance_scale = [1, 3, 5]
strength = [0.25, 1.0]
find = ["mug", "bug"]
[search]
objective = "clip_t"
measure = "seam"
"""


@dataclass
class Painter(Told):
    """Paints the bluer, the stronger it is asked to; for the rest it is ``Told``."""

    def answer(self, cell: Cell) -> Outcome:
        outcome = super().answer(cell)
        if outcome.edit is None:
            return replace(outcome, run=cell.key[:16])
        values = dict(cell.setting.values)
        share = values.get("strength", 1.0) * min(values.get("guidance_scale", 5) / 5, 1)
        painted = outcome.image.copy()
        painted.paste((round(180 * (1 - share)), 40, round(220 * share)), TRUE_BOX)
        edit = make_edit(outcome.image, painted, outcome.edit.mask, crops=(), feather=0)
        return replace(outcome, edit=edit, run=cell.key[:16], record={"made": "by a double"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw(tmp_path)
    (tmp_path / "asked").mkdir()
    return tmp_path


def recipe_of(folder: Path, text: str = RECIPE) -> Recipe:
    (folder / "r.toml").write_text(text)
    return read_recipe(folder / "r.toml")


def swept(
    folder: Path,
    recipe: Recipe,
    state: State | None = None,
    ratings: Ratings | None = None,
    **execution: Any,
) -> tuple[SweepResult, State]:
    state = state or new_state(1)
    state.write(folder / "out")
    make = partial(Painter, folder / "asked")
    how = Execution(**execution)
    return run_trials(recipe, make, folder / "out", state, how, ratings=ratings), state


def times_asked(folder: Path) -> list[int]:
    asked = [path.name.split("-")[0] for path in (folder / "asked").iterdir()]
    return sorted(asked.count(key) for key in set(asked))


def test_every_point_has_its_score_and_one_that_breaks_its_error(folder: Path) -> None:
    """Two of the three axes are numbers; where the model has a bug the rest goes on."""
    recipe = recipe_of(folder)
    done, state = swept(folder, recipe)
    assert len(done.tried) == 12
    assert times_asked(folder) == [1] * 12
    broken = [each for each in done.tried if each.results[0].error]
    assert [each.point[2].label for each in broken] == ["bug"] * 6
    assert all(each.score is None for each in broken)
    best = best_of(recipe, done.tried)
    assert best is not None
    assert [value.plain for value in best.point] == [5, 1.0, "mug"]
    lowest = replace(recipe, search=replace(recipe.search, better="min"))
    worst = best_of(lowest, done.tried)
    assert worst is not None
    assert [value.plain for value in worst.point] == [1, 0.25, "mug"]
    report = json.loads(tables.report_json(tables.report_of(recipe, done, state)))
    assert report["best"] == best.trial.number
    assert report["trials"][best.trial.number]["settings"] == {
        "guidance_scale": 5, "strength": 1.0, "find": "mug",
    }  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(tables.report_csv(report))))
    assert len(rows) == 12
    assert float(rows[best.trial.number]["clip_t"]) == best.score
    assert float(rows[best.trial.number]["seam"]) > 0


def test_whole_pictures_are_kept_with_their_record_and_nothing_drawn_on_them(folder: Path) -> None:
    done, _ = swept(folder, recipe_of(folder))
    best = best_of(recipe_of(folder), done.tried)
    assert best is not None
    path = folder / "out" / PICTURES / best.results[0].picture
    whole = np.asarray(Image.open(path.with_suffix(".png")).convert("RGB"))
    assert tuple(whole[20, 20]) == (0, 40, 220)
    assert tuple(whole[45, 60]) == (200, 200, 200)
    assert read_record(path.with_suffix(".png")) == {"made": "by a double"}


def test_sheets_show_what_was_made_where_it_belongs(folder: Path) -> None:
    """A sheet for each value of the third axis, bluer to the right and downwards."""
    recipe = recipe_of(folder)
    done, _ = swept(folder, recipe)
    made = dict(sheets(recipe, done, folder / "out" / PICTURES))
    assert list(made) == ["sheet-mug.png", "sheet-bug.png"]
    pixels = np.asarray(made["sheet-mug.png"]).astype(int)
    blue = (pixels[..., 2] > 180) & (pixels[..., 0] < 60)
    height, width = blue.shape
    assert blue[height // 2 :, 2 * width // 3 :].sum() > 1000
    assert blue[: height // 2, : width // 2].sum() < 100
    figure = curves(recipe, done)
    assert figure is not None
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("guidance_scale", "clip_t")
    assert [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) > 1] == [
        [1, 3, 5]
    ] * 2


def test_resume_after_a_torn_line_does_only_what_is_left(folder: Path) -> None:
    recipe = recipe_of(folder)
    whole, state = swept(folder, recipe)
    path = folder / "out" / CELLS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:40])
    again, _ = swept(folder, recipe, read_state(folder / "out"), resume=True)
    assert again == whole
    assert read_state(folder / "out") == state
    assert times_asked(folder) == [1] * 5 + [2] * 7


SEARCH = RECIPE.replace("[1, 3, 5]", "{from = 1, to = 5}").replace(
    "[search]\n", '[search]\nmethod = "tpe"\ntrials = 9\nseed = 3\n'
)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_that_was_stopped_goes_on_the_same_way(folder: Path, workers: int) -> None:
    """As if it had never been stopped, and with another number of workers, too."""
    recipe = recipe_of(folder, SEARCH)
    whole, state = swept(folder, recipe, new_state(2))
    path = folder / "out" / CELLS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    again, _ = swept(folder, recipe, state, resume=True, workers=workers)
    assert [each.point for each in again.tried] == [each.point for each in whole.tried]
    assert again == whole


def test_the_score_of_several_pictures_is_their_mean_and_none_where_one_has_none(
    folder: Path,
) -> None:
    (folder / "plain.png").write_bytes((folder / "thing.png").read_bytes())
    text = RECIPE.replace('image = "thing.png"', 'images = ["thing.png", "plain.png"]')
    recipe = recipe_of(folder, text)
    done, _ = swept(folder, recipe)
    first = done.tried[0]
    assert len(first.results) == 2
    assert first.score == pytest.approx(first.results[0].verdicts[0]["measured"])
    assert len(list(sheets(recipe, done, folder / "out" / PICTURES))) == 4
    (folder / "plain.png").write_bytes(b"broken")
    broken, _ = swept(folder, recipe_of(folder, text))
    assert all(each.score is None for each in broken.tried)


RATED = SEARCH.replace('"clip_t"', '"rating"').replace('["mug", "bug"]', '["mug"]')


def test_a_search_by_ratings_waits_for_people_and_goes_on_with_what_they_said(folder: Path) -> None:
    """A run that is rated otherwise later changes its score, and not what was proposed."""
    recipe = recipe_of(folder, RATED)
    given: dict[str, int] = {}

    def rating(run: str) -> int | None:
        if given.get(run) == 0:
            raise StoreError("deleted")
        return given.get(run)

    first, state = swept(folder, recipe, new_state(4), ratings=rating)
    assert len(first.tried) == len(first.unrated) == 4
    for k, run in enumerate(first.unrated):
        given[run] = k  # 0: deleted meanwhile
    state = read_state(folder / "out") or state
    second, _ = swept(folder, recipe, state, resume=True, ratings=rating)
    assert [each.point for each in second.tried[:4]] == [each.point for each in first.tried]
    assert [each.score for each in second.tried[:4]] == [None, 1, 2, 3]
    assert len(second.unrated) == 4
    given |= dict.fromkeys(second.unrated, 3) | {first.unrated[1]: 5}
    state = read_state(folder / "out") or state
    third, _ = swept(folder, recipe, state, resume=True, ratings=rating)
    assert [each.point for each in third.tried[:8]] == [each.point for each in second.tried]
    given |= dict.fromkeys(third.unrated, 2)
    done, _ = swept(folder, recipe, read_state(folder / "out"), resume=True, ratings=rating)
    assert not done.unrated
    assert done.tried[1].score == 5
    best = best_of(recipe, done.tried)
    assert best is not None
    assert best.trial.number == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"id": 3, "batch": 1}', '{"id": "a", "batch": 0}'])
def test_a_state_that_is_none_of_ours_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(OutputError, match="is no sweep's of this limner"):
        read_state(tmp_path)

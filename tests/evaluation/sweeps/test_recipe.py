"""A recipe says what it means, or is refused with its line and the nearest name."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.errors import OptionError, RecipeError
from limner.evaluation.sweeps.ranges import Span
from limner.evaluation.sweeps.recipe import Recipe, read_recipe
from limner.prompts import Text
from tests.evaluation.suites.doubles import draw

GOOD = """\
images = ["thing.png", {image = "other.png", mask = "mask.png"}]
profile = "mini"
vars = {place = "lawn"}
[detect]
threshold = 0.2
[edit]
find = ["{{what}}", {box = [1, 2, 30, 40]}]
negative_prompt = "cartoon"
num_inference_steps = 2
[sweep]
guidance_scale = [1, 3.5]
strength = {from = 0.4, to = 1.0, count = 3}
paint = ["a {{what}} on the {{place}}"]
vars.what = ["mug", "red car"]
models.inpaint = ["mini-sd-inpaint"]
[search]
objective = "seam"
measure = ["clip_t", "latency"]
[judges]
clip = "mini-clip"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw(tmp_path)
    (tmp_path / "other.png").write_bytes((tmp_path / "thing.png").read_bytes())
    return tmp_path


def read(folder: Path, text: str) -> Recipe:
    path = folder / "r.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


def test_a_recipe_becomes_a_cell_for_each_point_and_picture(folder: Path) -> None:
    """2 x 3 x 1 x 2 x 1 points on 2 pictures, the last axis fastest; every value is in its cell."""
    recipe = read(folder, GOOD)
    cells = [cell for point in recipe.points() for cell in recipe.cells(point)]
    assert len(cells) == 24
    assert len({cell.key for cell in cells}) == 24
    first, last = cells[0], cells[-1]
    assert [case.name for case in (first.case, last.case)] == ["thing.png", "other.png"]
    assert last.case.mask == folder / "mask.png"
    assert first.ask.verb == "edit"
    assert first.ask.paint == Text("a mug on the lawn", "cartoon")
    assert [bool(draft.text) for draft in first.ask.find] == [True, False]
    assert last.ask.paint == Text("a red car on the lawn", "cartoon")
    assert dict(last.setting.values) == {
        "guidance_scale": 3.5,
        "strength": 1.0,
        "num_inference_steps": 2,
        "threshold": 0.2,
    }
    assert (last.models.profile, last.models.models) == (
        "mini",
        (("inpaint", "mini-sd-inpaint"),),
    )
    assert [(a.type, a.weight) for a in first.case.assertions] == [
        ("seam", 0),
        ("clip_t", 0),
        ("latency", 0),
    ]
    assert recipe.search.better == "min"
    assert recipe.judges["clip"] == "mini-clip"


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ('image = "thing.png"\n[detect]\nfind = "a"\n[sweep]\nthreshold = [0.1, 0.2]\n', "detect"),
        ('image = "thing.png"\n[segment]\n[sweep]\nfind = ["a", {point = [1, 2]}]\n', "segment"),
        (
            'image = "thing.png"\n[detect]\nthreshold = 0.1\n[remove]\nfind = "a"\n'
            "[sweep]\nselect = [\"largest\", ['best:2', 'largest']]\n",
            "remove",
        ),
    ],
)
def test_the_verb_is_the_last_stage_that_has_a_table(folder: Path, text: str, verb: str) -> None:
    recipe = read(folder, text)
    assert [cell.ask.verb for point in recipe.points() for cell in recipe.cells(point)] == [
        verb,
        verb,
    ]


def made(
    top: str = 'image = "thing.png"',
    edit: str = 'find = "mug"',
    paint: str = 'paint = "a car"',
    sweep: str = "strength = [0.5, 1.0]",
    search: str = 'objective = "seam"',
) -> str:
    """Lines: 1 top, 2 [edit], 3 find, 4 paint, 5 [sweep], 6 axis, 7 [search], 8 what it says."""
    return f"{top}\n[edit]\n{edit}\n{paint}\n[sweep]\n{sweep}\n[search]\n{search}\n"


WRONG = [
    ("unknown key", made(top='imge = "thing.png"'), "1: A recipe has no key 'imge'. Did"),
    ("unknown stage", made() + "[edits]\n", "9: A recipe has no key 'edits'. Did you mean"),
    ("no picture", made(top="# none"), "has one of image = "),
    ("picture and pictures", made(top='image = "a"\nimages = ["b"]'), "has one of image = "),
    ("picture gone", made(top='image = "gone.png"'), "1: There is no picture"),
    ("picture is a number", made(top="image = []"), "1: image is a text, got a list"),
    ("picture twice", made(top='images = ["thing.png",\n"thing.png"]'), "2: thing.png is"),
    ("mask of which", made(top='images = ["thing.png"]\nmask = "mask.png"'), "2: mask is of"),
    ("no verb", 'image = "thing.png"\n[sweep]\nseed = [1]\n', "has no verb: [detect]"),
    ("two verbs", made() + '[remove]\nfind = "a"\n', "2: A recipe has one verb"),
    ("no sweep", 'image = "thing.png"\n[edit]\nfind = "a"\npaint = "b"\n', "has no [sweep]"),
    ("empty sweep", made(sweep=""), "5: [sweep] is empty"),
    ("verb's key", made(edit='fnd = "mug"'), "3: [edit] has no key 'fnd'. Did you mean find"),
    ("nothing to find", made(edit=""), "2: [edit] doesn't say what to find"),
    ("nothing to paint", made(paint=""), "2: An edit has find and paint; paint is missing"),
    ("a seed twice over", made(sweep=f"seed = [1, {2**32 + 1}]"), "6: seed must be between 0"),
    ("axis", made(sweep="strenth = [1]"), "6: Nothing is called 'strenth' that could be"),
    ("nearest axis", made(sweep="strenth = [1]"), "Did you mean strength"),
    ("type", made(sweep='strength = ["a"]'), "6: strength is a float, got 'a'"),
    ("out of range", made(sweep="strength = [\n0.5,\n2]"), "8: strength must be between"),
    ("empty axis", made(sweep="strength = []"), "6: strength is empty"),
    ("value twice", made(sweep="strength = [0.5,\n 0.5]"), "7: strength has the value 0.5 t"),
    ("axis is fixed", made(edit='find = "a"\nstrength = 1.0'), "4: strength is swept in li"),
    ("no effect", made(edit="find = {box = [1, 2, 3, 4]}\nthreshold = 0.5"), "4: threshold h"),
    ("range's end", made(sweep="strength = {from = 0.5, count = 3}"), "6: A range has from"),
    ("range's key", made(sweep="strength = {form = 1, to = 3}"), "no key 'form'. Did you m"),
    ("both", made(sweep="seed = {from = 1, to = 3, count = 2, step = 1}"), "a count or a st"),
    ("upside down", made(sweep="seed = {from = 3, to = 1, count = 2}"), "from the lower to"),
    ("not whole", made(sweep="seed = {from = 1.5, to = 3, count = 2}"), "is a whole number"),
    ("no grid", made(sweep="strength = {from = 0.1, to = 1}"), "6: A grid needs the values"),
    ("log of 0", made(sweep="seed = {from = 0, to = 1, log = true, count = 2}"), "above 0"),
    ("range of words", made(sweep="scheduler = {from = 0, to = 1}"), "takes no numbers"),
    ("model", made(sweep='models.inpaint = ["sd15-inpant"]'), "6: There is no model 'sd15-i"),
    ("task", made(sweep='models.paint = ["a"]'), "6: Nothing is called 'models.paint'"),
    ("model's task", made(sweep='models.inpaint = ["sam-vit-base"]'), "is a model to segment"),
    ("profile", made(top='image = "thing.png"\nprofile = "tiny"'), "2: There is no profile"),
    ("template", made(paint='paint = "a {{colur}} car"'), "4: 'a {{colur}} car' needs the"),
    ("idle variable", made(sweep='vars.x = ["a"]'), "6: No prompt asks for x: write {{x}}"),
    ("method", made(search='method = "tpee"'), "8: There is no method 'tpee'. Did you mean t"),
    ("trials of a grid", made(search="trials = 3"), "8: trials has no effect on a grid"),
    ("no trials", made(search='method = "random"'), "7: random needs to know how much to try"),
    ("too many", made(search='method = "random"\ntrials = 3'), "7: There are only 2 points"),
    ("no objective", made(search='method = "tpe"\ntrials = 3'), "7: tpe needs an objective"),
    ("objective", made(search='objective = "clip"'), "8: Nothing is measured as 'clip'. Did"),
    ("no truth", made(search='objective = "iou"'), "8: iou needs the true outline of thing"),
    ("no reference", made(search='objective = "dino"'), "8: dino needs the picture to be"),
    ("idle text", made(search='objective = "seam"\ntext = "a"'), "9: text has no effect"),
    ("direction", made(search='objective = "seam"\ndirection = "up"'), "9: direction is max"),
    ("twice", made(search='objective = "seam"\nmeasure = ["seam"]'), "9: seam is measured al"),
    ("judge", made() + '[judges]\nclip = "mini-sam"\n', "10: mini-sam is a model to segment"),
    (
        "seam of no edit",
        'image = "thing.png"\n[segment]\nfind = "a"\n[sweep]\nthreshold = [0.1]\n[search]\n'
        'objective = "seam"\n',
        "7: seam is about what was painted, and segment paints nothing",
    ),
    (
        "paint of no edit",
        'image = "thing.png"\n[remove]\nfind = "a"\n[sweep]\npaint = ["b"]\n',
        "5: paint has no effect on remove",
    ),
    ("prompt elsewhere", made() + '[detect]\nfind = "a"\n', "10: find belongs to the verb"),
    ("option elsewhere", made() + "[detect]\nseed = 1\n", "10: [detect] has no key 'seed'"),
    ("said twice", made(edit='find = "a"\nthreshold = 0.1') + "[detect]\nthreshold = 0.2\n",
     "was said already in line"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_what_cant_be_meant_is_refused_in_one_sentence_with_its_line(
    folder: Path, text: str, said: str
) -> None:
    with pytest.raises(RecipeError) as refused:
        read(folder, text)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{folder / 'r.toml'}:")
    assert "\n" not in str(refused.value)
    assert "suite" not in str(refused.value).replace(str(folder), "")


PIECES = [
    "[", "]", "{", "}", '"', "=", "\n", ",", ".", "-1", "0", "1e400", "nan", "true", "[]", "{}",
    "''", "{{x}}", "{% if %}", "[[sweep]]", "[sweep]", "[search]", "[detect]", "vars.x = [1]",
    "1979-05-27", "{from = 1, to = 2}", "log = true", "models = 3", "seed", "find", "9" * 30,
]  # fmt: skip


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), st.sampled_from(PIECES)),
        min_size=1,
        max_size=4,
    )
)
def test_no_spoilt_recipe_gives_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, str]]
) -> None:
    """Cut and patched at random, it is read or refused with a line."""
    folder = tmp_path_factory.getbasetemp() / "spoilt"
    if not folder.exists():
        folder.mkdir()
        draw(folder)
        (folder / "other.png").write_bytes((folder / "thing.png").read_bytes())
    text = GOOD
    for at, length, piece in changes:
        text = text[:at] + piece + text[at + length :]
    refused = None
    try:
        read(folder, text)
    except RecipeError as error:
        refused = str(error)
    assert refused is None or refused.startswith(f"{folder / 'r.toml'}:")


# --- ranges ---------------------------------------------------------------------------------------

spans = st.builds(
    lambda low, width, log: Span(low, low + width, log),
    st.floats(0.001, 100),
    st.floats(0.01, 100),
    st.booleans(),
)


@settings(max_examples=50)
@given(spans, st.integers(2, 40))
def test_a_range_by_count_has_so_many_ascending_numbers_with_both_ends(
    span: Span, count: int
) -> None:
    values = span.by_count(count)
    assert len(values) == count
    assert (values[0], values[-1]) == (span.low, span.high)
    assert list(values) == sorted(set(values))
    if span.log:  # even by factors
        factors = [b / a for a, b in pairwise(values)]
        assert max(factors) == pytest.approx(min(factors), rel=1e-6)


@settings(max_examples=50)
@given(st.integers(-20, 20), st.integers(1, 30), st.integers(1, 7))
def test_a_range_by_step_goes_as_far_as_it_may(low: int, width: int, step: int) -> None:
    """As ``range`` does, its end included; tenths stay tenths."""
    span = Span(low, low + width, whole=True)
    if step > width:
        with pytest.raises(OptionError, match="A step is above 0"):
            span.by_step(step)
        return
    assert list(span.by_step(step)) == list(range(low, low + width + 1, step))
    tenths = Span(low / 10, (low + width) / 10).by_step(step / 10)
    assert list(tenths) == [k / 10 for k in range(low, low + width + 1, step)]


@settings(max_examples=25)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_grid_has_the_product_of_its_axes(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("grid")
    draw(folder)
    names = ["seed", "num_inference_steps", "dilate", "feather"]
    axes = "\n".join(
        f"{name} = {list(range(1, 1 + size))}" for name, size in zip(names, sizes, strict=False)
    )
    recipe = read(folder, made(sweep=axes))
    points = {tuple(value.plain for value in point) for point in recipe.points()}
    expected = 1
    for size in sizes:
        expected *= size
    assert len(points) == recipe.size == expected


def test_whole_numbers_of_a_range_are_whole_and_different() -> None:
    assert Span(1, 10, whole=True).by_count(4) == (1, 4, 7, 10)
    with pytest.raises(OptionError, match="There aren't 5 different numbers"):
        Span(1, 3, whole=True).by_count(5)

"""A suite says what it means, or is refused with its line and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.errors import SuiteError
from limner.evaluation.cells.assertions import TYPES
from limner.evaluation.suites.load import _unique
from limner.options import InpaintOptions
from limner.prompts import Text
from limner.prompts.syntax import Draft, parse_box
from tests.evaluation.suites.doubles import draw, suite_of

GOOD = """\
models: [grabcut, {profile: mini, label: the minis}]
prompts:
- {find: "{{thing}}"}
- {find: {text: "a photo of a {{thing}}", not: "{{other}}"}}
defaults: {vars: {other: spoon}, assert: [{type: count, value: 1}]}
cases:
- image: thing.png
  vars: {thing: mug}
  mask: mask.png
  assert: [{type: iou, value: 0.8, weight: 2}, {type: latency, value: 2s}]
- image: thing.png
  edit: {find: [car, {box: [1, 2, 30, 40]}], paint: a red van}
  assert: [{type: not-detected, value: car}, outside_changed_pixels]
"""


def test_a_suite_becomes_its_cells(tmp_path: Path) -> None:
    """Cases x prompts x models x repeats; a case with a verb of its own meets every model once."""
    suite = suite_of(tmp_path, GOOD, repeat=2)
    assert len(suite.cells) == 2 * (2 * 2) + 2 * 2
    first = suite.cells[0]
    assert first.name == "thing.png (other=spoon, thing=mug) | find {{thing}} | grabcut"
    assert first.ask.find == (Draft(text=Text("mug")),)
    assert [a.name for a in first.case.assertions] == ["count", "iou", "latency"]
    assert [(a.value, a.weight) for a in first.case.assertions[1:]] == [(0.8, 2), (2.0, 1)]
    second = next(c for c in suite.cells if c.ask.column != first.ask.column)
    assert second.ask.find[0].text == Text("a photo of a mug", "spoon")
    own = suite.cells[-1]
    assert (own.ask.verb, own.ask.paint, len(own.ask.find)) == ("edit", Text("a red van"), 2)
    assert own.case.assertions[-1].value == 0
    assert own.models.profile == "mini"
    assert (own.repeat, own.name[-3:]) == (1, " #2")
    assert len({cell.name for cell in suite.cells}) == len({c.key for c in suite.cells}) == 12


def test_a_key_changes_with_all_that_decides_a_result_and_with_nothing_else(
    tmp_path: Path,
) -> None:
    """What resume goes by: a label is only a name, a picture's pixels are not."""

    def keys() -> list[str]:
        return [cell.key for cell in suite_of(tmp_path, GOOD).cells]

    before = keys()
    assert keys() == before
    relabelled = [c.key for c in suite_of(tmp_path, GOOD.replace("the minis", "tiny")).cells]
    assert relabelled == before
    stricter = [c.key for c in suite_of(tmp_path, GOOD.replace("0.8", "0.9")).cells]
    assert [a == b for a, b in zip(before, stricter, strict=True)] == [False] * 4 + [True] * 2
    (tmp_path / "mask.png").write_bytes((tmp_path / "small.png").read_bytes())
    assert [a == b for a, b in zip(before, keys(), strict=True)] == [False] * 4 + [True] * 2


def test_a_consensus_is_a_choice_of_models(tmp_path: Path) -> None:
    """Alone, with others, and of a folder beside the suite, even one with a + in its name."""
    (tmp_path / "my+own").mkdir()
    asked = (
        "haar+mini-owlvit",
        "{profile: mini, detect: haar + ./mine}",
        "{detect: ./my+own}",
    )
    text = f"models: [{', '.join(asked)}]\ncases: [{{image: thing.png, find: mug}}]\n"
    models = [cell.models for cell in suite_of(tmp_path, text).cells]
    assert [dict(each.models)["detect"] for each in models] == [
        "haar+mini-owlvit",
        f"haar+{tmp_path / 'mine'}",
        str(tmp_path / "my+own"),
    ]
    assert [each.label for each in models] == ["haar+mini-owlvit", "mini + haar+mine", "my+own"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("haar+grabcut", "grabcut is a model to segment, and one to detect is needed"),
        ("haar+haar", "named once each"),
        ("haar+", "named once each"),
        ("haar+hare", "haar"),
        ("{segment: grabcut+mini-sam}", "grabcut+mini-sam"),
    ],
)
def test_a_consensus_is_of_different_detectors(tmp_path: Path, model: str, said: str) -> None:
    with pytest.raises(SuiteError, match=r"suite\.yaml:1: ") as refusal:
        suite_of(tmp_path, f"models: [{model}]\ncases: [{{image: thing.png, find: mug}}]\n")
    assert said in str(refusal.value)


def test_example_boxes_are_one_or_a_list(tmp_path: Path) -> None:
    """Of both signs, beside a phrase, as numbers or as typed on the command line."""
    thing = '{text: mug, like: [1, 2, 9, 8], not_like: [[0, 0, 4, 4], "1,1,50%,7"]}'
    before = '{text: "a photo of a {{thing}}", not: "{{other}}"}'
    suite = suite_of(tmp_path, GOOD.replace(before, thing))
    second = next(c for c in suite.cells if c.ask.column != suite.cells[0].ask.column)
    (draft,) = second.ask.find
    assert draft.text == Text("mug")
    typed = ("1,2,9,8", "0,0,4,4", "1,1,50%,7")
    assert draft.likes == tuple((parse_box(box), box == typed[0]) for box in typed)


def test_settings_reach_only_what_they_can_matter_to(tmp_path: Path) -> None:
    """guidance_scale is for what is painted; one that matters to nothing is refused."""
    text = GOOD.replace("cases:", "settings: [{guidance_scale: 3}, {guidance_scale: 7}]\ncases:")
    cells = suite_of(tmp_path, text).cells
    assert {cell.setting.values for cell in cells if cell.ask.verb == "segment"} == {()}
    assert {dict(c.setting.values)["guidance_scale"] for c in cells if c.ask.verb == "edit"} == {
        3.0,
        7.0,
    }
    assert InpaintOptions(guidance_scale=3).guidance_scale == 3
    with pytest.raises(SuiteError, match=r"suite.yaml:8: radius has no effect on what is asked"):
        suite_of(
            tmp_path,
            "models: [grabcut]\nprompts: [a]\ncases:\n- image: thing.png\n"
            "\n\nsettings:\n- {radius: 3}\n",
        )


def test_words_that_yaml_takes_for_truth_values_are_words(tmp_path: Path) -> None:
    """A variable named "on" and a thing named "no" are what they look like."""
    (cell,) = suite_of(
        tmp_path,
        "models: [grabcut]\nprompts: ['{{on}} {{day}}']\n"
        "cases:\n- {image: thing.png, vars: {on: no, day: 2026-01-01}}\n",
    ).cells
    assert cell.ask.find[0].text == Text("no 2026-01-01")


def test_yaml_that_people_write(tmp_path: Path) -> None:
    """Anchors and merge keys, 1e-1 as a number, a bare text as a prompt, templates in values."""
    suite = suite_of(
        tmp_path,
        "models: [grabcut]\nprompts: ['{{thing}}']\ndefaults: &common\n  mask: mask.png\ncases:\n"
        "- {<<: *common, image: '{{where}}.png', vars: {thing: mug, where: thing, least: 0.4},\n"
        "   assert: [{type: iou, value: '{{least}}'}, {type: not-seam, value: 1e-1, weight: 0}],\n"
        "   remove: '{{thing}}'}\n",
    )
    (cell,) = suite.cells
    assert cell.case.image == tmp_path / "thing.png"
    assert [a.value for a in cell.case.assertions] == [0.4, 0.1]
    assert cell.case.assertions[1].negated


def base(
    assertion: str = "{type: count, value: 1}", case: str = "", top: str = "", prompt: str = "mug"
) -> str:
    """Lines: 1 models, 2 prompts, 3 what ``top`` says, then cases; the assertion is in line 6."""
    return (
        f"models: [grabcut]\nprompts: ['{prompt}']\n{top or 'description: d'}\ncases:\n"
        f"- {{image: thing.png{case},\n   assert: [{assertion}]}}\n"
    )


def test_a_list_of_values_makes_a_case_of_each_and_lists_one_of_each_combination(
    tmp_path: Path,
) -> None:
    """As promptfoo does; it was asked as text: "find ['apple', 'rabbit']"."""
    suite = suite_of(
        tmp_path,
        "models: [grabcut]\nprompts: ['{{size}} {{thing}}']\n"
        "defaults: {vars: {size: [big, small]}}\ncases:\n"
        "- {image: a.png, vars: {thing: [apple, rabbit]}}\n"
        "- {image: b.png, description: one, vars: {thing: [mug], size: tall}}\n"
        "- {image: b.png, description: two, vars: {thing: mug}}\n",
    )
    asked = [cell.ask.find[0].text.phrase for cell in suite.cells]
    things = "big apple, big rabbit, small apple, small rabbit, tall mug, big mug, small mug"
    assert asked == things.split(", ")
    assert [cell.case.name for cell in suite.cells][3:] == [
        "a.png (size=small, thing=rabbit)",
        "one",
        "two (size=big, thing=mug)",
        "two (size=small, thing=mug)",
    ]


@pytest.mark.parametrize(
    "said", ["007", "12:30:00", "1.50", "1_000", "0b11", "010", "1e3", "true", "7", "-0.5", "yes"]
)
def test_a_variable_is_asked_as_it_is_written(tmp_path: Path, said: str) -> None:
    """YAML 1.1 would make 7, 45000, 1.5, 1000, 3 and 8 of the first ones."""
    suite = suite_of(
        tmp_path,
        "models: [grabcut]\nprompts: ['bus {{n}}']\n"
        f"cases: [{{image: a, vars: {{n: {said}}}}}]",
    )
    assert suite.cells[0].ask.find[0].text.phrase == f"bus {said}"
    plain = suite_of(tmp_path, f"models: [grabcut]\ncases: [{{image: a, find: {said}x}}]")
    assert plain.cells[0].ask.find[0].text.phrase == f"{said}x"


class Counted(str):
    """A name that counts how often one is held against another."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_equal_cases_are_numbered_and_reading_them_grows_with_their_number() -> None:
    """2,000 took nine times as long as 500: each name was looked for among all before it."""
    comparisons = []
    for count in (200, 800):
        Counted.comparisons = 0
        names = _unique([Counted("a")] * count)
        comparisons.append(Counted.comparisons)
        assert names[:3] == ["a", "a (2)", "a (3)"]
        assert len(set(names)) == count
    assert comparisons[1] < 5 * comparisons[0] + 100
    assert _unique(["a", "a (2)", "a", "a"]) == ["a", "a (2)", "a (3)", "a (4)"]


BAD = {
    "unknown key": ("modles: [a]\n", 1, "Did you mean models"),
    "promptfoo's key": ("providers: [a]\n", 1, "Did you mean models?"),
    "unknown key of a case": (base("{type: count, value: 1}", ", imgae: x"), 5, "mean image?"),
    "unknown type": (base("{type: iuo, value: 1}"), 6, "Did you mean iou"),
    "unknown negated type": (base("{type: not-detect, value: a}"), 6, "not-detected"),
    "unknown model": (base().replace("grabcut", "grabcat"), 1, "Did you mean grabcut"),
    "model of another task": (base(top="judges: {clip: grabcut}"), 3, "model to segment"),
    "unknown profile": (base().replace("grabcut", "{profile: minni}"), 1, "mean mini?"),
    "folder without a task": (base().replace("grabcut", "./sam"), 1, "{segment: ./sam}"),
    "missing variable": (base(prompt="{{thign}}", case=", vars: {thing: a}"), 2, "mean thing?"),
    "the case of a missing variable": (base(prompt="{{thing}}"), 2, "for the case in line 5"),
    "broken template": (base(prompt="{{thing"), 2, "is no template"),
    "value missing": (base("iou"), 6, "iou needs a value"),
    "value of the wrong type": (base("{type: iou, value: high}"), 6, "number from 0 to 1"),
    "value out of range": (base("{type: iou, value: 1.5}"), 6, "from 0 to 1, got 1.5"),
    "no duration": (base("{type: latency, value: 2h}"), 6, "2s or 300ms"),
    "no size": (base("{type: peak_memory, value: 2}"), 6, "2GB or 500MB"),
    "no count": (base("{type: count, value: some}"), 6, ">=2"),
    "no such checks": (base('{type: python, value: "no.py:f"}'), 6, "There is no"),
    "no function": (base("{type: python, value: checks}"), 6, "checks.py:is_red"),
    "no true mask": (base("{type: iou, value: 0.5}"), 6, "needs the true mask"),
    "no words": (
        base("{type: clip_t, value: 0.2}", ", segment: {box: [1, 2, 3, 4]}"),
        6,
        "needs a text",
    ),
    "no reference": (base("{type: dino, value: 0.5}"), 6, "needs a reference"),
    "not an edit": (base("{type: seam, value: 0.5}"), 6, "about edits"),
    "a key without effect": (base("{type: iou, value: 0.5, text: a}"), 6, "for clip_t"),
    "value and threshold": (base("{type: iou, value: 0.5, threshold: 0.4}"), 6, "the same"),
    "weight below 0": (base("{type: count, value: 1, weight: -1}"), 6, "number from 0"),
    "setting out of range": (base(top="settings: [{threshold: 7}]"), 3, "between 0 and 1"),
    "unknown setting": (base(top="settings: [{treshold: .7}]"), 3, "mean threshold"),
    "unknown selection": (base(top="settings: [{select: biggest}]"), 3, "largest"),
    "two equal settings": (base(top="settings: [{dilate: 1}, {dilate: 1}]"), 3, "already"),
    "bad point": (base(case=", find: {point: here}"), 5, "x,y"),
    "box inside out": (base(case=", box: [9, 9, 3, 3]"), 5, "right > left"),
    "box of three": (base(case=", box: [9, 9, 3]"), 5, "four numbers"),
    "empty phrase": (base(case=", find: ''"), 5, "is empty"),
    "edit without paint": (base(case=", edit: {find: a}"), 5, "paint is missing"),
    "two verbs": (base(case=", find: a, remove: b"), 5, "find and remove"),
    "key said twice": (base(case=", image: b.png"), 5, "already in line 5"),
    "cases no list": ("models: [grabcut]\ncases: 3\n", 2, "cases is a list"),
    "nothing asked": ("models: [grabcut]\ncases:\n- image: thing.png\n", 3, "no prompts"),
    "no cases": ("models: [grabcut]\n", 1, "has no cases"),
    "empty": ("# nothing\n", 1, "is empty"),
    "not YAML": ("models: [a\ncases: 3\n", 2, "not YAML"),
    "a variable without a value": (base(case=", vars: {thing: }"), 5, "thing has no value"),
    "a variable that is a mapping": (base(case=", vars: {a: {b: c}}"), 5, "a text or a number"),
    "a list in a list": (base(case=", vars: {a: [b, [c]]}"), 5, "a text or a number"),
    "an empty list": (base(case=", vars: {a: []}"), 5, "is empty"),
    "a template in a variable": (base(case=", vars: {a: '{{b}}', b: c}"), 5, "filled in once"),
    "more cells than a suite may have": (
        base(case=f", vars: {{a: {list(range(400))}, b: {list(range(400))}}}"),
        5,
        "160,000 cells (400 a × 400 b)",
    ),
    "a list as a key": ("models: [mini]\n[1, 2]: 3\n", 2, "is a word"),
    "a mapping as a key": ("models: [mini]\n? {a: b}\n: c\n", 2, "is a word"),
    "a NUL in a picture's name": ('cases: [{image: "a\\0.png"}]\n', 1, "a NUL"),
    "itself inside itself": (
        "models: &a [*a]\ncases: [{image: b}]\n",
        1,
        "stands inside of what it names",
    ),
}


@pytest.mark.parametrize(("text", "line", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(SuiteError) as refusal:
        suite_of(tmp_path, text)
    sentence = str(refusal.value)
    assert sentence.startswith(f"{tmp_path / 'suite.yaml'}:{line}: "), sentence
    assert said in sentence, sentence


def test_a_missing_or_binary_suite_is_one_sentence(tmp_path: Path) -> None:
    from limner.evaluation.suites.load import read_suite

    with pytest.raises(SuiteError, match="There is no suite"):
        read_suite(tmp_path / "none.yaml")
    draw(tmp_path)
    with pytest.raises(SuiteError, match="not UTF-8"):
        read_suite(tmp_path / "thing.png")


def test_a_missing_picture_is_no_reading_error(tmp_path: Path) -> None:
    """It is its cell's own error, found when the cell is run."""
    assert (
        len(suite_of(tmp_path, base("{type: count, value: 1}").replace("thing", "no")).cells) == 1
    )


def test_every_type_that_the_issue_names_is_there() -> None:
    wanted = "iou boundary_f count detected box_iou clip_t clip_i dino lpips_outside"
    wanted += " outside_changed_pixels seam latency peak_memory python precision recall f1"
    assert set(wanted.split()) == set(TYPES)

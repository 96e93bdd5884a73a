"""What answers as one detector is held to what a detector promises, and shared code can't tell."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import limner
from limner.errors import UnsupportedPrompt
from limner.options import DetectOptions
from limner.pipeline import ByPhrase, DetectorEnsemble, InferenceMode, detect
from limner.pipeline.look import look
from limner.prompts import Exemplar, PromptKind, Text, VisualPrompt
from limner.protocols import Detector, DetectorGroup, ModelRef, check_accepts
from tests.pipeline.doubles import TableDetector

PICTURE = Image.new("RGB", (200, 100))
DOG, CAT = VisualPrompt(text=Text("dog")), VisualPrompt(text=Text("cat"))
EXAMPLE = VisualPrompt(exemplar=Exemplar(np.zeros((5, 5, 3), np.uint8)))
TABLE = {"dog": [((40.0, 10.0, 60.0, 30.0), 0.9)], "cat": [((5.0, 60.0, 30.0, 90.0), 0.8)]}


def named(name: str, accepts: frozenset[PromptKind] = TableDetector.accepts) -> TableDetector:
    detector = TableDetector(TABLE)
    detector.ref, detector.accepts = ModelRef(name, "double", "MIT"), accepts
    return detector


def ensemble() -> DetectorGroup:
    return DetectorEnsemble([named("both"), named("words", frozenset({PromptKind.TEXT}))])


def by_phrase() -> DetectorGroup:
    words = frozenset({PromptKind.TEXT})
    return ByPhrase(
        lambda phrase: phrase == "cat", lambda: named("cats"), lambda: named("dogs"), words, "a|b"
    )


def thorough() -> DetectorGroup:
    return InferenceMode(named("one", frozenset({PromptKind.TEXT})))


GROUPS = pytest.mark.parametrize("make", [ensemble, by_phrase, thorough])


@GROUPS
def test_a_group_is_a_detector(make: Callable[[], DetectorGroup]) -> None:
    """It accepts what all its members do, and answers as ``Detector.detect`` promises."""
    group = make()
    assert isinstance(group, Detector)
    assert isinstance(group, DetectorGroup)
    found = detect(PICTURE, [DOG, CAT], group, DetectOptions(look="whole"))
    assert group.members
    assert all(group.accepts <= member.accepts for member in group.members)
    assert found.class_id.tolist() == [0, 1]
    assert len(detect(PICTURE, [DOG, CAT], group, DetectOptions(max_detections=1))) == 1
    assert (np.diff(found.confidence) <= 0).all()
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= (200, 100, 200, 100)).all()


@GROUPS
def test_a_kind_that_one_member_refuses_is_refused_before_any_is_asked(
    make: Callable[[], DetectorGroup],
) -> None:
    """By the check that every detector passes: it used to know ensembles by their class."""
    group = make()
    with pytest.raises(UnsupportedPrompt, match=r"can't take (an )?exemplar"):
        check_accepts(group, [DOG, EXAMPLE])
    with pytest.raises(UnsupportedPrompt, match=r"can't take (an )?exemplar"):
        detect(PICTURE, [DOG, EXAMPLE], group)
    assert all(member.calls == 0 for member in group.members if isinstance(member, TableDetector))


def test_an_ensemble_says_which_of_its_members_is_unable() -> None:
    with pytest.raises(UnsupportedPrompt, match="words can't take exemplar; together they take"):
        check_accepts(ensemble(), [DOG, EXAMPLE])


@GROUPS
@pytest.mark.parametrize("way", [None, "whole", "tiles", "turned", "zoom"])
def test_each_member_looks_for_itself(make: Callable[[], DetectorGroup], way: str | None) -> None:
    """However a picture is looked at: tiles of members are joined first, members' answers then.

    Looked at by ``look`` as a plain detector, an ensemble was asked about each tile.
    """
    tiles = {"slice_wh": 100, "overlap_wh": 20} if way in ("tiles", "turned") else {}
    options = DetectOptions(look=way, **tiles)
    direct, shared = (make() for _ in range(2))
    own = direct.detect(PICTURE, [DOG, CAT], options)
    seen = look(shared, PICTURE, [DOG, CAT], options)
    assert len(own)
    assert np.array_equal(own.xyxy, seen.xyxy)
    assert np.array_equal(own.confidence, seen.confidence)
    assert [m.calls for m in direct.members] == [m.calls for m in shared.members]  # type: ignore[attr-defined]


def test_no_shared_code_asks_for_the_class_of_a_group() -> None:
    """What is true of a detector is in its protocols: a new kind of group needs no edit."""
    groups = {"DetectorEnsemble", "ByPhrase", "InferenceMode"}
    files = list(Path(limner.__file__).parent.rglob("*.py"))
    assert len(files) > 200
    asked = [
        f"{path}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
        if any(name in ast.unparse(node.args[1]) for name in groups)
    ]
    assert asked == []

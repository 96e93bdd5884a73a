"""What is asked for where a captioner says what is there."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from limner import pipeline
from limner.ops import detections
from limner.prompts import Text, VisualPrompt
from limner.protocols import ModelRef
from limner.session.finder import Found
from limner.session.results import Source
from limner.session.what_is_here import look_by_caption
from tests.models.tiny_owlvit import noise


class Says:
    """A ``Captioner`` of one sentence."""

    ref = ModelRef("says", "test", "MIT")

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        return [self.sentence for _ in images]


def asked_for(sentence: str, *prompts: VisualPrompt) -> tuple[list[str], Found]:
    """The phrases that came to be looked for, and what came of it."""
    asked: list[str] = []

    def look(given: Sequence[VisualPrompt]) -> Found:
        asked.extend(prompt.text.phrase if prompt.text else prompt.manner for prompt in given)
        nothing = detections.empty()
        return pipeline.Grounding((32, 32), tuple(given), nothing, {"detect": 1.0}), ("detect",)

    found, said = look_by_caption(Source.open(noise(32, 32)), prompts, Says(sentence), look)
    assert said["caption"] == sentence
    return asked, found


def test_what_was_typed_comes_first_and_isnt_asked_twice() -> None:
    """Also where it was typed with what it is not, or in capitals."""
    typed = VisualPrompt(text=Text("Red car", "toy"))
    asked, (grounding, tasks) = asked_for("a red car and two dogs", typed)
    assert asked == ["Red car", "dog"]
    assert grounding.prompts[0] == typed
    assert tasks == ("caption", "detect")
    assert set(grounding.seconds) == {"caption", "detect"}


def test_a_caption_that_names_nothing_is_an_answer() -> None:
    """No detector is asked, and none is said to have answered; what was typed is asked all the
    same."""
    asked, (grounding, tasks) = asked_for("nothing")
    assert (asked, len(grounding), tasks) == ([], 0, ("caption",))
    asked, (_, tasks) = asked_for("", VisualPrompt(text=Text("dog")))
    assert (asked, tasks) == (["dog"], ("caption", "detect"))

"""The Grounding DINO adapter against transformers' own path, on tiny models of the real classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from limner.errors import (
    ImageError,
    ModelError,
    PromptError,
    UnsupportedPrompt,
    WeightsMissing,
)
from limner.models.grounding_dino import GroundingDino, Question, answering, load
from limner.options import DetectOptions
from limner.prompts import Text, VisualPrompt
from limner.protocols import ModelRef
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_grounding_dino import CLASSES, HOLDS, Upstream, save_tiny_grounding_dino
from tests.models.tiny_owlvit import noise

pytestmark = pytest.mark.usefixtures("one_thread")

REF = ModelRef(name="tiny-dino", family="grounding_dino", licence="Apache-2.0")
PHRASES = ["Snowman", "a red dog", "skiing"]
WORDS = 0.3
"""A text threshold that about half the boxes of the tiny models reach."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("dino")
    return {kind: save_tiny_grounding_dino(root / kind, kind=kind) for kind in CLASSES}


@pytest.fixture(scope="module", params=CLASSES)
def pair(
    request: pytest.FixtureRequest, folders: dict[str, Path]
) -> tuple[GroundingDino, Upstream]:
    """Ours and transformers', of one kind of model."""
    folder = folders[request.param]
    return load(Weights(REF, folder), Runtime()), Upstream(folder, request.param)


@pytest.fixture(scope="module")
def folder(folders: dict[str, Path]) -> Path:
    return folders["mm-grounding-dino"]


@pytest.fixture(scope="module")
def detector(folder: Path) -> GroundingDino:
    return load(Weights(REF, folder), Runtime())


def say(*phrases: str) -> list[VisualPrompt]:
    return [VisualPrompt(text=Text(phrase)) for phrase in phrases]


def every(**settings: object) -> DetectOptions:
    """Every candidate, nothing suppressed."""
    return DetectOptions(
        **{
            "threshold": 0.0,
            "text_threshold": 0.0,
            "nms_threshold": 1.0,
            "max_detections": 10_000,
            **settings,
        }  # type: ignore[arg-type]
    )


def visible(xyxy: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Cut at the edges of the image, as ours are."""
    return np.clip(xyxy, 0, [*size_wh, *size_wh])


@pytest.mark.parametrize("size_wh", [(200, 150), (90, 300), (64, 64)], ids=str)
def test_a_phrase_alone_matches_transformers(
    pair: tuple[GroundingDino, Upstream], size_wh: tuple[int, int]
) -> None:
    """Also beside others: each is asked in a text of its own."""
    detector, upstream = pair
    image = noise(*size_wh)
    answer = detector.detect(image, say(*PHRASES), every(threshold=0.3))
    for index, phrase in enumerate(PHRASES):
        boxes, scores, _ = upstream.grounded(image, [phrase], 0.3, 0.0)
        found = answer[answer.class_id == index]
        assert len(found) == len(boxes) > 5
        np.testing.assert_allclose(found.confidence, scores, atol=1e-5)
        np.testing.assert_allclose(found.xyxy, visible(boxes, size_wh), atol=0.05)


@pytest.mark.parametrize("text_threshold", [0.0, WORDS])
def test_phrases_together_match_transformers(
    pair: tuple[GroundingDino, Upstream], text_threshold: float
) -> None:
    """Boxes and scores are theirs; the phrase is one that has words in their label, or the box has
    no phrase's word in it and is left out."""
    detector, upstream = pair
    image = noise(200, 150)
    options = every(text_threshold=text_threshold, phrases="together")
    found = detector.detect(image, say(*PHRASES), options)
    boxes, scores, labels = upstream.grounded(image, PHRASES, 0.0, text_threshold)
    words = {word for phrase in PHRASES for word in phrase.lower().split()}
    pieces = {"snowman": ("snow", "man"), "skiing": ("ski", "ing")}
    named = [any(p in label for w in words for p in pieces.get(w, (w,))) for label in labels]
    assert len(found) == sum(named) > 5
    np.testing.assert_allclose(found.confidence, scores[named], atol=1e-5)
    np.testing.assert_allclose(found.xyxy, visible(boxes[named], image.size), atol=0.05)
    for row, label in enumerate(np.array(labels)[named]):
        phrase = PHRASES[found.class_id[row]]
        assert found.data["class_name"][row] == phrase
        parts = [p for w in phrase.lower().split() for p in pieces.get(w, (w,))]
        assert any(part in label for part in parts)


def test_phrases_alone_do_not_crowd_each_other_out(detector: GroundingDino) -> None:
    """By default a phrase's boxes are the same whatever else is asked; together they are fewer."""
    image = noise(200, 150)
    both = detector.detect(image, say(*PHRASES), every())
    for index, phrase in enumerate(PHRASES):
        alone = detector.detect(image, say(phrase), every())
        part = both[both.class_id == index]
        np.testing.assert_array_equal(part.xyxy, alone.xyxy)
        np.testing.assert_array_equal(part.confidence, alone.confidence)
    assert len(both) == 3 * len(detector.detect(image, say(*PHRASES), every(phrases="together")))


def test_a_batch_answers_as_one_text_at_a_time(folder: Path) -> None:
    """As on a GPU, where texts of several lengths share a pass."""
    image = noise(200, 150)
    detector = load(Weights(REF, folder), Runtime())
    single = detector.detect(image, say(*PHRASES, "dog"), every())
    detector._at_once = 3
    batched = detector.detect(image, say(*PHRASES, "dog"), every())
    np.testing.assert_allclose(batched.confidence, single.confidence, atol=1e-5)
    np.testing.assert_allclose(batched.xyxy, single.xyxy, atol=0.05)


def test_more_phrases_than_one_text_holds_become_several_texts(detector: GroundingDino) -> None:
    """And each still has its own index."""
    many = [f"{colour} {thing}" for colour in ("red", "a", "snow") for thing in ("dog", "car")]
    many += ["a red car", "a red ski", "a cat", "ski dog", "snowman cat"]
    questions = detector._questions(many, together=True)
    assert len(questions) > 1
    assert [n for question in questions for n in question.phrases] == list(range(len(many)))
    for question in questions:
        assert len(detector._tokenizer(question.text).input_ids) <= HOLDS
        for (start, stop), n in zip(question.spans, question.phrases, strict=True):
            assert question.text[start:stop] == many[n]
    found = detector.detect(noise(90, 60), say(*many), every(phrases="together"))
    assert len(found) == 30 * len(questions)
    assert len(set(found.class_id)) > 1


def test_the_image_goes_through_the_backbone_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load(Weights(REF, folder), Runtime())
    seen = []
    backbone = detector._backbone.forward
    monkeypatch.setattr(
        detector._backbone, "forward", lambda *given: seen.append(1) or backbone(*given)
    )
    image = noise(90, 60)
    detector.detect(image, say(*PHRASES), every())
    detector.detect(image.copy(), say("cat"), every())
    assert len(seen) == 1


def test_a_prompt_given_twice_is_answered_twice(detector: GroundingDino) -> None:
    image = noise(90, 60)
    options = every(class_agnostic_nms=True, nms_threshold=0.5)
    once = detector.detect(image, say("dog", "cat"), options)
    twice = detector.detect(image, say("dog", "cat", "dog"), options)
    for index, same in enumerate([0, 1, 0]):
        part, wanted = twice[twice.class_id == index], once[once.class_id == same]
        assert len(part) == len(wanted) > 0
        np.testing.assert_array_equal(part.xyxy, wanted.xyxy)


def test_thresholds(detector: GroundingDino, folder: Path) -> None:
    """The best token decides on the box and the phrase's best on the answer; a phrase may have its
    own; without any the catalog's hold."""
    image = noise(200, 150)
    all_of_it = detector.detect(image, say("dog"), every())
    middle = float(np.median(all_of_it.confidence))
    kept = detector.detect(image, say("dog"), every(threshold=middle))
    assert 0 < len(kept) < len(all_of_it)
    assert (kept.confidence >= middle).all()
    own = every(phrase_thresholds=(("dog", middle),))
    assert len(detector.detect(image, say("dog"), own)) == len(kept)
    assert len(detector.detect(image, say("dog"), every(text_threshold=1.0))) == 0
    strict = load(Weights(REF, folder, {"text_threshold": 1.0, "threshold": 0.0}), Runtime())
    assert len(strict.detect(image, say("dog"), DetectOptions())) == 0


def test_a_box_answers_one_phrase_or_none() -> None:
    """Scores of three candidates against [CLS] snow ##man . dog . [SEP], worked by hand."""
    scores = np.array(
        [
            [0.1, 0.2, 0.9, 0.0, 0.8, 0.0, 0.0],  # a fragment is the best: the whole phrase answers
            [0.7, 0.1, 0.2, 0.0, 0.3, 0.0, 0.0],  # an end is the best: the phrase's own decides
            [0.1, 0.1, 0.1, 0.9, 0.2, 0.0, 0.0],  # only a stop: no phrase
        ]
    )
    question = Question((4, 7), "snowman. dog.", ((0, 7), (9, 12)))
    boxes = np.arange(12.0).reshape(3, 4)
    answer = (question, scores, boxes, [[1, 2], [4]])
    least = np.zeros(8)
    kept, confidence, phrase = answering(answer, least, 0.25)
    assert phrase.tolist() == [4, 7]
    assert confidence.tolist() == [0.9, 0.7]
    np.testing.assert_array_equal(kept, boxes[:2])
    least[7] = 0.75
    assert answering(answer, least, 0.25)[2].tolist() == [4]


def test_rows_are_well_formed(detector: GroundingDino) -> None:
    found = detector.detect(noise(200, 150), say(*PHRASES), every(max_detections=40))
    assert len(found) == 40
    assert (found.xyxy.dtype, found.confidence.dtype) == (np.float32, np.float32)
    assert (np.diff(found.confidence) <= 0).all()
    assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()
    np.testing.assert_array_equal(found.class_id, found.data["prompt_index"])
    empty = detector.detect(noise(90, 60), [], every())
    assert len(empty) == 0
    assert len(sv.Detections.merge([empty, empty])) == 0


REFUSED = {
    "negative": (VisualPrompt(text=Text("dog", negative="cat")), UnsupportedPrompt, "no negatives"),
    "too long": (
        *say("dog " * (HOLDS - 2)),
        PromptError,
        rf"has {HOLDS + 1} tokens.*holds {HOLDS}",
    ),
    "two sentences": (*say("a dog. a cat"), PromptError, "leave it out of"),
    "a question": (*say("a dog?"), PromptError, "leave it out of"),
    "no words": (*say("..."), PromptError, r'reads no word in "\.\.\."'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_phrases(detector: GroundingDino, name: str) -> None:
    prompt, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        detector.detect(noise(90, 60), [*say("cat"), prompt], DetectOptions())


def test_a_phrase_may_fill_the_encoder(detector: GroundingDino) -> None:
    fits = "dog " * (HOLDS - 3)
    assert len(detector.detect(noise(90, 60), say(fits, "A dog."), every())) > 0


@pytest.mark.parametrize("size_wh", [(1000, 1), (3, 400)], ids=str)
def test_an_image_too_thin_for_the_candidates(
    detector: GroundingDino, size_wh: tuple[int, int]
) -> None:
    with pytest.raises(ImageError, match=r"too long and thin.*crop it"):
        detector.detect(noise(*size_wh), say("dog"), DetectOptions())


def test_boxes_are_float32_whatever_was_chosen(detector: GroundingDino, folder: Path) -> None:
    """bfloat16 would write them in steps of 1/256 of the image."""
    chosen = load(Weights(REF, folder), Runtime(dtype="bfloat16"))
    image = noise(90, 60)
    found, wanted = (one.detect(image, say("dog"), every()) for one in (chosen, detector))
    np.testing.assert_array_equal(found.xyxy, wanted.xyxy)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_weights_that_can_not_be_read(copied: Path) -> None:
    tokenizer = json.loads((copied / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["."], words["dog"] = words["dog"], words["."]
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match="get the files of one model"):
        load(Weights(REF, copied), Runtime())
    (copied / "model.safetensors").unlink()
    with pytest.raises(WeightsMissing, match=r"model\.safetensors"):
        load(Weights(REF, copied), Runtime())
    (copied / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ModelError, match="holds a clip model; this family reads grounding-dino"):
        load(Weights(REF, copied), Runtime())

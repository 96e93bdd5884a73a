"""The Florence-2 adapter against transformers' own path: what it writes is read, never guessed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import ModelError, OptionError, PromptError, UnsupportedPrompt, WeightsMissing
from limner.models.florence.florence import CAPTIONS, DETECT, GROUND, OUTLINE, Florence, load
from limner.models.florence.parser import Piece, boxes, polygons
from limner.options import DetectOptions, SegmentOptions
from limner.prompts import Box, Text, VisualPrompt
from limner.protocols import Captioner, Detector, ModelRef, Segmenter
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_florence import KNOWN, Upstream, save_tiny_florence, teach
from tests.models.tiny_owlvit import noise

pytestmark = pytest.mark.usefixtures("one_thread")

REF = ModelRef(name="tiny-florence", family="florence", licence="MIT")
IMAGE = noise(200, 150)
FIND, GROUNDING = "<OPEN_VOCABULARY_DETECTION>", "<CAPTION_TO_PHRASE_GROUNDING>"
REFERRING, REGION = "<REFERRING_EXPRESSION_SEGMENTATION>", "<REGION_TO_SEGMENTATION>"
DOG = "<loc_100><loc_200><loc_500><loc_600>"
FOX = "<loc_700><loc_20><loc_950><loc_999>"
SHAPE = "<loc_100><loc_200><loc_500><loc_210><loc_480><loc_600>"
OTHER = "<loc_700><loc_700><loc_900><loc_700><loc_800><loc_900>"
ANSWERS = {
    (FIND, "a dog"): f"a dog{DOG}<loc_20><loc_30><loc_90><loc_110>",
    (FIND, "Red fox"): f"red fox{FOX}",
    (GROUNDING, "a dog. Red fox."): f"a dog{DOG}sky<loc_1><loc_2><loc_3><loc_4>red fox{FOX}",
    (REFERRING, "a dog"): f"{SHAPE}<sep>{OTHER}",
    (REGION, DOG): SHAPE,
    ("<CAPTION>", ""): "a dog and two apes",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, whose answers are noise."""
    return save_tiny_florence(tmp_path_factory.mktemp("florence"))


@pytest.fixture(scope="module")
def taught(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that know ``ANSWERS`` about ``IMAGE``."""
    copy = Path(shutil.copytree(folder, tmp_path_factory.mktemp("taught") / "model"))
    assert teach(copy, IMAGE, ANSWERS) < KNOWN
    return copy


@pytest.fixture(scope="module")
def model(taught: Path) -> Florence:
    return load(Weights(REF, taught), Runtime())


@pytest.fixture(scope="module")
def upstream(taught: Path) -> Upstream:
    return Upstream(taught)


@pytest.fixture(scope="module")
def random_model(folder: Path) -> Florence:
    return load(Weights(REF, folder), Runtime())


def say(*phrases: str) -> list[VisualPrompt]:
    return [VisualPrompt(text=Text(phrase)) for phrase in phrases]


def read(text: str, probability: float = 0.5) -> list[Piece]:
    """A text as pieces: each mark one, the words between two marks one."""
    parts = text.replace("<", "\0<").replace(">", ">\0").split("\0")
    return [Piece(part, probability) for part in parts if part]


def test_one_model_does_three_tasks(model: Florence) -> None:
    assert isinstance(model, Detector)
    assert isinstance(model, Segmenter)
    assert isinstance(model, Captioner)


@pytest.mark.parametrize("weights", ["taught", "random"])
def test_the_answer_is_word_for_word_transformers(
    weights: str, model: Florence, random_model: Florence, folder: Path, upstream: Upstream
) -> None:
    """Whatever was learned: the same image, the same question, the same tokens."""
    ours, theirs = (model, upstream) if weights == "taught" else (random_model, Upstream(folder))
    questions = {
        (FIND, "a dog"): DETECT.format("a dog"),
        (GROUNDING, "a dog. Red fox."): GROUND.format("a dog. Red fox."),
        (REFERRING, "a dog"): OUTLINE.format("a dog"),
        ("<DETAILED_CAPTION>", ""): CAPTIONS["<DETAILED_CAPTION>"],
    }
    with torch.inference_mode():
        features = ours._see(IMAGE)
        assert features.shape[1] == ours._image_tokens
        for (task, words), question in questions.items():
            text, _ = theirs.ask(IMAGE, task, words)
            pieces, _ = ours._ask(features, question)
            assert "".join(piece.text for piece in pieces) == text.replace("<s>", "").replace(
                "</s>", ""
            )


def test_each_phrase_is_found_where_transformers_finds_it(
    model: Florence, upstream: Upstream
) -> None:
    found = model.detect(IMAGE, say("a dog", "Red fox", "a dog"), DetectOptions())
    for index, phrase in enumerate(["a dog", "Red fox", "a dog"]):
        _, answer = upstream.ask(IMAGE, FIND, phrase)
        part = found[found.class_id == index]
        assert len(part) == len(answer["bboxes"]) > 0
        assert set(part.data["class_name"]) == {phrase}
        assert sorted(map(tuple, part.xyxy.astype(int).tolist())) == sorted(
            map(tuple, answer["bboxes"])  # which drops the fraction
        )
    assert (np.diff(found.confidence) <= 0).all()
    assert (found.confidence > 0.3).all(), "it was taught these"


def test_phrases_in_one_sentence_keep_their_own_index(model: Florence) -> None:
    """A box whose words nobody asked for ("sky") answers nothing."""
    options = DetectOptions(phrases="together")
    found = model.detect(IMAGE, say("a dog", "Red fox"), options)
    rows = zip(found.class_id.tolist(), found.xyxy.astype(int).tolist(), strict=True)
    assert {(row, tuple(box)) for row, box in rows} == {
        (0, (20, 30, 100, 90)),
        (1, (140, 3, 190, 149)),
    }


def test_an_outline_is_what_the_polygons_hold(model: Florence, upstream: Upstream) -> None:
    """Both polygons of a phrase; a pixel is in if its centre is, give or take the edge."""
    import cv2

    prompts = [*say("a dog"), VisualPrompt(box=Box(20.05, 30.05, 100.05, 90.05))]
    found = model.segment(model.embed(IMAGE), prompts, SegmentOptions())
    assert found.mask is not None
    for row, (task, words) in enumerate([(REFERRING, "a dog"), (REGION, DOG)]):
        _, answer = upstream.ask(IMAGE, task, words)
        wanted = np.zeros((150, 200), np.uint8)
        for corners in answer["polygons"][0]:
            cv2.fillPoly(wanted, [np.array(corners).reshape(-1, 2)], 1)
        mask = found.mask[row]
        inner = cv2.erode(wanted, np.ones((3, 3), np.uint8)).astype(bool)
        outer = cv2.dilate(wanted, np.ones((3, 3), np.uint8)).astype(bool)
        assert inner.sum() > 1000
        assert mask[inner].all()
        assert not mask[~outer].any()
    assert (found.data["mask_score"] > 0.3).all()
    assert found.mask[0].sum() > found.mask[1].sum(), "the second polygon too"


def test_captions(model: Florence, taught: Path, upstream: Upstream) -> None:
    assert model.caption([IMAGE]) == ["a dog and two apes"]
    longer = load(Weights(REF, taught, {"caption_task": "<MORE_DETAILED_CAPTION>"}), Runtime())
    assert longer.caption([IMAGE]) == [upstream.ask(IMAGE, "<MORE_DETAILED_CAPTION>")[1]]
    with pytest.raises(ModelError, match="caption_task is one of <CAPTION>"):
        load(Weights(REF, taught, {"caption_task": "<OCR>"}), Runtime())


def test_noise_is_no_box(random_model: Florence) -> None:
    """An untrained model writes locations without words: transformers' parser takes them for boxes
    with "loc_560>" as the name."""
    for phrases in (None, "together"):
        found = random_model.detect(IMAGE, say("a dog", "b"), DetectOptions(phrases=phrases))
        assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()
        assert set(found.data["class_name"]) <= {"a dog", "b"}
    outlined = random_model.segment(random_model.embed(IMAGE), say("a dog"), SegmentOptions())
    assert len(outlined) == 1


CASES = {
    "two boxes": (f"dog{DOG}{FOX}", 2),
    "two things": (f"dog{DOG}fox{FOX}", 2),
    "no words": (DOG, 0),
    "three numbers": ("dog<loc_1><loc_2><loc_3>", 0),
    "five numbers": (f"dog{DOG}<loc_5>", 0),
    "right before left": ("dog<loc_500><loc_200><loc_100><loc_600>", 0),
    "no width": ("dog<loc_100><loc_200><loc_100><loc_600>", 0),
    "words only": ("a dog in the grass", 0),
    "nothing": ("", 0),
    "as polygons": (f"dog<poly>{SHAPE}</poly>fox<poly>{OTHER}</poly>", 2),
    "polygons without words": (f"<poly>{SHAPE}</poly>", 0),
    "a number too large": ("dog<loc_100><loc_200><loc_5000><loc_600>", 0),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_whole_box_is_no_box(name: str) -> None:
    text, count = CASES[name]
    assert len(boxes(read(text))) == count


def test_what_was_cut_off_counts_up_to_the_cut() -> None:
    text = f"dog{DOG}<loc_700><loc_20>"
    assert boxes(read(text)) == []
    (box,) = boxes(read(text), cut_off=True)
    assert box.points == ((100, 200), (500, 600))
    assert polygons(read(f"{SHAPE}<loc_7>")) == []
    (polygon,) = polygons(read(f"{SHAPE}<loc_7>"), cut_off=True)
    assert len(polygon.points) == 3
    assert polygons(read("<loc_1><loc_2><loc_3><loc_4>")) == [], "two points are no polygon"


def test_confidence_is_the_geometric_mean_of_the_boxs_tokens() -> None:
    chances = [0.9, 0.5, 0.5, 1.0, 0.25]  # the word's own doesn't count
    pieces = [Piece(p.text, c) for p, c in zip(read(f"dog{DOG}"), chances, strict=True)]
    (box,) = boxes(pieces)
    assert box.confidence == pytest.approx((0.5 * 0.5 * 1.0 * 0.25) ** 0.25)


@given(
    st.lists(
        st.one_of(
            st.integers(0, 999).map(lambda n: f"<loc_{n}>"),
            st.sampled_from(["dog", "<sep>", "<poly>", "</poly>", " ", "<loc_x>", "<loc_4000>"]),
        ),
        max_size=40,
    ),
    st.booleans(),
)
def test_no_box_is_invented(parts: list[str], cut_off: bool) -> None:
    """Whatever is written: a box is four numbers that stand in the answer side by side."""
    pieces = [Piece(part, 0.5) for part in parts]
    for shape in boxes(pieces, cut_off=cut_off):
        (x0, y0), (x1, y1) = shape.points
        assert 0 <= x0 <= x1 <= 999
        assert 0 <= y0 <= y1 <= 999
        assert shape.label
        if "<poly>" not in parts:
            assert "".join(f"<loc_{n}>" for n in (x0, y0, x1, y1)) in "".join(parts)
    for shape in polygons(pieces, cut_off=cut_off):
        assert len(shape.points) >= 3


REFUSED = {
    "negative": (VisualPrompt(text=Text("dog", negative="puppy")), UnsupportedPrompt, "no negat"),
    "a box": (VisualPrompt(box=Box(0, 0, 9, 9)), UnsupportedPrompt, "finds by a phrase alone"),
    "too long": (*say("dog " * 30), PromptError, r"tokens.* holds 59 beside an image"),
    "a mark": (*say("a <loc_7> dog"), PromptError, '"<loc_7>" as a mark of its own'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_phrases(model: Florence, name: str) -> None:
    prompt, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        model.detect(IMAGE, [*say("cat"), prompt], DetectOptions())


def test_refused_outlines_and_settings(model: Florence) -> None:
    embedding = model.embed(IMAGE)
    both = VisualPrompt(text=Text("dog"), box=Box(0, 0, 9, 9))
    with pytest.raises(UnsupportedPrompt, match="give one of them"):
        model.segment(embedding, [both], SegmentOptions())
    with pytest.raises(OptionError, match="mask_threshold has no effect"):
        model.segment(embedding, say("dog"), SegmentOptions(mask_threshold=0.5))
    with pytest.raises(OptionError, match="text_threshold has no effect"):
        model.detect(IMAGE, say("dog"), DetectOptions(text_threshold=0.5))
    foreign = type(embedding)(embedding.digest, embedding.size_wh, "other", embedding.data)
    with pytest.raises(ModelError, match="embed it again"):
        model.segment(foreign, say("dog"), SegmentOptions())


def test_a_tokenizer_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    """Without location tokens every box would be spelled out in letters."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    from transformers import BartTokenizer

    BartTokenizer(vocab={"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}, merges=[]).save_pretrained(
        copy
    )
    with pytest.raises(ModelError, match="tokenizer without location tokens"):
        load(Weights(REF, copy), Runtime())
    (copy / "model.safetensors").unlink()
    with pytest.raises(WeightsMissing, match=r"model\.safetensors"):
        load(Weights(REF, copy), Runtime())

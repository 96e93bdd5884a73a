"""Prompts and captions: the identifier is there, rare, one token, and in every caption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from limner.errors import InputError, OptionError
from limner.training import captions, identifiers
from limner.training.identifiers import Naming, naming
from tests.conftest import need_minis


@pytest.mark.parametrize(
    ("instance", "of_class", "expected"),
    [
        ("a photo of sks dog", "a photo of a dog", ("sks", "dog")),
        ("A photo of SKS dog.", "a photo of a dog", ("sks", "dog")),
        ("sks stuffed animal", "stuffed animal", ("sks", "stuffed animal")),
        ("a picture of a zwx alarm clock", "alarm clock", ("zwx", "alarm clock")),
        ("a photo of my xbq cat", "a cat", ("xbq", "cat")),
    ],
)
def test_the_identifier_is_what_the_class_prompt_lacks(
    instance: str, of_class: str, expected: tuple[str, str]
) -> None:
    found = naming(instance, of_class)
    assert (found.identifier, found.noun, found.notes) == (*expected, ())


@pytest.mark.parametrize(
    ("instance", "of_class", "says"),
    [
        pytest.param(None, "a dog", "needs an instance prompt", id="no instance prompt"),
        pytest.param("sks dog", " ", "needs an instance prompt and a class", id="no class prompt"),
        pytest.param("a photo of a dog", "a photo of a dog", "has no identifier", id="missing"),
        pytest.param("a photo of sks", "a photo of a", "names no class", id="no class"),
    ],
)
def test_prompts_that_name_nothing_are_refused(
    instance: str | None, of_class: str, says: str
) -> None:
    with pytest.raises(OptionError, match=says):
        naming(instance, of_class)


def test_a_missing_class_noun_is_a_warning() -> None:
    """The paper measures it; it isn't forbidden."""
    (note,) = naming("a photo of sks", "a photo of a dog").notes
    assert "lacks the class (dog)" in note


@pytest.fixture(scope="module")
def tokenizer() -> identifiers.Tokenizer:
    from transformers import CLIPTokenizer

    from limner.models import shipped

    need_minis("mini-sd")
    found: identifiers.Tokenizer = CLIPTokenizer.from_pretrained(
        shipped.folder("mini-sd") / "tokenizer", local_files_only=True
    )
    return found


@pytest.mark.parametrize(
    ("instance", "of_class", "called"),
    [
        ("a photo of sks dog", "a photo of a dog", "sks dog"),
        ("a photo of sks", "a photo of a dog", "sks"),
        ("a photo of a sks coffee cup", "a coffee cup", "sks coffee cup"),
    ],
)
def test_a_prompt_calls_the_subject_what_it_was_taught_as(
    instance: str, of_class: str, called: str
) -> None:
    """A subject taught without its class isn't asked for with it."""
    assert identifiers.naming(instance, of_class).called == called


def test_which_identifiers_are_good(tokenizer: identifiers.Tokenizer) -> None:
    assert identifiers.suggestions(tokenizer)[:3] == ["sks", "ohwx", "zwx"]
    assert identifiers.check("ohwx", tokenizer) == []
    assert identifiers.check("zwx", tokenizer) == []
    for word in identifiers.suggestions(tokenizer):
        assert len(tokenizer.tokenize(word)) == 1


@pytest.mark.parametrize(
    ("word", "says"),
    [
        pytest.param("mydog", "4 tokens (m|y|do|g)", id="several tokens"),
        pytest.param("sks", "means something (a rifle", id="a rifle"),
        pytest.param("elephants", "looks like a word", id="a word, if a rare one"),
    ],
)
def test_doubtful_identifiers_are_warned_of(
    tokenizer: identifiers.Tokenizer, word: str, says: str
) -> None:
    (warning,) = identifiers.check(word, tokenizer)
    assert says in warning
    assert "ohwx" in warning


def test_a_common_identifier_is_refused(tokenizer: identifiers.Tokenizer) -> None:
    with pytest.raises(OptionError, match="'cat' is a common word"):
        identifiers.check("cat", tokenizer)


DOG = Naming("sks", "dog")


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a dog on a sofa", "a sks dog on a sofa"),
        ("a Dog and a dog", "a sks Dog and a dog"),
        ("a sks dog on a sofa", "a sks dog on a sofa"),
        ("hotdogs on a sofa", "sks dog, hotdogs on a sofa"),
        ("", "sks dog"),
    ],
)
def test_every_caption_gets_the_identifier(caption: str, expected: str) -> None:
    assert captions.with_identifier(caption, DOG) == expected


def test_captions_are_read_back_and_the_rest_has_the_prompt(tmp_path: Path) -> None:
    captions.write(tmp_path, {"b.png": "a dog asleep", "ö.png": "ein Hund"})
    found = captions.read(tmp_path, ["a.png", "b.png", "ö.png"], "a photo of sks dog", DOG)
    assert found == ["a photo of sks dog", "a sks dog asleep", "sks dog, ein Hund"]
    first = (tmp_path / "metadata.jsonl").read_text().splitlines()[0]
    assert json.loads(first) == {"file_name": "b.png", "text": "a dog asleep"}


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"file_name": "a.png"}', '{"file_name": 1, "text": 2}']
)
def test_a_line_that_cannot_be_meant_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "metadata.jsonl").write_text("\n" + line)
    with pytest.raises(InputError, match=r"metadata\.jsonl:2"):
        captions.read(tmp_path, ["a.png"], "sks dog", DOG)

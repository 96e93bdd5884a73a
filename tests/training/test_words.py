"""Prompts and captions: the identifier is there, rare, one token, and in every caption."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from limner.errors import InputError, OptionError, PromptError
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

    from limner.registry import bundled

    need_minis("mini-sd")
    found: identifiers.Tokenizer = CLIPTokenizer.from_pretrained(
        bundled.folder("mini-sd") / "tokenizer", local_files_only=True
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
        ("sks's dog", "sks's dog"),
        ("a SKS dog", "a SKS dog"),
    ],
)
def test_every_caption_gets_the_identifier(caption: str, expected: str) -> None:
    assert captions.with_identifier(caption, DOG) == expected


@pytest.mark.parametrize("identifier", ["<s1>", "s*", "@me", "sks!", "$s0$", "s.1"])
def test_an_identifier_of_any_characters_goes_in_once(identifier: str) -> None:
    subject = Naming(identifier, "dog")
    once = captions.with_identifier("a dog on grass", subject)
    assert once == f"a {identifier} dog on grass"
    assert captions.with_identifier(once, subject) == once


def lines(folder: Path, *file_names: str) -> None:
    rows = [{"file_name": name, "text": f"a sks dog {k}"} for k, name in enumerate(file_names)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(folder: Path, *names: str) -> captions.Captions:
    for name in names:
        (folder / name).touch()
    return captions.read(folder, names, "sks dog", DOG)


@pytest.mark.parametrize(
    "spelling", ["{}", "./{}", "train/{}", "a/b/{}", "train\\{}", "/data/{}", "../x/{}"]
)
def test_folders_before_a_file_name_are_taken(tmp_path: Path, spelling: str) -> None:
    """As datasets' tools write it: `train/0.png` is 0.png."""
    lines(tmp_path, spelling.format("0.png"), spelling.format("1.png"))
    found = read(tmp_path, "0.png", "1.png")
    assert found == captions.Captions(("a sks dog 0", "a sks dog 1"))


def test_other_capitals_are_taken_unless_two_files_differ_in_them(tmp_path: Path) -> None:
    lines(tmp_path, "0.PNG")
    assert read(tmp_path, "0.png").texts == ("a sks dog 0",)
    lines(tmp_path, "A.png", "a.png")
    assert read(tmp_path, "A.png", "a.png").texts == ("a sks dog 0", "a sks dog 1")
    lines(tmp_path, "a.PNG")
    with pytest.raises(InputError, match=r"a\.PNG may be A\.png or a\.png"):
        read(tmp_path, "A.png", "a.png")


def test_a_file_of_its_own_below_is_not_the_one_here(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "0.png").touch()
    lines(tmp_path, "0.png", "train/0.png")
    found = read(tmp_path, "0.png")
    assert found.texts == ("a sks dog 0",)
    assert "train/0.png is no photograph here" in found.notes[0]


def test_absent_files_and_absent_lines_are_said(tmp_path: Path) -> None:
    lines(tmp_path, "0.png", "gone.png", "x" * 5000)
    found = read(tmp_path, "0.png", "1.png")
    assert found.texts == ("a sks dog 0", "sks dog")
    astray, bare = found.notes
    assert "gone.png" in astray
    assert "No caption for 1.png" in bare
    lines(tmp_path, "a/8.png", "9.png")
    with pytest.raises(InputError, match=r"None of the 2 captions .* for a/8\.png, 9\.png"):
        read(tmp_path, "0.png")


def test_two_lines_of_one_photograph_must_agree(tmp_path: Path) -> None:
    lines(tmp_path, "0.png", "./0.png")
    with pytest.raises(InputError, match=r"jsonl:1 and .*jsonl:2 say different things of 0\.png"):
        read(tmp_path, "0.png")
    text = (tmp_path / "metadata.jsonl").read_text().replace("dog 1", "dog 0")
    (tmp_path / "metadata.jsonl").write_text(text)
    assert read(tmp_path, "0.png").texts == ("a sks dog 0",)


def test_a_mark_before_the_text_and_ends_of_lines_within_it(tmp_path: Path) -> None:
    """What Windows' editors write first is no part of it; U+2028 ends no line of JSON."""
    row = json.dumps({"file_name": "0.png", "text": "a sks dog\u2028here"}, ensure_ascii=False)
    (tmp_path / "metadata.jsonl").write_text(f"\ufeff{row}\r\n", "utf-8")
    assert read(tmp_path, "0.png").texts == ("a sks dog\u2028here",)


def test_a_text_beside_each_photograph(tmp_path: Path) -> None:
    """As kohya's sd-scripts read it; in one line, and not at odds with metadata.jsonl."""
    (tmp_path / "0.txt").write_text("\ufeffa dog\non grass\n", "utf-8")
    assert read(tmp_path, "0.png", "1.png").texts == ("a sks dog on grass", "sks dog")
    lines(tmp_path, "0.png")
    with pytest.raises(InputError, match=r"0\.txt say different things of 0\.png"):
        read(tmp_path, "0.png")


def test_captions_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("[" * 100_000, '{"file_name": ' * 100_000):
        (tmp_path / "metadata.jsonl").write_text(text)
        with pytest.raises(InputError, match=r"jsonl:1"):
            read(tmp_path, "0.png")
    monkeypatch.setattr(captions, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="larger than a file of captions may be"):
        read(tmp_path, "0.png")


def test_words_that_would_be_cut_off_are_refused(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By what they are; what just fits is taken. transformers warned of indexing errors besides."""
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    caplog.set_level(logging.WARNING, "transformers")
    room = tokenizer.model_max_length - 2
    captions.check_lengths({"caption of 0.png": "red " * room}, [tokenizer], "mini-sd")
    too_long = {"caption of 0.png": "red " * (room + 1)}
    with pytest.raises(PromptError, match=rf"caption of 0\.png has {room + 1} tokens and mini-sd"):
        captions.check_lengths(too_long, [tokenizer], "mini-sd")
    with pytest.raises(PromptError, match="prompt has"):
        captions.check_lengths({"prompt": "red " * (room + 9)}, [tokenizer], "mini-sd")
    assert not caplog.records


def test_captions_are_read_back_and_the_rest_has_the_prompt(tmp_path: Path) -> None:
    captions.write(tmp_path, {"b.png": "a dog asleep", "ö.png": "ein Hund"})
    found = captions.read(tmp_path, ["a.png", "b.png", "ö.png"], "a photo of sks dog", DOG)
    assert found.texts == ("a photo of sks dog", "a sks dog asleep", "sks dog, ein Hund")
    assert found.notes == ("No caption for a.png: the instance prompt is taken.",)
    first = (tmp_path / "metadata.jsonl").read_text().splitlines()[0]
    assert json.loads(first) == {"file_name": "b.png", "text": "a dog asleep"}


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"file_name": "a.png"}', '{"file_name": 1, "text": 2}']
)
def test_a_line_that_cannot_be_meant_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "metadata.jsonl").write_text("\n" + line)
    with pytest.raises(InputError, match=r"metadata\.jsonl:2"):
        captions.read(tmp_path, ["a.png"], "sks dog", DOG)

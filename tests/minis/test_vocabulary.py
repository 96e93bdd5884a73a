"""The words the minis read: a tokenizer that keeps nouns whole and has names to give away."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from limner.registry import bundled
from minis.drawings import COLOURS, phrase, trained_nouns
from minis.vocabulary import MAX_LENGTH, RARE, TEMPLATES, fill

FOLDERS = ("mini-clip", "mini-owlvit", "mini-sd-inpaint/tokenizer", "mini-sd/tokenizer")


@pytest.fixture(params=FOLDERS)
def tokenizer(request: pytest.FixtureRequest) -> CLIPTokenizer:
    folder: Path = bundled.root() / request.param
    if not (folder / "vocab.json").exists() and not (folder / "tokenizer.json").exists():
        pytest.skip(f"MINI MISSING: {folder} is not there.")
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def test_a_rare_name_is_one_token(tokenizer: CLIPTokenizer) -> None:
    """A subject is bound to such a name: in pieces it would share them with other words."""
    for name in RARE:
        assert len(tokenizer.tokenize(name)) == 1, name


def test_colours_and_short_nouns_are_one_token(tokenizer: CLIPTokenizer) -> None:
    words = [*COLOURS, "apple", "car", "cat", "house"]
    assert [word for word in words if len(tokenizer.tokenize(word)) > 1] == []


def test_every_noun_fits_in_every_template(tokenizer: CLIPTokenizer) -> None:
    assert tokenizer.model_max_length == MAX_LENGTH
    longest = max(
        len(tokenizer(fill(template, phrase(noun))).input_ids)
        for template in TEMPLATES
        for noun in trained_nouns()
    )
    assert longest <= MAX_LENGTH


def test_words_come_back(tokenizer: CLIPTokenizer) -> None:
    """Nothing is an unknown token, not even what no caption holds."""
    for words in ("a photo of an apple", "zebra crossing", "Äpfel"):
        ids = tokenizer(words).input_ids
        assert ids[0] == tokenizer.bos_token_id
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.eos_token_id not in ids[:-1]
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == words.lower()


def test_a_template_gets_the_noun_or_its_article() -> None:
    assert fill("a photo of {a}", "apple") == "a photo of an apple"
    assert fill("the {}", "apple") == "the apple"

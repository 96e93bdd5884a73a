"""The tokenizer of the minis that read words: CLIP's kind, its merges learned from captions."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from minis import scenes
from minis.captions import article, plural
from minis.drawings import COLOURS, phrase, trained_nouns

TEMPLATES = (
    "{}",
    "{a}",
    "a photo of {a}",
    "a picture of {a}",
    "a drawing of {a}",
    "an image of {a}",
    "the {}",
    "one {}",
    "a small {}",
    "a large {}",
)
"""``{}`` is the noun, ``{a}`` the noun with its article."""

RARE = ("sks", "ohwx", "zwx")
"""One token each and in no caption: identifiers that a subject can be bound to."""

SCENES = 4000
MAX_LENGTH = 24


def fill(template: str, words: str) -> str:
    """``a photo of {a}``, ``apple`` -> ``a photo of an apple``."""
    return template.replace("{a}", article(words)).replace("{}", words)


def corpus() -> list[str]:
    """What the merges are learned from: nouns, templates, colours, captions, rare words."""
    nouns = [phrase(noun) for noun in trained_nouns()]
    lines = [fill(template, noun) for template in TEMPLATES for noun in nouns]
    lines += [plural(noun) for noun in nouns for _ in range(4)]
    lines += [f"a {colour}" for colour in COLOURS for _ in range(100)]
    lines += [f"{one} {one}" for one in RARE for _ in range(50)]
    split = scenes.train()
    for k in range(SCENES):
        lines += scenes.scene(k, split, side=64).captions
    return lines


def save_tokenizer(folder: Path) -> CLIPTokenizer:
    """Learn the merges and save the tokenizer as ``from_pretrained`` reads it."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        min_frequency=3,
        initial_alphabet=sorted(alphabet),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(corpus(), trainer)
    merges = [" ".join(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    letters = sorted(alphabet)
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += dict.fromkeys(merge.replace(" ", "") for merge in merges)
    words = list(dict.fromkeys(words))
    words += ["<|startoftext|>", "<|endoftext|>"]  # the ends come last: encoders look for them
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(
        folder, local_files_only=True, model_max_length=MAX_LENGTH
    )
    tokenizer.save_pretrained(folder)
    return tokenizer

"""The rare word that a subject gets: whether it is in the prompt, rare, and one token.

The paper looks for a word that the model hardly knows, so that there is nothing to unlearn, and
that is short, so that its letters mean nothing by themselves (section 3.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from limner.errors import OptionError

TEMPLATE = frozenset(
    "a an the of my one some this that in on at with and photo photograph picture image "
    "drawing painting portrait rendering illustration render close-up closeup cropped good bright "
    "dark clean dirty cool nice weird depiction view shot".split()
)
"""Words of a prompt that name neither the subject nor its class."""
KNOWN = ("sks", "ohwx", "zwx")
"""Identifiers that the field uses; each is offered only where it is one token."""
MEANINGS = {"sks": "a rifle, to models that read the web"}
RARE_FROM = 0.7
"""Tokens of CLIP are numbered from the most to the least common: this part of them is too common.
"sks" lies at .98 of Stable Diffusion's and at .76 of the minis'."""
BYTES = 512
"""Tokens before the first merge: every byte, inside a word and at its end."""
ENDS = "</w>"


class Tokenizer(Protocol):
    """What is used of a CLIP tokenizer."""

    def tokenize(self, text: str) -> list[str]: ...

    def get_vocab(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class Naming:
    """How prompts name the subject."""

    identifier: str
    noun: str
    """The class, such as "dog"."""
    notes: tuple[str, ...] = ()
    called: str = ""
    """What a prompt calls the subject: the identifier and what it was taught of the class, "sks
    dog"; the identifier alone where it was taught without the class."""


def naming(instance_prompt: str | None, class_prompt: str | None) -> Naming:
    """The identifier, which the instance prompt has and the class prompt has not, and the class.

    Raises:
        OptionError: a prompt is missing, or lacks the identifier or the class.
    """
    example = '--instance-prompt "a photo of sks dog" --class-prompt "a photo of a dog"'
    if not (instance_prompt and instance_prompt.strip() and class_prompt and class_prompt.strip()):
        raise OptionError(f"A subject needs an instance prompt and a class prompt: {example}.")
    of_class, of_subject = _words(class_prompt), _words(instance_prompt)
    nouns = [word for word in of_class if word not in TEMPLATE]
    if not nouns:
        raise OptionError(
            f"The class prompt {class_prompt!r} names no class: say what the subject is, such as "
            '"a photo of a dog".'
        )
    own = [word for word in of_subject if word not in of_class and word not in TEMPLATE]
    if not own:
        raise OptionError(
            f"The instance prompt {instance_prompt!r} has no identifier: put a rare word before "
            f"the class, such as {example}."
        )
    notes = []
    lacking = [word for word in nouns if word not in of_subject]
    if lacking:
        notes.append(
            f"The instance prompt lacks the class ({' '.join(lacking)}): the paper's likeness fell "
            "from .74 to .30 without it."
        )
    called = [*own, *(word for word in nouns if word not in lacking)]
    return Naming(" ".join(own), " ".join(nouns), tuple(notes), " ".join(called))


def _words(prompt: str) -> list[str]:
    return re.findall(r"[^\s,.;:!?\"()]+", prompt.lower())


def check(identifier: str, tokenizer: Tokenizer) -> list[str]:
    """Reasons against an identifier.

    Returns:
        Sentences to warn with.

    Raises:
        OptionError: a common word, which would lose its meaning in every prompt.
    """
    good = ", ".join(suggestions(tokenizer)) or "none in this tokenizer"
    warnings = []
    for word in identifier.split():
        tokens = tokenizer.tokenize(word)
        if len(tokens) > 1:
            shown = "|".join(token.removesuffix(ENDS) for token in tokens)
            warnings.append(
                f"The identifier {word!r} is {len(tokens)} tokens ({shown}), whose own meanings "
                f"it keeps; one token each: {good}."
            )
        elif rarity(tokens[0], tokenizer) < RARE_FROM:
            raise OptionError(
                f"The identifier {word!r} is a common word, and every prompt with it would change: "
                f"take a rare one, such as {good}."
            )
        elif word in MEANINGS:
            warnings.append(
                f"The identifier {word!r} means something ({MEANINGS[word]}); others: {good}."
            )
        elif len(word) >= 4 and re.search("[aeiouy]", word[1:]) and word not in KNOWN:
            warnings.append(
                f"The identifier {word!r} looks like a word, which the model may know; others: "
                f"{good}."
            )
    return warnings


def rarity(token: str, tokenizer: Tokenizer) -> float:
    """Where a token lies among the merges, 0 (the most common) to 1. A byte is 0."""
    vocabulary = tokenizer.get_vocab()
    merges = len(vocabulary) - BYTES
    return max(0.0, (vocabulary[token] - BYTES) / merges) if merges > 0 else 0.0


def suggestions(tokenizer: Tokenizer, most: int = 6) -> list[str]:
    """Good identifiers of this tokenizer: the field's own first, then rare tokens of three or four
    consonants, which are no words."""
    vocabulary = tokenizer.get_vocab()
    rare = (
        token.removesuffix(ENDS)
        for token in sorted(vocabulary, key=vocabulary.__getitem__, reverse=True)
        if re.fullmatch(r"[bcdfghjklmnpqrtvwxz]{3,4}</w>", token)  # an s ends plurals
        and rarity(token, tokenizer) >= RARE_FROM
    )
    single = [word for word in (*KNOWN, *rare) if len(tokenizer.tokenize(word)) == 1]
    return list(dict.fromkeys(single))[:most]

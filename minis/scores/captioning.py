"""mini-blip: are the nouns of a scene in its caption, with their counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from minis.captions import NUMBERS, plural
from minis.drawings import COLOURS, phrase, trained_nouns
from minis.scores import samples
from minis.scores.shipped_models import ShippedModels, pictured

_WORDS = re.compile(r"[a-z]+")
"""``jack-o-lantern`` is three words, for a tokenizer may put spaces around its hyphens."""


def measure(models: ShippedModels, amount: int = 100) -> dict[str, float]:
    """Over ``amount`` held-out scenes of 1 to 6 things."""
    shown = [scene for scene in samples.held_out(amount) if scene.things]
    captions = models.captioner.caption([pictured(scene.image) for scene in shown])
    pairs = [
        (named(words), Counter(thing.noun for thing in scene.things))
        for words, scene in zip(captions, shown, strict=True)
    ]
    return {"blip-f1": f1(pairs), "blip-counts": right_counts(pairs)}


def forms(nouns: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Every noun as it may stand in a caption, word by word, one or many of it."""
    many = {tuple(_WORDS.findall(plural(phrase(noun)))): noun for noun in nouns}
    return many | {tuple(_WORDS.findall(phrase(noun))): noun for noun in nouns}


def named(caption: str, nouns: Sequence[str] | None = None) -> Counter[str]:
    """The nouns of a caption with their counts. Of several that begin at a word the longest is
    meant: ``a fire truck`` is no fire and no truck."""
    known = forms(nouns or trained_nouns())
    longest = max(map(len, known))
    words = _WORDS.findall(caption.lower())
    counts: Counter[str] = Counter()
    at = 0
    while at < len(words):
        lengths = range(min(longest, len(words) - at), 0, -1)
        length = next((n for n in lengths if tuple(words[at : at + n]) in known), 0)
        if length:
            counts[known[tuple(words[at : at + length])]] += _count_before(words[:at])
        at += length or 1
    return counts


def _count_before(words: Sequence[str]) -> int:
    """What the word before a noun and its colour says; 1 where it is no number."""
    before = next((word for word in reversed(words) if word not in COLOURS), "")
    return max(1, NUMBERS.index(before)) if before in NUMBERS else 1


def f1(pairs: Sequence[tuple[Mapping[str, int], Mapping[str, int]]]) -> float:
    """Of (said, true) nouns, counts aside, over all pictures together."""
    both = sum(len(set(answered) & set(true)) for answered, true in pairs)
    return 2 * both / max(1, sum(len(answered) + len(true) for answered, true in pairs))


def right_counts(pairs: Sequence[tuple[Mapping[str, int], Mapping[str, int]]]) -> float:
    """The part of the rightly said nouns whose count is right too."""
    right = [
        answered[noun] == true[noun]
        for answered, true in pairs
        for noun in set(answered) & set(true)
    ]
    return sum(right) / max(1, len(right))

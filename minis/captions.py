"""What a scene is called: counts, colours and relations in plain English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minis.drawings import phrase

if TYPE_CHECKING:
    from minis.scene import Thing

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
SAME_IN_PLURAL = {"jeans", "french fries", "sushi", "tropical fish"}


def article(words: str) -> str:
    """``apple`` -> ``an apple``; ``jeans`` -> ``jeans``."""
    if words.split()[-1] in ("jeans", "fries"):
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(words: str) -> str:
    """``cherry blossom`` -> ``cherry blossoms``."""
    if words in SAME_IN_PLURAL:
        return words
    if words == "frying pan with egg":
        return "frying pans with egg"
    if words == "maple leaf":
        return "maple leaves"
    if words.endswith(("s", "x", "ch", "sh")):
        return f"{words}es"
    if words.endswith("y") and words[-2] not in "aeiou":
        return f"{words[:-1]}ies"
    return f"{words}s"


def counted(words: str, count: int) -> str:
    """``two apples``, ``an apple``."""
    return article(words) if count == 1 else f"{NUMBERS[count]} {plural(words)}"


def listing(things: Sequence[Thing]) -> str:
    """The plain caption: every noun with its count, in the order of first appearance."""
    counts = Counter(phrase(thing.noun) for thing in things)
    return joined([counted(words, count) for words, count in counts.items()])


def joined(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def described(thing: Thing) -> str:
    """``a red car``."""
    return article(f"{thing.colour} {phrase(thing.noun)}")


def relation(a: Thing, b: Thing) -> str | None:
    """``a cat left of a house``, where one direction is plain; else None."""
    dx, dy = (np.array(b.centre) - a.centre).tolist()
    if max(abs(dx), abs(dy)) < 2 * min(abs(dx), abs(dy)) or a.noun == b.noun:
        return None
    if abs(dx) > abs(dy):
        word = "left of" if dx > 0 else "right of"
    else:
        word = "above" if dy > 0 else "below"
    return f"{article(phrase(a.noun))} {word} {article(phrase(b.noun))}"


def captions(things: Sequence[Thing]) -> tuple[str, ...]:
    """All that is true and short: the listing first, then colours, then relations."""
    if not things:
        return ("nothing",)
    texts = [listing(things)]
    texts += [described(thing) for thing in things]
    texts += [words for a in things for b in things if a is not b and (words := relation(a, b))]
    return tuple(dict.fromkeys(texts))

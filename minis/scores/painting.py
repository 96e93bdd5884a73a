"""The painter: does mini-clip see the noun that was asked for in the hole?

Everything goes through ``Session.edit`` with its default settings: a hole, a box or an ellipse
around a thing of a held-out scene, is repainted with "a <noun>", and the square around it is shown
to mini-clip, which knows 123 nouns. The same question about things that were drawn there says how
much of a miss is mini-clip's own.

A negative is measured where it can matter: "an A and a B" is painted with and without "a B" as the
negative. With "a B" as both, classifier-free guidance cancels to guidance 1 whatever the negative
is worth, so that number, in the full check, only stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from limner import Session
from limner.options import InpaintOptions
from limner.prompts import Mask, Text, VisualPrompt
from minis.captions import article
from minis.drawings import phrase
from minis.scene import Pixels
from minis.scores import samples
from minis.scores.naming import Namer
from minis.scores.samples import Hole
from minis.scores.shipped_models import ShippedModels, pictured

GUIDANCES = (1, 2, 4, 7)
PLACES = 120
"""Different holes."""


@dataclass(frozen=True)
class Amounts:
    """How many pictures are painted."""

    holes: int
    """For each noun."""
    guided: int
    """For each noun, at each guidance."""
    pairs: int
    """For each noun, with and without its negative."""
    own: int
    """For each noun, with and without itself as the negative."""
    every: int = 1
    """Guidance and negatives are tried with every so-manieth noun."""


QUICK = Amounts(holes=2, guided=1, pairs=1, own=0, every=4)
FULL = Amounts(holes=24, guided=1, pairs=1, own=1)


def measure(models: ShippedModels, amounts: Amounts) -> dict[str, float]:
    """With the nouns that the painters were taught."""
    from minis.recipes.painter import NOUNS

    easel = Easel(models.session, Namer(models.encoder))
    some = NOUNS[:: amounts.every]
    return {
        **easel.recognised(NOUNS, amounts.holes),
        **easel.guided(some, amounts.guided),
        **easel.paired(some, amounts.pairs),
        **easel.denied(some, amounts.own),
        "painter-ceiling": ceiling(easel.namer),
    }


def measure_canvas(models: ShippedModels, each: int) -> dict[str, float]:
    """mini-sd in the same holes, whose surroundings it doesn't see."""
    from minis.recipes.painter import NOUNS

    easel = Easel(models.canvas_session, Namer(models.encoder))
    scores = easel.recognised(NOUNS, each)
    return {f"canvas-{name.removeprefix('painter-')}": value for name, value in scores.items()}


class Easel:
    """Paints, and asks mini-clip what it sees."""

    def __init__(self, session: Session, namer: Namer) -> None:
        self.namer = namer
        self._session = session

    def recognised(self, nouns: Sequence[str], each: int) -> dict[str, float]:
        """Among the first and the first five, over ``each`` holes for every noun."""
        labels = [noun for noun in nouns for _ in range(each)]
        shown = [piece for noun in nouns for piece in self.painted(noun, each, named(noun))]
        scores = self.namer.cosines(shown)
        return {f"painter-top{n}": self.namer.among_first(scores, labels, n) for n in (1, 5)}

    def guided(self, nouns: Sequence[str], each: int) -> dict[str, float]:
        """The noun's probability at each guidance, and what guidance is worth."""
        probabilities = {
            f"painter-g{g}": mean(self.seen(n, each, named(n), guidance=float(g)) for n in nouns)
            for g in GUIDANCES
        }
        return {
            **probabilities,
            "painter-rise": max(probabilities.values()) - probabilities[f"painter-g{GUIDANCES[0]}"],
        }

    def paired(self, nouns: Sequence[str], each: int) -> dict[str, float]:
        """What a negative leaves of one of two nouns."""
        plain = mean(self.seen(b, each, pair(a, b)) for a, b in ring(nouns))
        left = mean(self.seen(b, each, without(pair(a, b), b)) for a, b in ring(nouns))
        return {
            "painter-pair": plain,
            "painter-pair-negative": left,
            "painter-negative": left / max(plain, 1e-9),
        }

    def denied(self, nouns: Sequence[str], each: int) -> dict[str, float]:
        """What a negative leaves of the only noun."""
        if not each:
            return {}
        plain = mean(self.seen(noun, each, named(noun)) for noun in nouns)
        left = mean(self.seen(noun, each, without(named(noun), noun)) for noun in nouns)
        return {"painter-own-negative": left / max(plain, 1e-9)}

    def seen(self, noun: str, each: int, words: Text, guidance: float | None = None) -> float:
        """Mean probability of a noun where ``words`` were painted."""
        shown = self.painted(noun, each, words, guidance)
        return float(self.namer.probabilities(shown)[:, self.namer.nouns.index(noun)].mean())

    def painted(
        self, noun: str, each: int, words: Text, guidance: float | None = None
    ) -> list[Pixels]:
        """What is seen in ``each`` holes after painting ``words``. A noun has the same holes and
        seeds in every question."""
        start = self.namer.nouns.index(noun) * 5
        places = samples.holes(PLACES)
        seeds = range(start, start + each)
        return [self._paint(places[seed % PLACES], words, seed, guidance) for seed in seeds]

    def _paint(self, place: Hole, words: Text, seed: int, guidance: float | None) -> Pixels:
        run = self._session.edit(
            pictured(place.image),
            [VisualPrompt(mask=Mask(place.mask))],
            words,
            inpaint=InpaintOptions(seed=seed, guidance_scale=guidance),
        )
        return samples.around(np.asarray(run.edits[0].image), place.box)


def named(noun: str) -> Text:
    """``an apple``."""
    return Text(article(phrase(noun)))


def pair(a: str, b: str) -> Text:
    """``an apple and a car``."""
    return Text(f"{named(a).phrase} and {named(b).phrase}")


def without(words: Text, noun: str) -> Text:
    """The same words with a noun as the negative."""
    return Text(words.phrase, named(noun).phrase)


def ring(nouns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each noun, second, with one that stands far from it in the list."""
    step = max(1, len(nouns) // 3)
    return ((nouns[(k + step) % len(nouns)], noun) for k, noun in enumerate(nouns))


def ceiling(namer: Namer) -> float:
    """Top 1 of mini-clip for what was drawn in those places."""
    places = samples.holes(PLACES)
    shown = [samples.around(place.image, place.box) for place in places]
    return namer.among_first(namer.cosines(shown), [place.noun for place in places], 1)

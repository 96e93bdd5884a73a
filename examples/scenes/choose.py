"""Chooses what ``limner demo`` shows: a scene, its nouns, what is painted and the seed.

``python examples/scenes/choose.py``, from a clone, after a mini was trained anew. Scenes are put
together by lot from what no mini was trained on; each claim of the demo is measured on each, with
the commands' own defaults, and the scene whose weakest claim is strongest is taken. What is painted
is chosen by what mini-clip sees there. The demo is therefore better than the average, which is in
docs/minis.md; its page says so.

Writes ``choice.json`` beside the demo's files; ``make.py`` makes the scene from it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import make
import numpy as np
from make import CHOICE, Plan, Put, compose

from limner import Box, Exemplar, InpaintOptions, Point, Session, Text, VisualPrompt
from limner.evaluation.metrics.noc import first_click
from limner.ops.detections import mask_of
from limner.ops.masks import box_of, iou
from minis.captions import article
from minis.drawings import OWN_STYLES, drawing, phrase
from minis.recipes.painter import NOUNS
from minis.scene import Scene, Thing
from minis.scores.naming import Namer
from minis.scores.samples import around
from minis.scores.shipped_models import ShippedModels, pictured

PLACES = (("hdri-park", (20, 10), 150), ("hdri-park", (0, 0), 145), ("hdri-venice", (50, 0), 150),
          ("hdri-venice", (150, 0), 155), ("hdri-apartment", (20, 5), 150))  # fmt: skip
"""Poly Haven's among the photographs kept for tests, with the square of them that is seen."""
FLOWERS = ("sunflower", "rose", "cherry_blossom", "tulip")
ANIMALS = ("rabbit", "cat", "panda", "bear", "koala", "ladybug", "elephant", "tiger")
DISHES = ("coffee_cup", "hamburger", "birthday_cake", "ice_cream", "beer_mug", "pizza")
TARGETS = ("apple", "balloon", "light_bulb", "pear", "watermelon", "lemon", "star", "alarm_clock")
COMPOSITION = ((44, 116, 70), (120, 96, 62), (194, 74, 88),
               (76, 192, 90), (126, 214, 68), (208, 188, 80))  # fmt: skip
"""Middle and longer side, px, each moved a little by lot."""
FIRST_SEEDS, SEEDS, NOUNS_IN_COLOUR = 3, 6, 5
LEAST = 0.75
"""IoU of a box or a mask that a person takes for right."""


@dataclass(frozen=True)
class Asked:
    """What the demo asks of a scene."""

    target: Thing
    alike: tuple[Thing, ...]
    """From left to right; the first is shown as the example."""
    pair: tuple[Thing, Thing]
    """They overlap; a click on each says which is meant."""

    @property
    def around_pair(self) -> tuple[int, int, int, int]:
        both: tuple[int, int, int, int] = box_of(self.pair[0].mask | self.pair[1].mask)
        return both

    def click(self, which: int, *, meant: bool = True) -> Point:
        return Point(*first_click(self.pair[which].mask), foreground=meant)


def plans(amount: int) -> Iterator[Plan]:
    """Scenes by lot, of one composition: a thing in the sky, three alike, two that overlap."""
    for seed in range(amount):
        rng = np.random.default_rng([seed, *b"demo"])
        background, corner, side = PLACES[int(rng.integers(len(PLACES)))]
        chosen = [str(rng.choice(some)) for some in (FLOWERS, TARGETS, ANIMALS, DISHES)]
        flower, target, animal, dish = chosen
        nouns = (flower, flower, target, animal, dish, flower)
        off = rng.integers(-8, 9, (len(nouns), 3))
        spots = (np.array(COMPOSITION) + off).tolist()
        things = tuple(Put(noun, *spot) for noun, spot in zip(nouns, spots, strict=True))
        yield Plan(background, corner, side, things, seed)


def asked(plan: Plan, scene: Scene) -> Asked:
    """Which of the things is which, by their places in the plan."""
    a, b, target, animal, dish, c = scene.things
    return Asked(target, tuple(sorted((a, b, c), key=lambda t: t.box[0])), (animal, dish))


def measured(session: Session, scene: Scene, ask: Asked) -> dict[str, float]:
    """How true each claim is, in 0..1; what isn't asked any more after a claim failed is 0."""
    image = pictured(scene.image)
    names = ("box", "mask", "alike", "first", "second")
    scores = dict.fromkeys(names, 0.0)
    noun = [VisualPrompt(text=Text(phrase(ask.target.noun)))]
    found = session.detect(image, noun).grounding.detections
    if len(found) != 1:
        return scores
    scores["box"] = box_iou(found.xyxy[0], ask.target.box)
    if scores["box"] < LEAST:
        return scores
    scores["mask"] = iou(session.segment(image, noun).grounding.mask, ask.target.mask)
    example = Exemplar(scene.image, Box(*map(float, ask.alike[0].box)))
    found = session.detect(image, [VisualPrompt(exemplar=example)]).grounding.detections
    scores["alike"] = one_each(found.xyxy, ask.alike)
    if min(scores["mask"], scores["alike"] + 0.1) < LEAST:
        return scores
    box = Box(*map(float, ask.around_pair))
    for which, name in ((0, "first"), (1, "second")):
        clicks = (ask.click(which), ask.click(1 - which, meant=False))
        answer = session.segment(image, [VisualPrompt(box=box, points=clicks)]).grounding
        scores[name] = iou(mask_of(answer.detections, 0), ask.pair[which].mask)
    return scores


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Of two XYXY boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)]
    return float(width * height / (sum(areas) - width * height))


def one_each(boxes: np.ndarray, things: Sequence[Thing]) -> float:
    """The worst IoU if each thing has one box, and no box is left over; else 0."""
    if len(boxes) != len(things):
        return 0.0
    ious = np.array([[box_iou(box, thing.box) for box in boxes] for thing in things])
    own = ious.argmax(axis=1)
    return float(ious.max(axis=1).min()) if len({*own.tolist()}) == len(things) else 0.0


@dataclass(frozen=True)
class Painter:
    """Paints where the target was, and asks mini-clip what it sees."""

    session: Session
    namer: Namer
    scene: Scene
    target: Thing

    def best(self) -> list[tuple[float, str, int]]:
        """(Least probability of the noun over a seed and the next, what was asked for, the seed),
        best first: all nouns with few seeds, then the best ones in their drawings' colours."""
        nouns = [noun for noun in NOUNS if noun != self.target.noun]
        first = sorted((*self.tried(article(phrase(n)), n, FIRST_SEEDS), n) for n in nouns)
        found = []
        for *_, noun in first[-NOUNS_IN_COLOUR:]:
            colours = {drawing(noun, style).colour: None for style in OWN_STYLES}
            asked_for = ["", *(f"{colour} " for colour in colours)]
            found += [self.tried(article(c + phrase(noun)), noun, SEEDS) for c in asked_for]
        return sorted(found, reverse=True)

    def tried(self, words: str, noun: str, seeds: int) -> tuple[float, str, int]:
        """One phrase; 0 where another noun comes first."""
        options = InpaintOptions(seed=1, num_images_per_prompt=seeds)
        run = self.session.edit(
            pictured(self.scene.image), self._place, Text(words), inpaint=options
        )
        box = box_of(run.grounding.mask)
        odds = self.namer.probabilities([around(np.asarray(e.image), box) for e in run.edits])
        k = self.namer.nouns.index(noun)
        right = np.where(odds.argmax(axis=1) == k, odds[:, k], 0.0)
        both = np.minimum(right[:-1], right[1:])
        return float(both.max()), words, 1 + int(both.argmax())

    @property
    def _place(self) -> list[VisualPrompt]:
        return [VisualPrompt(text=Text(phrase(self.target.noun)))]


def words(numbers: Sequence[float]) -> str:
    """As the command line takes them."""
    return ",".join(str(round(number)) for number in numbers)


def choice(
    plan: Plan, ask: Asked, paint: str, seed: int, scores: dict[str, float]
) -> dict[str, Any]:
    """What the demo reads."""
    return {
        "find": phrase(ask.target.noun),
        "paint": paint,
        "seed": seed,
        "alike": {"noun": phrase(ask.alike[0].noun), "example": words(ask.alike[0].box)},
        "pair": {
            "box": words(ask.around_pair),
            "things": [article(phrase(thing.noun)) for thing in ask.pair],
            "clicks": [words(first_click(thing.mask)) for thing in ask.pair],
        },
        "measured": {name: round(score, 3) for name, score in scores.items()},
        "plan": asdict(plan),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Choose what limner demo shows.")
    parser.add_argument("--scenes", type=int, default=600, help="scenes put together by lot")
    parser.add_argument(
        "--take", type=int, default=0, help="which of the listed ones, the first is 0"
    )
    given = parser.parse_args()
    shelf = ShippedModels()
    ranked = []
    for plan in plans(given.scenes):
        scene = compose(plan)
        if len(scene.things) < len(plan.things) or any(not t.mask.any() for t in scene.things):
            continue
        ask = asked(plan, scene)
        scores = measured(shelf.session, scene, ask)
        ranked.append((min(scores.values()), sum(scores.values()), plan, scene, ask, scores))
    ranked.sort(key=lambda one: one[:2], reverse=True)
    for k, (_, _, plan, _, _, scores) in enumerate(ranked[:12]):
        nouns = ", ".join(dict.fromkeys(put.noun for put in plan.things))
        print(k, plan.seed, nouns, {name: round(score, 2) for name, score in scores.items()})
    _, _, plan, scene, ask, scores = ranked[given.take]
    paints = Painter(shelf.session, Namer(shelf.encoder), scene, ask.target).best()
    print(*(f"{score:.2f} {asked_for}, seed {seed}" for score, asked_for, seed in paints), sep="\n")
    score, paint, seed = paints[0]
    text = json.dumps(choice(plan, ask, paint, seed, {**scores, "painted": score}), indent=1)
    CHOICE.write_text(text + "\n", encoding="utf-8")
    make.main()


if __name__ == "__main__":
    sys.exit(main())

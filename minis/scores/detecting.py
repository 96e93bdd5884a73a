"""mini-owlvit: AP50 by words and by one example image.

By words: all trained nouns are asked at once of scenes in which each noun appears at least three
times; COCO's AP at IoU .50, averaged over the nouns.

By example: for each noun one picture of it with its box, in the held-out style, over another
background and at another angle than in the scenes; it is asked of three scenes that hold the noun
(six, for the unseen nouns), and only that noun's things are the truth there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import supervision as sv

from limner.evaluation.metrics import average_precision
from limner.models.blocks.nms import relative
from limner.ops.masks import box_of
from limner.options import DetectOptions
from limner.prompts import Box, Exemplar, Text, VisualPrompt
from minis import scenes
from minis.drawings import TEST_STYLE, UNSEEN, drawing, phrase, trained_nouns
from minis.scene import Scene, Split
from minis.scenes import SIDE
from minis.scores import samples
from minis.scores.shipped_models import ShippedModels, pictured

ALL_SCORES = DetectOptions(threshold=0.01)
"""Average precision wants the unsure answers too."""


def measure(models: ShippedModels, times: int = 3) -> dict[str, float]:
    """``times`` scenes a noun; twice as many for the unseen ones."""
    test = scenes.test()
    shown = {noun: samples.showing(noun, test, times) for noun in trained_nouns()}
    unseen = {n: samples.showing(n, scenes.unseen(), 2 * times) for n in sorted(UNSEEN)}
    return {
        "owlvit-words": by_words(models, [one for some in shown.values() for one in some], test),
        "owlvit-example": by_example(models, shown),
        "owlvit-unseen": by_example(models, unseen),
    }


def by_words(models: ShippedModels, shown: Sequence[Scene], split: Split) -> float:
    """AP50 with every noun of the split asked of every scene."""
    prompts = [VisualPrompt(text=Text(phrase(noun))) for noun in split.nouns]
    answers = [models.detector.detect(pictured(s.image), prompts, ALL_SCORES) for s in shown]
    return ap50([truths(scene, split.nouns) for scene in shown], answers, len(split.nouns))


def by_example(models: ShippedModels, shown: Mapping[str, Sequence[Scene]]) -> float:
    """AP50 with each noun asked, by one picture of it, of the scenes that hold it.

    Each picture's best answer counts 1, as transformers shows it: of every picture it is known that
    the noun is there, and pictures are not compared.
    """
    boxes: list[list[Labelled]] = []
    answers: list[sv.Detections] = []
    for index, (noun, some) in enumerate(shown.items()):
        prompt = VisualPrompt(exemplar=example(noun))
        for scene in some:
            detections = models.detector.detect(pictured(scene.image), [prompt], ALL_SCORES)
            detections.class_id[:] = index
            if len(detections):
                detections.confidence = relative(detections.confidence)
            answers.append(detections)
            boxes.append([(index, thing.box) for thing in scene.things if thing.noun == noun])
    return ap50(boxes, answers, len(shown))


def example(noun: str) -> Exemplar:
    """One picture of a noun in the held-out style, with its box."""
    alone = samples.shown_alone(drawing(noun, TEST_STYLE), 0, SIDE)
    return Exemplar(alone.image, Box(*map(float, box_of(alone.mask) or ())))


Labelled = tuple[int, tuple[int, int, int, int]]
"""A class and its box (x0, y0, x1, y1)."""


def truths(scene: Scene, nouns: Sequence[str]) -> list[Labelled]:
    """What is in a scene, by the nouns' places in the list."""
    return [(nouns.index(thing.noun), thing.box) for thing in scene.things]


def ap50(
    boxes: Sequence[Sequence[Labelled]], answers: Sequence[sv.Detections], classes: int
) -> float:
    """Average precision at IoU .50, the mean over classes; by pycocotools.

    Args:
        boxes: of each picture, all that is to be found.
        answers: of each picture, with ``class_id`` and ``confidence``.
    """
    categories = [{"id": k + 1, "name": str(k)} for k in range(classes)]
    images = [{"id": k + 1, "height": SIDE, "width": SIDE} for k in range(len(boxes))]
    annotations = [
        _annotation(image["id"], index + 1, xyxy)
        for image, some in zip(images, boxes, strict=True)
        for index, xyxy in some
    ]
    results: list[dict[str, Any]] = []
    for image, detections in zip(images, answers, strict=True):
        results += average_precision.results_from(detections, image["id"], range(1, classes + 1))
    truth = {"images": images, "categories": categories, "annotations": annotations}
    return average_precision.evaluate(truth, results, "bbox").AP50 or 0.0


def _annotation(image: int, category: int, xyxy: tuple[int, int, int, int]) -> dict[str, Any]:
    x0, y0, x1, y1 = xyxy
    size = [x1 - x0, y1 - y0]
    return {
        "id": 1,  # numbered anew by the evaluation
        "image_id": image,
        "category_id": category,
        "bbox": [x0, y0, *size],
        "area": size[0] * size[1],
    }

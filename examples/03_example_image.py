"""Show one, find the others: search by an example image instead of words.

One sunflower is boxed; the detector looks for what resembles it. No phrase is involved, so it also
works for things that nobody has a word for.
"""

from __future__ import annotations

import numpy as np
from lesson import begin, box_iou, scene

from limner import Box, Exemplar, VisualPrompt
from limner.ops.masks import box_of
from limner.ops.overlay import overlay

lesson = begin(__doc__, "03_example_image")
lawn, planks = scene("lawn"), scene("planks")


def search(example: Exemplar, where: str) -> None:
    """Look for the example in a scene and say which of its things were boxed."""
    place = {"lawn": lawn, "planks": planks}[where]
    run = lesson.session.detect(place.path, [VisualPrompt(exemplar=example)])
    found = run.grounding.detections
    for noun, masks in place.things.items():
        for mask in masks:
            fits = [box_iou(box, box_of(mask)) for box in found.xyxy]
            if fits and max(fits) > 0.3:
                score = found.confidence[int(np.argmax(fits))]
                print(f"  {noun:12} IoU {max(fits):.2f}, score {score:.2f}")
    overlay(run.source.image, found).save(lesson.out / f"{where}.png")


first, *others = lawn.things["sunflower"]
pixels = np.asarray(lawn.image)
print(f"one sunflower of {1 + len(others)} is shown; on the lawn these are alike:")
search(Exemplar(pixels, Box(*box_of(first))), "lawn")

star = np.asarray(planks.image.crop(box_of(planks.things["star"][0])))
print("a star is shown, cut out; on the planks these are alike:")
search(Exemplar(star), "planks")
print(f"\nPictures: {lesson.out}")

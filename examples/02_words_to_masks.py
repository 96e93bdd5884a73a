"""Words become boxes, boxes become masks; and what words can't say (the course's OWL-ViT lesson).

A detector reads a phrase as a bag of things: asked for "a house without a cat" it may well box the
house that has one, or the cat. limner takes the negation as a phrase of its own and subtracts on
the boxes, which can't go wrong in that way.
"""

from __future__ import annotations

from lesson import Mask, begin, box_iou, scene

from limner import DetectOptions, FindOptions, Text, VisualPrompt
from limner.ops.masks import box_of, iou
from limner.ops.overlay import overlay

lesson = begin(__doc__, "02_words_to_masks")
planks = scene("planks")
with_cat, without_cat = planks.things["house"]


def asked(phrase: str, negative: str = "") -> VisualPrompt:
    return VisualPrompt(text=Text(phrase, negative))


def best(masks: tuple[Mask, ...], found: list[Mask]) -> float:
    """Mean over the true things of the IoU with the mask that fits best."""
    return sum(max((iou(one, mask) for mask in found), default=0.0) for one in masks) / len(masks)


print(f"{'phrase':12}{'there':>6}{'found':>6}  {'best IoU':8}  scores")
ious = []
for noun, masks in planks.things.items():
    run = lesson.session.segment(planks.path, [asked(noun)])
    found = run.grounding.detections
    ious.append(best(masks, list(found.mask) if len(found) else []))
    scores = ", ".join(f"{score:.2f}" for score in found.confidence)
    print(f"{noun:12}{len(masks):6}{len(found):6}  {ious[-1]:8.2f}  {scores}")
    overlay(run.source.image, found).save(lesson.out / f"{noun}.png")
print(f"mean IoU {sum(ious) / len(ious):.2f}")

# All in one question: each row says which phrase it answers.
everything = [asked(noun) for noun in planks.things]
run = lesson.session.segment(planks.path, everything)
overlay(run.source.image, run.grounding.detections).save(lesson.out / "everything.png")

print("\nthe threshold: fewer boxes, surer ones")
for threshold in (0.05, 0.1, 0.2, 0.4):
    finding = FindOptions(detect=DetectOptions(threshold=threshold))
    found = lesson.session.detect(planks.path, everything, finding=finding).grounding.detections
    print(f"  {threshold:4.2f}: {len(found)} boxes")

print("\nnegation: which house has no cat before it?")
for words, prompt in (
    ("a house without a cat", asked("a house without a cat")),
    ("house, not cat", asked("house", "cat")),
):
    run = lesson.session.detect(planks.path, [prompt])
    found = run.grounding.detections
    hits = {
        name: any(box_iou(box, box_of(mask)) > 0.5 for box in found.xyxy)
        for name, mask in (("the one with", with_cat), ("the one without", without_cat))
    }
    said = " and ".join(name for name, hit in hits.items() if hit) or "neither"
    print(f"  {words:22} boxes {said}")
    name = words.replace(",", "").replace(" ", "-")
    overlay(run.source.image, found).save(lesson.out / f"{name}.png")
print(f"\nPictures: {lesson.out}")

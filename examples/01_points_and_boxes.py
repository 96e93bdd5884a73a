"""Points, boxes, and clicks that say "not this" (the course's SAM lesson).

The picture is encoded once; every prompt after that is answered from the embedding. Each answer is
held against the truth, which is known for this scene.
"""

from __future__ import annotations

import time

from lesson import begin, scene

from limner import Box, Point, VisualPrompt
from limner.ops.masks import box_of, iou
from limner.ops.overlay import overlay

lesson = begin(__doc__, "01_points_and_boxes")
lawn = scene("lawn")
rabbit, cup, apple = (lawn.things[noun][0] for noun in ("rabbit", "coffee cup", "apple"))
(x0, y0, _, _), (_, _, x1, y1) = box_of(rabbit), box_of(cup)
both = Box(x0, y0, x1, y1)
on_rabbit, on_cup = Point(76, 200), Point(122, 226)

PROMPTS = {
    "one click": (VisualPrompt(points=(Point(194, 88),)), apple),
    "three clicks": (VisualPrompt(points=(Point(176, 80), Point(194, 100), Point(214, 88))), apple),
    "a box": (VisualPrompt(box=Box(*box_of(apple))), apple),
    "a box around two": (VisualPrompt(box=both), rabbit | cup),
    "box, not the cup": (
        VisualPrompt(box=both, points=(on_rabbit, Point(122, 226, foreground=False))),
        rabbit,
    ),
    "box, not the rabbit": (
        VisualPrompt(box=both, points=(on_cup, Point(76, 200, foreground=False))),
        cup,
    ),
}

print(f"{'prompt':22}{'IoU':>6}{'score':>7}{'seconds':>9}")
for name, (prompt, truth) in PROMPTS.items():
    started = time.perf_counter()
    run = lesson.session.segment(lawn.path, [prompt])
    seconds = time.perf_counter() - started
    found = run.grounding.detections
    score = float(found.confidence[0])
    print(f"{name:22}{iou(run.grounding.mask, truth):6.2f}{score:7.2f}{seconds:9.2f}")
    picture = overlay(run.source.image, found, [prompt])
    picture.save(lesson.out / f"{name.replace(',', '').replace(' ', '-')}.png")

# A click can mean several things: SAM proposes three masks and ranks them by the IoU it expects.
click = VisualPrompt(points=(Point(122, 226),))
found = lesson.session.segment(lawn.path, [click]).grounding.detections
print("\none click on the cup, all that the model thought of:")
for mask, score in found.data["candidates"][0]:
    print(f"  expected IoU {score:.2f}, true IoU {iou(mask, cup):.2f}, {mask.sum()} pixels")
print(f"\nPictures: {lesson.out}")

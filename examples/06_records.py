"""What made this picture, and which prompt did best (what the course tracks in Comet).

Every result carries its record: prompts, settings, models with the hashes of their weights,
seconds. Here several ways of asking for one thing are recorded, read back from the files alone,
ranked by how well each fits the truth, and the best is asked again from its record.
"""

from __future__ import annotations

import json

import numpy as np
from lesson import begin, scene
from PIL import Image

from limner import Box, Point, Text, VisualPrompt
from limner.io.save import read_record, save_image
from limner.ops.masks import box_of, iou
from limner.ops.overlay import overlay

lesson = begin(__doc__, "06_records")
lawn = scene("lawn")
(apple,) = lawn.things["apple"]
x0, y0, x1, y1 = box_of(apple)
WAYS = {
    "words": VisualPrompt(text=Text("apple")),
    "click": VisualPrompt(points=(Point((x0 + x1) / 2, (y0 + y1) / 2),)),
    "box": VisualPrompt(box=Box(x0, y0, x1, y1)),
    "loose-box": VisualPrompt(box=Box(x0 - 14, y0 - 14, x1 + 14, y1 + 14)),
    "box-and-click": VisualPrompt(box=Box(x0, y0, x1, y1), points=(Point(194, 96),)),
}

for name, prompt in WAYS.items():
    run = lesson.session.segment(lawn.path, [prompt])
    record = run.record.to_dict()
    picture = overlay(run.source.image, run.grounding.detections, [prompt])
    save_image(picture, lesson.out / f"{name}.png", record=record, overwrite=True)
    mask = Image.fromarray(run.grounding.mask)  # the raw answer, apart from the drawing of it
    save_image(mask, lesson.out / f"{name}-mask.png", record=record, overwrite=True)

rows = []
for name in WAYS:  # from here on the files alone count
    record = read_record(lesson.out / f"{name}-mask.png")
    with Image.open(lesson.out / f"{name}-mask.png") as file:
        found = np.asarray(file).astype(bool)
    rows.append(
        {
            "way": name,
            "iou": round(iou(found, apple), 3),
            "seconds": round(sum(record["seconds"].values()), 3),
            "models": [model["name"] for model in record["models"]],
            "job": record["job"][:12],
            "prompt": record["prompts"][0],
        }
    )
rows.sort(key=lambda row: -row["iou"])
print(f"{'way':16}{'IoU':>6}{'seconds':>9}  job           models")
for row in rows:
    models = ", ".join(row["models"])
    print(f"{row['way']:16}{row['iou']:6.2f}{row['seconds']:9.3f}  {row['job']}  {models}")
(lesson.out / "comparison.json").write_text(json.dumps(rows, indent=1) + "\n")

best = VisualPrompt.from_dict(rows[0]["prompt"])
made = lesson.session.segment(lawn.path, [best])
digest = made.record.to_dict()["job"][:12]
print(f"\n{rows[0]['way']}, asked again from its record: job {digest}, ", end="")
print("the same" if digest == rows[0]["job"] else "ANOTHER")
print(f"\nPictures and comparison.json: {lesson.out}")

"""Repainting, one setting at a time: steps, guidance, strength, negative prompt, seed.

Each sheet differs in one setting only. Two numbers say what a glance can't: how near the repainted
part is to the words (the cosine of an encoder's embeddings), and that nothing outside changed.
"""

from __future__ import annotations

from lesson import begin, scene, sheet
from PIL import Image

from limner import InpaintOptions, Text, VisualPrompt
from limner.prompts import Mask
from limner.session import Run

lesson = begin(__doc__, "04_inpainting")
lawn = scene("lawn")
WORDS = "a red car"
SEED, SEEDS = 1, 3

# The outline comes from words, once. Handed on as a mask, it needs no detector any more.
outline = lesson.session.segment(lawn.path, [VisualPrompt(text=Text("apple"))]).grounding.mask
if not outline.any():
    raise SystemExit("No apple was found: nothing can be painted in its place.")
apple = VisualPrompt(mask=Mask(outline))


def painted(paint: Text, **settings: float | int) -> Run:
    """The apple's place repainted, once for each seed."""
    options = InpaintOptions(seed=SEED, num_images_per_prompt=SEEDS, **settings)
    return lesson.session.edit(lawn.path, [apple], paint, inpaint=options)


def crops(run: Run) -> list[Image.Image]:
    return [edit.image.crop(edit.crops[0].xyxy) for edit in run.edits]


def likeness(run: Run, words: str) -> float:
    """Mean cosine between what was painted and the words."""
    encoder = lesson.session.models.encoder
    cosines = encoder.encode_images(crops(run)) @ encoder.encode_texts([words]).T
    return float(cosines.mean())


def compare(name: str, runs: dict[str, Run], words: str = WORDS) -> int:
    """A sheet with a column a setting and a row a seed, and the likeness of each column.

    Returns:
        How many pixels changed outside the mask: none should.
    """
    columns = [crops(run) for run in runs.values()]
    rows = list(zip(*columns, strict=True))
    table = sheet(rows, list(runs), [f"seed {SEED + row}" for row in range(len(rows))])
    table.save(lesson.out / f"{name}.png")
    print(f"\n{name}: likeness to “{words}”")
    for setting, run in runs.items():
        seconds = run.record.seconds["inpaint"] / len(run.edits)
        print(f"  {setting:16}{likeness(run, words):6.3f}   {seconds:6.2f} s a picture")
    return sum(edit.outside_changed_pixels for run in runs.values() for edit in run.edits)


car = Text(WORDS)
outside = compare(
    "steps", {f"{n} steps": painted(car, num_inference_steps=n) for n in (2, 5, 10, 20, 40)}
)
outside += compare(
    "guidance", {f"guidance {g}": painted(car, guidance_scale=g) for g in (1, 2, 4, 8, 16)}
)
outside += compare(
    "strength", {f"strength {s}": painted(car, strength=s) for s in (0.3, 0.5, 0.7, 0.9, 1.0)}
)
outside += compare(
    "negative",
    {
        "and a star": painted(Text("a car and a star")),
        "not a star": painted(Text("a car and a star", "a star")),
    },
    "a star",
)

# The same seed gives the same picture, whatever the number of pictures.
again = lesson.session.edit(lawn.path, [apple], car, inpaint=InpaintOptions(seed=SEED + 1))
same = again.edits[0].image.tobytes() == painted(car).edits[1].image.tobytes()
print(f"\nseed {SEED + 1} alone is the second picture of seed {SEED}: {'yes' if same else 'NO'}")
print(f"pixels changed outside the mask, over all pictures: {outside}")
print(f"\nPictures: {lesson.out}")

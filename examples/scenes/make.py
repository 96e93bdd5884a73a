"""Makes the scenes of the examples and of ``limner demo``, with their ground truth.

``python examples/scenes/make.py``, from a clone: the drawings and photographs that it puts together
lie in ``minis/assets``. Each scene is a PNG, and a COCO file with the box and exact mask of each
thing. They are put together as the minis' training scenes are (``minis/scenes.py``), but by a plan
instead of by lot, and from what no mini was trained on: the drawing style and photographs that are
kept for tests.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # so that ``minis`` is found; what follows is imported after it

from limner.rle import to_rle  # noqa: E402
from minis import scenes  # noqa: E402
from minis.drawings import ASSETS, TEST_STYLE, drawing, phrase  # noqa: E402
from minis.scene import Scene, Thing  # noqa: E402

HERE = Path(__file__).parent
DEMO = ROOT / "src" / "limner" / "cli" / "commands" / "demo" / "files"
CHOICE = DEMO / "choice.json"
"""What the demo shows, by `choose.py`."""
SIDE = 256


@dataclass(frozen=True)
class Put:
    """One thing: where its middle lies, and how long its longer side is, in px of the scene."""

    noun: str
    x: int
    y: int
    size: int


@dataclass(frozen=True)
class Plan:
    """A scene: its photograph, what of it is seen, and the things, the furthest first."""

    background: str
    corner: tuple[int, int]
    """Upper left corner of the square that is seen, in px of the photograph, and its side."""
    side: int
    things: tuple[Put, ...]
    seed: int


PLANS = {
    "lawn": Plan(
        "hdri-park",
        (20, 10),
        150,
        (
            Put("sunflower", 42, 122, 74),
            Put("sunflower", 123, 100, 62),
            Put("apple", 194, 76, 84),
            Put("rabbit", 78, 192, 92),
            Put("coffee_cup", 122, 217, 66),
            Put("sunflower", 209, 190, 86),
        ),
        3,
    ),
    "planks": Plan(
        "jonas-nilsson-lee",
        (0, 0),
        190,
        (
            Put("house", 66, 84, 110),
            Put("house", 190, 62, 84),
            Put("cat", 72, 112, 72),
            Put("car", 186, 150, 96),
            Put("star", 48, 208, 66),
            Put("mushroom", 136, 205, 80),
        ),
        38,
    ),
}


def compose(plan: Plan) -> Scene:
    """The picture, and which pixels of it each thing has."""
    rng = np.random.default_rng(plan.seed)
    with Image.open(ASSETS / "backgrounds" / f"{plan.background}.jpg") as photo:
        x, y = plan.corner
        part = photo.convert("RGB").crop((x, y, x + plan.side, y + plan.side))
    canvas = np.asarray(part.resize((SIDE, SIDE), Image.Resampling.LANCZOS)).astype(np.float32)
    things: list[Thing] = []
    for put in plan.things:
        drawn = drawing(put.noun, TEST_STYLE)
        stamp = scenes.turned(drawn.rgba, rng, put.size, most_degrees=10)
        spot = (put.x - stamp.shape[1] // 2, put.y - stamp.shape[0] // 2)
        covered = scenes.alpha_on(stamp, spot, SIDE) > 127 / 255
        scenes.cast_shadow(canvas, stamp, spot, rng)
        scenes.paste(canvas, stamp, spot)
        things = [Thing(one.noun, one.style, one.colour, one.mask & ~covered) for one in things]
        things.append(Thing(drawn.noun, drawn.style, drawn.colour, covered))
    return Scene(np.clip(np.rint(canvas), 0, 255).astype(np.uint8), tuple(things))


def demo_plan() -> Plan:
    """The scene that ``choose.py`` chose."""
    chosen = json.loads(CHOICE.read_text(encoding="utf-8"))["plan"]
    things = tuple(Put(**put) for put in chosen["things"])
    return Plan(**{**chosen, "corner": tuple(chosen["corner"]), "things": things})


def write(plan: Plan, picture: Path, truth: Path) -> None:
    """The scene as a PNG, and what is in it."""
    scene = compose(plan)
    Image.fromarray(scene.image).save(picture, optimize=True)
    truth.write_text(json.dumps(coco(picture.name, scene), indent=1) + "\n", encoding="utf-8")
    for thing in scene.things:
        print(f"{picture.name}: {phrase(thing.noun):12} {','.join(map(str, thing.box))}")


def coco(name: str, scene: Scene) -> dict[str, Any]:
    """The ground truth: a category a noun, as a person says it."""
    nouns = sorted({phrase(thing.noun) for thing in scene.things})
    return {
        "images": [{"id": 1, "file_name": name, "width": SIDE, "height": SIDE}],
        "annotations": [_annotation(k, thing, nouns) for k, thing in enumerate(scene.things)],
        "categories": [{"id": k + 1, "name": noun} for k, noun in enumerate(nouns)],
    }


def _annotation(k: int, thing: Thing, nouns: list[str]) -> dict[str, Any]:
    x0, y0, x1, y1 = thing.box
    return {
        "id": k + 1,
        "image_id": 1,
        "category_id": nouns.index(phrase(thing.noun)) + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(thing.mask.sum()),
        "iscrowd": 0,
        "segmentation": to_rle(thing.mask),
    }


def main() -> None:
    for name, plan in PLANS.items():
        write(plan, HERE / f"{name}.png", HERE / f"{name}.json")
    write(demo_plan(), DEMO / "scene.png", HERE / "demo.json")
    with Image.open(ROOT / "examples" / "photos" / "astronaut.png") as photo:
        photo.convert("RGB").save(DEMO / "photo.jpg", quality=90, optimize=True)


if __name__ == "__main__":
    main()

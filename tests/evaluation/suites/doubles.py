"""Small pictures, suites about them, and an answerer without models that finds what it is told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner.errors import UnknownModel
from limner.evaluation.cells.cell import Cell
from limner.evaluation.cells.outcome import Outcome
from limner.evaluation.suites.load import read_suite
from limner.evaluation.suites.suite import Suite
from limner.ops import detections as dets
from limner.pipeline.edit import make_edit
from limner.prompts import Mask
from limner.protocols import ModelRef

SIZE = (64, 48)
TRUE_BOX = (10, 10, 40, 40)
"""Where the thing is in the picture, and what ``Told`` finds for any phrase it doesn't know."""


def draw(folder: Path) -> None:
    """``thing.png`` and its ``mask.png``, and ``small.png``, a mask of another size."""
    x0, y0, x1, y1 = TRUE_BOX
    pixels = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
    pixels[y0:y1, x0:x1] = (180, 40, 30)
    Image.fromarray(pixels).save(folder / "thing.png")
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[y0:y1, x0:x1] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(mask[:20, :20]).save(folder / "small.png")


def suite_of(folder: Path, text: str, repeat: int = 1) -> Suite:
    """The suite in a text, read from ``folder/suite.yaml``."""
    if not (folder / "thing.png").exists():
        draw(folder)
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return read_suite(path, repeat)


@dataclass
class Told:
    """Satisfies ``outcome.Answerer``. Phrases that mean something to it:

    ``nothing`` is found nowhere, ``half`` is the thing's left half, ``bug`` raises, ``crash`` ends
    the process; all else is the thing. Each answer leaves a file in ``asked``, where one is given.
    """

    asked: Path | None = None
    here: set[str] = field(default_factory=set)
    """Phrases that ``look`` finds in any picture."""

    def answer(self, cell: Cell) -> Outcome:
        from limner.io.images import open_image

        image = open_image(cell.case.image).image
        phrase = cell.ask.find[0].text.phrase if cell.ask.find[0].text else ""
        if self.asked is not None:
            number = len(list(self.asked.glob(f"{cell.key[:16]}-*")))
            (self.asked / f"{cell.key[:16]}-{number}").touch()
        if phrase == "bug":
            raise ZeroDivisionError("a model's own")
        if phrase == "crash":
            os._exit(7)
        x0, y0, x1, y1 = TRUE_BOX
        box = np.array([[x0, y0, (x0 + x1) // 2 if phrase == "half" else x1, y1]], float)
        mask = np.zeros((image.height, image.width), dtype=bool)
        mask[y0:y1, x0 : int(box[0, 2])] = True
        found = dets.with_masks(dets.make(box, [0.8], [0], [phrase]), [mask], [0.9])
        if phrase == "nothing":
            found = dets.empty(with_mask_keys=True)
        edit = None
        if cell.ask.verb in ("edit", "remove") and len(found):
            painted = image.copy()
            painted.paste((20, 60, 200), (x0, y0, x1, y1))
            edit = make_edit(image, painted, mask, crops=(), feather=4)
        return Outcome(image, cell.ask, found, edit, {"segment": 0.5}, 3_000_000_000, ("told",))

    def look(self, cell: Cell, image: Image.Image, phrase: str, least: float | None) -> Any:
        rows = dets.make(np.array([[0.0, 0, 5, 5]]), [0.4], [0], [phrase])
        return rows if phrase in self.here else dets.empty()

    def true_mask(self, cell: Cell) -> Mask:
        assert cell.case.mask is not None
        return Mask(np.asarray(Image.open(cell.case.mask)) > 128)

    def encoder(self, judge: str) -> Any:
        if judge == "dino":
            raise UnknownModel("There is no dino here.")
        return Colours()


class Colours:
    """An encoder of mean colours: red pictures are like the word red."""

    takes_text = True
    words = {"red": (1.0, 0.0, 0.0), "blue": (0.0, 0.0, 1.0)}  # noqa: RUF012

    @cached_property
    def ref(self) -> ModelRef:
        return ModelRef("colours", "colours", "Apache-2.0")

    def encode_images(self, images: Any) -> Any:
        rows = np.array([np.asarray(image, float).mean(axis=(0, 1)) for image in images])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encode_texts(self, texts: Any) -> Any:
        return np.array([self.words[text.split()[-1]] for text in texts], np.float32)

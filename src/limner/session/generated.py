"""Pictures from words alone: they have no source, so they are no runs, and no store keeps them.

Each carries a record of its own.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import OptionError
from limner.io.save import check_place, png, save_image
from limner.options import CanvasOptions, InpaintOptions
from limner.pipeline import notebook
from limner.prompts import Text
from limner.protocols import OnStep
from limner.runs.record import Job, RunRecord
from limner.session.model_slots import Models

if TYPE_CHECKING:
    from PIL.Image import Image

VERB = "generate"


@dataclass(frozen=True, repr=False)
class Generated:
    """Pictures, the seed of each, and how they were made."""

    images: tuple[Image, ...]
    seeds: tuple[int, ...]
    record: RunRecord

    @property
    def image(self) -> Image:
        """The first picture."""
        return self.images[0]

    def record_of(self, k: int) -> dict[str, Any]:
        """What picture ``k`` carries: the record of all, and its own seed."""
        record = self.record.to_dict()
        return {**record, "result": {**record["result"], "seed": self.seeds[k]}}

    def save(self, path: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Write the pictures with their record, ``rabbit.png``, ``rabbit-1.png``, ….

        Returns: the files, in the order of the seeds.

        Raises:
            OutputError: a place is taken, and nothing is written, or it can't be written.
        """
        paths = places(Path(path), len(self.images))
        for each in paths:
            check_place(each, overwrite)
        for k, each in enumerate(paths):
            save_image(self.images[k], each, record=self.record_of(k), overwrite=overwrite)
        return paths

    def show(self) -> None:
        """Show the first picture: in a notebook below the cell, elsewhere in the system's
        viewer."""
        notebook.show_picture(self.image)

    def __repr__(self) -> str:
        width, height = self.image.size
        words = self.record.job.options["prompt"]
        seeds = ", ".join(map(str, self.seeds))
        return f"Generated({words!r}: {len(self.images)} of {width}x{height}, seeds {seeds})"

    def _repr_png_(self) -> bytes:
        return png(notebook.small(self.image))


def places(path: Path, count: int) -> list[Path]:
    """Where ``count`` pictures go: of several all but the first are numbered."""
    return [path, *(path.with_name(f"{path.stem}-{k}{path.suffix}") for k in range(1, count))]


def generate(
    models: Models,
    words: Text,
    canvas: CanvasOptions,
    options: InpaintOptions,
    on_step: OnStep | None = None,
) -> Generated:
    """Pictures from words by a session's text-to-image model.

    Raises:
        UnknownModel, ModelError, PromptError, OptionError: see ``Session.generate``.
    """
    models.entry(VERB)  # it may be loaded already, to do something else
    if models.fast:
        raise OptionError("fast has no effect on generate: leave it out.")
    model = models.text_to_image
    canvas, options = model.resolve_canvas(canvas, options)
    start = time.perf_counter()
    images = model.generate(words, canvas, options, on_step)
    seconds = time.perf_counter() - start
    seed = options.seed or 0
    seeds = tuple(seed + k for k in range(len(images)))
    settings = {k: v for k, v in asdict(options).items() if v is not None and k != "strength"}
    asked = {"prompt": words.phrase, "negative_prompt": words.negative, **asdict(canvas)}
    job = Job(VERB, (), {**asked, **settings}, models.identities([VERB]))
    record = RunRecord(
        job=job,
        input={"digest": ""},  # there is none
        models=[ref.to_dict() for ref in models.refs([VERB])],
        result={"seeds": list(seeds), "size_wh": list(images[0].size)},
        seconds={VERB: seconds},
    )
    return Generated(tuple(images), seeds, record)

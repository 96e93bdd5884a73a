"""Pictures from words alone: there is no source and nothing is found, so they are no ``Run``; but a
store keeps them, replay makes them again, and trackers are told of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import OptionError, StoreError
from limner.io.save import check_place, png, save_image
from limner.options import CanvasOptions, InpaintOptions, changed, from_dict
from limner.pipeline import notebook
from limner.prompts import Text
from limner.protocols import OnStep
from limner.runs import peak_memory
from limner.runs.entries import PICTURE, RunStart
from limner.runs.record import Job, RunRecord
from limner.session.artifacts import Output
from limner.session.model_slots import Models
from limner.session.record import Recorded

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.runs.entries import RunEntry

VERB = "generate"


@dataclass(frozen=True, repr=False)
class Generated:
    """Pictures, the seed of each, and how they were made.

    ``id`` names the run in the session's store, and is None where it wasn't recorded.
    """

    images: tuple[Image, ...]
    seeds: tuple[int, ...]
    record: RunRecord
    id: str | None = None

    @property
    def image(self) -> Image:
        """The first picture."""
        return self.images[0]

    def record_of(self, k: int) -> dict[str, Any]:
        """What picture ``k`` carries: the record of all, and its own seed."""
        record = self.record.to_dict() | ({"run": self.id} if self.id else {})
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


@dataclass(frozen=True)
class Order:
    """What ``generate`` is asked."""

    words: Text
    canvas: CanvasOptions
    options: InpaintOptions

    def to_dict(self) -> dict[str, Any]:
        """JSON values of what was set."""
        settings = {"canvas": changed(self.canvas), "inpaint": changed(self.options)}
        return {"paint": self.words.to_dict(), **{k: v for k, v in settings.items() if v}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Order:
        """Inverse of ``to_dict``.

        Raises:
            StoreError: it isn't what ``to_dict`` makes.
            PromptError, OptionError: words or a setting that can't be meant.
        """
        try:
            return cls(
                Text(**data["paint"]),
                from_dict(CanvasOptions, data.get("canvas", {})),
                from_dict(InpaintOptions, data.get("inpaint", {})),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"The record of the call can't be understood ({error!r}).") from error


def generate(session: Recorded, order: Order, on_step: OnStep | None = None) -> Generated:
    """Pictures from words by a session's text-to-image model, kept where it has a store.

    Raises:
        UnknownModel, ModelError, PromptError, OptionError: see ``Session.generate``.
    """
    models = session.models
    models.entry(VERB)  # it may be loaded already, to do something else
    if models.fast:
        raise OptionError("fast has no effect on generate: leave it out.")
    model = models.text_to_image
    canvas, options = model.resolve_canvas(order.canvas, order.options)
    job = _job(models, order.words, canvas, options)
    recording = session.recording
    active = recording.start(lambda _: _start_of(session, job, order)) if recording.is_on else None
    start = time.perf_counter()
    try:
        images = model.generate(order.words, canvas, options, on_step)
    except BaseException as error:
        if active:
            recording.fail(active, error)
        raise
    seconds = time.perf_counter() - start
    seed = options.seed or 0
    seeds = tuple(seed + k for k in range(len(images)))
    record = RunRecord(
        job=job,
        input={"digest": ""},  # there is none
        models=[ref.to_dict() for ref in models.refs([VERB])],
        result={"seeds": list(seeds), "size_wh": list(images[0].size)},
        seconds={VERB: seconds},
    )
    pictures = Generated(tuple(images), seeds, record)
    if active is None:
        return pictures
    most = peak_memory.peak_bytes()  # before its files are made
    recording.end(active, record.to_dict(), lambda: outputs_of(pictures), seed, most)
    return replace(pictures, id=active.id)


def outputs_of(pictures: Generated) -> Iterator[Output]:
    """The files that a store keeps of it."""
    for position, picture in enumerate(pictures.images):
        yield Output(PICTURE, png(picture), ".png", position)


def again(session: Recorded, entry: RunEntry) -> Generated:
    """What a store's entry was asked, with the seed that was drawn if none was given.

    Raises:
        StoreError: the entry doesn't say what was asked.
        LimnerError: as ``generate``.
    """
    order = Order.from_dict(entry.asked.get("settings", {}))
    return generate(session, replace(order, options=replace(order.options, seed=entry.row.seed)))


def _job(models: Models, words: Text, canvas: CanvasOptions, options: InpaintOptions) -> Job:
    """The settings as they are resolved, without a strength, which means nothing here."""
    settings = {k: v for k, v in asdict(options).items() if v is not None and k != "strength"}
    said = {"prompt": words.phrase, "negative_prompt": words.negative, **asdict(canvas)}
    return Job(VERB, (), {**said, **settings}, models.identities([VERB]))


def _start_of(session: Recorded, job: Job, order: Order) -> RunStart:
    names = session.models.names
    return RunStart(
        verb=VERB,
        job=job.digest(""),
        words=order.words.phrase,
        asked={"settings": order.to_dict(), "session": session.to_dict()},
        models={VERB: names[VERB]},
        input_digest="",
        labels=session.recording.labels,
    )

"""One question to several models, each in a process of its own: what it finds, how long that takes,
in how much memory. So one that dies costs its own row, and no model's memory is counted to another.

    from limner.session.compare import Question, compare, sheet_of

    answers = list(compare(Question(image, (prompt,)), ["grounding-dino-tiny", "owlv2-base"]))
    sheet_of(image, (prompt,), answers)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import supervision as sv

from limner.errors import LimnerError, ModelError, OptionError, UnsupportedPrompt
from limner.ops import detections as dets
from limner.pipeline import needs_detector
from limner.prompts import PromptKind, VisualPrompt
from limner.protocols import check_accepts
from limner.registry import catalog, store
from limner.registry.resolve import resolve
from limner.registry.weights import is_path, members_of
from limner.runs import peak_memory
from limner.runs.spawned_process import Pipe, spawn
from limner.session.results import FindOptions

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.pipeline.ensemble import MemberBox

ACROSS = 4
"""Pictures in a row of the sheet."""
SIDE = 480
"""px: longest side of a picture on it."""

WHAT = frozenset({PromptKind.TEXT, PromptKind.EXEMPLAR})


@dataclass(frozen=True)
class Question:
    """What every model is asked, and how they compute."""

    image: Image
    prompts: tuple[VisualPrompt, ...]
    finding: FindOptions = field(default_factory=FindOptions)
    commercial_safe: bool = False
    device: str | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class AnswerBox:
    """One thing that was found."""

    name: str
    xyxy: Sequence[float]
    """Pixels of the upright picture."""
    score: float
    agreed: Sequence[MemberBox] = ()
    """Of whom, where several detectors were asked as one."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        box: dict[str, Any] = {
            "class_name": self.name,
            "xyxy": [round(side, 2) for side in self.xyxy],
            "score": round(self.score, 4),
        }
        if self.agreed:
            box["agreed"] = [opinion.to_dict() for opinion in self.agreed]
        return box


@dataclass(frozen=True)
class Answer:
    """What one model said; ``error`` is why it said nothing.

    Seconds are those of the first picture after loading, and of loading. ``peak_bytes`` is the most
    memory resident in the model's process, its libraries included; ``device_peak_bytes`` the most
    that tensors took on a GPU. None: not known.
    """

    name: str
    task: str
    licence: str
    detections: sv.Detections | None = None
    seconds: float | None = None
    loading_seconds: float | None = None
    peak_bytes: int | None = None
    device_peak_bytes: int | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def time(self) -> str:
        """For people; empty where it isn't known."""
        return "" if self.seconds is None else f"{self.seconds:.2f} s"

    def boxes(self) -> Iterator[AnswerBox]:
        """What it found, one by one."""
        if self.detections is None or self.detections.confidence is None:
            return
        count = len(self.detections)
        yield from map(
            AnswerBox,
            map(str, self.detections.data["class_name"]),
            self.detections.xyxy.tolist(),
            self.detections.confidence.tolist(),
            self.detections.data.get("agreed", [()] * count),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; boxes are pixels of the upright picture."""
        return {
            "name": self.name,
            "task": self.task,
            "licence": self.licence,
            "boxes": [box.to_dict() for box in self.boxes()],
            "seconds": self.seconds,
            "loading_seconds": self.loading_seconds,
            "peak_bytes": self.peak_bytes,
            "device_peak_bytes": self.device_peak_bytes,
            "error": self.error,
        }


def compare(question: Question, names: Sequence[str]) -> Iterator[Answer]:
    """Each model's answer, in the order of the names.

    Args:
        names: detectors, consensuses of them (``a+b``) and segmenters, by name or folder.

    Raises:
        OptionError: no model, one twice, or prompts of two kinds, which no model could all answer.
        UnknownModel, ModelError: a name that isn't one, or a model that neither finds nor outlines.
            All else is a row's ``error``.
    """
    if not names or len(set(names)) < len(names):
        raise OptionError(
            f"compare takes models by name, each once; got {', '.join(names) or None}."
        )
    kinds = [prompt.kinds & WHAT for prompt in question.prompts]
    if not kinds or (any(kinds) and not all(kinds)):
        raise OptionError(
            "compare asks every model the same question: give phrases and examples, which "
            "detectors take, or points, boxes and masks, which segmenters take, and not both."
        )
    tasks = [_task(name, by_words=any(kinds)) for name in names]
    return (_ask(question, name, task) for name, task in zip(names, tasks, strict=True))


def _task(name: str, *, by_words: bool) -> str:
    """What a model is asked to do: what the prompts call for where it can do both."""
    members = members_of("detect", name)
    able = set.intersection(*(_tasks(member) for member in members)) & {"detect", "segment"}
    if len(members) > 1:
        able &= {"detect"}
    if not able:
        raise ModelError(
            f"{name} can't be compared: it neither finds nor outlines. Models that do: "
            f"{', '.join((*catalog.names('detect'), *catalog.names('segment')))}."
        )
    wanted = "detect" if by_words else "segment"
    return wanted if wanted in able else able.pop()


def _tasks(name: str) -> set[str]:
    if not is_path(name):
        return set(resolve(name)[0].tasks)
    family = store.family_of(store.absolute(name))
    return {task for e in catalog.catalog().values() if e.family == family for task in e.tasks}


def _licence(name: str) -> str:
    return ", ".join(
        dict.fromkeys(
            "unknown (local folder)" if is_path(member) else resolve(member)[0].licence
            for member in members_of("detect", name)
        )
    )


def _ask(question: Question, name: str, task: str) -> Answer:
    """One model's answer, from a process of its own."""
    spawned = spawn(_answer, question, name, task)
    try:
        answer: Answer = spawned.pipe.recv()
    except (EOFError, OSError):
        how = f"The process of {name} ended with exit code {spawned.exit_code()}"
        return Answer(name, task, _licence(name), error=f"{how}: memory may have run out.")
    finally:
        spawned.stop()
    return answer


def _answer(pipe: Pipe, question: Question, name: str, task: str) -> None:
    """A process's life: load the model, ask it, send what it answers."""
    notes: list[str] = []
    facts: dict[str, Any] = {}
    try:
        facts = _measured(question, name, task, notes)
    except LimnerError as error:
        facts = {"error": str(error)}
    except Exception as error:  # one model's bug is no reason to say nothing of the others
        facts = {"error": f"A bug in limner ({type(error).__name__}: {error})."}
    pipe.send(Answer(name, task, _licence(name), notes=tuple(notes), **facts))


def _measured(question: Question, name: str, task: str, notes: list[str]) -> dict[str, Any]:
    from limner.session.verb_session import VerbSession

    session = VerbSession(
        models={task: name},
        commercial_safe=question.commercial_safe,
        device=question.device,
        dtype=question.dtype,
        say=notes.append,
    )
    start = time.perf_counter()
    if task == "detect":
        session.models.load_detectors()
    else:
        segmenter = session.models.segmenter
    loading = time.perf_counter() - start
    if task == "detect":
        run = session.detect(question.image, question.prompts, finding=question.finding)
    else:
        # A phrase that it doesn't take would be another model's to find: that is no comparison.
        check_accepts(segmenter, question.prompts)
        if any(needs_detector(prompt, segmenter) for prompt in question.prompts):
            raise UnsupportedPrompt(f"{name} can't tell what a phrase is not: leave --not out.")
        run = session.segment(question.image, question.prompts, finding=question.finding)
    detections = dets.copy(run.grounding.detections)
    detections.data.pop("candidates", None)  # SAM's are made on demand, by the model
    return {
        "detections": detections,
        "seconds": sum(run.record.seconds.values()),
        "loading_seconds": loading,
        "peak_bytes": peak_memory.peak_bytes() or peak_memory.lifetime_peak_bytes(),
        "device_peak_bytes": peak_memory.device_peak_bytes(),
    }


# --- the picture of all answers -----------------------------------------------------------------


def sheet_of(picture: Image, prompts: Sequence[VisualPrompt], answers: Sequence[Answer]) -> Image:
    """The answers side by side, each drawn on the picture under its model's name."""
    from PIL import Image as pil

    from limner.evaluation.charts.contact_sheet import Axis, Cell, contact_sheet
    from limner.ops.overlay import overlay

    question = ", ".join(prompt.text.phrase if prompt.text else prompt.manner for prompt in prompts)
    blank = pil.new("RGB", picture.size, "#F2F2F2")
    strips = []
    for start in range(0, len(answers), ACROSS):
        row = answers[start : start + ACROSS]
        cells = {}
        for k, answer in enumerate(row):
            drawn = answer.detections and overlay(picture, answer.detections, prompts)
            shown = drawn or (blank if answer.error else picture)
            cells[(0, k)] = Cell(shown, note=answer.error or f"{_count(answer)}, {answer.time}")
        names = Axis("" if start else question, tuple(answer.name for answer in row))
        strips.append(contact_sheet(names, Axis("", ("",)), cells, best="", side=SIDE))
    sheet = pil.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def _count(answer: Answer) -> str:
    count = 0 if answer.detections is None else len(answer.detections)
    return f"{count} object{'' if count == 1 else 's'}" if count else "nothing found"

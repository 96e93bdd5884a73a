"""One question to several models, each in a process of its own: what it finds, how long that takes,
in how much memory. So one that dies costs its own row, and no model's memory is counted to another.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
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
from limner.session.results import FindOptions

if TYPE_CHECKING:
    from PIL.Image import Image

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
            "unknown (local folder)" if is_path(one) else resolve(one)[0].licence
            for one in members_of("detect", name)
        )
    )


def _ask(question: Question, name: str, task: str) -> Answer:
    """One model's answer, from a process that is spawned: a fork would share what is loaded."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, question, name, task), daemon=True)
    process.start()
    there.close()  # else its end would never be seen
    try:
        answer: Answer = here.recv()
    except EOFError:
        process.join()
        how = f"The process of {name} ended with exit code {process.exitcode}"
        return Answer(name, task, _licence(name), error=f"{how}: memory may have run out.")
    finally:
        process.terminate()
        process.join()
    return answer


def _answer(pipe: Connection[Any, Any], question: Question, name: str, task: str) -> None:
    """A process's life: load the model, ask it, send what it said."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    said: list[str] = []
    facts: dict[str, Any] = {}
    try:
        facts = _measured(question, name, task, said)
    except LimnerError as error:
        facts = {"error": str(error)}
    except Exception as error:  # one model's bug is no reason to say nothing of the others
        facts = {"error": f"A bug in limner ({type(error).__name__}: {error})."}
    pipe.send(Answer(name, task, _licence(name), notes=tuple(said), **facts))


def _measured(question: Question, name: str, task: str, said: list[str]) -> dict[str, Any]:
    from limner.session.session import Session

    session = Session(
        models={task: name},
        commercial_safe=question.commercial_safe,
        device=question.device,
        dtype=question.dtype,
        say=said.append,
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
    found = dets.copy(run.grounding.detections)
    found.data.pop("candidates", None)  # SAM's are made on demand, by the model
    return {
        "detections": found,
        "seconds": sum(run.record.seconds.values()),
        "loading_seconds": loading,
        "peak_bytes": peak_memory.peak_bytes() or peak_memory.lifetime_peak_bytes(),
        "device_peak_bytes": peak_memory.device_peak_bytes(),
    }

"""Answers to cells by sessions: in each process one choice of models at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from limner.errors import UnknownModel
from limner.evaluation.cells.cell import Cell, ModelChoice
from limner.evaluation.cells.outcome import JUDGES, Outcome
from limner.evaluation.cells.settings import options_of
from limner.io.limits import MAX_PIXELS
from limner.ops.selection import parse_selection
from limner.options import DetectOptions, EditOptions, InpaintOptions, SegmentOptions
from limner.prompts import Mask, Text, VisualPrompt
from limner.protocols import Encoder, Say
from limner.runs import peak_memory
from limner.runs.entries import Labels
from limner.session.cache.disk import StageCache
from limner.session.prompt_files import Opener, resolve
from limner.session.results import FindOptions, Run, Source
from limner.session.verb_session import VerbSession

if TYPE_CHECKING:
    import supervision as sv
    from PIL.Image import Image

    from limner.runs.store import Store

COSTS = ("latency", "peak_memory")
"""Assertions about what an answer costs: one that was at hand costs nothing."""


def unheard(sentence: str) -> None:
    """For who wants no notes."""


@dataclass(frozen=True)
class AnswererConfig:
    """What a worker needs to make its sessions; called, it makes the worker's answerer.

    It is sent to other processes, and so are ``store`` and ``notify``.
    """

    judges: Mapping[str, str] = field(default_factory=dict)
    """The models of ``JUDGES``, by the names there; a suite's and a recipe's own take their
    place."""
    commercial_safe: bool = False
    device: str | None = None
    dtype: str | None = None
    reuse: bool = True
    """Let cells about one picture share what was answered about it; without it every cell is
    answered anew."""
    stages: StageCache | None = None
    """Where answers of stages outlive this run."""
    store: Callable[[], Store] | None = None
    """What opens the store that answers are recorded in; None: they aren't."""
    labels: Labels = field(default_factory=Labels)
    """What the recorded runs belong to."""
    record: bool = True
    """Whether pictures that are kept say how they were made."""
    notify: Say = unheard
    """Gets a sentence about how a cell is answered, or about a picture that it names."""

    def __call__(self) -> SessionAnswerer:
        return SessionAnswerer(self)

    def session(
        self,
        profile: str,
        models: dict[str, str],
        say: Say | None = None,
        *,
        recorded: bool = False,
    ) -> VerbSession:
        """A session; a recorded one answers cells, all others only judge."""
        return VerbSession(
            profile=profile,
            models=models,
            commercial_safe=self.commercial_safe,
            device=self.device,
            dtype=self.dtype,
            say=say,
            store=self.store if recorded else None,
            labels=self.labels,
            cache=self.stages if recorded else None,
        )

    def check(self, choices: Iterable[ModelChoice]) -> None:
        """Refuse at once what no cell could be answered with; nothing is loaded.

        Raises:
            OptionError: no such device or number format.
            LicenceRefused: a named model is not commercial-safe.
        """
        for choice in dict.fromkeys(choices):
            session = self.session(choice.profile, dict(choice.models))
            for task, _ in choice.models:
                session.models.entry(task)


class SessionAnswerer:
    """Satisfies ``outcome.Answerer``.

    The sessions of judges stay: they are asked about every choice of models.
    """

    def __init__(self, config: AnswererConfig) -> None:
        self.config = config
        self.opener = Opener(MAX_PIXELS, config.notify)
        self._notes: set[str] = set()
        self._session: tuple[ModelChoice, VerbSession] | None = None
        self._judges: dict[str, VerbSession] = {}

    def answer(self, cell: Cell) -> Outcome:
        """What the cell's models make of it; what takes part is loaded before the clock runs."""
        source = Source.open(cell.case.image)
        session = self.session_of(cell.models)
        is_measured = any(assertion.type in COSTS for assertion in cell.case.assertions)
        anew = is_measured or not self.config.reuse
        if anew:
            session.stages.forget()
        prompts = resolve(cell.ask.find, source.image.size, self.opener)
        peak_memory.forget_peak()
        stages = session.stages.memory_only() if anew else nullcontext()
        with stages, session.recording.answering(cell.key):
            run = _run(session, cell, source, prompts)
        most = run.peak_bytes or peak_memory.peak_bytes()
        return Outcome(
            image=source.image,
            ask=cell.ask,
            detections=run.grounding.detections,
            edit=run.edits[0] if run.edits else None,
            seconds=run.record.seconds,
            peak_bytes=None if most is None else most + (peak_memory.device_peak_bytes() or 0),
            models=tuple(model["name"] for model in run.record.models),
            run=run.id or "",
            record=run.record.to_dict() if self.config.record else {},
        )

    def encoder(self, judge: str) -> Encoder:
        name = self.config.judges[judge]
        if judge not in self._judges:
            task, _ = JUDGES[judge]
            self._judges[judge] = self.config.session("classical", {task: name})
        return self._judges[judge].models.encoder

    def look(self, cell: Cell, image: Image, phrase: str, least: float | None) -> sv.Detections:
        name = self.config.judges["detect"]
        session = self.session_of(cell.models)
        if name and "detect" not in self._judges:
            self._judges["detect"] = self.config.session("classical", {"detect": name})
        if name:
            session = self._judges["detect"]
        elif session.models.names.get("detect") is None:
            raise UnknownModel(
                f"{cell.models.label} has no model to detect {phrase!r} with: add one, or name "
                "one for all in the suite: judges: {detect: …}."
            )
        finding = FindOptions(detect=DetectOptions(threshold=least))
        prompt = VisualPrompt(text=Text(phrase))
        with session.recording.paused():
            return session.detect(image, [prompt], finding=finding).grounding.detections

    def true_mask(self, cell: Cell) -> Mask:
        return self.opener.mask(str(cell.case.mask))

    def session_of(self, choice: ModelChoice) -> VerbSession:
        """The session with these models; that with the former ones goes before they are loaded."""
        if self._session is None or self._session[0] != choice:
            self._session = None
            session = self.config.session(
                choice.profile, dict(choice.models), self._notify_once, recorded=True
            )
            self._session = choice, session
        return self._session[1]

    def _notify_once(self, sentence: str) -> None:
        if sentence not in self._notes:
            self.config.notify(sentence)
        self._notes.add(sentence)


def _run(session: VerbSession, cell: Cell, source: Source, prompts: list[VisualPrompt]) -> Run:
    options = options_of(cell.setting)
    finding = FindOptions(
        detect=options[DetectOptions],
        segment=options[SegmentOptions],
        select=tuple(map(parse_selection, dict(cell.setting.values).get("select", ()))),
    )
    arguments: dict[str, Any] = {"finding": finding}
    if cell.ask.repaints:
        arguments |= {
            "paint": cell.ask.paint,
            "inpaint": seeded(options[InpaintOptions], session, cell),
            "edit": options[EditOptions],
        }
    return session.answer(session.request(cell.ask.verb, prompts, **arguments), source)


def seeded(options: InpaintOptions, session: VerbSession, cell: Cell) -> InpaintOptions:
    """Repeat k is painted with seed + k, from 0 where the suite says none.

    A test that draws another seed each time would fail now and then for nobody's fault, and a
    repeat with the same seed would try the same picture again.
    """
    models, repeat = session.models, cell.repeat
    painter = models.painter(models.painting_slot(words=cell.ask.paint is not None))
    if not painter.takes_text:
        return options
    return replace(options, seed=(options.seed or 0) + repeat)

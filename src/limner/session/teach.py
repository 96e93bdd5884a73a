"""A teaching, told to trackers while it goes on, and kept as a run of the store.

Told are settings, numbers, the pictures painted meanwhile and the card; never the photographs. A
run that goes on where another stopped is a run of its own. ``replay`` refuses it: teaching again is
what ``limner teach --overwrite`` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.io.save import png
from limner.options import changed
from limner.runs.entries import PICTURE, Labels, RunStart
from limner.runs.record import Job, RunRecord
from limner.session.artifacts import Output
from limner.session.record import ActiveRun, RunRecorder
from limner.session.track import flat
from limner.trackers.protocol import Tracker

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.registry.subjects import Subject
    from limner.runs.store import Store
    from limner.training.dreambooth import Callbacks, StepReport, TeachConfig, TrainingResult

VERB = "teach"


def teach_subject(
    name: str,
    config: TeachConfig,
    callbacks: Callbacks,
    *,
    trackers: Sequence[Tracker] = (),
    recorder: RunRecorder | None = None,
    consent: bool = False,
) -> tuple[TrainingResult, Subject | None]:
    """Teach a model a subject and save it in the folder that the run's own lies in.

    Args:
        recorder: None: no run is recorded.
        consent: a person shown has agreed.

    Returns: what was trained, and the subject; None in a process that only helps another one.

    Raises:
        LimnerError: as ``dreambooth.teach`` and ``save_subject.finish``.
    """
    from limner.training.dreambooth import teach
    from limner.training.save_subject import finish

    folder = config.folder.parent
    recorder = recorder or RunRecorder(None, Labels(), callbacks.say)
    teaching = Teaching(name, config, trackers, recorder)

    def on_begin(decides: Mapping[str, Any], base: Mapping[str, Any]) -> None:
        teaching.begin(decides, base)
        callbacks.on_begin(decides, base)

    def on_step(report: StepReport) -> None:
        callbacks.on_step(report)
        teaching.step(report)

    def on_picture(picture_name: str, step: int, picture: Image) -> None:
        teaching.painted(picture_name, step, picture)
        callbacks.on_picture(picture_name, step, picture)

    both = replace(callbacks, on_begin=on_begin, on_step=on_step, on_picture=on_picture)
    try:
        result = teach(config, both)
        if not result.is_main:
            return result, None
        subject = finish(name, folder, config, result, consent=consent)
    except BaseException as error:
        teaching.failed(error)
        raise
    teaching.done(subject.card, folder)
    return result, subject


class Teaching:
    """One process of ``limner teach``.

    Args:
        name: of the subject.
        recorders: trackers; none is told anything before the first step.
    """

    def __init__(
        self, name: str, config: TeachConfig, recorders: Sequence[Tracker], recording: RunRecorder
    ) -> None:
        self._name = name
        self._config = config
        self._recorders = recorders
        self._recording = recording
        self._active: ActiveRun | None = None
        self._job = Job(VERB, (), {}, {})
        self._input: dict[str, Any] = {}
        self._base: Mapping[str, Any] = {}
        self._last: StepReport | None = None
        self._first = 0
        self._seconds = 0.0
        self._painted: list[Image] = []

    def begin(self, decides: Mapping[str, Any], base: Mapping[str, Any]) -> None:
        """All that could be refused was not.

        Args:
            decides: what decides what is learned (``training.resume.job``).
            base: ``ModelRef.to_dict()``.
        """
        digest = hashlib.sha256(json.dumps(decides["photographs"]).encode()).hexdigest()
        path = str(self._config.photographs.absolute())
        self._input = {"path": path, "digest": digest, "photographs": decides["photographs"]}
        self._base = base
        models = {"inpaint": str(base["name"])}
        self._job = Job(VERB, (), {"teach": dict(decides)}, models)
        settings = changed(self._config.options)
        parameters = {"verb": VERB, "subject": self._name, "models": models, "options": settings}
        for recorder in self._recorders:
            recorder.parameters(dict(flat({**parameters, "side": decides["side"]})))
            recorder.tag(["limner", VERB, models["inpaint"]])
        if not self._recording.is_on:
            return

        def run_start(_: Store) -> RunStart:
            return RunStart(
                verb=VERB,
                job=self._job.digest(digest),
                words=f"{self._name}: {self._config.options.instance_prompt}",
                asked={"settings": {"teach": settings}},
                models=models,
                input_digest=digest,
                input_path=path,
                labels=self._recording.labels,
            )

        self._active = self._recording.start(run_start)

    def step(self, report: StepReport) -> None:
        self._first = self._first or report.step
        self._last = report
        self._seconds += report.seconds
        for recorder in self._recorders:
            recorder.log(_numbers(report), report.step)

    def painted(self, name: str, step: int, picture: Image) -> None:
        """A validation picture, ``with-0`` or ``without-0``."""
        self._painted.append(picture)
        for recorder in self._recorders:
            recorder.save_image(f"validation/{name}", picture, (), step)

    def done(self, card: Mapping[str, Any], folder: Path) -> None:
        """The subject lies in its folder."""
        for recorder in self._recorders:
            text = json.dumps(dict(card), indent=2, ensure_ascii=False)
            recorder.save_file(f"{self._name}/subject.json", text.encode())
        if self._active is None:
            return
        result: dict[str, Any] = {"subject": self._name, "steps": card["steps"]}
        if self._last is not None:  # there was a step left to do
            result |= {"from_step": self._first - 1, **_numbers(self._last)}
        seconds = {"steps": self._seconds}
        record = RunRecord(self._job, self._input, [self._base], result, seconds, card["warnings"])
        files = [
            Output(PICTURE, png(picture), ".png", position)
            for position, picture in enumerate(self._painted)
        ]
        seed = self._config.options.seed
        self._recording.end(self._active, record.to_dict(), lambda: files, seed, None)
        self._recording.place(self._active.id, [folder])

    def failed(self, error: BaseException) -> None:
        if self._active is not None:
            self._recording.fail(self._active, error)


def _numbers(report: StepReport) -> dict[str, float]:
    prior = {} if report.prior is None else {"loss/prior": report.prior}
    return {
        "loss": report.loss,
        "loss/instance": report.instance,
        **prior,
        "seconds/step": report.seconds,
    }

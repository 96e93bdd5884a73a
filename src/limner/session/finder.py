"""From prompts to what they mean, with a session's models: the part that every verb begins with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from limner import pipeline
from limner.errors import OptionError, UnsupportedPrompt
from limner.options import (
    EditOptions,
    EverythingOptions,
    RedactOptions,
    check_honoured,
)
from limner.prompts import VisualPrompt
from limner.protocols import Detector, DetectorGroup, OnStep, Segmenter
from limner.registry import catalog, face_choice
from limner.registry.resolve import resolve
from limner.session.cache.stages import CachedDetector, Stages
from limner.session.footprint import check_fits
from limner.session.model_slots import READ, Models
from limner.session.plan import are_masks, detector_outlines, has_boxes, region_of, tasks_of
from limner.session.results import FindOptions, Source

Found = tuple[pipeline.Grounding, tuple[str, ...]]
"""Where things are, and the tasks whose models took part in saying so."""


@dataclass(frozen=True)
class _Question:
    """What is to be outlined, and how; see ``Finder.ground`` and ``pipeline.ground``."""

    source: Source
    prompts: Sequence[VisualPrompt]
    finding: FindOptions
    on_step: OnStep | None = None
    as_drawn: bool = True
    outlined: bool = True
    thorough: bool = False


class Finder:
    """Grounds prompts with the models of a session, or remembers what they said.

    A model that isn't needed is not loaded; who is refused (a licence, missing weights) is refused
    all the same.
    """

    def __init__(self, models: Models, stages: Stages) -> None:
        self.models = models
        self.stages = stages

    @property
    def detector(self) -> Detector:
        """The detector, or the consensus of several; each is loaded for the first question that it
        wasn't asked before."""
        return self._detector(thorough=False)

    @property
    def thorough_detector(self) -> Detector:
        """The same; a face model looks turned as well, where nobody says how it is to look."""
        return self._detector(thorough=True)

    def other_detectors(self, prompts: Sequence[VisualPrompt]) -> list[Detector]:
        """Those on this machine that know all of these phrases and aren't asked for them anyway.

        Faces alone have more than one detector that costs little.
        """
        faces = [p for p in prompts if p.text and face_choice.is_face(p.text.phrase)]
        if not faces or len(faces) < len(prompts):
            return []
        answering = self.models.asked(prompts)
        here = (face_choice.best_here(), face_choice.LAST)
        return [self._cached(name) for name in here if name and name not in answering]

    def _detector(self, *, thorough: bool) -> Detector:
        names = self.models.chosen("detect")
        if self.models.by_phrase():
            return self._by_phrase(*names, thorough=thorough)
        if len(names) > 1:
            return pipeline.DetectorEnsemble([self._cached(name) for name in names])
        detector = self._cached(None)
        looks_turned = thorough and detector.ref.family == "faces"
        return pipeline.InferenceMode(detector) if looks_turned else detector

    def _by_phrase(self, faces: str, other: str, *, thorough: bool) -> pipeline.ByPhrase:
        def special() -> Detector:
            detector = self._cached(faces)
            return pipeline.InferenceMode(detector) if thorough else detector

        return pipeline.ByPhrase(
            face_choice.is_face,
            special,
            lambda: self._cached(other),
            catalog.takes(resolve(faces)[0], "detect"),
            self.models.names["detect"],
        )

    def _cached(self, name: str | None) -> CachedDetector:
        """One detector; ``name`` in a consensus."""

        def load() -> Detector:
            return self.models.member(name) if name else self.models.detector

        ref = self.models.answering("detect", name) if name else self.models.answering("detect")
        family = catalog.families().get(ref.family)
        accepts = family.accepts if family else load().accepts
        identity = self.models.identity(name or self.models.names["detect"])
        return CachedDetector(self.stages, load, ref, accepts, identity)

    def _note_answering(self, task: str, prompts: Sequence[VisualPrompt]) -> None:
        """A model that isn't asked, because its answer is at hand, is said and recorded all the
        same."""
        if task == READ:
            self.models.reading()
            return
        names = self.models.chosen(task)
        if len(names) == 1:
            self.models.answering(task)
        else:
            for name in self.models.asked(prompts):
                self.models.answering(task, name)

    @property
    def _detector_outlines(self) -> bool:
        """Whether the detector's boxes come with masks."""
        if "detect" in self.models.names and len(self.models.chosen("detect")) == 1:
            self.models.weights("detect")  # one that isn't here is refused before the segmenter is
        return detector_outlines(self.models)

    def detect(
        self, source: Source, prompts: Sequence[VisualPrompt], finding: FindOptions
    ) -> Found:
        """Boxes, without outlines."""
        if not prompts:
            raise OptionError("Nothing was asked for: give a phrase or an example image.")
        self.models.say_who_sees_faces(prompts)
        watch = pipeline.Stopwatch()
        detector = self.detector
        with watch.stage("detect"), self._naming_others(prompts, "detect"):
            detections = pipeline.detect(
                source.image, prompts, detector, finding.detect, finding.select
            )
        grounding = pipeline.Grounding(source.image.size, tuple(prompts), detections, watch.seconds)
        return _without_loading(grounding, detector), ("detect",)

    def ground(
        self,
        source: Source,
        prompts: Sequence[VisualPrompt],
        finding: FindOptions,
        on_step: OnStep | None = None,
        *,
        as_drawn: bool = True,
        thorough: bool = False,
    ) -> Found:
        """Outlines.

        Args:
            thorough: a face model looks turned as well.
            as_drawn: a mask that is given alone is the answer itself, not a hint to be refined.
        """
        _check_asked(prompts)
        check_fits(source.image.size, prompts)
        self.models.say_who_sees_faces(prompts)
        if as_drawn and are_masks(prompts):
            return self._ground(_Question(source, prompts, finding), pipeline.BoxRegions())
        if all(prompt.says_what for prompt in prompts) and self._detector_outlines:
            # No segmenter is asked either, so that nobody obeys its settings.
            name = self.models.weights("detect").ref.name
            check_honoured(finding.segment, frozenset(), name, "it outlines by itself")
            return self._ground(_Question(source, prompts, finding), pipeline.BoxRegions())
        self.models.answering("segment")
        question = _Question(source, prompts, finding, on_step, as_drawn, thorough=thorough)
        grounding, took_part = self.stages.mask(
            source.image,
            prompts,
            [finding.to_dict(), as_drawn, thorough],
            tasks_of("segment", prompts, {}),
            lambda: self._ground(question, None),
        )
        for task in took_part:
            self._note_answering(task, prompts)
        return grounding, took_part

    def regions(
        self,
        source: Source,
        prompts: Sequence[VisualPrompt],
        finding: FindOptions,
        redact: RedactOptions,
    ) -> Found:
        """What a redaction covers: the boxes, where every prompt has or finds one, or is a mask;
        outlines otherwise, and the boxes of those outlines that are empty.

        Raises:
            NothingFound: the outline of points is empty.
        """
        if region_of(prompts, redact) == "outline":
            grounding, tasks = self.ground(source, prompts, finding, thorough=True)
            return pipeline.cover_empty(grounding), tasks
        return self._boxes(_Question(source, prompts, finding, outlined=False, thorough=True))

    def areas(
        self,
        source: Source,
        prompts: Sequence[VisualPrompt],
        finding: FindOptions,
        edit: EditOptions | None,
    ) -> Found:
        """What an edit takes: outlines, or with region "box" the boxes themselves.

        Raises:
            OptionError: region "box" of what has no box.
        """
        if edit is None or edit.region != "box":
            return self.ground(source, prompts, finding)
        return self._boxes(_Question(source, prompts, finding, outlined=False))

    def _boxes(self, question: _Question) -> Found:
        """Boxes as regions: no segmenter is asked."""
        prompts = question.prompts
        check_boxed(prompts)
        check_fits(question.source.image.size, prompts)
        self.models.say_who_sees_faces(prompts)
        return self._ground(question, pipeline.BoxRegions())

    def everything(
        self, source: Source, options: EverythingOptions, on_step: OnStep | None
    ) -> Found:
        """Outlines of all that the segmenter is sure of."""
        grounding = pipeline.segment_everything(
            source.image,
            self.models.segmenter,
            options,
            embed=self.stages.embed,
            on_step=on_step,
        )
        return grounding, ("segment",)

    def _ground(self, question: _Question, geometry: Segmenter | None) -> Found:
        """Ask the models.

        Args:
            geometry: what answers in the segmenter's place; it has nothing worth remembering.
        """
        prompts, finding = question.prompts, question.finding
        segmenter = geometry or self.models.segmenter
        by_words = any(pipeline.needs_detector(prompt, segmenter) for prompt in prompts)
        detector = self._detector(thorough=question.thorough) if by_words else None
        with self._naming_others(prompts, "detect" if by_words else "segment"):
            grounding = pipeline.ground(
                question.source.image,
                prompts,
                pipeline.GroundModels(segmenter, detector, None if geometry else self.stages.embed),
                pipeline.GroundOptions(
                    finding.detect,
                    finding.segment,
                    finding.select,
                    as_drawn=question.as_drawn,
                    outlined=question.outlined,
                ),
                question.on_step,
            )
        tasks = () if geometry else ("segment", *self._reading(prompts, segmenter))
        grounding = _without_loading(grounding, detector)
        return grounding, ("detect", *tasks) if by_words else tasks

    def _reading(self, prompts: Sequence[VisualPrompt], segmenter: Segmenter) -> tuple[str, ...]:
        """``READ``, if another model read phrases for the segmenter."""
        read = any(p.text and not pipeline.needs_detector(p, segmenter) for p in prompts)
        return (READ,) if read and self.models.reading() else ()

    @contextmanager
    def _naming_others(self, prompts: Sequence[VisualPrompt], task: str) -> Iterator[None]:
        """Add to a refusal which models take such prompts."""
        try:
            yield
        except UnsupportedPrompt as error:
            phrase_kinds = pipeline.SAYS_WHAT
            kinds = {kind for prompt in prompts for kind in prompt.kinds}
            refused = kinds & phrase_kinds if task == "detect" else kinds - phrase_kinds
            others = self.models.others.able(refused, task) if refused else ""
            raise UnsupportedPrompt(f"{error} {others}".rstrip()) from error


def _without_loading(
    grounding: pipeline.Grounding, detector: Detector | None
) -> pipeline.Grounding:
    """The same, its seconds those of computing alone."""
    seconds = dict(grounding.seconds)
    if "detect" in seconds:
        seconds["detect"] -= _loading(detector)
    return replace(grounding, seconds=seconds)


def _loading(detector: Detector | None) -> float:
    """Seconds that loading a detector, or the members of one, took."""
    if isinstance(detector, CachedDetector):
        return detector.loading
    return sum(map(_loading, detector.members)) if isinstance(detector, DetectorGroup) else 0.0


def check_boxed(prompts: Sequence[VisualPrompt]) -> None:
    """Refuse region "box" of what has no box.

    Raises:
        OptionError: a prompt without one.
    """
    _check_asked(prompts)
    if not has_boxes(prompts):
        raise OptionError(
            "region box needs a box alone, a phrase or an example image for each object; "
            "what is shown by points or a mask is covered by its outline."
        )


def _check_asked(prompts: Sequence[VisualPrompt]) -> None:
    if not prompts:
        raise OptionError(
            "Nothing was asked for: give a point, box, mask, phrase or example image."
        )

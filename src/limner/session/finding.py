"""From prompts to what they mean, with a session's models: the part that every verb begins with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from limner import pipeline
from limner.errors import OptionError, UnsupportedPrompt
from limner.models import catalog
from limner.options import EverythingOptions, RedactOptions, check_samples
from limner.prompts import PromptKind, VisualPrompt
from limner.protocols import OnStep, Segmenter
from limner.session.models import Models
from limner.session.stages import RememberingDetector, Stages
from limner.session.values import Finding, Source, tasks_of

Found = tuple[pipeline.Grounding, tuple[str, ...]]
"""Where things are, and the tasks whose models took part in saying so."""


class Finder:
    """Grounds prompts with the models of a session, or remembers what they said.

    A model that isn't needed is not loaded; who is refused (a licence, missing weights) is refused
    all the same.
    """

    def __init__(self, models: Models, stages: Stages) -> None:
        self._models = models
        self._stages = stages

    @property
    def detector(self) -> RememberingDetector:
        """The detector; it is loaded for the first question that it wasn't asked before."""
        ref = self._models.answering("detect")
        family = catalog.families().get(ref.family)
        accepts = family.accepts if family else self._models.detector.accepts
        return RememberingDetector(self._stages, lambda: self._models.detector, ref, accepts)

    def _detector_for(self, finding: Finding) -> RememberingDetector:
        detector = self.detector
        family = catalog.families().get(detector.ref.family)
        if family and not family.samples:
            check_samples(finding.detect, detector.ref.name)
        return detector

    def detect(self, source: Source, prompts: Sequence[VisualPrompt], finding: Finding) -> Found:
        """Boxes, without outlines."""
        if not prompts:
            raise OptionError("Nothing was asked for: give a phrase or an example image.")
        watch = pipeline.Stopwatch()
        detector = self._detector_for(finding)
        with watch.stage("detect"), self._naming_others(prompts, "detect"):
            found = pipeline.detect(source.image, prompts, detector, finding.detect, finding.select)
        grounding = pipeline.Grounding(source.image.size, tuple(prompts), found, watch.seconds)
        return _without_loading(grounding, detector), ("detect",)

    def ground(
        self,
        source: Source,
        prompts: Sequence[VisualPrompt],
        finding: Finding,
        on_step: OnStep | None = None,
        *,
        as_drawn: bool = True,
    ) -> Found:
        """Outlines.

        Args:
            as_drawn: a mask that is given alone is the answer itself, not a hint to be refined.
        """
        _check_asked(prompts)
        if as_drawn and all(prompt.kinds == {PromptKind.MASK} for prompt in prompts):
            return self._ground(source, prompts, finding, pipeline.BoxRegions())  # it isn't asked
        self._models.answering("segment")

        def make() -> Found:
            return self._ground(source, prompts, finding, None, on_step, as_drawn)

        tasks = tasks_of("segment", prompts, {})
        grounding, took_part = self._stages.mask(
            source.image, prompts, [finding.to_dict(), as_drawn], tasks, make
        )
        for task in took_part:
            self._models.answering(task)
        return grounding, took_part

    def regions(
        self,
        source: Source,
        prompts: Sequence[VisualPrompt],
        finding: Finding,
        redact: RedactOptions,
    ) -> Found:
        """What a redaction covers: the boxes, where every prompt has or finds one; outlines
        otherwise."""
        has_boxes = all(
            prompt.text or prompt.exemplar or prompt.kinds == {PromptKind.BOX} for prompt in prompts
        )
        region = redact.region or ("box" if prompts and has_boxes else "outline")
        if region == "outline":
            return self.ground(source, prompts, finding)
        if not has_boxes:
            raise OptionError(
                "region box needs a box alone, a phrase or an example image for each object; "
                "what is shown by points or a mask is covered by its outline."
            )
        _check_asked(prompts)
        return self._ground(source, prompts, finding, pipeline.BoxRegions())

    def everything(
        self, source: Source, options: EverythingOptions, on_step: OnStep | None
    ) -> Found:
        """Outlines of all that the segmenter is sure of."""
        grounding = pipeline.segment_everything(
            source.image,
            self._models.segmenter,
            options,
            embed=self._stages.embed,
            on_step=on_step,
        )
        return grounding, ("segment",)

    def _ground(
        self,
        source: Source,
        prompts: Sequence[VisualPrompt],
        finding: Finding,
        geometry: Segmenter | None,
        on_step: OnStep | None = None,
        as_drawn: bool = True,
    ) -> Found:
        """Ask the models.

        Args:
            geometry: what answers in the segmenter's place; it has nothing worth remembering.
        """
        segmenter = geometry or self._models.segmenter
        by_words = any(pipeline.needs_detector(prompt, segmenter) for prompt in prompts)
        detector = self._detector_for(finding) if by_words else None
        with self._naming_others(prompts, "detect" if by_words else "segment"):
            grounding = pipeline.ground(
                source.image,
                prompts,
                segmenter=segmenter,
                detector=detector,
                detect_options=finding.detect,
                segment_options=finding.segment,
                selections=finding.select,
                embed=None if geometry else self._stages.embed,
                on_step=on_step,
                as_drawn=as_drawn,
            )
        tasks = () if geometry else ("segment",)
        grounding = _without_loading(grounding, detector)
        return grounding, ("detect", *tasks) if by_words else tasks

    @contextmanager
    def _naming_others(self, prompts: Sequence[VisualPrompt], task: str) -> Iterator[None]:
        """Add to a refusal which models take such prompts."""
        try:
            yield
        except UnsupportedPrompt as error:
            what = {PromptKind.TEXT, PromptKind.EXEMPLAR}
            kinds = {kind for prompt in prompts for kind in prompt.kinds}
            asked = kinds & what if task == "detect" else kinds - what
            others = self._models.able(asked, task) if asked else ""
            raise UnsupportedPrompt(f"{error} {others}".rstrip()) from error


def _without_loading(
    grounding: pipeline.Grounding, detector: RememberingDetector | None
) -> pipeline.Grounding:
    """The same, its seconds those of computing alone."""
    seconds = dict(grounding.seconds)
    if detector and "detect" in seconds:
        seconds["detect"] -= detector.loading
    return replace(grounding, seconds=seconds)


def _check_asked(prompts: Sequence[VisualPrompt]) -> None:
    if not prompts:
        raise OptionError(
            "Nothing was asked for: give a point, box, mask, phrase or example image."
        )

"""Verbs that open an image, pick models, run the pipeline and write down how it was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from limner import pipeline
from limner.errors import OptionError, PromptError, UnsupportedPrompt
from limner.options import (
    EditOptions,
    EverythingOptions,
    InpaintOptions,
    RedactOptions,
    check_honoured,
)
from limner.pipeline.background import Backdrop
from limner.prompts import Mask, Text, VisualPrompt
from limner.protocols import Inpainter, OnStep, Say
from limner.registry.weights import between, is_path, members_of
from limner.runs.entries import Labels
from limner.runs.record import Job
from limner.session.cache.disk import StageCache
from limner.session.cache.stages import Stages
from limner.session.checks import CUTOUT_OBEYS, REMOVING, check_background
from limner.session.finder import Finder, Found
from limner.session.model_slots import Models
from limner.session.record import AnyStore, RunRecorder, recorded
from limner.session.results import AnyImage, FindOptions, Run, Source, make_job, make_run, tasks_of
from limner.session.what_is_here import look_by_caption


class Session:
    """Models by name, loaded on first use and kept under a memory budget.

    Args:
        profile: a row of the catalog's profiles, naming a model for each task.
        models: task ("detect", "segment", "inpaint", "encode", "caption") -> model name or local
            folder; overrides the profile. To detect, several with + between them are a consensus.
            "remove" names what removes where no words say what is to be painted (absent: what
            inpaints), "refine" what does the last steps of what inpaints.
        commercial_safe: refuse models whose licence bars commercial use.
        device: where models run, see ``registry.device.choose``; None chooses.
        dtype: of their numbers, likewise.
        memory_budget: bytes of live models; None is half of the machine's memory.
        say: gets sentences that a person should read, such as that a deleted repository's successor
            was used.
        store: where every run is recorded: an open store, or a name that ``Store.open`` takes, such
            as ``.limner``; None records nothing. What goes wrong there is said once and fails no
            verb.
        labels: the tags of the runs, and what they are part of.
        subjects: taught subjects (names, or paths of LoRA files) that the painter is to know, and
            how much of each: 1 is as it was taught.
        fast: paint in a few steps, by the adapter that the catalog has for the painter.
        cache: where answers of detectors and segmenters are kept for other sessions; None: in this
            one's memory only.

    Every verb takes an image (a path or a picture) and prompts, and returns a ``Run``. That nothing
    was found is a result, not an error.
    """

    def __init__(
        self,
        *,
        profile: str = "classical",
        models: Mapping[str, str] | None = None,
        commercial_safe: bool = False,
        device: str | None = None,
        dtype: str | None = None,
        memory_budget: int | None = None,
        say: Say | None = None,
        store: AnyStore | None = None,
        labels: Labels | None = None,
        cache: StageCache | None = None,
        subjects: Mapping[str, float] | None = None,
        fast: bool = False,
    ) -> None:
        say = say or (lambda sentence: None)
        self._choices = {"commercial_safe": commercial_safe, "device": device, "dtype": dtype}
        self.recording = RunRecorder(store, labels or Labels(), say)
        self.models = Models(
            profile,
            models or {},
            commercial_safe=commercial_safe,
            device=device,
            dtype=dtype,
            memory_budget=memory_budget,
            say=say,
            subjects=subjects,
            fast=fast,
        )
        self.stages = Stages(self.models.identities, cache)
        self._finder = Finder(self.models, self.stages)

    def to_dict(self) -> dict[str, Any]:
        """The arguments of an equal session, with every model by its name or whole path."""
        names = {
            task: between(task, name).join(
                str(Path(part).expanduser().absolute()) if is_path(part) else part
                for part in members_of(task, name)
            )
            for task, name in self.models.names.items()
        }
        made = {"profile": self.models.profile, "models": names, **self._choices}
        subjects = {
            str(Path(name).expanduser().absolute()) if is_path(name) else name: weight
            for name, weight in self.models.subjects.items()
        }
        fast = {"fast": True} if self.models.fast else {}
        return made | ({"subjects": subjects} if subjects else {}) | fast

    # --- finding ----------------------------------------------------------------------------------

    @recorded
    def detect(
        self,
        image: AnyImage,
        prompts: Sequence[VisualPrompt],
        *,
        finding: FindOptions | None = None,
        what_is_here: bool = False,
    ) -> Run:
        """Boxes of what the phrases and example images name; ``what_is_here`` adds the phrases of
        the captioner's sentence, see ``look_by_caption``."""
        source = Source.open(image)
        job = self.job("detect", prompts, finding=finding, what_is_here=what_is_here)
        look = partial(self._finder.detect, source, finding=finding or FindOptions())
        return self._found(job, source, prompts, look, what_is_here)

    @recorded
    def segment(
        self,
        image: AnyImage,
        prompts: Sequence[VisualPrompt],
        *,
        finding: FindOptions | None = None,
        everything: EverythingOptions | None = None,
        what_is_here: bool = False,
        on_step: OnStep | None = None,
    ) -> Run:
        """Masks of what the prompts mean, ``what_is_here`` as in ``detect``; ``everything`` instead
        of prompts outlines it all."""
        source = Source.open(image)
        job = self.job(
            "segment", prompts, finding=finding, everything=everything, what_is_here=what_is_here
        )
        if everything is not None:
            if prompts or what_is_here:
                raise OptionError("Everything mode takes no prompts: give one or the other.")
            if finding not in (None, FindOptions()):
                raise OptionError(
                    "Settings for finding by prompts, and selections, have no effect on everything "
                    "mode; its own are the fields of EverythingOptions."
                )
            grounding, tasks = self._finder.everything(source, everything, on_step)
            return self._run(job, source, grounding, tasks=tasks)
        look = partial(
            self._finder.ground,
            source,
            finding=finding or FindOptions(),
            on_step=on_step,
            as_drawn=False,
        )
        return self._found(job, source, prompts, look, what_is_here)

    def _found(
        self,
        job: Job,
        source: Source,
        prompts: Sequence[VisualPrompt],
        look: Callable[[Sequence[VisualPrompt]], Found],
        what_is_here: bool,
    ) -> Run:
        said: dict[str, Any] = {}
        if what_is_here:
            (grounding, tasks), said = look_by_caption(source, prompts, self.models.captioner, look)
        else:
            grounding, tasks = look(prompts)
        return self._run(job, source, grounding, tasks=tasks, result=said)

    # --- editing ----------------------------------------------------------------------------------

    @recorded
    def edit(
        self,
        image: AnyImage,
        find: Sequence[VisualPrompt],
        paint: Text,
        *,
        finding: FindOptions | None = None,
        inpaint: InpaintOptions | None = None,
        edit: EditOptions | None = None,
        on_step: OnStep | None = None,
    ) -> Run:
        """Replace what is found by what ``paint`` says."""
        self._following(paint)  # refused before an image is opened
        return self._repaint("edit", image, find, paint, finding, inpaint, edit, on_step)

    @recorded
    def remove(
        self,
        image: AnyImage,
        find: Sequence[VisualPrompt],
        *,
        finding: FindOptions | None = None,
        inpaint: InpaintOptions | None = None,
        edit: EditOptions | None = None,
        on_step: OnStep | None = None,
    ) -> Run:
        """Take what is found away and continue its surroundings."""
        return self._repaint("remove", image, find, None, finding, inpaint, edit, on_step)

    def _repaint(
        self,
        verb: str,
        image: AnyImage,
        find: Sequence[VisualPrompt],
        paint: Text | None,
        finding: FindOptions | None,
        inpaint: InpaintOptions | None,
        edit: EditOptions | None,
        on_step: OnStep | None,
    ) -> Run:
        source = Source.open(image)
        job = self.job(verb, find, finding=finding, inpaint=inpaint, edit=edit, paint=paint)
        slot, inpainter = self._following(paint)
        # First of all: what can't be painted is refused before anything is computed.
        settled = inpainter.resolve(inpaint or InpaintOptions())
        inpainter.check(paint, settled)
        grounding, tasks = self._finder.ground(source, find, finding or FindOptions())
        edits: list[pipeline.Edit] = []
        if grounding.mask.any():
            edits = pipeline.repaint(
                source.image, grounding.mask, inpainter, paint, settled, edit, on_step
            )
        return self._run(
            job,
            source,
            grounding,
            tasks=(*tasks, slot),
            edits=tuple(edits),
            result={"settings": asdict(settled)},
            continued=paint is None,
            keep_metadata=bool(edit and edit.keep_metadata),
        )

    def _following(
        self, paint: Text | None, instead: str = "use remove to take the object away"
    ) -> tuple[str, Inpainter]:
        """What paints these words, or removes where there are none, and its slot.

        Args:
            instead: what else to do where words can't be followed.

        Raises:
            UnsupportedPrompt: there are words, and it only removes.
        """
        slot = self.models.painting_slot(words=paint is not None)
        inpainter = self.models.painter(slot)
        if paint is not None and not inpainter.takes_text:
            raise UnsupportedPrompt(
                f"{inpainter.ref.name} continues what surrounds a hole and can't follow words: "
                f"to paint something new take {self.models.painters()}, or {instead}."
            )
        return slot, inpainter

    @recorded
    def extend(
        self,
        image: AnyImage,
        extension: pipeline.Extension,
        paint: Text | None = None,
        *,
        inpaint: InpaintOptions | None = None,
        edit: EditOptions | None = None,
        on_step: OnStep | None = None,
    ) -> Run:
        """A larger canvas (outpainting): ``paint`` says what is on the new part, or the
        surroundings are continued.

        The picture's own pixels stay, but for ``edit.dilate`` of them beside the new part (none by
        default), in which ``edit.feather`` softens the seam. The run's ``source`` is the canvas.
        """
        edit = edit or EditOptions(dilate=0)
        edit = replace(edit, feather=edit.feather or 0)
        if edit.dilate is None or (edit.feather or 0) > edit.dilate:
            raise OptionError(
                "The feather of an extension lies in its overlap with the picture, so that all "
                f"that is new is painted: give a dilate of at least {edit.feather}."
            )
        source = Source.open(image)
        job = self.job("extend", (), extension=extension, paint=paint, inpaint=inpaint, edit=edit)
        slot, inpainter = self._following(paint, "leave the words out")
        settled = inpainter.resolve(inpaint or InpaintOptions())
        inpainter.check(paint, settled)
        canvas, new = pipeline.extended(source.image, extension)
        original = source.original.padded(*extension.pixels(source.image.size))
        prompts = [VisualPrompt(mask=Mask(new))]
        grounding = pipeline.ground(
            canvas,
            prompts,
            pipeline.GroundModels(pipeline.BoxRegions()),
            pipeline.GroundOptions(as_drawn=True),
        )
        edits = pipeline.repaint(canvas, new, inpainter, paint, settled, edit, on_step)
        run = self._run(
            job,
            source,
            grounding,
            tasks=(slot,),
            edits=tuple(edits),
            result={"settings": asdict(settled), "canvas_wh": list(canvas.size)},
            original=original,
            continued=paint is None,
            keep_metadata=edit.keep_metadata,
        )
        return replace(run, source=replace(source, image=canvas, raster=original))

    @recorded
    def cutout(
        self,
        image: AnyImage,
        find: Sequence[VisualPrompt],
        *,
        finding: FindOptions | None = None,
        edit: EditOptions | None = None,
    ) -> Run:
        """What is found, alone on transparency (RGBA of the image's size)."""
        check_honoured(
            edit or EditOptions(), CUTOUT_OBEYS, "a cut-out", "nothing is painted around it"
        )
        source = Source.open(image)
        job = self.job("cutout", find, finding=finding, edit=edit)
        grounding, tasks = self._finder.ground(source, find, finding or FindOptions())
        picture = None
        if grounding.mask.any():
            picture = pipeline.cut_out(source.image, grounding.mask, edit)
        return self._run(
            job,
            source,
            grounding,
            tasks=tasks,
            cutout=picture,
            keep_metadata=bool(edit and edit.keep_metadata),
        )

    @recorded
    def background(
        self,
        image: AnyImage,
        keep: Sequence[VisualPrompt],
        behind: Text | Backdrop,
        *,
        finding: FindOptions | None = None,
        inpaint: InpaintOptions | None = None,
        edit: EditOptions | None = None,
        on_step: OnStep | None = None,
    ) -> Run:
        """Keep what is found; ``behind`` replaces the rest: words, a blur, a colour, a picture."""
        check_background(behind, inpaint, edit)
        source = Source.open(image)
        job = self.job(
            "background", keep, finding=finding, inpaint=inpaint, edit=edit, behind=behind
        )
        painter = self._painter(behind)
        settled = painter.resolve(inpaint or InpaintOptions()) if painter else None
        if painter and settled and isinstance(behind, Text):
            painter.check(behind, settled)
        grounding, tasks = self._finder.ground(source, keep, finding or FindOptions())
        edits: list[pipeline.Edit] = []
        subject = grounding.mask
        if subject.all():
            raise PromptError(
                "The subject covers the whole image: there is no background to change."
            )
        if subject.any() and isinstance(behind, Text) and painter and settled:
            tasks = (*tasks, "inpaint")
            weight = pipeline.weight_behind(subject, edit)
            edits = pipeline.repaint_weighted(
                source.image, weight, painter, behind, settled, edit, on_step
            )
        elif subject.any() and not isinstance(behind, Text):
            scene = behind.render(source.image, subject)
            edits = [pipeline.composite_background(source.image, subject, scene, edit)]
        return self._run(
            job,
            source,
            grounding,
            tasks=tasks,
            edits=tuple(edits),
            result={"settings": asdict(settled)} if settled else {},
            keep_metadata=bool(edit and edit.keep_metadata),
        )

    def _painter(self, behind: Text | Backdrop) -> Inpainter | None:
        if not isinstance(behind, Text):
            return None
        painter = self.models.inpainter
        if not painter.takes_text:
            raise UnsupportedPrompt(
                f"{painter.ref.name} can't follow words: to paint a background take "
                f"{self.models.painters()}, or give a blur, a colour or a picture instead."
            )
        return painter

    @recorded
    def redact(
        self,
        image: AnyImage,
        find: Sequence[VisualPrompt],
        *,
        finding: FindOptions | None = None,
        redact: RedactOptions | None = None,
        verify: Sequence[VisualPrompt] = (),
    ) -> Run:
        """Hide what is found, then look again.

        A box or mask beside a phrase is hidden like what the phrase finds, wherever that is. The
        phrases and examples that found the things are looked for where they were hidden, and
        what ``verify`` names is looked for on the whole result. Whether that is a failure is for
        the caller: see ``redaction.verified`` and ``redaction.verdict``.
        """
        source = Source.open(image)
        job = self.job("redact", find, finding=finding, redact=redact, verify=tuple(verify))
        find = pipeline.each_alone(find)
        redact, finding = redact or RedactOptions(), finding or FindOptions()
        # An example in the picture itself is hidden with the rest: nothing can be like it then.
        words = [replace(p, likes=()) for p in find if p.text or p.exemplar]
        looks = bool(words or verify)
        points = any(prompt.points for prompt in words)
        hidden = None
        # What is to be hidden must not lie in a second place, in whatever form.
        with self.stages.memory_only():
            if looks:
                self.models.load_detectors(
                    [*words, *verify]
                )  # now: the second look's time is that of looking
            detector = self._finder.thorough_detector if looks else None
            grounding, tasks = self._finder.regions(source, find, finding, redact)
            if grounding.mask.any():
                others = self._finder.other_detectors(words)
                questions = pipeline.questions_about(
                    grounding, words, verify, everywhere=finding.takes_all and not points
                )
                look = None
                if detector is not None:
                    first = self.models.asked([*words, *verify])
                    names = (*first, *(other.ref.name for other in others))
                    look = pipeline.SecondLook(detector, questions, finding.detect, others, names)
                hidden = pipeline.redact(source.image, grounding.mask, redact, look)
        return self._run(
            job,
            source,
            grounding,
            tasks=tuple(dict.fromkeys((*tasks, *(("detect",) if looks else ())))),
            edits=(hidden.edit,) if hidden else (),
            redaction=hidden,
        )

    # --- records ----------------------------------------------------------------------------------

    def job(
        self,
        verb: str,
        prompts: Sequence[VisualPrompt],
        *,
        finding: FindOptions | None = None,
        **settings: Any,
    ) -> Job:
        """What is asked, in the form that decides whether a result on disk already answers it.

        ``settings`` are the verb's own keyword arguments; those that are None, or no prompts at
        all, don't count.
        """
        prompts = pipeline.each_alone(prompts) if verb == "redact" else prompts
        needed = tasks_of(verb, prompts, settings)
        if "inpaint" in needed and verb in REMOVING and settings.get("paint") is None:
            needed = (*needed[:-1], self.models.painting_slot(words=False))
        models = self.models.identities(needed)
        return make_job(verb, prompts, finding or FindOptions(), settings, models)

    def _run(
        self,
        job: Job,
        source: Source,
        grounding: pipeline.Grounding,
        *,
        tasks: tuple[str, ...],
        result: Mapping[str, Any] | None = None,
        **made: Any,
    ) -> Run:
        models = self.models.refs(tasks)
        return make_run(job, source, grounding, models, result or {}, **made)

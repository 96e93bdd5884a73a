"""Verbs that open an image, pick models, run the pipeline and write down how it was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from limner import pipeline
from limner.errors import OptionError, PromptError
from limner.io.images import digests_kept
from limner.options import (
    EditOptions,
    EverythingOptions,
    FrameOptions,
    InpaintOptions,
    RedactOptions,
)
from limner.pipeline.background import Backdrop
from limner.prompts import Text, VisualPrompt
from limner.prompts.prompt_list import AnyPrompts, prompts_of
from limner.protocols import OnStep
from limner.registry.weights import between, is_path, members_of
from limner.runs.entries import Labels
from limner.runs.record import Job
from limner.session.cache.stages import Stages
from limner.session.call import (
    CanvasSettings,
    CutoutSettings,
    DetectSettings,
    OutlineSettings,
    PaintSettings,
    RedactSettings,
    StrictCall,
    strict,
    strict_canvas,
)
from limner.session.choices import ModelChoices, SessionChoices
from limner.session.finder import Finder
from limner.session.generated import Generated, Order, generate
from limner.session.labelling.method import label
from limner.session.model_slots import Models
from limner.session.record import RunRecorder, recorded
from limner.session.request import Request, make_request
from limner.session.results import AnyImage, FindOptions, Run, Source
from limner.session.verbs import PERFORM
from limner.session.verbs.paint import overlap_of


class VerbSession:
    """``Session`` as the verbs about one picture know it, and as what asks many sessions (suites,
    sweeps, comparisons) makes them."""

    def __init__(self, **choices: Unpack[SessionChoices]) -> None:
        self._choices = ModelChoices.of(choices)
        self._arguments = choices
        say = choices.get("say") or (lambda sentence: None)
        self._say = say
        labels = choices.get("labels") or Labels()
        self.recording = RunRecorder(choices.get("store"), labels, say)
        self.models = Models(self._choices, say)
        self.stages = Stages(self.models.identities, choices.get("cache"))
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
        choices = {
            "profile": self.models.profile,
            "models": names,
            "commercial_safe": self._choices.commercial_safe,
            "device": self._choices.device,
            "dtype": self._choices.dtype,
        }
        subjects = {
            str(Path(name).expanduser().absolute()) if is_path(name) else name: weight
            for name, weight in self.models.subjects.items()
        }
        fast = {"fast": True} if self.models.fast else {}
        return choices | ({"subjects": subjects} if subjects else {}) | fast

    # --- requests ---------------------------------------------------------------------------------

    def request(
        self,
        verb: str,
        prompts: Sequence[VisualPrompt],
        *,
        finding: FindOptions | None = None,
        **settings: Any,
    ) -> Request:
        """What is asked; its job decides whether a result on disk already answers it.

        ``settings`` are the verb's own keyword arguments but progress; those that are None, or no
        prompts at all, don't count.
        """
        return make_request(self.models, verb, prompts, finding, settings)

    def answer(self, request: Request, image: AnyImage, on_step: OnStep | None = None) -> Run:
        """Do what a request asks: what the method that is called like its verb does."""
        perform = PERFORM[request.job.verb]
        with digests_kept():
            return recorded(
                self,
                request,
                image,
                lambda opened: perform(self._finder, request, opened, on_step),
            )

    def job(
        self,
        verb: str,
        prompts: Sequence[VisualPrompt],
        *,
        finding: FindOptions | None = None,
        **settings: Any,
    ) -> Job:
        """A request's job."""
        return self.request(verb, prompts, finding=finding, **settings).job

    def _answer(
        self, verb: str, call: StrictCall, image: AnyImage, on_step: OnStep | None = None
    ) -> Run:
        request = self.request(verb, call.prompts, finding=call.finding, **call.settings)
        return self.answer(request, image, on_step)

    # --- finding ----------------------------------------------------------------------------------

    def detect(
        self,
        image: AnyImage,
        prompts: AnyPrompts | None = None,
        *,
        what_is_here: bool = False,
        **named: Unpack[DetectSettings],
    ) -> Run:
        """Boxes of what the phrases and example images name.

        Args:
            image: a path, a picture, an array (H, W, 3), or a file's bytes.
            prompts: a phrase, several, an example; see ``limner.AnyPrompts``.
            what_is_here: also look for the phrases of the captioner's sentence.
            named: ``finding`` as one value, or settings by their names, such as ``threshold=0.3``.

        Raises:
            PromptError: prompts that can't be understood, or that the detector can't take.
            OptionError: a setting that there isn't, or out of its range.

        Example:
            ``Session(profile="mini").detect("lawn.png", ["apple", "rabbit"], threshold=0.3).boxes``
        """
        call = strict("detect", prompts, named, what_is_here=what_is_here)
        return self._answer("detect", call, image)

    def segment(
        self,
        image: AnyImage,
        prompts: AnyPrompts | None = None,
        *,
        everything: EverythingOptions | bool | None = None,
        what_is_here: bool = False,
        on_step: OnStep | None = None,
        **named: Unpack[OutlineSettings],
    ) -> Run:
        """Masks of what the prompts mean.

        Args:
            image: as in ``detect``.
            prompts: a phrase, a box (left, top, right, bottom), a mask, several of them; clicks on
                one object are ``points=[[x, y], …]`` with ``labels=[1, 0]``, boxes of several
                objects ``boxes=[[…], …]``.
            everything: instead of prompts: outline it all.
            what_is_here: as in ``detect``.
            on_step: told how far it is.
            named: ``finding`` as one value, or settings by their names, such as
                ``multimask_output=True``.

        Raises:
            PromptError: prompts that can't be understood, or that no model takes.
            OptionError: a setting that there isn't, or out of its range.

        Example:
            ``Session(profile="mini").segment("lawn.png", points=[[194, 88], [122, 226]],
            labels=[1, 0]).mask``
        """
        call = strict(
            "segment",
            prompts,
            named,
            everything=everything,
            what_is_here=what_is_here,
        )
        return self._answer("segment", call, image, on_step)

    def caption(self, image: AnyImage) -> str:
        """What is in a picture, in a sentence of the captioner's; it makes no run.

        Raises:
            ImageError: no usable image.
            UnknownModel: the profile has no captioner.
        """
        (sentence,) = self.models.captioner.caption([Source.open(image).image])
        return sentence

    def generate(
        self,
        prompt: str,
        negative_prompt: str = "",
        *,
        inpaint: InpaintOptions | None = None,
        on_step: OnStep | None = None,
        **named: Unpack[CanvasSettings],
    ) -> Generated:
        """Pictures from words alone, by a text-to-image model.

        Args:
            prompt: what is to be seen. Subjects are the session's.
            negative_prompt: what isn't.
            inpaint: settings of the model as one value.
            on_step: told how far it is.
            named: settings by their names, such as ``seed=3`` or ``num_images_per_prompt=4``.

        Raises:
            UnknownModel, ModelError: no model that makes pictures from words; which do.
            PromptError: no words, or more than the model reads.
            OptionError: a setting that there isn't, out of its range, or without effect.

        Example:
            ``Session(profile="mini").generate("a photo of a rabbit", seed=3).save("rabbit.png")``
        """
        order = Order(Text(prompt, negative_prompt), *strict_canvas(inpaint, named))
        return generate(self, order, on_step)

    label = label

    # --- editing ----------------------------------------------------------------------------------

    def edit(
        self,
        image: AnyImage,
        find: AnyPrompts | None = None,
        paint: Text | str | None = None,
        *,
        inpaint: InpaintOptions | None = None,
        edit: EditOptions | None = None,
        on_step: OnStep | None = None,
        **named: Unpack[PaintSettings],
    ) -> Run:
        """Replace what is found by what ``paint`` says.

        Args:
            image: as in ``segment``.
            find: as in ``segment``.
            paint: what is to be there, in words.
            inpaint: settings of the painter as one value.
            edit: settings of the edit as one value.
            on_step: told how far it is.
            named: ``finding`` as one value, or settings by their names, such as
                ``guidance_scale=7`` or ``seed=3``.

        Raises:
            PromptError: prompts that can't be understood, or nothing to paint.
            OptionError: a setting that there isn't, out of its range, or without effect.

        Example:
            ``Session(profile="mini").edit("lawn.png", "apple", "a red car", seed=3).save("a.png")``
        """
        if paint is None:
            raise PromptError('edit needs words to paint: edit(image, "apple", "a red car").')
        call = strict("edit", find, named, paint=paint, inpaint=inpaint, edit=edit)
        return self._answer("edit", call, image, on_step)

    def remove(
        self,
        image: AnyImage,
        find: AnyPrompts | None = None,
        *,
        inpaint: InpaintOptions | None = None,
        edit: EditOptions | None = None,
        on_step: OnStep | None = None,
        **named: Unpack[PaintSettings],
    ) -> Run:
        """Take what is found away and continue its surroundings; arguments as in ``edit``.

        Example:
            ``Session().remove("photo.jpg", (530, 180, 780, 600)).show()``
        """
        call = strict("remove", find, named, inpaint=inpaint, edit=edit)
        return self._answer("remove", call, image, on_step)

    def extend(
        self,
        image: AnyImage,
        extension: pipeline.Extension,
        paint: Text | str | None = None,
        *,
        inpaint: InpaintOptions | None = None,
        edit: EditOptions | None = None,
        on_step: OnStep | None = None,
        **named: Unpack[PaintSettings],
    ) -> Run:
        """A larger canvas (outpainting): ``paint`` says what is on the new part, or the
        surroundings are continued.

        The picture's own pixels stay, but for ``edit.dilate`` of them beside the new part (none by
        default), in which ``edit.feather`` softens the seam. The run's ``source`` is the canvas.
        """
        call = strict(
            "extend", None, named, extension=extension, paint=paint, inpaint=inpaint, edit=edit
        )
        settings = {**call.settings, "edit": overlap_of(call.settings["edit"])}
        return self._answer("extend", replace(call, settings=settings), image, on_step)

    def cutout(
        self,
        image: AnyImage,
        find: AnyPrompts | None = None,
        *,
        edit: EditOptions | None = None,
        frame: FrameOptions | None = None,
        **named: Unpack[CutoutSettings],
    ) -> Run:
        """What is found, alone on transparency (RGBA), on a canvas of the image's size or as
        ``frame`` says; without ``find`` the main thing, by the model for ``matte``. Other arguments
        as in ``edit``.

        Example:
            ``Session().cutout("photo.jpg", (530, 180, 780, 600), trim=True, pad="5%").show()``
        """
        call = strict("cutout", find, named, edit=edit, frame=frame)
        if find is not None and not call.prompts:
            raise OptionError(
                "Nothing was asked for: give a phrase, a box or another prompt, or leave the list "
                "out for the main thing."
            )
        return self._answer("cutout", call, image)

    def background(
        self,
        image: AnyImage,
        keep: AnyPrompts | None,
        behind: Text | Backdrop | str,
        *,
        inpaint: InpaintOptions | None = None,
        edit: EditOptions | None = None,
        on_step: OnStep | None = None,
        **named: Unpack[PaintSettings],
    ) -> Run:
        """Keep what is found; ``behind`` replaces the rest: words, a ``limner.Blur``,
        ``limner.Colour`` or ``limner.Picture``. Other arguments as in ``edit``."""
        call = strict("background", keep, named, behind=behind, inpaint=inpaint, edit=edit)
        return self._answer("background", call, image, on_step)

    def redact(
        self,
        image: AnyImage,
        find: AnyPrompts | None = None,
        *,
        redact: RedactOptions | None = None,
        verify: AnyPrompts = (),
        **named: Unpack[RedactSettings],
    ) -> Run:
        """Hide what is found, then look again.

        A box or mask beside a phrase is hidden like what the phrase finds, wherever that is. The
        phrases and examples that found the things are looked for where they were hidden, and
        what ``verify`` names is looked for on the whole result. Whether that is a failure is for
        the caller: see ``redaction.verified`` and ``redaction.verdict``.
        """
        again = tuple(prompts_of(verify))
        call = strict("redact", find, named, redact=redact, verify=again)
        return self._answer("redact", call, image)

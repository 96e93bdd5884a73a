"""``background`` and ``cutout``: the object kept, and what is around it changed or gone."""

from __future__ import annotations

from dataclasses import asdict, replace

from limner import pipeline
from limner.errors import OptionError, PromptError, UnsupportedPrompt
from limner.options import EditOptions, FrameOptions, InpaintOptions, check_honoured
from limner.pipeline.background import Backdrop
from limner.prompts import Text
from limner.protocols import Inpainter, OnStep
from limner.session.finder import Finder, check_boxed
from limner.session.footprint import check_fits
from limner.session.model_slots import Models
from limner.session.request import Request, run_of
from limner.session.results import AnyImage, FindOptions, Outcome, Run, Source

CUTOUT_OBEYS = frozenset({"dilate", "feather", "keep_metadata"})
_BACKDROP_OBEYS = frozenset({"feather", "keep_metadata", "region"})
_PAINTED_BACKGROUND_OBEYS = frozenset({"feather", "context", "keep_metadata", "region"})


def cutout(finder: Finder, request: Request, image: AnyImage, on_step: OnStep | None) -> Run:
    edit: EditOptions | None = request.setting("edit")
    frame: FrameOptions | None = request.setting("frame")
    check_honoured(edit or EditOptions(), CUTOUT_OBEYS, "a cut-out", "nothing is painted around it")
    source = Source.open(image)
    if not request.prompts:
        return _main_thing(finder, request, source)
    grounding, slots = finder.ground(source, request.prompts, request.finding)
    picture = None
    if grounding.mask.any():
        picture = pipeline.cut_out(source.image, grounding.mask, edit)
    keep_metadata = bool(edit and edit.keep_metadata)
    outcome = Outcome(grounding, slots, cutout=picture, frame=frame, keep_metadata=keep_metadata)
    return run_of(finder.models, request, source, outcome)


def _main_thing(finder: Finder, request: Request, source: Source) -> Run:
    """Raises:
    OptionError: settings of finding by prompts.
    """
    if request.finding != FindOptions():
        raise OptionError(
            "Settings for finding by prompts, and selections, have no effect without a prompt: "
            "the main thing is taken."
        )
    check_fits(source.image.size, ())
    edit: EditOptions | None = request.setting("edit")
    model = finder.models.matting
    grounding, picture = pipeline.cut_out_main_thing(source.image, model, edit)
    outcome = Outcome(
        grounding,
        ("matte",),
        {"caveat": model.caveat} if model.caveat and len(grounding) else {},
        cutout=picture,
        frame=request.setting("frame"),
        keep_metadata=bool(edit and edit.keep_metadata),
    )
    return run_of(finder.models, request, source, outcome)


def background(finder: Finder, request: Request, image: AnyImage, on_step: OnStep | None) -> Run:
    behind: Text | Backdrop = request.setting("behind")
    inpaint: InpaintOptions | None = request.setting("inpaint")
    edit: EditOptions | None = request.setting("edit")
    check_background(behind, inpaint, edit)
    source = Source.open(image)
    if edit and edit.region == "box":
        check_boxed(request.prompts)
    painter = _painter(finder.models, behind)
    options = painter.resolve(inpaint or InpaintOptions()) if painter else None
    if painter and options and isinstance(behind, Text):
        painter.check(behind, options)
    grounding, slots = finder.areas(source, request.prompts, request.finding, edit)
    edits: list[pipeline.Edit] = []
    subject = grounding.mask
    if subject.all():
        raise PromptError("The subject covers the whole image: there is no background to change.")
    if subject.any() and isinstance(behind, Text) and painter and options:
        slots = (*slots, "inpaint")
        weight = pipeline.weight_behind(subject, edit)
        edits = pipeline.repaint_weighted(
            source.image, weight, painter, behind, options, edit, on_step
        )
    elif subject.any() and not isinstance(behind, Text):
        scene = behind.render(source.image, subject)
        edits = [pipeline.composite_background(source.image, subject, scene, edit)]
    outcome = Outcome(
        grounding,
        slots,
        {"settings": asdict(options)} if options else {},
        tuple(edits),
        keep_metadata=bool(edit and edit.keep_metadata),
    )
    return run_of(finder.models, request, source, outcome)


def check_background(
    behind: Text | Backdrop, inpaint: InpaintOptions | None, edit: EditOptions | None
) -> None:
    """Refuse what can't matter to a background."""
    painted = isinstance(behind, Text)
    if not painted:
        check_honoured(
            inpaint or InpaintOptions(), frozenset(), "this background", "no model paints it"
        )
    edit = edit or EditOptions()
    check_honoured(
        replace(edit, dilate=edit.dilate or None),
        _PAINTED_BACKGROUND_OBEYS if painted else _BACKDROP_OBEYS,
        "this background",
        "growing it would eat the subject" if painted else "it is laid behind the subject as it is",
    )


def _painter(models: Models, behind: Text | Backdrop) -> Inpainter | None:
    if not isinstance(behind, Text):
        return None
    painter = models.inpainter
    if not painter.takes_text:
        raise UnsupportedPrompt(
            f"{painter.ref.name} can't follow words: to paint a background take "
            f"{models.others.painters()}, or give a blur, a colour or a picture instead."
        )
    return painter

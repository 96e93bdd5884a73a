"""``edit``, ``remove`` and ``extend``: a model fills what was found, or what is new."""

from __future__ import annotations

from dataclasses import asdict, replace

from limner import pipeline
from limner.errors import OptionError, UnsupportedPrompt
from limner.options import EditOptions, InpaintOptions
from limner.prompts import Mask, Text, VisualPrompt
from limner.protocols import Inpainter, OnStep
from limner.session.finder import Finder, check_boxed
from limner.session.model_slots import Models
from limner.session.request import Request, run_of
from limner.session.results import AnyImage, Outcome, Run, Source

USE_REMOVE = "use remove to take the object away"
LEAVE_WORDS_OUT = "leave the words out"


def edit(finder: Finder, request: Request, image: AnyImage, on_step: OnStep | None) -> Run:
    return _repaint(finder, request, image, on_step)


def remove(finder: Finder, request: Request, image: AnyImage, on_step: OnStep | None) -> Run:
    return _repaint(finder, request, image, on_step)


def _repaint(finder: Finder, request: Request, image: AnyImage, on_step: OnStep | None) -> Run:
    paint: Text | None = request.setting("paint")
    if paint is not None:
        painter_for(finder.models, paint)  # refused before an image is opened
    source = Source.open(image)
    edit_options: EditOptions | None = request.setting("edit")
    if edit_options and edit_options.region == "box":
        check_boxed(request.prompts)
    slot, inpainter = painter_for(finder.models, paint)
    # First of all: what can't be painted is refused before anything is computed.
    options = inpainter.resolve(request.setting("inpaint") or InpaintOptions())
    inpainter.check(paint, options)
    grounding, slots = finder.areas(source, request.prompts, request.finding, edit_options)
    edits: list[pipeline.Edit] = []
    if grounding.mask.any():
        edits = pipeline.repaint(
            source.image, grounding.mask, inpainter, paint, options, edit_options, on_step
        )
    outcome = Outcome(
        grounding,
        (*slots, slot),
        {"settings": asdict(options)},
        tuple(edits),
        continued=paint is None,
        keep_metadata=bool(edit_options and edit_options.keep_metadata),
    )
    return run_of(finder.models, request, source, outcome)


def painter_for(
    models: Models, paint: Text | None, instead: str = USE_REMOVE
) -> tuple[str, Inpainter]:
    """What paints these words, or removes where there are none, and its slot.

    Args:
        instead: what else to do where words can't be followed.

    Raises:
        UnsupportedPrompt: there are words, and it only removes.
    """
    slot = models.painting_slot(words=paint is not None)
    inpainter = models.painter(slot)
    if paint is not None and not inpainter.takes_text:
        raise UnsupportedPrompt(
            f"{inpainter.ref.name} continues what surrounds a hole and can't follow words: "
            f"to paint something new take {models.others.painters()}, or {instead}."
        )
    return slot, inpainter


def overlap_of(edit: EditOptions | None) -> EditOptions:
    """An extension's edit: no pixel of the picture changes where nobody asks for it."""
    edit = edit or EditOptions(dilate=0)
    return replace(edit, feather=edit.feather or 0)


def extend(finder: Finder, request: Request, image: AnyImage, on_step: OnStep | None) -> Run:
    paint: Text | None = request.setting("paint")
    edit_options = overlap_of(request.setting("edit"))
    if edit_options.region:
        raise OptionError("region has no effect on an extension: all that is new is painted.")
    if edit_options.dilate is None or (edit_options.feather or 0) > edit_options.dilate:
        raise OptionError(
            "The feather of an extension lies in its overlap with the picture, so that all "
            f"that is new is painted: give a dilate of at least {edit_options.feather}."
        )
    source = Source.open(image)
    slot, inpainter = painter_for(finder.models, paint, LEAVE_WORDS_OUT)
    options = inpainter.resolve(request.setting("inpaint") or InpaintOptions())
    inpainter.check(paint, options)
    extension: pipeline.Extension = request.setting("extension")
    canvas, new = pipeline.extended(source.image, extension)
    original = source.original.padded(*extension.pixels(source.image.size))
    prompts = [VisualPrompt(mask=Mask(new))]
    grounding = pipeline.ground(
        canvas,
        prompts,
        pipeline.GroundModels(pipeline.BoxRegions()),
        pipeline.GroundOptions(as_drawn=True),
    )
    edits = pipeline.repaint(canvas, new, inpainter, paint, options, edit_options, on_step)
    outcome = Outcome(
        grounding,
        (slot,),
        {"settings": asdict(options), "canvas_wh": list(canvas.size)},
        tuple(edits),
        original=original,
        continued=paint is None,
        keep_metadata=edit_options.keep_metadata,
    )
    run = run_of(finder.models, request, source, outcome)
    return replace(run, source=replace(source, image=canvas, raster=original))

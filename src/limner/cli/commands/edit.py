"""The verbs that change a picture: parse, call, save, and check what was saved."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.batch.dry_run import print_plan
from limner.cli.batch.output_paths import Place, os_errors, places
from limner.cli.batch.redacted_folder import RedactedFolder
from limner.cli.batch.resume import STEM, check_free
from limner.cli.batch.run_batch import Work, batch_options, run_batch
from limner.cli.batch.settings import Settings
from limner.cli.batch.tries import own_folder
from limner.cli.console import JPEG_NOTE, say, say_note
from limner.cli.help_groups import BEHIND, GroupedOption
from limner.cli.options.finding import finding_options
from limner.cli.options.flags import check_detecting, check_unprompted, flags, typed
from limner.cli.options.prompt_flags import ObjectCommand
from limner.cli.options.prompts_file import asked_prompts, prompts_option
from limner.cli.options.run_store import originals_kept
from limner.cli.options.session import finding_of, recording_session_of
from limner.cli.options.transparent_format import OPAQUE, format_option, suffix_of
from limner.errors import ImageError, OptionError, OutputError, StillVisible
from limner.options import (
    BACKGROUND,
    CUTOUT,
    FEATHER,
    EditOptions,
    FrameOptions,
    InpaintOptions,
    RedactOptions,
)
from limner.session.preflight import check_models
from limner.session.prompt_files import Opener
from limner.verbs import VERBS, Picture, Verb

if TYPE_CHECKING:
    from limner.pipeline.background import Backdrop
    from limner.prompts import Text
    from limner.session import Run, Source
    from limner.session.request import Request

Command = TypeVar("Command", bound=Callable[..., Any])

inpainter_option = click.option("--inpainter", help="Model that repaints: a name, or a folder.")
subject_option = click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="NAME[=WEIGHT]",
    help="A taught subject that the painter is to know (limner teach); repeatable.",
)

refiner_option = click.option(
    "--refiner", help="Model that does the last steps (sdxl-refiner): a name, or a folder."
)


def painting_options(command: Command) -> Command:
    """Adds what changes how a diffusion model paints, besides its numbers."""
    for option in (
        subject_option,
        refiner_option,
        click.option(
            "--fast", is_flag=True, help="Paint in 4 to 8 steps, by an adapter made for the model."
        ),
    ):
        command = option(command)
    return command


PAINTING = ("negative_prompt", "subjects", "refiner", "fast")
"""Options that matter only where words are painted."""
behind_option = partial(click.option, cls=GroupedOption, heading=BEHIND)
"""A flag of what is put behind what is kept."""
LOSSLESS = (".png", ".webp", ".tif", ".tiff")


@click.command(cls=ObjectCommand)
@batch_options
@flags(EditOptions, defaults={"feather": FEATHER})
@flags(InpaintOptions, leave_out=frozenset({"method", "radius"}))
@inpainter_option
@painting_options
@click.option("--negative-prompt", default="", help="What must not be painted.")
@click.option("--paint", required=True, help="What to paint there.")
@prompts_option
@finding_options
@click.pass_context
def edit(ctx: click.Context, /, **given: Any) -> None:
    """Replace what is found by what --paint says.

    \b
    limner edit lawn.png --text apple --paint "a mushroom" --profile mini
    limner edit cup.jpg --box 330,170,450,330 --paint "a leaf" --profile mini
    """
    from limner.prompts import Text

    paint = Text(given["paint"], given["negative_prompt"])
    _change(
        ctx,
        "edit",
        given,
        paint=paint,
        inpaint=typed(InpaintOptions, given),
        edit=typed(EditOptions, given),
    )


@click.command(cls=ObjectCommand)
@batch_options
@flags(EditOptions, defaults={"feather": FEATHER})
@flags(InpaintOptions)
@inpainter_option
@prompts_option
@finding_options
@click.pass_context
def remove(ctx: click.Context, /, **given: Any) -> None:
    """Take an object away and continue its surroundings.

    \b
    limner remove photo.jpg --point 172,384
    limner remove lawn.png --text apple --profile mini -o gone.png
    """
    _change(
        ctx,
        "remove",
        given,
        inpaint=typed(InpaintOptions, given),
        edit=typed(EditOptions, given),
    )


@click.command(cls=ObjectCommand)
@batch_options
@flags(EditOptions, leave_out=frozenset({"context", "region"}), defaults=CUTOUT)
@flags(FrameOptions)
@format_option
@click.option("--matting", help="Model that takes the main thing: a name, or a folder.")
@prompts_option
@finding_options
@click.pass_context
def cutout(ctx: click.Context, /, **given: Any) -> None:
    """An object alone on transparency (RGBA), on a canvas of the image's size or less.

    \b
    limner cutout cup.jpg --trim
    limner cutout cup.jpg --box 180,20,440,300 --trim --pad 5% --format webp

    Without --box, --point, --text or another prompt it is the main thing, with soft edges by a
    matting model (birefnet-lite); where none is here it is a guess, and that is said.
    """
    given["suffix"] = suffix_of(given["image_format"], given["out"])
    frame = typed(FrameOptions, given)
    frame_or_none = None if frame == FrameOptions() else frame
    _change(ctx, "cutout", given, edit=typed(EditOptions, given), frame=frame_or_none)


@click.command(cls=ObjectCommand)
@batch_options
@flags(EditOptions, leave_out=frozenset({"dilate"}), defaults=BACKGROUND)
@flags(InpaintOptions, leave_out=frozenset({"method", "radius"}))
@inpainter_option
@painting_options
@behind_option("--negative-prompt", default="", help="What must not be painted.")
@behind_option("--picture", type=click.Path(path_type=Path), help="Put this picture behind it.")
@behind_option("--colour", "--color", help="One colour: a CSS name or #rrggbb.")
@behind_option("--blur", type=float, help="The same background out of focus, by this radius.")
@behind_option("--paint", help="Paint what these words say (a diffusion model).")
@prompts_option
@finding_options
@click.pass_context
def background(ctx: click.Context, /, **given: Any) -> None:
    """Keep an object and change everything behind it.

    \b
    limner background cup.jpg --box 180,20,440,300 --blur 12
    limner background cup.jpg --box 180,20,440,300 --colour white
    """
    inpaint = typed(InpaintOptions, given)
    behind = _behind(given)
    painting = inpaint != InpaintOptions() or any(given[each] for each in PAINTING)
    if given["paint"] is None and painting:
        raise OptionError("The settings of a diffusion model have no effect without --paint.")
    _change(
        ctx, "background", given, behind=behind, inpaint=inpaint, edit=typed(EditOptions, given)
    )


def _behind(given: dict[str, Any]) -> Text | Backdrop:
    from limner.pipeline import background
    from limner.prompts import Text

    chosen = [name for name in ("paint", "blur", "colour", "picture") if given[name] is not None]
    if len(chosen) != 1:
        raise OptionError(
            "A background takes one of --paint, --blur, --colour and --picture; "
            f"got {' and '.join('--' + name for name in chosen) or 'none'}."
        )
    if chosen == ["paint"]:
        return Text(given["paint"], given["negative_prompt"])
    if chosen == ["blur"]:
        return background.Blur(given["blur"])
    if chosen == ["colour"]:
        return background.Colour(given["colour"])
    opened = Opener(given["max_pixels"], say_note).open(given["picture"])
    return background.Picture(opened.image, opened.digest)


@click.command(cls=ObjectCommand)
@batch_options
@click.option(
    "--verify",
    multiple=True,
    metavar="TEXT",
    help="Also look for this on the result (what --text found is always looked for).",
)
@click.option(
    "--copy-unchanged",
    is_flag=True,
    help="Also write the pictures in which nothing was found, without their metadata.",
)
@flags(RedactOptions)
@prompts_option
@finding_options
@click.pass_context
def redact(ctx: click.Context, /, **given: Any) -> None:
    """Hide faces, plates or anything else, and check that it is hidden.

    \b
    limner redact photo.jpg --text face
    limner redact photos --text face -o hidden

    What is written is made of the surroundings in every style: nothing of what was hidden is left.
    What a detector found is looked for again on the result, also turned, at two scales and in
    tiles; if it is still found the exit code is 1 and nothing is written. That a detector finds
    none doesn't say that there is none, and of what it didn't see in the original it says nothing:
    look at the result. Of a folder there are a contact-sheet.jpg and a summary.csv to look at,
    those without a find last; run again, it leaves these alone too. A --box or --mask beside a
    --text is hidden too, wherever the phrase is found: here it doesn't narrow the phrase. Where an
    outline comes out empty its box is hidden instead, and that is said.
    """
    from limner.prompts import Text, VisualPrompt

    verify = tuple(VisualPrompt(text=Text(phrase)) for phrase in given["verify"])
    _change(ctx, "redact", given, redact=typed(RedactOptions, given), verify=verify or None)


def _change(ctx: click.Context, verb: str, given: dict[str, Any], **arguments: Any) -> None:
    """Run a changing verb over the inputs; ``arguments`` are the session verb's own arguments."""
    settings = Settings.of(verb, given)
    prompts = asked_prompts(ctx, given, settings)
    if not prompts and VERBS[verb].takes_main_thing:
        check_unprompted(given)
    elif not prompts:
        raise OptionError(
            "Nothing was asked for: give --point x,y, --box left,top,right,bottom, --mask m.png, "
            '--text "dog", --exemplar dog.jpg or --prompts FILE.'
        )
    elif given.get("matting"):
        raise OptionError("--matting has no effect beside a prompt, which says what is meant.")
    _check_format(settings, VERBS[verb])
    check_detecting(given, prompts.typed, [*given.get("verify", ()), *prompts.phrases])
    session = recording_session_of(given)
    arguments = {"finding": finding_of(given), **arguments}
    if settings.dry_run:
        print_plan(settings, session, prompts.drafts, arguments)
        return
    places(settings)  # an input that is missing is said before a model that is
    check_models(session.models, verb, prompts.drafts, arguments)
    opener = Opener(settings.max_pixels, say_note)
    is_private = VERBS[verb].is_private

    def ask(source: Source) -> Request:
        return session.request(verb, prompts.for_source(source, opener), **arguments)

    settings = own_folder(settings, ask)
    originals: list[Path] = []

    def write(run: Run, place: Place, record: dict[str, Any]) -> Sequence[Path]:
        paths = write_changed(run, place, record, settings)
        if is_private and originals_kept(given, run.source.digest):
            originals.append(Path(str(run.source.path)))
        return paths

    with os_errors(settings.image, ImageError):
        is_folder = is_private and settings.only_folder
        if is_private and not is_folder and any(image.is_dir() for image in settings.images):
            say_note(
                "A contact sheet and summary.csv are made of one folder alone, not of several."
            )
    try:
        ledger = RedactedFolder(settings) if is_folder else None
        work = Work(ask, write, losses=partial(losses, VERBS[verb]), ledger=ledger)
        run_batch(settings, session, work)
    finally:
        if originals:
            say(_kept_sentence(originals, settings.images), err=True)


def _kept_sentence(originals: Sequence[Path], images: Sequence[Path]) -> str:
    """That earlier runs left what is hidden now."""
    names = str(originals[0]) if len(originals) == 1 else f"{len(originals)} of these pictures"
    return (
        f"limner: Earlier runs keep {names} unredacted in the store, with metadata: "
        f"limner runs forget {shlex.join(map(str, images))} removes every copy there."
    )


def losses(verb: Verb, source: Source, place: Place) -> list[str]:
    """What the whole picture loses in the file that was asked for, and what can't be painted."""
    from limner.io.formats import losses_of

    original = source.original
    sentences = [loss.sentence for loss in losses_of(original, place.main)]
    if verb.output is Picture.CUTOUT and original.colour_mode not in ("L", "RGB"):
        return [f"{original.mode} has no transparency: all colours of the cut-out become sRGB."]
    if original.colour_mode == "L" and verb.adds:
        sentences.append("The picture is grey, so what is painted becomes grey.")
    return sentences


def _check_format(settings: Settings, verb: Verb) -> None:
    is_cutout = verb.output is Picture.CUTOUT
    if is_cutout and settings.out and settings.out.suffix.lower() in OPAQUE:
        raise OutputError(f"{settings.out} would be a JPEG, which has no transparency: use .png.")


def write_changed(run: Run, place: Place, record: dict[str, Any], settings: Settings) -> list[Path]:
    """The picture or pictures; of several the main name comes last, so that it marks the end.

    Raises:
        StillVisible: a redaction that its check refused; nothing is written.
    """
    from limner.io.formats import losses_of
    from limner.io.save import save_image

    if run.redaction and run.redaction.verified is False:
        visible = run.redaction.still_found
        names = sorted(set(visible.data["class_name"])) if visible is not None else []
        raise StillVisible(
            f"{', '.join(names)} can still be found after redaction, so nothing was written: "
            "use a larger --dilate, or point at what is left with --box."
        )
    pictures = run.rasters or (replace(run.source.original, exif=None),)
    paths = [place.main, *(place.beside(f"-{k}{place.suffix}") for k in range(1, len(pictures)))]
    check_free(settings, paths, record["job"])
    record["files"] = [
        path.name if "stem" in record else path.name.replace(place.stem, STEM, 1)
        for path in reversed(paths)
    ]
    lossless = place.suffix.lower() in LOSSLESS
    lost = [*run.source.original.lost]
    lost += [loss.short for raster in pictures[:1] for loss in losses_of(raster, place.main)]
    if lost:
        record["lost"] = lost
    if not run.cutout and not lossless:
        record["notes"] = [*record["notes"], JPEG_NOTE]
    for path, picture in reversed(list(zip(paths, pictures, strict=True))):
        save_image(picture, path, record=settings.record_for(record), overwrite=True)
    if lossless and not lost:
        _check_saved(run, paths, settings.max_pixels)
    return paths[::-1]


def _check_saved(run: Run, paths: Sequence[Path], max_pixels: int) -> None:
    """Read a lossless result back: the proof is about the file, not about memory."""
    import numpy as np

    from limner.io import images
    from limner.io.raster import changed_pixels

    for k, path in enumerate(paths):
        saved = images.open_image(path, max_pixels=max(max_pixels, images.MAX_PIXELS)).raster
        if run.cutout is not None:  # the object's own colours, and all that is transparent
            before, where = run.rasters[k], np.ones(saved.size[::-1], dtype=bool)
        else:
            before = run.source.original
            where = ~run.edits[k].mask if run.edits else np.ones(saved.size[::-1], dtype=bool)
        changed = changed_pixels(before, saved, where)
        if changed:
            raise OutputError(
                f"{path} differs from the original in {changed} pixels outside the mask after "
                "saving; please report this."
            )

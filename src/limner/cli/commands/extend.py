"""``limner extend``: outpainting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.dry_run import print_plan
from limner.cli.batch.output_paths import Place, places
from limner.cli.batch.run_batch import Work, batch_options, run_batch
from limner.cli.batch.settings import Settings
from limner.cli.batch.tries import own_folder
from limner.cli.commands.edit import (
    PAINTING,
    inpainter_option,
    losses,
    painting_options,
    write_changed,
)
from limner.cli.help_page import HelpCommand
from limner.cli.options.flags import flag_name, flags, typed
from limner.cli.options.session import recording_session_of
from limner.errors import OptionError
from limner.options import EditOptions, InpaintOptions
from limner.session.preflight import check_models
from limner.verbs import VERBS

if TYPE_CHECKING:
    from limner.session import Run, Source
    from limner.session.request import Request


@click.command(cls=HelpCommand)
@batch_options
@flags(InpaintOptions)
@inpainter_option
@painting_options
@click.option(
    "--context",
    type=float,
    default=0.5,
    show_default=True,
    help="How much of the picture the model sees beside the new part, in parts of its size.",
)
@flags(EditOptions, leave_out=frozenset({"region", "dilate", "feather", "context"}))
@click.option(
    "--overlap",
    type=int,
    default=0,
    show_default=True,
    help="Pixels of the picture beside its seams that may change, to soften them.",
)
@click.option("--negative-prompt", default="", help="What must not be painted.")
@click.option("--paint", help="What is on the new part (default: what is around is continued).")
@click.option(
    "--extend",
    "sides",
    metavar="SIDE=LENGTH,...",
    help="left, top, right, bottom: pixels, or percentages of the width or height.",
)
@click.option(
    "--aspect",
    metavar="WIDTH:HEIGHT",
    help="Instead of --extend: grow it evenly on two sides until it is 16:9, say.",
)
def extend(**given: Any) -> None:
    """Grow the canvas, and paint what is on the new part (outpainting).

    \b
    limner extend photo.jpg --aspect 16:9
    limner extend lawn.png --extend right=25% --paint grass --profile mini

    The picture's own pixels stay as they are, but for --overlap.
    """
    from limner.pipeline.extend import SYNTAX, edit_of, parse_aspect, parse_extension
    from limner.prompts import Text

    settings = Settings.of("extend", given)
    if given["paint"] is None and (idle := [each for each in PAINTING if given[each]]):
        names = {"subjects": "--subject"}
        flags_typed = " and ".join(names.get(each, flag_name(each)) for each in idle)
        raise OptionError(
            f"{flags_typed} has no effect without --paint: nothing is painted from words."
        )
    if (given["sides"] is None) == (given["aspect"] is None):
        raise OptionError(f"Give either --extend {SYNTAX} or --aspect 16:9.")
    paint = None if given["paint"] is None else Text(given["paint"], given["negative_prompt"])
    aspect = None if given["aspect"] is None else parse_aspect(given["aspect"])
    arguments: dict[str, Any] = {
        "extension": parse_extension(given["sides"]) if aspect is None else None,
        "paint": paint,
        "inpaint": typed(InpaintOptions, given),
        "edit": edit_of(given["overlap"], given["context"], bool(given["keep_metadata"])),
    }
    session = recording_session_of(given)
    if settings.dry_run:
        print_plan(settings, session, (), arguments)
        return

    places(settings)  # an input that is missing is said before a model that is
    check_models(session.models, "extend", (), arguments)

    def ask(source: Source) -> Request:
        if aspect is None:
            return session.request("extend", (), **arguments)
        extension = aspect.of(source.image.size)
        return session.request("extend", (), **{**arguments, "extension": extension})

    settings = own_folder(settings, ask)

    def write(run: Run, place: Place, record: dict[str, Any]) -> Sequence[Path]:
        return write_changed(run, place, record, settings)

    run_batch(settings, session, Work(ask, write, losses=partial(losses, VERBS["extend"])))

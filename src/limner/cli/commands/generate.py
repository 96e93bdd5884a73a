"""``limner generate``: pictures from words alone."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from limner.cli.commands.edit import refiner_option, subject_option
from limner.cli.console import say, say_json
from limner.cli.help_page import HelpCommand
from limner.cli.options.charts import file_stem
from limner.cli.options.flags import flags, profile_option, runtime_options, typed
from limner.cli.options.run_store import keeping_options, recording_store
from limner.cli.options.session import session_of
from limner.cli.options.tracking import tracking, tracking_options
from limner.cli.progress import progress
from limner.options import SEEDS, CanvasOptions, InpaintOptions

NO_SOURCE = frozenset({"strength", "method", "radius"})
"""Settings that matter where there is a picture already."""
LONGEST = 60
"""Letters of the prompt in a file's name."""


@click.command(cls=HelpCommand)
@click.argument("prompt")
@click.option("--negative-prompt", default="", help="What must not be painted.")
@subject_option
@refiner_option
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="The picture; further ones are numbered (default: the prompt and the seed, here).",
)
@click.option("--overwrite", is_flag=True, help="Replace pictures that exist.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@flags(CanvasOptions)
@flags(InpaintOptions, leave_out=NO_SOURCE)
@click.option("--model", "generator", help="Text-to-image model: a name, or a folder.")
@keeping_options
@tracking_options
@profile_option
@runtime_options
def generate(**given: Any) -> None:
    """Make a picture of what PROMPT says, by a text-to-image model.

    \b
    limner generate "a photo of a rabbit" --profile mini -o rabbit.png
    limner generate "a red car" --profile mini --seed 7 --num-images-per-prompt 2

    Picture k is the one of --seed + k; each carries a record of how it was made. The store keeps
    them as one run, which `limner runs replay` does again.
    """
    from limner.io.save import check_place
    from limner.runs.entries import Labels
    from limner.session.generated import places
    from limner.session.track import record_generated

    options = typed(InpaintOptions, given)
    if options.seed is None:  # known before, for the files' names
        options = replace(options, seed=secrets.randbelow(SEEDS))
    name = f"{file_stem(given['prompt'])[:LONGEST]}-{options.seed}.png"
    out: Path = given["out"] or Path(name)
    for path in places(out, options.num_images_per_prompt or 1):
        check_place(path, given["overwrite"])
    labels = Labels(tags=given["tags"])
    session = session_of(given, store=recording_store(given), labels=labels)
    size = typed(CanvasOptions, given)
    with progress(given["prompt"]) as on_step:
        pictures = session.generate(
            given["prompt"],
            given["negative_prompt"],
            inpaint=options,
            on_step=on_step,
            width=size.width,
            height=size.height,
        )
    paths = pictures.save(out, overwrite=given["overwrite"])
    with tracking(given["track"], given["track_to"]) as trackers:
        record_generated(trackers, pictures)
    if pictures.id:
        session.recording.place(pictures.id, paths)
        if trackers:
            session.recording.track(pictures.id, given["track"], given["track_to"])
    if given["as_json"]:
        say_json({**pictures.record.to_dict(), "run": pictures.id, "files": list(map(str, paths))})
        return
    for path, seed in zip(paths, pictures.seeds, strict=True):
        say(f"{path}: seed {seed}")

"""``limner caption``: what is in a picture, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from limner.cli.batch.output_paths import counted, folders_below, os_errors
from limner.cli.console import say, say_json
from limner.cli.help_page import HelpCommand
from limner.cli.options.flags import profile_option, runtime_options
from limner.cli.options.session import session_of
from limner.errors import ImageError, OptionError, OutputError
from limner.io.limits import MAX_PIXELS


@click.command(cls=HelpCommand)
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--captioner", help="Model that describes: a name, or a folder (./my-blip).")
@click.option(
    "--metadata",
    is_flag=True,
    help="Also write metadata.jsonl into the folder, as teach and datasets read it.",
)
@click.option("--overwrite", is_flag=True, help="Replace a metadata.jsonl that exists.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a picture on stdout.")
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger images (decompression bombs).",
)
@profile_option
@runtime_options
def caption(**given: Any) -> None:
    """Say in a sentence what is in each of PICTURES, files or folders of them.

    \b
    limner caption lawn.png --profile mini
    limner caption photos --profile mini --metadata
    """
    from limner.io import images

    files, folder = _files(given["pictures"]), _folder(given)
    session = session_of(given)
    captioner = session.models.captioner
    sentences: dict[str, str] = {}
    worst = 0
    for path in files:
        try:
            opened = images.open_image(path, max_pixels=given["max_pixels"])
        except ImageError as error:
            if len(files) == 1:
                raise
            place = "" if str(error).startswith(str(path)) else f"{path}: "
            say(f"limner: {place}{error}", err=True)
            worst = max(worst, error.exit_code)
            continue
        (sentence,) = captioner.caption([opened.image])
        sentences[path.name] = sentence
        row = {"image": str(path), "caption": sentence, "model": captioner.ref.name}
        say_json(row) if given["as_json"] else say(f"{path}: {sentence}")
    if folder is not None:
        from limner.training import captions

        say(f"limner: {captions.write(folder, sentences)} holds them.", err=True)
    if worst:
        raise click.exceptions.Exit(worst)


def _files(pictures: Sequence[Path]) -> list[Path]:
    """Every picture, those of a folder by name.

    Raises:
        ImageError: no such file, or a folder without pictures.
    """
    from limner.io.images import find_images

    files: list[Path] = []
    for path in pictures:
        with os_errors(path, ImageError):
            if not path.exists():
                raise ImageError(f"There is no {path}: expected a picture or a folder of pictures.")
            files += find_images(path) if path.is_dir() else [path]
        if below := folders_below(path, None):
            say(f"limner: Left out: {counted(below)} of {path} with pictures.", err=True)
    return files


def _folder(given: dict[str, Any]) -> Path | None:
    """Where the metadata goes.

    Raises:
        OptionError: it was asked for without one folder to write it into.
        OutputError: it is there already.
    """
    if not given["metadata"]:
        if given["overwrite"]:
            raise OptionError("--overwrite has no effect without --metadata.")
        return None
    from limner.training.instance_images import METADATA

    folder: Path = given["pictures"][0]
    if len(given["pictures"]) > 1 or not folder.is_dir():
        raise OptionError("--metadata is written into a folder: give one, and no other pictures.")
    if (folder / METADATA).exists() and not given["overwrite"]:
        raise OutputError(f"{folder / METADATA} exists: pass --overwrite to replace it.")
    return folder

"""Photographs before they teach: cropped around the subject, and captioned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.options.flags import profile_option
from limner.cli.options.session import session_of
from limner.errors import ImageError, OptionError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from limner.rle import BoolMask
    from limner.session import Session
    from limner.training.identifiers import Naming

Command = TypeVar("Command", bound=Callable[..., Any])


def looking_options(command: Command) -> Command:
    """Adds what is done with the photographs by other models than the one that is taught."""
    for option in (
        profile_option,
        click.option("--detector", help="Model that finds it: a name, or a folder."),
        click.option("--segmenter", help="Model that outlines it: a name, or a folder."),
        click.option(
            "--caption",
            is_flag=True,
            help="Write FOLDER/metadata.jsonl with a caption for each photograph, and stop: edit "
            "it, and teach without --caption.",
        ),
        click.option("--crop-to", metavar="TEXT", help='Cut a square around this: "the dog".'),
    ):
        command = option(command)
    return command


def check_looking(given: Mapping[str, Any]) -> None:
    """Refuse settings without effect.

    Raises:
        OptionError: a model that nobody will ask.
    """
    idle = [name for name in ("detector", "segmenter") if given[name] and not given["crop_to"]]
    if idle:
        raise OptionError(f"--{idle[0]} has no effect without --crop-to.")


def outline_of(given: Mapping[str, Any]) -> Callable[[Image], BoolMask] | None:
    """What finds the subject in a photograph: limner's own detector and segmenter."""
    if not given["crop_to"]:
        return None
    from limner.prompts import Text, VisualPrompt

    session, prompt = _session(given), VisualPrompt(text=Text(given["crop_to"]))

    def outline(image: Image) -> BoolMask:
        return session.segment(image, [prompt]).grounding.mask

    return outline


def caption(given: Mapping[str, Any], naming: Naming) -> Path:
    """Write a caption for each photograph that can be read.

    Raises:
        OutputError: there are captions already, or they can't be written.
        ImageError: there is no photograph.
        UnknownModel: the profile has no captioner; which have.
    """
    from limner.io import images
    from limner.training import captions
    from limner.training.instance_images import METADATA

    folder = given["folder"]
    if (folder / METADATA).exists():
        raise OutputError(
            f"{folder / METADATA} is there already: leave --caption out to teach with it, or "
            "delete it to have it written anew."
        )
    pictures = {}
    for path in images.find_images(folder):
        if path.with_suffix(".txt").is_file():
            raise OutputError(
                f"{path.with_suffix('.txt')} is a caption already: leave --caption out to teach "
                "with it, or delete it."
            )
        try:
            pictures[path.name] = images.open_image(path).image
        except ImageError:
            continue  # said by the recipe, which leaves it out
    sentences = _session(given).models.captioner.caption(list(pictures.values()))
    texts = [captions.with_identifier(text, naming) for text in sentences]
    return captions.write(folder, dict(zip(pictures, texts, strict=True)))


def _session(given: Mapping[str, Any]) -> Session:
    return session_of({"commercial_safe": False, "dtype": None, **given})

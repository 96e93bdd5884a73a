"""``limner score edit``: pictures against the pictures before, and against words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import os_errors
from limner.cli.console import say_note
from limner.cli.help_page import HelpCommand
from limner.cli.options.report import (
    check_report,
    finish,
    model_options,
    models_used,
    report_options,
)
from limner.cli.options.session import session_of
from limner.cli.progress import progress
from limner.errors import ImageError
from limner.io.limits import MAX_PIXELS
from limner.session.prompt_files import Opener

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.protocols import Encoder

VERBS = ("edit", "remove", "background", "redact", "cutout")
"""Whose results have the size of the picture, and its name followed by theirs."""


@click.command(cls=HelpCommand)
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--mask",
    "-m",
    required=True,
    type=click.Path(path_type=Path),
    help="Where painting was allowed: a picture, or a folder of them named like BEFORE's.",
)
@click.option("--paint", help="What was asked for: adds CLIP-T of the painted part.")
@click.option("--lpips", is_flag=True, help="Add LPIPS outside the mask (limner[perceptual]).")
@click.option(
    "--step",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Pixels over which a seam is looked for: one more than the feather.",
)
@model_options("encoder")
@report_options
def edit(**given: Any) -> None:
    """An edit held against the picture before: changes outside the mask, and the seam.

    \b
    limner score edit photo.jpg gone.png --mask hole.png
    limner score edit photo.jpg gone.png -m hole.png --paint wall --profile mini

    BEFORE and AFTER are two pictures, or two folders with pictures of the same names.
    """
    from limner.evaluation import edit_scores
    from limner.io.raster import changed_pixels

    check_report(given)
    session = session_of(given)
    rows: list[dict[str, Any]] = []
    triples = _triples(given["before"], given["after"], given["mask"])
    opener = Opener(MAX_PIXELS, say_note)
    with progress("pictures") as on_step:
        for number, (name, before, after, mask) in enumerate(triples, start=1):
            pictures = opener.open(before), opener.open(after)
            first, second = pictures[0].image, pictures[1].image
            area = opener.mask(str(mask)).array
            scores: dict[str, Any] = edit_scores(first, second, area, given["step"]).to_dict()
            rasters = pictures[0].raster, pictures[1].raster
            if rasters[0].dtype == rasters[1].dtype:  # then the files' own values tell more
                scores["outside_changed_pixels"] = changed_pixels(*rasters, ~area)
            if given["lpips"]:
                scores["lpips_outside"] = _lpips_outside(first, second, area)
            if given["paint"]:
                scores["clip_t"] = _clip_t(session.models.encoder, second, area, given["paint"])
            rows.append({"image": name, **scores})
            on_step(number, len(triples))
    measures = [key for key in rows[0] if key != "image" and rows[0][key] is not None]
    scores = {"pictures": len(rows), **{key: mean(row[key] for row in rows) for key in measures}}
    scores["outside_changed_pixels"] = sum(row["outside_changed_pixels"] for row in rows)
    models = models_used(session, "encode")
    finish(given, {"what": "score edit", "models": models, "scores": scores, "rows": rows})


def _triples(before: Path, after: Path, mask: Path) -> list[tuple[str, Path, Path, Path]]:
    """(name, before, after, mask) of each edit.

    Raises:
        ImageError: a folder beside a picture, or a picture without its result or mask.
    """
    for path in (before, after, mask):
        with os_errors(path, ImageError):
            if not path.exists():
                raise ImageError(f"There is no {path}: expected a picture or a folder of pictures.")
    if not before.is_dir():
        if after.is_dir() or mask.is_dir():
            raise ImageError(f"{before} is a picture: AFTER and --mask must be pictures as well.")
        return [(before.name, before, after, mask)]
    if not after.is_dir():
        raise ImageError(f"{before} is a folder: AFTER must be one as well, got {after}.")
    results = _by_stem(after)
    drawn = _by_stem(mask) if mask.is_dir() else {}
    triples = []
    for path in _by_stem(before).values():
        result = _named_for(path, results, after)
        drawn_mask = _named_for(path, drawn, mask) if mask.is_dir() else mask
        triples.append((path.name, path, result, drawn_mask))
    return triples


def _named_for(path: Path, named: Mapping[str, Path], folder: Path) -> Path:
    """The picture of a folder that goes with one: of its name, or as a verb names its result.

    Raises:
        ImageError: none, or the results of two verbs.
    """
    fits = [path.stem] if path.stem in named else [f"{path.stem}-{verb}" for verb in VERBS]
    there = [named[stem] for stem in fits if stem in named]
    if len(there) > 1:
        raise ImageError(f"{there[0]} and {there[1].name} are both of {path}: which one is meant?")
    if not there:
        raise ImageError(
            f"{folder} has no picture named {path.stem}, or {path.stem}-remove as limner names "
            f"results, to go with {path}."
        )
    return there[0]


def _by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by the part of their names that goes together.

    Raises:
        ImageError: two have the same.
    """
    from limner.io.images import find_images

    paths: dict[str, Path] = {}
    for path in find_images(folder):
        if (first := paths.setdefault(path.stem, path)) != path:
            raise ImageError(f"{first} and {path.name} are both {path.stem}: which one is meant?")
    return paths


def _lpips_outside(before: Image, after: Image, mask: Any) -> float:
    from limner.evaluation.metrics.preservation import inside_restored
    from limner.models.blocks.perceptual import lpips

    return lpips([before], [inside_restored(before, after, mask)])[0]


def _clip_t(encoder: Encoder, after: Image, mask: Any, words: str) -> float:
    """The painted part and a little around it, against what was asked for."""
    from limner.evaluation import clip_t
    from limner.pipeline.crops import crop_around

    return clip_t(encoder, [after.crop(crop_around(mask, context=0.1, grid=1))], [words])

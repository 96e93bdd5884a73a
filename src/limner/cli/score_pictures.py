"""``limner score edit`` and ``limner score subject``: pictures against pictures and words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import click

from limner.cli.find import session_of
from limner.cli.measuring import check_report, finish, model_options, models_used, report_options
from limner.cli.objects import Opener
from limner.cli.places import probing
from limner.cli.say import progress
from limner.errors import ImageError, InputError, OptionError

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.protocols import Encoder
    from limner.session import Session

PROMPTS = "prompts.json"
"""In the folder of painted pictures: file name -> what it was painted from."""
DINO_OF = {"mini": "mini-dino"}
"""By profile; elsewhere the paper's own."""
DINO = "dino-vits16"


@click.command()
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
    """An edit against the picture before it: what changed outside the mask, and the seam.

    BEFORE and AFTER are two pictures, or two folders with pictures of the same names.
    """
    from limner.evaluation import edit_scores

    check_report(given)
    session = session_of(given)
    rows: list[dict[str, Any]] = []
    triples = _triples(given["before"], given["after"], given["mask"])
    opener = Opener(max_pixels=100_000_000)
    with progress("pictures") as on_step:
        for number, (name, before, after, mask) in enumerate(triples, start=1):
            first, second = opener.open(before).image, opener.open(after).image
            where = opener.mask(str(mask)).array
            scores: dict[str, Any] = edit_scores(first, second, where, given["step"]).to_dict()
            if given["lpips"]:
                scores["lpips_outside"] = _lpips_outside(first, second, where)
            if given["paint"]:
                scores["clip_t"] = _clip_t(session.models.encoder, second, where, given["paint"])
            rows.append({"image": name, **scores})
            on_step(number, len(triples))
    asked = [key for key in rows[0] if key != "image" and rows[0][key] is not None]
    scores = {"pictures": len(rows), **{key: mean(row[key] for row in rows) for key in asked}}
    scores["outside_changed_pixels"] = sum(row["outside_changed_pixels"] for row in rows)
    models = models_used(session, "encode")
    finish(given, {"what": "score edit", "models": models, "scores": scores, "rows": rows})


def _triples(before: Path, after: Path, mask: Path) -> list[tuple[str, Path, Path, Path]]:
    """(name, before, after, mask) of each edit.

    Raises:
        ImageError: a folder beside a picture, or a picture without its result or mask.
    """
    from limner.images import find_images

    for path in (before, after, mask):
        with probing(path, ImageError):
            if not path.exists():
                raise ImageError(f"There is no {path}: expected a picture or a folder of pictures.")
    if not before.is_dir():
        if after.is_dir() or mask.is_dir():
            raise ImageError(f"{before} is a picture: AFTER and --mask must be pictures as well.")
        return [(before.name, before, after, mask)]
    if not after.is_dir():
        raise ImageError(f"{before} is a folder: AFTER must be one as well, got {after}.")
    results = {path.stem: path for path in find_images(after)}
    drawn = {path.stem: path for path in find_images(mask)} if mask.is_dir() else {}
    triples = []
    for path in find_images(before):
        for named, folder in ((results, after), (drawn, mask)):
            if folder.is_dir() and path.stem not in named:
                raise ImageError(f"{folder} has no picture named {path.stem} to go with {path}.")
        triples.append((path.name, path, results[path.stem], drawn.get(path.stem, mask)))
    return triples


def _lpips_outside(before: Image, after: Image, mask: Any) -> float:
    from limner.evaluation.outside import kept
    from limner.models.perceptual import lpips

    return lpips([before], [kept(before, after, mask)])[0]


def _clip_t(encoder: Encoder, after: Image, mask: Any, words: str) -> float:
    """The painted part and a little around it, against what was asked for."""
    from limner.evaluation import clip_t
    from limner.images import crop_around

    return clip_t(encoder, [after.crop(crop_around(mask, context=0.1, grid=1))], [words])


@click.command()
@click.argument("real", type=click.Path(path_type=Path))
@click.argument("made", type=click.Path(path_type=Path))
@click.option("--prompt", help=f"What all of MADE was painted from (default: MADE/{PROMPTS}).")
@click.option(
    "--class-images",
    type=click.Path(path_type=Path),
    help="Pictures painted of the class, without the subject's name: adds PRES.",
)
@click.option("--div", is_flag=True, help="Add DIV, by LPIPS (limner[perceptual]).")
@click.option("--fid", is_flag=True, help="Add FID and KID (limner[perceptual]).")
@click.option("--dino", help=f"Model of the DINO score (default: {DINO}; mini-dino for mini).")
@model_options("encoder")
@report_options
def subject(**given: Any) -> None:
    """Portraits of a subject: DreamBooth's DINO, CLIP-I, CLIP-T, PRES and DIV.

    REAL is a folder of the subject's photographs, MADE one of painted pictures; MADE/prompts.json
    maps each file name to the words it was painted from.
    """
    from dataclasses import replace

    from limner.evaluation import subject_scores
    from limner.images import find_images

    check_report(given)
    opener = Opener(max_pixels=100_000_000)
    real = [opener.open(path).image for path in find_images(given["real"])]
    files = find_images(given["made"])
    made = [opener.open(path).image for path in files]
    others_in: Path | None = given["class_images"]
    others = [opener.open(path).image for path in find_images(others_in)] if others_in else []
    prompts = _prompts(given["made"], files, given["prompt"])
    session = session_of(given)
    dino = _dino_session(given)
    scores = subject_scores(
        real,
        made,
        clip=session.models.encoder,
        dino=dino.models.encoder,
        prompts=prompts,
        others=others,
    )
    if given["div"]:
        scores = replace(scores, div=_diversity(made, prompts))
    numbers: dict[str, Any] = {"real": len(real), "made": len(made), **scores.to_dict()}
    if given["fid"]:
        from limner.models.perceptual import frechet_and_kernel

        numbers["fid"], numbers["kid"] = frechet_and_kernel(given["real"], given["made"])
    models = models_used(session, "encode") + models_used(dino, "encode")
    notes = [] if prompts else [f"no CLIP-T: give --prompt, or {given['made'] / PROMPTS}."]
    finish(given, {"what": "score subject", "models": models, "scores": numbers, "notes": notes})


def _dino_session(given: Mapping[str, Any]) -> Session:
    name = given["dino"] or DINO_OF.get(given["profile"], DINO)
    return session_of({**given, "encoder": name})


def _prompts(folder: Path, files: Sequence[Path], common: str | None) -> list[str] | None:
    """One prompt for each file; None where nothing is said of them.

    Raises:
        InputError: a prompts.json that can't be read or lacks a file.
    """
    if common is not None:
        return [common] * len(files)
    listing = folder / PROMPTS
    if not listing.exists():
        return None
    try:
        said = json.loads(listing.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{listing} can't be read: {error}.") from error
    if not isinstance(said, Mapping):
        raise InputError(f"{listing} maps file names to prompts, got {type(said).__name__}.")
    for file in files:
        if not isinstance(said.get(file.name), str):
            raise InputError(f"{listing} has no prompt for {file.name}.")
    return [said[file.name] for file in files]


def _diversity(made: Sequence[Image], prompts: Sequence[str] | None) -> float:
    """Mean LPIPS of every two pictures of one prompt (DreamBooth, table 3).

    Raises:
        OptionError: no prompt has two pictures.
    """
    from itertools import combinations

    from limner.models.perceptual import lpips

    of = prompts or [""] * len(made)
    pairs = [(a, b) for a, b in combinations(range(len(made)), 2) if of[a] == of[b]]
    if not pairs:
        raise OptionError("--div compares pictures of one prompt, and no prompt has two.")
    return mean(lpips([made[a] for a, _ in pairs], [made[b] for _, b in pairs]))

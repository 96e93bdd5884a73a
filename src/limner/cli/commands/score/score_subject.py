"""``limner score subject``: portraits of a subject, or whatever paints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.commands.score.subject_options import (
    PAINTING,
    check_places,
    judging_options,
    painting_options,
    print_scores,
)
from limner.cli.console import say, say_note
from limner.cli.options.charts import charts_option, draw_charts
from limner.cli.options.report import (
    check_report,
    finish,
    model_options,
    models_used,
    report_options,
    write_report,
)
from limner.cli.options.session import session_of
from limner.cli.scorecard import Asked, dino_session, draw_sheet, score_painters, trade_off
from limner.errors import FileError, InputError, OptionError
from limner.registry.device import let_threads_sleep
from limner.session.prompt_files import Opener
from limner.untrusted.json_toml import read_json_object

if TYPE_CHECKING:
    from limner.registry.weights import Adapter

PROMPTS = "prompts.json"
"""In the folder of painted pictures: file name -> what it was painted from."""
OF_ADAPTERS = ("model", "instance_prompt", "class_prompt", *PAINTING)
OF_FOLDERS = ("prompt", "class_images", "fid")


@click.command()
@click.argument("real", type=click.Path(path_type=Path))
@click.argument("made", required=False, type=click.Path(path_type=Path))
@click.option(
    "--adapter",
    "adapters",
    multiple=True,
    metavar="NAME[=WEIGHT]",
    help="Instead of MADE: a subject, or a LoRA file by its path, which paints now; repeatable, "
    "each by itself.",
)
@click.option("--model", help="What adapters add to (default: the model it was taught to).")
@click.option(
    "--instance-prompt", help='How an adapter was taught to name it: "a photo of sks dog".'
)
@click.option("--class-prompt", help='Its class alone: "a photo of a dog".')
@click.option("--prompt", help=f"What all of MADE was painted from (default: MADE/{PROMPTS}).")
@click.option(
    "--class-images",
    type=click.Path(path_type=Path),
    help="Pictures painted of the class, without the subject's name: adds PRES.",
)
@click.option("--fid", is_flag=True, help="Add FID and KID (limner[perceptual]).")
@painting_options
@judging_options
@model_options("encoder")
@report_options
@charts_option
def subject(**given: Any) -> None:
    """Portraits of a subject: DreamBooth's DINO, CLIP-I, CLIP-T, PRES and DIV.

    REAL is a folder of the subject's photographs, MADE one of painted pictures; MADE/prompts.json
    maps each file name to the words it was painted from. With --adapter the portraits are painted
    now, from the dataset's prompts, and held against the model's own without it: what `limner teach
    score` does with checkpoints, for any LoRA.
    """
    if (given["made"] is None) == (not given["adapters"]):
        raise OptionError("Portraits are those in MADE, or painted by --adapter: give one of them.")
    by, idle = ("--adapter", OF_FOLDERS) if given["adapters"] else ("MADE", OF_ADAPTERS)
    if said := [name for name in idle if given[name]]:
        flag = said[0].replace("count", "prompts").replace("_", "-")
        raise OptionError(f"--{flag} has no effect with {by}.")
    if given["adapters"]:
        _score_adapters(given)
    else:
        _score_pictures(given)


# ---- adapters


def _score_adapters(given: Mapping[str, Any]) -> None:
    from limner.registry import pool, subjects

    let_threads_sleep()  # before torch comes
    check_places(given)
    adapters = {text: subjects.adapter_of(*subjects.parse(text)) for text in given["adapters"]}
    asked = _asked(given, adapters)
    with pool.no_progress_bars():
        scored = score_painters(asked, given["real"], adapters, given)
    report, title = scored.report, f"{asked.instance_prompt} by {asked.model}"
    files = {name: one.sha256 for name, one in adapters.items()}
    about = {"base": asked.model, "instance_prompt": asked.instance_prompt, "adapters": files}
    write_report(given, {"what": "score subject", **about, **report})
    draw_sheet(scored, given, title, "adapter")
    if given["charts"]:
        draw_charts(given, trade_off(report, title, joined=False))
    if not given["as_json"]:
        print_scores(report)
        if len(adapters) > 1:
            say(f"best: {report['best'] or scored.none_is_good()}")


def _asked(given: Mapping[str, Any], adapters: Mapping[str, Adapter]) -> Asked:
    """What was said, and what the cards of subjects say.

    Raises:
        OptionError: something is lacking, or two cards differ in it.
    """
    from limner.registry import subjects
    from limner.registry.weights import is_path

    names = [subjects.parse(text)[0] for text in adapters]
    cards = [subjects.find(name).card for name in names if not is_path(name)]
    told = {
        "model": {card["base"]["asked_for"] for card in cards},
        "instance_prompt": {card["instance_prompt"] for card in cards},
        "class_prompt": {card["class_prompt"] for card in cards},
    }
    found: dict[str, str] = {}
    for key, values in told.items():
        flag = f"--{key.replace('_', '-')}"
        if given[key]:
            values = {given[key]}
        if not values:
            raise OptionError(
                f"A LoRA file doesn't say what it was made for: give {flag} (with --model, "
                '--instance-prompt "a photo of sks dog" and --class-prompt "a photo of a dog").'
            )
        if len(values) > 1:
            raise OptionError(
                f"{', '.join(names)} were taught differently ({', '.join(sorted(values))}): "
                f"give {flag}, or score them one by one."
            )
        (found[key],) = values
    sides = {card["side"] for card in cards}
    return Asked(**found, side=max(sides, default=None))


# ---- folders of pictures


def _score_pictures(given: Mapping[str, Any]) -> None:
    from limner.evaluation import subject_scores
    from limner.evaluation.metrics.subject_fidelity import diversity
    from limner.io.images import find_images
    from limner.models.blocks.perceptual import frechet_and_kernel, lpips

    check_report(given)
    opener = Opener(100_000_000, say_note)
    real = [opener.open(path).image for path in find_images(given["real"])]
    files = find_images(given["made"])
    made = [opener.open(path).image for path in files]
    others_in: Path | None = given["class_images"]
    others = [opener.open(path).image for path in find_images(others_in)] if others_in else []
    prompts = _prompts(given["made"], files, given["prompt"])
    session, dino = session_of(dict(given)), dino_session(given)
    scores = subject_scores(
        real,
        made,
        clip=session.models.encoder,
        dino=dino.models.encoder,
        prompts=prompts,
        others=others,
    )
    if given["div"]:
        div = diversity(made, prompts or [""] * len(made), lpips)
        if div is None:
            raise OptionError("--div compares pictures of one prompt, and no prompt has two.")
        scores = replace(scores, div=div)
    numbers: dict[str, Any] = {"real": len(real), "made": len(made), **scores.to_dict()}
    if given["fid"]:
        numbers["fid"], numbers["kid"] = frechet_and_kernel(given["real"], given["made"])
    models = models_used(session, "encode") + models_used(dino, "encode")
    notes = [] if prompts else [f"no CLIP-T: give --prompt, or {given['made'] / PROMPTS}."]
    finish(given, {"what": "score subject", "models": models, "scores": numbers, "notes": notes})


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
        said = read_json_object(listing)
    except FileError as error:
        raise InputError(f"{error} It maps file names to prompts.") from error
    for file in files:
        if not isinstance(said.get(file.name), str):
            raise InputError(f"{listing} has no prompt for {file.name}.")
    return [said[file.name] for file in files]

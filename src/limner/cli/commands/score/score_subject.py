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
    draw_sheet,
    judges_of,
    judging_options,
    painting_of,
    painting_options,
    print_scores,
)
from limner.cli.console import say, say_note
from limner.cli.help_page import HelpCommand
from limner.cli.options.charts import charts_option, draw_charts
from limner.cli.options.report import (
    check_report,
    finish,
    model_options,
    report_options,
    write_report,
)
from limner.cli.progress import progress
from limner.errors import FileError, InputError, OptionError
from limner.io.limits import MAX_PIXELS
from limner.registry.device import let_threads_sleep
from limner.session.prompt_files import Opener
from limner.session.scorecard import SubjectNames, score_painters, trade_off
from limner.untrusted.json_toml import read_json_object

if TYPE_CHECKING:
    from limner.registry.weights import Adapter

PROMPTS = "prompts.json"
"""In the folder of painted pictures: file name -> what it was painted from."""
OF_ADAPTERS = ("model", "instance_prompt", "class_prompt", *PAINTING)
OF_FOLDERS = ("prompt", "class_images", "fid")


@click.command(cls=HelpCommand)
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

    \b
    limner score subject portraits painted --prompt bag --profile mini
    limner score subject portraits painted --prompt bag --profile mini -o s.json

    REAL is a folder of the subject's photographs, MADE one of painted pictures; MADE/prompts.json
    maps each file name to the words it was painted from. With --adapter the portraits are painted
    now, from the dataset's prompts, and held against the model's own without it: what `limner teach
    score` does with checkpoints, for any LoRA.
    """
    if (given["made"] is None) == (not given["adapters"]):
        raise OptionError("Portraits are those in MADE, or painted by --adapter: give one of them.")
    by, idle = ("--adapter", OF_FOLDERS) if given["adapters"] else ("MADE", OF_ADAPTERS)
    if without_effect := [name for name in idle if given[name]]:
        flag = without_effect[0].replace("count", "prompts").replace("_", "-")
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
    names = _names(given, adapters)
    judges, options = judges_of(given), painting_of(given)
    with pool.no_progress_bars(), progress("painters") as on_step:
        scorecard = score_painters(
            names, given["real"], adapters, judges, options, on_step=on_step, notify=say_note
        )
    report, title = scorecard.report, f"{names.instance_prompt} by {names.model}"
    files = {name: adapter.sha256 for name, adapter in adapters.items()}
    about = {"base": names.model, "instance_prompt": names.instance_prompt, "adapters": files}
    write_report(given, {"what": "score subject", **about, **report})
    draw_sheet(scorecard, given, title, "adapter")
    if given["charts"]:
        draw_charts(given, trade_off(report, title, joined=False))
    if not given["as_json"]:
        print_scores(report)
        if len(adapters) > 1:
            say(f"best: {report['best'] or scorecard.none_is_good()}")


def _names(given: Mapping[str, Any], adapters: Mapping[str, Adapter]) -> SubjectNames:
    """What the options say, and what the cards of subjects say.

    Raises:
        OptionError: something is lacking, or two cards differ in it.
    """
    from limner.registry import subjects
    from limner.registry.weights import is_path

    subject_names = [subjects.parse(text)[0] for text in adapters]
    cards = [subjects.find(name).card for name in subject_names if not is_path(name)]
    on_cards = {
        "model": {card["base"]["asked_for"] for card in cards},
        "instance_prompt": {card["instance_prompt"] for card in cards},
        "class_prompt": {card["class_prompt"] for card in cards},
    }
    names: dict[str, str] = {}
    for key, values in on_cards.items():
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
                f"{', '.join(subject_names)} were taught differently "
                f"({', '.join(sorted(values))}): give {flag}, or score them one by one."
            )
        (names[key],) = values
    sides = {card["side"] for card in cards}
    return SubjectNames(**names, side=max(sides, default=None))


# ---- folders of pictures


def _score_pictures(given: Mapping[str, Any]) -> None:
    from limner.evaluation import subject_scores
    from limner.evaluation.metrics.subject_fidelity import diversity
    from limner.io.images import find_images
    from limner.models.blocks.perceptual import frechet_and_kernel, lpips

    check_report(given)
    opener = Opener(MAX_PIXELS, say_note)
    real = [opener.open(path).image for path in find_images(given["real"])]
    files = find_images(given["made"])
    portraits = [opener.open(path).image for path in files]
    others_in: Path | None = given["class_images"]
    others = [opener.open(path).image for path in find_images(others_in)] if others_in else []
    prompts = _prompts(given["made"], files, given["prompt"])
    judges = judges_of(given)
    scores = subject_scores(
        real,
        portraits,
        clip=judges.clip.models.encoder,
        dino=judges.dino.models.encoder,
        prompts=prompts,
        others=others,
    )
    if given["div"]:
        div = diversity(portraits, prompts or [""] * len(portraits), lpips)
        if div is None:
            raise OptionError("--div compares pictures of one prompt, and no prompt has two.")
        scores = replace(scores, div=div)
    numbers: dict[str, Any] = {"real": len(real), "made": len(portraits), **scores.to_dict()}
    if given["fid"]:
        numbers["fid"], numbers["kid"] = frechet_and_kernel(given["real"], given["made"])
    models = judges.models()
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
        prompts = read_json_object(listing)
    except FileError as error:
        raise InputError(f"{error} It maps file names to prompts.") from error
    for file in files:
        if not isinstance(prompts.get(file.name), str):
            raise InputError(f"{listing} has no prompt for {file.name}.")
    return [prompts[file.name] for file in files]

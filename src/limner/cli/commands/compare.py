"""``limner compare``: one question to several models, one picture and one table of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import new_picture
from limner.cli.console import row_of, say, say_json, say_note, say_table, saying_once
from limner.cli.help_groups import SETTINGS, GroupedOption
from limner.cli.options.flags import check_detecting, flags, runtime_options
from limner.cli.options.prompt_flags import ObjectCommand, drafts, object_options
from limner.cli.options.run_store import no_record_option
from limner.cli.options.session import finding_of
from limner.cli.progress import progress
from limner.errors import ModelError
from limner.io.limits import MAX_PIXELS
from limner.ops.selection import SELECT_SYNTAX
from limner.options import DetectOptions, SegmentOptions
from limner.session.prompt_files import Opener, resolve

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.prompts import VisualPrompt
    from limner.session.compare import Answer

MOST_BOXES = 5
"""Boxes of a model that the table lists; the JSON has all."""


@click.command(cls=ObjectCommand)
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--models",
    required=True,
    metavar="NAME,NAME,…",
    help="Detectors, or several as one (a+b), and segmenters: names, or folders.",
)
@object_options
@click.option(
    "--select",
    cls=GroupedOption,
    heading=SETTINGS["DetectOptions"],
    multiple=True,
    metavar="WHICH",
    help=f"Keep of each prompt's finds: {SELECT_SYNTAX}.",
)
@click.option(
    "--threshold-for",
    cls=GroupedOption,
    heading=SETTINGS["DetectOptions"],
    multiple=True,
    metavar="PHRASE=SCORE",
    help="Least score for one phrase's boxes, such as dog=0.3.",
)
@flags(DetectOptions, leave_out=frozenset({"phrase_thresholds"}))
@flags(SegmentOptions)
@runtime_options
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="The picture of all answers (default: NAME-compare.png).",
)
@no_record_option
@click.option("--overwrite", is_flag=True, help="Replace a picture that exists.")
@click.option("--json", "as_json", is_flag=True, help="The answers as JSON on stdout.")
@click.pass_context
def compare(ctx: click.Context, /, **given: Any) -> None:
    """Ask several models the same, and see what each finds, how fast, in how much memory.

    \b
    limner compare photo.jpg --text face --models haar,mini-owlvit
    limner compare cup.jpg --point 300,110 --models grabcut,mini-sam

    Detectors are asked for phrases and examples, segmenters for points, boxes and masks. A model
    that can't answer is a row that says why. Each is loaded in a process of its own.
    """
    from limner.session.compare import Question
    from limner.session.compare import compare as ask

    objects = drafts(ctx)
    check_detecting(given, objects)
    out = _place(given)
    opener = Opener(MAX_PIXELS, say_note)
    picture = opener.open(given["image"]).image
    prompts = resolve(objects, picture.size, opener)
    names = [name.strip() for name in given["models"].split(",") if name.strip()]
    question = Question(
        picture,
        tuple(prompts),
        finding_of(given),
        given["commercial_safe"],
        given["device"],
        given["dtype"],
    )
    say_once = saying_once()
    answers: list[Answer] = []
    with progress(f"compare {given['image'].name}") as on_step:
        for answer in ask(question, names):
            answers.append(answer)
            on_step(len(answers), len(names))
    for note in (note for answer in answers for note in answer.notes):
        say_once(note)
    _finish(given, out, picture, prompts, answers)


def _place(given: dict[str, Any]) -> Path:
    out: Path = given["out"] or Path(f"{given['image'].stem}-compare.png")
    return new_picture(out, overwrite=given["overwrite"])


def _finish(
    given: dict[str, Any],
    out: Path,
    picture: Image,
    prompts: Sequence[VisualPrompt],
    answers: Sequence[Answer],
) -> None:
    """Write the picture and say the table; exit code 2 where no model answered."""
    from limner.io.save import save_image
    from limner.runs.record import describe
    from limner.session.compare import sheet_of

    answered = any(answer.error is None for answer in answers)
    report = {
        "image": str(given["image"]),
        "prompts": [describe(prompt) for prompt in prompts],
        "models": [answer.to_dict() for answer in answers],
    }
    if answered:
        sheet = sheet_of(picture, prompts, answers)
        save_image(
            sheet,
            out,
            record=None if given["no_record"] else {"verb": "compare", **report},
            overwrite=True,
        )
    if given["as_json"]:
        say_json({**report, "outputs": [str(out)] if answered else []})
    else:
        _print(answers)
        if answered:
            say(str(out))
    if not answered:
        raise ModelError("None of these models answered; each one's row says why.")


def _print(answers: Sequence[Answer]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("model", "found", "seconds", "loading", "memory", "licence"):
        table.add_column(column, no_wrap=column in ("model", "seconds", "loading", "memory"))
    for answer in answers:
        numbers = ("", "", "")
        if answer.error is None:
            loading = f"{answer.loading_seconds or 0:.2f} s"
            numbers = (answer.time, loading, _memory(answer))
        finds = answer.error.split(". ")[0].rstrip(".") if answer.error else _finds(answer)
        table.add_row(*row_of(answer.name, finds, *numbers, answer.licence))
    say_table(table, width=160)


def _finds(answer: Answer) -> str:
    """A line for each box: name, score, and where."""
    lines = []
    for box in answer.boxes():
        line = f"{box.name} {box.score:.2f} at {','.join(f'{side:.0f}' for side in box.xyxy)}"
        if box.agreed:
            line += f" ({', '.join(dict.fromkeys(opinion.model for opinion in box.agreed))})"
        lines.append(line)
    if len(lines) > MOST_BOXES:
        lines[MOST_BOXES:] = [f"and {len(lines) - MOST_BOXES} more"]
    return "\n".join(lines) or "nothing"


def _memory(answer: Answer) -> str:
    parts = [] if answer.peak_bytes is None else [f"{answer.peak_bytes / 1e9:.2f} GB"]
    if answer.device_peak_bytes is not None:
        parts.append(f"{answer.device_peak_bytes / 1e9:.2f} GB on the device")
    return ", ".join(parts) or "–"

"""``limner compare``: one question to several models, one picture and one table of the answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import new_picture
from limner.cli.console import row_of, say, say_json, say_note, say_table, saying_once
from limner.cli.options.flags import check_detecting, flags, runtime_options
from limner.cli.options.prompt_flags import ObjectCommand, drafts, object_options
from limner.cli.options.run_store import no_record_option
from limner.cli.options.session import finding_of
from limner.cli.progress import progress
from limner.errors import ModelError
from limner.ops.selection import SELECT_SYNTAX
from limner.options import DetectOptions, SegmentOptions
from limner.session.prompt_files import Opener, resolve

if TYPE_CHECKING:
    from PIL.Image import Image
    from supervision import Detections

    from limner.pipeline.ensemble import MemberBox
    from limner.prompts import VisualPrompt
    from limner.session.compare import Answer

ACROSS = 4
"""Pictures in a row of the sheet."""
SIDE = 480
"""px: longest side of a picture on it."""
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
    multiple=True,
    metavar="WHICH",
    help=f"Keep of each prompt's finds: {SELECT_SYNTAX}.",
)
@click.option(
    "--threshold-for",
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

    Detectors are asked for phrases and examples, segmenters for points, boxes and masks. A model
    that can't answer is a row that says why. Each is loaded in a process of its own.
    """
    from limner.session.compare import Question
    from limner.session.compare import compare as ask

    objects = drafts(ctx)
    check_detecting(given, objects)
    out = _place(given)
    opener = Opener(100_000_000, say_note)
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

    answered = any(answer.error is None for answer in answers)
    report = {
        "image": str(given["image"]),
        "prompts": [describe(prompt) for prompt in prompts],
        "models": [_row(answer) for answer in answers],
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


def _row(answer: Answer) -> dict[str, Any]:
    """An answer as JSON; boxes are pixels of the upright picture."""
    boxes = []
    for xyxy, score, name, opinions in _rows(answer.detections):
        box: dict[str, Any] = {"class_name": name, "xyxy": [round(side, 2) for side in xyxy]}
        box["score"] = round(score, 4)
        if opinions:
            box["agreed"] = [opinion.to_dict() for opinion in opinions]
        boxes.append(box)
    return {
        "name": answer.name,
        "task": answer.task,
        "licence": answer.licence,
        "boxes": boxes,
        "seconds": answer.seconds,
        "loading_seconds": answer.loading_seconds,
        "peak_bytes": answer.peak_bytes,
        "device_peak_bytes": answer.device_peak_bytes,
        "error": answer.error,
    }


def sheet_of(picture: Image, prompts: Sequence[VisualPrompt], answers: Sequence[Answer]) -> Image:
    """The answers side by side, each drawn on the picture under its model's name."""
    from PIL import Image as pil

    from limner.evaluation.charts.contact_sheet import Axis, Cell, contact_sheet
    from limner.ops.overlay import overlay

    asked = ", ".join(prompt.text.phrase if prompt.text else prompt.manner for prompt in prompts)
    blank = pil.new("RGB", picture.size, "#F2F2F2")
    strips = []
    for start in range(0, len(answers), ACROSS):
        some = answers[start : start + ACROSS]
        cells = {}
        for k, answer in enumerate(some):
            drawn = answer.detections and overlay(picture, answer.detections, prompts)
            shown = drawn or (blank if answer.error else picture)
            cells[(0, k)] = Cell(shown, note=answer.error or f"{_count(answer)}, {_time(answer)}")
        names = Axis("" if start else asked, tuple(answer.name for answer in some))
        strips.append(contact_sheet(names, Axis("", ("",)), cells, best="", side=SIDE))
    sheet = pil.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def _count(answer: Answer) -> str:
    count = 0 if answer.detections is None else len(answer.detections)
    return f"{count} object{'' if count == 1 else 's'}" if count else "nothing found"


def _time(answer: Answer) -> str:
    return "" if answer.seconds is None else f"{answer.seconds:.2f} s"


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
            numbers = (_time(answer), loading, _memory(answer))
        found = answer.error.split(". ")[0].rstrip(".") if answer.error else _found(answer)
        table.add_row(*row_of(answer.name, found, *numbers, answer.licence))
    say_table(table, width=160)


def _found(answer: Answer) -> str:
    """A line for each box: name, score, and where."""
    lines = []
    for xyxy, score, name, opinions in _rows(answer.detections):
        line = f"{name} {score:.2f} at {','.join(f'{side:.0f}' for side in xyxy)}"
        if opinions:
            line += f" ({', '.join(dict.fromkeys(one.model for one in opinions))})"
        lines.append(line)
    if len(lines) > MOST_BOXES:
        lines[MOST_BOXES:] = [f"and {len(lines) - MOST_BOXES} more"]
    return "\n".join(lines) or "nothing"


def _rows(
    found: Detections | None,
) -> Iterator[tuple[list[float], float, str, Sequence[MemberBox]]]:
    """Each find's box, score and name, and who agreed on it, if it was asked of several."""
    if found is None or found.confidence is None:
        return
    agreed = found.data.get("agreed", [()] * len(found))
    names = found.data["class_name"]
    yield from zip(
        found.xyxy.tolist(), found.confidence.tolist(), map(str, names), agreed, strict=True
    )


def _memory(answer: Answer) -> str:
    parts = [] if answer.peak_bytes is None else [f"{answer.peak_bytes / 1e9:.2f} GB"]
    if answer.device_peak_bytes is not None:
        parts.append(f"{answer.device_peak_bytes / 1e9:.2f} GB on the device")
    return ", ".join(parts) or "–"

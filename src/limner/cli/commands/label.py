"""``limner label``: prompts for many pictures become one labelled dataset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import check_writable
from limner.cli.console import say, say_json, say_note
from limner.cli.help_page import HelpCommand
from limner.cli.options.finding import detecting_options
from limner.cli.options.flags import flags, profile_option, runtime_options, typed
from limner.cli.options.run_store import caching_option, keeping_options
from limner.cli.options.session import finding_of, recording_session_of
from limner.cli.progress import progress
from limner.errors import OptionError
from limner.options import LabelOptions, SegmentOptions

if TYPE_CHECKING:
    from limner.session import Labelled

MOST_EMPTY = 5
"""Empty outlines that are named in one line."""


@click.command(cls=HelpCommand)
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What to outline: boxes or points of each picture (.csv, or labels of COCO, YOLO, VOC), "
    "or the phrases of each class (.yaml). Default: DATA's own boxes.",
)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="The folder of the dataset (default: beside you, named after DATA).",
)
@flags(LabelOptions, leave_out=frozenset({"recursive", "overwrite"}))
@click.option("--recursive", is_flag=True, help="Of a folder of pictures its subfolders too.")
@click.option("--overwrite", is_flag=True, help="Begin anew where a dataset lies already.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@detecting_options
@click.option("--segmenter", help="Model that outlines: a name, or a folder (./my-sam).")
@flags(SegmentOptions)
@profile_option
@runtime_options
@caching_option
@keeping_options
def label(**given: Any) -> None:
    """Outline what FILE shows in many pictures, and write one dataset of it.

    \b
    limner label photos --prompts boxes.csv -o dataset
    limner label drawings --prompts classes.yaml --format yolo-seg --profile mini

    DATA is a folder of pictures, or a dataset of boxes (COCO, YOLO, Pascal VOC). Class names and
    numbers are those of FILE, the same in every picture. Killed and run again, it does what is
    left. Exits with 2 when a picture couldn't be read; the others are in the dataset.
    """
    data: Path = given["data"]
    if given["out"] is not None:
        check_writable(given["out"])
    if given["detector"]:
        _check_detector(data, given["prompts"])
    session = recording_session_of(given)
    options, finding = typed(LabelOptions, given), finding_of(given)
    with progress(f"label {data.name}") as on_step:
        labelled = session.label(
            data,
            given["prompts"],
            given["out"],
            on_step=on_step,
            finding=finding,
            **asdict(options),
        )
    _say(labelled, as_json=given["as_json"])
    if labelled.failed:
        raise click.exceptions.Exit(2)


def _check_detector(data: Path, prompts: Path | None) -> None:
    """Refuse a detector that nobody would ask.

    Raises:
        OptionError: the prompts say where things are.
    """
    from limner.session.labelling.read_prompts import read_prompts

    if prompts is None or not read_prompts(prompts, data if data.is_dir() else None).by_words:
        raise OptionError(f"--detector has no effect: {prompts or data} says where things are.")


def _say(labelled: Labelled, *, as_json: bool) -> None:
    """What is in the dataset, what isn't, and where it all lies."""
    for note in labelled.notes:
        say_note(note)
    for picture, reason in labelled.failed.items():
        say(f"limner: {reason if picture in reason else f'{picture}: {reason}'}", err=True)
    if labelled.empty:
        say_note(f"No outline came of {_listed(labelled.empty)}: left out.")
    if as_json:
        say_json(
            {
                "file": str(labelled.file),
                "sheet": str(labelled.sheet) if labelled.sheet else None,
                "classes": dict(labelled.classes),
                "objects": dict(labelled.objects),
                "pictures": labelled.pictures,
                "done_before": labelled.done_before,
                "empty": list(labelled.empty),
                "failed": dict(labelled.failed),
                "notes": list(labelled.notes),
            }
        )
        return
    total = sum(labelled.objects.values())
    facts = [_count(labelled.pictures, "picture"), _count(total, "object")]
    facts += [f"{labelled.done_before} done already"] if labelled.done_before else []
    facts += [f"{len(labelled.failed)} failed"] if labelled.failed else []
    say(f"{labelled.file}  {', '.join(facts)}")
    rows = [
        f"{labelled.classes[name]} {name}: {count}"
        for name, count in labelled.objects.items()
        if count
    ]
    without = len(labelled.classes) - len(rows)
    rows += [f"no object of {without} other class{'es' if without > 1 else ''}"] if without else []
    say(f"  {', '.join(rows)}")
    if labelled.sheet:
        say(f"  the least sure: {labelled.sheet}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _listed(names: Iterable[str]) -> str:
    each = list(names)
    more = f"; and {len(each) - MOST_EMPTY} more" if len(each) > MOST_EMPTY else ""
    return "; ".join(each[:MOST_EMPTY]) + more

"""What ``score``, ``probe`` and ``tune`` share: whose models, which data, where the report goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.batch.output_paths import check_writable, os_errors
from limner.cli.console import row_of, say, say_json, say_table
from limner.cli.options.flags import profile_option, runtime_options
from limner.errors import InputError, OutputError

if TYPE_CHECKING:
    from limner.evaluation.datasets import Dataset
    from limner.evaluation.metrics.average_precision import IouType
    from limner.session import Session

Command = TypeVar("Command", bound=Callable[..., Any])

MODEL_HELP = {
    "detector": "Model that turns words into boxes: a name, or a folder.",
    "segmenter": "Model that outlines: a name, or a folder (./my-sam).",
    "inpainter": "Model that paints: a name, or a folder.",
    "encoder": "Model that compares pictures with words (CLIP): a name, or a folder.",
}


def model_options(*models: str) -> Callable[[Command], Command]:
    """A decorator that adds which models answer."""

    def decorate(command: Command) -> Command:
        options = [
            click.option(f"--{name}", help=MODEL_HELP[name])
            for name in MODEL_HELP
            if name in models
        ]
        return _all([*options, profile_option, runtime_options], command)

    return decorate


def data_options(command: Command) -> Command:
    """Adds the labelled pictures."""
    options = [
        click.argument("data", type=click.Path(path_type=Path)),
        click.option(
            "--format",
            "data_format",
            type=click.Choice(("coco", "yolo", "voc")),
            help="How the labels are written (default: told by the files).",
        ),
        click.option(
            "--images",
            type=click.Path(path_type=Path),
            help="Folder of the pictures, if not beside the labels.",
        ),
        click.option(
            "--class", "classes", multiple=True, metavar="NAME", help="Only this class; repeatable."
        ),
    ]
    return _all(options, command)


def report_options(command: Command) -> Command:
    """Adds where the report goes."""
    options = [
        click.option(
            "--out",
            "-o",
            type=click.Path(path_type=Path),
            help="Also write everything as JSON here (report.json).",
        ),
        click.option("--overwrite", is_flag=True, help="Replace a report that exists."),
        click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout."),
    ]
    return _all(options, command)


def check_report(given: Mapping[str, Any]) -> None:
    """Refuse a place for the report that can't be written, before any work is done.

    Raises:
        OutputError: it is taken, not named .json, or can't be written.
    """
    out: Path | None = given["out"]
    if out is None:
        return
    if out.suffix.lower() != ".json":
        raise OutputError(f"A report is JSON: --out must end in .json, got {out}.")
    if out.exists() and not given["overwrite"]:
        raise OutputError(f"{out} is there already: --overwrite replaces it.")
    check_writable(out.parent)


def read_data(given: Mapping[str, Any], kind: IouType) -> Dataset:
    """The labelled pictures that a command was given."""
    from limner.evaluation import datasets

    for path in (given["data"], given["images"], given.get("predictions")):
        if path is not None:
            with os_errors(path, InputError):
                path.exists()
    dataset = datasets.read(given["data"], kind, images=given["images"], name=given["data_format"])
    return dataset.only(given["classes"])


def models_used(session: Session, *tasks: str) -> list[dict[str, Any]]:
    """The models that answered, for the report."""
    return [ref.to_dict() for ref in session.models.refs(tasks)]


def write_report(given: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write the report where it was asked for, and with --json print it."""
    from limner.io.save import write_atomic

    text = json.dumps(report, indent=2, ensure_ascii=False)
    if given["out"] is not None:
        write_atomic(given["out"], text + "\n", overwrite=given["overwrite"])
    if given["as_json"]:
        say_json(report, indent=2)


def finish(given: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write the report, and print its scores as a table unless JSON was asked for."""
    write_report(given, report)
    if given["as_json"]:
        return
    for note in report.get("notes", ()):
        say(f"limner: {note}", err=True)
    print_table(("score", "value"), [(k, shown(v)) for k, v in report["scores"].items()])


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table; in a pipe as wide as it needs."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=True, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row_of(*row))
    say_table(table, width=160)


def shown(value: Any) -> str:
    """A number to three or four digits; what there is none of as a dash."""
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _all(options: Iterable[Callable[[Any], Any]], command: Command) -> Command:
    for option in reversed(list(options)):
        command = option(command)
    return command

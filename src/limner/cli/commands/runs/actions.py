"""``limner runs compare``, ``replay``, ``export`` and ``import``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.console import aligned, say, say_json, say_lines, saying_once
from limner.cli.help_page import HelpCommand
from limner.cli.options.run_store import entry_of, new_store, opened_store, store_option
from limner.errors import OptionError, OutputError

if TYPE_CHECKING:
    from limner.runs.entries import RunEntry
    from limner.runs.store import Store
    from limner.session.replay import Replay


@click.command("compare", cls=HelpCommand)
@click.argument("names", metavar="RUN RUN...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@store_option
def compare(names: tuple[str, ...], as_json: bool, store: str | None) -> None:
    """Show what differs between runs, and nothing else.

    \b
    limner runs compare latest~1 latest
    limner runs compare latest~1 latest --json
    """
    from limner.runs.diff import differences

    opened = opened_store(store)
    entries = [entry_of(opened, name) for name in names]
    if len({entry.id for entry in entries}) < 2:
        raise OptionError("compare takes two runs or more that aren't the same one.")
    differing = differences(entries)
    pixels = _pixels_from_first(opened, entries)
    if any(pixels):
        differing["pixels that differ from the first"] = pixels
    if as_json:
        say_json({"runs": [entry.id for entry in entries], "differences": differing}, indent=2)
        return
    heads = [entry.id[:8] for entry in entries]
    rows = [("", *heads), *((name, *map(_cell, values)) for name, values in differing.items())]
    for line in aligned(rows):
        say(line)


@click.command("replay", cls=HelpCommand)
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@click.option("--no-record", is_flag=True, help="Don't record the second run.")
@click.option(
    "--inputs",
    "--input",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A file, or a folder to look through for an input that moved; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run.")
@store_option
def replay(
    names: tuple[str, ...],
    no_record: bool,
    inputs: tuple[Path, ...],
    as_json: bool,
    store: str | None,
) -> None:
    """Do runs again from their records and count the pixels that differ.

    \b
    limner runs replay latest
    limner runs replay cup-cutout.png --no-record

    A RUN may be a result that carries its record. An input that isn't in the store is looked for by
    its content: where it lay, in the store's folder, in this one and in --inputs. Exit code 1 where
    any pixel differs.
    """
    from limner.session.replay import replay as do_again

    opened = opened_store(store)
    entries = [entry_of(opened, name) for name in names]  # before `latest` means another one
    differ = False
    say_once = saying_once()
    for entry in entries:
        again = do_again(opened, entry.id, record=not no_record, inputs=inputs, say=say_once)
        differ = differ or again.pixels > 0 or not again.same_finds
        say_json(_replay_facts(again)) if as_json else say(_replay_line(again))
    if differ:
        raise click.exceptions.Exit(1)


@click.command("export", cls=HelpCommand)
@click.argument("names", metavar="RUN...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every run of the store.")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="A .zip with the files too, or a .jsonl (default: JSON lines on stdout).",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@store_option
def export(
    names: tuple[str, ...], everything: bool, out: Path | None, overwrite: bool, store: str | None
) -> None:
    """Take runs out: one zip with records and files, or JSON lines.

    \b
    limner runs export latest -o run.zip
    limner runs export --all -o runs.jsonl
    """
    from limner.runs.export_zip import as_lines, write_zip

    if bool(names) == everything:
        raise OptionError("export takes runs or --all" + (", not both." if names else "."))
    suffix = out.suffix.lower() if out else ".jsonl"
    if suffix not in (".zip", ".jsonl"):
        raise OutputError(
            f"{out} ends in {suffix or 'nothing'}: runs are exported as .zip or .jsonl."
        )
    opened = opened_store(store)
    missing: list[str] = []
    entries = opened.entries() if everything else [entry_of(opened, name) for name in names]
    if out is None:
        say_lines(as_lines(entries).rstrip("\n"))
        return
    if suffix == ".zip":
        missing = write_zip(entries, opened.files, out, overwrite=overwrite)
        for sentence in missing:
            say(f"limner: {sentence}", err=True)
    else:
        from limner.io.save import write_atomic

        write_atomic(out, as_lines(entries), overwrite=overwrite)
    say(f"{out}  {len(entries)} runs" + (f", {len(missing)} files missing" if missing else ""))
    if missing:
        raise click.exceptions.Exit(1)


@click.command("import", cls=HelpCommand)
@click.argument("archive", type=click.Path(path_type=Path))
@store_option
def import_runs(archive: Path, store: str | None) -> None:
    """Take in the runs of a .zip that `limner runs export` wrote.

    \b
    limner runs import run.zip
    limner runs import run.zip --store elsewhere

    Runs whose id is here already stay as they are. Exit code 1 where the archive lacks files.
    """
    from limner.runs.import_zip import import_zip

    imported = import_zip(new_store(store), archive)
    for run_id in imported.known:
        say(f"limner: Run {run_id} is here already and stays as it is.", err=True)
    for name in imported.missing:
        say(f"limner: {archive} lacks {name}, which its runs name.", err=True)
    say(f"{archive}  {len(imported.ids)} runs taken in")
    if imported.missing:
        raise click.exceptions.Exit(1)


def _pixels_from_first(opened: Store, entries: list[RunEntry]) -> list[int | None]:
    """For each run, the pixels in which its picture differs from the first one's; None without."""
    from PIL import Image

    from limner.runs.diff import pixels_between
    from limner.runs.entries import PICTURE

    pictures = [entry.of_role(PICTURE) for entry in entries]
    if not all(pictures):
        return [None] * len(entries)
    first, *others = (
        Image.open(io.BytesIO(opened.files.load(files[0].name)), formats=["PNG"])
        for files in pictures
    )
    return [0, *(pixels_between(first, other) for other in others)]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def _replay_facts(replay: Replay) -> dict[str, Any]:
    return {
        "run": replay.original.id,
        "replay": replay.run.id,
        "pixels": replay.pixels,
        "differing": dict(replay.differing),
        "same_finds": replay.same_finds,
        "changed": list(replay.changed),
    }


def _replay_line(replay: Replay) -> str:
    finds = ", the same finds" if replay.same_finds else ", OTHER FINDS"
    if replay.original.row.verb == "generate":  # nothing was looked for
        finds = ""
    recorded = f" as {replay.run.id[:8]}" if replay.run.id else ""
    line = (
        f"{replay.original.id[:8]}{recorded}  {replay.original.row.verb}: {replay.pixels} pixels "
        f"differ{finds}"
    )
    return line + (f" ({'; '.join(replay.changed)})" if replay.changed else "")

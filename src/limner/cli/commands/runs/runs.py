"""``limner runs``: what was done here, and what people think of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.commands.runs.actions import compare, export, import_runs, replay
from limner.cli.commands.runs.forget import forget
from limner.cli.console import aligned, say, say_json
from limner.cli.help_groups import REST, GroupedOption
from limner.cli.help_page import HelpGroup
from limner.cli.options.run_store import (
    collecting_of,
    entry_of,
    listed_rows,
    opened_store,
    store_option,
)
from limner.errors import OptionError, StoreError

if TYPE_CHECKING:
    from limner.runs.entries import Row, RunEntry

Command = TypeVar("Command", bound=Callable[..., Any])

STATUSES = ("running", "done", "failed", "died")
ROLES = ("picture", "mask", "coco", "input")
ID_SHOWN = 8
"""Letters of an id in lists; any beginning that only one run has will do."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group(cls=HelpGroup, context_settings={"help_option_names": ["-h", "--help"]})
def runs() -> None:
    """What was done here: list it, explain it, do it again.

    A run is named by its id, the beginning of its id, or latest, latest~1, latest~2, …; show, open,
    compare, replay and export also take a result that carries its record.
    """


@runs.command("list")
@click.option("--verb", help="Only this verb.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs that ended so.")
@click.option(
    "--model", cls=GroupedOption, heading=REST, help="Only runs in which this model took part."
)
@click.option("--tag", help="Only runs with this tag.")
@click.option("--suite", metavar="ID", help="Only runs of this eval; a beginning will do.")
@click.option("--sweep", metavar="ID", help="Only runs of this sweep; a beginning will do.")
@click.option("--since", metavar="WHEN", help="Only later ones: 30m, 2h, 3d, 2w, or 2026-11-25.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many, newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run, a line each.")
@store_option
def list_runs(
    verb: str | None,
    status: str | None,
    model: str | None,
    tag: str | None,
    suite: str | None,
    sweep: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
    store: str | None,
) -> None:
    """Show the runs, newest first.

    \b
    limner runs list
    limner runs list --verb cutout --since 2h
    """
    from limner.runs.entries import Wanted

    after = parse_since(since, datetime.now(UTC)) if since is not None else None
    wanted = Wanted(verb, status, model, tag, after, limit, sweep, suite)
    rows = listed_rows(store, wanted)
    if as_json:
        for row in rows:
            say_json(row.to_dict())
    elif rows:
        for line in _table(rows):
            say(line)
    else:
        say("limner: No run is like that.", err=True)


@runs.command("show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="All that is known of it, as JSON.")
@store_option
def show(run: str, as_json: bool, store: str | None) -> None:
    """Explain one run: what was asked, what answered, what came out.

    \b
    limner runs show latest
    limner runs show cup-cutout.png --json
    """
    opened = opened_store(store)
    entry = entry_of(opened, run)
    if as_json:
        say_json(entry.to_dict(), indent=2)
        return
    for label, value in _explained(entry):
        say(f"{label:<12}{value}")


@runs.command("open")
@click.argument("run")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="picture",
    show_default=True,
    help="Which of its files.",
)
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Copy it there.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@store_option
def open_run(run: str, role: str, out: Path | None, overwrite: bool, store: str | None) -> None:
    """Print where a run's picture lies, and show it if a person watches.

    \b
    limner runs open latest
    limner runs open latest~1 --role mask -o mask.png
    """
    opened = opened_store(store)
    entry = entry_of(opened, run)
    files = entry.of_role(role)
    if not files:
        has = ", ".join(dict.fromkeys(file.role for file in entry.files)) or "no file"
        raise StoreError(f"Run {entry.id} ({entry.row.status}) has no {role}; it has {has}.")
    if out is not None:
        from limner.io.save import write_atomic

        say(str(write_atomic(out, opened.files.load(files[0].name), overwrite=overwrite)))
        return
    paths = [opened.files.path(file.name) for file in files]
    for path in paths:
        if path is None:
            raise StoreError(
                f"The {role} of run {entry.id} isn't in a folder of this machine: copy it from "
                f"{opened.files.place} with --out."
            )
        say(str(path))
    if sys.stdout is not None and sys.stdout.isatty():
        click.launch(str(paths[0]))


@runs.command("rate")
@click.argument("run")
@click.argument("rating", required=False)
@click.option("--clear", is_flag=True, help="Take the rating back.")
@store_option
def rate(run: str, rating: str | None, clear: bool, store: str | None) -> None:
    """Give a run 1 (bad) to 5 (good).

    \b
    limner runs rate latest 4
    limner runs rate latest --clear
    """
    if clear == (rating is not None):
        raise OptionError("Give a rating from 1 to 5, or --clear.")
    if rating is not None and rating not in list("12345"):
        raise OptionError(f"A rating is a whole number from 1 to 5, got {rating}.")
    rated = opened_store(store).rate(run, int(rating) if rating else None)
    say(f"{rated[:ID_SHOWN]}  {rating or 'no rating'}")


@runs.command("note")
@click.argument("run")
@click.argument("text")
@store_option
def note(run: str, text: str, store: str | None) -> None:
    """Write something about a run.

    \b
    limner runs note latest "the rim is soft"
    limner runs note latest~1 "the handle is missing"
    """
    say(f"{opened_store(store).note(run, text)[:ID_SHOWN]}  noted")


@runs.command("delete")
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@store_option
def delete(names: tuple[str, ...], store: str | None) -> None:
    """Forget runs; their files go with the next `limner runs gc`.

    \b
    limner runs delete latest
    limner runs delete latest latest~1
    """
    for run_id in opened_store(store).delete(names):
        say(f"{run_id[:ID_SHOWN]}  deleted")


@runs.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also files of the last hour: nothing may be recording meanwhile.",
)
@click.option(
    "--shared",
    is_flag=True,
    help="Also what an older limner kept where several stores share it: no other store, such as a "
    "PostgreSQL one, may keep its files there.",
)
@store_option
def gc(dry_run: bool, everything: bool, shared: bool, store: str | None) -> None:
    """Remove this store's files that no run names.

    \b
    limner runs gc --dry-run
    limner runs gc --all
    """
    from limner.runs.files import GRACE

    collecting = collecting_of(store)
    grace = -1.0 if everything else GRACE
    verb = "would be removed" if dry_run else "removed"
    own = collecting.own(grace=grace, remove=not dry_run)
    say(f"{len(own.idle)} files ({own.megabytes:.1f} MB) {verb}, {own.staying} stay")
    older = collecting.shared(grace=grace, remove=shared and not dry_run)
    place = collecting.location.files
    if shared:
        say(
            f"{len(older.idle)} shared files ({older.megabytes:.1f} MB) {verb}, "
            f"{older.staying} stay"
        )
    elif older.idle:
        say(
            f"limner: {len(older.idle)} files ({older.megabytes:.1f} MB) that an older limner kept "
            f"in {place} are named by no store beside them; another one may share them: "
            "limner runs gc --shared removes them if none does.",
            err=True,
        )


for command in (compare, replay, export, import_runs, forget):
    runs.add_command(command)


def parse_since(text: str, now: datetime) -> str:
    """``2h`` before ``now``, or a date or instant of this machine's clock, as stores write it.

    Raises:
        OptionError: neither.
    """
    try:
        if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text):
            when = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            when = datetime.fromisoformat(text)
        return when.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        raise OptionError(
            f"--since takes 30m, 2h, 3d or 2w ago, or a date such as 2026-11-25; got {text!r}."
        ) from None


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """A line a run, below the headings."""
    lines = [("ID", "STARTED", "VERB", "STATUS", "SECONDS", "RATED", "ASKED", "MODELS", "INPUT")]
    for row in rows:
        tags = "".join(f" #{tag}" for tag in row.tags)
        lines.append(
            (
                row.id[:ID_SHOWN],
                _clock(row.started),
                row.verb,
                row.status,
                "" if row.seconds is None else f"{row.seconds:.1f}",
                "" if row.rating is None else str(row.rating),
                _short(row.words) + tags,
                " + ".join(row.models),
                Path(row.input_path).name if row.input_path else "",
            )
        )
    return aligned(lines)


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _clock(instant: str) -> str:
    """An instant on this machine's clock."""
    return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _explained(entry: RunEntry) -> Iterator[tuple[str, str]]:
    """A run as labelled lines; what it doesn't have gets none."""
    row, record = entry.row, entry.record
    yield "run", entry.id
    yield "what", f"{row.verb}: {row.words}"
    took = "" if row.seconds is None else f", {row.seconds:.2f} s"
    yield "when", f"{_clock(row.started)}{took}"
    where = f" (process {entry.pid} on {entry.host})" if row.status in ("running", "died") else ""
    yield "status", row.status + where
    if entry.error:
        yield "error", entry.error
    if entry.input_digest:  # words alone have none
        yield "input", f"{row.input_path or 'a picture in memory'}, {entry.input_digest[:12]}"
    for model in record.get("models", ()):
        revision = f", revision {model['revision'][:12]}" if model["revision"] else ""
        hashes = f", {len(model['files'])} files" if model["files"] else ""
        yield "model", f"{model['name']}{revision}{hashes}, {model['licence']}"
    for name, value in entry.asked.get("settings", {}).items():
        if set_ones := _set(value):
            yield name, set_ones
    if row.seed is not None:
        yield "seed", str(row.seed)
    stages = [f"{stage} {seconds:g} s" for stage, seconds in record.get("seconds", {}).items()]
    if stages:
        yield "stages", ", ".join(stages)
    if entry.peak_bytes is not None:
        device = entry.device_peak_bytes
        more = f", {device / 1e6:.0f} MB on the device" if device else ""
        yield "memory", f"at most {entry.peak_bytes / 1e6:.0f} MB{more}"
    if "objects" in record.get("result", {}):
        count = record["result"]["objects"]
        yield "found", f"{count} object{'' if count == 1 else 's'}"
    for file in entry.files:
        yield file.role, f"{file.name} ({file.size / 1e3:.0f} kB)"
    for place in entry.places:
        yield "written to", place
    for label, related in (
        ("replay of", entry.labels.parent),
        ("sweep", entry.labels.sweep),
        ("suite", entry.labels.suite),
        ("tags", ", ".join(row.tags)),
        ("rating", row.rating),
    ):
        if related:
            yield label, str(related)
    for note in entry.notes:
        yield "note", f"{_clock(note.written)}: {note.text}"
    if record:
        versions = [f"{name} {version}" for name, version in record["versions"].items()]
        yield "with", ", ".join([f"limner {record['limner']}", *versions, record["machine"]])


def _set(value: Any) -> str:
    """The settings that were set, of options; anything else as JSON."""
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    given = {key: setting for key, setting in value.items() if setting not in (None, "", [], {})}
    return ", ".join(f"{key} {setting}" for key, setting in given.items())

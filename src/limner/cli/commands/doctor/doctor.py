"""``limner doctor``: parse, look, print."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import click

from limner.cli.console import aligned, say, say_json
from limner.cli.help_page import HelpCommand

WIDTH = 80


@click.command(cls=HelpCommand)
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def doctor(as_json: bool) -> None:
    """Say what is here, what is missing for what, and what is broken.

    \b
    limner doctor
    limner doctor --json

    Nothing is fetched, and nothing is changed. Of variables of the environment only the names are
    shown. Exit code 1: something is broken; what is merely missing is none of that.
    """
    from limner.cli.commands.doctor.checkup import checkup

    facts = checkup()
    if as_json:
        say_json(facts, indent=2)
    else:
        for line in report(facts):
            say(line)
    if facts["problems"]:
        raise click.exceptions.Exit(1)


def report(facts: Mapping[str, Any]) -> Iterator[str]:
    """The facts for people, at most 80 columns but for paths and commands."""
    yield from _titled("Versions", _versions(facts))
    yield from _titled("Devices", _devices(facts["devices"]))
    yield from _titled("Extras", _extras(facts["extras"]))
    yield from _titled("Letters in pictures", _letters(facts["fonts"]))
    yield from _titled("Places", aligned(list(_places(facts))))
    yield from _titled("Profiles", _profiles(facts["profiles"], facts["faces"]))
    yield from _titled("Broken", facts["problems"] or ["nothing that could be seen"])


def _titled(title: str, lines: Any) -> Iterator[str]:
    yield title
    for line in lines:
        yield f"  {line}"
    yield ""


def _versions(facts: Mapping[str, Any]) -> list[str]:
    head = f"limner {facts['limner']}, Python {facts['python']}, {facts['system']}"
    names = [f"{name} {version or 'MISSING'}" for name, version in facts["packages"].items()]
    return [*_wrapped(head), *_wrapped(", ".join(names))]


def _devices(devices: list[dict[str, Any]]) -> Iterator[str]:
    for device in devices:
        memory = f"{device['memory_bytes'] / 1e9:.1f} GB" if device["memory_bytes"] else ""
        parts = (device["what"], memory, f"computes in {device['dtype']}")
        yield from _wrapped(f"{device['name']}: {', '.join(filter(None, parts))}")
    if not any(device["name"].startswith(("cuda", "mps")) for device in devices):
        yield "no GPU: models compute on the CPU"


def _extras(extras: list[dict[str, Any]]) -> Iterator[str]:
    if not extras:
        yield "not known: limner isn't installed as a package"
    here = [extra for extra in extras if extra["here"]]
    for extra in here:
        versions = ", ".join(f"{name} {version}" for name, version in extra["packages"].items())
        yield from _wrapped(f"{extra['name']}: {versions}")
    for extra in extras:
        if not extra["here"]:
            yield from _wrapped(f"{extra['name']} is missing, for {extra['for']}:")
            yield f"    {extra['install']}"


def _letters(fonts: Mapping[str, str | None]) -> Iterator[str]:
    yield from _wrapped(", ".join(f"{script} ({font})" for script, font in fonts.items() if font))
    if missing := [script for script, font in fonts.items() if not font]:
        yield from _wrapped(
            f"no font here has {', '.join(missing)}: such labels are written as code points "
            "(\\u732b) until a font that has them is installed, such as Noto's"
        )


def _places(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    home, store, cache = facts["home"], facts["store"], facts["cache"]
    if home["path"]:
        yield "models", _size(home["models_bytes"]), f"{home['path']}/models"
        if home["unfinished_bytes"]:
            yield "", _size(home["unfinished_bytes"]), "of unfinished downloads"
        yield "subjects", _size(home["subjects_bytes"]), f"{home['path']}/subjects"
        yield "free", _size(home["free_bytes"]), "on that disk"
    where = store["path"] or "runs aren't kept"
    asked = {None: " (a server's, not asked)", False: " (not there yet)"}
    note = asked.get(store.get("there", True), "") if store["path"] else ""
    yield "runs", _size(store["bytes"]), where + note
    most = f" (at most {_size(cache['most_bytes'])})" if cache["path"] else ""
    yield "cache", _size(cache["bytes"]), (cache["path"] or "answers aren't kept") + most
    settled = facts["configuration"]
    sets = ", ".join(settled["sets"]) or ("no file" if not settled["there"] else "sets nothing")
    yield "settings", sets, settled["path"] or "no file is read (LIMNER_CONFIG=off)"
    if settled["environment"]:
        yield "", "", ", ".join(settled["environment"])


def _profiles(profiles: Mapping[str, Any], faces: str) -> Iterator[str]:
    for name, profile in profiles.items():
        if not profile["missing"]:
            yield f"{name}: all here"
            continue
        size = _size(profile["download_mb"] * 1e6)
        yield from _wrapped(f"{name} lacks {', '.join(profile['missing'])} ({size}):")
        yield f"    {profile['pull'] or 'limner models info ' + profile['missing'][0]}"
    yield f"faces are looked for by {faces}"
    if faces == "haar":
        yield "    which misses most of them: limner models pull centerface"


def _size(size: float) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH - 2,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )

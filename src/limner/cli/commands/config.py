"""``limner config``: what is settled for all commands, and where each value comes from."""

from __future__ import annotations

from pathlib import Path

import click

from limner.cli.configuration import KEYS, ROLES, Key, Setting, Value, key_of, settings
from limner.cli.console import aligned, say, say_json
from limner.cli.help_page import HelpGroup
from limner.errors import OptionError, UnknownModel
from limner.home import configuration_file


@click.group(
    cls=HelpGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
def config(ctx: click.Context) -> None:
    """What commands take where nothing is typed: profile, store, trackers, models.

    A flag comes before the environment, that before the file, and the file before what limner takes
    by itself. Who names a profile in one of them sets aside the models that later ones name.
    Python's Session takes nothing from it. `limner config` alone is `limner config show`.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(show, as_json=False)


@config.command("show")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(as_json: bool) -> None:
    """Show each setting, its value, and where that comes from.

    \b
    limner config show
    limner config show --json
    """
    resolved = settings()
    path = configuration_file()
    if as_json:
        values = {name: _facts(name, setting) for name, setting in resolved.items()}
        file = {"path": path and str(path), "there": bool(path and path.is_file())}
        say_json({"file": file, "settings": values}, indent=2)
        return
    rows = [("setting", "value", "from")]
    for name, setting in resolved.items():
        source = "the file" if setting.source == str(path) else setting.source
        rows.append((name, _shown(setting.value) or KEYS[name].default, setting.idle or source))
    for line in aligned(rows):
        say(line)
    say(f"file: {_place(path)}")


@config.command("set")
@click.argument("name")
@click.argument("value")
def set_value(name: str, value: str) -> None:
    """Settle one of them in the file; several trackers with commas between.

    \b
    limner config set profile mini
    limner config set models.detector owlvit-base-patch32
    """
    from limner.cli.configuration_edit import with_value

    key = key_of(name)
    parsed = _parsed(key, value)
    path = _writable()
    _write(path, with_value(_text(path), name, parsed))
    say(f"{name} = {_shown(parsed)}  {path}")
    _say_overruled(key, parsed)


@config.command("unset")
@click.argument("name")
def unset(name: str) -> None:
    """Take one of them out of the file.

    \b
    limner config unset profile
    limner config unset models.detector
    """
    from limner.cli.configuration import read
    from limner.cli.configuration_edit import without

    key_of(name)
    path = _writable()
    if name not in read():
        say(f"limner: {path} doesn't set {name}.", err=True)
        return
    _write(path, without(_text(path), name))
    say(f"{name} is no longer set  {path}")


@config.command("path")
def show_path() -> None:
    """Print where the file is, or would be.

    \b
    limner config path
    cat "$(limner config path)"
    """
    say(str(_writable()))


def _facts(name: str, setting: Setting) -> dict[str, object]:
    value = list(setting.value) if isinstance(setting.value, tuple) else setting.value
    return {
        "value": value,
        "from": setting.source,
        "default": KEYS[name].default,
        "flag": KEYS[name].flag,
        "variable": KEYS[name].variable,
    }


def _shown(value: Value | None) -> str:
    return ", ".join(value) if isinstance(value, tuple) else value or ""


def _place(path: Path | None) -> str:
    if path is None:
        return "none is read (LIMNER_CONFIG=off)"
    return str(path) if path.is_file() else f"{path} (not there)"


def _parsed(key: Key, text: str) -> Value:
    """A value as it is kept, if commands will take it.

    Raises:
        OptionError, UnknownModel, MissingExtra: they won't.
    """
    if not text.strip():
        raise OptionError(f"{key.name} takes a value: limner config unset {key.name} removes it.")
    if key.name == "profile":
        from limner.registry.catalog import profile

        profile(text)
    elif key.name == "store" and text.lower() != "off":
        from limner.runs.location import locate

        locate(text)
    elif key.is_list:
        from limner.trackers import parse_names

        return parse_names(text)
    elif key.name.startswith("models."):
        _check_model(key.name.removeprefix("models."), text)
    return text


def _check_model(role: str, name: str) -> None:
    """Refuse a name that no model has, and a model for something else."""
    from limner.cli.options.session import TASK_OF
    from limner.registry.catalog import names
    from limner.registry.resolve import resolve
    from limner.registry.weights import as_path, is_path, members_of

    assert role in ROLES
    task = TASK_OF[role]
    for member in members_of(task, name):
        if is_path(as_path("", member)):
            continue
        entry, _ = resolve(member)
        if task not in entry.tasks:
            able = ", ".join(names(task))
            raise UnknownModel(f"{entry.name} can't be the {role}: to {task} there is {able}.")


def _writable() -> Path:
    """The file's place.

    Raises:
        OptionError: none is read.
    """
    path = configuration_file()
    if path is None:
        raise OptionError("LIMNER_CONFIG is off: no file is read. Unset it, or name one.")
    return path


def _text(path: Path) -> str:
    """What the file holds, which must be right already: a slip in it is mended first."""
    from limner.cli.configuration import MOST_BYTES, read
    from limner.errors import FileMissing
    from limner.untrusted.regular_files import read_text

    read()
    try:
        return read_text(path, limit=MOST_BYTES, what="configuration")
    except FileMissing:
        return ""


def _write(path: Path, text: str) -> None:
    from limner.io.save import write_atomic

    write_atomic(path, text, overwrite=True)


def _say_overruled(key: Key, value: Value) -> None:
    setting = settings()[key.name]
    if setting.value != value:
        reason = setting.idle or f"{setting.source} says {_shown(setting.value)}"
        say(f"limner: It doesn't count now: {reason}.", err=True)

"""``limner teach list | show | export | merge``: subjects that were taught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from limner.cli.commands.score.subject_options import print_scores
from limner.cli.console import aligned, say, say_json
from limner.cli.help_page import HelpCommand
from limner.cli.options.report import print_table
from limner.errors import ModelError, OutputError


@click.command("list", cls=HelpCommand)
@click.option("--json", "as_json", is_flag=True, help="All cards as JSON on stdout.")
def listed(as_json: bool) -> None:
    """List the subjects that were taught.

    \b
    limner teach list
    limner teach list --json
    """
    from limner.registry import subjects

    taught = subjects.all_subjects(lambda sentence: say(f"limner: {sentence}", err=True))
    if as_json:
        say_json([dict(subject.card) for subject in taught])
        return
    if not taught:
        say("No subject was taught yet: limner teach --help says how.", err=True)
        return
    columns = ("name", "say", "model", "trained", "steps")
    print_table(columns, [_row(subject.card) for subject in taught])


def _row(card: Any) -> tuple[str, ...]:
    trained = f"LoRA {card['rank']}" if card.get("rank") else "all weights"
    return card["name"], card["called"], card["base"]["name"], trained, str(card["steps"])


@click.command(cls=HelpCommand)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="The card as JSON on stdout.")
def show(name: str, as_json: bool) -> None:
    """Say how a subject was taught, and how its checkpoints scored.

    \b
    limner teach show mybag
    limner teach show mybag --json
    """
    from limner.registry import subjects
    from limner.registry.subject_readme import judged

    subject = subjects.find(name)
    card = subject.card
    if as_json:
        say_json(dict(card))
        return
    base = card["base"]
    revision = base.get("revision") or "not known"
    rows = [
        ("name", name),
        ("say", card["called"]),
        ("model", f"{base['name']} ({card.get('kind', 'kind not known')}), revision {revision}"),
        ("instance prompt", card["instance_prompt"]),
        ("class prompt", card["class_prompt"]),
        ("photographs", ", ".join(card.get("photographs", ()))),
        ("class images", str(card.get("class_images", "not known"))),
        ("steps", f"{card['steps']} at {card['side']} px"),
        ("settings", ", ".join(f"{k} {v}" for k, v in card.get("options", {}).items())),
        ("licence", card["licence"]),
        ("consent", card.get("consent") or "not asked for"),
        *(("warning", sentence) for sentence in card.get("warnings", ())),
        ("created", card["created"]),
        ("folder", str(subject.folder)),
    ]
    for line in aligned(rows):
        say(line)
    if scores := card.get("scores"):
        say("")
        best = scores.get("best") or "none is good enough"
        say(f"scores of its checkpoints, {judged(scores)}; best: {best}")
        print_scores(scores)
        for path in scores.get("pictures", ()):
            say(str(subject.folder / path))


@click.command(cls=HelpCommand)
@click.argument("name")
@click.option(
    "--layout",
    type=click.Choice(("diffusers", "kohya")),
    default="diffusers",
    show_default=True,
    help="kohya is what A1111 and ComfyUI read.",
)
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="A .safetensors.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
def export(name: str, layout: str, out: Path, overwrite: bool) -> None:
    """Write a subject's adapter for another program.

    \b
    limner teach export mybag -o mybag.safetensors
    limner teach export mybag --layout kohya -o mybag-a1111.safetensors
    """
    from limner.io.save import write_atomic
    from limner.registry import subjects

    subject = subjects.find(name)
    adapter = subjects.adapter_of(name)
    if out.suffix != ".safetensors":
        raise OutputError(f"An adapter is a .safetensors file, got {out}.")
    from limner.training.merge import diffusers_layout, kohya

    if layout == "kohya":
        data = kohya(adapter.path, xl=bool(subject.card.get("xl")))
    else:
        data = diffusers_layout(adapter.path)
    write_atomic(out, data, overwrite=overwrite)
    say(f"{out}  {layout}, for {subject.card['base']['name']}")


@click.command(cls=HelpCommand)
@click.argument("names", nargs=-1, required=True, metavar="NAME[=WEIGHT]...")
@click.option("--model", help="The model to merge into (default: the one they were taught to).")
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--overwrite", is_flag=True, help="Replace a folder that a merge made.")
def merge(names: tuple[str, ...], model: str | None, out: Path, overwrite: bool) -> None:
    """Write a whole model that knows the subjects, for --inpainter or another program.

    \b
    limner teach merge mybag -o bag-painter
    limner teach merge mybag=0.8 --model mini-sd-inpaint -o bag-painter-less
    """
    from limner.registry import pool, subjects

    adapters = [subjects.adapter_of(*subjects.parse(text)) for text in names]
    bases = {_asked_for(text) for text in names} - {None}
    if model is None and len(bases) != 1:
        known = ", ".join(sorted(map(str, bases))) or "none"
        raise ModelError(f"--model must say which model to merge into; taught were {known}.")
    if out.exists() and not (overwrite and (out / "model_index.json").is_file()):
        raise OutputError(f"{out} is there already: name a new folder, or pass --overwrite.")
    from limner.training.merge import merge as merged

    with pool.no_progress_bars():
        try:
            merged(model or str(next(iter(bases))), adapters, out)
        except OSError as error:
            raise OutputError(f"{out} can't be written: {error}.") from error
    say(f"{out}  knows {', '.join(adapter.name for adapter in adapters)}")


def _asked_for(text: str) -> str | None:
    """The model that a subject was taught to; None for a LoRA file of somebody's."""
    from limner.registry import subjects
    from limner.registry.weights import is_path

    name, _ = subjects.parse(text)
    if is_path(name):
        return None
    return str(subjects.find(name).card["base"]["asked_for"])

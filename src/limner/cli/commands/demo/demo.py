"""``limner demo``: the main job in one go, offline, and a page that shows it."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from limner.cli.batch.output_paths import check_writable, os_errors
from limner.cli.commands.demo.choice import ALIKE, FILES, FIND, PAINT, PAIR, SEED
from limner.cli.console import say
from limner.cli.help_page import HelpCommand
from limner.errors import OutputError

if TYPE_CHECKING:
    from limner.cli.commands.demo.page import FinishedStep

INPUTS = ("scene.png", "photo.jpg")
PAGE = "index.html"

(FIRST, SECOND), (ON_FIRST, ON_SECOND) = PAIR["things"], PAIR["clicks"]
PATCH, HEAD = "172,384", "150,0,310,215"
SCALES, SEEDS = (1, 2, 4, 8), 2
EDIT = f'limner edit scene.png --find "{FIND}" --paint "{PAINT}" --profile mini'


@dataclass(frozen=True)
class Step:
    """What a person wants, what they type, and the pictures that come of it."""

    title: str
    meaning: str
    """A sentence for somebody who has never seen the command."""
    commands: tuple[str, ...]
    """Run one after the other, in the page's folder; each has its picture after ``-o``."""
    pictures: int = 1
    """Painted by each command."""
    columns: tuple[str, ...] = ()
    """Of a contact sheet: what each command differs in. Its rows are seeds."""
    minis: tuple[str, ...] = ()
    """That it needs. A step whose minis aren't in the installation is left out, aloud."""


FINDER, OUTLINER, PAINTER = "mini-owlvit", "mini-sam", "mini-sd-inpaint"

SCENE = (
    Step(
        "Find it by name",
        "A phrase becomes a box.",
        (f'limner detect scene.png --text "{FIND}" --profile mini -o found.png',),
        minis=(FINDER,),
    ),
    Step(
        "Outline it",
        "The box becomes a mask.",
        (f'limner segment scene.png --text "{FIND}" --profile mini -o outlined.png',),
        minis=(FINDER, OUTLINER),
    ),
    Step(
        "Paint something else there",
        "Only what the mask covers is repainted, by a painter that learned drawings at 64 pixels.",
        (f"{EDIT} --seed {SEED} -o painted.png",),
        minis=(FINDER, OUTLINER, PAINTER),
    ),
    Step(
        "Take it away",
        "The hole is filled with what surrounds it.",
        (f'limner remove scene.png --find "{FIND}" --profile mini -o removed.png',),
        minis=(FINDER, OUTLINER),
    ),
    Step(
        "Say what you don't mean",
        f"The dashed box holds {FIRST} and {SECOND}. A click on each says which one is meant.",
        tuple(
            f"limner segment scene.png --box {PAIR['box']} --point {meant} --point {other}:bg "
            f"--profile mini -o meant-{k}.png"
            for k, (meant, other) in enumerate([(ON_FIRST, ON_SECOND), (ON_SECOND, ON_FIRST)], 1)
        ),
        minis=(OUTLINER,),
    ),
    Step(
        "Find more like this one",
        f"No words: one {ALIKE['noun']} was boxed as an example.",
        (
            f"limner detect scene.png --exemplar scene.png@{ALIKE['example']} --profile mini "
            "-o alike.png",
        ),
        minis=(FINDER,),
    ),
    Step(
        "Compare settings",
        "One prompt, four guidance scales, two seeds: how strictly should the words be followed?",
        tuple(
            f"{EDIT} --guidance-scale {scale} --seed {SEED} --num-images-per-prompt {SEEDS} "
            f"-o guidance-{scale}.png"
            for scale in SCALES
        ),
        pictures=SEEDS,
        columns=tuple(f"guidance {scale}" for scale in SCALES),
        minis=(FINDER, OUTLINER, PAINTER),
    ),
)

PHOTO = (
    Step(
        "Outline by click and by box",
        "The mission patch by a click, the head by a box.",
        (f"limner segment photo.jpg --point {PATCH} --object --box {HEAD} -o photo-outlined.png",),
    ),
    Step(
        "Take the patch off",
        "The suit goes on where the patch was.",
        (f"limner remove photo.jpg --point {PATCH} -o photo-removed.png",),
    ),
    Step(
        "Hide the face",
        "Found by name, blurred, and looked for again: still found, it would not be saved.",
        ("limner redact photo-removed.png --text face -o photo-redacted.png",),
    ),
)


@click.command(cls=HelpCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("limner-demo"),
    show_default=True,
    help="A folder for the page and its pictures.",
)
def demo(out: Path) -> None:
    """Show what limner does: the main job on a drawn scene and a photograph, offline.

    \b
    limner demo
    limner demo -o page

    Runs commands as you would type them, says each, and writes a page with what each one made. The
    scene is answered by the tiny models that ship with limner, the photograph by classical methods.
    """
    take_folder(out)
    started = time.perf_counter()
    heard: set[str] = set()
    scene: list[FinishedStep] = []
    photo: list[FinishedStep] = []
    steps = [(step, scene) for step in possible(SCENE)] + [(step, photo) for step in PHOTO]
    with contextlib.chdir(out):
        _write(scene, photo, None)  # first of all: by its page the folder is known as ours
        for name in INPUTS:
            shutil.copyfile(FILES / name, name)
        for step, finished in steps:
            finished.append(_run(step, heard))
            _write(scene, photo, None)
        _write(scene, photo, time.perf_counter() - started)
    say("")
    say(f"Open {out / PAGE}")


def possible(steps: Sequence[Step]) -> list[Step]:
    """Those whose minis are here; the others are named."""
    from limner.registry.store import is_here

    lacking = {name for step in steps for name in step.minis if not is_here(name)}
    if lacking:
        left = "; ".join(step.title for step in steps if lacking & {*step.minis})
        say(f"Not in this installation: {', '.join(sorted(lacking))}. Left out: {left}.", err=True)
    return [step for step in steps if not lacking & {*step.minis}]


def take_folder(out: Path) -> None:
    """Make the folder, or take the one of an earlier demo.

    Raises:
        OutputError: it can't be written, or holds something other than an earlier demo.
    """
    from limner.cli.commands.demo.page import MARK

    check_writable(out)
    with os_errors(out, OutputError):
        out.mkdir(parents=True, exist_ok=True)
        page = out / PAGE
        ours = page.is_file() and MARK in page.read_text(encoding="utf-8", errors="replace")
        if any(out.iterdir()) and not ours:
            raise OutputError(
                f"{out} holds other files than those of an earlier demo: name a new folder with "
                "--out."
            )


def _run(step: Step, heard: set[str]) -> FinishedStep:
    """Do one step in the working folder.

    Args:
        heard: notes and warnings that were passed on; each command says anew that a mini answers.

    Raises:
        click.exceptions.Exit: a command failed, and has said why.
    """
    from limner.cli.app import main
    from limner.cli.commands.demo.page import FinishedStep, read_result

    say("")
    say(f"# {step.title}. {step.meaning}")
    results = []
    for command in step.commands:
        say(f"$ {command}")
        sys.stdout.flush()
        started = time.perf_counter()
        words = shlex.split(command)[1:]
        with contextlib.redirect_stderr(io.StringIO()) as notes:
            code = main([*words, "--overwrite", "--no-store"])
        for note in notes.getvalue().splitlines():
            if note not in heard:
                say(note, err=True)
            heard.add(note)
        if code:
            raise click.exceptions.Exit(code)
        picture = Path(words[-1])
        results.append(read_result(picture, step.pictures, time.perf_counter() - started))
    return FinishedStep(step.title, step.meaning, step.commands, tuple(results), step.columns)


def _write(
    scene: Sequence[FinishedStep], photo: Sequence[FinishedStep], seconds: float | None
) -> None:
    """The page as far as it goes. Written after each step, so that it can be looked at."""
    from limner.cli.commands.demo.page import page
    from limner.io.save import write_atomic

    write_atomic(Path(PAGE), page(scene, photo, seconds), overwrite=True)

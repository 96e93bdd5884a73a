"""The ``limner`` command: which module holds which verb, and how errors become exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from limner.cli.check_words import check_words
from limner.cli.console import say, say_lines
from limner.cli.help_page import HelpGroup
from limner.cli.process import check_working_folder, open_closed_streams, sentence_of
from limner.cli.slips import check_command, check_values
from limner.cli.usage_errors import usage_sentence
from limner.errors import LimnerError
from limner.version import __version__

COMMANDS = {
    "detect": (
        "limner.cli.commands.detect",
        "Boxes around what a phrase or an example image names.",
    ),
    "segment": ("limner.cli.commands.detect", "Outline what you click on, box or name."),
    "label": (
        "limner.cli.commands.label",
        "Prompts for many pictures become one labelled dataset.",
    ),
    "compare": (
        "limner.cli.commands.compare",
        "One question to several models, their answers side by side.",
    ),
    "edit": ("limner.cli.commands.edit", "Replace what is found by what --paint says."),
    "remove": ("limner.cli.commands.edit", "Take an object away and continue its surroundings."),
    "extend": ("limner.cli.commands.extend", "Grow the canvas, and paint what is on the new part."),
    "generate": ("limner.cli.commands.generate", "Make a picture from words alone."),
    "cutout": ("limner.cli.commands.edit", "An object alone on transparency."),
    "background": ("limner.cli.commands.edit", "Keep an object and change everything behind it."),
    "redact": ("limner.cli.commands.edit", "Hide faces, plates or anything else, then look again."),
    "caption": ("limner.cli.commands.caption", "Say in a sentence what is in a picture."),
    "teach": ("limner.cli.commands.teach.teach", "Teach a model a subject from a few photographs."),
    "eval": ("limner.cli.commands.eval", "Run a suite of prompt tests, as CI does."),
    "sweep": (
        "limner.cli.commands.sweep",
        "Try many settings of one verb, and lay out what comes.",
    ),
    "demo": ("limner.cli.commands.demo.demo", "Show it all, offline, on one page."),
    "score": (
        "limner.cli.commands.score.score",
        "How good boxes, outlines, edits and portraits are.",
    ),
    "probe": (
        "limner.cli.commands.probe",
        "How far an answer hangs on its prompt, and the worst case.",
    ),
    "tune": (
        "limner.cli.commands.tune",
        "A detection threshold for each phrase, and how sure it is.",
    ),
    "runs": ("limner.cli.commands.runs.runs", "List, explain, compare and replay what was done."),
    "models": ("limner.cli.commands.models.models", "List, explain, fetch and locate models."),
    "doctor": (
        "limner.cli.commands.doctor.doctor",
        "What is here, what is missing for what, what is broken.",
    ),
    "config": ("limner.cli.commands.config", "Settle profile, store, models and trackers once."),
}
"""Verb -> (module that defines it, its line in ``--help``): the help needs no module loaded."""

COMPLETE = "_LIMNER_COMPLETE"
"""Set where a shell asks for completions, which click answers and exits by itself."""
INTERRUPTED = 130
BROKEN_PIPE = 141
INTERNAL = 70  # EX_SOFTWARE of sysexits.h


class LazyGroup(HelpGroup):
    """A group that imports a command's module when the command is used."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``limner help segment`` is ``limner segment --help``."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """click's, which answers a slip with what was probably meant."""
        if ctx.resilient_parsing:  # a shell completes what isn't all typed yet
            return super().resolve_command(ctx, args)
        check_command(self, ctx, args)
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            inner = click.Context(command, ctx, name)
            if type(command) is HelpGroup:  # limner teach reads its first word by itself
                check_command(command, inner, rest)
            elif not isinstance(command, click.Group):
                check_values(command, inner, rest)
        return name, command, rest

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), cmd_name)
        assert isinstance(command, click.Command)
        return check_words(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="limner")
def limner() -> None:
    """Point at it, box it, show it or say it; limner outlines it, repaints it, and says how.

    \b
    limner segment photo.jpg --point 350,450
    limner remove photo.jpg --box 530,180,780,600
    limner redact street.jpg --text face
    limner help segment

    Coordinates are pixels of the upright image, x to the right, y down, or percentages (50%,40%).
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code and never raises.

    0 done; 1 done, but the result was refused (nothing found with --fail-if-empty, still visible);
    2 bad input or a model that can't answer; 70 a bug of ours; 130 interrupted; 141 the
    reader of our output went away.
    """
    open_closed_streams()
    stdout = sys.stdout
    try:
        words = list(sys.argv[1:] if argv is None else argv)
        check_working_folder()
        code = limner.main(
            words, "limner", complete_var=COMPLETE, standalone_mode=False
        )  # an exit code where a command set one
        sys.stdout.flush()  # here, where a reader that went away is not an error
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        return _usage(error)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except LimnerError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _fail("Interrupted; finished results are kept, run again to go on.", INTERRUPTED)
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and os.environ.get(COMPLETE):
            return error.code if isinstance(error.code, int) else 0
        # click swaps the streams and exits by itself, with 1, when a pipe breaks; any other exit is
        # asked for by code that has no business to.
        if isinstance(error, BrokenPipeError) or sys.stdout is not stdout:
            # The reader of our output went away (`limner … | head`): not our error, nothing to say.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        return _bug(error)
    except Exception as error:
        if sentence := sentence_of(error):
            return _fail(sentence, 2)
        return _bug(error)


def _usage(error: click.UsageError) -> int:
    """What click refuses, in one sentence; a group without a command shows its help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say_lines(error.format_message(), err=True)
        return error.exit_code
    return _fail(usage_sentence(error), error.exit_code)


def _bug(error: BaseException) -> int:
    if os.environ.get("LIMNER_DEBUG"):
        raise error
    return _fail(
        f"A bug in limner ({type(error).__name__}: {error}). Please report it; "
        "LIMNER_DEBUG=1 shows where it happened.",
        INTERNAL,
    )


def _fail(sentence: str, code: int) -> int:
    say(f"limner: {sentence}", err=True)
    return code

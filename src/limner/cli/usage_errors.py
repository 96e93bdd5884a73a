"""What click refuses, said as limner says it: what came, what was expected, what to type."""

from __future__ import annotations

import re

import click

from limner.cli.help_page import HelpText

MOST_NEAR = 3
"""Names that are offered for one that isn't there."""

_EXTRA = re.compile(r"Got unexpected extra arguments? \((.*)\)", re.DOTALL)


def usage_sentence(error: click.UsageError) -> str:
    """One sentence or two for a command line that can't be meant."""
    if isinstance(error, click.MissingParameter):
        return _missing(error)
    if isinstance(error, click.BadParameter):
        return f"{_name(error.param)}: {error.message}" if error.param else error.message
    if isinstance(error, click.NoSuchOption):
        return _no_such_option(error)
    if isinstance(error, click.BadOptionUsage):
        return _bad_option(error)
    if (extra := _EXTRA.fullmatch(error.message)) and error.ctx is not None:
        names = _arguments(error.ctx.command)
        takes = f"takes {' '.join(names)} and no more" if names else "takes flags alone"
        return f"{error.ctx.command_path} {takes}; got {extra[1]!r} too.{_example(error.ctx)}"
    return error.format_message()


def _missing(error: click.MissingParameter) -> str:
    if error.param is None:
        return error.format_message()
    return f"{_name(error.param)} is missing.{_example(error.ctx)}"


def _no_such_option(error: click.NoSuchOption) -> str:
    path = error.ctx.command_path if error.ctx else "limner"
    near = sorted(error.possibilities or ())[:MOST_NEAR]
    if near:
        *others, last = near
        meant = f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
    else:
        meant = f"{path} --help lists those that there are."
    return f"{path} has no option {error.option_name}: {meant}"


def _bad_option(error: click.BadOptionUsage) -> str:
    flag = error.option_name
    options = error.ctx.command.params if error.ctx else []
    option = next((each for each in options if flag in each.opts), None)
    if not isinstance(option, click.Option) or error.ctx is None:
        return error.format_message()
    if option.is_flag or option.count:
        return f"{flag} takes no value: write it alone."
    means = f": {option.help}" if option.help else "."
    return f"{flag} takes {option.metavar or option.type.name.upper()} after it{means}"


def _name(parameter: click.Parameter) -> str:
    """As it is typed: the long form of a flag, the name of an argument."""
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=lambda flag: flag.startswith("--"))
    return parameter.human_readable_name.split()[0].removesuffix("...")


def _arguments(command: click.Command) -> list[str]:
    return [_name(each) for each in command.params if isinstance(each, click.Argument)]


def _example(ctx: click.Context | None) -> str:
    """The command's first example, as a further sentence."""
    text = HelpText.of(ctx.command.help if ctx else None)
    if not text.examples:
        return ""
    line, *_ = text.examples[0].replace("\\\n", " ").splitlines()
    return f" For example: {' '.join(line.split())}"

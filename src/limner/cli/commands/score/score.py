"""``limner score``: which module holds which of its verbs."""

from __future__ import annotations

import click

from limner.cli.commands.score.score_detect import detect
from limner.cli.commands.score.score_edit import edit
from limner.cli.commands.score.score_segment import segment
from limner.cli.commands.score.score_subject import subject
from limner.cli.help_page import HelpGroup


@click.group(cls=HelpGroup, context_settings={"help_option_names": ["-h", "--help"]})
def score() -> None:
    """How good boxes, outlines, edits and portraits of a subject are."""


for command in (segment, detect, edit, subject):
    score.add_command(command)

"""``limner teach score``: every checkpoint of a subject, and which one to keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.commands.score.subject_options import (
    check_places,
    draw_sheet,
    judges_of,
    judging_options,
    painting_of,
    painting_options,
    print_scores,
)
from limner.cli.console import say, say_note
from limner.cli.help_page import HelpCommand
from limner.cli.options.charts import charts_option, draw_charts
from limner.cli.options.report import model_options, report_options, write_report
from limner.cli.progress import progress
from limner.errors import InputError, NothingFound
from limner.registry.device import let_threads_sleep
from limner.session.scorecard import (
    TRADE_OFF,
    Scorecard,
    SubjectNames,
    score_painters,
    trade_off,
)

if TYPE_CHECKING:
    from limner.registry.subjects import Subject


@click.command(cls=HelpCommand)
@click.argument("name")
@click.argument("photographs", type=click.Path(path_type=Path))
@painting_options
@judging_options
@click.option("--take-best", is_flag=True, help="Make the best checkpoint the subject.")
@model_options("encoder")
@report_options
@charts_option
def score(**given: Any) -> None:
    """Score every checkpoint of a subject against its PHOTOGRAPHS, and name the best.

    \b
    limner teach score mybag portraits --profile mini --prompts 2 --seeds 1
    limner teach score mybag portraits --profile mini --seeds 1 -o s.json

    DreamBooth's DINO, CLIP-I, CLIP-T, PRES and DIV over its dataset's prompts; leak and drift say
    what became of the class when the identifier isn't said. The scores stay on the subject's card.
    """
    from limner.registry import pool, subjects

    let_threads_sleep()  # before torch comes
    from limner.training import checkpoints

    check_places(given)
    subject = subjects.find(given["name"])
    whole = {str(step): path for step, path in checkpoints.find(subject.run / "checkpoints")}
    if not whole:
        raise InputError(f"{given['name']} has no checkpoints in {subject.run}: teach it again.")
    card = subject.card
    names = SubjectNames(
        card["base"]["asked_for"], card["instance_prompt"], card["class_prompt"], card["side"]
    )
    judges, options = judges_of(given), painting_of(given)
    with pool.no_progress_bars(), progress("painters") as on_step:
        scorecard = score_painters(
            names, given["photographs"], whole, judges, options, on_step=on_step, notify=say_note
        )
    report, best = scorecard.report, scorecard.report["best"]
    subject = _on_card(subject, scorecard)
    if given["take_best"] and best:
        subject = subjects.take(subject, whole[best], int(best))
    write_report(given, {"what": "teach score", "subject": dict(subject.card), **report})
    draw_sheet(scorecard, given, subject.name, "step")
    if given["charts"]:
        draw_charts(given, trade_off(report, subject.name))
    if not given["as_json"]:
        print_scores(report)
        then = ", now the subject" if given["take_best"] else " (--take-best makes it the subject)"
        say(f"best: step {best}{then}" if best else f"best: {scorecard.none_is_good()}")
    if given["take_best"] and not best:
        raise NothingFound(
            f"No checkpoint of {subject.name} was taken: {scorecard.none_is_good()}. Teach it "
            "longer, or with other settings."
        )


def _on_card(subject: Subject, scorecard: Scorecard) -> Subject:
    """The subject with its scores, their trade-off and portraits by the best checkpoint."""
    from limner.evaluation.charts.style import save_chart
    from limner.io.save import save_image
    from limner.registry import subjects

    place, pictures = subject.folder / subjects.SCORES, []
    for figure in trade_off(scorecard.report, subject.name).values():
        pictures.append(save_chart(figure, place / f"{TRADE_OFF}.png", overwrite=True))
    for number, picture in enumerate(scorecard.thumbnails()):
        pictures.append(save_image(picture, place / f"{number:02}.jpg", overwrite=True))
    paths = [path.relative_to(subject.folder).as_posix() for path in pictures]
    return subjects.rewrite(subject, {"scores": {**scorecard.report, "pictures": paths}})

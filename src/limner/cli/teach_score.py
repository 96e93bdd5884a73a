"""``limner teach score``: every checkpoint of a subject, and which one to keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.find import session_of
from limner.cli.measuring import (
    check_report,
    model_options,
    models_used,
    print_table,
    report_options,
    shown,
    write_report,
)
from limner.cli.say import progress, say
from limner.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.evaluation.subject_card import CheckpointScores, SubjectCard
    from limner.models.subjects import Subject

COLUMNS = ("step", "DINO", "CLIP-I", "CLIP-T", "PRES", "leak", "drift", "worth")


@click.command()
@click.argument("name")
@click.argument("photographs", type=click.Path(path_type=Path))
@click.option(
    "--prompts",
    "count",
    type=click.IntRange(1, 25),
    default=25,
    show_default=True,
    help="How many of the dataset's 25 prompts.",
)
@click.option("--seeds", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--live", is_flag=True, help="The dataset's prompts for animals and people.")
@click.option("--sample-batch-size", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--dino", help="Model of DINO (default: dino-vits16; mini-dino for mini).")
@click.option("--sheet", type=click.Path(path_type=Path), help="Also draw portraits side by side.")
@click.option("--take-best", is_flag=True, help="Make the best checkpoint the subject.")
@model_options("encoder")
@report_options
def score(**given: Any) -> None:
    """Score every checkpoint of a subject against its PHOTOGRAPHS, and name the best.

    DreamBooth's DINO, CLIP-I, CLIP-T and PRES over its dataset's prompts; leak and drift say what
    became of the class when the identifier isn't said.
    """
    from limner.evaluation.subject_card import SubjectCard
    from limner.models import runtime, subjects

    runtime.let_threads_sleep()  # before torch comes
    from limner.training import checkpoints, photographs

    check_report(given)
    subject = subjects.find(given["name"])
    whole = checkpoints.found(subject.run / "checkpoints")
    if not whole:
        raise InputError(f"{given['name']} has no checkpoints in {subject.run}: teach it again.")
    real = [one.image for one in photographs.read(given["photographs"], subject.card["side"]).kept]
    session, dino = session_of(given), _dino_session(given)
    said = _prompts(subject, given)
    pictures: dict[int, list[Image]] = {}
    card: SubjectCard | None = None
    rows: list[CheckpointScores] = []
    with runtime.no_progress_bars(), progress("checkpoints") as on_step:
        for number, (step, path) in enumerate([(0, None), *whole]):
            portraits, of_class = _painted(subject, path, said, given)
            pictures[step] = portraits
            if card is None:
                plain = [prompt for prompt in said["plain"] for _ in range(given["seeds"])]
                card = SubjectCard(
                    real,
                    portraits,
                    of_class,
                    plain,
                    dino=dino.models.encoder,
                    clip=session.models.encoder,
                )
            else:
                rows.append(card.score(step, portraits, of_class))
            on_step(number + 1, len(whole) + 1)
    assert card is not None
    best = card.best(rows)
    report = {
        "what": "teach score",
        "subject": dict(subject.card),
        "models": models_used(session, "encode") + models_used(dino, "encode"),
        "prompts": said["named"],
        "seeds": given["seeds"],
        "ceiling": {"dino": card.ceiling.dino, "clip_i": card.ceiling.clip_i},
        "rows": [{**row.to_dict(), "worth": card.worth(row)} for row in (card.untaught, *rows)],
        "best": best.step,
    }
    write_report(given, report)
    if given["sheet"]:
        _draw(given["sheet"], pictures, said["named"], given["seeds"], report, given["overwrite"])
    if given["take_best"]:
        _take(subject, dict(whole)[best.step], best.step)
    if not given["as_json"]:
        _say(card, rows, best, given["take_best"])


def _dino_session(given: dict[str, Any]) -> Any:
    from limner.cli.score_pictures import DINO, DINO_OF

    name = given["dino"] or DINO_OF.get(given["profile"], DINO)
    return session_of({**given, "encoder": name})


def _prompts(subject: Subject, given: dict[str, Any]) -> dict[str, list[str]]:
    """The dataset's prompts with the subject's name, and with its class alone."""
    from limner.evaluation.dreambooth_prompts import LIVE, OBJECTS

    chosen = (LIVE if given["live"] else OBJECTS)[: given["count"]]
    noun = subject.card["class"]
    named = f"{subject.card['identifier']} {noun}"
    return {
        "named": [prompt.format(named) for prompt in chosen],
        "plain": [prompt.format(noun) for prompt in chosen],
    }


def _painted(
    subject: Subject, checkpoint: Path | None, said: dict[str, list[str]], given: dict[str, Any]
) -> tuple[list[Image], list[Image]]:
    """Portraits, prompt by prompt and seed by seed; and pictures of the class alone."""
    from limner.models.runtime import choose
    from limner.training import portraits

    card, seeds, batch = subject.card, given["seeds"], given["sample_batch_size"]
    base = portraits.open_at(
        card["base"]["asked_for"], checkpoint, choose(given["device"], given["dtype"])
    )
    prompts = [prompt for prompt in said["named"] for _ in range(seeds)]
    numbers = [seed for _ in said["named"] for seed in range(seeds)]
    made = list(portraits.paint(base, prompts, numbers, card["side"], batch))
    many = [card["class_prompt"]] * len(prompts)
    others = list(portraits.paint(base, many, list(range(len(many))), card["side"], batch))
    return made, others


def _draw(
    out: Path,
    pictures: dict[int, list[Image]],
    prompts: list[str],
    seeds: int,
    report: dict[str, Any],
    overwrite: bool,
) -> None:
    """Checkpoints across, prompts down, the first seed of each."""
    from limner.evaluation.contact_sheet import Axis, Cell, contact_sheet
    from limner.saving import save_image

    columns = Axis("step", tuple(str(step) for step in pictures))
    rows = Axis("prompt", tuple(prompts))
    cells = {
        (row, column): Cell(made[row * seeds])
        for column, made in enumerate(pictures.values())
        for row in range(len(prompts))
    }
    sheet = contact_sheet(columns, rows, cells, title=report["subject"]["name"], best="", side=128)
    save_image(sheet, out, record=report, overwrite=overwrite)


def _take(subject: Subject, checkpoint: Path, step: int) -> None:
    """Make a checkpoint's adapter the subject's."""
    import hashlib
    import json

    from limner.models.subjects import ADAPTER, CARD
    from limner.saving import write_atomic

    if not (checkpoint / ADAPTER).is_file():
        raise InputError(
            f"{subject.name} is a whole model, taught by full fine-tuning: its last "
            "checkpoint stays."
        )
    data = (checkpoint / ADAPTER).read_bytes()
    write_atomic(subject.adapter, data, overwrite=True)
    card = {**subject.card, "steps": step, "sha256": hashlib.sha256(data).hexdigest()}
    text = json.dumps(card, indent=2, ensure_ascii=False)
    write_atomic(subject.folder / CARD, text + "\n", overwrite=True)


def _say(
    card: SubjectCard, rows: list[CheckpointScores], best: CheckpointScores, taken: bool
) -> None:
    table = [
        (
            "before" if row.step == 0 else str(row.step),
            *map(shown, (row.dino, row.clip_i, row.clip_t, row.pres, row.leak, row.drift)),
            shown(card.worth(row)),
        )
        for row in (card.untaught, *rows)
    ]
    table.append(("real", shown(card.ceiling.dino), shown(card.ceiling.clip_i), *["–"] * 5))
    print_table(COLUMNS, table)
    kept = ", now the subject" if taken else " (--take-best makes it the subject)"
    say(f"best: step {best.step}{kept}")

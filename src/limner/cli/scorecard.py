"""The scorecard of DreamBooth for anything that was taught: checkpoints, subjects, LoRA files.

What paints comes from ``training``, what judges from ``evaluation``; ``teach score`` and
``score subject --adapter`` both come here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.console import say
from limner.cli.options.report import models_used
from limner.cli.options.session import session_of
from limner.cli.progress import progress
from limner.errors import PromptError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from limner.protocols import Encoder
    from limner.registry.weights import Adapter, Runtime
    from limner.session import Session


REAL = "real"
"""The photographs, among painters."""
DINO_OF = {"mini": "mini-dino"}
"""By profile; elsewhere the paper's own."""
DINO = "dino-vits16"
TRADE_OFF = "trade-off"
"""The chart's name."""
CLASS_PICTURES = 32
"""At most, for a painter: all of one prompt, so that more would hardly move their mean."""
SHEET_SIDE = 128


def dino_session(given: Mapping[str, Any]) -> Session:
    """The session whose encoder is the DINO."""
    name = given["dino"] or DINO_OF.get(given["profile"], DINO)
    return session_of({**given, "encoder": name})


@dataclass(frozen=True)
class Asked:
    """Whose scores: the untaught model, and what the subject and its class are called."""

    model: str
    instance_prompt: str
    class_prompt: str
    side: int | None = None
    """Pixels; None: the model's own."""


@dataclass(frozen=True)
class Sitting:
    """What every painter is asked for: the same words and the same seeds."""

    model: str
    side: int
    prompts: tuple[str, ...]
    """With what the subject is called."""
    plain: tuple[str, ...]
    """The same with its class alone."""
    class_prompt: str
    seeds: int
    """For each prompt."""
    batch: int
    runtime: Runtime

    def each(self, prompts: Iterable[str]) -> list[str]:
        """Prompt by prompt, each as often as there are seeds."""
        return [prompt for prompt in prompts for _ in range(self.seeds)]

    def paint(self, learned: Path | Adapter | None) -> tuple[list[Image], list[Image]]:
        """Portraits, and pictures of the class alone."""
        from limner.training import samples

        prompts = self.each(self.prompts)
        count = min(len(prompts), CLASS_PICTURES)
        seeds = [*list(range(self.seeds)) * len(self.prompts), *range(count)]
        asked = [*prompts, *[self.class_prompt] * count]
        painter = samples.Painter(self.model, learned, self.runtime)
        made = painter.paint(asked, seeds, self.side, self.batch)
        return made[: len(prompts)], made[len(prompts) :]


@dataclass(frozen=True)
class Scored:
    """What was found, as JSON values, and what was painted."""

    report: dict[str, Any]
    """``rows``, the untaught model's first, each with ``name``, the scores and ``worth``;
    ``best``, a name, or None where none is good enough; ``half_way``; ``ceiling``; ``prompts``;
    ``seeds``; ``models``."""
    portraits: Mapping[str, Sequence[Image]]
    """By the names of the rows: prompt by prompt and seed by seed."""
    real: Sequence[Image]
    """The subject's photographs, as squares."""

    @property
    def closest(self) -> Mapping[str, Any]:
        """The row of the best, else of what is most like the photographs."""
        _, *rows = self.report["rows"]
        return max(rows, key=lambda row: (row["name"] == self.report["best"], row["dino"]))

    def thumbnails(self, most: int = 4) -> list[Image]:
        """A photograph, and portraits by the best, of as many different prompts."""
        made = self.portraits[self.closest["name"]][:: self.report["seeds"]]
        return [self.real[0], *made[:most]]

    def none_is_good(self) -> str:
        """Why no best is named."""
        closest = self.closest
        return (
            f"none is good enough: {closest['name']} comes closest, with DINO "
            f"{closest['dino']:.3f}, and half way from the untaught model to the photographs is "
            f"{self.report['half_way']:.3f}"
        )


def score_painters(
    asked: Asked,
    photographs: Path,
    learned: Mapping[str, Path | Adapter],
    given: Mapping[str, Any],
) -> Scored:
    """Score the untaught model and then everything that was learned, by name.

    Args:
        photographs: a folder of the subject's.
        given: what the options of this file, of models and of the report said.

    Raises:
        OptionError: prompts without identifier or class.
        PromptError: a class so long that no prompt can be read.
        ImageError: fewer than two photographs.
        ModelError: an adapter that doesn't fit.
    """
    from limner.evaluation.metrics.subject_card import UNTAUGHT, SubjectCard
    from limner.models.blocks import perceptual
    from limner.training import instance_images as photos

    session, dino = session_of(dict(given)), dino_session(given)
    if given["div"]:
        perceptual.load_lpips()  # before hours of painting
    has_lpips = given["div"] or perceptual.has_lpips()
    sitting = _sitting(asked, session.models.encoder, given)
    real = [one.image for one in photos.read(photographs, sitting.side).kept]
    with progress("painters") as on_step:
        untaught, of_class = sitting.paint(None)
        on_step(1, len(learned) + 1)
        made = {UNTAUGHT: untaught}
        card = SubjectCard(
            real,
            untaught,
            of_class,
            sitting.each(sitting.plain),
            dino=dino.models.encoder,
            clip=session.models.encoder,
            lpips=perceptual.lpips if has_lpips else None,
        )
        rows = []
        for number, (name, what) in enumerate(learned.items(), start=2):
            made[name], of_class = sitting.paint(what)
            rows.append(card.score(name, made[name], of_class))
            on_step(number, len(learned) + 1)
    best = card.best(rows)
    report = {
        "models": models_used(session, "encode") + models_used(dino, "encode"),
        "prompts": list(sitting.prompts),
        "class_prompt": sitting.class_prompt,
        "seeds": sitting.seeds,
        "ceiling": {"dino": card.ceiling.dino, "clip_i": card.ceiling.clip_i},
        "rows": [{**row.to_dict(), "worth": card.total(row)} for row in (card.untaught, *rows)],
        "best": best.name if best else None,
        "half_way": card.half_way,
    }
    return Scored(report, made, real)


def _sitting(asked: Asked, clip: Encoder, given: Mapping[str, Any]) -> Sitting:
    """The dataset's prompts, but for those that the painter or the judge can't read to the end."""
    from limner.evaluation.metrics.dreambooth_prompts import LIVE, OBJECTS
    from limner.registry.device import choose
    from limner.training import identifiers, samples
    from limner.training.base_model import resolution_of

    naming = identifiers.naming(asked.instance_prompt, asked.class_prompt)
    runtime = choose(given["device"], given["dtype"])
    base = samples.Painter(asked.model, None, runtime).open()
    chosen = (LIVE if given["live"] else OBJECTS)[: given["count"] or len(OBJECTS)]
    read = [
        prompt
        for prompt in chosen
        if samples.can_read(base, prompt.format(naming.called))
        and _can_read(clip, prompt.format(naming.noun))
    ]
    if not read:
        raise PromptError(
            f"{asked.model} or {clip.ref.name} reads none of the dataset's prompts with "
            f"{naming.called!r} to its end: take a shorter class."
        )
    for prompt in chosen:
        if prompt not in read:
            text = prompt.format(naming.called)
            say(f'limner: "{text}" is left out: the models can\'t read it to its end.', err=True)
    return Sitting(
        asked.model,
        asked.side or resolution_of(base, None),
        tuple(prompt.format(naming.called) for prompt in read),
        tuple(prompt.format(naming.noun) for prompt in read),
        asked.class_prompt,
        given["seeds"] or 4,
        given["sample_batch_size"] or 4,
        runtime,
    )


def _can_read(clip: Encoder, text: str) -> bool:
    try:
        clip.encode_texts([text])
    except PromptError:
        return False
    return True


def trade_off(scores: Mapping[str, Any], title: str, *, joined: bool = True) -> dict[str, Figure]:
    """The chart of a report, by its name; checkpoints of one run are joined."""
    from limner.evaluation.charts.subject import trade_off as drawn

    before, *rows = scores["rows"]
    figure = drawn(
        {row["name"]: (row["clip_t"], row["dino"]) for row in rows},
        before=(before["clip_t"], before["dino"]),
        ceiling=scores["ceiling"]["dino"],
        best=scores["best"],
        joined=joined,
        title=title,
    )
    return {TRADE_OFF: figure}


def draw_sheet(scored: Scored, given: Mapping[str, Any], title: str, what: str) -> None:
    """Painters and photographs across, prompts down, the first seed of each, as ``--sheet`` asks.

    Args:
        what: the painters are, such as "step".
    """
    from limner.evaluation.charts.contact_sheet import Axis, Cell, contact_sheet
    from limner.io.save import save_image

    if not given["sheet"]:
        return
    report = scored.report
    cells = {
        (row, column): Cell(made[row * report["seeds"]])
        for column, made in enumerate(scored.portraits.values())
        for row in range(len(report["prompts"]))
    }
    cells |= {  # what it should look like
        (row, len(scored.portraits)): Cell(scored.real[row % len(scored.real)])
        for row in range(len(report["prompts"]))
    }
    columns, rows = Axis(what, (*scored.portraits, REAL)), Axis("prompt", tuple(report["prompts"]))
    sheet = contact_sheet(columns, rows, cells, title=title, best="", side=SHEET_SIDE)
    record = None if given["no_record"] else report
    save_image(sheet, given["sheet"], record=record, overwrite=given["overwrite"])
    if not given["as_json"]:
        say(str(given["sheet"]))

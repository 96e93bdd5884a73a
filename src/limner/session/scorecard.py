"""The scorecard of DreamBooth for anything that was taught: checkpoints, subjects, LoRA files.

What paints comes from ``training``, what judges from ``evaluation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import PromptError
from limner.protocols import OnStep, Say
from limner.session.cell_answers import unheard
from limner.session.verb_session import VerbSession

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from limner.evaluation.metrics.subject_card import PainterScores, SubjectCard
    from limner.protocols import Encoder
    from limner.registry.weights import Adapter, Runtime


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


def dino_for(profile: str) -> str:
    """The model of the DINO score where none is named."""
    return DINO_OF.get(profile, DINO)


@dataclass(frozen=True)
class SubjectNames:
    """Whose scores: the untaught model, and what the subject and its class are called."""

    model: str
    instance_prompt: str
    class_prompt: str
    side: int | None = None
    """Pixels; None: the model's own."""


@dataclass(frozen=True)
class CardJudges:
    """Who judges."""

    clip: VerbSession
    """Its encoder compares pictures with words."""
    dino: VerbSession
    """Its encoder tells one thing from its like."""
    div: bool = False
    """DIV by LPIPS, also if its weights must be fetched first."""

    @classmethod
    def of(
        cls,
        profile: str,
        *,
        encoder: str | None = None,
        dino: str | None = None,
        div: bool = False,
        **settings: Any,
    ) -> CardJudges:
        """Judges by their models' names.

        Args:
            settings: as ``VerbSession`` takes them besides: ``device``, ``commercial_safe``, …
        """
        clip = VerbSession(
            profile=profile, models={"encode": encoder} if encoder else None, **settings
        )
        like = VerbSession(
            profile=profile, models={"encode": dino or dino_for(profile)}, **settings
        )
        return cls(clip, like, div)

    def models(self) -> list[dict[str, Any]]:
        """Those that judged, for the report."""
        return [
            ref.to_dict()
            for session in (self.clip, self.dino)
            for ref in session.models.refs(("encode",))
        ]


@dataclass(frozen=True)
class PaintingOptions:
    """What every painter paints, and how."""

    count: int | None = None
    """Of the dataset's 25 prompts; None: all."""
    seeds: int = 4
    """Pictures a prompt."""
    live: bool = False
    """The dataset's prompts for animals and people."""
    batch: int = 4
    """Pictures at once."""
    device: str | None = None
    dtype: str | None = None


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

    def repeated(self, prompts: Iterable[str]) -> list[str]:
        """Prompt by prompt, each as often as there are seeds."""
        return [prompt for prompt in prompts for _ in range(self.seeds)]

    def paint(self, adapter: Path | Adapter | None) -> tuple[list[Image], list[Image]]:
        """Portraits, and pictures of the class alone."""
        from limner.training import samples

        prompts = self.repeated(self.prompts)
        count = min(len(prompts), CLASS_PICTURES)
        seeds = [*list(range(self.seeds)) * len(self.prompts), *range(count)]
        painter = samples.Painter(self.model, adapter, self.runtime)
        pictures = painter.paint(
            [*prompts, *[self.class_prompt] * count], seeds, self.side, self.batch
        )
        return pictures[: len(prompts)], pictures[len(prompts) :]


@dataclass(frozen=True)
class Scorecard:
    """The scores, as JSON values, and what was painted."""

    report: dict[str, Any]
    """``rows``, the untaught model's first, each with ``name``, the scores and ``worth``;
    ``best``, a name, or None where none is good enough; ``half_way``; ``ceiling``; ``prompts``;
    ``seeds``; ``models``."""
    samples: Mapping[str, Sequence[Image]]
    """By the names of the rows: prompt by prompt and seed by seed."""
    real: Sequence[Image]
    """The subject's photographs, as squares."""

    @property
    def closest(self) -> Mapping[str, Any]:
        """The row of the best, else of what is most like the photographs."""
        _, *rows = self.report["rows"]
        return max(rows, key=lambda row: (row["name"] == self.report["best"], row["dino"]))

    def thumbnails(self, most: int = 4) -> list[Image]:
        """A photograph, and samples by the best, of as many different prompts."""
        samples = self.samples[self.closest["name"]][:: self.report["seeds"]]
        return [self.real[0], *samples[:most]]

    def none_is_good(self) -> str:
        """Why no best is named."""
        closest = self.closest
        return (
            f"none is good enough: {closest['name']} comes closest, with DINO "
            f"{closest['dino']:.3f}, and half way from the untaught model to the photographs is "
            f"{self.report['half_way']:.3f}"
        )


def score_painters(
    names: SubjectNames,
    photographs: Path,
    learned: Mapping[str, Path | Adapter],
    judges: CardJudges,
    options: PaintingOptions | None = None,
    *,
    on_step: OnStep | None = None,
    notify: Say = unheard,
) -> Scorecard:
    """Score the untaught model and then everything that was learned, by name.

    Args:
        photographs: a folder of the subject's.
        on_step: counts painters, the untaught model among them.
        notify: gets a sentence about each prompt that is left out.

    Raises:
        OptionError: prompts without identifier or class.
        PromptError: a class so long that no prompt can be read.
        ImageError: fewer than two photographs.
        ModelError: an adapter that doesn't fit.
    """
    from limner.evaluation.metrics.subject_card import UNTAUGHT, SubjectCard
    from limner.models.blocks import perceptual
    from limner.training import instance_images

    on_step = on_step or (lambda done, total: None)
    if judges.div:
        perceptual.load_lpips()  # before hours of painting
    has_lpips = judges.div or perceptual.has_lpips()
    clip = judges.clip.models.encoder
    sitting = _sitting(names, clip, options or PaintingOptions(), notify)
    real = [photo.image for photo in instance_images.read(photographs, sitting.side).usable]
    untaught, of_class = sitting.paint(None)
    on_step(1, len(learned) + 1)
    samples = {UNTAUGHT: untaught}
    card = SubjectCard(
        real,
        untaught,
        of_class,
        sitting.repeated(sitting.plain),
        dino=judges.dino.models.encoder,
        clip=clip,
        lpips=perceptual.lpips if has_lpips else None,
    )
    rows = []
    for number, (name, adapter) in enumerate(learned.items(), start=2):
        samples[name], of_class = sitting.paint(adapter)
        rows.append(card.score(name, samples[name], of_class))
        on_step(number, len(learned) + 1)
    report = {"models": judges.models(), **_report(sitting, card, rows)}
    return Scorecard(report, samples, real)


def _report(sitting: Sitting, card: SubjectCard, rows: Sequence[PainterScores]) -> dict[str, Any]:
    best = card.best(rows)
    return {
        "prompts": list(sitting.prompts),
        "class_prompt": sitting.class_prompt,
        "seeds": sitting.seeds,
        "ceiling": {"dino": card.ceiling.dino, "clip_i": card.ceiling.clip_i},
        "rows": [{**row.to_dict(), "worth": card.total(row)} for row in (card.untaught, *rows)],
        "best": best.name if best else None,
        "half_way": card.half_way,
    }


def _sitting(names: SubjectNames, clip: Encoder, options: PaintingOptions, notify: Say) -> Sitting:
    """The dataset's prompts, but for those that the painter or the judge can't read to the end."""
    from limner.evaluation.metrics.dreambooth_prompts import LIVE, OBJECTS
    from limner.registry.device import choose
    from limner.training import identifiers, samples
    from limner.training.base_model import resolution_of

    naming = identifiers.naming(names.instance_prompt, names.class_prompt)
    runtime = choose(options.device, options.dtype)
    base = samples.Painter(names.model, None, runtime).open()
    chosen = (LIVE if options.live else OBJECTS)[: options.count or len(OBJECTS)]
    readable = [
        prompt
        for prompt in chosen
        if samples.can_read(base, prompt.format(naming.called))
        and _can_read(clip, prompt.format(naming.noun))
    ]
    if not readable:
        raise PromptError(
            f"{names.model} or {clip.ref.name} reads none of the dataset's prompts with "
            f"{naming.called!r} to its end: take a shorter class."
        )
    for prompt in chosen:
        if prompt not in readable:
            text = prompt.format(naming.called)
            notify(f'"{text}" is left out: the models can\'t read it to its end.')
    return Sitting(
        names.model,
        names.side or resolution_of(base, None),
        tuple(prompt.format(naming.called) for prompt in readable),
        tuple(prompt.format(naming.noun) for prompt in readable),
        names.class_prompt,
        options.seeds,
        options.batch,
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


def sheet_of(scorecard: Scorecard, title: str, painters: str) -> Image:
    """Painters and photographs across, prompts down, the first seed of each.

    Args:
        painters: what they are, such as "step".
    """
    from limner.evaluation.charts.contact_sheet import Axis, Cell, contact_sheet

    prompts, seeds = scorecard.report["prompts"], scorecard.report["seeds"]
    cells = {
        (row, column): Cell(pictures[row * seeds])
        for column, pictures in enumerate(scorecard.samples.values())
        for row in range(len(prompts))
    }
    cells |= {  # what it should look like
        (row, len(scorecard.samples)): Cell(scorecard.real[row % len(scorecard.real)])
        for row in range(len(prompts))
    }
    columns = Axis(painters, (*scorecard.samples, REAL))
    rows = Axis("prompt", tuple(prompts))
    return contact_sheet(columns, rows, cells, title=title, best="", side=SHEET_SIDE)

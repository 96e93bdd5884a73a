"""Every number that ``minis.check`` prints, with what the issue asks of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One measured number."""

    name: str
    what: str
    required: float | None = None
    """What it should be at least; None: it is shown, and nothing is asked of it."""
    slack: float | None = 0.015
    """How far a machine's rounding may take it from the recorded number; None: it is not compared
    with the record, because it depends on the machine."""
    at_most: bool = False
    """The number should be small."""
    unit: str = ""

    def met(self, value: float) -> bool:
        """Whether a number is what was asked."""
        return self.required is None or self._reaches(value, self.required)

    def worse(self, value: float, recorded: float) -> bool:
        """Whether a number has fallen behind the recorded one."""
        if self.slack is None:
            return False
        slack = -self.slack if self.at_most else self.slack
        return not self._reaches(value, recorded - slack)

    def _reaches(self, value: float, goal: float) -> bool:
        return value <= goal + 1e-9 if self.at_most else value >= goal - 1e-9

    def shown(self, value: float | None) -> str:
        """The number as the table has it."""
        if value is None:
            return "–"
        text = f"{value:.1f}" if self.unit else f"{value:.3f}"
        return f"{text} {self.unit}".rstrip()


BARS = (
    Bar("sam-box", "mini-sam: mean IoU from the box", 0.88),
    Bar("sam-click-1", "mini-sam: mean IoU from 1 click", 0.78),
    Bar("sam-click-3", "mini-sam: mean IoU from 3 clicks", 0.85),
    Bar("sam-click-5", "mini-sam: mean IoU from 5 clicks", 0.88),
    Bar("sam-best-of-3", "mini-sam: best of three less chosen, 1 click", 0.05, at_most=True),
    Bar("owlvit-words", "mini-owlvit: AP50 by words, all trained nouns asked", 0.60),
    Bar("owlvit-example", "mini-owlvit: AP50 by one example image", 0.65),
    Bar("owlvit-unseen", "mini-owlvit: AP50 by example, unseen nouns", 0.55),
    Bar("words-mask", "phrase → box → mask: mean IoU of the best match", 0.75),
    Bar("words-first", "phrase → box → mask: mean IoU of the surest answer", 0.70),
    Bar("clip-top1", "mini-clip: noun of a crop, top 1 of 123", 0.80),
    Bar("clip-top5", "mini-clip: noun of a crop, top 5 of 123"),
    Bar("clip-one-template", 'mini-clip: top 1 with "a photo of a …" alone'),
    Bar("dino-held-out", "mini-dino: nearest of 5 drawings, a held-out one asked", 0.90),
    Bar("dino-four", "mini-dino: the same among the 4 real drawings"),
    Bar("dino-real-five", "mini-dino: the same with a real fifth style", slack=None),
    Bar("dino-all", "mini-dino: nearest of 5 drawings, all asked"),
    Bar("vae-psnr", "VAE: PSNR of held-out scenes", 25.0, slack=0.2, unit="dB"),
    Bar("painter-top1", "painter: noun of a repainted hole, top 1 of 123", 0.60, slack=0.045),
    Bar("painter-top5", "painter: noun of a repainted hole, top 5 of 123", 0.85, slack=0.045),
    Bar("painter-ceiling", "painter: the same for things that were drawn there, top 1"),
    Bar("painter-g1", "painter: P(noun) at guidance 1", slack=0.08),
    Bar("painter-g2", "painter: P(noun) at guidance 2", slack=0.08),
    Bar("painter-g4", "painter: P(noun) at guidance 4", slack=0.08),
    Bar("painter-g7", "painter: P(noun) at guidance 7", slack=0.08),
    Bar("painter-rise", "painter: best guidance less guidance 1", 0.01, slack=0.08),
    Bar("painter-pair", 'painter: P(B) of "an A and a B"', slack=0.08),
    Bar("painter-pair-negative", "painter: P(B), and B is the negative", slack=None),
    Bar(
        "painter-negative",
        "painter: what is left of P(B) when B is the negative",
        0.5,
        slack=0.1,
        at_most=True,
    ),
    Bar(
        "painter-own-negative",
        "painter: what is left of P(A) when A is also the negative",
        slack=None,
        at_most=True,
    ),
    Bar("canvas-top1", "mini-sd: noun of a repainted hole, top 1 of 123", 0.40, slack=0.05),
    Bar("canvas-top5", "mini-sd: noun of a repainted hole, top 5 of 123", 0.65, slack=0.05),
    Bar("blip-f1", "mini-blip: nouns in the caption, F1", 0.75),
    Bar("blip-counts", "mini-blip: right counts of rightly named nouns"),
    Bar("edit-seconds", "one edit from words, 128 px, 20 steps", 2.0, None, True, "s"),
    Bar("scenes-per-second", "scenes made in a second, one core", slack=None, unit="/s"),
    Bar("weights", "all weights", 48.0, slack=1.0, at_most=True, unit="MB"),
    Bar("wheel", "the wheel", 60.0, slack=2.0, at_most=True, unit="MB"),
)
"""In the order of the issue's table; rows without a bar explain the one above."""

BY_NAME = {bar.name: bar for bar in BARS}

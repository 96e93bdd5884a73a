"""The recorded scores: ``minis/scores.json``, and the table in ``docs/minis.md`` made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from minis.scores.bars import BARS, Bar

FILE = Path(__file__).parents[1] / "scores.json"
PAGE = Path(__file__).parents[2] / "docs" / "minis.md"
START, END = "<!-- scores: made by `python -m minis.check --record` -->", "<!-- end of scores -->"

Mode = Literal["quick", "full"]
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Verdict:
    """One line of the report."""

    bar: Bar
    measured: float | None
    """None: its model isn't there."""
    recorded: float | None

    @property
    def regressed(self) -> bool:
        """Whether what ships has become worse than its record: the check fails."""
        if self.recorded is None:
            return False
        if self.measured is None:
            return self.bar.slack is not None
        return self.bar.worse(self.measured, self.recorded)

    @property
    def word(self) -> str:
        """What to tell the reader."""
        parts = []
        if self.measured is None:
            parts.append("missing" if self.bar.required is not None else "")
        elif self.bar.required is not None:
            parts.append("ok" if self.bar.met(self.measured) else "SHORT")
        if self.regressed:
            parts.append("WORSE THAN RECORDED")
        return ", ".join(filter(None, parts))


def judge(bars: Sequence[Bar], measured: Scores, recorded: Scores) -> list[Verdict]:
    """A verdict for each number that was asked for."""
    return [Verdict(bar, measured.get(bar.name), recorded.get(bar.name)) for bar in bars]


def read(mode: Mode) -> dict[str, float]:
    """The recorded scores of a mode; empty before the first record."""
    scores: dict[str, float] = _all().get(mode, {})
    return scores


def write(mode: Mode, measured: Scores) -> None:
    """Replace what was measured anew, and the table of the docs."""
    everything = _all()
    merged = everything.get(mode, {}) | {name: round(v, 4) for name, v in measured.items()}
    everything[mode] = {bar.name: merged[bar.name] for bar in BARS if bar.name in merged}
    FILE.write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_table(page, everything), encoding="utf-8")


def _all() -> dict[str, dict[str, float]]:
    if not FILE.exists():
        return {}
    content: dict[str, dict[str, float]] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def with_table(page: str, scores: Mapping[str, Scores]) -> str:
    """The page with the table between its two marks made anew."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table(scores)}\n{END}{after}"


def table(scores: Mapping[str, Scores]) -> str:
    """Markdown: every bar with the full check's number and the quick one's."""
    lines = ["| what | asked | full | quick | |", "|---|---|---|---|---|"]
    for bar in BARS:
        full, quick = (scores.get(mode, {}).get(bar.name) for mode in ("full", "quick"))
        known = quick if full is None else full
        verdict = Verdict(bar, known, None).word
        cells = [bar.what, requirement(bar), bar.shown(full), bar.shown(quick), verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def requirement(bar: Bar) -> str:
    """``≥ 0.88``."""
    if bar.required is None:
        return ""
    return f"{'≤' if bar.at_most else '≥'} {bar.shown(bar.required)}"

"""The page of ``limner demo``: what each command made, told from the records of its files."""

from __future__ import annotations

import html
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from limner.cli.batch.output_paths import Place
from limner.cli.batch.resume import Stored, stored
from limner.cli.commands.demo.choice import CHOICE, FILES
from limner.version import __version__

FRAME = FILES / "page.html"
MARK = '<meta name="generator" content="limner demo">'
"""By which a later demo knows the page as its own."""


@dataclass(frozen=True)
class Made:
    """What one command left: its pictures and their record; none where nothing was found."""

    pictures: tuple[Path, ...]
    result: Stored | None
    seconds: float
    """Of the whole command, with loading the models."""

    @property
    def record(self) -> dict[str, Any]:
        return self.result.record if self.result else {}

    @property
    def scores(self) -> list[float]:
        """Of what was found, best first; empty where no list was written."""
        finds = self.result.finds.get("annotations", ()) if self.result else ()
        return sorted((find["score"] for find in finds if "score" in find), reverse=True)


@dataclass(frozen=True)
class Told:
    """A step that was done."""

    title: str
    meaning: str
    commands: tuple[str, ...]
    made: tuple[Made, ...]
    columns: tuple[str, ...] = ()


def read_made(picture: Path, count: int, seconds: float) -> Made:
    """What lies there after a command with ``-o picture`` that makes ``count`` pictures."""
    place = Place(picture.parent, picture.stem, picture.suffix)
    names = [place.main, *(place.beside(f"-{k}{place.suffix}") for k in range(1, count))]
    there = tuple(path for path in names if path.exists())
    listing = place.beside(".json")
    return Made(there, stored(listing if listing.exists() else place.main), seconds)


def page(scene: Sequence[Told], photo: Sequence[Told], seconds: float | None) -> str:
    """The whole page.

    Args:
        seconds: of the whole demo; None while it is at work, or where it was interrupted.
    """
    if seconds is None:
        took = "limner demo is still at work, or was interrupted: this is how far it came."
    else:
        took = f"Made on this machine in {seconds:.0f} seconds, without a network."
    return Template(FRAME.read_text(encoding="utf-8")).substitute(
        mark=MARK,
        took=took,
        hero=_hero(scene),
        scene="\n".join(map(_card, scene)),
        photo="\n".join(map(_card, photo)),
        version=f"limner {__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}",
    )


def _hero(scene: Sequence[Told]) -> str:
    """The picture, what was meant, what became of it: as far as they are there."""
    parts = [_picture(Path("scene.png"), "A picture", "A picture.")]
    for name, said in (("outlined.png", "find"), ("painted.png", "paint")):
        for told in scene:
            if Path(name) in told.made[0].pictures:
                parts.append(_picture(Path(name), told.title, f"Say “{CHOICE[said]}”."))
    return '<span class="arrow">→</span>'.join(parts)


def _picture(path: Path, alt: str, caption: str) -> str:
    return (
        f'<figure><img src="{html.escape(str(path))}" alt="{html.escape(alt)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _card(told: Told) -> str:
    if told.columns:
        shown = _sheet(told)
    else:
        alt = html.escape(told.title)
        shown = "".join(
            f'<img src="{html.escape(str(picture))}" alt="{alt}">'
            for made in told.made
            for picture in made.pictures[:1]
        )
        shown = f'<div class="pictures">{shown}</div>' if shown else ""
    commands = [_code(command) for command in told.commands]
    if told.columns:  # all but one setting is the same
        commands = [commands[0], f"<i># and with {', '.join(told.columns[1:])}</i>"]
    return (
        f'<article class="{_width(told)}">{shown}<div class="words">'
        f"<h3>{html.escape(told.title)}</h3><p>{html.escape(told.meaning)}</p>"
        f"<pre><code>{'<br>'.join(commands)}</code></pre>"
        f'<p class="facts">{html.escape(facts(told))}</p></div></article>'
    )


def _code(command: str) -> str:
    """A command that is broken between words only, not after a hyphen."""
    return " ".join(f"<span>{html.escape(word)}</span>" for word in command.split())


def _width(told: Told) -> str:
    return "double" if len(told.made) > 1 else "single"


def facts(told: Told) -> str:
    """Which models answered, how sure they were, what was proven, how long it took."""
    records = [made.record for made in told.made if made.record]
    models = dict.fromkeys(model["name"] for record in records for model in record["models"])
    said = [" + ".join(models)] if models else []
    counts = [record.get("result", {}).get("objects", 0) for record in records]
    if not all(counts) or len(records) < len(told.made):
        said.append("nothing found")
    scores = [score for made in told.made for score in made.scores]
    if scores:
        shown = ", ".join(f"{score:.2f}" for score in scores)
        said.append(f"{'scores' if len(scores) > 1 else 'score'} {shown}")
    edits = [edit for record in records for edit in record["result"].get("edits", ())]
    if edits:
        changed = max(edit["outside_changed_pixels"] for edit in edits)
        said.append(f"{changed} pixels changed outside the mask")
    if any(record["result"].get("verified") for record in records):
        said.append("looked for again and not found")
    computing = sum(sum(record["seconds"].values()) for record in records)
    whole = sum(made.seconds for made in told.made)
    said.append(f"{computing:.2f} s computing, {whole:.1f} s with loading")
    return " · ".join(said)


def _sheet(told: Told) -> str:
    """The repainted part of every picture: a column a command, a row a seed."""
    cells = ["<span></span>", *(f"<b>{html.escape(column)}</b>" for column in told.columns)]
    rows = max((len(made.pictures) for made in told.made), default=0)
    for row in range(rows):
        seeds = {_seed(made, row) for made in told.made} - {None}
        cells.append(f"<b>{', '.join(f'seed {seed}' for seed in sorted(map(str, seeds)))}</b>")
        cells += [_cell(made, row, told.title) for made in told.made]
    columns = f"grid-template-columns: auto repeat({len(told.columns)}, 1fr)"
    return f'<div class="sheet" style="{columns}">{"".join(cells)}</div>'


def _edit(made: Made, row: int) -> dict[str, Any] | None:
    edits = made.record.get("result", {}).get("edits", ())
    return edits[row] if row < len(edits) else None


def _seed(made: Made, row: int) -> int | None:
    edit = _edit(made, row)
    return edit["seed"] if edit else None


def _cell(made: Made, row: int, alt: str) -> str:
    """A picture, cut by CSS to what the painter was shown of it."""
    edit = _edit(made, row)
    if edit is None or row >= len(made.pictures):
        return '<span class="none">nothing found</span>'
    width, _ = made.record["input"]["size_wh"]
    x0, y0, x1, y1 = edit["crops"][0]["xyxy"]
    w, h = x1 - x0, y1 - y0
    style = (
        f"width:{100 * width / w:.2f}%;margin-left:{-100 * x0 / w:.2f}%;"
        f"margin-top:{-100 * y0 / w:.2f}%"
    )
    return (
        f'<span class="cell" style="aspect-ratio:{w}/{h}">'
        f'<img src="{html.escape(str(made.pictures[row]))}" alt="{html.escape(alt)}" '
        f'style="{style}"></span>'
    )

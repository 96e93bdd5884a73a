"""Makes ``docs/commands.md``, ``docs/models.md`` and ``docs/pictures/`` from the program itself:
``make docs``.

The pictures are what the README's own commands produce; the page is the program's own help.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image, ImageOps

from limner.cli import main
from limner.cli.app import COMMANDS
from limner.cli.app import limner as program
from limner.cli.commands.models.models import KINDS
from limner.registry.catalog import TASKS, ModelEntry, catalog, families, takes
from limner.registry.costs import COSTS

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

SINGLE = ("outlined", "cup", "face", "removed", "redacted")
STRIPS = {
    "strip": ("photo", "outlined", "removed", "redacted"),
    "backgrounds": ("cutout", "background", "plain"),
}
"""Pictures side by side, by the names that the README's commands give them."""
SHEET = ("sweep", "sweep/sheet-red-car.png")
"""The sheet of the README's sweep, and where it lies."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a Markdown page; ``marks`` are the words after its language."""

    language: str
    marks: frozenset[str]
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """Each line as words."""
        return [shlex.split(line) for line in self.text.splitlines() if line.strip()]


def blocks(page: Path, language: str) -> list[Block]:
    """The page's blocks in one language, in order."""
    return [
        Block(name, frozenset(marks.split()), text)
        for name, marks, text in _FENCE.findall(page.read_text(encoding="utf-8"))
        if name == language
    ]


def commands_page() -> str:
    """Every command's help, as Markdown."""
    parts = ["# Commands\n\nMade by `make docs` from the program's own help.\n"]
    context = click.Context(program, info_name="limner", **program.context_settings)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        parts += _help_of(command, name, context, "##")
    return "\n".join(parts)


def models_page() -> str:
    """What every model takes, allows and needs, as Markdown."""
    parts = [MODELS_HEAD]
    for task in TASKS:
        entries = [entry for entry in catalog().values() if task in entry.tasks]
        taken = {str(kind) for entry in entries for kind in takes(entry, task)}
        kinds = [kind for kind in KINDS if kind in taken]
        parts.append(f"## To {task}\n")
        parts.append(
            "| model | " + " | ".join([*kinds, "licence", "commercial use", "needs"]) + " |"
        )
        parts.append("|---|" + ":-:|" * len(kinds) + "---|---|---|")
        parts += [_model_row(entry, task, kinds) for entry in entries]
        parts.append("")
    return "\n".join(parts)


def _model_row(entry: ModelEntry, task: str, kinds: list[str]) -> str:
    family, taken = families()[entry.family], takes(entry, task)
    marks = ["✓" if kind in taken else "" for kind in kinds]
    needs = [entry.size]
    if entry.gated:
        needs.append("a login and an accepted licence")
    if family.extra:
        needs.append(f"`limner[{family.extra}]`")
    if cost := COSTS.get(entry.name):
        needs.append(f"{'' if cost.measured else '≈ '}{cost.memory_gb:g} GB of memory")
    return (
        "| "
        + " | ".join([f"`{entry.name}`", *marks, entry.licence, entry.commercial, ", ".join(needs)])
        + " |"
    )


MODELS_HEAD = """# Models

Made by `make docs` from the catalog: what each model takes as a prompt, what its licence allows,
what it needs. `limner models info NAME` says more of one; `limner models list --takes exemplar`
filters.

## Which one? Compare them

```sh
limner compare examples/photos/astronaut.png --find face --models haar,mini-owlvit -o faces.png
limner compare examples/photos/coffee.png --point 300,110 --models grabcut,mini-sam -o cups.png
```

asks every model the same and writes one picture with the answers side by side, and one table: what
was found where and how surely, seconds of the first answer without loading, seconds of loading, the
most memory of the model's own process with its libraries, and licence. A model whose weights aren't
here, or that can't take the prompt, is a row that says so. `--json` has every box.

## Several detectors as one

`--detector owlvit-base-patch32+owlv2-base-patch16-ensemble` asks both and fuses their boxes
(weighted boxes fusion, arXiv 1910.13302). Together they take the prompts that all of them take. A
fused score is the mean of the models' scores times the part of the models that found the thing; who
agreed on it, with their own boxes and scores, is in `.data["agreed"]` and among the annotations.

## Large pictures

Detectors look at a picture at 768 to 1333 pixels, so small things in a large one are lost, and
boxes are off by several pixels of it. For any detector:

- `--look tiles` looks at the whole and at tiles of `--slice-wh` pixels that share `--overlap-wh`;
  what the tiles cut is joined by what two of them both see of it. What is like an
  example image is held against the best match in the same tile, where a model does that: OWL-ViT
  leaves out what has under a tenth of its score.
- `--look zoom` crops around each find, enlarges the crop and asks again, at most twice a find.

Beside those in the tables there are vision-language models on a server: `--detector vlm:NAME`, see
[vlm.md](vlm.md).

"""


def _help_of(command: click.Command, name: str, parent: click.Context, level: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=96)
    context.terminal_width = 96
    yield f"{level} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            if below is not None:
                yield from _help_of(below, child, context, level + "#")


def make_pictures(folder: Path) -> None:
    """Run the README's offline commands in a copy-like folder and keep what they draw."""
    (folder / "examples").symlink_to(ROOT / "examples")
    with contextlib.chdir(folder):
        for block in blocks(ROOT / "README.md", "sh"):
            for words in block.commands:
                drawing = words[0] == "limner" and "-o" in words and "network" not in block.marks
                if drawing and (code := main(words[1:])):
                    raise SystemExit(f"{shlex.join(words)} ended with exit code {code}")
        Image.open("examples/photos/astronaut.png").save("photo.png")
        PICTURES.mkdir(exist_ok=True)
        for name in SINGLE:
            _save(_opaque(Path(f"{name}.png")), name)
        for name, parts in STRIPS.items():
            _save(_strip([_opaque(Path(f"{part}.png")) for part in parts]), name)
        name, sheet = SHEET
        _save(_opaque(Path(sheet)), name)


def _opaque(path: Path) -> Image.Image:
    """A picture as RGB; transparency as a checkerboard."""
    picture = Image.open(path).convert("RGBA")
    tile = Image.new("RGB", (20, 20), "white")
    tile.paste((221, 221, 221), (0, 0, 10, 10))
    tile.paste((221, 221, 221), (10, 10, 20, 20))
    board = Image.new("RGB", picture.size)
    for x in range(0, picture.width, 20):
        for y in range(0, picture.height, 20):
            board.paste(tile, (x, y))
    board.paste(picture, mask=picture.getchannel("A"))
    return board


def _strip(pictures: list[Image.Image], height: int = 320, gap: int = 8) -> Image.Image:
    scaled = [
        ImageOps.contain(picture, (10 * height, height), Image.Resampling.LANCZOS)
        for picture in pictures
    ]
    width = sum(picture.width for picture in scaled) + gap * (len(scaled) - 1)
    strip = Image.new("RGB", (width, height), "white")
    left = 0
    for picture in scaled:
        strip.paste(picture, (left, 0))
        left += picture.width + gap
    return strip


def _save(picture: Image.Image, name: str) -> None:
    picture.save(PICTURES / f"{name}.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "96")
    (ROOT / "docs" / "commands.md").write_text(commands_page(), encoding="utf-8")
    (ROOT / "docs" / "models.md").write_text(models_page(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        make_pictures(Path(temporary))
    sys.exit(0)

"""The main job in two minutes, offline: outline, remove and redact on a real photograph.

Runs the same commands that a person would type and writes a page with what each one made. Nothing
is downloaded: GrabCut outlines, patches of the surroundings fill holes, Haar cascades find faces.
"""

from __future__ import annotations

import argparse
import html
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from limner.cli import main as limner

PHOTO = Path(__file__).parent / "photos" / "astronaut.png"
PATCH, HEAD = "172,384", "150,0,310,215"


@dataclass(frozen=True)
class Step:
    """What a person wants, what they type, and the picture it makes."""

    wish: str
    command: str
    picture: str


STEPS = (
    Step(
        "Outline two things: the mission patch by a click, the head by a box.",
        f"limner segment photo.png --point {PATCH} --object --box {HEAD} -o outlined.png",
        "outlined.png",
    ),
    Step(
        "Take the patch off the suit.",
        f"limner remove photo.png --point {PATCH} -o removed.png",
        "removed.png",
    ),
    Step(
        "Hide the face on that picture, by name, and look again whether it can still be found.",
        "limner redact removed.png --text face -o redacted.png",
        "redacted.png",
    ),
    Step(
        "Cut the head out.",
        f"limner cutout photo.png --box {HEAD} -o cutout.png",
        "cutout.png",
    ),
    Step(
        "Keep the head, put the rest out of focus.",
        f"limner background photo.png --box {HEAD} --blur 9 -o background.png",
        "background.png",
    ),
)

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>limner: what it did to one photograph</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto;
          padding: 0 1rem; color: #222; background: #fafafa }}
  main {{ display: grid; gap: 1.5rem;
          grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)) }}
  figure {{ margin: 0; background: white; border: 1px solid #ddd; border-radius: 8px;
            overflow: hidden }}
  img {{ display: block; width: 100%; background:
         repeating-conic-gradient(#ddd 0 25%, #fff 0 50%) 0 0/20px 20px }}
  figcaption {{ padding: .75rem 1rem 1rem }}
  code {{ display: block; margin-top: .5rem; padding: .5rem; background: #f0f0f0;
          border-radius: 4px; font-size: 13px; overflow-wrap: anywhere }}
  small {{ color: #666 }}
</style>
<h1>What limner did to one photograph</h1>
<p>No network, no weights, two CPU cores. Every picture carries the record of how it was made, and
nothing outside a mask was changed.</p>
<main>{figures}</main>
<p><small>Photograph: NASA, public domain. Made in {seconds:.0f} s.</small></p>
</html>
"""


def figure(picture: str, wish: str, command: str = "", seconds: float | None = None) -> str:
    took = f"<small>{seconds:.1f} s</small>" if seconds is not None else ""
    typed = f"<code>{html.escape(command)}</code>" if command else ""
    return (
        f'<figure><img src="{picture}" alt="{html.escape(wish)}">'
        f"<figcaption>{html.escape(wish)} {took}{typed}</figcaption></figure>"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the page")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(PHOTO, out / "photo.png")
    figures = [figure("photo.png", "The photograph.")]
    start = time.perf_counter()
    for step in STEPS:
        print(f"\n# {step.wish}\n$ {step.command}", flush=True)
        began = time.perf_counter()
        words = [
            str(out / word) if word.endswith(".png") else word
            for word in shlex.split(step.command)[1:]
        ]
        code = limner([*words, "--overwrite"])
        if code:
            print(f"demo: the command ended with exit code {code}", file=sys.stderr)
            return code
        took = time.perf_counter() - began
        figures.append(figure(step.picture, step.wish, step.command, took))
    page = out / "index.html"
    page.write_text(
        PAGE.format(figures="\n".join(figures), seconds=time.perf_counter() - start),
        encoding="utf-8",
    )
    print(f"\nOpen {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

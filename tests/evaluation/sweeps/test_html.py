"""The page of a sweep works in a browser, from disk, with a keyboard, and fetches nothing."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.evaluation.cells.journal import PICTURES
from limner.evaluation.sweeps import report as tables
from limner.evaluation.sweeps.html import page
from limner.evaluation.sweeps.recipe import read_recipe
from limner.evaluation.sweeps.run import keep_inputs, run_trials
from limner.evaluation.sweeps.state import new_state
from tests.evaluation.suites.doubles import draw
from tests.evaluation.sweeps.test_run import RECIPE, Painter

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The page of 12 cells, six with errors; its text has what HTML and JSON may trip over."""
    draw(tmp_path)
    text = 'description = "</script><b>Mugs</b> & more"\n' + RECIPE
    (tmp_path / "r.toml").write_text(text)
    recipe = read_recipe(tmp_path / "r.toml")
    state = new_state(1)
    swept = run_trials(recipe, partial(Painter), tmp_path / "out", state)
    keep_inputs(recipe, tmp_path / "out" / PICTURES)
    report = tables.report_of(recipe, swept, state)
    commands = {cell["key"]: "limner edit" for trial in report["trials"] for cell in trial["cells"]}
    path = tmp_path / "out" / "index.html"
    path.write_text(page(report, tmp_path / "out" / PICTURES, commands), encoding="utf-8")
    return path


def test_the_page_stands_alone(made: Path) -> None:
    """Pictures are in it, what people wrote is text and no markup, and nothing is fetched."""
    text = made.read_text()
    assert text.count("</script>") == 2, "those of the page itself"
    assert "<b>Mugs" not in text
    assert "&lt;b&gt;Mugs&lt;/b&gt; &amp; more" in text
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert len(data["cells"]) == 12
    small = [cell["small"] for cell in data["cells"] if cell["small"]]
    assert len(small) == 6
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in small)
    assert [dim["title"] for dim in data["dims"]] == ["guidance_scale", "strength", "find"]
    for cell in data["cells"]:
        assert not cell["whole"] or (made.parent / cell["whole"]).exists()
    outside = re.findall(r"https?://[^\s\"']+", text)
    assert set(outside) <= {"http://www.w3.org/2000/svg"}, "the name of a format, not an address"
    assert "@import" not in text
    assert "url(" not in text


def browser(*words: str) -> str:
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    done = subprocess.run(
        [*command, *words], check=True, capture_output=True, text=True, timeout=300
    )
    return done.stdout


def after(made: Path, script: str, anchor: str = "") -> Any:
    """What a script returns that is run in the page."""
    text = made.read_text().replace(
        "</body>",
        "<script>document.title = JSON.stringify((() => {" + script + "})());</script></body>",
    )
    copy = made.with_name("tried.html")
    copy.write_text(text)
    profile = f"--user-data-dir={made.parent.parent / 'profile'}"
    dom = browser(profile, "--dump-dom", f"{copy.as_uri()}#{anchor}")
    found = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert found is not None
    return json.loads(html.unescape(found[1]))


needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here to open the page with"
)

PLACES = """
const cells = () => [...document.querySelectorAll("#shown .cell")];
const key = (target, name) =>
  target.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
const texts = (what) => [...document.querySelectorAll(what)].map((each) => each.textContent);
const said = () => texts("#told .axis");
"""


@needs_browser
def test_axes_are_picked_and_the_best_is_marked(made: Path) -> None:
    """3 across and 2 down of the third axis' best; swapped; with the error's axis across."""
    seen = after(
        made,
        PLACES
        + """
        const heads = () => texts("thead th[scope=col]"), rows = () => texts("tbody th[scope=row]");
        const best = cells().map((e) => e.classList.contains("best"));
        const first = [heads(), rows(), cells().length, best];
        document.getElementById("swap").click();
        const second = [heads(), rows(), cells().length];
        const across = document.getElementById("across");
        across.value = "2"; across.dispatchEvent(new Event("change"));
        const third = [heads(), cells().filter((e) => e.querySelector(".none")).length];
        return [first, second, third, document.querySelectorAll("#chart polyline").length];""",
    )
    assert seen[0] == [["1", "3", "5"], ["0.25", "1"], 6, [False] * 5 + [True]]
    assert seen[1] == [["0.25", "1"], ["1", "3", "5"], 6]
    assert seen[2] == [["mug", "bug"], 3]
    assert seen[3] == 0, "one picture of each row has a score: that makes no curve"


@needs_browser
def test_the_keyboard_reaches_everything(made: Path) -> None:
    """Arrows go from picture to picture; a large one steps, shows what was before, and closes."""
    seen = after(
        made,
        PLACES
        + """
        const large = document.getElementById("large"), dialog = document.querySelector("dialog");
        cells()[0].focus();
        key(document.activeElement, "ArrowRight");
        key(document.activeElement, "ArrowDown");
        const reached = document.activeElement.getAttribute("aria-label");
        document.activeElement.click();
        const opened = [dialog.open, said(), large.src.split("/").pop().length];
        key(dialog, "ArrowRight");
        const next = said(), shown = large.src;
        key(dialog, "b");
        const before = [large.src.endsWith("input-0.png"), large.src !== shown];
        key(dialog, "B");
        return [reached, opened, next, before, large.src === shown,
          document.activeElement === dialog, texts("#told pre").includes("limner edit")];""",
    )
    reached, opened, following, before, back, focused, command = seen
    assert reached.startswith("guidance_scale 3, strength 1, find mug: clip_t 0.")
    assert opened == [True, ["3", "1", "mug", opened[1][3]], 24 + len(".png")]
    assert following[:3] == ["5", "1", "mug"]
    assert before == [True, True]
    assert (back, focused, command) == (True, True, True)


@needs_browser
def test_the_list_has_the_best_first_and_errors_last(made: Path) -> None:
    seen = after(
        made,
        PLACES + 'return cells().map((e) => e.querySelector(".score").textContent);',
        "view=list&measure=clip_t",
    )
    scores = [float(text) for text in seen[:6]]
    assert scores == sorted(scores, reverse=True)
    assert seen[6:] == ["no score"] * 6
    least = after(
        made,
        PLACES + 'return cells().map((e) => e.querySelector(".score").textContent);',
        "view=list&measure=seam",
    )
    scores = [float(text) for text in least[:6]]
    assert scores == sorted(scores), "of a seam the least is the best"


@needs_browser
def test_the_page_is_drawn(made: Path, tmp_path: Path) -> None:
    """Blue where blue was painted, to the right more than to the left."""
    picture = tmp_path / "shot.png"
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    browser(profile, "--window-size=1000,900", f"--screenshot={picture}", made.as_uri())
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    blue = (pixels[..., 2] > 150) & (pixels[..., 0] < 80) & (pixels[..., 1] < 80)
    assert blue[:, 500:].sum() > 2000
    assert blue[:, 500:].sum() > 2 * blue[:, :400].sum()

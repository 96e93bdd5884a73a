"""Writes what this version of limner keeps on disk, for later versions to read.

    python -m tests.compatibility.write_samples tests/compatibility/data/COMMIT

A later version adds a folder of its own; what an older one wrote is never written anew, for then
nobody would know that it can still be read. ``--expected`` writes only what each verb paints and
finds: after a mini was trained again, or where an answer changed on purpose.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from .painter import save_painter
from .verbs import CAPTION, CASES, COMPARE, OUT, STEPS, objects, pixels, save_pixels

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ELSEWHERE = "/home/somebody/pictures"
"""Where the samples say that they were written: the folder of another machine."""

BOX = "--box 18,3,42,30"
SUITE = """\
description: A cup, and no face in it
models: [{profile: classical}]
settings: [{iterations: 1}, {iterations: 2}]
judges: {detect: haar}
cases:
- {description: a face, image: face.png, detect: face, assert: [{type: count, value: 1}]}
- {description: no face, image: small.png, detect: face, assert: [{type: count, value: 0}]}
- {description: the cup, image: small.png, find: {box: [18, 3, 42, 30]}, box: [18, 3, 42, 30],
   assert: [{type: box_iou, value: 0.5}]}
- {description: a part, image: small.png, find: {point: "30,15"}, box: [18, 3, 42, 30],
   assert: [{type: box_iou, value: 0.99}]}
- {description: taken away, image: small.png, remove: {box: [30, 20, 50, 35]},
   assert: [outside_changed_pixels]}
"""
RECIPE = """\
description = "A cup by a box"
image = "small.png"
box = [18, 3, 42, 30]

[segment]
find = {box = "{{left}},3,42,30"}

[sweep]
iterations = [1, 2, 3]
vars.left = [16, 18, 20]

[search]
objective = "box_iou"
"""
TEACH = (
    "teach photos --model ./painter --instance-prompt 'a photo of ohwx cat'"
    " --class-prompt 'a photo of a cat' --class-images classes --resolution 32 --rank 1"
    " --checkpointing-steps 2 --checkpoints-total-limit 1 --device cpu --no-store"
)
"""Of both subjects, without their names and steps."""
RUNS = (
    f"segment small.png {BOX} --tag cup",
    f"cutout small.png {BOX} --feather 2 --tag cup",
    "remove small.png --box 30,20,50,35",
    f"background small.png {BOX} --colour teal",
    "extend small.png --extend left=8,top=10%",
    "redact face.png --text face",
    f"edit small.png {BOX} --paint 'a car' --inpainter ./painter --num-inference-steps 2 --seed 1"
    " --device cpu --dtype float32",
    "detect face.png --text face",
)
"""What the sample of a store holds, oldest first."""
EXPORTED = "latest"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--expected", action="store_true", help="only what verbs paint and find")
    given = parser.parse_args()
    folder = given.folder.resolve()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        os.environ.update(LIMNER_STORE="off", LIMNER_HOME=str(work / "home"), OMP_NUM_THREADS="1")
        os.chdir(work)
        if given.expected:
            shutil.copytree(folder, work, dirs_exist_ok=True)
        else:
            _write_pictures()
            save_painter(Path("painter"))
        _write_expected()
        if not given.expected:
            _write_subjects()
            _write_folder_run()
            _write_store()
            _scrub(work)
            _export()
        _check(work)
        for path in (OUT, OUT.with_suffix(".json")):
            path.unlink(missing_ok=True)
        shutil.copytree(work, folder, dirs_exist_ok=True)


def run(words: str, code: int = 0) -> str:
    """What a command prints; ends the program where the exit code is another."""
    from limner.cli import main as limner

    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        ended = limner(shlex.split(words))
    assert ended == code, f"{words}: exit code {ended}"
    return stdout.getvalue()


def stop(words: str, when: Callable[[], bool]) -> None:
    """Kill a command as soon as ``when`` holds."""
    process = subprocess.Popen([sys.executable, "-m", "limner", *shlex.split(words)])
    while process.poll() is None and not when():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, f"{words} had ended before it was killed"


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _write_pictures() -> None:
    """Few colours, so that the files are small."""
    photo = Image.open(EXAMPLES / "photos" / "astronaut.png").convert("RGB")
    cup = Image.open(EXAMPLES / "photos" / "coffee.png").convert("RGB")
    scene = Image.open(EXAMPLES / "scenes" / "lawn.png").convert("RGB")
    for name, picture, size, colours in (
        ("face", photo.crop((150, 50, 310, 210)), (64, 64), 24),
        ("cup", cup, (120, 80), 32),
        ("small", cup, (60, 40), 16),
        ("scene", scene, (128, 128), 48),
    ):
        small = picture.resize(size, Image.Resampling.LANCZOS).quantize(colours)
        small.convert("RGB").save(f"{name}.png", optimize=True)
    for folder, source, count in (("photos", "scene.png", 3), ("classes", "cup.png", 2)):
        Path(folder).mkdir()
        whole = Image.open(source)
        for k in range(count):
            part = whole.crop((12 * k, 6 * k, 12 * k + 64, 6 * k + 64)).resize((32, 32))
            part.save(Path(folder) / f"{k}.png", optimize=True)


def _write_expected() -> None:
    folder = Path("expected")
    folder.mkdir(exist_ok=True)
    for case in CASES:
        told = json.loads(run(f"{case.words} -o {OUT} --overwrite --json --no-cache"))
        found = {
            "models": {each["name"]: each["files"] for each in told["models"]},
            "objects": objects(OUT.with_suffix(".json")),
        }
        _write_json(folder / f"{case.name}.json", found)
        if case.exact or not OUT.with_suffix(".json").is_file():
            save_pixels(folder / f"{case.name}.png", pixels(OUT), case.picture)
        OUT.with_suffix(".json").unlink(missing_ok=True)
        shutil.rmtree("out-masks", ignore_errors=True)
    caption = json.loads(run(shlex.join([*CAPTION, "--json"])))
    _write_json(folder / "caption.json", caption)
    told = json.loads(run(shlex.join([*COMPARE, "--json", "--overwrite"])))
    _write_json(folder / "compare.json", {each["name"]: each["boxes"] for each in told["models"]})
    Path("compared.png").unlink()


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_subjects() -> None:
    """One that was taught, and one whose teaching was killed after its first checkpoint."""
    run(f"{TEACH} --name mycat --max-train-steps 4 --learning-rate 0.1")
    shutil.rmtree("home/subjects/mycat/run/checkpoints")
    first = Path("home/subjects/halfway/run/checkpoints/000002/state.json")
    stop(f"{TEACH} --name halfway --max-train-steps 200", first.is_file)
    for path in first.parents[1].iterdir():
        if path.name != "000002":
            shutil.rmtree(path)
    shutil.rmtree("home/teaching", ignore_errors=True)
    edit = f"edit small.png {BOX} --paint 'ohwx cat' --inpainter ./painter --subject mycat"
    run(f"{edit} {STEPS} -o expected/subject.png --no-record")


def _write_folder_run() -> None:
    """Three pictures, of which two are done; a redaction, which is known by a key of the home."""
    Path("folder/in").mkdir(parents=True)
    small = Image.open("small.png")
    for k in range(3):
        small.crop((k, 0, k + 48, 32)).save(f"folder/in/{k}.png", optimize=True)
    run("remove folder/in --box 30,16,40,28 -o folder/removed")
    Path("folder/removed/2-remove.png").unlink()
    run("redact folder/in --box 10,6,20,18 -o folder/redacted")
    Path("folder/redacted/contact-sheet.jpg").unlink()  # large
    run("segment folder/in --box 15,3,34,24 -o folder/outlined")


def _write_store() -> None:
    for k, words in enumerate(RUNS):
        run(f"{words} --store store -o made/{k}.png")
    run("runs rate latest~2 4 --store store")
    run("runs note latest~2 'the rim is soft' --store store")
    run("runs replay latest~5 --store store")
    Path("made/2.png").rename("result.png")
    shutil.rmtree("made")
    shutil.move("store/cache", "cache")
    os.environ["LIMNER_CACHE"] = "off"
    Path("suite.yaml").write_text(SUITE, encoding="utf-8")
    Path("sweep.toml").write_text(RECIPE, encoding="utf-8")
    run("eval suite.yaml -o report.json --no-store", 100)
    (journal,) = Path(".limner/evals").iterdir()
    (journal / "cells.jsonl").unlink()
    stop("eval suite.yaml --store store", lambda: lines(journal / "cells.jsonl") >= 4)
    shutil.move(journal, "journal")
    shutil.rmtree(".limner")
    stop("sweep sweep.toml -o swept --no-store", lambda: lines(Path("swept/cells.jsonl")) >= 3)


def _scrub(work: Path) -> None:
    """Nothing of this machine stays: neither its folders nor its name."""
    with contextlib.closing(sqlite3.connect("store/runs.db")) as store:
        columns = [row[1] for row in store.execute("PRAGMA table_info(runs)") if row[2] == "TEXT"]
        for column in columns:
            store.execute(
                f"UPDATE runs SET {column} = replace({column}, ?, ?)", (str(work), ELSEWHERE)
            )
        store.execute("UPDATE runs SET host = 'elsewhere'")
        store.commit()
        store.execute("VACUUM")
    for path in Path().rglob("*"):
        if path.suffix in (".json", ".jsonl", ".html", ".md") and path.is_file():
            text = path.read_text(encoding="utf-8").replace(str(work), ELSEWHERE)
            path.write_text(text, encoding="utf-8")
    for path in [*Path().rglob("*.lock"), *Path().rglob("lock"), *Path().rglob(".gitignore")]:
        path.unlink()


def _export() -> None:
    for name in ("exported.zip", "exported.jsonl"):
        run(f"runs export {EXPORTED} --store store -o {name}")


def _check(work: Path) -> None:
    for path in Path().rglob("*"):
        if path.is_file():
            assert str(work).encode() not in path.read_bytes(), path


if __name__ == "__main__":
    main()

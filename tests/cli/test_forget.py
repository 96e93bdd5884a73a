"""What was redacted leaves no trace in what is published, nor, once forgotten, on the machine."""

from __future__ import annotations

import json
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.io.save import read_record
from tests.hidden_content import Hidden, traces

from .command import Command

BOX = (16, 16, 64, 56)
AT = ",".join(map(str, BOX))
TRACKERS = ("tensorboard", "comet", "trackio")


@pytest.fixture(autouse=True)
def recording(limner: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As for a user: the store is on. Temporary files lie where they can be looked through."""
    monkeypatch.delenv("LIMNER_STORE", raising=False)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "kept" / "trackio"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


def photographs(folder: Path, count: int) -> list[Path]:
    """Crops of noise with EXIF that names a place, under names that name somebody."""
    folder.mkdir(parents=True)
    paths = []
    for k in range(count):
        pixels = np.random.default_rng(k).integers(0, 255, (72, 80, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[0x010E] = f"SECRETPLACE{k}"
        paths.append(folder / f"Jane Döe {k:02} (victim).{('png', 'jpg')[k % 2]}")
        Image.fromarray(pixels).save(paths[-1], exif=exif, quality=95)
    return paths


def hidden_of(paths: list[Path]) -> list[Hidden]:
    return [Hidden.of(path, BOX) for path in paths]


def test_the_search_finds_what_is_not_hidden(tmp_path: Path) -> None:
    """It must see a copy, a JPEG of it, a crop, pixels as bytes, a name and a digest; a negative
    result of a search that sees nothing would prove nothing."""
    (path,) = photographs(tmp_path / "in", 1)
    (hidden,) = hidden_of([path])
    picture = Image.open(path).convert("RGB")
    picture.save(tmp_path / "a.jpg", quality=95, subsampling=0)
    picture.crop((20, 20, 60, 50)).save(tmp_path / "b.png")
    (tmp_path / "c.bin").write_bytes(b"head" + np.asarray(picture).tobytes())
    (tmp_path / "d.bin").write_bytes(b"head" + path.read_bytes() + b"tail")
    (tmp_path / "e.txt").write_text(f"see {path.stem}")
    (tmp_path / "f.json").write_text(json.dumps({"input": str(path)}))
    for name in ("a.jpg", "b.png", "c.bin", "d.bin", "e.txt", "f.json"):
        assert hidden.traces(tmp_path / name), name
    covered = picture.copy()
    covered.paste((9, 9, 9), BOX)
    covered.save(tmp_path / "g.png")
    assert hidden.traces(tmp_path / "g.png") == []


def redacted(limner: Command, *words: object) -> str:
    """A folder looked through and then redacted; what redact said."""
    limner("detect", "clinic", "--text", "face", "-o", "detect-out", *words)
    said = limner("redact", "clinic", "--box", AT, "--style", "solid", "-o", "public", *words)
    return said.stderr


@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_nothing_of_redacted_pictures_is_published_or_stays(
    count: int, limner: Command, tmp_path: Path
) -> None:
    """No block, path, name or digest in a result (its own file name aside); and after ``forget``
    none in the store, its database, the cache or temporary files."""
    paths = photographs(tmp_path / "clinic", count)
    hidden = hidden_of(paths)
    said = redacted(limner)
    assert f"{count} of these pictures unredacted" in said
    assert "limner runs forget clinic" in said
    assert len(list(Path("public").glob("*.png"))) == count
    named = tmp_path / "public" / "summary.csv"  # the user's own list of inputs, by name
    assert [each for each in traces(hidden, named) if "the text" not in each] == []
    named.unlink()
    assert traces(hidden, tmp_path / "public") == []
    assert traces(hidden, tmp_path / ".limner") != [], "the search sees what the store keeps"
    forgotten = limner("runs", "forget", "clinic", "--results")
    assert f"{count} pictures  forgotten: {2 * count} runs" in forgotten.stdout
    left = (tmp_path / ".limner", tmp_path / "tmp", tmp_path / "public", tmp_path / "detect-out")
    assert traces(hidden, *left) == []
    assert not any(b"SECRETPLACE" in p.read_bytes() for p in Path(".limner").rglob("*.*"))
    assert len(list(Path("public").glob("*.png"))) == count, "redactions stay"
    assert limner("runs", "list").stderr.strip() == "limner: No run is like that."


def test_a_folders_list_names_a_forgotten_picture_no_more(limner: Command, tmp_path: Path) -> None:
    """The others stay in it; a list of somebody else's stays as it is."""
    first, second = photographs(tmp_path / "clinic", 2)
    limner("detect", "clinic", "--text", "face", "-o", "found")
    other = tmp_path / "annotations-detect.json"
    other.write_text(json.dumps({"images": [{"id": 1, "file_name": first.name}]}))
    before = other.read_bytes()
    said = limner("runs", "forget", first).stderr
    assert "annotations-detect.json" in said, "named where it isn't removed"
    limner("detect", first, "--text", "face", "-o", "found/again.png")
    limner("detect", "clinic", "--text", "face", "-o", "found", "--overwrite")
    limner("runs", "forget", first, "--results")
    listing = json.loads(Path("found/annotations-detect.json").read_text())
    assert [image["file_name"] for image in listing["images"]] == [second.name]
    assert other.read_bytes() == before


@pytest.mark.slow
def test_trackers_files_are_forgotten_too(limner: Command, tmp_path: Path) -> None:
    """What Comet, Trackio and TensorBoard keep on this machine, each opened by the real package."""
    missing = [name for name in ("comet_ml", "trackio", "tensorboard") if not find_spec(name)]
    if missing:
        pytest.skip(f"TRACKERS MISSING: {', '.join(missing)}.")
    hidden = hidden_of(photographs(tmp_path / "clinic", 2))
    redacted(limner, "--track", ",".join(TRACKERS), "--track-to", "kept")
    before = traces(hidden, tmp_path / "kept")
    for name in TRACKERS:
        assert any(f"/{name}/" in each for each in before), name
    limner("runs", "forget", "clinic")
    assert traces(hidden, tmp_path / "kept", tmp_path / ".limner", tmp_path / "tmp") == []


def test_a_redactions_tracker_gets_no_name(limner: Command, tmp_path: Path) -> None:
    """An experiment of a redaction alone holds nothing that leads back, without ``forget``."""
    if not find_spec("comet_ml"):
        pytest.skip("TRACKERS MISSING: comet_ml.")
    hidden = hidden_of(photographs(tmp_path / "clinic", 1))
    limner("redact", "clinic", "--box", AT, "--style", "solid", "-o", "public",
           "--track", "comet", "--track-to", "kept")  # fmt: skip
    assert list(Path("kept/comet").glob("*.zip"))
    assert traces(hidden, tmp_path / "kept") == []


def test_a_path_is_forgotten_when_its_file_is_gone(limner: Command, tmp_path: Path) -> None:
    """By the path as it was recorded; other pictures' runs stay, and so does what they name."""
    paths = photographs(tmp_path / "clinic", 2)
    hidden = hidden_of(paths)
    for path in paths:
        limner("cutout", path, "--box", AT, "-o", f"{path.stem}.png")
    limner("background", f"{paths[0].stem}.png", "--box", AT, "--colour", "red", "-o", "next.png")
    paths[0].unlink()
    said = limner("runs", "forget", paths[0])
    assert "2 runs" in said.stdout, "the run on its result goes too: it shows it as well"
    assert "next.png" in said.stderr
    assert traces(hidden[:1], tmp_path / ".limner") == []
    assert "0 pixels differ" in limner("runs", "replay", "latest").stdout
    answer = limner.run("runs", "forget", "never.png")
    assert (answer.code, "no run" in answer.stderr) == (2, True)
    limner("runs", "forget", paths[1])
    assert "0 runs" in limner("runs", "forget", paths[1]).stdout, "again: nothing is there any more"


def test_a_redaction_is_found_done_already_without_its_digest(
    limner: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a digest that only this user can compute; with another secret it isn't recognised."""
    (path,) = photographs(tmp_path / "clinic", 1)
    words = ("redact", path, "--box", AT, "-o", "r.png")
    for more in ((), ("--no-store",)):
        limner(*words, "--overwrite", *more)
        assert "done already" in limner(*words, *more).stdout
    assert (read_record("r.png") or {})["input"] == {"size_wh": [80, 72]}
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "other"))
    answer = limner.run(*words)
    assert (answer.code, "made otherwise" in answer.stderr) == (2, True)


VERBS = {
    "detect": ("--text", "face"),
    "segment": ("--box", AT, "--semantic", "--panoptic"),
    "remove": ("--box", AT),
    "cutout": ("--box", AT),
    "background": ("--box", AT, "--colour", "red"),
    "redact": ("--box", AT),
    "extend": ("--extend", "left=8"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_no_record_leaves_it_out_of_every_result(
    verb: str, limner: Command, tmp_path: Path
) -> None:
    """In no form: neither text, XMP nor JSON beside the picture says limner or the path."""
    (path,) = photographs(tmp_path / "clinic", 1)
    limner(verb, path, *VERBS[verb], "-o", "out/r.png", "--no-record")
    files = [p for p in Path("out").rglob("*") if p.is_file()]
    assert files
    for file in files:  # "Made with limner" stays in COCO's description
        assert b"limner" not in file.read_bytes().replace(b"Made with limner", b""), file
        if file.suffix == ".png":
            assert read_record(file) is None


def test_journals_of_suites_that_name_it_are_forgotten(limner: Command, tmp_path: Path) -> None:
    """Their thumbnails and archived reports show it; other suites' stay."""
    (path,) = photographs(tmp_path / "clinic", 1)
    limner("cutout", path, "--box", AT, "-o", "c.png")
    run = limner.json("runs", "show", "latest")["id"]
    for name, content in (("mine", run), ("others", "0" * 16)):
        folder = Path(".limner/evals", name)
        (folder / "pictures").mkdir(parents=True)
        (folder / "cells.jsonl").write_text(json.dumps({"run": content}))
        (folder / "pictures" / "x.jpg").write_bytes(b"a thumbnail")
    limner("runs", "forget", path)
    assert [each.name for each in Path(".limner/evals").iterdir()] == ["others"]

"""``limner cutout`` without a prompt: the main thing, by a matting model, or by a guess that is
said to be one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner import Session
from limner.errors import OptionError, WeightsMissing
from limner.io.save import record_in
from limner.models.classical.middle import CAVEAT
from limner.registry import catalog
from limner.runs.store import Store
from limner.session.replay import replay
from tests.cli.command import Command
from tests.models.tiny_birefnet import save_tiny_birefnet

LITE = "birefnet-lite"
OFF_THE_MIDDLE = (10, 10, 60, 60)


@pytest.fixture
def photo(limner: Command) -> Path:
    """A bright textured square near a corner of a dark textured ground, 160 x 120."""
    texture = np.random.default_rng(0).integers(0, 30, (120, 160, 3))
    values = (texture + np.array([10, 20, 30])).astype(np.uint8)
    x0, y0, x1, y1 = OFF_THE_MIDDLE
    values[y0:y1, x0:x1] += 210
    Image.fromarray(values).save("im.png")
    return Path("im.png")


@pytest.fixture
def lite(photo: Path) -> None:
    """``birefnet-lite`` in the store, with a tiny network."""
    home = Path(".home/models")
    save_tiny_birefnet(home / LITE, file="onnx/model.onnx")


@pytest.mark.usefixtures("lite")
def test_the_models_alpha_is_the_files_alpha(limner: Command, photo: Path) -> None:
    """Soft, in the picture's own place; the picture's colours wherever anything shows, and none
    where nothing does."""
    record = limner.json("cutout", photo, "--profile", "small")
    assert [model["name"] for model in record["models"]] == [LITE]
    assert "caveat" not in record["result"]
    with Image.open(photo) as before, Image.open("im-cutout.png") as after:
        original, made = np.asarray(before), np.asarray(after)
        expected = Session(profile="small").models.matting.matte(before.convert("RGB")).alpha
    assert np.array_equal(made[..., 3], np.floor(expected * 255 + 0.5).astype(np.uint8))
    assert np.count_nonzero((made[..., 3] > 20) & (made[..., 3] < 235)) > 50, "soft edges"
    shown = made[..., 3] > 0
    assert np.array_equal(made[shown][:, :3], original[shown])
    assert not made[~shown].any()
    assert made[35, 35, 3] == 255


@pytest.mark.usefixtures("lite")
def test_what_was_pulled_is_taken_without_being_named(limner: Command, photo: Path) -> None:
    """As rembg's users expect: one pull, then no flag; and never where a guess is wished for."""
    assert [m["name"] for m in limner.json("cutout", photo)["models"]] == [LITE]
    guess = limner.json("cutout", photo, "--matting", "grabcut-middle", "-o", "guess.png")
    assert [m["name"] for m in guess["models"]] == ["grabcut-middle"]


def test_a_guess_is_said_to_be_one_in_the_line_and_in_the_record(
    limner: Command, photo: Path
) -> None:
    answer = limner("cutout", photo)
    assert CAVEAT in " ".join(answer.stdout.split())
    assert "limner models pull birefnet-lite" in answer.stderr
    record = record_in(Path("im-cutout.png").read_bytes(), "im-cutout.png")
    assert record is not None
    assert record["result"]["caveat"] == CAVEAT
    assert record["prompts"] == []


def test_the_guess_is_what_lies_in_the_middle(limner: Command) -> None:
    """An outline with the border of any other cut-out, which --feather and --dilate change."""
    values = np.full((120, 160, 3), 40, np.uint8)
    values[40:80, 50:110] = (220, 180, 60)
    Image.fromarray(values).save("im.png")
    assert limner.json("cutout", "im.png", "--feather", 0, "--trim")["result"]["objects"] == 1
    with Image.open("im-cutout.png") as picture:
        assert np.abs(np.array(picture.size) - (60, 40)).max() <= 2
        assert set(np.unique(np.asarray(picture)[..., 3])) <= {0, 255}
    limner("cutout", "im.png", "--dilate", 9, "--feather", 0, "--trim", "-o", "wide.png")
    with Image.open("wide.png") as picture:
        assert np.abs(np.array(picture.size) - (78, 58)).max() <= 3


@pytest.mark.usefixtures("lite")
def test_nothing_seen_is_nothing_found(limner: Command) -> None:
    Image.new("RGB", (60, 50)).save("black.png")
    answer = limner.run("cutout", "black.png", "--fail-if-empty")
    assert answer.code == 1
    assert "nothing found" in answer.stdout
    assert not Path("black-cutout.png").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--threshold", ".3"), "--threshold has no effect without a prompt"),
        (("--segmenter", "grabcut", "--select", "largest"), "--segmenter and --select have no"),
        (("--box", "1,1,9,9", "--matting", LITE), "--matting has no effect beside a prompt"),
        (("--matting", "haar"), "one to matte is needed: birefnet-lite"),
        (("--matting", LITE, "--feather", "3"), "the edges of its matte are soft by themselves"),
        (("--context", "2"), "has no option --context"),
    ],
)
@pytest.mark.usefixtures("lite")
def test_what_has_no_effect_is_refused(
    limner: Command, photo: Path, flags: tuple[str, ...], sentence: str
) -> None:
    answer = limner.run("cutout", photo, *flags)
    assert answer.code == 2
    assert sentence.lower() in answer.stderr.lower()
    assert not Path("im-cutout.png").exists()


def test_a_model_that_is_not_here_is_said_once_before_the_first_picture(
    limner: Command, photo: Path
) -> None:
    """With what gets it, and what works without; a folder isn't walked in vain."""
    Image.open(photo).save("b.png")
    answer = limner.run("cutout", photo, "b.png", "--profile", "small")
    assert answer.code == 2
    assert answer.stderr.count("are not on this machine") == 1
    assert "limner models pull birefnet-lite" in answer.stderr
    assert "with nothing to fetch: grabcut-middle" in answer.stderr


def test_a_plan_names_the_model(limner: Command, photo: Path) -> None:
    rows = limner.json("cutout", photo, "--dry-run")["models"]
    assert [(row["task"], row["model"]) for row in rows] == [("matte", "grabcut-middle")]


def test_every_other_verb_still_wants_a_prompt(limner: Command, photo: Path) -> None:
    for verb in ("remove", "redact", "segment"):
        answer = limner.run(verb, photo)
        assert answer.code == 2
        assert "Nothing was asked for" in answer.stderr


def test_python_takes_it_too_and_a_guess_is_replayed_as_that_guess(
    limner: Command, photo: Path
) -> None:
    """Also when a better model came meanwhile: a replay asks the models of the run."""
    store = Store.open("store")
    run = Session(store=store).cutout(photo)
    assert run.record.result["caveat"] == CAVEAT
    assert [ref["name"] for ref in run.record.models] == ["grabcut-middle"]
    save_tiny_birefnet(Path(".home/models") / LITE, file="onnx/model.onnx")
    again = replay(store, str(run.id))
    assert again.pixels == 0
    assert again.same_finds
    better = Session().cutout(photo, trim=True)
    assert [ref["name"] for ref in better.record.models] == [LITE]
    assert better.image.size[0] < 160
    assert Session(matte="grabcut-middle").cutout(photo).record.result["caveat"] == CAVEAT
    with pytest.raises(OptionError, match="no effect"):
        Session().cutout(photo, feather=3)
    with pytest.raises(WeightsMissing, match="birefnet "):
        Session(matte="birefnet").cutout(photo)


def test_the_entries_are_mit_and_pinned() -> None:
    """What a product may use: the licence, and the very commit whose file was looked up."""
    for name in (LITE, "birefnet"):
        entry = catalog.catalog()[name]
        assert (entry.licence, entry.commercial) == ("MIT", "yes")
        assert len(str(entry.revision)) == 40
    assert json.dumps(catalog.catalog()[LITE].to_dict())

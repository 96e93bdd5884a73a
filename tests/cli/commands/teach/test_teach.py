"""``limner teach`` on the minis: taught, listed, exported, merged, painted; bad input."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.evaluation.metrics import dreambooth_prompts, subject_card
from limner.training import generate, instance_images
from limner.training.instance_images import METADATA
from tests.cli.command import Command
from tests.conftest import need_minis
from tests.training.photos import folder_of, photo

PROMPTS = ("--instance-prompt", "a photo of ohwx cat", "--class-prompt", "a photo of a cat")
QUICK = ("--num-class-images", 2, "--max-train-steps", 2, "--checkpointing-steps", 2)
MODEL = "mini-sd-inpaint"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "STEPS", 2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "photos", 3)


def words(name: str, *more: object, model: str = MODEL) -> tuple[object, ...]:
    return ("teach", "photos", "--name", name, "--model", model, *PROMPTS, *QUICK, *more)


def test_taught_shown_exported_merged_and_painted(
    limner: Command, photos: Path, tmp_path: Path
) -> None:
    need_minis(MODEL)
    told = limner(*words("mycat", "--learning-rate", 0.1))
    assert "2 steps, 3 photographs" in told.stdout
    assert "step 1/2  loss " in told.stderr
    assert "prior" in told.stderr
    assert "00.png: a square of 90 px was cut out of 120x90." in told.stderr
    folder = tmp_path / ".home" / "subjects" / "mycat"
    assert "license: " in (folder / "README.md").read_text()
    assert len(list((folder / "thumbnails").iterdir())) == 3

    (card,) = limner.json("teach", "list")
    assert (card["identifier"], card["class"], card["rank"]) == ("ohwx", "cat", 4)
    assert (card["base"]["name"], card["licence"], card["consent"]) == (MODEL, "Apache-2.0", None)
    assert limner.json("teach", "show", "mycat") == card
    assert "ohwx cat" in limner("teach", "show", "mycat").stdout

    limner("teach", "export", "mycat", "--layout", "kohya", "-o", "mycat.safetensors")
    assert "exists" in limner.run("teach", "export", "mycat", "-o", "mycat.safetensors").stderr
    limner("teach", "merge", "mycat=0.5", "-o", "merged")

    photo(9).save("scene.png")
    asked = ("edit", "scene.png", "--box", "10,10,90,80", "--paint", "ohwx cat", "--seed", 3)
    steps = ("--num-inference-steps", 2, "--json")
    made: dict[str, Any] = {}
    for name, more in {
        "without": ("--inpainter", MODEL),
        "with": ("--inpainter", MODEL, "--subject", "mycat"),
        "less": ("--inpainter", MODEL, "--subject", "mycat=0.5"),
        "merged": ("--inpainter", "./merged"),
    }.items():
        answer = limner(*asked, *more, *steps, "-o", f"{name}.png")
        made[name] = json.loads(answer.stdout)
        assert made[name]["result"]["edits"][0]["outside_changed_pixels"] == 0
    jobs = {made[name]["job"] for name in made}
    assert len(jobs) == 4  # else a result with one subject would pass for one with another
    pictures = {name: Image.open(f"{name}.png").tobytes() for name in made}
    assert len({pictures[name] for name in ("without", "with", "less")}) == 3
    painter = made["with"]["models"][-1]
    assert painter["files"]["subjects/mycat"] == card["sha256"]
    for name, weight in (("with", 1.0), ("less", 0.5)):
        known = {"name": "mycat", "sha256": card["sha256"], "weight": weight}
        assert made[name]["models"][-1]["adapters"] == [known]
    assert "adapters" not in made["without"]["models"][-1]
    done = limner(*asked, "--inpainter", MODEL, "--subject", "mycat", *steps[:2], "-o", "with.png")
    assert "done already" in done.stdout


SMALL = ("--prompts", 2, "--seeds", 2, "--profile", "mini")
PAINTED = ("mini-sd", "mini-clip", "mini-dino")


def test_every_checkpoint_is_scored_and_the_best_taken(
    limner: Command, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The untaught model comes first; what was found stays on the card, with its pictures. A real
    photograph lies beside the portraits. Where none is half way there, none is called the best."""
    need_minis(*PAINTED)
    monkeypatch.setattr(subject_card, "GOOD_ENOUGH", -100.0)
    monkeypatch.setattr(subject_card.SubjectCard, "total", lambda self, row: 1 + row.dino)
    limner(*words("mycat", "--learning-rate", 0.02, "--checkpointing-steps", 1, model="mini-sd"))
    asked = ("teach", "score", "mycat", "photos", *SMALL)
    found = limner.json(*asked, "--sheet", "sheet.png", "--charts", "charts", "--take-best")
    assert [row["name"] for row in found["rows"]] == ["before", "1", "2"]
    assert found["rows"][0]["leak"] == 0
    assert found["prompts"] == ["a ohwx cat in the jungle", "a ohwx cat in the snow"]
    assert found["rows"][1]["dino"] != found["rows"][0]["dino"]
    assert all(0 <= row["div_dino"] <= 2 for row in found["rows"])
    assert found["best"] in ("1", "2")
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 4 * 128  # and the photographs
    taken = limner.run(*asked, "--sheet", "sheet.png")
    assert (taken.code, "sheet.png is there already" in taken.stderr) == (2, True)
    assert {path.name for path in Path("charts").iterdir()} == {"trade-off.png", "trade-off.svg"}

    folder = tmp_path / ".home" / "subjects" / "mycat"
    card = limner.json("teach", "show", "mycat")
    assert str(card["steps"]) == found["best"]
    adapter = folder / "pytorch_lora_weights.safetensors"
    assert hashlib.sha256(adapter.read_bytes()).hexdigest() == card["sha256"]
    assert card["scores"]["rows"] == found["rows"]
    assert card["scores"]["pictures"][0] == "scores/trade-off.png"
    assert len(card["scores"]["pictures"]) == 4  # a photograph, and a portrait of each prompt
    with Image.open(folder / card["scores"]["pictures"][1]) as picture:
        real = np.asarray(instance_images.read(photos, 64).usable[0].image, float)
        assert np.abs(np.asarray(picture, float) - real).mean() < 20  # but for JPEG
    for path in card["scores"]["pictures"]:
        with Image.open(folder / path) as picture:
            assert picture.width >= 64
    readme = (folder / "README.md").read_text()
    assert f"Best: {found['best']}." in readme
    assert "![](scores/trade-off.png)" in readme
    shown = limner("teach", "show", "mycat").stdout
    assert f"2 prompts, 2 seeds, by mini-clip, mini-dino; best: {found['best']}" in shown
    assert "DIV by DINO" in shown

    monkeypatch.setattr(subject_card, "GOOD_ENOUGH", 0.5)
    unfit = limner.run(*asked, "--take-best")
    assert unfit.code == 1
    assert "best: none is good enough: " in unfit.stdout
    assert "and half way from the untaught model to the photographs is 0." in unfit.stderr
    assert limner.json("teach", "show", "mycat")["scores"]["best"] is None
    assert "best: none is good enough" in limner("teach", "show", "mycat").stdout
    assert str(limner.json("teach", "show", "mycat")["steps"]) == found["best"]


def test_any_adapter_gets_the_same_scores_as_a_checkpoint(
    limner: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One engine: a subject by its name, its file in another program's layout, and its checkpoint
    score alike; of weight 0 it is the untaught model."""
    need_minis(*PAINTED)
    limner(*words("mycat", "--learning-rate", 0.02, model="mini-sd"))
    before, last = limner.json("teach", "score", "mycat", "photos", *SMALL)["rows"]
    limner("teach", "export", "mycat", "--layout", "kohya", "-o", "other.safetensors")
    one = ("score", "subject", "photos", *SMALL)
    found = limner.json(
        *one, "--adapter", "mycat", "--adapter", "./other.safetensors", "--adapter", "mycat=0"
    )
    assert found["base"] == "mini-sd"
    assert len(set(found["adapters"].values())) == 2
    of = {row["name"]: row for row in found["rows"]}
    assert list(of) == ["before", "mycat", "./other.safetensors", "mycat=0"]
    for name, row in (
        ("before", before), ("mycat", last), ("./other.safetensors", last), ("mycat=0", before)
    ):  # fmt: skip
        for score in ("dino", "clip_i", "clip_t", "pres", "div_dino", "drift"):
            assert of[name][score] == pytest.approx(row[score], abs=1e-3), (name, score)

    alone = ("--adapter", "./other.safetensors", "--model", "mini-sd")
    lacking = limner.run(*one, *alone)
    assert (lacking.code, "give --instance-prompt" in lacking.stderr) == (2, True)
    long = next(prompt for prompt in dreambooth_prompts.OBJECTS if "sidewalk" in prompt)
    monkeypatch.setattr(dreambooth_prompts, "OBJECTS", (long, dreambooth_prompts.OBJECTS[0]))
    told = limner(*one, *alone, *PROMPTS, "--charts", "charts", "-o", "report.json")
    assert "./other.safetensors" in told.stdout
    assert Path("charts/trade-off.svg").is_file()
    assert 'crowded street" is left out' in told.stderr  # a mini can't read it to its end
    assert len(json.loads(Path("report.json").read_text())["prompts"]) == 1


def test_limner_itself_crops_and_captions(limner: Command, tmp_path: Path) -> None:
    """Captions are written and nothing is taught; then what a person made of them is."""
    for name in ("mini-sd", "mini-owlvit", "mini-sam", "mini-blip"):
        need_minis(name)
    shown = Path(__file__).parents[4] / "examples" / "subject"
    shutil.copytree(shown, tmp_path / "photos")
    named = ("--instance-prompt", "ohwx backpack", "--class-prompt", "a backpack")
    bare = ("--max-train-steps", 1, "--profile", "mini", *named)
    asked = words("mybag", *bare, "--crop-to", "backpack", model="mini-sd")
    told = limner(*asked, "--caption")
    captions = (tmp_path / "photos" / METADATA).read_text()
    assert captions.count("ohwx") == captions.count("\n") == 4
    assert "nothing is taught yet: edit it, then run the same without --caption" in told.stdout
    assert not (tmp_path / ".home" / "subjects" / "mybag").exists()
    refused = limner.run(*asked, "--caption")
    assert (refused.code, "is there already: leave --caption out" in refused.stderr) == (2, True)
    (tmp_path / "photos" / METADATA).write_text(captions.replace("ohwx", "a ohwx", 1))
    assert "px was cut out of 128x128" in limner(*asked).stderr
    first = next(iter(limner.json("teach", "show", "mybag")["captions"].values()))
    assert "a ohwx" in first


def test_a_plan_says_what_it_takes_and_leaves_nothing(
    limner: Command, photos: Path, tmp_path: Path
) -> None:
    need_minis("mini-sd")
    found = limner.json(*words("mycat", "--dry-run", model="mini-sd"))
    assert found["seconds_a_step"] > 0
    assert found["seconds_a_class_image"] > 0
    assert found["minutes"] > found["minutes_a_hundred"] / 100
    assert (found["steps"], found["class_images"], found["side"]) == (2, 2, 64)
    assert limner.json("teach", "list") == []
    assert not (tmp_path / ".home" / "subjects" / "mycat").exists()


def test_a_plan_of_a_run_that_validates_or_keeps_no_prior(
    limner: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three steps that are measured are not refused for settings that matter to the whole; nor
    is a tracker that is set for every run."""
    need_minis("mini-sd")
    monkeypatch.setenv("LIMNER_TRACK", "tensorboard")
    asked = ("teach", "photos", "--name", "mycat", "--model", "mini-sd", *PROMPTS)
    validated = ("--validation-steps", 50, "--num-validation-images", 1)
    validated += ("--validation-prompt", "a cat at sea", "--validation-prompt", "ohwx cat")
    found = limner.json(*asked, "--no-with-prior-preservation", *validated, "--dry-run")
    assert (found["steps"], found["class_images"]) == (500, 0)


BAD: dict[str, tuple[tuple[object, ...], str]] = {
    "lambda below 0": (("--prior-loss-weight", -1), "prior_loss_weight must be at least 0"),
    "rank 0": (("--rank", 0), "rank must be between 1 and"),
    "class images without guidance": (
        ("--class-guidance-scale", -1),
        "class_guidance_scale must be between 0 and 100",
    ),
    "a validation prompt of nothing": (("--validation-prompt", " "), "what is to be seen"),
    "resolution": (("--resolution", 36), "multiple of 8, got 36"),
    "no identifier": (("--instance-prompt", "a photo of a cat"), "has no identifier"),
    "a common identifier": (("--instance-prompt", "a red cat"), "'red' is a common word"),
    "no class": (("--class-prompt", "a photo"), "names no class"),
    "a person": (
        ("--instance-prompt", "ohwx man", "--class-prompt", "a man"),
        "--i-have-consent",
    ),
    "no diffusion model": (("--model", "haar"), "can't be taught"),
    "no such model": (("--model", "mini-ds"), "mini-sd"),
    "no name": (("--name", "../me"), "letters, digits"),
    "8 bit": (("--use-8bit-adam",), "bitsandbytes"),
    "a detector for nothing": (("--detector", "haar"), "no effect without --crop-to"),
    "no such device": (("--device", "banana"), "cpu, cuda"),
    "a rank for all weights": (("--method", "full", "--rank", 9), "rank has no effect"),
    "a plan is no run": (
        ("--dry-run", "--track", "tensorboard", "--tag", "mine"),
        "--track and --tag have no effect with --dry-run",
    ),
    "a plan writes nothing": (("--dry-run", "--caption"), "--caption has no effect with --dry-run"),
    "an instance prompt too long": (
        ("--instance-prompt", f"a photo of ohwx cat {'the ' * 80}"),
        "instance prompt has 8",
    ),
}


@pytest.mark.parametrize(("more", "says"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_sentence(
    limner: Command,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[object, ...],
    says: str,
) -> None:
    need_minis("mini-sd")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # missing, even where it is installed
    answer = limner.run(*words("mycat", *more, model="mini-sd"))
    assert answer.code == 2
    assert says in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / ".home" / "subjects" / "mycat" / "subject.json").exists()


@pytest.mark.parametrize(
    ("count", "says"),
    [(0, "3 to 6"), (1, "1 usable photograph of the subject")],
)
def test_too_few_photographs(limner: Command, tmp_path: Path, count: int, says: str) -> None:
    need_minis("mini-sd")
    folder = folder_of(tmp_path / "photos", count)
    (folder / METADATA).write_text("")
    answer = limner.run(*words("mycat", model="mini-sd"))
    assert (answer.code, says in answer.stderr) == (2, True), answer.stderr


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("teach", "show", "nobody"), "There is no subject 'nobody'; there is none yet."),
        (("teach", "export", "nobody", "-o", "a.safetensors"), "no subject 'nobody'"),
        (("teach", "merge", "nobody", "-o", "out"), "no subject 'nobody'"),
        (
            ("edit", "a.png", "--box", "1,1,9,9", "--paint", "x", "--subject", "nobody"),
            "no subject 'nobody'",
        ),
        (
            ("edit", "a.png", "--box", "1,1,9,9", "--paint", "x", "--subject", "a=lots"),
            "NAME or NAME=WEIGHT",
        ),
        (
            ("background", "a.png", "--box", "1,1,9,9", "--blur", "3", "--subject", "nobody"),
            "no effect without --paint",
        ),
    ],
)
def test_subjects_that_are_not_there(
    limner: Command, tmp_path: Path, asked: tuple[str, ...], says: str
) -> None:
    photo(0).save(tmp_path / "a.png")
    answer = limner.run(*asked)
    assert (answer.code, says in answer.stderr) == (2, True), answer.stderr

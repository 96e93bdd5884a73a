"""``--profile mini`` with random weights in place of the ones that ship: the way there, and what is
said. What the minis find and paint is tested on the shipped weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from limner import Box, Session, VisualPrompt
from limner.registry import bundled
from tests.models.tiny_minis import save_tiny_minis, ship
from tests.models.tiny_owlvit import noise

from .command import Command

MINI_SAID = "is a mini: the models that ship with limner are tiny"
FIND = ("--find", "apple", "--threshold", "0", "--select", "largest")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_minis(tmp_path_factory.mktemp("made") / "minis")


@pytest.fixture
def minis(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's folder of minis; the hub is not to be asked."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return ship(monkeypatch, tmp_path / "package" / "minis", made)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.png"
    noise(128, 128).save(path)
    return path


def test_edit_from_words_works_with_nothing_fetched(
    limner: Command, minis: Path, scene: Path, tmp_path: Path
) -> None:
    words = ("edit", scene, *FIND, "--paint", "car", "--profile", "mini", "--seed", "1")
    answer = limner(*words, "-o", "out.png")
    with Image.open("out.png") as picture:
        assert picture.size == (128, 128)
    assert "mini-owlvit, mini-sam, mini-sd-inpaint" in answer.stdout
    assert "0 pixels changed outside the mask" in answer.stdout
    assert answer.stderr.count(MINI_SAID) == 1, "three of them answered"
    assert len(answer.stderr.strip().splitlines()) == 1, "the libraries' own remarks stay unheard"
    assert not (tmp_path / ".home").exists()


def test_a_mini_is_said_once_a_command_and_not_once_a_picture(
    limner: Command, minis: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for k in range(3):
        noise(64, 64, seed=k).save(tmp_path / "in" / f"{k}.png")
    words = ("segment", "in", "--box", "5,5,50,50", "--segmenter", "mini-sam")
    assert limner(*words).stderr.count(MINI_SAID) == 1
    assert MINI_SAID not in limner(*words).stderr, "all was there already: no mini answered"
    assert MINI_SAID not in limner("segment", "in/0.png", "--box", "5,5,50,50").stderr
    said = limner("segment", "in/0.png", "--box", "5,5,50,50", "--segmenter", "mini-sam", "--json",
                  "--overwrite", "-o", "again")  # fmt: skip
    assert MINI_SAID in said.stderr
    assert MINI_SAID not in said.stdout


def test_a_sessions_own_listener_hears_it_once(minis: Path) -> None:
    said: list[str] = []
    session = Session(profile="mini", say=said.append)
    session.segment(noise(64, 64), [VisualPrompt(box=Box(5, 5, 50, 50))])
    rows = session.models.encoder.encode_texts(["an apple"])
    assert rows.shape[0] == 1
    assert session.models.captioner.caption([noise(40, 40)])
    assert len(said) == 1
    assert said[0].startswith("mini-sam is a mini")
    assert {ref.name for ref in session.models.answered.values()} == {
        "mini-sam",
        "mini-clip",
        "mini-blip",
    }


def test_the_second_encoder_is_named(minis: Path) -> None:
    """A profile names one model for a task; another is an override, as everywhere."""
    encoder = Session(profile="mini", models={"encode": "mini-dino"}).models.encoder
    assert not encoder.takes_text
    assert len(encoder.encode_images([noise(40, 40)])) == 1


def test_a_damaged_mini_is_said_in_one_sentence(limner: Command, minis: Path, scene: Path) -> None:
    file = minis / "mini-sam" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    answer = limner.run("segment", scene, "--box", "5,5,50,50", "--profile", "mini")
    assert answer.code == 2
    assert f"{file} is damaged or of another version" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("edit", "--find", "apple", "--paint", "car"),
        ("detect", "--text", "apple"),
        ("background", "--box", "5,5,50,50", "--paint", "beach"),
        ("segment", "--exemplar", "scene.png"),
    ],
    ids=["edit", "detect", "background", "exemplar"],
)
def test_the_default_profile_says_what_it_lacks_and_which_has_it(
    words: tuple[str, ...], limner: Command, scene: Path
) -> None:
    verb, *rest = words
    answer = limner.run(verb, scene, *rest)
    assert answer.code == 2
    assert "--profile mini" in answer.stderr
    assert "--profile small" in answer.stderr


def test_dry_run_of_the_minis(limner: Command, minis: Path, scene: Path) -> None:
    plan = limner.json("edit", scene, *FIND, "--paint", "car", "--profile", "mini", "--dry-run")
    assert [row["model"] for row in plan["models"]] == [
        "mini-owlvit",
        "mini-sam",
        "mini-sd-inpaint",
    ]
    assert all(row["here"] and row["download"] == "ships with limner" for row in plan["models"])
    bundled.lock_file().unlink()
    assert limner("edit", scene, *FIND, "--paint", "car", "--profile", "mini", "--dry-run").stdout


def test_seeds_are_probed_by_what_was_asked_for(limner: Command, minis: Path, scene: Path) -> None:
    """Painted with three seeds, each held against the words; the least like them is kept."""
    words = ("probe", scene, "--box", "30,30,90,90", "--paint", "car", "--times", "3")
    report = limner.json(*words, "--seed", "5", "--profile", "mini")
    assert (report["measure"], report["against"]) == ("clip_t", "“car”")
    assert [trial["how"] for trial in report["trials"]] == ["seed 5", "seed 6", "seed 7"]
    assert report["worst"] == min(trial["value"] for trial in report["trials"])
    names = [model["name"] for model in report["models"]]
    assert names == ["mini-sam", "mini-sd-inpaint", "mini-clip"]
    with Image.open("scene-probe.png") as picture:
        assert picture.size == (128, 128)


def test_phrases_are_scored_and_tuned_as_they_are_said(
    limner: Command, minis: Path, scene: Path
) -> None:
    """What random weights find is chance; that each class is asked, and counted, is not."""
    names = {1: "apple", 2: "car"}
    content = {
        "images": [{"id": 1, "file_name": scene.name, "width": 128, "height": 128}],
        "categories": [{"id": k, "name": name} for k, name in names.items()],
        "annotations": [
            {
                "id": k,
                "image_id": 1,
                "category_id": k,
                "bbox": [10 * k, 10, 60, 60],
                "area": 3600,
                "iscrowd": 0,
                "segmentation": [[10 * k, 10, 10 * k + 60, 10, 10 * k + 60, 70, 10 * k, 70]],
            }
            for k in names
        ],
    }
    Path("labels.json").write_text(json.dumps(content))
    mini = ("--profile", "mini")
    assert limner.json("score", "detect", "labels.json", *mini)["scores"]["AR100"] is not None
    report = limner.json("score", "segment", "labels.json", *mini)
    assert [row["name"] for row in report["rows"]] == ["apple", "car"]
    assert report["scores"]["AP"] is not None
    tuned = limner.json("tune", "labels.json", *mini)["scores"]
    assert [one["phrase"] for one in tuned] == ["apple", "car"]
    said = limner.json("probe", scene, "--text", "apple", "--threshold", "0", *mini)
    assert "“a photo of an apple”" in [trial["how"] for trial in said["trials"]]

"""``--what-is-here``: the captioner that ships says it, and the detector that ships finds it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner import Session
from limner.prompts.noun_phrases import noun_phrases
from minis.drawings import phrase
from tests.minis.world import best_box_iou, lone, needs, show

from .command import Command

HERE = ("--what-is-here", "--profile", "mini")
SEES = needs("mini-blip", "mini-owlvit", "mini-sam")


@SEES
def test_what_the_caption_names_is_found(limner: Command) -> None:
    """What it names rightly lies in a box of that name, mostly; the result says the sentence."""
    captioner = Session(profile="mini").models.captioner
    ious = []
    for one in show(range(20, 24)):
        made = limner.json("detect", one.path, *HERE)
        said = made["result"]
        assert [said["caption"]] == captioner.caption([Image.open(one.path)])
        assert said["phrases"] == list(noun_phrases(said["caption"]))
        assert [model["name"] for model in made["models"]] == ["mini-blip", "mini-owlvit"]
        names = {row["id"]: row["name"] for row in made["categories"]}
        assert set(names.values()) <= set(said["phrases"])
        for thing in lone(one.scene):
            if (noun := phrase(thing.noun)) in said["phrases"]:
                rows = [row for row in made["annotations"] if names[row["category_id"]] == noun]
                boxes = [(x, y, x + w, y + h) for x, y, w, h in (row["bbox"] for row in rows)]
                ious.append(best_box_iou(thing.box, boxes))
    assert len(ious) >= 3
    assert np.mean(ious) > 0.5


@SEES
def test_it_is_a_run_like_any_other(limner: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It adds to what is asked for by name; it is kept, done already the second time, and
    replayed with the same sentence."""
    monkeypatch.delenv("LIMNER_STORE", raising=False)  # recorded, as for a user
    (one,) = show([20])
    words = ("segment", one.path, "--text", "apple", *HERE)
    printed = limner(*words).stdout.splitlines()
    record = json.loads(one.path.with_name("scene-20-segment.json").read_text())["info"]["limner"]
    said = record["result"]
    assert f"  “{said['caption']}”: looked for {', '.join(said['phrases'])}" in printed[1:]
    assert [prompt["text"]["phrase"] for prompt in record["prompts"]] == ["apple"]
    assert "done already" in limner(*words).stdout
    assert "apple, what is here" in limner("runs", "list").stdout
    assert "0 pixels differ, the same finds" in limner("runs", "replay", "latest").stdout
    again = json.loads(limner("runs", "show", "latest", "--json").stdout)
    assert again["record"]["result"] == said


@SEES
def test_nothing_to_see_is_a_result(limner: Command) -> None:
    """Said, written and no error, unless ``--fail-if-empty``."""
    Image.new("RGB", (128, 128), "white").save("white.png")
    words = ("segment", "white.png", *HERE, "--threshold", "1")
    answer = limner(*words)
    assert "nothing found" in answer.stdout
    assert json.loads(Path("white-segment.json").read_text())["annotations"] == []
    assert limner.run(*words, "--overwrite", "--fail-if-empty").code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["detect", "x.png", "--what-is-here"], "has no model to caption; take --profile mini"),
        (
            ["detect", "x.png", "--text", "face", "--captioner", "mini-blip"],
            "no effect without",
        ),
        (["segment", "x.png", "--everything", *HERE], "or --everything, not both"),
        (["detect", "x.png", *HERE, "--captioner", "mini-sam"], "is a model to segment"),
        (["detect", "x.png", *HERE, "--threshold-for", "dog=0.1"], "has no effect"),
        (["detect", "x.png"], "or --what-is-here"),
    ],
    ids=["no captioner", "captioner alone", "everything", "a segmenter", "threshold", "nothing"],
)
def test_what_makes_no_sense_is_refused(limner: Command, words: list[str], message: str) -> None:
    Image.new("RGB", (64, 64)).save("x.png")
    answer = limner.run(*words)
    assert answer.code == 2
    assert message in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


@SEES
def test_dry_run_counts_the_captioner(limner: Command) -> None:
    Image.new("RGB", (64, 64)).save("x.png")
    plan = limner.json("segment", "x.png", *HERE, "--dry-run")
    assert [row["task"] for row in plan["models"]] == ["caption", "detect", "segment"]

"""A subject's folder as it is written anew: another checkpoint, scores on the card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from limner.errors import InputError, ModelError, OptionError, UnknownModel, WeightsMissing
from limner.registry import subjects
from limner.registry.subjects import ADAPTER, Subject

CARD: dict[str, Any] = {
    "name": "mydog",
    "base": {"name": "sd15", "revision": None, "asked_for": "sd15"},
    "identifier": "ohwx",
    "class": "dog",
    "called": "ohwx dog",
    "instance_prompt": "a photo of ohwx dog",
    "class_prompt": "a photo of a dog",
    "steps": 400,
    "side": 512,
    "rank": 4,
    "licence": "CreativeML",
    "consent": None,
    "thumbnails": ["thumbnails/00.jpg"],
    "sha256": hashlib.sha256(b"last").hexdigest(),
    "created": "2026-11-27",
    "limner": "0",
}
SCORES: dict[str, Any] = {
    "models": [{"name": "clip"}, {"name": "dino"}, {"name": "dino"}],
    "prompts": ["a ohwx dog in the snow"],
    "seeds": 4,
    "ceiling": {"dino": 0.7744, "clip_i": 0.9},
    "rows": [
        {"name": "before", "dino": 0.1, "div": None},
        {"name": "200", "dino": 0.6126, "div": 0.25},
    ],
    "best": "200",
    "pictures": ["scores/trade-off.png"],
}


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    folder = subjects.folder_of("mydog")
    for place in ("run/checkpoints/000200", "run/checkpoints/000300"):
        (folder / place).mkdir(parents=True)
    (folder / "run/checkpoints/000200" / ADAPTER).write_bytes(b"earlier")
    (folder / ADAPTER).write_bytes(b"last")
    subjects.write_card(folder, CARD)
    return subjects.find("mydog")


def test_a_checkpoint_becomes_the_subject(subject: Subject) -> None:
    taken = subjects.take(subject, subject.run / "checkpoints" / "000200", 200)
    assert subject.adapter.read_bytes() == b"earlier"
    found = subjects.find("mydog")
    assert (taken.card["steps"], found.card["steps"]) == (200, 200)
    assert found.card["sha256"] == hashlib.sha256(b"earlier").hexdigest()
    assert "| steps | 200 at 512 px |" in (subject.folder / "README.md").read_text()


def test_what_a_kill_left_half_done_is_done_again(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the card: both files are whole, and the same call ends what it began."""
    checkpoint = subject.run / "checkpoints" / "000200"
    with monkeypatch.context() as patched:
        patched.setattr(subjects, "write_card", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            subjects.take(subject, checkpoint, 200)
    assert subject.adapter.read_bytes() == b"earlier"
    assert subjects.find("mydog").card["steps"] == 400
    subjects.take(subjects.find("mydog"), checkpoint, 200)
    assert subjects.find("mydog").card["steps"] == 200
    assert not list(subject.folder.rglob("*.tmp"))


def test_a_whole_model_has_no_adapter_to_take(subject: Subject) -> None:
    with pytest.raises(InputError, match="full fine-tuning"):
        subjects.take(subject, subject.run / "checkpoints" / "000300", 300)
    assert subject.adapter.read_bytes() == b"last"


def test_scores_stand_on_both_cards(subject: Subject) -> None:
    """To three digits for people, as they are for programs; what else is on it stays."""
    subjects.rewrite(subject, {"scores": SCORES})
    assert subjects.find("mydog").card == {**CARD, "scores": SCORES}
    text = (subject.folder / "README.md").read_text()
    assert "1 prompt, 4 seeds, by clip, dino. Best: 200." in text
    assert "The photographs' own DINO: 0.774." in text
    assert "| checkpoint | dino | div |\n|---|---|---|\n| before | 0.100 | – |" in text
    assert "| 200 | 0.613 | 0.250 |" in text
    assert text.index("## Scores") < text.index("![](scores/trade-off.png)")
    taken = subjects.take(subjects.find("mydog"), subject.run / "checkpoints" / "000200", 200)
    assert taken.card["scores"] == SCORES


DAMAGE: dict[str, str | dict[str, Any]] = {
    "half a file": '{"name": "mydog", ',
    "no object": "[1, 2]",
    "empty": "",
    "nothing said": "{}",
    "steps in words": {"steps": "many"},
    "a base that is none": {"base": "sd15"},
    "a base without its name": {"base": {"asked_for": "sd15"}},
    "an identifier of another kind": {"identifier": {"is": 1}},
    "scores of another kind": {"scores": {"rows": 1}},
    "warnings of another kind": {"warnings": 7},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_card_is_named_and_stops_nobody(
    subject: Subject, damage: str | dict[str, Any]
) -> None:
    """`teach list` and the advice for an unknown name list the others."""
    other = subjects.folder_of("other")
    other.mkdir()
    text = damage if isinstance(damage, str) else json.dumps({**CARD, **damage})
    (other / subjects.CARD).write_text(text)
    with pytest.raises(ModelError, match=r"subject\.json"):
        subjects.find("other")
    heard: list[str] = []
    assert [one.name for one in subjects.all_subjects(heard.append)] == ["mydog"]
    assert [sentence.split()[0] for sentence in heard] == ["other"]
    with pytest.raises(UnknownModel, match="there are mydog, other"):
        subjects.find("nobody")


def test_a_folder_that_no_subject_can_be_called(subject: Subject) -> None:
    odd = subjects.root() / "my dog"
    odd.mkdir()
    (odd / subjects.CARD).write_text(json.dumps(CARD))
    heard: list[str] = []
    assert [one.name for one in subjects.all_subjects(heard.append)] == ["mydog"]
    assert "my dog is left out" in heard[0]


@pytest.mark.parametrize("name", ["x" * 101, "x" + "é" * 60, "a" * 5000])
def test_a_name_too_long_for_a_folder(subject: Subject, name: str) -> None:
    with pytest.raises(OptionError, match="at most 100 bytes"):
        subjects.find(name)


def test_a_path_too_long_holds_no_lora() -> None:
    with pytest.raises(WeightsMissing, match="There is no LoRA"):
        subjects.adapter_of("./" + "x" * 5000)


def test_a_card_of_an_earlier_version_says_how_it_is_called(subject: Subject) -> None:
    data = json.loads((subject.folder / subjects.CARD).read_text())
    del data["called"]
    (subject.folder / subjects.CARD).write_text(json.dumps(data))
    assert subjects.find("mydog").card["called"] == "ohwx dog"

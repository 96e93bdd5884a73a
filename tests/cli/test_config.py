"""A user's configuration: what it settles, what comes before it, and what it refuses to hold."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from limner.cli.configuration import KEYS
from limner.cli.configuration_edit import with_value, without
from limner.errors import FileError

from .command import Command


@pytest.fixture
def file(tmp_path: Path, limner: Command) -> Path:
    """Where this user's configuration is; and a picture in the working folder."""
    Image.new("RGB", (64, 64), "white").save(tmp_path / "im.png")
    return Path(limner("config", "path").stdout.strip())


def models_of(limner: Command, *words: str) -> dict[str, str]:
    """Task -> model that a command would ask, by ``--dry-run``."""
    plan = limner.json(*words, "--dry-run")
    return {row["task"]: row["model"] for row in plan["models"]}


def detector(limner: Command, *words: str) -> str:
    return models_of(limner, "detect", "im.png", "--text", "face", *words)["detect"]


def settings(limner: Command) -> Any:
    return limner.json("config", "show")["settings"]


def test_flag_environment_file_default_in_this_order(
    limner: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert detector(limner) == "haar"
    limner("config", "set", "models.detector", "owlvit-base-patch32")
    assert detector(limner) == "owlvit-base-patch32"
    monkeypatch.setenv("LIMNER_DETECTOR", "mini-owlvit")
    assert detector(limner) == "mini-owlvit"
    assert detector(limner, "--detector", "owlv2-base-patch16-ensemble").startswith("owlv2")
    monkeypatch.setenv("LIMNER_DETECTOR", "")
    assert detector(limner) == "owlvit-base-patch32"
    limner("config", "unset", "models.detector")
    assert detector(limner) == "haar"


def test_who_names_a_profile_means_all_of_it(
    limner: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--profile classical`` is classical, whatever the file says of detectors."""
    file.parent.mkdir()
    file.write_text('profile = "small"\n[models]\ndetector = "mini-owlvit"\n')
    assert detector(limner) == "mini-owlvit"
    assert models_of(limner, "segment", "im.png", "--text", "cup")["segment"] == "slimsam-77"
    assert detector(limner, "--profile", "classical") == "haar"
    monkeypatch.setenv("LIMNER_PROFILE", "classical")
    assert detector(limner) == "haar"
    assert "LIMNER_PROFILE names another" in limner("config", "show").stdout
    monkeypatch.setenv("LIMNER_DETECTOR", "mini-owlvit")
    assert detector(limner) == "mini-owlvit"


def test_a_configured_model_is_no_flag_that_has_no_effect(limner: Command, file: Path) -> None:
    """A click asks no detector: with ``--detector`` typed that is refused, here it isn't typed."""
    limner("config", "set", "models.detector", "mini-owlvit")
    limner("config", "set", "models.captioner", "mini-blip")
    limner("segment", "im.png", "--box", "8,8,40,40")
    refused = limner.run("segment", "im.png", "--box", "8,8,40,40", "--detector", "haar")
    assert "no effect" in refused.stderr


def test_the_file_names_the_store(
    limner: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a typed --store, --no-store and LIMNER_STORE come before it."""
    monkeypatch.delenv("LIMNER_STORE")
    limner("config", "set", "store", "mine")
    cut = ("cutout", "im.png", "--box", "8,8,40,40", "--overwrite")
    limner(*cut)
    assert (tmp_path / "mine" / "runs.db").exists()
    assert len(limner("runs", "list").stdout.splitlines()) == 2
    limner(*cut, "--store", "typed")
    assert (tmp_path / "typed" / "runs.db").exists()
    monkeypatch.setenv("LIMNER_STORE", "variable")
    limner(*cut)
    assert (tmp_path / "variable" / "runs.db").exists()
    limner(*cut, "--no-store")
    limner("config", "set", "store", "off")
    monkeypatch.delenv("LIMNER_STORE")
    assert "Stores are off" in limner.run("runs", "list").stderr
    assert not (tmp_path / ".limner" / "runs.db").exists()


def test_the_file_names_trackers(limner: Command, file: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    limner("config", "set", "trackers", "tensorboard")
    assert tomllib.loads(file.read_text()) == {"trackers": ["tensorboard"]}
    cut = ("cutout", "im.png", "--box", "8,8,40,40", "--overwrite")
    assert "tracked in" in limner(*cut, "--track-to", "told").stderr
    assert "tracked in" not in limner(*cut, "--track", "").stderr


WRONG = {
    "another name": ('profil = "mini"', "There is no setting 'profil': did you mean profile?"),
    "another role": ("[models]\ndetectr = 'haar'", "did you mean models.detector?"),
    "a role outside its table": ("detector = 'haar'", "did you mean models.detector?"),
    "nothing like it": ("zzzz = 1", "There is no setting 'zzzz': there is profile, store,"),
    "a number": ("profile = 3", "profile is a text, got 3"),
    "an empty text": ("profile = ' '", "profile is a text, got ' '"),
    "a text for a list": ('trackers = "comet"', "trackers is a list of texts, got 'comet'"),
    "a list for a text": ("store = ['a']", "store is a text, got ['a']"),
    "a number in a list": ("trackers = [1]", "trackers is a list of texts"),
    "models is no table": ("models = 'haar'", "[models] is a table"),
    "no TOML": ("profile = mini", "config.toml:1: This is not TOML"),
    "no model": ("[models]\ndetector = 'owlvit'", "models.detector: There is no model 'owlvit'."),
    "no profile": ("profile = 'huge'", "There is no profile 'huge'"),
    "too large": ("#" * 200_000, "larger than"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_slip_in_the_file_is_one_sentence(limner: Command, file: Path, case: str) -> None:
    text, sentence = WRONG[case]
    file.parent.mkdir()
    file.write_text(text)
    answer = limner.run("detect", "im.png", "--text", "face")
    assert answer.code == 2
    (line,) = answer.stderr.splitlines()
    assert sentence in line
    assert not file.with_name("im-detect.png").exists()


REFUSED = {
    "profil mini": "did you mean profile?",
    "profile huge": "There is no profile 'huge'",
    "models.segmenter haar": "haar can't be the segmenter: to segment there is",
    "models.detector owlvit": "There is no model 'owlvit'",
    "models.detector haar+nosuch": "There is no model 'nosuch'",
    "trackers mlflow": "There is no tracker 'mlflow'",
    "store ://x": "A store is a folder, a SQLite file or a database URL",
    "detector haar": "did you mean models.detector?",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_no_command_would_take_isnt_set(limner: Command, file: Path, words: str) -> None:
    answer = limner.run("config", "set", *words.split())
    assert answer.code == 2
    assert REFUSED[words] in answer.stderr
    assert not file.exists()


USERS = """# mine
store = "~/runs"  # all in one place

[models]  # the good ones
# the face model
"detector" = "haar"
"""
EDITED = {
    "a line is replaced": (USERS, "store", "off", 'store = "off"'),
    "a quoted key": (USERS, "models.detector", "mini-owlvit", '"detector" = "mini-owlvit"'),
    "a new line in a table": (USERS, "models.encoder", "mini-clip", 'encoder = "mini-clip"'),
    "a new line above tables": (USERS, "profile", "mini", 'profile = "mini"'),
    "a list": (USERS, "trackers", ("comet", "trackio"), 'trackers = ["comet", "trackio"]'),
    "a dotted key": ("models.detector = 'a'\n", "models.detector", "b", 'models.detector = "b"'),
    "a text with quotes": ("", "store", 'a "b" \\ ü', 'store = "a \\"b\\" \\\\ ü"'),
    "a new table": ('profile = "mini"\n', "models.encoder", "c", 'encoder = "c"'),
}


@pytest.mark.parametrize("case", EDITED)
def test_the_rest_of_the_file_is_the_users(case: str) -> None:
    """Comments and other lines stay; the value is read back."""
    text, name, value, line = EDITED[case]
    edited = with_value(text, name, value)
    assert line in edited.splitlines()
    table, _, key = name.rpartition(".")
    parsed = tomllib.loads(edited)
    assert (parsed[table] if table else parsed)[key] == (
        list(value) if isinstance(value, tuple) else value
    )
    assert [each for each in text.splitlines() if each.startswith("#") and each not in edited] == []
    assert with_value(edited, name, value) == edited
    cleared = tomllib.loads(without(edited, name))
    assert key not in (cleared.get(table, {}) if table else cleared)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('models = {detector = "haar"}\n', "models.detector"),
        ('trackers = [\n  "comet",\n]\n', "trackers"),
        ('store = """\na"""\n', "store"),
    ],
    ids=["a table of one line", "a list over lines", "a text over lines"],
)
def test_what_a_line_cant_change_is_left_to_the_user(text: str, name: str) -> None:
    value = ("trackio",) if KEYS[name].is_list else "b"
    with pytest.raises(FileError, match="edit it"):
        with_value(text, name, value)
    with pytest.raises(FileError, match="edit it"):
        without(text, name)


def test_show_says_where_each_value_comes_from(
    limner: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limner("config", "set", "profile", "mini")
    monkeypatch.setenv("LIMNER_TRACK", "tensorboard,comet")
    shown = settings(limner)
    assert set(shown) == set(KEYS)
    assert (shown["profile"]["value"], shown["profile"]["from"]) == ("mini", str(file))
    assert shown["trackers"]["value"] == ["tensorboard", "comet"]
    assert shown["trackers"]["from"] == "LIMNER_TRACK"
    assert (shown["models.encoder"]["value"], shown["models.encoder"]["from"]) == (None, "limner")
    lines = limner("config").stdout
    assert lines == limner("config", "show").stdout
    assert max(map(len, lines.splitlines()[:-1])) <= 80


def test_what_is_set_and_doesnt_count_is_said(
    limner: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_PROFILE", "small")
    assert "LIMNER_PROFILE says small" in limner("config", "set", "profile", "mini").stderr


def test_where_the_file_is(
    limner: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def path() -> str:
        return limner("config", "path").stdout.strip()

    assert path() == str(tmp_path / ".home" / "config.toml")
    monkeypatch.setenv("LIMNER_CONFIG", str(tmp_path / "my.toml"))
    assert path() == str(tmp_path / "my.toml")
    monkeypatch.delenv("LIMNER_CONFIG")
    monkeypatch.delenv("LIMNER_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert path() == str(tmp_path / "xdg" / "limner" / "config.toml")
    monkeypatch.setenv("LIMNER_CONFIG", "off")
    assert limner.run("config", "path").code == 2
    assert "LIMNER_CONFIG is off" in limner.run("config", "set", "profile", "mini").stderr
    assert "none is read" in limner("config", "show").stdout


def test_a_file_that_is_broken_stops_no_help(limner: Command, file: Path) -> None:
    file.parent.mkdir()
    file.write_text("profile = ")
    limner("segment", "--help")
    limner("config", "path")
    assert json.loads(limner("models", "list", "--json").stdout)
    assert limner.run("config", "set", "profile", "mini").code == 2
    assert file.read_text() == "profile = "

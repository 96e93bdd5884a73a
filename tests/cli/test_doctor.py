"""``limner doctor``: what it says is so, and what is broken is found and named."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from limner.cli.commands.doctor import packages
from limner.cli.commands.doctor.checkup import SCRIPTS
from limner.ops import lettering
from limner.registry import catalog, lock, store

from .command import Command

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def bring_slimsam(home: Path) -> Path:
    folder = home / "models" / "slimsam-77"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b'{"model_type": "sam"}')
    (folder / "model.safetensors").write_bytes(save({"w": np.zeros(50_000, np.float32)}))
    store.find("slimsam-77")
    return folder


def test_a_whole_machine_has_nothing_broken(limner: Command) -> None:
    """Exit code 0 though extras, fonts, models and a GPU are missing; it fits but for commands."""
    text = limner("doctor").stdout
    assert "nothing that could be seen" in text
    long = [line for line in text.splitlines() if len(line) > 80]
    assert [line for line in long if not line.strip().startswith(("limner ", "pip "))] == [
        line for line in long if "/" in line
    ]


def test_versions_and_devices_are_those_of_this_process(limner: Command) -> None:
    import torch

    facts = limner.json("doctor")
    assert facts["packages"]["torch"] == version("torch")
    assert facts["limner"] == version("limner")
    names = [device["name"] for device in facts["devices"]]
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    assert names[-1] == "cpu"
    assert len([name for name in names if name.startswith("cuda")]) == gpus
    assert facts["devices"][-1]["memory_bytes"] > 1e8


def test_every_extra_is_named_with_what_it_is_for(limner: Command) -> None:
    """Those of pyproject.toml; installed where all its packages are, else the line that adds it."""
    extras = {extra["name"]: extra for extra in limner.json("doctor")["extras"]}
    assert set(extras) == set(PROJECT["optional-dependencies"]) == set(packages.EXTRAS)
    text = limner("doctor").stdout
    for name, extra in extras.items():
        assert extra["here"] == all(extra["packages"].values())
        assert extra["for"]
        assert (f'pip install "limner[{name}]"' in text) == (not extra["here"])


def test_a_required_package_that_is_gone_is_broken(
    limner: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = packages.installed
    monkeypatch.setattr(
        packages, "installed", lambda name: None if name == "peft" else installed(name)
    )
    answer = limner.run("doctor")
    assert answer.code == 1
    assert "peft isn't installed, and limner needs it" in answer.stdout


def test_fonts_are_said_by_script(limner: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any font of the system DejaVu's letters remain, and the others are named."""
    monkeypatch.setattr(lettering, "_system_font", lambda wanted: None)
    fonts = limner.json("doctor")["fonts"]
    assert set(fonts) == set(SCRIPTS)
    assert fonts["Latin, Greek, Cyrillic"] == fonts["Arabic"] == "DejaVuSans.ttf"
    assert fonts["Chinese"] is None
    assert "no font here has Chinese" in limner("doctor").stdout


def test_places_are_those_that_commands_use(
    limner: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are counted, of the store and the cache that a run just filled."""
    monkeypatch.delenv("LIMNER_STORE")
    assert limner.json("doctor")["store"]["there"] is False
    assert not (tmp_path / ".limner").exists()  # looking makes nothing
    Image.new("RGB", (64, 64), "white").save("im.png")
    limner("cutout", "im.png", "--box", "8,8,40,40", "--store", "mine")
    limner("config", "set", "store", "mine")
    folder = bring_slimsam(tmp_path / ".home")
    facts = limner.json("doctor")
    assert facts["store"]["path"] == str(tmp_path / "mine" / "runs.db")
    files = [path for path in (tmp_path / "mine" / "files").rglob("*") if path.is_file()]
    assert files
    sizes = sum(path.stat().st_size for path in files)
    assert facts["store"]["bytes"] == sizes + (tmp_path / "mine" / "runs.db").stat().st_size
    assert facts["cache"]["path"] == str(tmp_path / "mine" / "cache")
    assert facts["cache"]["bytes"] > 0
    assert facts["home"]["models_bytes"] == sum(p.stat().st_size for p in folder.iterdir())
    assert facts["configuration"]["sets"] == ["store"]


def test_profiles_say_what_to_pull(limner: Command, tmp_path: Path) -> None:
    bring_slimsam(tmp_path / ".home")
    profiles = limner.json("doctor")["profiles"]
    assert list(profiles) == list(catalog.profiles())
    assert profiles["classical"] == {"missing": [], "download_mb": 0, "pull": None}
    missing = [name for name in catalog.profile("small").values() if name != "slimsam-77"]
    assert profiles["small"]["missing"] == missing
    assert profiles["small"]["pull"] == f"limner models pull {' '.join(missing)}"


def test_nothing_of_the_environment_but_names_is_shown(
    limner: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store's URL holds a password."""
    monkeypatch.setenv("LIMNER_STORE", "postgresql://me:hunter2@nowhere.invalid/runs")
    monkeypatch.setenv("LIMNER_VLM_KEY", "sk-hunter2")
    for words in (["doctor"], ["doctor", "--json"]):
        answer = limner(*words)
        assert "hunter2" not in answer.stdout + answer.stderr
        assert "LIMNER_VLM_KEY" in answer.stdout


def test_what_is_broken_is_named_once_each(
    limner: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spoilt model, a store that is none, a configuration with a slip: exit code 1, no bug."""
    folder = bring_slimsam(tmp_path / ".home")
    (folder / "model.safetensors").write_bytes(b"short")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "runs.db").write_bytes(b"no database" * 1000)
    monkeypatch.setenv("LIMNER_STORE", "bad")
    answer = limner.run("doctor", "--json")
    assert answer.code == 1
    problems = limner.run("doctor").stdout.split("Broken\n")[1].strip().splitlines()
    assert len(problems) == 2, problems
    assert any("slimsam-77 is not what" in line for line in problems)
    assert any("store can't be read" in line for line in problems)
    monkeypatch.delenv("LIMNER_STORE")
    (tmp_path / ".home" / "config.toml").write_text("profil = 'mini'")
    problems = limner.run("doctor").stdout.split("Broken\n")[1].strip().splitlines()
    assert len([line for line in problems if "did you mean profile?" in line]) == 1


def test_a_home_that_cant_be_written_is_broken(
    limner: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    answer = limner.run("doctor")
    assert answer.code == 1
    assert "can't be written: LIMNER_HOME moves it elsewhere." in answer.stdout
    assert lock.home() == tmp_path / ".home"

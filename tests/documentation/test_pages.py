"""The documentation does what it says: every command in it runs, every flag is in it.

Commands that fetch models talk to a hub on this machine that serves tiny models of the real classes
under the real names: they fetch, load and paint, only not well.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from limner.cli import main
from tests.hub_server import HubServer, Repo
from tests.models.tiny_owlvit import save_tiny_owlvit
from tests.models.tiny_sam import save_tiny_sam
from tests.models.tiny_sd import save_tiny_sd

ROOT = Path(__file__).parents[2]


def load(path: Path) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


build = load(ROOT / "docs" / "build.py")
README = ROOT / "README.md"


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder a reader of the README stands in: the clone, with its examples."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hub that has tiny models under the names of the profile ``small``."""
    import huggingface_hub

    def files(folder: Path) -> dict[str, bytes]:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    made = tmp_path_factory.mktemp("hub")
    save_tiny_sam(made / "sam")
    save_tiny_owlvit(made / "owlvit")
    save_tiny_sd(made / "sd")
    repos = {
        "Zigeng/SlimSAM-uniform-77": Repo(files(made / "sam")),
        "google/owlvit-base-patch32": Repo(files(made / "owlvit")),
        "stable-diffusion-v1-5/stable-diffusion-inpainting": Repo(files(made / "sd")),
    }
    huggingface_hub.close_session()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HubServer(repos) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server.url
    huggingface_hub.close_session()


def test_every_command_of_the_readme_runs(
    reader: Path, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order, in one folder, as a stranger would; each writes what its -o names."""
    ran = 0
    for block in build.blocks(README, "sh"):
        for words in block.commands:
            if words[0] == "make":
                continue  # CI runs `make test`, this module the demo
            assert words[0] == "limner"
            code = main(words[1:])
            said = capsys.readouterr()
            # What random weights find is chance: nothing is a result too, and exit code 0.
            assert code == 0, (words, said.err)
            ran += 1
            if "-o" in words and "network" not in block.marks:
                assert (reader / words[words.index("-o") + 1]).exists(), words
    assert ran >= 14


def test_the_readmes_python_runs(reader: Path) -> None:
    (block,) = build.blocks(README, "python")
    names: dict[str, object] = {}
    exec(compile(block.text, str(README), "exec"), names)
    assert names["run"].edits[0].outside_changed_pixels == 0  # type: ignore[attr-defined]


def test_the_page_of_runs_runs(
    reader: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its commands in order, with the store that a reader has, and its Python."""
    monkeypatch.delenv("LIMNER_STORE")
    page = ROOT / "docs" / "runs.md"
    ran = 0
    for block in build.blocks(page, "sh"):
        for words in block.commands if "network" not in block.marks else ():
            code = main(words[1:])
            assert code == 0, (words, capsys.readouterr().err)
            ran += 1
    assert ran >= 13
    (block,) = build.blocks(page, "python")
    names: dict[str, object] = {}
    exec(compile(block.text, str(page), "exec"), names)
    assert names["entry"].row.status == "done"  # type: ignore[attr-defined]
    names["store"].close()  # type: ignore[attr-defined]


def test_make_demo_is_the_command() -> None:
    """tests/cli/test_demo.py runs it; the README names the page that it writes."""
    assert "limner demo --out demo\n" in (ROOT / "Makefile").read_text()
    assert "`demo/index.html`" in README.read_text()


def test_the_page_of_commands_is_the_programs_own_help() -> None:
    """A flag that was added, renamed or dropped fails here until `make docs` is run."""
    written = (ROOT / "docs" / "commands.md").read_text()
    assert written == build.commands_page(), "run `make docs`"


PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_room_of_the_architecture_exists() -> None:
    """Each module and folder of the package stands in the table, and nothing else does."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("## Rooms") : text.index("Imports point down")]
    named = set(re.findall(r"`(\w+(?:\.py|/))`", table))
    package = ROOT / "src" / "limner"
    there = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    there |= {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    assert named == there - {"version.py"}

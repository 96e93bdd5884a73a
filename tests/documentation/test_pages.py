"""The documentation does what it says: every command in it runs, every flag is in it.

Commands that fetch models talk to a hub on this machine that serves tiny models of the real classes
under the real names: they fetch, load and paint, only not well.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
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
SCORES = ROOT / "docs" / "scores.md"
TEACH = ROOT / "docs" / "teach.md"
MODELS = ROOT / "docs" / "models.md"


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


@pytest.mark.parametrize(
    ("page", "at_least"),
    [
        pytest.param(README, 14, id="README"),
        pytest.param(SCORES, 9, id="scores"),
        pytest.param(TEACH, 8, id="teach"),
        pytest.param(MODELS, 2, id="models"),
        pytest.param(ROOT / "docs" / "painting.md", 3, id="painting"),
        pytest.param(ROOT / "docs" / "labelling.md", 5, id="labelling", marks=pytest.mark.slow),
        pytest.param(ROOT / "docs" / "redaction.md", 3, id="redaction", marks=pytest.mark.slow),
    ],
)
def test_every_command_of_a_page_runs(
    reader: Path, hub: str, capsys: pytest.CaptureFixture[str], page: Path, at_least: int
) -> None:
    """In order, in one folder, as a stranger would; each writes what its -o names."""
    ran = 0
    for block in build.blocks(page, "sh"):
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
    assert ran >= at_least


def test_the_readmes_python_runs(reader: Path) -> None:
    (block,) = build.blocks(README, "python")
    names: dict[str, object] = {}
    exec(compile(block.text, str(README), "exec"), names)
    assert names["run"].edits[0].outside_changed_pixels == 0  # type: ignore[attr-defined]


TRACKERS = ROOT / "docs" / "trackers.md"


@pytest.mark.slow
def test_every_command_and_program_of_the_page_of_trackers_runs(reader: Path) -> None:
    """Each in a process of its own: a tracker leaves threads and hooks in the one it ran in."""
    missing = [name for name in ("comet_ml", "trackio", "tensorboard") if not find_spec(name)]
    if missing:
        pytest.skip(f"TRACKERS MISSING: {', '.join(missing)}")
    unset = ("COMET_", "TRACKIO_", "WANDB_", "LIMNER_TRACK")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    env |= {"HOME": str(reader), "PYTHONPATH": str(ROOT / "src")}

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *words], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stderr)
        assert "stopped tracking" not in done.stderr + done.stdout
        return done

    (block,) = build.blocks(TRACKERS, "sh")
    for words in block.commands:
        assert ran("-m", *words).stderr.count("limner: tracked in") == len(
            words[words.index("--track") + 1].split(",")
        )
        assert (reader / words[words.index("-o") + 1]).exists(), words
    assert len(list((reader / ".limner" / "comet").glob("*.zip"))) == 1
    assert len(list((reader / "kept" / "comet").glob("*.zip"))) == 1
    (program,) = build.blocks(TRACKERS, "python")
    assert "tensorboard --logdir" in ran("-c", program.text).stdout


def test_the_page_of_trackers_names_them_all() -> None:
    from limner.trackers import TRACKERS as rows

    for name, row in rows.items():
        assert f"| `{name}` | `limner[{row.extra}]` |" in TRACKERS.read_text()


@pytest.mark.slow
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


def test_the_page_of_models_is_the_catalogs() -> None:
    """A model or a kind of prompt that came or went fails here until `make docs` is run."""
    assert MODELS.read_text() == build.models_page(), "run `make docs`"


PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_room_of_the_architecture_exists() -> None:
    """Each module and folder of the package stands in the table, and nothing else does."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("## The rooms") : text.index("## The walk")]
    named = set(re.findall(r"`(\w+(?:\.py|/))`", table))
    package = ROOT / "src" / "limner"
    there = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    there |= {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    assert named == there - {"version.py"}


def test_the_page_about_python_runs(reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks, one after the other, as a reader pastes them; no window opens."""
    from limner import Run

    monkeypatch.setattr(Run, "show", lambda run: run.image)
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL
    )
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert (reader / "without-apple.png").exists()


LABELLING = ROOT / "docs" / "labelling.md"


def test_the_page_about_labelling_holds(reader: Path) -> None:
    """Its table has every format, its CSV and YAML are files of prompts."""
    from limner.options.labelling import FORMATS
    from limner.session.labelling.read_prompts import read_prompts

    assert all(f"| `{form}` |" in LABELLING.read_text() for form in FORMATS)
    for language, classes in (("csv", ["cup", "spoon"]), ("yaml", ["mug", "apple", "rabbit"])):
        (block,) = build.blocks(LABELLING, language)
        (reader / f"p.{language}").write_text(block.text)
        assert list(read_prompts(reader / f"p.{language}").classes) == classes


@pytest.mark.slow
def test_the_python_of_the_page_about_labelling_runs(reader: Path) -> None:
    """And the table of classes is what its comment says."""
    (block,) = build.blocks(LABELLING, "python")
    names: dict[str, object] = {}
    exec(compile(block.text, str(LABELLING), "exec"), names)
    assert str(names["labelled"].classes) in block.text.replace('"', "'")  # type: ignore[attr-defined]


@pytest.mark.slow
def test_every_command_of_the_page_about_suites_runs(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order, in one folder; each writes what its -o names."""
    ran = 0
    for block in build.blocks(ROOT / "docs" / "suites.md", "sh"):
        for words in block.commands:
            code = main(words[1:])
            said = capsys.readouterr()
            assert code == 0, (words, said.out, said.err)
            ran += 1
            outputs = [after for word, after in pairwise(words) if word == "-o"]
            assert outputs
            assert all((reader / name).exists() for name in outputs)
    assert ran == 2


def test_the_page_about_suites_names_every_assertion() -> None:
    from limner.evaluation.cells.assertions import TYPES

    text = (ROOT / "docs" / "suites.md").read_text()
    table = text[text.index("| type |") : text.index("A failed assertion")]
    first = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("|")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first))) == sorted(TYPES)


SWEEPS = ROOT / "docs" / "sweeps.md"


def test_every_command_of_the_page_about_sweeps_runs(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And makes what the page says that a folder holds; of the slow ones the recipe is read."""
    from limner.evaluation.sweeps.recipe import read_recipe

    table = SWEEPS.read_text().split("## The recipe")[0]
    names = re.findall(
        r"`([\w.]+\.\w+|\w+/)`", "".join(re.findall(r"^\|(.*?)\|", table, re.MULTILINE))
    )
    assert len(names) == 9
    ran = 0
    for block in build.blocks(SWEEPS, "sh"):
        for words in block.commands:
            recipe = read_recipe(Path(words[2]))
            assert recipe.size >= 12
            if "slow" not in block.marks:
                code = main(words[1:])
                assert code == 0, (words, capsys.readouterr().err)
                folder = reader / words[words.index("-o") + 1]
                assert [name for name in names if not (folder / name).exists()] == []
                ran += 1
    assert ran == 2


def test_the_recipe_of_the_page_about_sweeps_is_one(reader: Path) -> None:
    from limner.evaluation.sweeps.recipe import read_recipe

    (block,) = build.blocks(SWEEPS, "toml")
    (reader / "scene.png").write_bytes((ROOT / "examples/scenes/lawn.png").read_bytes())
    (reader / "recipe.toml").write_text(block.text)
    assert read_recipe(reader / "recipe.toml").size == 24


def test_the_page_about_sweeps_names_every_key_objective_and_method() -> None:
    from limner.evaluation.sweeps.objectives import OBJECTIVES
    from limner.evaluation.sweeps.search_config import KEYS, METHODS

    table = SWEEPS.read_text().split("## Searching")[1].split("\n\n")[1]
    said = set(re.findall(r"`(\w+)`", table))
    assert {*OBJECTIVES, *METHODS, *KEYS} <= said


PAINTING = ROOT / "docs" / "painting.md"


def test_the_table_of_painters_says_what_the_code_says() -> None:
    """One row a kind, every cell of it."""
    from limner.models.diffusion.pipeline_table import KINDS

    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAINTING.read_text().splitlines()
        if line.startswith("| ")
    ]
    by_title = {row[0]: row[1:] for row in rows}
    for kind in KINDS:
        guidance = "none" if kind.guidance is None else kind.guidance
        if kind.guidance and kind.guided_above is None:
            guidance += ", distilled"
        elif kind.guidance:
            guidance += f", above {kind.guided_above:g}"
        without = "–" if not kind.negative else "a space" if kind.no_negative else "nothing"
        yes = {True: "yes", False: "no"}
        assert by_title[kind.title] == [
            guidance,
            without,
            yes[kind.negative],
            yes[kind.strength],
            str(kind.tokens),
            str(kind.native_size),
            f"× {kind.grid}",
        ]


CONFIGURATION = ROOT / "docs" / "configuration.md"


def test_the_page_about_configuration_holds(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its commands run, its file is one, and its table has every setting, flag and variable."""
    from limner.cli.configuration import KEYS, checked

    text = CONFIGURATION.read_text()
    for block in build.blocks(CONFIGURATION, "sh"):
        for words in block.commands:
            assert main(words[1:]) == 0, (words, capsys.readouterr().err)
    (block,) = build.blocks(CONFIGURATION, "toml")
    assert set(checked(tomllib.loads(block.text), CONFIGURATION)) <= set(KEYS)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{k.name}` | `{k.flag}` | `{k.variable}` |" for k in KEYS.values()]

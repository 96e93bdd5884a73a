import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import save

from limner.cli.commands.models.models import models
from limner.errors import LicenceRefused, UnknownModel, UnsafeWeights, WeightsMissing
from limner.prompts import PromptKind
from limner.registry import bundled, catalog
from tests.hub_server import HubServer, Repo

SLIM = {
    "config.json": b'{"model_type": "sam"}',
    "model.safetensors": save({"w": np.zeros(1000, np.float32)}),
}
SD = {
    "model_index.json": b'{"_class_name": "StableDiffusionInpaintPipeline"}',
    "unet/diffusion_pytorch_model.safetensors": SLIM["model.safetensors"],
    "vae/diffusion_pytorch_model.safetensors": SLIM["model.safetensors"],
    "text_encoder/model.safetensors": SLIM["model.safetensors"],
}


def run(*argv: str, stdin: str = "") -> Result:
    result = CliRunner().invoke(models, argv, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    import huggingface_hub

    huggingface_hub.close_session()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    repos = {
        "Zigeng/SlimSAM-uniform-77": Repo(dict(SLIM)),
        "stable-diffusion-v1-5/stable-diffusion-inpainting": Repo(dict(SD)),
    }
    with HubServer(repos) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
        huggingface_hub.close_session()


def test_every_task_and_kind_of_prompt_can_be_asked_for() -> None:
    """Help names all that the catalog knows, and a table has rows for each task."""
    shown = " ".join(run("list", "--help").stdout.split())
    assert f"One of {', '.join(catalog.TASKS)}." in shown
    assert f"One of {', '.join(kind.value for kind in PromptKind)}." in shown
    for task in catalog.TASKS:
        rows = json.loads(run("list", "--task", task, "--json").stdout)
        assert rows, task


def test_list_shows_every_model_uncut() -> None:
    out = run("list").stdout
    for entry in catalog.catalog().values():
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [entry.name]]
        assert entry.licence in line
        assert entry.task in line
        assert entry.size in line
        assert line.rstrip().endswith("yes" if entry.weightless else entry.commercial)


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        ((), lambda entry: True),
        (("--task", "inpaint"), lambda entry: "inpaint" in entry.tasks),
        (
            ("--task", "inpaint", "--commercial-safe"),
            lambda entry: "inpaint" in entry.tasks and entry.commercial == "yes",
        ),
        (("--takes", "exemplar"), lambda entry: entry.name in catalog.able(PromptKind.EXEMPLAR)),
        (
            ("--takes", "box", "--takes", "point", "--task", "segment"),
            lambda entry: (
                "segment" in entry.tasks
                and {PromptKind.BOX, PromptKind.POINT} <= catalog.families()[entry.family].accepts
            ),
        ),
    ],
)
def test_list_narrows(argv: tuple[str, ...], wanted: Callable[[catalog.ModelEntry], bool]) -> None:
    listed = [each["name"] for each in json.loads(run("list", "--json", *argv).stdout)]
    assert listed
    assert listed == [name for name, entry in catalog.catalog().items() if wanted(entry)]


def test_info_says_what_binds_the_user() -> None:
    out = run("info", "sd15-inpaint").stdout
    for part in (
        "OpenRAIL",
        "commercial use is allowed, but",
        "≈ 4.3 GB",
        "runwayml/",
        "pull sd15",
    ):
        assert part in out


def test_info_of_a_dead_id_speaks_on_stderr() -> None:
    result = run("info", "runwayml/stable-diffusion-inpainting", "--json")
    assert json.loads(result.stdout)["name"] == "sd15-inpaint"
    assert "is gone from the hub" in result.stderr


def test_info_lists_the_methods_of_the_classical_fill() -> None:
    from limner.models.classical.fill import METHODS

    out = run("info", "opencv-inpaint").stdout
    assert [name for name in METHODS if f"{name}: " not in out] == []


def test_an_unknown_name_is_an_error_of_ours() -> None:
    with pytest.raises(UnknownModel, match="slimsam-77"):
        run("info", "slimsam77")


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that ships one mini."""
    folder = tmp_path / "minis" / "mini-sam"
    folder.mkdir(parents=True)
    for name, data in SLIM.items():
        (folder / name).write_bytes(data)
    monkeypatch.setattr(bundled, "root", lambda: tmp_path / "minis")
    monkeypatch.setattr(bundled, "lock_file", lambda: tmp_path / "minis.lock.json")
    bundled.record()
    return folder


def test_what_ships_is_listed_as_here(mini: Path) -> None:
    listed = {entry["name"]: entry for entry in json.loads(run("list", "--json").stdout)}
    assert listed["mini-sam"]["here"]
    assert not listed["mini-clip"]["here"]
    (line,) = [line for line in run("list").stdout.splitlines() if "mini-sam" in line]
    assert "ships with limner" in line


def test_info_of_what_ships(mini: Path) -> None:
    out = run("info", "mini-sam", "--verify").stdout
    assert str(mini) in out
    assert "2, all as recorded" in out
    assert "ships with limner" in out
    assert "pip install" in run("info", "mini-clip").stdout
    facts = json.loads(run("info", "mini-sam", "--json").stdout)
    assert facts["shipped"] is True
    assert facts["commit"] is facts["pulled_at"] is None
    assert set(facts["files"]) == set(SLIM)


def test_where_and_pull_of_what_ships(mini: Path, home: Path) -> None:
    """There is nothing to fetch: no hub is asked."""
    assert run("where", "mini-sam").stdout.strip() == str(mini)
    result = run("pull", "mini-sam")
    assert result.stdout.strip() == str(mini)
    assert "ships with limner: it is here" in result.stderr
    assert not home.exists()
    result = run("where", "mini-clip")
    assert result.stdout.strip() == str(mini.with_name("mini-clip"))
    assert "pip install" in result.stderr
    with pytest.raises(WeightsMissing, match="slim build"):
        run("pull", "mini-clip")


def test_pull_shows_the_licence_fetches_and_prints_the_folder(hub: HubServer, home: Path) -> None:
    result = run("pull", "slimsam-77")
    assert result.stdout.strip() == str(home / "models" / "slimsam-77")
    assert "slimsam-77: ≈ 39 MB, Apache-2.0" in result.stderr
    assert "slimsam-77" in run("list").stdout

    facts = json.loads(run("info", "slimsam-77", "--verify", "--json").stdout)
    assert facts["verified"] is True
    assert facts["here"] is True
    assert set(facts["files"]) == set(SLIM)
    assert "all as recorded" in run("info", "slimsam-77", "--verify").stdout


def test_pull_of_a_dead_id_takes_the_successor_aloud(hub: HubServer) -> None:
    result = run("pull", "runwayml/stable-diffusion-inpainting", "--yes")
    assert "its successor is stable-diffusion-v1-5/stable-diffusion-inpainting" in result.stderr
    assert "commercial use is allowed, but" in result.stderr
    assert result.stdout.strip().endswith("sd15-inpaint")


def test_pull_takes_a_revision(hub: HubServer) -> None:
    hub.repos["Zigeng/SlimSAM-uniform-77"].others["v2"] = SLIM | {"LICENSE": b"text"}
    run("pull", "slimsam-77", "--revision", "v2")
    assert "LICENSE" in json.loads(run("info", "slimsam-77", "--json").stdout)["files"]


def test_nothing_is_fetched_when_one_of_several_is_refused(hub: HubServer) -> None:
    with pytest.raises(LicenceRefused, match="opencv-inpaint"):
        run("pull", "slimsam-77", "sd15-inpaint", "--commercial-safe")
    with pytest.raises(UnknownModel):
        run("pull", "slimsam-77", "no-such-model")
    assert hub.requests == []


@pytest.mark.parametrize(("answer", "fetched"), [("n\n", False), ("y\n", True), ("\n", True)])
def test_pull_asks_at_a_terminal(
    answer: str, fetched: bool, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal:
        def __getattr__(self, name: str) -> object:
            return getattr(sys.stdin, name)

        def isatty(self) -> bool:
            return True

    class Sys:
        stdin = Terminal()
        stdout, stderr = sys.stdout, sys.stderr

    monkeypatch.setattr("limner.cli.commands.models.models.sys", Sys)
    result = run("pull", "slimsam-77", stdin=answer)
    assert "Fetch?" in result.stderr
    assert bool(hub.requests) is fetched


def test_pull_of_a_model_without_weights_asks_nothing(hub: HubServer) -> None:
    result = run("pull", "grabcut")
    assert result.stdout == ""
    assert "needs no download" in result.stderr
    assert hub.requests == []


def test_verify_finds_a_changed_file(hub: HubServer, home: Path) -> None:
    run("pull", "slimsam-77")
    file = home / "models" / "slimsam-77" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(UnsafeWeights, match=r"model\.safetensors"):
        run("info", "slimsam-77", "--verify")


def test_verify_of_what_is_not_here() -> None:
    with pytest.raises(WeightsMissing, match="limner models pull slimsam-77"):
        run("info", "slimsam-77", "--verify")


def test_where(home: Path) -> None:
    assert run("where").stdout.strip() == str(home)
    result = run("where", "slimsam-77")
    assert result.stdout.strip() == str(home / "models" / "slimsam-77")
    assert "not there yet" in result.stderr
    assert run("where", "haar").stdout == ""

"""Endpoints by name: what a person writes down, what is refused before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from limner.cli import main
from limner.errors import LicenceRefused, LimnerError, OptionError, UnknownModel
from limner.options import DetectOptions, EndpointOptions
from limner.prompts import Text, VisualPrompt
from limner.registry import endpoints, store
from limner.registry.lock import home as home_folder
from limner.registry.resolve import resolve
from limner.registry.vlm_formats import FITS, TABLE
from limner.session import Session
from limner.session.cache.disk import StageCache
from limner.session.results import FindOptions
from tests.vlm_server import COLOURS, GREY, VENDORS, VlmServer

KEY = "sk-secret-0123456789"
RED = "the red thing"
LOCAL = 'url = "http://127.0.0.1:8000/v1"\n'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LIMNER_VLM_URL", "LIMNER_VLM_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[VlmServer]:
    with VlmServer(VENDORS[0]) as running:
        yield running


def write(text: str) -> None:
    (home_folder() / "endpoints.toml").write_text(text)


def test_no_address_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for some cloud is no reason to send pictures there."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1")
    with pytest.raises(UnknownModel, match=r"no endpoint 'gpt-4o'.*none yet.*LIMNER_VLM_URL"):
        store.find("vlm:gpt-4o")
    write(f"[kitchen]\n{LOCAL}model = 'qwen2.5vl:7b'")
    with pytest.raises(UnknownModel, match="names vlm:kitchen;"):
        resolve("vlm:gpt-4o")


def test_a_url_in_the_environment_is_for_the_model_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_VLM_URL", "http://127.0.0.1:11434/v1/")
    options = endpoints.endpoint("vlm:qwen2.5vl:7b")
    assert (options.url, options.model) == ("http://127.0.0.1:11434/v1", "qwen2.5vl:7b")
    assert options.key_env is None
    monkeypatch.setenv("LIMNER_VLM_KEY", KEY)
    assert endpoints.endpoint("vlm:qwen2.5vl:7b").key_env == "LIMNER_VLM_KEY"
    with pytest.raises(OptionError, match="How 'mystery' writes boxes isn't known"):
        endpoints.endpoint("vlm:mystery")


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("", "url is where"),
        ("url = 'localhost:8000/v1'\nmodel = 'gpt-4o'", "url is where"),
        ("url = 'ftp://x/v1'\nmodel = 'gpt-4o'", "url is where"),
        ("url = 'http://[::1/v1'\nmodel = 'gpt-4o'", "url is where"),
        (f"url = 'https://me:{KEY}@x.org/v1'\nmodel = 'gpt-4o'", "holds a user"),
        (f"url = 'https://x.org/v1?key={KEY}'\nmodel = 'gpt-4o'", "holds a user"),
        ("url = 'http://x.org/v1'\nmodel = 'gpt-4o'\nkey_env = 'K'", "readable to x.org"),
        (LOCAL, "model is missing"),
        (f"{LOCAL}model = 'mystery'", "isn't known: set convention to one of xyxy,"),
        (f"{LOCAL}model = 'mystery'\nconvention = 'xxyy'", "convention is one of"),
        (f"{LOCAL}model = 'gpt-4o'\nfit = 'tight'", "fit is one of openai, claude"),
        (f"{LOCAL}model = 'gpt-4o'\nkey = '{KEY}'", "has key; known are url.*key_env names"),
        (f"{LOCAL}model = 'gpt-4o'\nsamples = 0", "samples must be between 1 and 100"),
        (f"{LOCAL}model = 'gpt-4o'\ntimeout = 'long'", "timeout is a float"),
        (f"{LOCAL}model = 'gpt-4o'\ncommercial = 'maybe'", "commercial is one of"),
    ],
)
def test_a_table_that_can_not_be_meant_is_refused(table: str, why: str) -> None:
    """When the model is named, before anything is sent; a key that strayed in isn't repeated."""
    write(f"[here]\n{table}")
    with pytest.raises(OptionError, match=why) as caught:
        resolve("vlm:here")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("text", ["[here", "here = 3", "\xff"])
def test_a_file_that_can_not_be_read_is_named(text: str) -> None:
    (home_folder() / "endpoints.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(LimnerError, match=r"endpoints\.toml"):
        resolve("vlm:here")


def test_what_decides_an_answer_is_in_its_identity() -> None:
    """So that a changed convention is asked again, and a changed time-out isn't."""
    base = f"[here]\n{LOCAL}model = 'qwen3-vl-8b'\n"
    write(base)
    known = endpoints.identity("vlm:here")
    assert "convention=xyxy_1000" in known
    assert "url=http://127.0.0.1:8000/v1" in known
    for line in ("timeout = 9.0", "retries = 1", "key_env = 'K'", "max_calls = 5"):
        write(base + line)
        assert endpoints.identity("vlm:here") == known
    for line in ("convention = 'xyxy'", "max_side = 500", "samples = 3", "fit = 'asis'"):
        write(base + line)
        assert endpoints.identity("vlm:here") != known


PAGE = (Path(__file__).parents[2] / "docs" / "vlm.md").read_text()


def test_the_page_names_every_key_row_and_fit() -> None:
    """And its example of endpoints.toml can be meant, line by line."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    write(example)
    names = re.findall(r"^\[(\w+)\]", example, re.MULTILINE)
    assert len(names) == 5
    for name in names:
        assert endpoints.identity(f"vlm:{name}")
    keys = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|(.*?)\|", PAGE, re.MULTILINE)))
    assert {spec.name for spec in fields(EndpointOptions)} | set(FITS) == set(keys)
    rows = re.findall(r"^\| ([^|]*) \|[^|]*\| `(\w+)` \| `(\w+)` \|$", PAGE, re.MULTILINE)
    assert sorted(rows[1:]) == sorted((row.models, row.convention, row.fit) for row in TABLE)


def test_commercial_safe_wants_the_licence_named() -> None:
    base = f"[here]\n{LOCAL}model = 'qwen3-vl-8b'\n"
    write(base)
    session = Session(models={"detect": "vlm:here"}, commercial_safe=True)
    with pytest.raises(LicenceRefused, match=r"unknown \(endpoint\).*set licence and commercial"):
        session.models.entry("detect")
    write(base + "licence = 'Apache-2.0'\ncommercial = 'yes'")
    entry = session.models.entry("detect")
    assert entry is not None
    assert entry.licence == "Apache-2.0"


def scene(path: Path) -> Path:
    picture = Image.new("RGB", (300, 200), (GREY,) * 3)
    picture.paste(COLOURS[RED], (50, 40, 120, 90))
    picture.save(path)
    return path


def test_a_session_remembers_what_an_endpoint_said(
    tmp_path: Path, server: VlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On disk too, until the way of asking changes; the record holds no key."""
    monkeypatch.setenv("MY_KEY", KEY)
    server.key = KEY
    base = f"[here]\nurl = '{server.url}'\nmodel = 'gpt-4o'\nkey_env = 'MY_KEY'\n"
    write(base)
    picture = scene(tmp_path / "scene.png")
    prompts = [VisualPrompt(text=Text(RED))]

    def detect(finding: FindOptions | None = None) -> str:
        session = Session(models={"detect": "vlm:here"}, cache=StageCache(tmp_path / "cache"))
        run = session.detect(picture, prompts, finding=finding)
        assert run.grounding.detections.xyxy.round().tolist() == [[50, 40, 120, 90]]
        return json.dumps(run.record.to_dict())

    record = detect()
    assert detect().count("vlm:here") == record.count("vlm:here") > 0
    assert len(server.requests) == 1
    assert KEY not in record
    assert "unknown (endpoint)" in record
    write(base + "convention = 'xyxy'\nfit = 'asis'")
    detect()
    assert len(server.requests) == 2
    detect(FindOptions(detect=DetectOptions(samples=2)))
    assert len(server.requests) == 4


def test_a_detector_that_draws_no_lots_refuses_samples(tmp_path: Path) -> None:
    picture = scene(tmp_path / "scene.png")
    with pytest.raises(OptionError, match="samples has no effect on haar"):
        Session().detect(
            picture,
            [VisualPrompt(text=Text("face"))],
            finding=FindOptions(detect=DetectOptions(samples=3)),
        )


def test_the_command_line_asks_an_endpoint(
    tmp_path: Path,
    server: VlmServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``--detector vlm:MODEL``; what the server refuses is said; what fails is exit code 2."""
    monkeypatch.setenv("LIMNER_VLM_URL", server.url)
    server.refuses = {"json_schema"}
    picture = str(scene(tmp_path / "scene.png"))
    words = ["detect", picture, "--text", RED, "--detector", "vlm:gpt-4o", "--no-cache"]
    assert main([*words, "-o", str(tmp_path / "out.png")]) == 0
    said = capsys.readouterr()
    assert "refuses json_schema: asked with json_object instead" in said.err
    assert (tmp_path / "out.png").exists()
    assert main(["models", "info", "vlm:gpt-4o"]) == 0
    assert "gpt-4o on 127.0.0.1" in capsys.readouterr().out
    assert main(["models", "pull", "vlm:gpt-4o"]) == 0
    assert "needs no download" in capsys.readouterr().err
    server.replies = ["No idea."] * 2
    assert main([*words, "-o", str(tmp_path / "two.png")]) == 2
    said = capsys.readouterr()
    assert "vlm:gpt-4o answered can't be read" in said.err
    assert "Traceback" not in said.err


def test_nothing_of_the_client_is_imported_until_it_is_asked(tmp_path: Path) -> None:
    import subprocess
    import sys

    write(f"[here]\n{LOCAL}model = 'gpt-4o'")
    code = (
        "import sys\n"
        "from limner.session import Session\n"
        "session = Session(models={'detect': 'vlm:here'})\n"
        "session.models.weights('detect')\n"
        "session.models.identities()\n"
        "assert not {'openai', 'keyring', 'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

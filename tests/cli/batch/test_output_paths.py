"""Where results go, whatever files and folders are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from limner.cli.batch.output_paths import Place, check_writable, clear_remains, unique_names
from limner.errors import OutputError
from tests.cli.command import Command

BOX = ("--box", "2,2,20,20")


def picture(path: Path | str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.radial_gradient("L").resize((40, 40)).convert("RGB").save(path)


@pytest.mark.parametrize(
    ("below", "named", "results"),
    [("in", ".", "../in-remove"), ("in/below", "..", "../../in-remove")],
    ids=["the working folder", "the one above"],
)
def test_a_folder_without_a_name_of_its_own(
    limner: Command, monkeypatch: pytest.MonkeyPatch, below: str, named: str, results: str
) -> None:
    """Results of ``.`` and ``..`` go beside that folder, as those of a named one do."""
    picture("in/a.png")
    Path(below).mkdir(exist_ok=True)
    monkeypatch.chdir(below)
    limner("remove", named, *BOX)
    assert [path.name for path in Path(results).iterdir()] == ["a-remove.png"]


NAMES = {
    "nothing alike": (["a.png", "b.jpg"], ["a", "b"]),
    "one stem": (["p.jpg", "p.png"], ["p-jpg", "p-png"]),
    "the other name is taken": (["p-jpg.png", "p.jpg", "p.png"], ["p-jpg", "p-jpg-2", "p-png"]),
    "capitals only": (["P.png", "p.png"], ["P-png", "p-png-2"]),
    "capitals in the suffix": (["p.JPG", "p.jpg"], ["p-JPG", "p-jpg-2"]),
    "one letter in two codes": (["é.png", "e\u0301.png"], ["é-png", "e\u0301-png-2"]),
}


@pytest.mark.parametrize(("files", "names"), NAMES.values(), ids=NAMES.keys())
def test_no_two_results_have_one_name(files: list[str], names: list[str]) -> None:
    assert unique_names([Path(file) for file in files]) == names


def test_every_picture_of_a_folder_gets_its_own_result(limner: Command) -> None:
    for name in ("p.jpg", "p.png", "p-jpg.png"):
        picture(f"in/{name}")
    assert "3 images: 3 done" in limner("remove", "in", *BOX, "-o", "out").stdout
    assert len(list(Path("out").iterdir())) == 3


@pytest.mark.parametrize("method", ["is_dir", "exists", "iterdir"])
def test_a_folder_without_permission_is_said(
    limner: Command, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What the system refuses (root may look everywhere, so it is played) is bad input."""
    picture("in/a.png")
    real = getattr(Path, method)

    def refuse(self: Path, *more: object) -> object:
        if self.name == "in":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *more)

    monkeypatch.setattr(Path, method, refuse)
    answer = limner.run("remove", "in", *BOX, "-o", "out")
    assert answer.code == 2
    assert "in can't be read: Permission denied" in answer.stderr


def test_an_impossible_place_is_said_before_a_model_is_loaded(
    limner: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("a.png")
    Path("file").write_text("")

    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("limner.registry.pool.ModelPool.get", loaded)
    answer = limner.run("remove", "a.png", *BOX, "-o", "file/below")
    assert answer.code == 2
    assert "is a file, not a folder" in answer.stderr


def test_trying_a_place_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path / "new" / "below")
    assert list(tmp_path.iterdir()) == []

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        check_writable(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="names are text there")
def test_a_name_that_is_no_text(limner: Command) -> None:
    """Bytes that are no UTF-8 are shown as escapes, and the results are there."""
    name = os.fsdecode(b"caf\xe9.png")
    picture("plain.png")
    try:
        Path("plain.png").rename(name)
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    for words in (("segment",), ("remove",), ("remove", "--overwrite", "--json")):
        assert "caf" in limner(*words, name, *BOX).stdout
    assert r"caf\xe9-remove.png  done already" in limner("remove", name, *BOX).stdout
    assert "caf" in limner("remove", name, *BOX, "--dry-run").stdout
    assert limner.run("remove", os.fsdecode(b"\xff.png"), *BOX).code == 2


def test_remains_of_killed_runs_go_from_mask_folders_too(tmp_path: Path) -> None:
    place = Place(tmp_path, "a")
    place.masks.mkdir()
    old = [tmp_path / ".limner-1.tmp", place.masks / ".limner-2.tmp"]
    young = place.masks / ".limner-3.tmp"
    for path in (*old, young):
        path.write_bytes(b"half")
    for path in old:
        os.utime(path, (1, 1))
    clear_remains([tmp_path])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [young]

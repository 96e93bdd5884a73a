"""Files are written whole or not at all, and pictures give their record back."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from limner.errors import ImageError, OutputError
from limner.io import save

NOISE = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
)  # fmt: skip
RECORD = {
    "model": "mini",
    "phrase": 'a <dog> & "cat" — 猫 \u0000 \ud800 ]]>',
    "seed": 7,
    "points": [[1.5, 2.0]],
    "none": None,
}
SUFFIXES = pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp", ".tif", ".tiff"])


@SUFFIXES
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_record_and_pixels_come_back(suffix: str, mode: str, tmp_path: Path) -> None:
    if mode == "RGBA" and suffix.lower() in (".jpg", ".jpeg"):
        mode = "CMYK"  # a JPEG has no transparency
    image = NOISE.convert(mode)
    path = save.save_image(image, tmp_path / f"made{suffix}", record=RECORD)
    assert save.read_record(path) == RECORD
    with Image.open(path) as back:
        if suffix.lower() in (".jpg", ".jpeg"):
            assert back.size == image.size
        else:
            np.testing.assert_array_equal(np.asarray(back.convert(mode)), np.asarray(image))
    assert b"limner:record" in path.read_bytes(), "exiftool reads XMP"


@SUFFIXES
def test_a_record_longer_than_a_jpeg_segment(suffix: str, tmp_path: Path) -> None:
    long = {"rle": "".join(chr(48 + i * 7919 % 64) for i in range(300_000)), "last": 1}
    path = save.save_image(NOISE, tmp_path / f"made{suffix}", record=long)
    assert save.read_record(path) == long
    with Image.open(path) as back:
        back.load()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@given(record=st.dictionaries(st.text(), JSON))
def test_any_json_record_survives(
    suffix: str, tmp_path_factory: pytest.TempPathFactory, record: dict[str, object]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    save.save_image(Image.new("L", (1, 1)), path, record=record, overwrite=True)
    assert save.read_record(path) == record


@SUFFIXES
def test_a_picture_without_a_record_gives_none(suffix: str, tmp_path: Path) -> None:
    assert save.read_record(save.save_image(NOISE, tmp_path / f"plain{suffix}")) is None


def test_a_record_that_another_program_made_an_attribute(tmp_path: Path) -> None:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF '
        'xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description '
        f"xmlns:q='{save._NAMESPACE}' q:record='{{\"a\": 1}}'/></r:RDF></x:xmpmeta>"
    )
    NOISE.save(tmp_path / "other.jpg", xmp=packet.encode())
    assert save.read_record(tmp_path / "other.jpg") == {"a": 1}


DAMAGED = {"not JSON": "{", "a list": "[1]"}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_records_are_refused(text: str, tmp_path: Path) -> None:
    NOISE.save(tmp_path / "a.jpg", xmp=save._packet(text))
    with pytest.raises(ImageError, match=r"record in .* is damaged"):
        save.read_record(tmp_path / "a.jpg")


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + save._packet("{}")
    NOISE.save(tmp_path / "a.jpg", xmp=bomb)
    with pytest.raises(ImageError, match="entities"):
        save.read_record(tmp_path / "a.jpg")


def test_read_record_of_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ImageError, match="no image"):
        save.read_record(tmp_path / "a.txt")
    with pytest.raises(ImageError, match="There is no file"):
        save.read_record(tmp_path / "missing.png")


REFUSED: dict[str, tuple[Image.Image, str, object, str]] = {
    "transparency in JPEG": (NOISE.convert("RGBA"), "a.jpg", None, r"no transparency.*\.png"),
    "palette in JPEG": (NOISE.convert("P"), "a.jpg", None, "holds no P picture"),
    "unknown suffix": (NOISE, "a.gif", None, r"ends in \.gif.*\.png"),
    "no suffix": (NOISE, "a", None, "no suffix"),
    "too wide for JPEG": (Image.new("L", (66_000, 1)), "a.jpg", None, "can't be saved as JPEG"),
    "too wide for WebP": (Image.new("L", (17_000, 1)), "a.webp", None, "can't be saved as WEBP"),
    "floats in PNG": (Image.new("F", (2, 2)), "a.png", None, "F picture.*can't be saved as PNG"),
    "record of another type": (NOISE, "a.png", {"path": Path("x")}, "not made of JSON"),
    "record with NaN": (NOISE, "a.png", {"score": float("nan")}, "not made of JSON"),
}


@pytest.mark.parametrize(
    ("image", "name", "record", "sentence"), REFUSED.values(), ids=REFUSED.keys()
)
def test_refused_pictures(
    image: Image.Image, name: str, record: object, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match=sentence):
        save.save_image(image, tmp_path / name, record=record)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_sixteen_bit_maps_survive(tmp_path: Path) -> None:
    ids = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    for name in ("a.png", "a.tif"):
        with Image.open(save.save_image(Image.fromarray(ids), tmp_path / name)) as back:
            np.testing.assert_array_equal(np.asarray(back), ids)


# Whole or not at all --------------------------------------------------------------------------


def test_existing_files_stay_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    for write in (
        lambda: save.save_image(NOISE, path),
        lambda: save.write_atomic(path, b"new"),
    ):
        with pytest.raises(OutputError, match=r"exists: pass --overwrite or another --out"):
            write()
    assert path.read_bytes() == b"old"
    save.save_image(NOISE, path, overwrite=True)
    assert path.read_bytes() != b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


FAILURES = {
    "full disk, at the end": ("fsync", OSError(errno.ENOSPC, "No space left"), "disk is full"),
    "no permission": ("replace", PermissionError(errno.EACCES, "denied"), "no permission to write"),
    "read-only": ("replace", OSError(errno.EROFS, "ro"), "is read-only"),
    "anything else": ("fsync", OSError(errno.EIO, "Input/output error"), "Input/output error"),
    "Ctrl-C": ("fsync", KeyboardInterrupt(), None),
}


@pytest.mark.parametrize(("call", "error", "sentence"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failing_save_leaves_the_old_file_and_nothing_else(
    call: str,
    error: BaseException,
    sentence: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    expected = OutputError if sentence else KeyboardInterrupt
    with pytest.raises(expected, match=sentence):
        save.save_image(NOISE, path, overwrite=True)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_folders_are_made_and_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    path = save.write_atomic(tmp_path / "new" / "deep" / "a.json", '{"ä": 1}')
    assert json.loads(path.read_text(encoding="utf-8")) == {"ä": 1}
    with pytest.raises(OutputError, match="a part of its path is a file"):
        save.write_atomic(path / "b.json", "")
    with pytest.raises(OutputError, match="is a folder"):
        save.write_atomic(tmp_path / "new", "", overwrite=True)
    with pytest.raises(OutputError, match="name is too long"):
        save.write_atomic(tmp_path / ("x" * 300), "")


def test_new_files_have_the_ordinary_permissions(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    made = save.write_atomic(tmp_path / "made", "")
    assert stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_link_keeps_pointing(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    save.write_atomic(link, "new", overwrite=True)
    assert link.is_symlink()
    assert target.read_text() == "new"

"""What is taught from: bad files are left out aloud, padding goes, the rest becomes squares."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter, ImageOps

from limner.errors import ImageError
from limner.training import instance_images
from tests.training.photos import folder_of, photo


def test_squares_of_the_side_in_the_order_of_names(tmp_path: Path) -> None:
    found = instance_images.read(folder_of(tmp_path), 64)
    assert [one.name for one in found.usable] == ["00.png", "01.png", "02.png", "03.png"]
    assert {(one.image.size, one.image.mode) for one in found.usable} == {((64, 64), "RGB")}
    assert len({one.digest for one in found.usable}) == 4
    assert found.notes[0] == "00.png: a square of 90 px was cut out of 120x90."


def test_what_is_no_photograph_is_left_out_and_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 2)
    (folder / "notes.txt").write_text("buy milk")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not the rest")
    (folder / "metadata.jsonl").write_text("")
    photo(0).save(folder / "z-again.jpg", quality=90)
    found = instance_images.read(folder, 64)
    assert [one.name for one in found.usable] == ["00.png", "01.png"]
    text, broken, again = found.left_out
    assert text == "notes.txt is left out: it is no picture."
    assert broken.startswith("broken.jpg is left out: ")
    assert again == "z-again.jpg is left out: it is 00.png again."


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_are_refused_with_what_is_needed(tmp_path: Path, count: int) -> None:
    with pytest.raises(ImageError, match="3 to 6"):
        instance_images.read(folder_of(tmp_path, count), 64)


def test_duplicates_alone_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        photo(1).save(tmp_path / f"{name}.png")
    with pytest.raises(ImageError, match=r"1 usable photograph .*b\.png is left out: it is a\.png"):
        instance_images.read(tmp_path, 64)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no folder"):
        instance_images.read(tmp_path / "nowhere", 64)


@pytest.mark.parametrize("colour", ["black", "white", "#777777"])
@pytest.mark.parametrize(
    ("border", "expected"),
    [
        pytest.param((0, 15, 0, 15), (0, 15, 0, 15), id="letterbox"),
        pytest.param((20, 0, 20, 0), (20, 0, 20, 0), id="pillarbox"),
        pytest.param((0, 0, 0, 30), (0, 0, 0, 30), id="one side"),
        pytest.param((0, 0, 0, 0), (0, 0, 0, 0), id="none"),
    ],
)
def test_padding_bars(
    border: tuple[int, int, int, int], expected: tuple[int, ...], colour: str
) -> None:
    """Left, top, right, bottom; JPEG's noise doesn't hide them."""
    padded = ImageOps.expand(photo(3, (240, 180)), border, colour)
    assert instance_images.padding_bars(padded) == expected
    file = io.BytesIO()
    padded.save(file, "JPEG", quality=90, subsampling=0)
    found = instance_images.padding_bars(Image.open(file))
    assert [bool(a) for a in found] == [bool(b) for b in expected]
    assert np.abs(np.subtract(found, expected)).max() <= 16


def test_a_plain_wall_is_no_padding() -> None:
    """A studio background ends where the subject begins, not along a line."""
    wall = np.full((200, 200, 3), 235, np.uint8)
    wall[80:, 60:140] = np.asarray(photo(5, (80, 120)))
    assert instance_images.padding_bars(Image.fromarray(wall)) == (0, 0, 0, 0)
    assert instance_images.padding_bars(Image.new("RGB", (50, 50), "red")) == (0, 0, 0, 0)
    lit = np.full(
        (200, 200, 3), 200, np.uint8
    )  # a wall in the light of a lamp, and a sofa before it
    lit[:80] -= (np.arange(80) // 8).astype(np.uint8)[:, None, None]
    lit[80:] = np.asarray(photo(5, (200, 120)))
    assert instance_images.padding_bars(Image.fromarray(lit)) == (0, 0, 0, 0)


def test_doubts_are_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 2, (40, 40))
    photo(7, (300, 300)).filter(ImageFilter.GaussianBlur(30)).save(folder / "soft.png")
    said = {one.name: one.notes for one in instance_images.read(folder, 64).usable}
    assert said["00.png"] == ("enlarged 1.6 times, so it is soft",)
    assert said["soft.png"] == ("it looks blurred",)


def test_the_square_lies_around_the_subject(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 2, (400, 300))
    seen: list[tuple[int, int]] = []

    def outline(image: Image.Image) -> npt.NDArray[np.bool_]:
        seen.append(image.size)
        found = np.zeros((300, 400), dtype=bool)
        found[200:280, 300:380] = len(seen) == 1
        return found

    first, second = instance_images.read(folder, 64, outline).usable
    assert first.subject is not None
    assert np.argwhere(first.subject).min(axis=0).tolist() == [6, 6]  # 10 of 100 px
    assert first.subject.mean() == pytest.approx(0.8**2, abs=0.03)
    assert second.subject is None
    assert first.notes == ("a square of 100 px was cut out of 400x300",)
    assert second.notes[0] == "the subject was not found, so the middle is used"
    assert instance_images.square_around((400, 300), (300, 200, 380, 280)) == (290, 190, 390, 290)
    assert instance_images.square_around((400, 300), (390, 290, 400, 300)) == (388, 288, 400, 300)
    assert instance_images.square_around((400, 300), (0, 0, 400, 300)) == (50, 0, 350, 300)
    assert instance_images.square_around((400, 300), None) == (50, 0, 350, 300)


@pytest.mark.parametrize("subject", ["backpack_dog", "bear_plushie", "dog6", "teapot"])
def test_public_subjects_go_through_as_they_are(shared_data: Path, subject: str) -> None:
    """google/dreambooth: plain studio walls, dark edges, and nothing is taken for padding."""
    folder = shared_data / "dreambooth" / subject
    if not folder.is_dir():
        pytest.skip(f"SHARED DATA MISSING: {folder}")
    found = instance_images.read(folder, 64)
    assert (len(found.usable), found.left_out) == (5, ())
    assert {one.image.size for one in found.usable} == {(64, 64)}
    assert not any("padding" in note or "blurred" in note for note in found.notes)

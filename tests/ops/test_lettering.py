"""Text in pictures: no empty boxes, and what differs can be told apart."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import supervision as sv
from PIL import Image, ImageFont

from limner.evaluation.charts import style
from limner.evaluation.charts.contact_sheet import Axis, Cell, contact_sheet
from limner.ops import lettering
from limner.ops.lettering import fitted, font_path, lettered, middle_cut, readable
from limner.ops.overlay import overlay

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
DEJAVU = str(FONTS / "DejaVuSans.ttf")


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any font of its own, as servers are."""
    monkeypatch.setattr(lettering, "_system_fonts", lambda: ())
    lettering._system_font.cache_clear()


KNOWN = ["a mug", "Straße", "ёлка", "Ωμέγα", "∑ ≤ 3", "שלום", "one\ntwo"]


@pytest.mark.parametrize("text", KNOWN)
def test_what_dejavu_knows_is_written_as_it_is(no_fonts: None, text: str) -> None:
    said, font = lettered(text, 15)
    assert said == text.replace("\n", " ")
    assert str(font.path) == DEJAVU


def test_what_no_font_has_is_written_as_code_points(no_fonts: None) -> None:
    """Two phrases in Japanese were the same row of empty boxes."""
    red, blue = (lettered(text, 15)[0] for text in ("赤い車", "青い車"))
    assert (red, blue) == ("\\u8d64\\u3044\\u8eca", "\\u9752\\u3044\\u8eca")
    assert readable("a 🐇", DEJAVU) == "a \\U0001f407"


def test_a_font_of_the_system_that_has_the_letters_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """STIX, which matplotlib ships, stands for one: it has letters that DejaVu lacks. What is no
    font, or can't be opened, is passed over."""
    stix = str(FONTS / "STIXGeneral.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"\0" * 100)
    letters = lettering._letters_of(stix) - lettering._letters_of(DEJAVU)
    letter = chr(next(code for code in sorted(letters) if chr(code).isprintable()))
    monkeypatch.setattr(lettering, "_system_fonts", lambda: (str(tmp_path / "broken.ttf"), stix))
    lettering._system_font.cache_clear()
    assert font_path(f"1 {letter}") == stix
    assert lettered(f"1 {letter}", 15)[0] == f"1 {letter}"
    lettering._system_font.cache_clear()


def test_a_long_text_is_cut_in_its_middle_and_never_wider_than_its_room() -> None:
    font = ImageFont.truetype(DEJAVU, 15)
    text = "a photo of a red car in front of a house, watercolor"
    for room in (0, 5, 20, 60, 150, 300, 1000):
        said = middle_cut(text, font, room)
        assert font.getlength(said) <= max(room, font.getlength("…"))
        if 60 <= room < 400:
            assert said[0] == "a"
            assert said[-1] == "r"
    assert said == text


ALIKE = {
    "at the end": ["a photo of a red car in front of a house, oil", "a photo of a red car in front "
                   "of a house, ink"],
    "in the middle": ["a photo of a small red car in front of the large old wooden house of mine",
                      "a photo of a small blue car in front of the large old wooden house of mine"],
    "at the beginning": ["red " + "car " * 30, "ink " + "car " * 30],
    "by a letter in one word": ["x" * 80 + "a" + "y" * 80, "x" * 80 + "b" + "y" * 80],
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_where_long_labels_differ_stays_visible(name: str) -> None:
    """Cut at the end, the columns of a sheet had the same label."""
    cut = [text for text, _ in fitted(ALIKE[name], 15, 150)]
    assert len(set(cut)) == 2
    for text, font in fitted(ALIKE[name], 15, 150):
        assert font.getlength(text) <= 150


def test_equal_labels_stay_equal() -> None:
    assert len({text for text, _ in fitted(["x" * 200, "x" * 200], 15, 100)}) == 1


def test_sheets_tell_scripts_apart_and_take_lines(no_fonts: None) -> None:
    """Two sheets that differ in one Japanese letter differ; a label of two lines made an error."""

    def sheet(label: str) -> np.ndarray:
        cells = {(0, 0): Cell(Image.new("RGB", (90, 60), "#804020"), 0.5, note=label)}
        return np.asarray(contact_sheet(Axis("p\nq", (label,)), Axis("r", (label,)), cells))

    assert not np.array_equal(sheet("赤い"), sheet("青い"))
    assert sheet("one\ntwo").size


def test_names_on_a_picture_tell_scripts_apart(no_fonts: None) -> None:
    def labelled(name: str) -> np.ndarray:
        found = sv.Detections(
            np.array([[10.0, 40, 90, 90]]),
            confidence=np.array([0.5]),
            class_id=np.array([0]),
            data={"class_name": np.array([name])},
        )
        return np.asarray(overlay(Image.new("RGB", (300, 120), "#888888"), found))

    assert not np.array_equal(labelled("赤"), labelled("青"))


def test_charts_tell_scripts_apart_and_a_price_is_no_formula(
    no_fonts: None, tmp_path: Path
) -> None:
    """Two dollars in a phrase were read as a formula, which can be a wrong one."""

    def chart(title: str) -> bytes:
        figure, axes = style.new_axes("x", "y", title)
        axes.plot([1, 2], [1, 2])
        path = style.save_chart(figure, tmp_path / "c.png", overwrite=True)
        assert axes.get_title(loc="left") == title
        return path.read_bytes()

    assert chart("赤い車") != chart("青い車")
    assert chart("a $5_{ mug for $6")

"""A thing that a suite asks for can carry a label, beside the label of a prompt's column."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from limner.evaluation.suites.load import read_suite

SUITE = """\
models: [grabcut]
prompts:
- find: {box: "2,2,20,20", label: mug}
  label: a box
cases: [{image: in.png}]
"""


def test_a_thing_has_its_own_label(tmp_path: Path) -> None:
    """The column's label names a column, the thing's its objects."""
    Image.new("RGB", (30, 30)).save(tmp_path / "in.png")
    (tmp_path / "suite.yaml").write_text(SUITE)
    (cell,) = read_suite(tmp_path / "suite.yaml").cells
    assert [draft.label for draft in cell.ask.find] == ["mug"]
    assert cell.ask.column == "a box"

"""2,000 malformed command lines through the real entry point.

Whatever is typed and whatever the files hold: exit code 0, 1 or 2 (never 70, which is a bug), a
sentence on stderr where it isn't 0, no traceback, and nothing half-written.
"""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.cli import main

CASES = 2000


def picture(width: int, height: int, kind: str) -> bytes:
    rng = np.random.default_rng(width * 31 + height)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Whole, cut, spoilt, or no picture at all."""
    side = st.sampled_from([1, 2, 3, 16, 40])
    data = picture(draw(side), draw(side), draw(st.sampled_from(["PNG", "JPEG", "BMP", "GIF"])))
    spoil = draw(st.sampled_from(["none", "none", "cut", "flip", "noise", "empty"]))
    if spoil == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if spoil == "flip":
        at = draw(st.integers(0, len(data) - 1))
        return data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
    if spoil == "noise":
        return draw(st.binary(max_size=200))
    return b"" if spoil == "empty" else data


number = st.one_of(
    st.integers(-5, 60).map(str),
    st.floats(-5, 60, allow_nan=False).map(lambda v: f"{v:.2f}"),
    st.integers(-10, 120).map(lambda v: f"{v}%"),
    st.sampled_from(["", "nan", "inf", "1e9", "-0", "x", "٣", "1_0", " 7 "]),
)
point = st.tuples(number, number, st.sampled_from(["", "", ":bg", ":fg", ":", ":no"])).map(
    lambda p: f"{p[0]},{p[1]}{p[2]}"
)
numbers = st.lists(number, min_size=3, max_size=5).map(",".join)
anything = st.text(max_size=12)
prompt = st.one_of(
    st.tuples(st.just("--point"), point),
    st.tuples(st.just("--box"), numbers),
    st.tuples(st.just("--mask"), st.sampled_from(["in.png", "none.png", "."])),
    st.tuples(st.just("--text"), st.one_of(st.sampled_from(["face", "eye", ""]), anything)),
    st.tuples(st.just("--not"), anything),
    st.tuples(st.sampled_from(["--like", "--not-like"]), st.one_of(numbers, anything)),
    st.tuples(st.just("--exemplar"), st.one_of(numbers.map(lambda v: f"in.png@{v}"), anything)),
    st.just(("--object",)),
    st.tuples(st.sampled_from(["--point", "--box", "--select"]), anything),
)
option = st.one_of(
    st.tuples(st.just("--threshold"), number),
    st.tuples(st.just("--select"), st.sampled_from(["largest", "nearest:3,3", "inside:1,1", "x"])),
    st.tuples(st.just("--iterations"), number),
    st.tuples(st.just("--max-pixels"), number),
    st.tuples(st.just("--segmenter"), st.sampled_from(["grabcut", "haar", "sam-vit-base", "./no"])),
    st.tuples(st.just("--profile"), st.sampled_from(["classical", "small", "x"])),
    st.tuples(st.sampled_from(["--json", "--dry-run", "--overwrite", "--fail-if-empty"])),
    st.tuples(anything),
)
own = {
    "detect": st.nothing(),
    "segment": st.sampled_from([("--everything",), ("--semantic",), ("--panoptic",)]),
    "edit": st.tuples(st.just("--paint"), anything),
    "remove": st.tuples(
        st.sampled_from(["--method", "--radius", "--dilate", "--feather", "--context"]),
        st.one_of(number, st.sampled_from(["telea", "patches"])),
    ),
    "cutout": st.tuples(st.sampled_from(["--dilate", "--feather"]), number),
    "background": st.tuples(
        st.sampled_from(["--blur", "--colour", "--picture", "--paint"]), st.one_of(number, anything)
    ),
    "redact": st.tuples(st.sampled_from(["--style", "--amount", "--verify", "--region"]), anything),
}


inside = st.integers(0, 39)
sound = st.one_of(
    st.tuples(st.just("--point"), st.tuples(inside, inside).map(lambda p: f"{p[0]},{p[1]}")),
    st.tuples(
        st.just("--box"),
        st.tuples(*[st.integers(0, 18)] * 2, *[st.integers(20, 40)] * 2).map(
            lambda box: ",".join(map(str, box))
        ),
    ),
)
"""Prompts that an unspoilt file of 40 x 40 pixels can answer."""

needed = {
    "detect": ["--text", "face"],
    "edit": ["--paint", "a cat"],
    "background": ["--colour", "red"],
}


@st.composite
def cases(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """A file and a command line: one in three sound throughout, so that verbs run to their end."""
    verb = draw(st.sampled_from(sorted(own)))
    if draw(st.integers(0, 2)) == 0:
        objects = [] if verb == "detect" else list(draw(sound)) * draw(st.integers(1, 2))
        return picture(40, 40, "PNG"), [verb, "in.png", *objects, *needed.get(verb, ())]
    parts = draw(st.lists(prompt, max_size=3)) + draw(st.lists(option, max_size=2))
    if verb != "detect":
        parts += draw(st.lists(own[verb], max_size=2))
    name = draw(st.sampled_from(["in.png", "in.png", "in.png", "none.png", "."]))
    return draw(files()), [verb, name, *(word for part in parts for word in part)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


codes: Counter[int] = Counter()
"""How often each exit code came."""


@settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=cases())
def check(folder: Path, capsys: pytest.CaptureFixture[str], case: tuple[bytes, list[str]]) -> None:
    data, words = case
    for left in folder.rglob("*"):
        if left.is_file():
            left.unlink()
    (folder / "in.png").write_bytes(data)
    code = main([*words, "-o", "out.png"])
    codes[code] += 1
    said = capsys.readouterr()
    assert code in (0, 1, 2), (words, said.err)
    assert "Traceback" not in said.err
    if code == 2:
        assert said.err.strip(), words
        assert (folder / "in.png").read_bytes() == data, "the input is never touched"
    assert not list(folder.rglob("*.tmp")), "no half-written file stays"
    for made in folder.rglob("*.png"):
        if made.name != "in.png":
            Image.open(made).load()


@pytest.mark.slow
def test_nothing_typed_is_ever_a_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(folder, capsys)
    assert codes.total() >= CASES
    assert min(codes[0], codes[2]) > CASES // 20, "both good and bad lines were drawn"

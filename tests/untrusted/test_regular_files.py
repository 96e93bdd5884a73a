"""Only regular files are read, and no more of them than was allowed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from limner.errors import FileError, FileMissing
from limner.untrusted.regular_files import read_bytes, read_text


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def unix_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as open_socket:
        open_socket.bind(str(folder / "socket"))
    return folder / "socket"


def link_to_device(folder: Path) -> Path:
    (folder / "linked").symlink_to("/dev/zero")
    return folder / "linked"


NOT_REGULAR: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a pipe that nobody writes to": (pipe, "is a pipe"),
    "a socket": (unix_socket, "is a socket"),
    "a device that never ends": (lambda folder: Path("/dev/zero"), "is a device"),
    "a link to one": (link_to_device, "is a device"),
    "a folder": (lambda folder: folder, "is a folder"),
}


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices as files are POSIX's")
@pytest.mark.parametrize("name", NOT_REGULAR)
def test_what_is_no_regular_file_is_refused_and_never_waited_for(name: str, tmp_path: Path) -> None:
    """Opened as files always were, the first would wait for ever and the third fill the memory."""
    make, said = NOT_REGULAR[name]
    with pytest.raises(FileError, match=said):
        read_bytes(make(tmp_path), limit=1000)


@pytest.mark.parametrize(
    ("name", "said"),
    [("a\0.png", "holds a NUL"), ("\ud800.png", "holds half of a character"), ("n" * 999, "long")],
)
def test_a_name_that_no_file_can_have_is_a_sentence_that_can_be_printed(
    name: str, said: str
) -> None:
    with pytest.raises(FileError, match=said) as caught:
        read_bytes(name, limit=10)
    str(caught.value).encode("utf-8")  # a lone surrogate in it would end the command


def test_the_limit_is_what_may_be_read_and_one_more_byte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ten").write_bytes(b"0123456789")
    assert read_bytes(tmp_path / "ten", limit=10) == b"0123456789"
    with pytest.raises(FileError, match="larger than a recipe may be"):
        read_bytes(tmp_path / "ten", limit=9, what="recipe")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_file_that_says_it_is_empty_and_is_not_is_read_up_to_the_limit() -> None:
    """Files of /proc have a size of 0; so has one that grows while it is read."""
    assert read_bytes("/proc/self/status", limit=100_000).startswith(b"Name:")
    with pytest.raises(FileError, match="larger"):
        read_bytes("/proc/self/status", limit=100)


def test_a_missing_file_is_told_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="There is no suite"):
        read_bytes(tmp_path / "none.yaml", limit=10, what="suite")
    (tmp_path / "file").touch()
    with pytest.raises(FileMissing):
        read_bytes(tmp_path / "file" / "below", limit=10)


def test_text_is_utf8_with_or_without_a_mark_and_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert read_text(tmp_path / "marked", limit=100) == "a\r\nb"
    (tmp_path / "latin").write_bytes(b"one\ntwo\ncaf\xe9")
    with pytest.raises(FileError, match=r"latin:3: This is not UTF-8 text"):
        read_text(tmp_path / "latin", limit=100)

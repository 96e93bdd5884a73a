"""Files read whole, with bounds: whoever names a file may not be who started limner.

A path in a suite, a label or a config may lead to a device that never ends or a pipe that nobody
writes to. Only regular files are opened, and no more of them is read than the caller allows.
"""

from __future__ import annotations

import os
import stat

from limner.errors import FileError, FileMissing
from limner.untrusted.plain_text import visible

MB = 1_000_000

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# A pipe without a writer would hold the open itself; what Windows lacks, it needs no flag for.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


def read_bytes(path: str | os.PathLike[str], *, limit: int, what: str = "file") -> bytes:
    """The content of a regular file.

    Args:
        limit: most bytes that are read.
        what: such as "recipe", for sentences.

    Raises:
        FileMissing: there is no such file.
        FileError: no regular file, one that is larger, or one that can't be read.
    """
    try:
        _check_regular(os.stat(path), path, what)  # before the open: to open a device can do things
        handle = os.open(path, _FLAGS)
        with os.fdopen(handle, "rb") as file:
            opened = os.fstat(handle)
            _check_regular(opened, path, what)
            if opened.st_size > limit:
                raise FileError(_too_large(path, what, limit))
            content = file.read(opened.st_size + 1)
            while len(content) > opened.st_size and len(content) <= limit:  # it grows as we read
                more = file.read(min(MB, limit + 1 - len(content)))
                if not more:
                    break
                content += more
    except (FileNotFoundError, NotADirectoryError):
        raise FileMissing(f"There is no {what} {shown(path)}.") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{shown(path)} can't be read: {_reason(error)}.") from None
    if len(content) > limit:
        raise FileError(_too_large(path, what, limit))
    return content


def read_text(path: str | os.PathLike[str], *, limit: int, what: str = "file") -> str:
    """The same as text of UTF-8; a byte order mark is dropped, line ends stay.

    Raises:
        FileMissing, FileError: as ``read_bytes``, or not UTF-8, by line.
    """
    content = read_bytes(path, limit=limit, what=what)
    return decoded(content, shown(path))


def decoded(content: bytes, name: str) -> str:
    """Bytes as text of UTF-8.

    Args:
        name: the file's, for sentences.

    Raises:
        FileError: not UTF-8, by line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{name}:{line}: This is not UTF-8 text (byte {error.start}): save the file as UTF-8."
        ) from None


def shown(path: str | os.PathLike[str]) -> str:
    """A path for sentences: control characters and what is no character are escaped."""
    return visible(str(os.fspath(path)))


def _check_regular(status: os.stat_result, path: str | os.PathLike[str], what: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((name for holds, name in _KINDS if holds(status.st_mode)), "no regular file")
    raise FileError(f"{shown(path)} is {kind}: expected a regular file, the {what}.")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, UnicodeEncodeError):
        return "its name holds half of a character"
    return "its name holds a NUL, which no file's name can"


def _too_large(path: str | os.PathLike[str], what: str, limit: int) -> str:
    most = f"{limit / MB:,.0f} MB" if limit >= MB else f"{limit:,} bytes"
    return f"{shown(path)} is larger than a {what} may be ({most}): is it the file you mean?"

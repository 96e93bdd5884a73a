"""The process that a command runs in: its streams, its working folder, what the system refuses."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from pathlib import Path

from limner.errors import InputError

PACKAGE = Path(__file__).parents[1]

OF_THE_MACHINE = {
    errno.ENOSPC: "There is no space left to write to",
    errno.EDQUOT: "Your quota of disk space is used up",
    errno.EMFILE: "This process may open no more files",
    errno.ENFILE: "This machine can open no more files",
    errno.EIO: "The disk or the terminal failed",
    errno.ENOMEM: "Memory ran out",
    errno.EROFS: "The disk can only be read",
}
"""What the system says with no file named, or whatever the file."""
NO_MEMORY = "Memory ran out. Use a smaller image or model, or close other programs."
READERS = ("json", "tomllib", "yaml", "xml")
"""Packages that read files by recursion: too deep there is a fault of the file."""


def open_closed_streams() -> None:
    """Open what the caller closed (``2>&-``, as daemons do) on nothing.

    Otherwise ``sys.stderr`` is None, and the next file that is opened, perhaps a result, gets its
    number and whatever a library writes there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        mode = "r" if name == "stdin" else "w"
        # It stays open as long as the process.
        setattr(sys, name, open(number, mode, closefd=False, errors="replace"))  # noqa: SIM115


def check_working_folder() -> None:
    """Refuse to work in a folder that was deleted: no path in it means anything.

    Raises:
        InputError: it was.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError(
            "The working folder was deleted: go to another one (cd) and run this again."
        ) from None


def sentence_of(error: Exception) -> str | None:
    """What the machine or a file is to blame for, as a sentence; None: it may be a bug of ours."""
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, RecursionError):
        return _of_recursion(error)
    if not isinstance(error, OSError) or error.errno is None:
        return None
    reason = error.strerror or os.strerror(error.errno)
    if error.errno in OF_THE_MACHINE:
        about = f": {_name(error)}" if error.filename is not None else ""
        return f"{OF_THE_MACHINE[error.errno]} ({reason}{about})."
    if error.filename is None or _is_ours(error):
        return None
    return f"{_name(error)} can't be used: {reason}. Name another, or mend it, and run this again."


def _of_recursion(error: RecursionError) -> str | None:
    """Where a reader of files went too deep, the file is nested too deeply."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    if any(f"{os.sep}{name}{os.sep}" in last for name in READERS):
        return "A file that was read is nested too deeply to be meant: mend or leave it out."
    return None


def _name(error: OSError) -> str:
    return os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)


def _is_ours(error: OSError) -> bool:
    """Whether the file belongs to limner itself, which is then broken."""
    return Path(_name(error)).is_relative_to(PACKAGE)

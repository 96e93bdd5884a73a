"""Answers of stages on disk, by key: bounded, shared by processes, and safe to delete at any time.

A file an answer, written whole under another name first. What was used longest ago goes when there
is too much. Nothing here fails a run: what can't be read is computed, what can't be written is not
kept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from limner.errors import OutputError
from limner.home import TEMPORARIES
from limner.io.save import write_atomic

MOST_BYTES = 2_000_000_000
"""Of a cache whose size nobody chose."""
MOST_FILES = 20_000
"""Each costs a look whenever one is added."""
KEPT_PART = 0.8
"""Of the bounds, when what was used longest ago is removed: else every new answer would remove."""
LOCK_SECONDS = 600
"""How long to wait for another process that computes the same; then it is computed here too."""


@dataclass(frozen=True)
class StageCache:
    """A folder of answers. A value: send it to other processes.

    Args:
        folder: made when the first answer is kept.
        most_bytes: at most so much is kept, give or take one answer a process.
    """

    folder: Path
    most_bytes: int = MOST_BYTES

    def get(self, key: str) -> bytes | None:
        """The answer, which counts as used now; None where there is none."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep an answer, if it can be."""
        path = self._path(key)
        try:
            self._make_folder()
            write_atomic(path, content, overwrite=True)
        except (OSError, OutputError):
            return
        self._bound()

    @contextlib.contextmanager
    def computing(self, stage: str, key: str) -> Iterator[None]:
        """Whoever comes second waits for the first, and finds its answer.

        Each stage has locks of its own: one that asks another meanwhile never waits for itself.
        """
        from filelock import FileLock, Timeout

        try:
            self._make_folder()
            lock = FileLock(self.folder / f"{stage}-{key[:2]}.lock", timeout=LOCK_SECONDS)
            lock.acquire()
        except (OSError, OutputError, Timeout):
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def clear(self) -> int:
        """Remove every answer, and what a killed writer left; returns how many there were.

        An answer doesn't say which picture it is of: a tile of one has a key of its own.
        """
        count = 0
        for pattern in ("??/*.answer", f"??/{TEMPORARIES}"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)
                count += 1
        return count

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.answer"

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def _bound(self) -> None:
        """Remove what was used longest ago, where there is too much."""
        answers: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("??/*.answer"):
            with contextlib.suppress(OSError):
                facts = path.stat()
                answers.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in answers)
        count = len(answers)
        if total <= self.most_bytes and count <= MOST_FILES:
            return
        for _, size, path in sorted(answers):
            if total <= KEPT_PART * self.most_bytes and count <= KEPT_PART * MOST_FILES:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                total, count = total - size, count - 1

"""A tracker that can't harm a run, however late, faulty or talkative it is."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from limner.protocols import Say
from limner.trackers.protocol import Layer, Tracker

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class Shielded:
    """A ``Tracker`` around another.

    The other one is opened at its first use, so that a command that makes nothing leaves no empty
    experiment. Its first failure is said, and it is not asked again. What it prints is dropped: our
    standard output may be JSON that a program reads.
    """

    def __init__(self, name: str, opener: Callable[[], Tracker], say: Say) -> None:
        self.name = name
        self._opener = opener
        self._say = say
        self._tracker: Tracker | None = None
        self._failed = False

    def parameters(self, values: Mapping[str, str | float | bool]) -> None:
        self._ask(lambda tracker: tracker.parameters(values))

    def tag(self, names: Sequence[str]) -> None:
        self._ask(lambda tracker: tracker.tag(names))

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        self._ask(lambda tracker: tracker.log(values, step))

    def save_image(
        self, name: str, image: Image, layers: Sequence[Layer] = (), step: int | None = None
    ) -> None:
        self._ask(lambda tracker: tracker.save_image(name, image, layers, step))

    def save_file(self, name: str, data: bytes, step: int | None = None) -> None:
        self._ask(lambda tracker: tracker.save_file(name, data, step))

    def save_artifact(self, name: str, kind: str, files: Mapping[str, bytes]) -> None:
        self._ask(lambda tracker: tracker.save_artifact(name, kind, files))

    def end(self) -> str:
        """Where it lies; empty when nothing was recorded or the tracker failed."""
        opened = self._tracker
        if opened is None:
            return ""
        if self._failed:  # what it got so far should still be kept, if it can
            with contextlib.suppress(Exception), _quiet():
                opened.end()
            return ""
        return self._ask(lambda tracker: tracker.end()) or ""

    def _ask(self, act: Callable[[Tracker], T]) -> T | None:
        if self._failed:
            return None
        try:
            with _quiet():
                if self._tracker is None:
                    self._tracker = self._opener()
                return act(self._tracker)
        except Exception as error:  # whatever a foreign library raises
            self._failed = True
            lines = str(error).strip().splitlines()[:1]
            why = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
            self._say(f"{self.name} stopped tracking ({why}); results are written all the same.")
            return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield

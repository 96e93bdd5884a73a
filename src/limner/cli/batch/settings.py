"""What a verb over a folder is told, and its tally."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.home import WORKING_FOLDER
from limner.verbs import VERBS, Picture


@dataclass(frozen=True)
class Settings:
    """What ``batch_options`` read, for one verb."""

    verb: str
    images: tuple[Path, ...]
    """Files and folders, as typed; at least one."""
    out: Path | None
    overwrite: bool
    as_json: bool
    dry_run: bool
    fail_if_empty: bool
    max_pixels: int
    json_objects: bool = False
    is_streamed: bool = False
    """The picture goes to stdout, so that no file of it stays."""
    recursive: bool = False
    no_record: bool = False
    track: tuple[str, ...] = ()
    track_to: Path = Path(WORKING_FOLDER)
    suffix: str = ".png"
    """Of a result's picture where ``out`` names none."""
    copy_unchanged: bool = False
    """A picture in which nothing was found is a result too."""

    @property
    def image(self) -> Path:
        """The input, or the first of several."""
        return self.images[0]

    @property
    def only_folder(self) -> bool:
        """Whether the input is one folder alone, whose results are listed together."""
        return len(self.images) == 1 and self.image.is_dir()

    @property
    def lists_all(self) -> bool:
        """Whether a result's further files get a line; those of what is found in a folder don't,
        for they are named alike."""
        if self.is_streamed:
            return False
        return not self._finds_only or not any(map(Path.is_dir, self.images))

    @property
    def lists_objects(self) -> bool:
        """Whether each object gets a line: what finds them prints those of pictures by name."""
        return self._finds_only and self.lists_all

    @property
    def _finds_only(self) -> bool:
        return VERBS[self.verb].output is Picture.OVERLAY

    def record_for(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """The record that a result carries."""
        return None if self.no_record else record

    @classmethod
    def of(cls, verb: str, given: dict[str, Any]) -> Settings:
        names = [name for name in cls.__dataclass_fields__ if name != "verb"]
        return cls(verb, **{name: given[name] for name in names if name in given})


@dataclass
class Tally:
    """What happened over a batch."""

    done: int = 0
    done_before: int = 0
    empty: int = 0
    failed: int = 0
    code: int = 0
    elsewhere: int = 0
    """Pictures that another process is still doing."""
    tracked: int = 0
    """Runs that trackers were told of."""

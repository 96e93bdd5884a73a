"""Files that belong to one store: they lie in a folder that its id names.

Before version 3 of stores all stores of one place shared its files, so that what one collected was
lost to the others. Those files are still read, and never written any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from limner.errors import StoreError
from limner.runs.files import Files, StoredFile, open_files


@dataclass(frozen=True)
class Owned:
    """Satisfies ``Files`` for one store.

    ``own`` holds what this store saved; ``shared`` what older limners laid beside it, perhaps for
    other stores as well.
    """

    place: str
    own: Files
    shared: Files

    def save(self, data: bytes, suffix: str) -> str:
        return self.own.save(data, suffix)

    def load(self, name: str) -> bytes:
        try:
            return self.own.load(name)
        except StoreError as error:
            try:
                return self.shared.load(name)
            except StoreError:
                raise error from None  # about the place where it belongs

    def path(self, name: str) -> Path | None:
        return self.own.path(name) or self.shared.path(name)

    def scan(self) -> Iterator[StoredFile]:
        """This store's own only: the others may be somebody else's."""
        return self.own.scan()

    def remove(self, name: str) -> None:
        """Of this store's own only."""
        self.own.remove(name)


def open_owned(place: str, owner: str) -> Owned:
    """The files of one store at a place of several.

    Args:
        place: a folder or an fsspec URL.
        owner: the store's id.

    Raises:
        StoreError, MissingExtra: as ``open_files``.
    """
    return Owned(place, open_files(f"{place.rstrip('/')}/{owner}"), open_files(place))

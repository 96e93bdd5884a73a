"""Where runs are kept, as a person names it: a folder, a database file, or a URL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from limner.errors import StoreError
from limner.home import WORKING_FOLDER

DEFAULT = WORKING_FOLDER
SUFFIXES = (".db", ".sqlite", ".sqlite3")
_POSTGRES = ("postgres://", "postgresql://")


MOST_SHOWN = 300
"""Letters of a path in a sentence."""


@dataclass(frozen=True)
class Location:
    """A database and the place of the files that its runs name."""

    named: str
    """The database's URL; empty where a file was named."""
    files: str
    """A folder, or an fsspec URL."""
    database: Path | None = None
    """SQLite's file."""

    @property
    def url(self) -> str:
        """For SQLAlchemy, which isn't imported before."""
        if self.named or self.database is None:
            return self.named
        from sqlalchemy.engine import URL

        return URL.create("sqlite", database=str(self.database)).render_as_string()

    @property
    def shown(self) -> str:
        """For sentences: without a password, and of a length that a person reads."""
        if self.database:
            path = str(self.database)
            return path if len(path) <= MOST_SHOWN else f"{path[: MOST_SHOWN - 1]}…"
        from sqlalchemy.engine import make_url

        return make_url(self.url).render_as_string(hide_password=True)


def locate(store: str | Path | None = None, files: str | Path | None = None) -> Location:
    """What a person named, as a place.

    Args:
        store: a folder (default ``.limner``: ``runs.db`` and ``files`` in it), a SQLite file, or a
            URL of SQLAlchemy's; ``postgresql://`` goes through psycopg.
        files: a folder or an fsspec URL; None: ``files`` beside SQLite's file, ``.limner/files`` of
            the working directory for other databases.

    Raises:
        StoreError: no URL that can be meant.
    """
    text = str(store or DEFAULT)
    if "://" not in text:
        path = Path(text).expanduser().absolute()
        database = path if path.suffix.lower() in SUFFIXES else path / "runs.db"
        return Location("", _files(files, database.parent), database)
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    for prefix in _POSTGRES:
        if text.startswith(prefix):
            text = "postgresql+psycopg://" + text.removeprefix(prefix)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreError(
            f"A store is a folder, a SQLite file or a database URL such as "
            f"postgresql://user@host/name; got {_without_password(text)!r}."
        ) from None
    if url.get_backend_name() != "sqlite":
        return Location(text, _files(files, Path(DEFAULT)))
    if url.database in (None, "", ":memory:"):
        raise StoreError(
            f"{text} is a database in memory, which keeps nothing: name a file, such as "
            "sqlite:///runs.db."
        )
    if str(url.database).startswith("file:"):  # SQLite's own URI, with settings of its own
        inner = Path(str(url.database).removeprefix("file:").partition("?")[0]).absolute()
        return Location(text, _files(files, inner.parent), inner)
    database = Path(str(url.database)).absolute()
    return Location(
        url.set(database=str(database)).render_as_string(hide_password=False),
        _files(files, database.parent),
        database,
    )


def _files(files: str | Path | None, folder: Path) -> str:
    if files is None or str(files) == "":
        return str((folder / "files").absolute())
    return str(files) if "://" in str(files) else str(Path(files).expanduser().absolute())


def _without_password(text: str) -> str:
    """What can't be parsed might still hold one: only what stands behind the last @ is shown."""
    scheme, _, rest = text.partition("://")
    return f"{scheme}://…@{rest.rpartition('@')[2]}" if "@" in rest else text

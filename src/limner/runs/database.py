"""The database under a store: opened, brought to the newest version, its errors in one sentence.

SQLite runs in WAL mode, where readers and the one writer don't wait for each other; writers queue
for up to ``BUSY_SECONDS``. A writing transaction takes its lock at once (BEGIN IMMEDIATE): one that
first reads and then wants to write can't be made to wait, only to fail.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from limner.errors import MissingExtra, StoreError
from limner.runs.entries import VERSIONS
from limner.runs.location import Location
from limner.runs.reasons import is_of_the_disk, reason_of

BUSY_SECONDS = 20.0
_MIGRATION_LOCK = 0x6C696D6E6572  # "limner": PostgreSQL's advisory locks are numbers


class Database:
    """A database of runs.

    Args:
        location: see ``location.locate``.
        create: make it if there is none, and bring an older one to the newest version. Otherwise
            nothing is written before ``writing`` is asked for.
        busy_seconds: how long a writer waits for another one.

    Raises:
        StoreError: no such store, one that can't be opened, or one of a newer limner.
        MissingExtra: the database's driver isn't installed.
    """

    def __init__(
        self, location: Location, *, create: bool = True, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self.location = location
        self._busy_seconds = busy_seconds
        with self._said("opened"):
            if not create and location.database and not location.database.exists():
                raise StoreError(
                    f"There is no store at {location.database}: run a verb here first, or name "
                    "another with --store."
                )
            if location.database and create:
                _make_folder(location.database.parent)
            self._open(location.url if create else _readable(location))
            try:
                self._prepare(create)
            except exc.OperationalError as error:
                if create or self.engine.dialect.name != "sqlite" or not is_of_the_disk(error):
                    raise
                # A full disk has no room for the index of the WAL, which can be in memory.
                self.engine.dispose()
                self._open(location.url, alone=True)
                self._prepare(create)

    def _open(self, url: str, *, alone: bool = False) -> None:
        self.engine = _engine(url, self._busy_seconds, alone=alone)
        weakref.finalize(self, self.engine.dispose)  # no connection outlives its store

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self._said("read"), self.engine.connect() as connection:
            yield connection.execution_options(limner_reads=True)

    @contextmanager
    def writing(self, *, erasing: bool = False) -> Iterator[sa.Connection]:
        """One transaction: all of it or nothing.

        Args:
            erasing: overwrite what is deleted with zeros, where that is SQLite's to do.
        """
        with self._said("written"), self.engine.connect() as connection:
            if erasing and connection.dialect.name == "sqlite":
                raw: Any = connection.connection.dbapi_connection
                raw.execute("PRAGMA secure_delete = ON")
            with connection.begin():
                yield connection

    def compact(self) -> bool:
        """Write the database anew, so that nothing that was deleted lies in it or its log.

        Returns:
            Whether that was possible; another program may be reading.
        """
        raw: Any = self.engine.raw_connection()
        sqlite = self.engine.dialect.name == "sqlite"
        try:
            if sqlite:
                raw.execute("VACUUM")
                (busy, _, _) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not busy
            raw.rollback()
            raw.dbapi_connection.autocommit = True
            raw.cursor().execute("VACUUM FULL")
            return True
        except Exception:  # a driver may raise anything; what was deleted is deleted all the same
            return False
        finally:
            if (
                not sqlite
            ):  # SQLite's own attribute of that name, since Python 3.12, begins a transaction
                with suppress(Exception):
                    raw.dbapi_connection.autocommit = False
            raw.close()

    def close(self) -> None:
        self.engine.dispose()

    def _prepare(self, create: bool) -> None:
        with self.engine.connect().execution_options(limner_reads=True) as connection:
            version = _version(connection)
        if version == VERSIONS[-1]:
            return
        self._check_known(version)
        if version is None and not create:
            raise StoreError(f"{self.location.shown} holds no runs of limner's.")
        if self.engine.dialect.name == "sqlite":
            _use_wal(self.engine, self._busy_seconds)
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            version = _version(connection)  # again: another process may have been first
            self._check_known(version)
            if version != VERSIONS[-1]:
                _migrate(connection)

    def _check_known(self, version: str | None) -> None:
        if version is not None and version not in VERSIONS:
            raise StoreError(
                f"{self.location.shown} was written by a newer limner (store version {version}; "
                f"this one knows {VERSIONS[-1]}): update limner, or name another store with "
                "--store."
            )

    @contextmanager
    def _said(self, verb: str) -> Iterator[None]:
        """What the database says becomes one sentence."""
        try:
            yield
        except exc.NoSuchModuleError:
            raise StoreError(
                f"{self.location.shown} is no database that is known here: limner keeps runs in "
                "SQLite or PostgreSQL."
            ) from None
        except ModuleNotFoundError as error:
            extra = "limner[postgres]" if error.name == "psycopg" else f"the package {error.name}"
            raise MissingExtra(
                f"The store {self.location.shown} needs {extra}, which isn't installed."
            ) from None
        except (exc.SQLAlchemyError, OSError, UnicodeError, OverflowError) as error:
            raise StoreError(
                f"The store {self.location.shown} can't be {verb}: {reason_of(error)}."
            ) from error


def migrations_folder() -> Path:
    return Path(__file__).parent / "migrations"


def _engine(url: str, busy_seconds: float, *, alone: bool = False) -> sa.Engine:
    """``alone``: a SQLite file that nobody else opens meanwhile."""
    engine = sa.create_engine(url, **({"poolclass": sa.NullPool} if alone else {}))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, _: Any) -> None:
            connection.isolation_level = None  # transactions begin where `begin` says
            for pragma in (
                *(("locking_mode = EXCLUSIVE",) if alone else ()),  # before the file is looked at
                f"busy_timeout = {round(busy_seconds * 1000)}",
                "foreign_keys = ON",
                "synchronous = NORMAL",  # with WAL: a power cut loses the last runs, never the rest
            ):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            reads = connection.get_execution_options().get("limner_reads")
            connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _readable(location: Location) -> str:
    """The URL for somebody who only looks. In WAL mode even a reader writes beside the database;
    where that isn't allowed, the file is taken as it lies."""
    path = location.database
    if path is None or "uri=" in location.url or os.access(path.parent, os.W_OK):
        return location.url
    return f"sqlite:///{path.as_uri()}?mode=ro&immutable=1&uri=true"


def _use_wal(engine: sa.Engine, busy_seconds: float) -> None:
    """Kept by the file for good. SQLite doesn't queue the processes that want it at once."""
    deadline = time.monotonic() + busy_seconds
    while True:
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
            return
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        finally:
            connection.close()


def _version(connection: sa.Connection) -> str | None:
    """The store's version; None for a database without one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)


def _migrate(connection: sa.Connection, to: str = "head") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # ConfigParser, which alembic reads with, takes a % for its own.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _make_folder(folder: Path) -> None:
    """A new folder is kept out of git: pictures and people's words don't belong there unasked."""
    if folder.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")

"""The tables of a store, as the newest version has them.

``migrations`` brings older stores here; a test compares both. JSON is kept as ASCII text, which
every database takes whatever a file name holds; nothing is searched inside it, because what can be
searched for has a column.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

identity = Table("identity", metadata, Column("id", String(16), primary_key=True))
"""One row: what tells this store from all others, and names the folder of its files."""

runs = Table(
    "runs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("verb", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("started", String(32), nullable=False),  # UTC, ISO 8601: sorts as text
    Column("finished", String(32)),
    Column("seconds", Float),
    Column("peak_bytes", BigInteger),
    Column("device_peak_bytes", BigInteger),
    Column("seed", BigInteger),
    Column("words", Text, nullable=False),
    Column("job", String(64), nullable=False),
    Column("input_digest", String(64), nullable=False),
    Column("input_path", Text),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("process_started", Float, nullable=False),
    Column("parent_id", String(16)),  # no foreign key: a parent may be deleted
    Column("sweep_id", String(32)),
    Column("suite_id", String(32)),
    Column("error", Text),
    Column("asked", Text, nullable=False),
    Column("record", Text),
    Column("places", Text),
    Column("rating", Integer),
    Column("cell", String(64)),
    Column("tracked", Text),
    Index("runs_by_start", "started"),
    Index("runs_by_job", "job"),
    Index("runs_by_sweep", "sweep_id"),
    Index("runs_by_suite", "suite_id"),
    Index("runs_by_cell", "cell"),
)


def _of_a_run(*, key: bool = True) -> Column[str]:
    belongs = ForeignKey("runs.id", ondelete="CASCADE")
    return Column("run_id", String(16), belongs, primary_key=key, nullable=False)


run_models = Table(
    "run_models",
    metadata,
    _of_a_run(),
    Column("name", String(512), primary_key=True),
    Column("position", Integer, nullable=False),
    Index("run_models_by_name", "name"),
)

run_files = Table(
    "run_files",
    metadata,
    _of_a_run(),
    Column("role", String(16), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", String(80), nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("run_files_by_name", "name"),
)

run_tags = Table(
    "run_tags",
    metadata,
    _of_a_run(),
    Column("tag", String(256), primary_key=True),
    Index("run_tags_by_tag", "tag"),
)

run_notes = Table(
    "run_notes",
    metadata,
    Column("id", Integer, primary_key=True),
    _of_a_run(key=False),
    Column("written", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Index("run_notes_by_run", "run_id"),
)

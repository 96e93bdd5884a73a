"""Runs with their models and files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("verb", sa.String(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("started", sa.String(32), nullable=False),
        sa.Column("finished", sa.String(32)),
        sa.Column("seconds", sa.Float),
        sa.Column("peak_bytes", sa.BigInteger),
        sa.Column("device_peak_bytes", sa.BigInteger),
        sa.Column("seed", sa.BigInteger),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("input_digest", sa.String(64), nullable=False),
        sa.Column("input_path", sa.Text),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("process_started", sa.Float, nullable=False),
        sa.Column("parent_id", sa.String(16)),
        sa.Column("sweep_id", sa.String(32)),
        sa.Column("suite_id", sa.String(32)),
        sa.Column("error", sa.Text),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("record", sa.Text),
        sa.Column("places", sa.Text),
    )
    op.create_index("runs_by_start", "runs", ["started"])
    op.create_index("runs_by_job", "runs", ["job"])
    op.create_index("runs_by_sweep", "runs", ["sweep_id"])
    op.create_index("runs_by_suite", "runs", ["suite_id"])
    op.create_table(
        "run_models",
        _of_a_run(),
        sa.Column("name", sa.String(512), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_index("run_models_by_name", "run_models", ["name"])
    op.create_table(
        "run_files",
        _of_a_run(),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
    )
    op.create_index("run_files_by_name", "run_files", ["name"])


def _of_a_run() -> sa.Column[str]:
    return sa.Column(
        "run_id", sa.String(16), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )

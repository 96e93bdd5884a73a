"""What people think of a run: ratings, tags and notes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("rating", sa.Integer))
    op.create_table(
        "run_tags",
        sa.Column(
            "run_id", sa.String(16), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("tag", sa.String(256), primary_key=True),
    )
    op.create_index("run_tags_by_tag", "run_tags", ["tag"])
    op.create_table(
        "run_notes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "run_id", sa.String(16), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("written", sa.String(32), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("run_notes_by_run", "run_notes", ["run_id"])

"""A store's own id, which names the folder of its files; a run's cell; what trackers were told."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    identity = op.create_table("identity", sa.Column("id", sa.String(16), primary_key=True))
    op.bulk_insert(identity, [{"id": secrets.token_hex(8)}])
    op.add_column("runs", sa.Column("cell", sa.String(64)))
    op.add_column("runs", sa.Column("tracked", sa.Text))
    op.create_index("runs_by_cell", "runs", ["cell"])

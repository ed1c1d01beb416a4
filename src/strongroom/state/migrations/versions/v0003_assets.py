"""What is guarded, and where it lies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "assets",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("version", sa.SmallInteger, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("classification", sa.String(16), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_table(
        "asset_places",
        sa.Column("pattern", sa.Text, primary_key=True),
        sa.Column(
            "asset", sa.String(255), sa.ForeignKey("assets.name", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
    )

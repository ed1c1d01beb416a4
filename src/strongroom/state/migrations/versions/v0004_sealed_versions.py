"""The highest version of each sealed object that was seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "sealed_versions",
        sa.Column("line", sa.String(255), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("signer", sa.String(80), nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.CheckConstraint("version <= reserved", name="versions_are_reserved_first"),
    )

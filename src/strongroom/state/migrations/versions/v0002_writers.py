"""Who may append to the ledger, and what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "writers",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("token_digest", sa.String(64), nullable=False, unique=True),
        sa.Column("types", sa.JSON, nullable=False),
        sa.Column("uid", sa.BigInteger),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.CheckConstraint("length(token_digest) = 64", name="token_digest_is_a_digest"),
    )

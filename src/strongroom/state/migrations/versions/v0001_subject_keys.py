"""The keys of subjects, under which personal facts stand in the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "subject_keys",
        sa.Column("lookup", sa.String(64), primary_key=True),
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.CheckConstraint("length(lookup) = 64", name="lookup_is_a_digest"),
        sa.CheckConstraint("length(key) = 32", name="key_has_32_bytes"),
    )

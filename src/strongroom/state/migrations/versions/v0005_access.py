"""Who may open what: principals, their keys, grants, leases, approvals, break-glass credentials, what was released,
published policies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "principals",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("version", sa.SmallInteger, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("suspended", sa.Boolean, nullable=False),
    )
    op.create_table(
        "principal_groups",
        sa.Column("principal", sa.String(255), sa.ForeignKey("principals.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
    )
    op.create_table(
        "ssh_keys",
        sa.Column("fingerprint", sa.String(80), primary_key=True),
        sa.Column(
            "principal",
            sa.String(255),
            sa.ForeignKey("principals.name", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("public", sa.Text, nullable=False),
        sa.Column("added", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(11), primary_key=True),
        sa.Column("version", sa.SmallInteger, nullable=False),
        sa.Column(
            "principal",
            sa.String(255),
            sa.ForeignKey("principals.name", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("label", sa.String(100), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
    )
    op.create_table(
        "grants",
        sa.Column("subject", sa.String(255), primary_key=True),
        sa.Column("action", sa.String(32), primary_key=True),
        sa.Column("asset", sa.String(255), primary_key=True),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("given", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
    )
    _leases()
    _break_glass()
    op.create_table(
        "releases",
        sa.Column("asset", sa.String(255), primary_key=True),
        sa.Column("principal", sa.String(255), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sealers",
        sa.Column("object", sa.String(64), primary_key=True),
        sa.Column("principal", sa.String(255), nullable=False),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "policy_sets",
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("signer", sa.String(80), nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("published", sa.BigInteger, nullable=False),
    )


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("principal", sa.String(255), nullable=False, index=True),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("asset", sa.String(255), nullable=False),
        sa.Column("asset_digest", sa.String(71), nullable=False),
        sa.Column("purpose", sa.String(200), nullable=False),
        sa.Column("requested", sa.BigInteger, nullable=False, index=True),
        sa.Column("seconds", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("opened", sa.String(71), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("entry", sa.BigInteger, nullable=False),
        sa.Column("request", sa.String(71), nullable=False, index=True),
        sa.Column("breakglass", sa.String(8), nullable=False, index=True),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.CheckConstraint("bytes >= 0", name="bytes_are_none_or_more"),
        sa.CheckConstraint("state IN ('requested', 'pending', 'active', 'used', 'revoked')", name="state_is_known"),
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("lease", sa.String(36), sa.ForeignKey("leases.id"), nullable=False),
        sa.Column("principal", sa.String(255), nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("given", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("lease", "principal", name="one_approval_each"),
    )


def _break_glass() -> None:
    op.create_table(
        "break_glass",
        sa.Column("id", sa.String(8), primary_key=True),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("assets", sa.JSON, nullable=False),
        sa.Column("shares", sa.SmallInteger, nullable=False),
        sa.Column("need", sa.SmallInteger, nullable=False),
        sa.Column("delay", sa.Integer, nullable=False),
        sa.Column("unannounced", sa.Boolean, nullable=False),
        sa.Column("issued", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("lease", sa.String(36), nullable=False),
        sa.Column("wrong", sa.Integer, nullable=False),
        sa.Column("wrong_day", sa.Integer, nullable=False),
        sa.CheckConstraint("state IN ('issued', 'locked', 'used', 'revoked')", name="break_glass_state_is_known"),
    )

"""The tables as they are at the newest version. How they came to be so stands in `migrations/versions/`.

Types and constraints are such as SQLite and PostgreSQL both have. Times are microseconds since 1970.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "HEAD",
    "KEY_BYTES",
    "MAX_NAME_CHARACTERS",
    "REVISIONS",
    "api_keys",
    "approvals",
    "asset_places",
    "assets",
    "break_glass",
    "grants",
    "leases",
    "marks",
    "metadata",
    "policy_sets",
    "principal_groups",
    "principals",
    "releases",
    "sealed_versions",
    "sealers",
    "ssh_keys",
    "subject_keys",
    "writers",
]

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every version that this code can read or upgrade, oldest first."""
HEAD = REVISIONS[-1]
KEY_BYTES = 32
HEX_CHARACTERS = 64
MAX_NAME_CHARACTERS = 64
ASSET_NAME_CHARACTERS = 255
PRINCIPAL_NAME_CHARACTERS = 255
ID_CHARACTERS = 36
ACTION_CHARACTERS = 32
BREAK_GLASS_CHARACTERS = 8

metadata = MetaData()

subject_keys = Table(
    "subject_keys",
    metadata,
    Column("lookup", String(HEX_CHARACTERS), primary_key=True),
    Column("key", LargeBinary(KEY_BYTES), nullable=False),
    Column("created", BigInteger, nullable=False),
    CheckConstraint("length(lookup) = 64", name="lookup_is_a_digest"),
    CheckConstraint("length(key) = 32", name="key_has_32_bytes"),
)
"""`lookup`: HMAC-SHA256 of a subject under a key of the site, in hexadecimal, so that no name stands here."""

writers = Table(
    "writers",
    metadata,
    Column("name", String(MAX_NAME_CHARACTERS), primary_key=True),
    Column("token_digest", String(HEX_CHARACTERS), nullable=False, unique=True),
    Column("types", JSON, nullable=False),
    Column("uid", BigInteger),
    Column("created", BigInteger, nullable=False),
    CheckConstraint("length(token_digest) = 64", name="token_digest_is_a_digest"),
)
"""Who may append to the ledger: SHA-256 of a token, the entry types it may write, the Unix user it is bound to."""

assets = Table(
    "assets",
    metadata,
    Column("name", String(ASSET_NAME_CHARACTERS), primary_key=True),
    Column("version", SmallInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("classification", String(16), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(71), nullable=False),
    Column("note", Text, nullable=False),
)
"""What is guarded; the columns are the fields of `core.assets.Asset`."""

asset_places = Table(
    "asset_places",
    metadata,
    Column("pattern", Text, primary_key=True),
    Column(
        "asset",
        String(ASSET_NAME_CHARACTERS),
        ForeignKey("assets.name", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("position", SmallInteger, nullable=False),
    Column("place", Text, nullable=False),
)
"""Where assets lie. The key is what a place is compared as, so that no two assets ever have the same place."""

sealed_versions = Table(
    "sealed_versions",
    metadata,
    Column("line", String(ASSET_NAME_CHARACTERS), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("digest", String(71), nullable=False),
    Column("signer", String(80), nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    CheckConstraint("version <= reserved", name="versions_are_reserved_first"),
)
"""`line`: the asset's name, or `sealed/<object id>`. `version`, `digest`, `signer`: the highest that was seen, 0 for
none; its signed manifest; whose key signed it. `reserved`: the highest that was given to somebody who signs."""

principals = Table(
    "principals",
    metadata,
    Column("name", String(PRINCIPAL_NAME_CHARACTERS), primary_key=True),
    Column("version", SmallInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("suspended", Boolean, nullable=False),
)
"""Who acts; the columns are the fields of `core.principals.Principal`."""

principal_groups = Table(
    "principal_groups",
    metadata,
    Column(
        "principal",
        String(PRINCIPAL_NAME_CHARACTERS),
        ForeignKey("principals.name", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("name", String(MAX_NAME_CHARACTERS), primary_key=True),
)

ssh_keys = Table(
    "ssh_keys",
    metadata,
    Column("fingerprint", String(80), primary_key=True),
    Column(
        "principal",
        String(PRINCIPAL_NAME_CHARACTERS),
        ForeignKey("principals.name", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("public", Text, nullable=False),
    Column("added", BigInteger, nullable=False),
)
"""With which people sign. A key is one person's: the primary key holds that no two approve with the same."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(11), primary_key=True),
    Column("version", SmallInteger, nullable=False),
    Column(
        "principal",
        String(PRINCIPAL_NAME_CHARACTERS),
        ForeignKey("principals.name", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("digest", String(71), nullable=False),
    Column("label", String(100), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
)
"""With which programs say who they are; the columns are the fields of `core.principals.ApiKey`. Never a key itself."""

grants = Table(
    "grants",
    metadata,
    Column("subject", String(PRINCIPAL_NAME_CHARACTERS), primary_key=True),
    Column("action", String(ACTION_CHARACTERS), primary_key=True),
    Column("asset", String(ASSET_NAME_CHARACTERS), primary_key=True),
    Column("expires", BigInteger, nullable=False),
    Column("given", BigInteger, nullable=False),
    Column("by", String(PRINCIPAL_NAME_CHARACTERS), nullable=False),
)
"""Standing permissions. `subject`: a principal, or `group:NAME`. `asset`: a name, or `org/*`: an organization's."""

leases = Table(
    "leases",
    metadata,
    Column("id", String(ID_CHARACTERS), primary_key=True),
    Column("principal", String(PRINCIPAL_NAME_CHARACTERS), nullable=False, index=True),
    Column("action", String(ACTION_CHARACTERS), nullable=False),
    Column("asset", String(ASSET_NAME_CHARACTERS), nullable=False),
    Column("asset_digest", String(71), nullable=False),
    Column("purpose", String(200), nullable=False),
    Column("requested", BigInteger, nullable=False, index=True),
    Column("seconds", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("opened", String(71), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("request", String(71), nullable=False, index=True),
    Column("breakglass", String(BREAK_GLASS_CHARACTERS), nullable=False, index=True),
    Column("not_before", BigInteger, nullable=False),
    CheckConstraint("bytes >= 0", name="bytes_are_none_or_more"),
    CheckConstraint("state IN ('requested', 'pending', 'active', 'used', 'revoked')", name="state_is_known"),
)
"""Short, purpose-bound rights to use a key; the columns are the fields of `core.leases.Lease`."""

approvals = Table(
    "approvals",
    metadata,
    Column("id", String(ID_CHARACTERS), primary_key=True),
    Column("lease", String(ID_CHARACTERS), ForeignKey("leases.id"), nullable=False),
    Column("principal", String(PRINCIPAL_NAME_CHARACTERS), nullable=False),
    Column("signature", Text, nullable=False),
    Column("given", BigInteger, nullable=False),
    UniqueConstraint("lease", "principal", name="one_approval_each"),
)
"""One person's signed yes to one lease."""

break_glass = Table(
    "break_glass",
    metadata,
    Column("id", String(BREAK_GLASS_CHARACTERS), primary_key=True),
    Column("digest", String(71), nullable=False),
    Column("assets", JSON, nullable=False),
    Column("shares", SmallInteger, nullable=False),
    Column("need", SmallInteger, nullable=False),
    Column("delay", Integer, nullable=False),
    Column("unannounced", Boolean, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("by", String(PRINCIPAL_NAME_CHARACTERS), nullable=False),
    Column("state", String(16), nullable=False),
    Column("lease", String(ID_CHARACTERS), nullable=False),
    Column("wrong", Integer, nullable=False),
    Column("wrong_day", Integer, nullable=False),
    CheckConstraint("state IN ('issued', 'locked', 'used', 'revoked')", name="break_glass_state_is_known"),
)
"""Break-glass credentials; the columns are the fields of `core.leases.BreakGlass`. Never a secret or a share."""

releases = Table(
    "releases",
    metadata,
    Column("asset", String(ASSET_NAME_CHARACTERS), primary_key=True),
    Column("principal", String(PRINCIPAL_NAME_CHARACTERS), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)
"""What was released, by day (days since 1970, UTC): a key that was released counts as all that it opens."""

sealers = Table(
    "sealers",
    metadata,
    Column("object", String(64), primary_key=True),
    Column("principal", String(PRINCIPAL_NAME_CHARACTERS), nullable=False),
)
"""Who sealed an object, by the object's own id: a name can be taken by the next."""

marks = Table(
    "marks",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""`time`: the latest time at which anything was decided."""

policy_sets = Table(
    "policy_sets",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("signer", String(80), nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("by", String(PRINCIPAL_NAME_CHARACTERS), nullable=False),
    Column("published", BigInteger, nullable=False),
)
"""Every set of policies that was published; the highest version is in force."""

"""The tables as they are at the newest version. How they came to be so stands in `migrations/versions/`.

Types and constraints are such as SQLite and PostgreSQL both have. Times are microseconds since 1970.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

__all__ = [
    "HEAD",
    "KEY_BYTES",
    "MAX_NAME_CHARACTERS",
    "REVISIONS",
    "asset_places",
    "assets",
    "metadata",
    "sealed_versions",
    "subject_keys",
    "writers",
]

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every version that this code can read or upgrade, oldest first."""
HEAD = REVISIONS[-1]
KEY_BYTES = 32
HEX_CHARACTERS = 64
MAX_NAME_CHARACTERS = 64
ASSET_NAME_CHARACTERS = 255

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

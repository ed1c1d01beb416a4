"""Shares of a break-glass credential's secret, as they lie on paper: `srbg1-ID-NUMBER-NEED-…`.

ID is the credential's, NUMBER the share's, NEED how many give the secret back; then come 32 bytes of share and 5 of
checksum (the first of the SHA-256 of all that stands before), in base32 (RFC 4648), by fours.

A share is typed by people: case, spaces and line breaks count for nothing, nor do hyphens behind NEED; 0 is O, 1 is I.
The checksum tells a mistyped share by its number; it protects nothing, anybody can compute it. Whether the shares are
the right ones is known only once enough are together and what they give is compared with its digest.

Invariants: the secret has 256 random bits; a share stands in no error, and in no `repr`.

>>> made = make_shares("aaaaaaaa", bytes(32), shares=2, need=2, random=bytes)
>>> made[0].text()[:30]
'srbg1-aaaaaaaa-1-2-AAAA-AAAA-A'
>>> read_share(made[0].text().lower()) == made[0]
True
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..core.errors import InputError, UsageError
from ._shamir import combine, split

__all__ = [
    "SHARE_PATTERN",
    "SHARE_SECRET_BYTES",
    "Share",
    "join_shares",
    "make_shares",
    "new_credential_id",
    "read_share",
]

SHARE_SECRET_BYTES, SUM_BYTES, ID_BYTES = 32, 5, 5
MAX_TEXT = 1000
"""Characters of a share's line that are looked at."""
SHARE_PATTERN = r"srbg1-[a-z2-7]{8}-[0-9]{1,3}-[0-9]{1,3}-[0-9A-Za-z-]{60,80}"
"""For secret scanners."""
_LINE = re.compile(r"srbg1-([a-z2-7]{8})-([0-9]{1,3})-([0-9]{1,3})-(.*)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Share:
    """One share."""

    credential: str
    """The id of the credential that it is of."""
    number: int
    need: int
    """How many give the secret back."""
    data: bytes = field(repr=False)

    def text(self) -> str:
        """As it is written down."""
        written = base64.b32encode(self.data + self._sum()).decode().rstrip("=")
        groups = "-".join(written[start : start + 4] for start in range(0, len(written), 4))
        return f"{self._head()}-{groups}"

    def check(self, sum: bytes) -> None:
        """Raises InputError where the checksum is of something else."""
        if sum != self._sum():
            raise InputError(f"share {self.number} is mistyped", next="compare it with the paper, letter by letter")

    def _head(self) -> str:
        return f"srbg1-{self.credential}-{self.number}-{self.need}"

    def _sum(self) -> bytes:
        return hashlib.sha256(f"{self._head()}-".encode() + self.data).digest()[:SUM_BYTES]


def new_credential_id(random: Callable[[int], bytes]) -> str:
    """Short, since people type it."""
    return base64.b32encode(random(ID_BYTES)).decode().lower()


def make_shares(
    credential: str, secret: bytes, *, shares: int, need: int, random: Callable[[int], bytes]
) -> list[Share]:
    """A secret's shares, numbered from 1."""
    parts = split(secret, shares=shares, need=need, random=random)
    return [Share(credential=credential, number=at, need=need, data=data) for at, data in enumerate(parts, 1)]


def read_share(text: str) -> Share:
    """A share as somebody typed it; lines that begin with # are for people. Raises InputError, with its number."""
    lines = [line for line in text[:MAX_TEXT].splitlines() if not line.lstrip().startswith("#")]
    found = _LINE.fullmatch("".join("".join(lines).split()))
    if not found:
        raise InputError("this is no share of a break-glass credential", next="it begins with srbg1-")
    number = int(found[2])
    try:
        written = found[4].replace("-", "").upper()
        data = base64.b32decode(written + "=" * (-len(written) % 8), map01="I")
    except ValueError:  # its own words may quote the share
        raise InputError(f"share {number} is mistyped", next="its letters are A to Z and 2 to 7") from None
    share = Share(credential=found[1].lower(), number=number, need=int(found[3]), data=data[:SHARE_SECRET_BYTES])
    share.check(data[SHARE_SECRET_BYTES:])
    return share


def join_shares(shares: Sequence[Share]) -> tuple[str, bytes]:
    """The credential's id, and what these shares give: its secret only if all of them are its own.

    Raises UsageError, which names the share, for those of another credential, twice the same, and too few.
    """
    if not shares:
        raise UsageError("no shares are given", where="--share", next="name each one's file")
    first, points = shares[0], dict[int, bytes]()
    for share in shares:
        if share.credential != first.credential:
            raise UsageError(
                f"share {share.number} is of {share.credential}, and share {first.number} of {first.credential}",
                where="--share",
                next="give shares of one credential",
            )
        if points.setdefault(share.number, share.data) != share.data or not 0 < share.number < 256:
            raise UsageError(f"there are two shares {share.number}, of which one is wrong", where="--share")
    need = max(share.need for share in shares)
    if len(points) < need:
        raise UsageError(f"{need} shares are needed, {len(points)} given", where="--share", next="gather more")
    return first.credential, combine(points)

"""C2SP tlog-proof: an inclusion proof with its checkpoint, to be checked offline. No IO."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import IntegrityError
from ._checkpoint import SignedCheckpoint, open_checkpoint, parse_hash, parse_number
from ._merkle import leaf_hash, verify_inclusion
from ._notes import MAX_NOTE_BYTES, VerifierKey

__all__ = ["MAX_PROOF_HASHES", "InclusionProof", "check_proof", "parse_proof"]

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_HASHES = 63
MAX_EXTRA_BYTES = 65_535
MAX_PROOF_BYTES = 2 * MAX_NOTE_BYTES


@dataclass(frozen=True)
class InclusionProof:
    """`hashes` lead from entry number `index` to the root in `checkpoint`, a signed note. `extra` proves nothing."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def encode(self) -> bytes:
        """The text of a `.tlog-proof` file."""
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(hash_).decode() for hash_ in self.hashes]
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint


def parse_proof(data: bytes, *, where: str) -> InclusionProof:
    """Raises IntegrityError for what is no tlog-proof. Nothing is verified yet."""
    if len(data) > MAX_PROOF_BYTES:
        raise _bad("it is too large", where)
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise _bad("its head is not ASCII", where) from None
    if not blank or lines[0] != HEADER or len(lines) < 2:
        raise _bad(f"it does not begin with {HEADER}", where)
    rest = lines[1:]
    extra = b""
    if rest[0].startswith("extra "):
        text = rest.pop(0)[6:]
        try:
            extra = base64.b64decode(text, validate=True)
        except binascii.Error:
            extra = b""
        if not extra or base64.b64encode(extra).decode() != text:
            raise _bad("its extra data is no base64", where)
        if len(extra) > MAX_EXTRA_BYTES:
            raise _bad("its extra data is too large", where)
    if not rest or not rest[0].startswith("index "):
        raise _bad("it has no index", where)
    if len(rest) - 1 > MAX_PROOF_HASHES:
        raise _bad(f"it has {len(rest) - 1} hashes, more than any log needs", where)
    index = parse_number(rest[0][6:], where=where)
    return InclusionProof(index, tuple(parse_hash(line, where=where) for line in rest[1:]), checkpoint, extra)


def check_proof(
    proof: InclusionProof,
    entry: bytes,
    keys: Sequence[VerifierKey],
    *,
    witnesses: Sequence[VerifierKey] = (),
    origin: str = "",
    where: str,
) -> SignedCheckpoint:
    """tlog-proof, "Verifying a tlog proof", its steps numbered as there. Raises IntegrityError.

    How many witnesses are enough is for the caller to say.
    """
    # 1. The leaf hash.
    leaf = leaf_hash(entry)
    # 2. and 3. The checkpoint, its origin, and every signature of a known key.
    signed = open_checkpoint(proof.checkpoint, keys, witnesses=witnesses, origin=origin, where=where)
    # 4. The inclusion proof binds the leaf to that checkpoint.
    try:
        verify_inclusion(leaf, proof.index, signed.checkpoint.size, proof.hashes, signed.checkpoint.root)
    except IntegrityError as error:
        error.where = where
        raise
    return signed


def _bad(what: str, where: str) -> IntegrityError:
    return IntegrityError(f"this is no tlog-proof: {what}", where=where)

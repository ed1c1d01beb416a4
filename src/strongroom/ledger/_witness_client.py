"""C2SP tlog-witness from the log's side: asking for a cosignature, and asking what a witness last cosigned.

A witness is trusted for its cosignatures alone, which are verified here. That it claims a larger size is not signed:
who answers in its place can raise that alarm, though not silence it. `latest` shows what it really cosigned.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

from ..core.errors import InputError, IntegrityError, StrongroomError
from ._checkpoint import SignedCheckpoint, open_checkpoint, parse_checkpoint, parse_number
from ._http import Get, Post, get, post, public_url
from ._notes import MAX_NOTE_BYTES, Note, SignatureLine, VerifierKey, parse_line, parse_note, verify_note
from ._witness import MAX_PROOF_LINES, origin_hash

__all__ = ["MAX_TRIES", "ROLLED_BACK", "WITNESS_SECONDS", "cosign", "latest"]

ROLLED_BACK = "the witness has seen a larger log than this one: rolled back or copied"
"""The message of the IntegrityError on which an alarm rests."""
MAX_TRIES = 2
"""One with the size that we remember, one with the size that the witness says."""
MAX_ANSWER_BYTES = 65_536
MAX_ANSWER_LINES = 16
WITNESS_SECONDS = 10.0

Prove = Callable[[int, int], Sequence[bytes]]
"""`(old, new)` to the consistency proof between the log's trees of these sizes."""


def cosign(
    url: str,
    *,
    old_size: int,
    note: bytes,
    prove: Prove,
    witness: VerifierKey,
    deadline: float = WITNESS_SECONDS,
    send: Post = post,
) -> SignatureLine:
    """The witness's cosignature of `note`, our signed checkpoint, verified.

    `url` is the submission prefix, `old_size` what the witness last cosigned as far as we remember, `deadline` in
    seconds holds for each of at most two tries. Raises IntegrityError with the message ROLLED_BACK when the witness
    has seen more than we have, another IntegrityError for a fork or a wrong cosignature, InputError for an answer
    that the protocol does not know, and StrongroomError when the witness refuses or is not there.
    """
    where = public_url(url)
    text = parse_note(note, where="our checkpoint").text
    new_size = parse_checkpoint(text, where="our checkpoint").size
    for _ in range(MAX_TRIES):
        if old_size > new_size:
            raise IntegrityError(
                ROLLED_BACK,
                where=f"{where}: {old_size:,} entries, here {new_size:,}",
                next="stop writing; compare with what the witness serves, and restore the log from its latest copy",
            )
        body = _request(old_size, prove(old_size, new_size), note)
        status, answer = send(_join(url, "add-checkpoint"), body, limit=MAX_ANSWER_BYTES, deadline=deadline)
        if status == 200:
            return _verified(text, answer, witness, where)
        if status != 409:
            raise _refusal(status, old_size, where)
        said = _size(answer, where)
        if said == old_size:
            raise InputError("the witness refuses the size that it says itself", where=where, next="tell its operator")
        old_size = said
    raise StrongroomError(
        "the witness's size changes while we ask", where=where, next="see whether two processes write this log"
    )


def latest(
    url: str,
    origin: str,
    log_keys: Sequence[VerifierKey],
    witness: VerifierKey,
    *,
    deadline: float = WITNESS_SECONDS,
    fetch: Get = get,
) -> SignedCheckpoint | None:
    """What the witness last cosigned of a log, verified with its key and the log's; None when it never did.

    `url` is the monitoring prefix. Raises IntegrityError, InputError and StrongroomError.
    """
    address = _join(url, f"{origin_hash(origin)}/checkpoint")
    note = fetch(address, limit=MAX_NOTE_BYTES, deadline=deadline)
    if note is None:
        return None
    where = public_url(address)
    signed = open_checkpoint(note, log_keys, witnesses=[witness], origin=origin, where=where)
    if witness not in signed.cosigned:
        raise _no_cosignature(witness, where)
    return signed


def _request(old_size: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """tlog-witness, "add-checkpoint": old size line, proof lines, empty line, checkpoint."""
    if len(proof) > MAX_PROOF_LINES:
        raise ValueError(f"{len(proof)} hashes are no consistency proof")
    lines = [f"old {old_size}", *(base64.b64encode(hash_).decode() for hash_ in proof), "", ""]
    return "\n".join(lines).encode() + note


def _verified(text: str, answer: bytes, witness: VerifierKey, where: str) -> SignatureLine:
    """The newest line of the witness's key, all of whose lines must verify; other keys' lines are ignored."""
    try:
        lines = answer.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise InputError("the witness's answer is no text", where=where, next="check the address") from None
    if not answer.endswith(b"\n") or len(lines) > MAX_ANSWER_LINES:
        raise InputError("the witness's answer is no list of signatures", where=where, next="check the address")
    parsed = [parse_line(line, where=where) for line in lines]
    own = tuple(line for line in parsed if (line.name, line.id) == (witness.name, witness.id))
    if not own:
        raise _no_cosignature(witness, where)
    verify_note(Note(text, own).encode(), [witness], where=where)
    newest = max(own, key=lambda line: line.time)
    if not newest.time:
        raise IntegrityError("the witness's cosignature says no time", where=where, next="tell its operator")
    return newest


def _size(answer: bytes, where: str) -> int:
    if not answer.endswith(b"\n"):
        raise InputError("the witness says a conflict but no size", where=where, next="check the address")
    return parse_number(answer[:-1].decode("ascii", "replace"), where=where)


def _refusal(status: int, old_size: int, where: str) -> StrongroomError:
    """The statuses of tlog-witness, "add-checkpoint"."""
    if status == 422:
        return IntegrityError(
            f"the witness cosigned another tree of {old_size:,} entries than this log's: a fork",
            where=where,
            next="stop writing; compare with what the witness serves: the log was rewritten or copied",
        )
    if status == 403:
        return StrongroomError("the witness does not trust this log's key", where=where, next="give it the log's vkey")
    if status == 404:
        return StrongroomError(
            "the witness does not know this log", where=where, next="give it the origin and the vkey"
        )
    if status in (400, 413):
        return InputError(f"the witness cannot read our request ({status})", where=where, next="check the address")
    return StrongroomError(f"the witness answered {status}", where=where, next="try again later")


def _no_cosignature(witness: VerifierKey, where: str) -> IntegrityError:
    return IntegrityError(
        f"the answer holds no cosignature of {witness.name}+{witness.id.hex()}",
        where=where,
        next="check the witness's address and its verifier key",
    )


def _join(url: str, path: str) -> str:
    return f"{url.rstrip('/')}/{path}"

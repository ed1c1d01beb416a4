"""What `ledger verify` says of a log, and of a log beside older checkpoints of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.clock import format_time
from ..core.errors import IntegrityError
from ._checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from ._entry import check_entry
from ._notes import MAX_NOTE_BYTES, VerifierKey
from ._reader import LogReader, read_checkpoint
from ._rotation import KeyChain
from ._storage import Source
from ._verify import Damage, check_files

__all__ = ["Seen", "Verdict", "trusted_keys", "verify_log"]

CONTINUED = "continued"


@dataclass(frozen=True)
class Seen:
    """An older checkpoint of the log, and who kept it."""

    by: str
    checkpoint: Checkpoint
    outside: bool = True
    """Whether it comes from a place that keeps checkpoints; a file that somebody hands over may come from anywhere."""


@dataclass
class Verdict:
    """Integrity and completeness of one log."""

    origin: str
    size: int
    root: bytes
    key: VerifierKey
    damage: Damage = field(default_factory=Damage)
    seen: list[dict[str, Any]] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    rolled_back: list[str] = field(default_factory=list)
    cosigned: dict[VerifierKey, int | None] = field(default_factory=dict)
    cosigned_size: int = 0
    """Entries that the last cosigned checkpoint covers."""
    quorum: int = 0

    @property
    def integrity(self) -> str:
        """`intact` or `changed`."""
        return "changed" if self.damage.changed or self.damage.malformed or self.rewritten else "intact"

    @property
    def completeness(self) -> str:
        """`complete`; `incomplete`; or `unknown`, when the log was not seen to continue anything older."""
        if self.damage.missing or self.rolled_back:
            return "incomplete"
        return "complete" if self.integrity == "intact" and self._continues("older") else "unknown"

    @property
    def protected(self) -> bool:
        """Whether a part of this log, as it is here, is known to others than its operator."""
        cosigned = self.cosigned_size > 0 and any(time is not None for time in self.cosigned.values())
        return self.integrity == "intact" and (cosigned or self._continues("outside"))

    def _continues(self, what: str) -> bool:
        return any(item[what] and item["size"] and item["outcome"] == CONTINUED for item in self.seen)

    @property
    def cosignatures_missing(self) -> int:
        """How many cosignatures are missing for the quorum. A key counts once, whatever names it has."""
        return max(0, self.quorum - len({key.public for key, time in self.cosigned.items() if time is not None}))

    def check(self, where: str) -> None:
        """Raises IntegrityError unless both verdicts are good and the quorum is there."""
        said = []
        if self.integrity == "changed":
            said.append(
                "the log was changed: " + "; ".join([*self.damage.changed, *self.damage.malformed, *self.rewritten])
            )
        if self.completeness == "incomplete":
            said.append("something is missing: " + "; ".join([*self.damage.missing, *self.rolled_back]))
        if self.cosignatures_missing:
            lost = ", ".join(key.name for key, time in self.cosigned.items() if time is None) or "one key, two names"
            said.append(f"{self.cosignatures_missing} of {self.quorum} cosignatures are missing ({lost})")
        if said:
            raise IntegrityError(
                ". ".join(said), where=where, next="keep the disk as it is, and compare it with a copy"
            )

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "version": 1,
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex(),
            "key": str(self.key),
            "integrity": {
                "verdict": self.integrity,
                "changed": self.damage.changed,
                "malformed": self.damage.malformed,
                "rewritten": self.rewritten,
            },
            "completeness": {
                "verdict": self.completeness,
                "missing": self.damage.missing,
                "rolled_back": self.rolled_back,
                "compared_with": self.seen,
            },
            "cosignatures": {
                "quorum": self.quorum,
                "size": self.cosigned_size,
                "missing": self.cosignatures_missing,
                "witnesses": [
                    {"name": key.name, "time": None if time is None else format_time(time * 1_000_000)}
                    for key, time in self.cosigned.items()
                ],
            },
            "protected_against_operator": self.protected,
        }


def trusted_keys(claimed: Sequence[VerifierKey], given: VerifierKey | None) -> list[VerifierKey]:
    """The keys that may have signed a checkpoint: the trusted one first, then those said to follow it."""
    if given is None:
        return list(claimed)
    return list(claimed[claimed.index(given) :]) if given in claimed else [given]


def verify_log(
    source: Source,
    keys: Sequence[VerifierKey],
    *,
    older_keys: Sequence[VerifierKey] = (),
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
    seen: Sequence[Seen] = (),
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Verdict:
    """Verifies all of a log. The first of `keys` is trusted, the others must be introduced by the log itself.

    `older_keys` may have signed what is older than the checkpoint. Raises IntegrityError when nothing can be said
    beyond that the checkpoint is wrong; otherwise the verdict says it, and `Verdict.check` raises.
    """
    # Before the checkpoint is read, which is then not older than it.
    cosigned = _last_cosigned(source, [*keys, *older_keys], witnesses)
    signed: SignedCheckpoint = read_checkpoint(source, keys, witnesses=witnesses)
    checkpoint = signed.checkpoint
    chain = KeyChain(keys[0])

    def entry_is_good(index: int, entry: bytes) -> None:
        check_entry(entry)
        chain.see(index, entry)

    verdict = Verdict(checkpoint.origin, checkpoint.size, checkpoint.root, signed.key, quorum=quorum)
    verdict.damage = check_files(source, checkpoint, entry_is_good, lambda done: progress(done, checkpoint.size))
    if not verdict.damage:
        chain.check(signed.key, checkpoint.size, where=f"{source.name}/checkpoint")
    reader = LogReader(source, signed)
    for item in seen:
        _compare(verdict, reader, item, older=True)
    verdict.cosigned = {key: signed.cosigned.get(key) for key in witnesses}
    if signed.cosigned:
        verdict.cosigned_size = checkpoint.size
    if cosigned is not None and cosigned.cosigned:
        _add_cosigned(verdict, reader, cosigned)
    return verdict


def _last_cosigned(
    source: Source, keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey]
) -> SignedCheckpoint | None:
    data = source.read("cosigned", MAX_NOTE_BYTES) if witnesses else None
    if data is None:
        return None
    return open_checkpoint(data, keys, witnesses=witnesses, where=f"{source.name}/cosigned")


def _add_cosigned(verdict: Verdict, reader: LogReader, signed: SignedCheckpoint) -> None:
    """Between two rounds of witnesses the checkpoint has no cosignatures; the last one that had them counts."""
    seen = Seen("the last cosigned checkpoint", signed.checkpoint, outside=False)
    if _compare(verdict, reader, seen, older=False) != CONTINUED:
        return
    for key, time in signed.cosigned.items():
        verdict.cosigned[key] = max(time, verdict.cosigned.get(key) or 0)
    verdict.cosigned_size = max(verdict.cosigned_size, signed.checkpoint.size)


def _compare(verdict: Verdict, reader: LogReader, item: Seen, *, older: bool) -> str:
    """Whether the log continues what was seen. `older`: whether that says something about completeness."""
    old = item.checkpoint
    if old.size > reader.size:
        verdict.rolled_back.append(
            f"entries {reader.size:,} to {old.size - 1:,}, which {item.by} has seen: the log ends before them"
        )
        outcome = "the log is shorter"
    elif verdict.damage:
        outcome = "not compared: files are damaged"
    elif reader.root_at(old.size) != old.root:
        verdict.rewritten.append(f"the first {old.size:,} entries are not those that {item.by} has seen")
        outcome = "another history"
    else:
        outcome = CONTINUED
    row = {"by": item.by, "size": old.size, "outcome": outcome, "outside": item.outside, "older": older}
    verdict.seen.append(row)
    return outcome

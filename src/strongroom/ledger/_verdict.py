"""What `ledger verify` says of a log, and of a log beside older checkpoints of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.clock import format_time
from ..core.errors import IntegrityError
from ._checkpoint import Checkpoint, SignedCheckpoint
from ._entry import check_entry
from ._notes import VerifierKey
from ._reader import LogReader, read_checkpoint
from ._rotation import KeyChain
from ._storage import Source
from ._verify import Damage, check_files

__all__ = ["Seen", "Verdict", "trusted_keys", "verify_log"]


@dataclass(frozen=True)
class Seen:
    """An older checkpoint of the log, and who kept it."""

    by: str
    checkpoint: Checkpoint
    outside: bool = True
    """Whether it was kept where the log's operator cannot change it alone."""


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
    protected: bool = False

    @property
    def integrity(self) -> str:
        """`intact` or `changed`."""
        return "changed" if self.damage.changed or self.damage.malformed or self.rewritten else "intact"

    @property
    def completeness(self) -> str:
        """`complete`; `incomplete`; or `unknown`, when nothing older that was kept elsewhere is there to compare."""
        if self.damage.missing or self.rolled_back:
            return "incomplete"
        return "complete" if any(item["outside"] for item in self.seen) else "unknown"

    @property
    def cosignatures_missing(self) -> int:
        """How many cosignatures are missing for the quorum. A key counts once, whatever names it has."""
        return max(0, self.quorum - len({key.public for key, time in self.cosigned.items() if time is not None}))

    def add_cosigned(self, signed: SignedCheckpoint, reader: LogReader) -> None:
        """Counts the cosignatures of the last checkpoint that has them, once it is seen to be part of this log."""
        _compare(self, reader, [Seen("the last cosigned checkpoint", signed.checkpoint, outside=False)])
        for key, time in signed.cosigned.items():
            self.cosigned[key] = max(time, self.cosigned.get(key) or 0)
        self.cosigned_size = signed.checkpoint.size
        self.protected = self.protected or bool(signed.cosigned)

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
            lost = ", ".join(key.name for key, time in self.cosigned.items() if time is None)
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
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
    seen: Sequence[Seen] = (),
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Verdict:
    """Verifies all of a log. The first of `keys` is trusted, the others must be introduced by the log itself.

    Raises IntegrityError when nothing can be said beyond that the checkpoint is wrong; otherwise the verdict says
    it, and `Verdict.check` raises.
    """
    signed: SignedCheckpoint = read_checkpoint(source, keys, witnesses=witnesses)
    checkpoint = signed.checkpoint
    chain = KeyChain(keys[0])

    def entry_is_good(index: int, entry: bytes) -> None:
        check_entry(entry)
        chain.see(index, entry)

    verdict = Verdict(checkpoint.origin, checkpoint.size, checkpoint.root, signed.key, quorum=quorum)
    verdict.damage = check_files(source, checkpoint, entry_is_good, lambda done: progress(done, checkpoint.size))
    if not verdict.damage:
        chain.check(signed.key, where=f"{source.name}/checkpoint")
    verdict.cosigned = {key: signed.cosigned.get(key) for key in witnesses}
    _compare(verdict, LogReader(source, signed), seen)
    verdict.protected = any(item.outside for item in seen) or any(time for time in verdict.cosigned.values())
    return verdict


def _compare(verdict: Verdict, reader: LogReader, seen: Sequence[Seen]) -> None:
    for item in seen:
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
            outcome = "continued"
        verdict.seen.append({"by": item.by, "size": old.size, "outcome": outcome, "outside": item.outside})

"""The one tree of errors. An error says what was wrong, where, and what to do next.

    StrongroomError            exit 6   it could not be done: disk full, locked, not writable
    ├── UsageError             exit 2   the command, option or configuration is wrong
    ├── InputError             exit 3   input is missing, empty or unusable
    │   └── RecordError        (counted, not fatal)  one record of many is bad; carries its reason
    ├── RefusedError           exit 4   policy refused
    └── IntegrityError         exit 5   a signature, proof, digest or stored file is not what it must be

>>> str(InputError("no records", where="logs/a.jsonl", next="check --format"))
'no records (logs/a.jsonl); check --format'
"""

from __future__ import annotations

__all__ = [
    "InputError",
    "IntegrityError",
    "RecordError",
    "RefusedError",
    "StrongroomError",
    "UsageError",
]


class StrongroomError(Exception):
    """Root of every error that Strongroom raises on purpose."""

    code = "failed"
    exit_code = 6

    def __init__(self, message: str, *, where: str = "", next: str = "") -> None:
        super().__init__(message, where, next)
        self.message = message
        self.where = where
        self.next = next

    def __str__(self) -> str:
        text = self.message
        if self.where:
            text += f" ({self.where})"
        if self.next:
            text += f"; {self.next}"
        return text

    def as_dict(self) -> dict[str, dict[str, str]]:
        """The error as design.md's `{"error":{"code","message","where","next"}}`."""
        return {"error": {"code": self.code, "message": self.message, "where": self.where, "next": self.next}}


class UsageError(StrongroomError):
    """The command line or the configuration cannot be used as given."""

    code = "usage"
    exit_code = 2


class InputError(StrongroomError):
    """Input is missing, empty or wholly unusable."""

    code = "input"
    exit_code = 3


class RecordError(InputError):
    """One record is bad; the rest goes on. `reason` is a short stable slug that is counted."""

    code = "record"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class RefusedError(StrongroomError):
    """Policy refused, or the principal or asset is unknown or ill-formed."""

    code = "refused"
    exit_code = 4


class IntegrityError(StrongroomError):
    """Something that must not change did, or a check failed."""

    code = "integrity"
    exit_code = 5

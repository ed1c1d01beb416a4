"""Personal facts as keyed digests: what the ledger keeps for ever says nothing once a key is gone.

A subject is a principal. Its key lies in the state database under HMAC-SHA256(site key, subject). In an access
entry its name, its credential and its client address are HMAC-SHA256(its key, field and fact): equal facts of one
subject have equal digests, so its lines can be found; facts of two subjects cannot be compared; and without the key
nobody can test a guess. Names are compared byte by byte: whoever proves identities decides how they are spelled.

>>> import tempfile
>>> from pathlib import Path
>>> from strongroom.state import State
>>> with tempfile.TemporaryDirectory() as folder, State.open(Path(folder) / "state.db") as state:
...     subjects = Subjects(state, site_key=bytes(32))
...     before = subjects.digest("ann@example.org")
...     before == subjects.find("ann@example.org"), subjects.forget("ann@example.org")
...     subjects.find("ann@example.org"), subjects.digest("ann@example.org") == before
(True, True)
(None, False)
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Any

import msgspec

from ..core.errors import InputError, RefusedError, StrongroomError, UsageError
from ..core.ids import check_asset_name, check_digest, check_id
from ..core.records import AccessEvent, Entry
from ._body import ACCESS, time_of

if TYPE_CHECKING:  # questions with a digest need no state database, nor the time to import SQLAlchemy
    from ..state import State

__all__ = ["MAX_FACT_BYTES", "PERSONAL", "Subjects", "entry_of", "is_digest"]

PERSONAL = ("principal", "credential", "client_address")
"""The fields of an access event that say who it was. Each is digested under the key of the principal."""
MAX_FACT_BYTES = 4096
MAX_INTEGER = 2**53 - 1
"""RFC 8785 knows no larger ones."""
SITE_KEY_BYTES = 32
_PREFIX = "hmac-sha256:"
_DIGEST = re.compile(_PREFIX + r"[0-9a-f]{64}")
_LOOKUP = b"strongroom subject 1\0"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def is_digest(text: str) -> bool:
    """Whether `text` is a keyed digest already.

    It says nothing about who made it: a door takes no principal's name that looks like one.
    """
    return _DIGEST.fullmatch(text) is not None


class Subjects:
    """Digests facts of subjects, and forgets subjects."""

    def __init__(self, state: State, site_key: bytes) -> None:
        if len(site_key) < SITE_KEY_BYTES:
            raise UsageError(f"the site's key has {len(site_key)} bytes, not {SITE_KEY_BYTES}")
        self._state = state
        self._site_key = site_key

    def digest(self, subject: str, *, create: bool = True) -> str:
        """The digest under which a principal stands in the ledger: "hmac-sha256:" and 64 hexadecimal digits.

        A subject without a key gets one. Raises RefusedError for a name that can be none and, unless `create`,
        InputError when there is no key.
        """
        found = self._digests({"principal": subject}, create=create)
        if found is None:
            raise InputError(
                "nothing is on record under this principal", next="it never acted here, or it was forgotten"
            )
        return found["principal"]

    def find(self, principal: str) -> str | None:
        """The digest of a principal that is on record; None for one that never was, or was forgotten."""
        found = self._digests({"principal": principal}, create=False)
        return None if found is None else found["principal"]

    def digests(self, facts: dict[str, str]) -> dict[str, str]:
        """Digests of facts by field, all under the key of the one that is called `principal`."""
        found = self._digests(facts, create=True)
        assert found is not None
        return found

    def forget(self, subject: str) -> bool:
        """Erases the subject's key: its digests in the ledger lead to nobody. Returns whether there was a key.

        If it comes back it gets another key. Raises StrongroomError when the key's bytes cannot be erased yet.
        """
        return self._state.forget_subject(self._lookup(subject))

    def _digests(self, facts: dict[str, str], *, create: bool) -> dict[str, str] | None:
        messages = {field: field.encode() + b"\0" + _encoded(fact) for field, fact in facts.items()}
        key = self._state.subject_key(self._lookup(facts["principal"]), create)
        if key is None:
            return None
        return {field: _PREFIX + hmac.digest(key, message, "sha256").hex() for field, message in messages.items()}

    def _lookup(self, subject: str) -> str:
        if not subject:
            raise RefusedError("a principal has no name")
        return hmac.digest(self._site_key, _LOOKUP + _encoded(subject), "sha256").hex()


def entry_of(event: AccessEvent | dict[str, Any], subjects: Subjects, writer: str, *, time: str = "") -> Entry:
    """The ledger entry of an access event, its personal facts digested; digested ones stay as they are.

    `time` is when the writer makes the entry, the event's own time unless given. Raises InputError or RefusedError
    for what is no access event, among them one with digests for some of its personal facts and others in plain.
    """
    checked = _checked(event)
    facts = {field: getattr(checked, field) for field in PERSONAL if getattr(checked, field)}
    plain = [field for field, fact in facts.items() if not is_digest(fact)]
    if plain and len(plain) != len(facts):
        raise RefusedError(
            f"of this event's personal facts some are digests, and {', '.join(plain)} not", next="send all in plain"
        )
    if plain:
        checked = msgspec.structs.replace(checked, **subjects.digests(facts))
    return Entry(type=ACCESS, time=time or checked.time, writer=writer, body=msgspec.to_builtins(checked))


def _checked(event: AccessEvent | dict[str, Any]) -> AccessEvent:
    """An access event as docs/schemas/access-event-1.json says. Raises InputError, or RefusedError for its names."""
    try:
        raw = msgspec.to_builtins(event)
        checked = msgspec.convert(raw, AccessEvent)
    except (msgspec.MsgspecError, TypeError, RecursionError) as error:
        raise _bad(str(error)) from None
    unknown = sorted(str(key) for key in set(raw) - set(AccessEvent.__struct_fields__))
    if unknown:
        raise _bad(f"unknown field '{unknown[0][:80]}'")
    if checked.version != 1:
        raise _bad(f"version {checked.version}, not 1")
    if not _TIME.fullmatch(checked.time) or time_of(raw) is None:
        raise _bad(f"'{checked.time[:40]}' is no time in UTC with milliseconds")
    if not checked.action or not checked.principal:
        raise _bad("it has no principal or no action")
    if not 0 <= checked.bytes <= MAX_INTEGER:
        raise _bad("its number of bytes can be none")
    if not check_id(checked.id).startswith("evt_"):
        raise _bad(f"'{checked.id}' is the id of something else")
    check_asset_name(checked.asset)
    for digest in filter(None, (checked.asset_digest, checked.request_digest)):
        try:
            check_digest(digest)
        except StrongroomError as error:
            raise _bad(error.message) from None
    return checked


def _encoded(fact: str) -> bytes:
    try:
        data = fact.encode()
    except UnicodeEncodeError:
        raise RefusedError("a personal fact is no UTF-8") from None
    if len(data) > MAX_FACT_BYTES:
        raise RefusedError(f"a personal fact has {len(data):,} bytes, more than {MAX_FACT_BYTES:,}")
    return data


def _bad(what: str) -> InputError:
    return InputError(f"this is no access event: {what}", next="docs/schemas/access-event-1.json says how one looks")

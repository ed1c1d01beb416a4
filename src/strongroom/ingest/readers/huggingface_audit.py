"""Hugging Face Hub: the audit log of an organisation, as it is downloaded or exported through the API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access, record_id
from ._fields import flat
from ._json import load_object
from ._secrets import may_hold_secrets
from ._time import microseconds
from ._values import mapping, name

__all__ = ["HuggingFaceAuditReader"]

PRODUCT, SERVICE = "huggingface", "audit"
_KEYS = (b'"author"', b'"createdAt"', b'"user"', b'"message"')
_WITHOUT = frozenset(FIELD_COLUMNS[PRODUCT, SERVICE]) | {"_id", "createdAt", "author.avatarUrl"}
_REPOSITORY = re.compile(r"(?:(?:models|datasets|spaces)/)?[A-Za-z0-9_.-]{1,96}/[A-Za-z0-9_.-]{1,96}")
_TYPE = re.compile(r"[a-z_]{1,40}(?:\.[A-Za-z_]{1,60}){1,4}")


class HuggingFaceAuditReader:
    """Reads the audit log of an organisation on the Hugging Face Hub."""

    name = "huggingface-audit"
    title = "Hugging Face Hub audit log"
    reference = "https://huggingface.co/docs/hub/en/audit-logs"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """95 for the fields that every entry has."""
        author, kind = record.get("author"), record.get("type")
        named = isinstance(author, dict) and "user" in author and isinstance(kind, str)
        return 95 if named and {"_id", "createdAt", "message"} <= record.keys() and _TYPE.fullmatch(str(kind)) else 0

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """The access of an entry. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        kind, created = name(record, "type"), record.get("createdAt")
        if not kind or created is None:
            raise RecordError("required field missing", "no type or no createdAt")
        author = mapping(record.get("author"), "author")
        time = microseconds(created)
        principal = name(author, "user", "_id") or name(author, "type") or "unknown"
        address, agent = name(record, "ip"), name(record, "userAgent")
        facts = (time, principal, kind, address, agent, record.get("message"), record.get("data"))
        yield finished_access(
            LoggedAccess(
                time=time,
                principal=principal,
                product=PRODUCT,
                service=SERVICE,
                action=kind,
                provider=kind.partition(".")[0],
                operation=kind,
                id=record_id(name(record, "_id"), *facts),
                principal_kind=name(author, "type"),
                client_address=address,
                user_agent=agent,
                resource=_repository(record.get("data")),
                fields=flat(record, _WITHOUT, secrets=may_hold_secrets(raw)),
            )
        )


def _repository(data: Any) -> str:
    """A repository that `data` names: what stands in it is not documented, but `org/name` is nothing else."""
    if not isinstance(data, dict):
        return ""
    repository = data.get("repo")
    inner = repository if isinstance(repository, dict) else {}
    for value in (repository, inner.get("name"), data.get("repoId"), data.get("repoName"), data.get("name")):
        if isinstance(value, str) and _REPOSITORY.fullmatch(value):
            return value
    return ""

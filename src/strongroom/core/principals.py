"""The record of a principal: a person, workload or customer account that acts, and the groups that it is in.

>>> check_principal(Principal(name="ada@acme.example", kind="person", groups=["owners"])).name
'ada@acme.example'
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from .errors import RefusedError, UsageError

__all__ = [
    "MAX_GROUPS",
    "PRINCIPAL_KINDS",
    "ApiKey",
    "Principal",
    "PrincipalKind",
    "check_group",
    "check_principal",
    "check_principal_name",
]

PrincipalKind = Literal["person", "workload", "customer"]
PRINCIPAL_KINDS: tuple[PrincipalKind, ...] = ("person", "workload", "customer")
MAX_GROUPS = 64
"""Of one principal."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+:/-]{0,253}[A-Za-z0-9])?")
_GROUP = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Principal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Principal v1: who acts."""

    version: int = 1
    name: str
    """`ada@acme.example`, `spiffe://acme.example/train`, `root@host`; no two principals of a site have one name."""
    kind: PrincipalKind = "person"
    groups: list[str] = []
    suspended: bool = False


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """API key v1: what is kept of one. Times are microseconds since 1970."""

    version: int = 1
    id: str
    """Public: it stands in the key, and in records of its use."""
    principal: str
    digest: str
    """`sha256:<hex>` of the whole key."""
    label: str = ""
    created: int
    expires: int | None = None
    revoked: int | None = None

    def live(self, now: int) -> bool:
        """For lists and limits. What opens a door is `identity.verify_api_key`, which raises."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def check_principal_name(name: str) -> str:
    """Returns `name` if it can be one. Raises RefusedError."""
    if (
        not _NAME.fullmatch(name)
        or name.startswith("group:")
        or "//" in name.removeprefix("spiffe://")
        or "/../" in name
    ):
        raise RefusedError(
            f"'{name[:80]}' cannot name a principal",
            next="write a-z, A-Z, 0-9 and . _ @ + : / - between; at most 255 characters",
        )
    return name


def check_group(name: str) -> str:
    """Returns `name` if it can name a group. Raises UsageError."""
    if not _GROUP.fullmatch(name):
        raise UsageError(
            f"'{name[:80]}' cannot name a group", next="write a-z, 0-9, '.', '_', '-'; at most 64 characters"
        )
    return name


def check_principal(principal: Principal) -> Principal:
    """Returns `principal` if all of it can be. Raises RefusedError for its name, UsageError for anything else."""
    check_principal_name(principal.name)
    if principal.version != 1:
        raise UsageError(
            f"version {principal.version} of a principal is not known here", next="write 1, or upgrade Strongroom"
        )
    if principal.kind not in PRINCIPAL_KINDS:
        raise UsageError(
            f"'{principal.kind[:40]}' is no kind of principal", next=f"write {' or '.join(PRINCIPAL_KINDS)}"
        )
    if len(principal.groups) > MAX_GROUPS or len(set(principal.groups)) != len(principal.groups):
        raise UsageError(f"a principal is in at most {MAX_GROUPS} groups, in each once")
    for group in principal.groups:
        check_group(group)
    return principal

"""Principals, their groups, SSH keys, API keys and grants."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select

from ..core.errors import UsageError
from ..core.leases import Grant
from ..core.principals import ApiKey, Principal, check_principal
from ._rows import equal, record_of
from ._tables import api_keys, grants, principal_groups, principals, ssh_keys

__all__ = ["MAX_PRINCIPALS", "Principals"]

MAX_PRINCIPALS = 100_000
"""On one site."""
_READ = (
    select(principals, principal_groups.c.name.label("in_group"))
    .outerjoin(principal_groups, principal_groups.c.principal == principals.c.name)
    .order_by(principals.c.name, "in_group")
)
_NAMED = _READ.where(equal(principals.c.name))
_GRANTS = select(grants).order_by(grants.c.subject, grants.c.asset, grants.c.action)
_GRANTS_TO = _GRANTS.where(grants.c.subject.in_(bindparam("subjects", expanding=True)))


class Principals:
    """Who acts, with which keys, and what they were granted: inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, principal: Principal) -> bool:
        """Puts a principal on the list, or changes the one of this name. Returns whether there was one."""
        check_principal(principal)
        asked = select(principals.c.name).where(principals.c.name == principal.name)
        known = self._connection.scalar(asked) is not None
        columns = {"version": principal.version, "kind": principal.kind, "suspended": principal.suspended}
        if known:
            self._connection.execute(principals.update().where(principals.c.name == principal.name).values(**columns))
            self._connection.execute(delete(principal_groups).where(principal_groups.c.principal == principal.name))
        else:
            if (self._connection.scalar(select(func.count()).select_from(principals)) or 0) >= MAX_PRINCIPALS:
                raise UsageError(f"a site knows {MAX_PRINCIPALS:,} principals at most", next="remove one")
            self._connection.execute(insert(principals).values(name=principal.name, **columns))
        if principal.groups:
            rows = [{"principal": principal.name, "name": group} for group in principal.groups]
            self._connection.execute(insert(principal_groups), rows)
        return known

    def get(self, name: str) -> Principal | None:
        """The principal of this name."""
        return next(iter(self.all(name)), None)

    def all(self, name: str | None = None) -> list[Principal]:
        """All principals, by name, or the one of this name if there is one."""
        found = self._connection.execute(_READ) if name is None else self._connection.execute(_NAMED, {"of_name": name})
        return [_principal(list(rows)) for _, rows in groupby(found, lambda row: row.name)]

    def remove(self, name: str) -> bool:
        """Takes a principal off the list, with keys and groups; grants are taken back too. Returns whether it was."""
        self._connection.execute(delete(grants).where(grants.c.subject == name))
        return self._connection.execute(delete(principals).where(principals.c.name == name)).rowcount > 0

    def add_ssh_key(self, principal: str, fingerprint: str, public: str, added: int) -> None:
        """Puts a key on the list. Raises UsageError for one that is on it already: a key is one person's."""
        owner = self._connection.scalar(select(ssh_keys.c.principal).where(ssh_keys.c.fingerprint == fingerprint))
        if owner is not None:
            raise UsageError(f"{fingerprint} is the key of {owner} already", next="give each person a key of their own")
        row = {"fingerprint": fingerprint, "principal": principal, "public": public, "added": added}
        self._connection.execute(insert(ssh_keys).values(row))

    def ssh_keys(self, principal: str | None = None) -> list[tuple[str, str]]:
        """Whose key, and its `.pub` line."""
        asked = select(ssh_keys.c.principal, ssh_keys.c.public).order_by(ssh_keys.c.principal, ssh_keys.c.added)
        if principal is not None:
            asked = asked.where(ssh_keys.c.principal == principal)
        return [(row.principal, row.public) for row in self._connection.execute(asked)]

    def fingerprints(self) -> list[tuple[str, str]]:
        """Whose key, and its fingerprint."""
        asked = select(ssh_keys.c.principal, ssh_keys.c.fingerprint).order_by(ssh_keys.c.principal, ssh_keys.c.added)
        return [(row.principal, row.fingerprint) for row in self._connection.execute(asked)]

    def remove_ssh_key(self, fingerprint: str) -> bool:
        """Takes a key off the list. Returns whether it was on it."""
        return self._connection.execute(delete(ssh_keys).where(ssh_keys.c.fingerprint == fingerprint)).rowcount > 0

    def put_api_key(self, key: ApiKey) -> None:
        """Puts the record of an API key on the list, or changes the one of this id."""
        columns = msgspec.structs.asdict(key)
        if self._connection.execute(api_keys.update().where(api_keys.c.id == key.id).values(columns)).rowcount == 0:
            self._connection.execute(insert(api_keys).values(columns))

    def api_key(self, id: str) -> ApiKey | None:
        """The record of this id, also when it was revoked or has expired."""
        row = self._connection.execute(select(api_keys).where(api_keys.c.id == id)).one_or_none()
        return None if row is None else record_of(row, ApiKey)

    def api_keys(self, principal: str | None = None) -> list[ApiKey]:
        """All API keys, or a principal's, oldest first."""
        asked = select(api_keys).order_by(api_keys.c.principal, api_keys.c.created, api_keys.c.id)
        if principal is not None:
            asked = asked.where(api_keys.c.principal == principal)
        return [record_of(row, ApiKey) for row in self._connection.execute(asked)]

    def grant(self, grant: Grant) -> bool:
        """Gives a grant, or gives it anew. Returns whether there was one."""
        known = self.revoke(grant.subject, grant.action, grant.asset)
        self._connection.execute(insert(grants).values(msgspec.structs.asdict(grant)))
        return known

    def grants(self, subjects: list[str] | None = None) -> list[Grant]:
        """All grants, expired ones too, or those to these subjects."""
        found = (
            self._connection.execute(_GRANTS)
            if subjects is None
            else self._connection.execute(_GRANTS_TO, {"subjects": subjects})
        )
        return [record_of(row, Grant) for row in found]

    def revoke(self, subject: str, action: str, asset: str) -> bool:
        """Takes a grant back. Returns whether there was one."""
        which = (grants.c.subject == subject) & (grants.c.action == action) & (grants.c.asset == asset)
        return self._connection.execute(delete(grants).where(which)).rowcount > 0


def _principal(rows: list[Row[Any]]) -> Principal:
    """Its rows, one for each group, as a record; msgspec refuses what has another type, which `told` tells."""
    columns = {name: rows[0]._mapping[name] for name in Principal.__struct_fields__ if name != "groups"}
    groups = [row.in_group for row in rows if row.in_group is not None]
    return msgspec.convert({**columns, "groups": groups}, Principal)

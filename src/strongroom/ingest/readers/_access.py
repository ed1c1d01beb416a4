"""Access events of foreign logs: how one ended, who it was, what tells it apart, and every reader's last look."""

from __future__ import annotations

import re
from hashlib import blake2s
from typing import Any, Literal

import msgspec

from strongroom.core.errors import RecordError
from strongroom.core.records import ANONYMOUS, LoggedAccess

from ._fields import mark_cut
from ._secrets import guarded, without_secrets
from ._values import MAX_NAME

__all__ = ["finished_access", "local_name", "outcome_of", "outcome_of_status", "record_id"]

_REFUSED = re.compile(r"access.?denied|unauthori[sz]ed|forbidden|not.?authori[sz]ed|permission|mfa", re.IGNORECASE)
_GLOBAL = re.compile(r"arn:|[^@]*@|[a-z][a-z0-9+.-]*://|key:[0-9a-f]{12}$|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_MAX_PLACE = 255
_MAX_ID = 256
_MANY = 1 << 53
"""From here on not every whole number is one of floating point too."""
_encode = msgspec.json.Encoder(order="sorted").encode
_NAMES = tuple(name for name in LoggedAccess.__struct_fields__ if LoggedAccess.__annotations__[name] in ("str", str))


def outcome_of(error: str) -> Literal["allowed", "refused", "failed"]:
    """How an access ended, by the error code that the log gives, empty for none.

    >>> outcome_of(""), outcome_of("Client.UnauthorizedOperation"), outcome_of("ThrottlingException")
    ('allowed', 'refused', 'failed')
    """
    if not error:
        return "allowed"
    return "refused" if _REFUSED.search(error) else "failed"


def outcome_of_status(code: int) -> Literal["allowed", "refused", "failed"]:
    """How an access ended, by a status of HTTP; 0 where the log has none.

    >>> outcome_of_status(101), outcome_of_status(403), outcome_of_status(500)
    ('allowed', 'refused', 'failed')
    """
    return "refused" if code in (401, 403) else "failed" if code >= 400 else "allowed"


def local_name(name: str, place: str) -> str:
    """A name that is given anew on each host or in each cluster, with the one that the record is from.

    Names that are one everywhere stay: ARNs, addresses of mail, UUIDs, URLs, digests of keys; so do those of nobody.

    >>> local_name("root", "gpu-7"), local_name("root", ""), local_name("ann@example.org", "gpu-7")
    ('root@gpu-7', 'root', 'ann@example.org')
    """
    name, place = name.strip(), place.strip()[:_MAX_PLACE]
    if not name or not place or name in ANONYMOUS or _GLOBAL.match(name):
        return name
    name = guarded(name)
    return name if name.startswith("key:") else f"{name[: MAX_NAME - 1 - len(place)]}@{place}"


def record_id(own: str, *facts: Any) -> str:
    """What a record is known by: the id that it brings and a digest of what happened; empty where it brings none.

    Alone, an id that is used again would hide the second record, and some ids are chosen by clients or by whoever can
    write to a log. One record that comes by several ways has one digest: nulls and the order of keys do not count, and
    `1.0` is `1`. Raises RecordError for facts that nest without end.

    >>> record_id("e1", {"a": 1, "b": None}) == record_id("e1", {"a": 1.0}) != record_id("e1", {"a": 2})
    True
    """
    if not own:
        return ""
    try:
        told = _encode([own, *map(_alike, facts)])
    except RecursionError:
        raise RecordError("nested too deep") from None
    return f"{own[:_MAX_ID]}/{blake2s(told, digest_size=16).hexdigest()}"


def _alike(value: Any) -> Any:
    if type(value) is dict:
        return {key: _alike(inner) for key, inner in value.items() if inner is not None}
    if type(value) is list:
        return [_alike(inner) for inner in value]
    if type(value) in (int, float) and not -_MANY < value < _MANY:
        return repr(float(value)) if abs(value) < 1e308 else "inf"
    return int(value) if type(value) is float and value.is_integer() else value


def finished_access(access: LoggedAccess) -> LoggedAccess:
    """No secret, no NUL and no endless name. Raises RecordError "no principal"."""
    for field in _NAMES:
        text = getattr(access, field)
        if text and ("\0" in text or len(text) > MAX_NAME):
            if len(text) > MAX_NAME:
                mark_cut(access.fields, "values")
            setattr(access, field, text[:MAX_NAME].replace("\0", " "))
    access.principal = guarded(access.principal.strip())
    if not access.principal:
        raise RecordError("no principal", "no field of the record says who acted")
    access.user_agent = without_secrets(access.user_agent)  # the client chooses it
    access.reason = without_secrets(access.reason)
    access.credential = guarded(access.credential)
    access.session = guarded(access.session)
    return access

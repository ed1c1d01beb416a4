"""Access events of foreign logs: how one ended, and the last look that every reader takes."""

from __future__ import annotations

import re
from typing import Literal

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess

from ._secrets import guarded, without_secrets
from ._values import MAX_NAME

__all__ = ["finished_access", "outcome_of", "outcome_of_status"]

_REFUSED = re.compile(r"access.?denied|unauthori[sz]ed|forbidden|not.?authori[sz]ed|permission|mfa", re.IGNORECASE)
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


def finished_access(access: LoggedAccess) -> LoggedAccess:
    """No secret, no NUL and no endless name. Raises RecordError "no principal"."""
    for field in _NAMES:
        text = getattr(access, field)
        if text and ("\0" in text or len(text) > MAX_NAME):
            setattr(access, field, text[:MAX_NAME].replace("\0", " "))
    access.principal = guarded(access.principal.strip())
    if not access.principal:
        raise RecordError("no principal", "no field of the record says who acted")
    access.user_agent = without_secrets(access.user_agent)  # the client chooses it
    access.reason = without_secrets(access.reason)
    access.credential = guarded(access.credential)
    access.session = guarded(access.session)
    return access

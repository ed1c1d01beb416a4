"""Names of principals in AWS logs.

>>> principal_of("arn:aws:sts::1:assumed-role/App/ann@example.org")
('arn:aws:sts::1:assumed-role/App/ann@example.org', 'arn:aws:iam::1:role/App')
>>> principal_of("arn:aws:sts::1:assumed-role/App/botocore-session-1762000000")[0]
'arn:aws:sts::1:assumed-role/App'
"""

from __future__ import annotations

import re

__all__ = ["principal_of"]

_ROLE = re.compile(r"(arn:aws[\w-]*):sts::(\d*):assumed-role/([^/]+)/(.+)")
# Session names that software makes up for each process: they tell nobody apart.
_MADE_UP = re.compile(
    r"botocore-session-\d+|aws-go-sdk-\d+|aws-sdk-[a-z]+-.*|aws-sdk-[a-z]+\d*|AWSCLI-Session|AssumeRoleSession\d*"
    r"|(?:.*[-_.])?\d{10,}|(?:.*-)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,}"
)


def principal_of(arn: str) -> tuple[str, str]:
    """Who it is, and the role (or whatever it is that cannot be assumed) whose permissions it has.

    The session of an assumed role often is the person, so it is kept unless software made it up.
    """
    match = _ROLE.fullmatch(arn)
    if not match:
        return arn, arn
    start, number, role, session = match.groups()
    if _MADE_UP.fullmatch(session):
        arn = arn[: -len(session) - 1]
    return arn, f"{start}:iam::{number}:role/{role}"

"""Identities as CloudTrail writes them: users, assumed roles, federated people, AWS's own services."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

from strongroom.simulate._cloud_records import Badge

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def key_id(rng: Random, prefix: str) -> str:
    """An id as IAM makes them: `AKIA` a lasting key, `ASIA` a session's, `AIDA` a user, `AROA` a role."""
    return prefix + "".join(rng.choices(_LETTERS, k=16))


def hexadecimal(rng: Random, digits: int) -> str:
    """Random digits of base 16."""
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def written_date(time_ms: int) -> str:
    """A time in milliseconds since 1970 as `sessionContext` writes it."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user_badge(
    account: str, name: str, user_id: str, credential: str, *, created_ms: int | None = None, mfa: bool = False
) -> Badge:
    """An IAM user with a lasting key; with `created_ms`, in a session of the console that began then."""
    arn = f"arn:aws:iam::{account}:user/{name}"
    identity: dict[str, Any] = {"type": "IAMUser", "principalId": user_id, "arn": arn, "accountId": account}
    if credential:
        identity["accessKeyId"] = credential
    identity["userName"] = name
    if created_ms is not None:
        identity["sessionContext"] = _context(created_ms, mfa)
    return Badge(_json(identity), arn, "IAMUser", arn, credential)


def role_badge(
    account: str,
    role: str,
    role_id: str,
    session: str,
    credential: str,
    created_ms: int,
    *,
    made_up: bool = False,
    invoked_by: str = "",
    mfa: bool = False,
    path: str = "/",
) -> Badge:
    """A session of a role. `made_up`: software made its name, so that readers leave it out of the principal's."""
    role_arn = f"arn:aws:sts::{account}:assumed-role/{role}"
    issuer = {
        "type": "Role",
        "principalId": role_id,
        "arn": f"arn:aws:iam::{account}:role{path}{role}",
        "accountId": account,
        "userName": role,
    }
    identity: dict[str, Any] = {
        "type": "AssumedRole",
        "principalId": f"{role_id}:{session}",
        "arn": f"{role_arn}/{session}",
        "accountId": account,
        "accessKeyId": credential,
        "sessionContext": {"sessionIssuer": issuer, **_context(created_ms, mfa)},
    }
    if invoked_by:
        identity["invokedBy"] = invoked_by
    return Badge(
        _json(identity),
        role_arn if made_up else f"{role_arn}/{session}",
        "AssumedRole",
        f"{role_arn}/{session}",
        credential,
        f"{role_id}:{session}",
    )


def service_badge(service: str) -> Badge:
    """AWS acting by itself."""
    return Badge(_json({"type": "AWSService", "invokedBy": service}), service, "AWSService")


def account_badge(account: str, user_id: str) -> Badge:
    """A caller of another account, as the owner of a bucket sees it."""
    identity = {"type": "AWSAccount", "principalId": user_id, "accountId": account}
    return Badge(_json(identity), user_id, "AWSAccount")


def saml_badge(person: str) -> Badge:
    """A person whom the company's own sign-in names."""
    identity = {"type": "SAMLUser", "principalId": f"sso:{person}", "userName": person, "identityProvider": "sso"}
    return Badge(_json(identity), person, "SAMLUser")


def workflow_badge(account: str, repository: str) -> Badge:
    """A workflow of the build service, named by OIDC."""
    provider = f"arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com"
    subject = f"repo:{repository}:ref:refs/heads/main"
    identity = {
        "type": "WebIdentityUser",
        "principalId": f"{provider}:sts.amazonaws.com:{subject}",
        "userName": subject,
        "identityProvider": provider,
    }
    return Badge(_json(identity), subject, "WebIdentityUser")


def _context(created_ms: int, mfa: bool) -> dict[str, Any]:
    return {"attributes": {"creationDate": written_date(created_ms), "mfaAuthenticated": "true" if mfa else "false"}}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))

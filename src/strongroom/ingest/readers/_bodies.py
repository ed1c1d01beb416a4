"""Bodies of requests to a Kubernetes API server, as audit logs keep them, without the secrets in them."""

from __future__ import annotations

from typing import Any

from ._fields import HELD_BACK

__all__ = ["holds_secrets", "without_values"]

# What these hold, or what is sent to ask about them, is secret. ConfigMaps often hold secrets too.
_RESOURCES = frozenset({"secrets", "configmaps", "tokenreviews", "tokenrequests"})
_KINDS = frozenset({"secret", "configmap", "tokenreview", "tokenrequest"})
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def holds_secrets(resource: object, subresource: object, body: Any) -> bool:
    """Whether a body is of a kind whose content is secret, by what was asked for or by what it calls itself.

    >>> holds_secrets("secrets", "", {}), holds_secrets("x", "", {"kind": "SecretList"}), holds_secrets("pods", "", {})
    (True, True, False)
    """
    kind = body.get("kind") if isinstance(body, dict) else ""
    named = isinstance(kind, str) and kind.lower().removesuffix("list") in _KINDS
    return named or subresource == "token" or (isinstance(resource, str) and resource in _RESOURCES)


def without_values(body: Any) -> Any:
    """A body without the values of environment variables, and without the copy of itself that kubectl leaves in it."""
    if isinstance(body, list):
        return [without_values(inner) for inner in body]
    if not isinstance(body, dict):
        return body
    cleaned = {key: without_values(inner) for key, inner in body.items() if key != _APPLIED}
    if isinstance(variables := cleaned.get("env"), list):
        cleaned["env"] = [
            one | {"value": HELD_BACK} if isinstance(one, dict) and "value" in one else one for one in variables
        ]
    return cleaned

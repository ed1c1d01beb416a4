"""Google Workspace's activities: one event of one, and its parameters under the names that rules use."""

from __future__ import annotations

from typing import Any, Literal

__all__ = ["parameters", "workspace_outcome"]

_VALUES = ("value", "boolValue", "intValue", "multiValue", "multiStrValue", "multiIntValue", "messageValue")


def parameters(event: dict[str, Any], key: str) -> dict[str, Any]:
    """The parameters of an event, whose names are written large in one API and small in the other.

    >>> parameters({"parameter": [{"name": "NEW_VALUE", "value": "false"}, {"name": "x", "intValue": 1}]}, "parameter")
    {'new_value': 'false', 'x': 1}
    """
    found: dict[str, Any] = {}
    listed = event.get(key)
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and isinstance(name := one.get("name"), str) and name.lower() not in found:
            found[name.lower()] = next((one[value] for value in _VALUES if value in one), None)
    return found


def workspace_outcome(event_name: str) -> Literal["allowed", "refused"]:
    """A login that failed was refused; all else that is told happened."""
    return "refused" if event_name in ("login_failure", "login_blocked") else "allowed"

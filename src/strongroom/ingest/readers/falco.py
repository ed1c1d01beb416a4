"""Falco: its alerts as JSON (`json_output: true`), also as Falcosidekick passes them on."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access, outcome_of_status
from ._fields import MAX_VALUE, flat
from ._json import load_object
from ._secrets import may_hold_secrets
from ._time import microseconds
from ._values import mapping

__all__ = ["FalcoReader"]

PRODUCT, SERVICE = "linux", "falco"
_KEYS = (b'"rule"', b'"time"', b'"output_fields"', b'"user.name"', b'"container.id"', b'"uuid"')
_WITHOUT = frozenset(FIELD_COLUMNS[PRODUCT, SERVICE]) | {"time", "uuid"}
# Who acted, in events of Falco's plugins: the audit log of Kubernetes, CloudTrail, Okta, GitHub.
_USERS_OF_PLUGINS = ("ka.user.name", "ct.user.arn", "ct.user", "gcp.user", "okta.actor.alternateID", "github.user")
_REFUSED = frozenset({"EACCES", "EPERM"})


class FalcoReader:
    """Reads Falco's alerts."""

    name = "falco"
    title = "Falco alerts"
    reference = "https://falco.org/docs/concepts/outputs/formatting/"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """95 for the fields that every alert has."""
        return 95 if {"rule", "priority", "output", "output_fields"} <= record.keys() else 0

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """The alert of a record. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        rule, time = record.get("rule"), record.get("time")
        if not isinstance(rule, str) or not rule or time is None:
            raise RecordError("required field missing", "no rule or no time")
        alert = mapping(record.get("output_fields"), "output_fields")
        outcome, reason = _outcome(alert)
        principal, kind = _principal(alert)
        # Under Falco's own names, which its rules use; none of them is one of the alert's.
        fields = alert | {key: value for key, value in record.items() if key != "output_fields"}
        yield finished_access(
            LoggedAccess(
                time=microseconds(time),
                principal=principal,
                product=PRODUCT,
                service=SERVICE,
                action=f"falco:{rule}",
                operation=rule,
                outcome=outcome,
                reason=reason,
                id=_text(record, "uuid"),
                principal_kind=kind,
                organization=_text(record, "hostname"),
                client_address=_text(alert, "ka.sourceips", "ct.srcip", "fd.cip"),
                user_agent=_text(alert, "ka.useragent", "ct.useragent"),
                resource=_resource(alert),
                fields=flat(fields, _WITHOUT, secrets=may_hold_secrets(raw)),
            )
        )


def _text(fields: Mapping[str, Any], *names: str) -> str:
    """The first that is there: what a rule's output asks for may have any type, or be `<NA>`."""
    for name in names:
        value = fields.get(name)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, str) and value and value != "<NA>":
            return value.strip()
    return ""


def _principal(alert: Mapping[str, Any]) -> tuple[str, str]:
    """Who acted, and what that is.

    Inside a container the user is nearly always root, so there it is the pod or the container that acts.
    """
    if user := _text(alert, *_USERS_OF_PLUGINS):
        return user, "user"
    if pod := _text(alert, "k8s.pod.name"):
        namespace = _text(alert, "k8s.ns.name")
        return f"{namespace}/{pod}" if namespace else pod, "pod"
    container = _text(alert, "container.name", "container.id")
    if container and "host" not in (container, _text(alert, "container.id")):
        return container, "container"
    user = _text(alert, "user.loginname", "user.name")
    number = alert.get("user.uid")
    if not user and isinstance(number, int) and number >= 0:
        user = f"uid:{number}"
    return user or "unknown", "user" if user else ""


def _outcome(alert: Mapping[str, Any]) -> tuple[Literal["allowed", "refused", "failed"], str]:
    code = _text(alert, "ka.response.code")
    if code.isascii() and code.isdigit():
        outcome = outcome_of_status(int(code[:6]))
        return outcome, code if outcome != "allowed" else ""
    result = _text(alert, "evt.res", "ct.error")
    if result and result != "SUCCESS":
        return "refused" if result in _REFUSED or "Denied" in result else "failed", result
    return "failed" if alert.get("evt.failed") is True else "allowed", ""


def _resource(alert: Mapping[str, Any]) -> str:
    """The file, or what was asked of Kubernetes."""
    path = _text(alert, "fs.path.name", "fd.name")[:MAX_VALUE]
    if path.startswith("/"):
        return "/" + posixpath.normpath(path).lstrip("/")
    return _text(alert, "ka.uri").partition("?")[0]

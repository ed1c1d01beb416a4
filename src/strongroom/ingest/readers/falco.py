"""Falco: its alerts as JSON (`json_output: true`), also as Falcosidekick passes them on."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access, local_name, outcome_of_status, record_id
from ._fields import MAX_VALUE, cut_short, flat
from ._json import load_object
from ._secrets import may_hold_secrets, without_secrets
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
        host = _text(record, "hostname") or _text(alert, "hostname", "evt.hostname")
        principal, kind = _principal(alert, host)
        stamp, resource = microseconds(time), _resource(alert)
        facts = (stamp, rule, principal, host, outcome, reason, resource, record.get("output"))
        secrets = may_hold_secrets(raw)
        if secrets:
            alert = _without_secrets(alert)
        # Under Falco's own names, which its rules use; none of them is one of the alert's.
        fields = alert | {key: value for key, value in record.items() if key != "output_fields"}
        yield finished_access(
            LoggedAccess(
                time=stamp,
                principal=principal,
                product=PRODUCT,
                service=SERVICE,
                action=f"falco:{rule}",
                operation=rule,
                outcome=outcome,
                reason=reason,
                id=record_id(_text(record, "uuid"), *facts),
                principal_kind=kind,
                organization=host,
                client_address=_text(alert, "ka.sourceips", "ct.srcip", "fd.cip"),
                user_agent=_text(alert, "ka.useragent", "ct.useragent"),
                resource=resource,
                fields=flat(fields, _WITHOUT, secrets=secrets),
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


def _without_secrets(alert: dict[str, Any]) -> dict[str, Any]:
    """What a flag means depends on the program, which stands in another field than the arguments."""
    program, arguments = alert.get("proc.name"), alert.get("proc.args")
    if not isinstance(program, str) or not isinstance(arguments, str):
        return alert
    start = without_secrets(program[:MAX_VALUE]) + " "
    cleaned = without_secrets(start + cut_short(arguments))
    # Cut again, so that flat sees that something is missing.
    length = MAX_VALUE + 1 if len(arguments) > MAX_VALUE else 0
    return alert | {"proc.args": cleaned.removeprefix(start).ljust(length)}


def _principal(alert: Mapping[str, Any], host: str) -> tuple[str, str]:
    """Who acted, and what that is.

    Inside a container the user is nearly always root, so there it is the pod or the container that acts. All but the
    users of plugins are names of one host.
    """
    if user := _text(alert, *_USERS_OF_PLUGINS):
        return user, "user"
    if pod := _text(alert, "k8s.pod.name"):
        namespace = _text(alert, "k8s.ns.name")
        return local_name(f"{namespace}/{pod}" if namespace else pod, host), "pod"
    container = _text(alert, "container.name", "container.id")
    if container and "host" not in (container, _text(alert, "container.id")):
        return local_name(container, host), "container"
    user = _text(alert, "user.loginname", "user.name")
    number = alert.get("user.uid")
    if not user and isinstance(number, int) and number >= 0:
        user = f"uid:{number}"
    return local_name(user, host) or "unknown", "user" if user else ""


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

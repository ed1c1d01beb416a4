"""What OCSF 1.8.0 asks of an API Activity event, as a table: the part of it that our events touch.

Transcribed from github.com/ocsf/ocsf-schema, tag v1.8.0 (events/application/api_activity.json, events/base_event.json,
profiles/, objects/, dictionary.json), requirements and constraints of each object whole, attributes as far as we write
them: one that is not listed counts as unknown, so whoever adds one looks it up.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

ANY = "any"
"""An object of which nothing is said: `unmapped`."""


@dataclass(frozen=True)
class Thing:
    """An object, or the class. Attributes by name: `str`, `int`, `bool`, `ip`, ANY or another thing; `[]` behind it: a list."""

    attributes: dict[str, str]
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    """At least one of these must be there."""
    profiles: dict[str, str] = field(default_factory=dict)
    """Attributes that may only come where `metadata.profiles` names this profile."""
    enums: dict[str, dict[int, str]] = field(default_factory=dict)
    """Values of an attribute, and what its sibling, the same name without the ending, must say then. 99: anything."""


def same(kind: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), kind)


OTHER = {0: "Unknown", 99: "Other"}
STATUS = OTHER | {1: "Success", 2: "Failure"}
SEVERITY = OTHER | {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 6: "Fatal"}
ACTIVITY = OTHER | {1: "Create", 2: "Read", 3: "Update", 4: "Delete"}
ACTION = OTHER | {1: "Allowed", 2: "Denied", 3: "Observed", 4: "Modified"}
USER = OTHER | {1: "User", 2: "Admin", 3: "System", 4: "Service"}
DEVICE = OTHER | {1: "Server", 2: "Desktop", 3: "Laptop", 4: "Tablet", 5: "Mobile", 6: "Virtual", 7: "IOT"}
DEVICE |= {
    8: "Browser",
    9: "Firewall",
    10: "Switch",
    11: "Hub",
    12: "Router",
    13: "IDS",
    14: "IPS",
    15: "Load Balancer",
}
ROLE = OTHER | {1: "Target", 2: "Actor", 3: "Affected", 4: "Related"}

ENDPOINT = ("ip", "uid", "name", "hostname", "instance_uid", "interface_uid", "interface_name")
THINGS = {
    "api_activity": Thing(
        same("int", "action_id activity_id category_uid class_uid severity_id status_id time type_uid")
        | same("str", "action activity_name category_name class_name severity status status_code status_detail")
        | {"actor": "actor", "api": "api", "cloud": "cloud", "device": "device", "http_request": "http_request"}
        | {"metadata": "metadata", "resources": "resource_details[]", "src_endpoint": "network_endpoint"}
        | {"unmapped": ANY},
        (
            *("activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id"),
            *("src_endpoint", "time", "type_uid"),
        ),
        profiles={"action": "security_control", "action_id": "security_control", "cloud": "cloud", "device": "host"},
        enums={
            "action_id": ACTION,
            "activity_id": ACTIVITY,
            "category_uid": {6: "Application Activity"},
            "class_uid": {6003: "API Activity"},
            "severity_id": SEVERITY,
            "status_id": STATUS,
        },
    ),
    "actor": Thing(
        {"authorizations": "authorization[]", "session": "session", "user": "user"},
        one_of=("process", "user", "invoked_by", "session", "app_name", "app_uid"),
    ),
    "user": Thing(
        same("str", "credential_uid name type uid")
        | {"programmatic_credentials": "programmatic_credential[]", "type_id": "int"},
        one_of=("account", "name", "uid"),
        enums={"type_id": USER},
    ),
    "programmatic_credential": Thing(same("str", "type uid"), ("uid",)),
    "session": Thing(same("str", "uid")),
    "authorization": Thing({"decision": "str", "policy": "policy"}),
    "policy": Thing(same("str", "name uid"), one_of=("name", "type", "uid")),
    "api": Thing(
        {"operation": "str", "request": "request", "response": "response", "service": "service"}, ("operation",)
    ),
    "request": Thing(same("str", "uid"), ("uid",)),
    "response": Thing(same("str", "error")),
    "service": Thing(same("str", "name uid"), one_of=("name", "uid")),
    "cloud": Thing({"account": "account", "provider": "str", "region": "str"}, ("provider",)),
    "account": Thing(same("str", "name uid"), one_of=("name", "uid")),
    "device": Thing(
        {"hostname": "str", "type_id": "int"}, ("type_id",), one_of=ENDPOINT, enums={"type_id": DEVICE | {99: "Other"}}
    ),
    "http_request": Thing(same("str", "user_agent")),
    "metadata": Thing(
        same("str", "log_format log_name log_source original_event_uid original_time uid version")
        | {"loggers": "logger[]", "product": "product", "profiles": "str[]", "sequence": "int"}
        | {"is_truncated": "bool"},
        ("product", "version"),
    ),
    "logger": Thing({"name": "str", "product": "product"}, one_of=("name", "uid")),
    "product": Thing(same("str", "name vendor_name version"), one_of=("name", "uid")),
    "resource_details": Thing(
        same("str", "name role type uid version") | {"role_id": "int"}, one_of=("name", "uid"), enums={"role_id": ROLE}
    ),
    "network_endpoint": Thing(same("str", "domain name uid") | {"ip": "ip"}, one_of=(*ENDPOINT, "svc_name", "domain")),
}
SIBLINGS = {"category_uid": "category_name", "class_uid": "class_name", "activity_id": "activity_name"}
PRIMITIVES: dict[str, type] = {"str": str, "int": int, "bool": bool, ANY: dict}


def problems(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event; empty when it is valid."""
    metadata = event.get("metadata", {})
    found = list(_problems(event, "api_activity", frozenset(metadata.get("profiles", ())), "event"))
    if "cloud" in metadata.get("profiles", ()) and "cloud" not in event:
        found.append("the profile cloud requires cloud")
    if metadata.get("version") != "1.8.0":
        found.append("metadata.version")
    if event.get("type_uid") != event.get("class_uid", 0) * 100 + event.get("activity_id", 0):
        found.append("type_uid is not class and activity")
    return found


def _problems(value: dict[str, Any], kind: str, profiles: frozenset[str], where: str) -> list[str]:
    thing = THINGS[kind]
    found = [f"{where} lacks {name}" for name in thing.required if name not in value]
    if thing.one_of and not any(name in value for name in thing.one_of):
        found.append(f"{where} has none of {thing.one_of}")
    for name, inner in value.items():
        place = f"{where}.{name}"
        if name not in thing.attributes:
            found.append(f"{place} is unknown")
            continue
        if (profile := thing.profiles.get(name)) and profile not in profiles:
            found.append(f"{place} without the profile {profile}")
        found += _wrong(inner, thing.attributes[name], profiles, place)
    for name, allowed in thing.enums.items():
        if name in value and value[name] not in allowed:
            found.append(f"{where}.{name} is {value[name]}")
        sibling = SIBLINGS.get(name, name.removesuffix("_id"))
        if sibling in value and value.get(name) != 99 and value[sibling] != allowed.get(value.get(name, 99)):
            found.append(f"{where}.{sibling} is {value[sibling]}")
    return found


def _wrong(value: Any, kind: str, profiles: frozenset[str], where: str) -> list[str]:
    if kind.endswith("[]"):
        if not isinstance(value, list) or not value:
            return [f"{where} is no list with something in it"]
        return [each for inner in value for each in _wrong(inner, kind[:-2], profiles, where)]
    if kind == "ip":
        return [] if _is_address(value) else [f"{where} is no address"]
    if kind in PRIMITIVES:
        return [] if type(value) is PRIMITIVES[kind] and value != "" else [f"{where} is no {kind}"]
    return _problems(value, kind, profiles, where) if isinstance(value, dict) else [f"{where} is no object"]


def _is_address(value: Any) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return isinstance(value, str) and len(value) <= 40 and value.isprintable()

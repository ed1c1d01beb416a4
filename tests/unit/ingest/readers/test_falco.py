"""Falco's alerts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest.readers.falco import FalcoReader

READER = FalcoReader()
ALERT: dict[str, Any] = {
    "container.id": "9656db3bb358",
    "container.name": "notebook",
    "evt.type": "openat",
    "fd.name": "/etc/shadow",
    "proc.cmdline": "x --password hunter2222",
    "proc.aname[7]": None,
    "user.name": "root",
    "user.uid": 0,
}
RECORD: dict[str, Any] = {
    "hostname": "gpu-7",
    "output": "Warning Sensitive file opened (file=/etc/shadow command=x --password hunter2222)",
    "priority": "Warning",
    "rule": "Read sensitive file",
    "source": "syscall",
    "tags": ["T1555", "mitre_credential_access"],
    "time": "2026-11-01T09:30:00.341081180Z",
    "uuid": "u1",
}


def read(alert: dict[str, Any], **changes: Any) -> LoggedAccess:
    (found,) = READER.read(json.dumps(RECORD | {"output_fields": alert} | changes).encode())
    return found


def test_an_alert_arrives_whole() -> None:
    access = read(ALERT)
    fields = access.fields
    access.fields = {}
    assert access == LoggedAccess(
        time=1_793_525_400_341_081,
        principal="notebook@gpu-7",
        product="linux",
        service="falco",
        action="falco:Read sensitive file",
        operation="Read sensitive file",
        id=access.id,
        principal_kind="container",
        organization="gpu-7",
        resource="/etc/shadow",
    )
    assert fields["tags"] == "T1555\x1fmitre_credential_access"
    assert (fields["proc.cmdline"], fields["user.uid"]) == ("x --password ****", "0")
    assert not any("hunter2222" in value for value in fields.values())
    assert not {"rule", "proc.aname[7]"} & fields.keys()


@pytest.mark.parametrize(
    ("alert", "principal"),
    [
        ({"k8s.ns.name": "ns", "k8s.pod.name": "p", "container.id": "c", "user.name": "root"}, "ns/p@gpu-7"),
        ({"container.id": "host", "container.name": "host", "user.name": "ann"}, "ann@gpu-7"),
        ({"container.id": "host", "user.name": "<NA>", "user.uid": 1000}, "uid:1000@gpu-7"),
        ({"container.id": "c1", "k8s.pod.name": None, "user.name": "root"}, "c1@gpu-7"),
        ({"ka.user.name": "system:anonymous", "ka.uri": "/readyz"}, "system:anonymous"),
        ({}, "unknown"),
    ],
)
def test_who_acted(alert: Any, principal: str) -> None:
    assert read(alert).principal == principal


def test_names_stay_bare_where_no_host_is_named() -> None:
    assert read(ALERT, hostname=None).principal == "notebook"
    assert read(ALERT | {"evt.hostname": "gpu-8"}, hostname=None).principal == "notebook@gpu-8"


def test_an_id_that_is_used_again_hides_nothing() -> None:
    others = [{"rule": "x"}, {"output": "x"}, {"time": "2026-11-01T09:30:01Z"}, {"hostname": "gpu-8"}]
    assert len({read(ALERT).id, *(read(ALERT, **changes).id for changes in others)}) == 5
    assert read(ALERT).id.startswith("u1/")


def test_arguments_are_looked_at_with_their_program() -> None:
    fields = read({"proc.name": "sshpass", "proc.args": "-p x ssh -p 22 host"}).fields
    assert fields["proc.args"] == "-p **** ssh -p 22 host"


@pytest.mark.parametrize(
    ("alert", "outcome", "reason"),
    [
        ({"evt.res": "ENOENT", "evt.failed": True}, "failed", "ENOENT"),
        ({"evt.res": "EACCES"}, "refused", "EACCES"),
        ({"evt.failed": True}, "failed", ""),
        ({"ka.response.code": "403"}, "refused", "403"),
        ({"ka.response.code": "200"}, "allowed", ""),
    ],
)
def test_how_it_ended(alert: Any, outcome: str, reason: str) -> None:
    access = read(alert)
    assert (access.outcome, access.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("alert", "resource"),
    [
        ({"fd.name": "/tmp/../srv/m"}, "/srv/m"),
        ({"fd.name": "10.0.0.1:4->192.0.2.1:443"}, ""),
        ({"ka.uri": "/api/v1/namespaces/prod/secrets?limit=1"}, "/api/v1/namespaces/prod/secrets"),
    ],
)
def test_what_it_was_done_to(alert: Any, resource: str) -> None:
    assert read(alert).resource == resource


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rule": ""}, "required field missing"),
        ({"time": None}, "required field missing"),
        ({"time": "yesterday"}, "time out of range"),
        ({"output_fields": []}, "wrong type"),
    ],
)
def test_a_bad_alert_is_refused(changes: Any, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        read(ALERT, **changes)
    assert caught.value.reason == reason

"""Kubernetes' audit log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest import Settings, ingest
from strongroom.ingest.readers.kubernetes_audit import KubernetesAuditReader
from strongroom.store import Store

READER = KubernetesAuditReader()
EXEC = {"resource": "pods", "subresource": "exec", "namespace": "serving", "name": "llama-0", "apiVersion": "v1"}
RECORD: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "RequestResponse",
    "auditID": "a1",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/serving/pods/llama-0/exec?command=sh",
    "verb": "create",
    "user": {
        "username": "ann",
        "groups": ["g1", "g2"],
        "extra": {"authentication.kubernetes.io/credential-id": ["X509SHA256=ab"]},
    },
    "impersonatedUser": {"username": "system:admin"},
    "sourceIPs": ["10.9.9.9", "203.0.113.7"],
    "userAgent": "kubectl/v1.31",
    "objectRef": EXEC,
    "responseStatus": {"metadata": {}, "code": 101},
    "requestReceivedTimestamp": "2026-11-01T09:30:00.123456Z",
    "stageTimestamp": "2026-11-01T09:42:11.000000Z",
    "annotations": {"authorization.k8s.io/decision": "allow"},
}


def read_all(record: Any) -> list[LoggedAccess]:
    return list(READER.read(json.dumps(record).encode()))


def read(**changes: Any) -> LoggedAccess:
    (found,) = read_all({key: value for key, value in (RECORD | changes).items() if value is not ...})
    return found


def test_a_record_arrives_whole() -> None:
    access = read()
    fields = access.fields
    access.fields = {}
    assert access == LoggedAccess(
        time=1_793_525_400_123_456,
        principal="ann",
        product="kubernetes",
        service="audit",
        action="pods/exec:create",
        operation="create",
        id=access.id,
        credential="X509SHA256=ab",
        client_address="203.0.113.7",
        user_agent="kubectl/v1.31",
        resource="serving/pods/llama-0/exec",
    )
    assert access.id.startswith("a1/1793525400123456/")
    assert fields["objectRef.subresource"] == "exec"
    assert fields["impersonatedUser.username"] == "system:admin"
    assert fields["user.groups"] == "g1\x1fg2"
    assert fields["responseStatus.code"] == "101"
    assert "verb" not in fields, "it has a column"


@pytest.mark.parametrize(
    ("target", "action", "resource"),
    [
        ({"resource": "secrets", "namespace": "ns"}, "secrets:create", "ns/secrets"),
        ({"resource": "nodes", "name": "n1"}, "nodes:create", "/nodes/n1"),
        (
            {"resource": "pods", "namespace": "ns", "name": "p", "subresource": "log"},
            "pods/log:create",
            "ns/pods/p/log",
        ),
        (..., "nonresource:create", "/api/v1/namespaces/serving/pods/llama-0/exec"),
    ],
)
def test_what_it_was_done_to(target: Any, action: str, resource: str) -> None:
    access = read(objectRef=target)
    assert (access.action, access.resource) == (action, resource)


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"responseStatus": {"code": 403, "reason": "Forbidden"}}, "refused", "Forbidden"),
        ({"responseStatus": {"code": 401}, "user": {}}, "refused", "401"),
        ({"annotations": {"authorization.k8s.io/decision": "forbid"}}, "refused", "Forbidden"),
        ({"responseStatus": {"code": 404, "reason": "NotFound"}}, "failed", "NotFound"),
        ({"stage": "Panic"}, "failed", "Panic"),
        ({"responseStatus": ...}, "allowed", ""),
    ],
)
def test_how_it_ended(changes: Any, outcome: str, reason: str) -> None:
    access = read(**changes)
    assert (access.outcome, access.reason) == (outcome, reason)
    assert access.principal == ("ann" if changes.get("user") is None else "unauthenticated")


def test_only_sessions_give_an_event_before_they_end() -> None:
    assert read_all(RECORD | {"stage": "RequestReceived"}) == []
    assert read_all(RECORD | {"stage": "ResponseStarted", "objectRef": {"resource": "pods"}, "verb": "watch"}) == []
    assert read(stage="ResponseStarted").id == read().id


def test_one_session_in_two_stages_counts_once(tmp_path: Path) -> None:
    rows = [RECORD | {"stage": "ResponseStarted"}, RECORD]
    (tmp_path / "audit.log").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = ingest([str(tmp_path / "audit.log")], Store(tmp_path / "s"), Settings(b"k" * 16), workers=0)
    assert (report.new, report.skipped["same id again"]) == (1, 1)
    assert report.sources[0].format == "kubernetes-audit"


def test_an_audit_id_that_a_client_chose_hides_no_other_request() -> None:
    later = read(requestReceivedTimestamp="2026-11-01T09:30:00.123457Z")
    other = read(requestURI="/api/v1/namespaces/serving/secrets")
    assert len({read().id, later.id, other.id}) == 3


def test_envelopes_are_opened() -> None:
    row = {key: value for key, value in RECORD.items() if key not in ("kind", "apiVersion")}
    listed = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [row, row | {"verb": "x"}]}
    assert READER.claims(listed) == 95
    assert len(read_all(listed)) == 2
    group = "/aws/eks/prod/cluster"
    (eks,) = read_all({"logGroup": group, "logEvents": [{"message": json.dumps(RECORD)}, {"message": "I1101 x"}]})
    assert (eks.organization, eks.principal) == ("prod", "ann@prod")
    resource = "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/GPU-1"
    for log in (RECORD, json.dumps(RECORD)):
        aks = {"category": "kube-audit", "resourceId": resource, "properties": {"log": log, "pod": "kube-apiserver-1"}}
        assert READER.claims(aks) == 95
        assert (read_all(aks)[0].organization, read_all(aks)[0].principal) == ("gpu-1", "ann@gpu-1")


@pytest.mark.parametrize(
    ("name", "principal"),
    [
        ("kubernetes-admin", "kubernetes-admin@prod"),
        ("system:serviceaccount:ns:default", "system:serviceaccount:ns:default@prod"),
        *((name, name) for name in ("arn:aws:iam::1:role/x", "ann@example.org", "system:anonymous")),
        *((name, name) for name in ("https://issuer.example#ann", "0a1b2c3d-0000-4000-8000-000000000001")),
    ],
)
def test_names_that_a_cluster_gives_bear_its_name(name: str, principal: str) -> None:
    group = "/aws/eks/prod/cluster"
    message = json.dumps(RECORD | {"user": {"username": name}})
    (access,) = read_all({"logGroup": group, "logEvents": [{"message": message}]})
    assert access.principal == principal
    assert read(user={"username": name}).principal == name, "a file does not name its cluster"


SECRET = {"kind": "Secret", "data": {"k": "aHVudGVyMjI="}, "stringData": {"k": "hunter22"}}
POD = {
    "kind": "Pod",
    "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"x":"hunter22"}', "a": "b"}},
    "spec": {
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        "containers": [
            {
                "image": "x",
                "command": ["serve", "--password=hunter22"],
                "env": [{"name": "N", "value": "hunter22"}],
                "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}},
            }
        ],
    },
}


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ({"resource": "secrets"}, [{"op": "replace", "path": "/data/k", "value": "hunter22"}]),
        ({"resource": "secrets"}, {"metadata": {}, "data": {"k": "aHVudGVyMjI="}}),
        ({"resource": "other"}, SECRET),
        ({"resource": "other"}, {"kind": "SecretList", "items": [SECRET]}),
        ({"resource": "tokenreviews", "apiGroup": "authentication.k8s.io"}, {"spec": {"token": "hunter22"}}),
        ({"resource": "serviceaccounts", "subresource": "token"}, {"status": {"token": "hunter22"}}),
        ({"resource": "pods"}, POD),
    ],
)
def test_secrets_in_bodies_are_never_kept(target: Any, body: Any) -> None:
    access = read(objectRef=target, requestObject=body, responseObject=body)
    assert not any(text in json.dumps(access.fields) for text in ("hunter22", "aHVudGVyMjI"))


def test_names_that_public_rules_use_are_there() -> None:
    fields = read(objectRef={"resource": "pods", "apiGroup": ""}, requestObject=POD).fields
    assert (fields["hostPath"], fields["capabilities"]) == ("/", "SYS_ADMIN")
    assert read(objectRef={"resource": "deployments", "apiGroup": "apps"}).provider == "apps"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"verb": ...}, "required field missing"),
        ({"requestReceivedTimestamp": ..., "stageTimestamp": ...}, "required field missing"),
        ({"requestReceivedTimestamp": "1999-01-01T00:00:00Z"}, "time out of range"),
        ({"objectRef": ["pods"]}, "wrong type"),
    ],
)
def test_a_bad_record_is_refused(changes: Any, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        read(**changes)
    assert caught.value.reason == reason


def test_a_key_that_stands_twice_is_refused() -> None:
    raw = json.dumps(RECORD).encode()
    with pytest.raises(RecordError) as caught:
        list(READER.read(raw[:-1] + b',"verb":"get"}'))
    assert caught.value.reason == "duplicate key"

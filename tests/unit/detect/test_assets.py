"""Events resolve to the asset whose place holds what they name; what resolves to none is counted; stores are proposed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.core.assets import Asset, check_asset
from strongroom.core.places import patterns
from strongroom.detect.assets import propose, resolve, unresolved
from strongroom.detect.assets._propose import _groups
from strongroom.store import ACCESS_EVENTS, Store

NAME = "acme/llama"
EC2 = "arn:aws:ec2:eu-west-1:111122223333:"
BLOB = "/subscriptions/S1/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acme/blobServices/default/"
EVENTS = ibis.table(ibis.Schema.from_pyarrow(ACCESS_EVENTS), name="access_events")


def asset(*places: str, name: str = NAME) -> Asset:
    return check_asset(Asset(name=name, places=list(places)))


def event(
    resource: str | None, product: str | None = "aws", organization: str | None = None, **rest: Any
) -> dict[str, Any]:
    return {"resource": resource, "product": product, "organization": organization, "principal": "ann", **rest}


def stored(rows: list[dict[str, Any]], folder: Path) -> Store:
    store = Store(folder)
    numbered = [{"time": number, "position": number, **row} for number, row in enumerate(rows)]
    store.append_access_events([pa.RecordBatch.from_pylist(numbered, schema=ACCESS_EVENTS)])
    return store


def resolved(rows: list[dict[str, Any]], assets: list[Asset], folder: Path) -> list[str | None]:
    store = stored(rows, folder)
    table = resolve(store.access_events(), assets)
    assert list(table.columns) == ACCESS_EVENTS.names
    found: list[str | None] = store.table(table.order_by("position"))["asset"].to_pylist()
    return found


HELD: list[tuple[str, str, str | None, str]] = [
    ("s3://b-1/p", "aws", None, "arn:aws:s3:::b-1/p"),
    ("s3://b-1/p", "aws", None, "arn:aws:s3:::b-1/p/x/y.safetensors"),
    ("s3://b-1/p/", "aws", None, "arn:aws-us-gov:s3:::b-1/p/x:y"),
    ("s3://b-1", "aws", None, "arn:aws:s3:::b-1"),
    ("arn:aws:s3:::b-1/p", "mapped", None, "s3://b-1/p/x"),
    ("gs://b-1/p", "gcp", None, "projects/_/buckets/b-1/objects/p/x"),
    ("gs://b-1/p/objects/q", "gcp", None, "//storage.googleapis.com/projects/_/buckets/b-1/objects/p/objects/q/r"),
    ("gs://b-1", "gcp", None, "projects/_/buckets/b-1"),
    (
        "gcp:projects/p/locations/eu/keyRings/r",
        "gcp",
        None,
        "//cloudkms.googleapis.com/projects/p/locations/eu/keyRings/r/cryptoKeys/k",
    ),
    ("gcp:projects/p/zones/z/disks/d", "gcp", None, "projects/p/zones/z/disks/d"),
    ("az://acme/weights/Llama", "azure", None, BLOB + "containers/weights/blobs/Llama/x.bin"),
    ("az://acme/weights/Llama", "azure", None, (BLOB + "containers/weights/blobs/Llama/x.bin").upper()),
    ("az://acme/weights", "azure", None, BLOB + "containers/weights"),
    ("az://acme", "azure", None, BLOB.removesuffix("/blobServices/default/")),
    ("az://acme/weights/llama", "azure", None, "https://acme.blob.core.windows.net/weights/llama/x?sig=1"),
    ("az://acme/weights/llama", "azure", None, "https://acme.dfs.core.windows.net:443/weights/llama/x"),
    ("azure:/subscriptions/S1/resourceGroups/rg", "azure", None, "/SUBSCRIPTIONS/s1/RESOURCEGROUPS/RG/PROVIDERS/X/Y"),
    ("hf://acme/llama", "huggingface", None, "acme/llama"),
    ("hf://acme/llama", "mapped", None, "hf://acme/llama/model.safetensors"),
    ("hf://datasets/acme/talks", "huggingface", None, "datasets/acme/talks/x.parquet"),
    ("hf://datasets/acme/talks", "huggingface", None, "acme/talks"),
    ("ebs:snap-0123", "aws", None, EC2 + "snapshot/snap-0123"),
    ("ebs:vol-0123", "aws", None, "arn:aws:ec2:us-east-1:2:volume/vol-0123"),
    ("ami:ami-0123", "aws", None, "arn:aws:ec2:us-east-1::image/ami-0123"),
    ("ecr://*/llm/serve", "aws", None, "arn:aws:ecr:eu-west-1:111122223333:repository/llm/serve"),
    (
        "ecr://111122223333.dkr.ecr.eu-west-1.amazonaws.com/llm",
        "aws",
        None,
        "arn:aws:ecr:eu-west-1:111122223333:repository/llm/serve",
    ),
    ("oci://r.example.com/llm/serve", "harbor", None, "r.example.com/llm/serve:v2"),
    ("oci://r.example.com/llm/serve:v2", "harbor", None, "r.example.com/llm/serve:v2@sha256:" + "0" * 64),
    ("oci://r.example.com:5000/llm", "harbor", None, "r.example.com:5000/llm@sha256:" + "0" * 64),
    ("k8s://prod/ml/deployments/llama", "kubernetes", "prod", "ml/deployments/llama"),
    ("k8s://prod/ml", "kubernetes", "prod", "ml/pods/x"),
    ("k8s://prod/ml", "kubernetes", None, "ml/pods/x"),
    ("k8s://*/ml/secrets", "kubernetes", "other", "ml/secrets/token"),
    ("kms:arn:aws:kms:eu-west-1:1:key/k", "aws", None, "arn:aws:kms:eu-west-1:1:key/k"),
    ("arn:aws:sagemaker:eu-west-1:1:model", "aws", None, "arn:aws:sagemaker:eu-west-1:1:model/llama"),
    ("arn:aws:sagemaker:*:*:model/llama", "aws", None, "arn:aws:sagemaker:eu-west-1:1:model/llama"),
    ("arn:aws:lambda:eu-west-1:1:function:f", "aws", None, "arn:aws:lambda:eu-west-1:1:function:f:3"),
    ("file:///srv/models", "linux", "gpu-7", "/srv/models/x.gguf"),
    ("file:///srv/models", "linux", None, "/srv/models"),
    ("file://gpu-7/srv/models", "linux", "gpu-7", "/srv/models/x.gguf"),
    ("https://models.example.com/v1", "mapped", None, "https://models.example.com/v1/chat?x=1"),
]
BESIDE: list[tuple[str, str, str | None, str]] = [
    ("s3://b-1/p", "aws", None, "arn:aws:s3:::b-1/p-evil"),
    ("s3://b-1/p", "aws", None, "arn:aws:s3:::b-1/p:x"),
    ("s3://b-1/p", "aws", None, "arn:aws:s3:::b-1/P/x"),
    ("s3://b-1", "aws", None, "arn:aws:s3:::b-10/x"),
    ("s3://b-1", "gcp", None, "projects/_/buckets/b-1/objects/x"),
    ("gs://b-1/p", "gcp", None, "projects/_/buckets/b-1/objects/pp"),
    ("ebs:snap-0123", "aws", None, EC2 + "snapshot/snap-01234"),
    ("ebs:snap-0123", "aws", None, "arn:aws:rds:eu-west-1:1:snapshot/snap-0123"),
    (
        "ecr://111122223333.dkr.ecr.eu-west-1.amazonaws.com/llm",
        "aws",
        None,
        "arn:aws:ecr:us-east-1:111122223333:repository/llm",
    ),
    ("hf://kube-system/secrets", "kubernetes", None, "kube-system/secrets/x"),
    ("hf://core/v1", "gcp", "acme", "core/v1/namespaces/ml/pods/llama"),
    ("hf://apps/v1", "gcp", None, "apps/v1/namespaces/ml/deployments/llama"),
    ("oci://serving.kserve.io/v1beta1", "gcp", None, "serving.kserve.io/v1beta1/namespaces/ml/llmmodels/x"),
    ("hf://acme/llama", "mapped", None, "acme/llama"),
    ("k8s://prod/ml", "kubernetes", "test", "ml/pods/x"),
    ("k8s://prod/ml", "huggingface", None, "ml/pods"),
    ("file://gpu-7/srv/models", "linux", "gpu-8", "/srv/models/x"),
    ("file:///srv/models", "linux", "gpu-7", "/srv/models2/x"),
    ("arn:aws:sagemaker:eu-west-1:1:model/a", "aws", None, "arn:aws:sagemaker:eu-west-1:1:model/ab"),
]


def test_a_place_holds_what_lies_below_it_and_nothing_beside_it(tmp_path: Path) -> None:
    """Each place alone, so that no other can be the one that resolves."""
    rows = [event(resource, product, organization) for _, product, organization, resource in HELD + BESIDE]
    store = stored(rows, tmp_path)
    wrong = []
    for number, (place, *_, resource) in enumerate(HELD + BESIDE):
        table = resolve(store.access_events(number, number + 1), [asset(place)])
        (found,) = store.table(table)["asset"].to_pylist()
        if found != (NAME if number < len(HELD) else None):
            wrong.append((place, resource, found))
    assert wrong == []


PART = st.from_regex(r"\A[A-Za-z0-9 :'\\%&+=@._-]{1,8}\Z").filter(
    lambda part: part not in (".", "..") and part == part.strip()
)
PATH = st.lists(PART, min_size=1, max_size=4)


@settings(max_examples=25)
@given(st.lists(PATH, min_size=1, max_size=8, unique_by=tuple), st.lists(PATH, max_size=8), st.lists(PART, max_size=3))
def test_a_resource_resolves_to_the_longest_place_that_holds_it(
    places: list[list[str]], others: list[list[str]], below: list[str]
) -> None:
    assets = [asset("s3://weights/" + "/".join(path), name=f"acme/m{n}") for n, path in enumerate(places)]
    keys = [*("/".join([*path, *below]) for path in places), *("/".join(path) + "-evil" for path in places)]
    keys += ["/".join(path) for path in others]
    expected = []
    for key in keys:
        holds = [one for one in assets if (key + "/").startswith(one.places[0].removeprefix("s3://weights/") + "/")]
        expected.append(max(holds, key=lambda one: len(one.places[0])).name if holds else None)
    with tempfile.TemporaryDirectory() as folder:
        assert resolved([event(f"arn:aws:s3:::weights/{key}") for key in keys], assets, Path(folder)) == expected


def test_what_names_a_region_a_cluster_or_a_host_wins_over_what_does_not(tmp_path: Path) -> None:
    assets = [
        asset("arn:aws:ecr:*:*:repository/llm", "k8s://*/ml", "file:///srv", name="acme/any"),
        asset("ecr://111122223333.dkr.ecr.eu-west-1.amazonaws.com/llm", "k8s://p/ml", "file://h/srv", name="acme/one"),
    ]
    rows = [
        event("arn:aws:ecr:eu-west-1:111122223333:repository/llm"),
        event("arn:aws:ecr:eu-west-1:444455556666:repository/llm"),
        event("ml/pods/x", "kubernetes", "p"),
        event("ml/pods/x", "kubernetes", "q"),
        event("/srv/x", "linux", "h"),
        event("/srv/x", "linux", "i"),
    ]
    assert resolved(rows, assets, tmp_path) == ["acme/one", "acme/any"] * 3


def test_what_a_log_that_says_less_would_call_two_assets_by_resolves_to_neither(tmp_path: Path) -> None:
    assets = [asset("k8s://a/ml", name="acme/a"), asset("k8s://b/ml", name="acme/b")]
    rows = [event("ml/pods/x", "kubernetes", None), event("ml/pods/x", "kubernetes", "a")]
    assert resolved(rows, assets, tmp_path) == [None, "acme/a"]


def test_an_asset_that_the_log_named_is_kept_and_what_is_empty_is_none(tmp_path: Path) -> None:
    rows = [
        event("arn:aws:s3:::weights/x", asset="other/own"),
        event("arn:aws:s3:::weights/x", asset=""),
        event("arn:aws:s3:::weights/x", product=None),
        event("", asset=""),
        event(None),
    ]
    assert resolved(rows, [asset("s3://weights")], tmp_path / "a") == ["other/own", NAME, NAME, None, None]
    assert resolved(rows, [], tmp_path / "b") == ["other/own", None, None, None, None]


def test_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    rows = [event(f"arn:aws:s3:::weights/{n % 7}/x", organization=str(n % 3)) for n in range(200)]
    rows += [event(None), event("weights/x", None)]
    assets = [asset("s3://weights", "s3://weights/1", name="acme/a"), asset("s3://weights/2/x", name="acme/b")]
    found = resolved(rows, assets, tmp_path)
    assert len(found) == 202
    assert found[:3] == ["acme/a", "acme/a", "acme/b"]


def test_what_resolves_to_none_is_counted_by_the_log_it_came_from(tmp_path: Path) -> None:
    rows = [event(f"arn:aws:s3:::other/{n % 2}", service="cloudtrail") for n in range(5)]
    rows += [event("arn:aws:s3:::weights/x"), event(None), event("a/b/c", "kubernetes", service="audit")]
    store = stored(rows, tmp_path)
    found = store.table(unresolved(resolve(store.access_events(), [asset("s3://weights")]))).to_pylist()
    assert found == [
        {"product": "aws", "service": "cloudtrail", "events": 5, "resources": 2},
        {"product": "kubernetes", "service": "audit", "events": 1, "resources": 1},
    ]


def test_thousands_of_places_are_one_short_query() -> None:
    assets = [asset(f"s3://weights/{n}/'\\\"", name=f"acme/m{n}") for n in range(3000)]
    for dialect in ("duckdb", "pyspark"):
        sql = str(ibis.to_sql(resolve(EVENTS, assets), dialect=dialect))
        assert len(sql) < 300_000
        assert sql.count("CASE") + sql.count("IF(") < 200


def test_spark_can_be_asked_the_same() -> None:
    table = resolve(EVENTS, [asset("s3://weights", "k8s://prod/ml")])
    for expression in (table, unresolved(table), _groups(table)):
        assert "SELECT" in str(ibis.to_sql(expression, dialect="pyspark"))


# Proposals


@pytest.fixture
def logs(tmp_path: Path) -> Store:
    rows = []
    for n in range(40):
        rows += [
            event(
                f"arn:aws:s3:::ml-1/llama/checkpoint-{n % 4}/model-{n:05d}-of-00040.safetensors",
                principal=f"p{n % 3}",
                bytes=10,
            ),
            event(f"arn:aws:s3:::data-1/talks/train/train-{n:05d}.parquet", bytes=-1),
            event(f"arn:aws:s3:::logs-1/AWSLogs/1/{n}.parquet", bytes=500),
            event(f"arn:aws:s3:::photos/{n}.jpg", bytes=500),
            event(f"/srv/models/x/{n}.gguf", "linux", "gpu-1"),
        ]
    rows += [
        event("projects/_/buckets/ml-2/objects/d/shards/data-000123.tar", "gcp"),
        event(BLOB + "containers/weights/blobs/m/pytorch_model.bin", "azure"),
        event("arn:aws:s3:::firmware/router.bin"),
        event("arn:aws:kms:eu-west-1:111122223333:alias/model-weights"),
        event("arn:aws:kms:eu-west-1:111122223333:alias/payroll"),
        event("arn:aws:ecr:eu-west-1:111122223333:repository/llm/serve"),
        event("acme/llama", "huggingface"),
        event("ml/pods/llama", "kubernetes"),
        event("core/v1/namespaces/llama/pods/model.safetensors", "gcp"),
        event("serving.kserve.io/v1beta1/namespaces/ml/llmmodels/x", "gcp"),
        event("arn:aws:s3:::ml-3/\x1b[31m/x.safetensors"),
        event("arn:aws:s3:::ml-3/../x.safetensors"),
        event("arn:aws:s3:::ml-4/$(reboot)/x.safetensors"),
    ]
    return stored(rows, tmp_path)


def test_likely_stores_are_proposed_with_counts_and_reasons(logs: Store) -> None:
    found = {one.place: one for one in propose(logs)}
    assert list(found) == [
        "s3://ml-1/llama/",
        "file://gpu-1/srv/models/x/",
        "az://acme/weights/m/",
        "s3://ml-4/$(reboot)/",
        "hf://acme/llama",
        "kms:arn:aws:kms:eu-west-1:111122223333:alias/model-weights",
        "arn:aws:ecr:eu-west-1:111122223333:repository/llm/serve",
        "s3://data-1/talks/",
        "gs://ml-2/d/",
    ]
    first = found["s3://ml-1/llama/"]
    assert (first.name, first.kind, first.events, first.principals, first.resources, first.bytes) == (
        "ml-1/llama",
        "model",
        40,
        3,
        40,
        400,
    )
    assert "weights" in first.why
    assert found["s3://data-1/talks/"].kind == "dataset"
    assert found["s3://data-1/talks/"].bytes == 0


def test_what_is_proposed_can_be_listed_and_is_proposed_no_more(logs: Store) -> None:
    found = propose(logs)
    assets = [asset(one.place, name=one.name) for one in found]
    assert len({one.name for one in assets}) == len({patterns(one.places[0])[0] for one in assets}) == len(found)
    assert propose(logs, assets=assets) == []


def test_a_window_bounds_proposals(logs: Store, tmp_path: Path) -> None:
    assert [one.events for one in propose(logs, 0, 5)] == [1, 1, 1]
    assert propose(logs, 10**12) == []
    assert propose(Store(tmp_path / "empty")) == []

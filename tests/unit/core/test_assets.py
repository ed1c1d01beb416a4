"""What an asset and a place may be, and that a place holds itself and what lies below it, and nothing beside."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.assets import MAX_NOTE_BYTES, MAX_PLACES, MAX_SIZE, Asset, check_asset, format_size, parse_size
from strongroom.core.errors import RefusedError, UsageError
from strongroom.core.places import MAX_PLACE_BYTES, MAX_PLACE_PARTS, SCHEMES, patterns

PART = st.from_regex(r"\A[A-Za-z0-9 ()&+=@._-]{1,12}\Z").filter(
    lambda part: part not in (".", "..") and part == part.strip()
)
PATH = st.lists(PART, min_size=1, max_size=6)
HEADS = {
    "s3://acme-weights/": "s3://acme-weights/",
    "gs://acme-weights/": "gs://acme-weights/",
    "arn:aws:s3:::acme-weights/": "s3://acme-weights/",
    "file:///": "file://*/",
    "file://gpu-7/": "file://gpu-7/",
    "https://host.example.com/": "https://host.example.com/",
    "arn:aws:sagemaker:eu-west-1:1:model/": "arn/aws/sagemaker/eu-west-1/1/model/",
    "gcp:projects/p/": "gcp/projects/p/",
}


def asset(**fields: Any) -> Asset:
    return Asset(**{"name": "acme/llama", "places": ["s3://acme-weights/llama/"], **fields})


@given(st.sampled_from(sorted(HEADS)), PATH)
def test_a_place_keeps_its_path_whole_and_a_last_slash_says_nothing(head: str, path: list[str]) -> None:
    place = head + "/".join(path)
    if "?" in place or "#" in place:
        return
    assert patterns(place)[0] == HEADS[head] + "/".join(path)
    assert patterns(place + "/") == patterns(place)


@given(PATH)
def test_a_pattern_that_is_written_as_a_place_is_itself(path: list[str]) -> None:
    (pattern,) = patterns("s3://acme-weights/" + "/".join(path))
    assert patterns(pattern) == [pattern]


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_wrong_use(text: str) -> None:
    for place in (text, *(f"{scheme}:{text}" for scheme in SCHEMES), *(f"{scheme}://{text}" for scheme in SCHEMES)):
        try:
            found = patterns(place)
        except UsageError:
            continue
        assert all(1 <= pattern.count("/") < MAX_PLACE_PARTS for pattern in found)
        assert not any(character in pattern for pattern in found for character in "\n\r\t\x00\x1b\x1e\x1f")
        assert not any(part in (".", "..") for pattern in found for part in pattern.split("/")[2:])


@pytest.mark.parametrize(
    "place",
    [
        "",
        "s3:",
        "s3://",
        "s3:///key",
        "s3://bucket/../x",
        "s3://bucket/./x",
        "s3://bucket//x",
        "s3://bucket/x*",
        "s3://bucket/\x1b[31m",
        "s3://bucket/\u202eevil",
        "s3://bucket/\ud800",
        " s3://bucket",
        "S3://bucket",
        "bucket/key",
        "ftp://host/x",
        "s3://bucket/" + "a" * MAX_PLACE_BYTES,
        "s3://bucket/" + "é" * (MAX_PLACE_BYTES // 2),
        "s3://bucket" + "/a" * MAX_PLACE_PARTS,
        "az://Account!/c",
        "hf://llama",
        "hf://datasets/llama",
        "ebs:i-0123",
        "ebs:snap-xyz",
        "ami:snap-0123",
        "ecr://registry.example.com/llm",
        "ecr://*/",
        "oci://localhost/llm",
        "oci://registry.example.com/llm:bad tag",
        "k8s://prod",
        "k8s://prod/ns/Deployment/x",
        "k8s://prod/ns/pods/x/y",
        "k8s:///ns",
        "kms:arn:aws:s3:::bucket",
        "kms:key/1",
        "arn:aws:s3",
        "arn:aws:s3:::",
        "arn:aws:sagemaker:::",
        "arn:aws:sagemaker:*:*:",
        "arn:aws:sagemaker:*:1:model",
        "gcp:projects/_/buckets/b",
        "azure:/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/a",
        "file://host",
        "file:///",
        "https://user@host/x",
        "https://host/x?token=1",
    ],
)
def test_what_is_no_place_is_wrong_use_with_what_to_write(place: str) -> None:
    with pytest.raises(UsageError) as error:
        patterns(place)
    assert error.value.next
    assert len(error.value.message) < 300


def test_partitions_of_a_registry_are_told_by_its_name() -> None:
    assert patterns("ecr://111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/x") == [
        "arn/aws-cn/ecr/cn-north-1/111122223333/repository/x"
    ]
    assert patterns("ecr://111122223333.dkr.ecr.us-gov-west-1.amazonaws.com/x") == [
        "arn/aws-us-gov/ecr/us-gov-west-1/111122223333/repository/x"
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"version": 2}, "version 2"),
        ({"kind": "weights"}, "kind"),
        ({"classification": "secret"}, "classification"),
        ({"size": -2}, "size"),
        ({"size": MAX_SIZE + 1}, "size"),
        ({"digest": "md5:00"}, "digest"),
        ({"note": "a\nb"}, "control"),
        ({"note": "é" * MAX_NOTE_BYTES}, "bytes"),
        ({"places": []}, "places"),
        ({"places": [f"s3://bucket/{i}" for i in range(MAX_PLACES + 1)]}, "places"),
        ({"places": ["s3://bucket/a", "arn:aws:s3:::bucket/a/"]}, "the same"),
        ({"places": ["s3://bucket/a"] * 2}, "the same"),
    ],
)
def test_what_is_no_asset_is_wrong_use(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_asset(asset(**fields))


@pytest.mark.parametrize("name", ["llama", "acme/../x", "acme/Llama", "=cmd()/x", "acme/x\x1b"])
def test_an_ill_formed_name_is_refused(name: str) -> None:
    with pytest.raises(RefusedError):
        check_asset(asset(name=name))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("17", 17),
        ("17B", 17),
        ("140GB", 140 * 10**9),
        ("1.5 TiB", 3 * 2**39),
        ("4kB", 4000),
        (" 2MiB ", 2**21),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "1e9", "140 gb", "9EiB", "99999999999999999999", "1iB", "٣GB", "1GB\n2"]
)
def test_what_is_no_size_is_wrong_use(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@given(st.integers(0, MAX_SIZE))
def test_a_size_is_shown_within_half_a_percent(size: int) -> None:
    shown = format_size(size)
    assert (
        abs(
            float(shown.split()[0]) * 1000 ** (["B", "kB", "MB", "GB", "TB", "PB", "EB"].index(shown.split()[1])) - size
        )
        <= size / 200
    )

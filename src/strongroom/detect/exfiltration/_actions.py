"""What counts as reading, writing, listing, copying and asking for a key, by the operation's name in the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "COPIES",
    "EVERYWHERE",
    "KEYS",
    "LISTS",
    "LOOKS",
    "READS",
    "RELEASES",
    "SHARES",
    "WRITES",
    "allowed",
    "believable",
    "network",
]

READS = frozenset(
    {
        "GetObject",
        "GetObjectTorrent",
        "SelectObjectContent",
        "storage.objects.get",
        "GetBlob",
        "GetSnapshotBlock",
        "GetDownloadUrlForLayer",
        "BatchGetImage",
    }
)
"""Bytes of an asset leave where it lies."""
WRITES = frozenset({"PutObject", "CompleteMultipartUpload", "storage.objects.create", "PutBlob", "HeadObject"})
"""What names an object of an asset without reading it; so that it is known to be there."""
LOOKS = frozenset({"HeadObject"})
"""Of these, what writes nothing."""
EVERYWHERE = frozenset({"ListBuckets", "storage.buckets.list", "ListContainers"})
"""What places there are at all is listed."""
LISTS = EVERYWHERE | {
    "ListObjects",
    "ListObjectsV2",
    "ListObjectVersions",
    "storage.objects.list",
    "ListBlobs",
    "ListSnapshotBlocks",
}
COPIES = frozenset({"CopyObject", "UploadPartCopy", "CreateSnapshot", "CopySnapshot", "CreateImage"})
"""A copy that never leaves the cloud."""
SHARES = frozenset({"ModifySnapshotAttribute", "ModifyImageAttribute"})
"""A copy is opened to another account."""
KEYS = frozenset({"Decrypt", "ReEncrypt", "AsymmetricDecrypt"})
"""A key is used in the cloud's key service, perhaps by the object store for whoever reads."""
RELEASES = frozenset({"OpenWeights"})
"""Our ledger has an entry: the vault released the key of a sealed asset."""

MOST_BYTES = 1 << 43
"""More than one read of an object gives: 8.8 TB."""

_PRIVATE = (
    "^(10[.]|127[.]|169[.]254[.]|192[.]168[.]|172[.](1[6-9]|2[0-9]|3[01])[.]"
    "|100[.](6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])[.]|f[cd][0-9a-f][0-9a-f]:|fe80:|::1$)"
)


def allowed(events: Any, names: Iterable[str]) -> Any:
    """The events named in `names` that were not refused and did not fail; neither principal nor resource is null.

    `what` is the operation as the log writes it, or the end of the action where the log has none.
    """
    import ibis

    chosen = sorted(names)
    tail = events.action.re_extract("[^:]*$", 0)
    named = events.operation.fill_null("") != ""
    # The first is all that most rows are asked.
    mine = events.operation.isin(chosen) | (~named & tail.isin(chosen))
    return events.filter(ibis.or_(events.outcome == "allowed", events.outcome.isnull()), mine).mutate(
        what=named.ifelse(events.operation, tail),
        principal=events.principal.fill_null("unknown"),
        resource=events.resource.fill_null(""),
    )


def believable(count: Any) -> Any:
    """Bytes of one event, MOST_BYTES at most: a log can say anything, and a sum of what it says must not overflow."""
    return (count > MOST_BYTES).ifelse(MOST_BYTES, count)


def network(address: Any) -> Any:
    """Where a request came from, coarsely: a public /24 or /48, `private`, a service's name, or nothing.

    Patterns hold no backslash: DuckDB and Spark write these differently.
    """
    import ibis

    lower = address.fill_null("").lower()
    return ibis.cases(
        (lower == "", ibis.literal("")),
        (lower.re_search(_PRIVATE), "private"),
        (lower.contains(":"), lower.re_extract("^[0-9a-f]*:[0-9a-f]*:[0-9a-f]*", 0) + "::/48"),
        (
            lower.re_search("^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$"),
            lower.re_extract("^[0-9]+[.][0-9]+[.][0-9]+", 0) + ".0/24",
        ),
        else_=lower,
    )

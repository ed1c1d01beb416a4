"""Where weights and datasets seem to lie, from what logs name: for whoever has no list yet.

What a file is called says what it is: `.safetensors`, `model-00001-of-00042`, `train-…`. Such files are grouped by
the directory they lie in, directories of checkpoints and shards by the one above, and whoever lists assets sees the
numbers. A proposal is a guess from names; nothing is listed by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strongroom.core.assets import Asset, Kind
from strongroom.core.errors import UsageError
from strongroom.core.ids import check_asset_name
from strongroom.core.places import patterns

from ._addresses import address
from ._resolve import resolve

if TYPE_CHECKING:
    from strongroom.store import Store

__all__ = ["Proposal", "propose"]

_MODEL_WORDS = (
    "model|weights|checkpoint|ckpt|lora|adapter|finetun|fine-tun|llm|llama|mistral|mixtral|qwen|gemma|deepseek|gpt|bert"
    "|whisper|diffusion|embedding|transformer"
)
_WEIGHTS = "[.](safetensors|gguf|ggml|pt|pth|ckpt|onnx|npz)$"
_SHARD = "/(pytorch_model|model-[0-9]{5}-of-[0-9]{5}|tf_model|flax_model|consolidated[.][0-9]+)[^/]*$"
_CHECKPOINT = "/(checkpoint|global_step|ckpt)[-_]?[0-9]+/"
_BINARY = f"({_MODEL_WORDS})[^/]*(/[^/]*)?[.]bin$"
_ROWS = "[.](parquet|arrow|tfrecord|tfrecords|webdataset|jsonl|jsonl[.](zst|gz))$"
_ARCHIVES = "(^|[-_/.])[0-9]{3,}[.]tar([.](gz|zst))?$"
_SPLIT = "/(train|validation|test)-[0-9]{2,}[^/]*$"
_LOGS = "/(awslogs|cloudtrail[^/]*|access[-_]?logs?|logs?|_delta_log|cost-and-usage[^/]*|inventory)/"
_FILES = "^(s3|gs|az|file|https)://"
_KEYS = f"^arn/[^/]*/kms/.*/(alias|key)/.*({_MODEL_WORDS})"
_IMAGES = f"^arn/[^/]*/ecr/.*/repository/.*({_MODEL_WORDS})|^oci://.*({_MODEL_WORDS})"
# What follows is a part of one store: the file itself, a checkpoint's directory, a split's, a shard's.
_WITHIN = (
    "/(([a-z]+[-_])?(checkpoint|ckpt|global_step|step|epoch|part|shard|chunk)s?[-_=]?[0-9]+|checkpoints|shards"
    "|train|validation|valid|test|[0-9]+)(/.*)?$|/[^/]*$"
)
_MOST = 500  # proposals
_MOST_GROUPS = 20_000  # directories that are looked at

_REASONS: dict[str, tuple[Kind, str]] = {
    "weights": ("model", "files named as weights are"),
    "checkpoint": ("model", "directories named as a training's checkpoints are"),
    "hub": ("model", "a repository of Hugging Face"),
    "key": ("environment", "a key whose name speaks of a model"),
    "image": ("environment", "a registry's repository whose name speaks of a model"),
    "rows": ("dataset", "files named as a dataset's rows or shards are"),
}
"""By what was recognised: what it seems to be, and the reason in words; the surest first."""


@dataclass(frozen=True)
class Proposal:
    """A place that seems to hold a model or dataset."""

    place: str
    name: str
    """A name that it could have."""
    kind: Kind
    why: str
    events: int
    """Access events that name something in it."""
    principals: int
    """Distinct ones among them."""
    resources: int
    bytes: int
    """That left, as far as the logs say."""


def propose(
    store: Store, since: int | None = None, until: int | None = None, assets: Iterable[Asset] = ()
) -> list[Proposal]:
    """Likely stores of weights and datasets that resolve to none of `assets`, in a window (microseconds since 1970).

    Those recognised most surely come first, and then those of most bytes and events. At most 500.
    """
    rows = store.table(_groups(resolve(store.access_events(since, until), assets))).to_pylist()
    order = list(_REASONS)
    rows.sort(key=lambda row: (order.index(row["sign"]), -row["bytes"], -row["events"], row["store"]))
    found: dict[str, Proposal] = {}
    names: set[str] = set()
    for row in rows:
        place = _place(row["store"], row["example"])
        # A directory that holds both weights and rows is proposed once, as what it surely is.
        if place is None or place in found or len(found) >= _MOST:
            continue
        kind, why = _REASONS[row["sign"]]
        found[place] = Proposal(
            place=place,
            name=_name(row["store"], names),
            kind=kind,
            why=why,
            events=row["events"],
            principals=row["principals"],
            resources=row["resources"],
            bytes=int(row["bytes"]),
        )
    return list(found.values())


def _groups(events: Any) -> Any:
    """By `store` and `sign`: counts of the events that name something of it, and one resource as an `example`."""
    import ibis

    named = events.filter(events.asset.isnull(), events.resource.fill_null("") != "")
    columns = {name: named[name].fill_null("") for name in ("product", "organization", "resource")}
    distinct = named.select(**columns).distinct()
    # Unnested, so that the engine makes each address once, and does not write it out wherever it is used.
    own = ibis.array([address(distinct["product"], distinct.organization, distinct.resource)]).unnest()
    distinct = distinct.mutate(address=own)
    signed = distinct.mutate(sign=_sign(distinct["product"], distinct.address))
    signed = signed.filter(signed.sign.notnull())
    whole = signed.sign.isin(["key", "image"])
    hub = signed.address.re_extract("^hf://(?:(?:models|datasets|spaces)/)?[^/]+/[^/]+", 0)
    within = signed.address.re_replace(_WITHIN, "")
    signed = signed.mutate(store=ibis.cases((whole, signed.address), (signed.sign == "hub", hub), else_=within))
    joined = named.join(
        signed,
        [
            named.resource == signed.resource,
            named["product"].fill_null("") == signed["product"],
            named.organization.fill_null("") == signed.organization,
        ],
    ).select(
        "store",
        "sign",
        "principal",
        resource=named.resource,
        bytes=ibis.greatest(named.bytes.fill_null(0), 0),
    )
    counts = joined.group_by("store", "sign").aggregate(
        events=joined.count(),
        principals=joined.principal.nunique(),
        resources=joined.resource.nunique(),
        bytes=joined.bytes.sum(),
        example=joined.resource.min(),
    )
    return counts.order_by(counts.bytes.desc(), counts.events.desc(), counts.store, counts.sign).limit(_MOST_GROUPS)


def _sign(product: Any, address: Any) -> Any:
    """What an address's name speaks of, as a key of _REASONS; null: nothing."""
    import ibis

    lower = address.lower()
    files = lower.re_search(_FILES) & ~lower.re_search(_LOGS)
    return ibis.cases(
        (files & lower.re_search(f"{_WEIGHTS}|{_SHARD}|{_BINARY}"), ibis.literal("weights")),
        (files & lower.re_search(_CHECKPOINT), "checkpoint"),
        (product.lower().startswith("hugging") & lower.re_search("^hf://[^/]+/[^/]"), "hub"),
        (lower.re_search(_KEYS), "key"),
        (lower.re_search(_IMAGES), "image"),
        (files & lower.re_search(f"{_ROWS}|{_ARCHIVES}|{_SPLIT}"), "rows"),
        else_=ibis.null("string"),
    )


def _place(store: str, example: str) -> str | None:
    """A store as a place, or None where its name cannot be one."""
    if store.startswith("arn/"):
        store = f"kms:{example}" if "/kms/" in store else example
    elif re.match("(s3|gs|az|file)://", store):
        store += "/"
    try:
        patterns(store)
    except UsageError:
        return None
    return store


def _name(store: str, taken: set[str]) -> str:
    """A name that it could have, made of its last two parts, and not among `taken`, to which it is added."""
    parts = [re.sub(r"[^a-z0-9_-]+", "-", part.lower()).strip("-") for part in store.split("/")[2:]]
    parts = [part[:100] for part in parts if part] or ["unnamed"]
    org, name = (parts[0], parts[-1]) if len(parts) > 1 else (parts[0], "all")
    made = f"{org}/{name}"
    number = 1
    while made in taken:
        number += 1
        made = f"{org}/{name}-{number}"
    taken.add(made)
    return check_asset_name(made)

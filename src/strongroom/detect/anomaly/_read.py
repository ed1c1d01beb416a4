"""Access events to counts of each principal and day: the only place where this detector meets the engine.

Two group-bys that run on DuckDB and Spark: what a principal did on a day, by whom, with what and from where; and in
which hours. Their results are small, and are held as codes. A network is the /24 or /48 of an address, all of a
provider's own services are one; a tool is the user agent's product without its versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.store import microseconds

if TYPE_CHECKING:
    from strongroom.store import Store

__all__ = ["DAY", "MAX_EACH", "MAX_ROWS", "Counts", "Ints", "network_of", "read_counts", "tool_of"]

MOST_BYTES = 1 << 43
"""Of one event: a log can say anything, and a sum of what it says must not overflow."""
MAX_EACH = 2000
"""Distinct combinations of action, outcome, asset, network and tool of one principal and day; later ones are cut."""
MAX_ROWS = 2_000_000
"""Combinations of all; beyond, the oldest days are left out."""

DAY = 86_400_000_000
"""Microseconds."""
_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3_600
_TOOL_LENGTH = 60

Ints = npt.NDArray[np.int64]


@dataclass
class Counts:
    """What was read. Arrays of one group have one row each; codes lead into the lists."""

    principals: list[str]
    kinds: list[str]
    """Of each principal."""
    actions: list[str]
    networks: list[str]
    tools: list[str]
    assets: list[str]
    """The first is the empty one: no asset."""

    principal: Ints
    day: Ints
    """Days since 1970, in UTC."""
    action: Ints
    refused: Ints
    """1 where the access was refused, else 0; a failure that is no refusal counts as a use."""
    asset: Ints
    network: Ints
    tool: Ints
    events: Ints
    unanswered: Ints
    """Events of the row that were refused or failed."""
    bytes: Ints
    first: Ints
    """Time of its first event, microseconds since 1970."""

    hour_principal: Ints
    hour_day: Ints
    hour: Ints

    cut_units: int = 0
    """Principals' days of which combinations were left out."""
    cut_days: int = 0
    """Days that were left out."""


def read_counts(store: Store, events: Any) -> Counts | None:
    """The counts of an Ibis table of access events, or None when it is empty."""
    small = _combinations(_columns(events))
    books = {name: _Book() for name in ("principal", "action", "asset", "network", "tool")}
    books["asset"].code("")
    columns: dict[str, list[Ints]] = {}
    for batch in store.batches(small):
        for name in batch.schema.names:
            column = batch.column(name)
            coded = books[name].codes(column) if name in books else _numbers(column)
            columns.setdefault(name, []).append(coded)
    if not columns:
        return None
    rows = {name: np.concatenate(parts) for name, parts in columns.items()}
    whole = rows.pop("rank") < MAX_EACH
    cut_units = int((~whole).sum())
    rows, cut_days = _newest({name: values[whole] for name, values in rows.items()})
    hours, kinds = _hours(store, events, books["principal"])
    earliest = rows["day"].min()
    hours = {name: values[hours["hour_day"] >= earliest] for name, values in hours.items()}
    words = {name: _in_order(book.words, rows, name) for name, book in books.items()}
    principals = words["principal"]
    hours["hour_principal"] = _place(principals)[hours["hour_principal"]]
    for name, order in words.items():
        rows[name] = _place(order)[rows[name]]
    # Neither do batches come in an order that means anything, nor may ties be decided by it.
    by_unit = np.lexsort([rows[name] for name in ("tool", "network", "asset", "refused", "action", "day", "principal")])
    rows = {name: values[by_unit] for name, values in rows.items()}
    return Counts(
        principals=[books["principal"].words[code] for code in principals],
        kinds=[kinds[code] for code in principals],
        actions=[books["action"].words[code] for code in words["action"]],
        networks=[books["network"].words[code] for code in words["network"]],
        tools=[books["tool"].words[code] for code in words["tool"]],
        assets=[books["asset"].words[code] for code in words["asset"]],
        **rows,
        **hours,
        cut_units=cut_units,
        cut_days=cut_days,
    )


class _Book:
    """Numbers words as they come."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._known: dict[str, int] = {}

    def code(self, word: str) -> int:
        found = self._known.setdefault(word, len(self.words))
        if found == len(self.words):
            self.words.append(word)
        return found

    def codes(self, column: pa.Array) -> Ints:
        coded = column.dictionary_encode()
        own = np.array([self.code(word) for word in coded.dictionary.to_pylist()], np.int64)
        return np.asarray(own[np.asarray(coded.indices)], np.int64)


def _in_order(words: list[str], rows: dict[str, Ints], name: str) -> Ints:
    """The codes of words in an order that batches do not change: principals by what they did, and only then by name."""
    number = len(words)
    by_name = np.argsort(np.array(words, dtype=object), kind="stable")
    if name != "principal":
        return by_name
    first = np.full(number, np.iinfo(np.int64).max)
    np.minimum.at(first, rows[name], rows["first"])
    events, left = np.zeros(number, np.int64), np.zeros(number, np.int64)
    np.add.at(events, rows[name], rows["events"])
    np.add.at(left, rows[name], rows["bytes"])
    return np.lexsort((_place(by_name), left, events, first))


def _place(order: Ints) -> Ints:
    """Where each code stands in an order."""
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order))
    return found


def _columns(events: Any) -> Any:
    """The columns that are counted by, without nulls."""
    import ibis

    return events.filter(events.principal.notnull()).select(
        principal=events.principal,
        day=_seconds(events.time) // _DAY_SECONDS,
        time=events.time,
        action=events.action.fill_null(""),
        refused=(events.outcome.fill_null("") == "refused").cast("int64"),
        unanswered=events.outcome.fill_null("").isin(["refused", "failed"]).cast("int64"),
        asset=events.asset.fill_null(""),
        client_address=events.client_address.fill_null(""),
        user_agent=events.user_agent.fill_null(""),
        bytes=ibis.greatest(ibis.least(events.bytes.fill_null(0), MOST_BYTES), 0),
    )


def _seconds(time: Any) -> Any:
    """Whole seconds since 1970. `strongroom.store.microseconds` takes five times as long, which counts for each row."""
    return time.epoch_seconds().floor().cast("int64")


def _combinations(rows: Any) -> Any:
    """Events, bytes and first time of each combination of principal and day, first ones first."""
    import ibis

    # Each distinct address and user agent is read once and joined: there are far fewer of them than events.
    addresses = rows.select(address_=rows.client_address).distinct()
    addresses = addresses.mutate(network=network_of(addresses.address_))
    agents = rows.select(agent_=rows.user_agent).distinct()
    agents = agents.mutate(tool=tool_of(agents.agent_))
    read = rows.join(addresses, rows.client_address == addresses.address_)
    read = read.join(agents, read.user_agent == agents.agent_)
    keys = ["principal", "day", "action", "refused", "asset", "network", "tool"]
    counts = read.group_by(keys).aggregate(
        events=read.count(), unanswered=read.unanswered.sum(), bytes=read.bytes.sum(), first=read.time.min()
    )
    counts = counts.mutate(first=microseconds(counts["first"]))
    order = [counts["first"], *(counts[key] for key in keys[2:])]
    window = ibis.window(group_by=[counts.principal, counts.day], order_by=order)
    ranked = counts.mutate(rank=ibis.row_number().over(window))
    ranked = ranked.filter(ranked["rank"] <= MAX_EACH)  # one more than are kept: who has it was cut
    return ranked.order_by(ranked.day.desc()).limit(MAX_ROWS + 1)


def network_of(address: Any) -> Any:
    """The network of an address, as an Ibis expression: `203.0.113.0/24`, `2001:db8:1::/48`, `service`, `unknown`."""
    import ibis

    lower = address.lower()
    return ibis.cases(
        (lower == "", ibis.literal("unknown")),
        (
            lower.re_search("^[0-9]{1,3}([.][0-9]{1,3}){3}$"),
            lower.re_extract("^[0-9]+[.][0-9]+[.][0-9]+", 0) + ".0/24",
        ),
        (
            lower.re_search("^[0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4}:"),
            lower.re_extract("^[0-9a-f]+:[0-9a-f]+:[0-9a-f]+", 0) + "::/48",
        ),
        (lower.re_search("^[0-9a-f:]*::[0-9a-f.:]*$"), lower.re_extract("^([0-9a-f:]*)::", 1) + "::/48"),
        else_=ibis.literal("service"),
    )


def tool_of(agent: Any) -> Any:
    """The product that a user agent names, without versions, as an Ibis expression: `aws-cli`, `terraform`."""
    lower = agent.lower().re_replace("^[^a-z0-9]*(apn/[^ ]* +hashicorp/[^ ]* +)?", "")
    named = lower.re_extract("^[^/ ;,(]+", 0)
    # A digit run, or an id that a tool makes up for each run, tells no tools apart.
    plain = named.re_replace("[-_][0-9a-f]{8}-[0-9a-f-]{20,}", "").re_replace("[0-9]{3,}", "")
    return (plain.length() > 0).ifelse(plain.substr(0, _TOOL_LENGTH), "unknown")


def _numbers(column: pa.Array) -> Ints:
    return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)


def _newest(rows: dict[str, Ints]) -> tuple[dict[str, Ints], int]:
    """The rows of the newest days that may be held, and how many days were left out, at least."""
    if len(rows["day"]) <= MAX_ROWS:
        return rows, 0
    oldest = rows["day"].min()
    kept = rows["day"] > oldest
    if not kept.any():  # all of it is one day: what is cut of it is unknown
        return rows, 1
    return {name: values[kept] for name, values in rows.items()}, 1


def _hours(store: Store, events: Any, principals: _Book) -> tuple[dict[str, Ints], list[str]]:
    """Principal, day and hour of the day, in UTC, in which there is an event; and each principal's kind."""
    known = events.filter(events.principal.notnull())
    rows = known.select(
        principal=known.principal,
        hour=_seconds(known.time) // _HOUR_SECONDS,
        kind=known.principal_kind.fill_null(""),
    )
    columns: list[tuple[Ints, Ints]] = []
    kinds: dict[int, str] = {}
    for batch in store.batches(rows.group_by("principal", "hour").aggregate(kind=rows.kind.max())):
        codes = principals.codes(batch.column("principal"))
        columns.append((codes, _numbers(batch.column("hour"))))
        for code, kind in _kinds(codes, batch.column("kind")):
            kinds[code] = max(kind, kinds.get(code, ""))
    principal, hour = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    hours = {"hour_principal": principal, "hour_day": hour // 24, "hour": hour % 24}
    return hours, [kinds.get(code, "") for code in range(len(principals.words))]


def _kinds(codes: Ints, column: pa.Array) -> Iterator[tuple[int, str]]:
    coded = column.dictionary_encode()
    pairs = np.unique(np.stack([codes, np.asarray(coded.indices, np.int64)]), axis=1)
    words = coded.dictionary.to_pylist()
    for code, index in pairs.T.tolist():
        yield code, words[index]

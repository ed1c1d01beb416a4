"""What is known of each subject: counts and facts by time slice, and a sample of its opening texts.

Counts and facts are grouped by the engine. Texts are *sampled by their digest*: of each subject those whose digest
lies below a share of all digests, so that a subject with very many is represented by about `limit` of them. Which
those are depends on the digest alone, whatever the engine, the order of rows or the number of machines: the union of
the samples of two parts of a log holds the sample of the whole, and is it below the limit. An attacker, who
does not have the site's key, cannot choose what is looked at.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from strongroom.sketch import FLAGS
from strongroom.store import Store, microseconds

from ._sample import Sample, read_sample

__all__ = ["FACTS", "Fact", "Features", "Reader", "read_features"]

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]

FACTS = ("client_address", "payment_digest", "tls_fingerprint", "credential", "email_domain", "organization")
MIN_WORDS = 5
MAX_SLICES = 14


@dataclass(frozen=True)
class Fact:
    """Which subjects showed which value of one kind, and in which slice first; (n,) each."""

    subject: Int32s
    value: Int32s
    slice: npt.NDArray[np.int16]
    names: list[str]


@dataclass(frozen=True)
class Features:
    """The features of all subjects of a store, within a window."""

    subjects: list[str]
    account: Int32s
    """The account of each subject, as a number: a reseller's end users have one account."""
    start: int
    """First event time, microseconds since 1970."""
    edges: Int64s
    """Ends of the time slices, likewise, (slices,). The last is the end of what was read."""
    rows: int
    """Exchanges, with and without text."""
    without_text: int
    """Those without."""
    exchanges: Int64s
    """(subjects, slices), and so is the next."""
    tokens_out: Int64s
    openings: Int64s
    """Distinct opening texts, sampled or not, (subjects,)."""
    flags: Int64s
    """Exchanges that raise each indicator flag, (subjects, flags)."""
    facts: dict[str, Fact]
    sample: Sample


def read_features(store: Store, *, since: int | None, until: int | None) -> Features | None:
    """Reads the rows between `since` and `until` (microseconds since 1970). None when there are none."""
    reader = Reader(store, store.exchanges(since, until))
    return reader.read() if reader.rows else None


class Reader:
    """Reads the features of the exchanges in an Ibis table."""

    def __init__(self, store: Store, table: Any) -> None:
        self._store = store
        self._table = table
        window = store.table(
            table.aggregate(
                rows=table.count(),
                without_text=(table.words.fill_null(0) == 0).sum(),
                first=table.time.min(),
                last=table.time.max(),
            )
        )
        self.rows = int(window["rows"][0].as_py())
        if self.rows:
            self._without_text = int(window["without_text"][0].as_py())
            self._start = window["first"].cast(pa.int64())[0].as_py()
            self._end = window["last"].cast(pa.int64())[0].as_py() + 1

    def read(self) -> Features:
        self._name_subjects()
        self._width = max(-(-(self._end - self._start) // MAX_SLICES), 1)
        edges = np.minimum(self._start + self._width * np.arange(1, MAX_SLICES + 1), self._end)
        exchanges, tokens_out, flags = self._counts()
        opening = self._opening()
        openings = self._openings(opening)
        return Features(
            subjects=self._subjects.to_pylist(),
            account=self._account,
            edges=edges.astype(np.int64),
            start=self._start,
            rows=self.rows,
            without_text=self._without_text,
            exchanges=exchanges,
            tokens_out=tokens_out,
            openings=openings,
            flags=flags,
            facts={kind: self._fact(kind) for kind in FACTS},
            sample=read_sample(self._store, opening, openings, self._codes, (self._start, self._width, MAX_SLICES)),
        )

    def _opening(self) -> Any:
        return self._table.filter((self._table.words >= MIN_WORDS) & (self._table.turn.fill_null(1) <= 1))

    def texts(self) -> Iterator[tuple[Int32s, Int64s]]:
        """Subject and digest of every opening text, sampled or not, as often as it was sent. After `read`."""
        for batch in self._store.batches(self._opening().select("subject", "text_digest")):
            yield self._codes(batch["subject"]), batch["text_digest"].to_numpy(zero_copy_only=False)

    def _name_subjects(self) -> None:
        table = self._table
        distinct = self._store.table(
            table.group_by("subject").aggregate(account=table.account.min()).order_by("subject")
        )
        self._subjects = distinct["subject"].combine_chunks()
        self.accounts: list[str] = distinct["account"].to_pylist()
        """The account of each subject."""
        codes = distinct["account"].combine_chunks().dictionary_encode().indices
        self._account: Int32s = codes.to_numpy(zero_copy_only=False).astype(np.int32)

    def _slice_of(self) -> Any:
        micros = microseconds(self._table.time)
        return ((micros - self._start) // self._width).clip(0, MAX_SLICES - 1).cast("int16")

    def _codes(self, column: pa.Array) -> Int32s:
        """Subject numbers of a column of names: each distinct name is looked up once per batch."""
        encoded = column.dictionary_encode()
        numbers = pc.index_in(encoded.dictionary, value_set=self._subjects).to_numpy(zero_copy_only=False)
        found: Int32s = numbers.astype(np.int32)[encoded.indices.to_numpy(zero_copy_only=False)]
        return found

    def _counts(self) -> tuple[Int64s, Int64s, Int64s]:
        table = self._table
        per = self._store.table(
            table.group_by(subject=table.subject, slice=self._slice_of()).aggregate(
                exchanges=table.count(),
                tokens_out=table.output_tokens.sum().fill_null(0).cast("int64"),
                **{name: ((table.flags & flag) > 0).sum().fill_null(0).cast("int64") for name, flag in FLAGS.items()},
            )
        )
        code = self._codes(per["subject"].combine_chunks())
        at = per["slice"].to_numpy()
        shape = (len(self._subjects), MAX_SLICES)
        exchanges, tokens = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        exchanges[code, at] = per["exchanges"].to_numpy()
        tokens[code, at] = per["tokens_out"].to_numpy()
        flags = np.zeros((len(self._subjects), len(FLAGS)), dtype=np.int64)
        for i, name in enumerate(FLAGS):
            np.add.at(flags[:, i], code, per[name].to_numpy())
        return exchanges, tokens, flags

    def _openings(self, opening: Any) -> Int64s:
        per = self._store.table(opening.group_by("subject").aggregate(texts=opening.text_digest.nunique()))
        texts = np.zeros(len(self._subjects), dtype=np.int64)
        texts[self._codes(per["subject"].combine_chunks())] = per["texts"].to_numpy()
        return texts

    def _fact(self, kind: str) -> Fact:
        table = self._table.filter(self._table[kind].notnull())
        seen = self._store.table(table.group_by("subject", value=table[kind]).aggregate(first=table.time.min()))
        values = seen["value"].to_pylist()
        if kind == "client_address":
            values = [_network(value) for value in values]
        # In order, so that numbers do not depend on how the engine orders its groups.
        encoded = pa.array(values, pa.string())
        names = pc.unique(encoded).sort()
        first = seen["first"].cast(pa.int64()).to_numpy()
        return Fact(
            subject=self._codes(seen["subject"].combine_chunks()),
            value=pc.index_in(encoded, value_set=names).to_numpy(zero_copy_only=False).astype(np.int32),
            slice=((first - self._start) // self._width).astype(np.int16),
            names=names.to_pylist(),
        )


def _network(address: str) -> str:
    """An IPv6 host changes its address within one /64, so that counts as one place; others stand as they are."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address

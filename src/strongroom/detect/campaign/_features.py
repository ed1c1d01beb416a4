"""What is known of each subject, in sums that can be added in any order: the only part that reads rows in bulk.

Everything is kept per subject and *time slice*, so that the features as they stood at the end of any slice
are a sum over the slices before it; that is how `detected_at` is found without hindsight.

Only opening texts count for what a subject asks: the first user message of a conversation, of at least five
words, each distinct text once per subject. Follow-ups repeat their conversation's subject, and repeats
would weigh what somebody sends often over what somebody asks about.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix

from strongroom.sketch import DIMENSIONS, FLAGS, NO_SHINGLE, SCALE
from strongroom.store import Store

from ._bounded import MIN_SHARED, SeenTexts, SharedShingles

__all__ = ["FACTS", "Fact", "Features", "read_features"]

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

FACTS = ("client_address", "payment_digest", "tls_fingerprint", "credential", "email_domain", "organization")
MIN_WORDS = 5
MAX_SLICES = 14
MAX_SUMS = 400_000
"""Subjects times slices: the sums take 1 KB each. Beyond, there are fewer slices."""


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
    """(subjects, slices), and so are the next two."""
    tokens_out: Int64s
    texts: Int32s
    """Distinct opening texts."""
    sums: Floats
    """Sums of their embeddings, (subjects, slices, 256)."""
    squares: npt.NDArray[np.float64]
    """Sums of their squared lengths, (subjects, slices)."""
    flags: Int64s
    """Exchanges that raise each indicator flag, (subjects, flags)."""
    facts: dict[str, Fact]
    shared_text: tuple[Int32s, Int32s, npt.NDArray[np.int16]]
    """Opening texts that several subjects sent: (subject, text number, slice), n each."""
    shingle: tuple[Int64s, Int32s, npt.NDArray[np.int16], Int32s]
    """Shingles that several subjects use: (shingle, subject, slice, distinct texts), n each."""


def read_features(store: Store, *, since: int | None, until: int | None) -> Features | None:
    """Reads the rows between `since` and `until` (microseconds since 1970). None when there are none."""
    reader = _Reader(store, since, until)
    return reader.read() if reader.rows else None


class _Reader:
    def __init__(self, store: Store, since: int | None, until: int | None) -> None:
        self._store = store
        table = store.exchanges(since, until)
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
            self._start = window["first"][0].value
            self._end = window["last"][0].value + 1

    def read(self) -> Features:
        self._name_subjects()
        n = len(self._subjects)
        slices = int(np.clip(MAX_SUMS // n, 1, MAX_SLICES))
        self._width = max(-(-(self._end - self._start) // slices), 1)
        self._slices = slices
        edges = np.minimum(self._start + self._width * np.arange(1, slices + 1), self._end)
        exchanges, tokens_out, flags = self._counts()
        facts = {kind: self._fact(kind) for kind in FACTS}
        sums, squares, texts, shared_text, kept, shared_slots = self._texts()
        return Features(
            subjects=self._subjects,
            account=self._account,
            edges=edges.astype(np.int64),
            start=self._start,
            rows=self.rows,
            without_text=self._without_text,
            exchanges=exchanges,
            tokens_out=tokens_out,
            texts=texts,
            sums=sums,
            squares=squares,
            flags=flags,
            facts=facts,
            shared_text=shared_text,
            shingle=self._shingles(kept, shared_slots),
        )

    def _name_subjects(self) -> None:
        table = self._table
        distinct = self._store.table(
            table.group_by("subject").aggregate(account=table.account.min()).order_by("subject")
        )
        self._subjects: list[str] = distinct["subject"].to_pylist()
        self._number = {name: i for i, name in enumerate(self._subjects)}
        codes = distinct["account"].combine_chunks().dictionary_encode().indices
        self._account = codes.to_numpy(zero_copy_only=False).astype(np.int32)

    def _slice_of(self) -> Any:
        micros = self._table.time.epoch_seconds() * 1_000_000
        return ((micros - self._start) // self._width).clip(0, self._slices - 1).cast("int16")

    def _codes(self, column: pa.Array) -> Int32s:
        """Subject numbers of a column of names: each distinct name is looked up once per batch."""
        encoded = column.dictionary_encode()
        numbers = np.array([self._number[name] for name in encoded.dictionary.to_pylist()], dtype=np.int32)
        found: Int32s = numbers[encoded.indices.to_numpy(zero_copy_only=False)]
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
        shape = (len(self._subjects), self._slices)
        exchanges, tokens = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        exchanges[code, at] = per["exchanges"].to_numpy()
        tokens[code, at] = per["tokens_out"].to_numpy()
        flags = np.zeros((len(self._subjects), len(FLAGS)), dtype=np.int64)
        for i, name in enumerate(FLAGS):
            np.add.at(flags[:, i], code, per[name].to_numpy())
        return exchanges, tokens, flags

    def _fact(self, kind: str) -> Fact:
        table = self._table.filter(self._table[kind].notnull())
        seen = self._store.table(table.group_by("subject", value=table[kind]).aggregate(first=table.time.min()))
        values = seen["value"].to_pylist()
        if kind == "client_address":
            values = [_network(value) for value in values]
        encoded = pa.array(values, pa.string()).dictionary_encode()
        first = seen["first"].cast(pa.int64()).to_numpy()
        return Fact(
            subject=self._codes(seen["subject"].combine_chunks()),
            value=encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32),
            slice=((first - self._start) // self._width).astype(np.int16),
            names=encoded.dictionary.to_pylist(),
        )

    def _texts(self) -> Any:
        table = self._table
        opening = table.filter((table.words >= MIN_WORDS) & (table.turn.fill_null(1) <= 1))
        query = opening.select("subject", "time", "text_digest", "head", "tail", "minhash", "embedding")
        n, slices = len(self._subjects), self._slices
        sums = np.zeros((n * slices, DIMENSIONS), dtype=np.float32)
        squares = np.zeros(n * slices)
        texts = np.zeros(n * slices, dtype=np.int32)
        seen, shared = SeenTexts(self.rows), SharedShingles(self.rows)
        kept: list[npt.NDArray[np.bool_]] = []
        digests: list[Int64s] = []
        owners: list[Int32s] = []
        times: list[npt.NDArray[np.int16]] = []
        for batch in self._store.batches(query):
            code = self._codes(batch["subject"])
            at = self._slices_of(batch)
            digest = batch["text_digest"].to_numpy()
            new = seen.add(code, digest)
            kept.append(new)
            cell = code[new].astype(np.int64) * slices + at[new]
            _add(sums, squares, texts, cell, _embeddings(batch["embedding"])[new])
            shared.add(*_shingle_pairs(batch, code, new))
            digests.append(digest[new])
            owners.append(code[new])
            times.append(at[new])
        shape = (n, slices)
        return (
            sums.reshape(n, slices, DIMENSIONS),
            squares.reshape(shape),
            texts.reshape(shape),
            _shared_texts(digests, owners, times),
            kept,
            shared,
        )

    def _shingles(
        self, kept: list[npt.NDArray[np.bool_]], shared: SharedShingles
    ) -> tuple[Int64s, Int32s, npt.NDArray[np.int16], Int32s]:
        """The second pass: exact counts for the shingles that the first pass saw with several subjects."""
        table = self._table
        opening = table.filter((table.words >= MIN_WORDS) & (table.turn.fill_null(1) <= 1))
        query = opening.select("subject", "time", "head", "tail", "minhash")
        found: list[Int64s] = []
        owners: list[Int64s] = []
        for batch, new in zip(self._store.batches(query), kept, strict=True):
            code = self._codes(batch["subject"]).astype(np.int64) * self._slices + self._slices_of(batch)
            shingles, cell = _shingle_pairs(batch, code, new)
            chosen = shared.holds(shingles)
            found.append(shingles[chosen])
            owners.append(cell[chosen])
        shingles, cells = _concat(found, np.int64), _concat(owners, np.int64)
        # Count distinct texts per shingle and cell; a text names a shingle once.
        order = np.lexsort((cells, shingles))
        shingles, cells = shingles[order], cells[order]
        first = np.flatnonzero(
            np.concatenate([[True], (shingles[1:] != shingles[:-1]) | (cells[1:] != cells[:-1])])[: len(shingles)]
        )
        counts = np.diff(np.append(first, len(shingles))).astype(np.int32)
        shingles, cells = shingles[first], cells[first]
        subject = (cells // self._slices).astype(np.int32)
        enough = _enough_subjects(shingles, subject)
        at = (cells % self._slices).astype(np.int16)
        return shingles[enough], subject[enough], at[enough], counts[enough]

    def _slices_of(self, batch: pa.RecordBatch) -> npt.NDArray[np.int16]:
        times = batch["time"].cast(pa.int64()).to_numpy()
        slices: npt.NDArray[np.int16] = ((times - self._start) // self._width).astype(np.int16)
        return slices


def _network(address: str) -> str:
    """One IPv6 customer has a /64; an IPv4 address stands for itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4 or parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped or parsed) if parsed.version == 6 else address
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _embeddings(column: pa.Array) -> npt.NDArray[np.int8]:
    """(n, 256), without a copy where every row has its embedding."""
    if column.null_count:
        empty = bytes(DIMENSIONS)
        column = pa.array([value or empty for value in column.to_pylist()], pa.binary())
    data = np.frombuffer(column.buffers()[2], dtype=np.int8)
    first = np.frombuffer(column.buffers()[1], dtype=np.int32)[column.offset]
    return data[first : first + len(column) * DIMENSIONS].reshape(-1, DIMENSIONS)


def _add(
    sums: Floats,
    squares: npt.NDArray[np.float64],
    texts: Int32s,
    cell: Int64s,
    embeddings: npt.NDArray[np.int8],
) -> None:
    if not len(cell):
        return
    order = np.argsort(cell, kind="stable")
    ordered = cell[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    bounds = np.append(first, len(ordered))
    owner = ordered[first]
    vectors = embeddings.astype(np.float32)
    # A sparse matrix of ones adds rows several times faster than ufunc.reduceat does.
    ones = csr_matrix((np.ones(len(order), np.float32), order, bounds), shape=(len(first), len(order)))
    sums[owner] += (ones @ vectors) / np.float32(SCALE)
    squares[owner] += (ones @ np.einsum("ij,ij->i", vectors, vectors)) / SCALE**2
    texts[owner] += np.diff(bounds).astype(np.int32)


def _shingle_pairs(
    batch: pa.RecordBatch, code: npt.NDArray[Any], new: npt.NDArray[np.bool_]
) -> tuple[Int64s, npt.NDArray[Any]]:
    """(shingle, owner) for the head, the tail and the MinHash values of each row that is new."""
    head, tail = batch["head"].fill_null(int(NO_SHINGLE)), batch["tail"].fill_null(int(NO_SHINGLE))
    lists = batch["minhash"]
    lengths = np.diff(lists.offsets.to_numpy())
    row = np.repeat(np.arange(len(code)), lengths)
    chosen = new[row]
    shingles = np.concatenate([head.to_numpy()[new], tail.to_numpy()[new], lists.flatten().to_numpy()[chosen]])
    owner = np.concatenate([code[new], code[new], code[row[chosen]]])
    real = shingles != NO_SHINGLE
    return shingles[real], owner[real]


def _shared_texts(
    digests: list[Int64s], owners: list[Int32s], times: list[npt.NDArray[np.int16]]
) -> tuple[Int32s, Int32s, npt.NDArray[np.int16]]:
    digest = _concat(digests, np.int64)
    order = np.argsort(digest, kind="stable")
    ordered = digest[order]
    same = np.zeros(len(ordered), dtype=bool)
    if len(ordered) > 1:
        equal = ordered[1:] == ordered[:-1]
        same[1:] |= equal
        same[:-1] |= equal
    picked = order[same]
    _, number = np.unique(digest[picked], return_inverse=True)
    return (
        _concat(owners, np.int32)[picked],
        number.astype(np.int32),
        _concat(times, np.int16)[picked],
    )


def _enough_subjects(shingles: Int64s, subject: Int32s) -> npt.NDArray[np.bool_]:
    """Rows (sorted by shingle, then subject) whose shingle at least MIN_SHARED subjects use."""
    if not len(shingles):
        return np.zeros(0, dtype=bool)
    change = np.concatenate([[True], shingles[1:] != shingles[:-1]])
    begins = np.flatnonzero(change)
    another = change | np.concatenate([[True], subject[1:] != subject[:-1]])
    subjects = np.add.reduceat(another.astype(np.int64), begins)
    enough: npt.NDArray[np.bool_] = np.repeat(subjects >= MIN_SHARED, np.diff(np.append(begins, len(shingles))))
    return enough


def _concat(parts: list[Any], kind: Any) -> Any:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)

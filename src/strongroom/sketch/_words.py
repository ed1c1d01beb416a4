"""Texts to word numbers and word vectors: the one pass over a text from which every part of a sketch comes.

The vectors are WordLlama's. Its own `embed` tokenizes whole texts again and again; language repeats its words,
so we tokenize each distinct word once, keep the sum of its token vectors, and a text's embedding is the mean
over its words. On CLINC150 the nearest neighbour has the right intent as often (.82 and .82), several times
faster; `benchmarks/ingest` measures both. Digits count as zeros, so that a template with a number in it stays
one template.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from strongroom.core.errors import StrongroomError

__all__ = ["DIMENSIONS", "MAX_CHARS", "SHINGLE", "TooManyWords", "Vocabulary", "Words", "clip"]

DIMENSIONS = 256
SHINGLE = 5
"""Words in a shingle; every text is followed by SHINGLE - 1 empty words (number 0)."""
MAX_CHARS = 8_192
"""A longer text is sketched from its beginning and its end."""
MAX_VOCABULARY = 1 << 16
"""Distinct words kept; when full, it starts afresh. Bounds memory at 64 MiB."""

_HEAD, _TAIL = 6_144, 2_048
_WORD = re.compile(r"\w{1,32}|[^\w\s]{1,8}")
_DIGITS = str.maketrans("123456789", "000000000")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Words:
    """The word numbers of n texts, one after the other; text i owns `numbers[starts[i]:starts[i + 1]]`."""

    numbers: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Words in each text, without the empty ones at its end."""
        return np.diff(self.starts) - (SHINGLE - 1)


def clip(text: str) -> str:
    """The part of `text` that is sketched, without lone surrogates (they have no UTF-8 form)."""
    if len(text) > MAX_CHARS:
        text = text[:_HEAD] + "\n" + text[-_TAIL:]
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


class TooManyWords(Exception):
    """So many texts at once have more distinct words than a vocabulary holds; half of them may not."""


class Vocabulary:
    """Distinct words with a keyed hash and a vector each. Grows as texts come; not safe for threads.

    Hashes depend on the site's key and on the word alone, never on the order in which words came.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tokenizer, self._token_vectors = _load_model()
        self._numbers: dict[str, int] = {}
        self.hashes = np.zeros(MAX_VOCABULARY, dtype=np.uint64)
        self._vectors = np.zeros((MAX_VOCABULARY, DIMENSIONS), dtype=np.float32)

    def read(self, texts: list[str]) -> Words:
        """Word numbers of each text; a text must have passed `clip`. Numbers hold until the next call.

        Raises TooManyWords, never for a single text.
        """
        split = [_WORD.findall(text.translate(_DIGITS)) for text in texts]
        numbers = self._numbers
        new = {word for words in split for word in words if word not in numbers}
        if len(numbers) + len(new) >= MAX_VOCABULARY:
            numbers.clear()
            new = set(itertools.chain.from_iterable(split))
            if len(new) >= MAX_VOCABULARY:
                raise TooManyWords
        if new:
            self._learn(sorted(new))
        end = (0,) * (SHINGLE - 1)
        parts = [[*map(numbers.__getitem__, words), *end] for words in split]
        starts = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum([len(part) for part in parts], out=starts[1:])
        flat = itertools.chain.from_iterable(parts)
        return Words(np.fromiter(flat, dtype=np.int32, count=int(starts[-1])), starts)

    def embed(self, words: Words) -> Floats:
        """Mean word vector of each text, scaled to length 1; zeros for a text without words. (n, 256)."""
        summed = _rows(words.numbers, words.starts, MAX_VOCABULARY) @ self._vectors
        lengths = np.sqrt(np.einsum("ij,ij->i", summed, summed))
        embedded: Floats = summed / np.maximum(lengths, 1e-12)[:, None]
        return embedded

    def _learn(self, new: list[str]) -> None:
        first = len(self._numbers) + 1  # 0 is the empty word
        last = first + len(new)
        encodings = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
        lists = [encoding.ids for encoding in encodings]
        starts = np.cumsum([0, *map(len, lists)])
        ids = np.fromiter(itertools.chain.from_iterable(lists), dtype=np.int32, count=int(starts[-1]))
        self._vectors[first:last] = _rows(ids, starts, len(self._token_vectors)) @ self._token_vectors
        digests = [blake2b(word.encode(), digest_size=8, key=self._key).digest() for word in new]
        self.hashes[first:last] = np.frombuffer(b"".join(digests), dtype="<u8")
        self._numbers.update(zip(new, range(first, last), strict=True))


def _rows(columns: npt.NDArray[np.int32], starts: npt.NDArray[np.int64], width: int) -> Any:
    """A sparse matrix; times a dense one it sums, for each i, the rows `columns[starts[i]:starts[i + 1]]`."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(columns), dtype=np.float32)
    return csr_matrix((ones, columns, starts), shape=(len(starts) - 1, width))


def _load_model() -> tuple[Any, Floats]:
    """WordLlama's tokenizer and token vectors, read from its installed package: nothing is downloaded."""
    # One thread: the pipeline already runs one process on each core.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    # find_spec and not import: importing wordllama takes half a second and configures logging.
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise StrongroomError("the package wordllama is not installed", next="reinstall strongroom")
    package = Path(spec.origin).parent
    tokenizer_file = package / "tokenizers" / "l2_supercat_tokenizer_config.json"
    weights_file = package / "weights" / "l2_supercat_256.safetensors"
    if not tokenizer_file.exists() or not weights_file.exists():
        raise StrongroomError(
            "wordllama's files are not where they should be", where=str(package), next="reinstall strongroom"
        )
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    vectors = load_file(str(weights_file))["embedding.weight"].astype(np.float32)
    return tokenizer, np.ascontiguousarray(vectors)

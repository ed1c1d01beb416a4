"""Honest subjects from what is installed on this machine: Python modules, their docs and docstrings.

One file is one subject. Blocks that occur in two files (licence headers, generated boilerplate) are dropped from the
second: they would link people who have nothing to do with each other. Files come in turn from different directories,
because neighbours resemble each other. `half` keeps the packages whose name hashes to 0 or to 1: two disjoint worlds.
"""

from __future__ import annotations

import os
import sysconfig
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

ENDINGS = (".py", ".md", ".rst", ".txt")
SMALLEST_FILE, LARGEST_READ = 5_000, 60_000
SMALLEST_SUBJECT = 3_000
_BLOCK, _SHORTEST_BLOCK = 700, 60
_SKIPPED = frozenset({"__pycache__", "idlelib", "data", "datasets", "lib2to3", "_vendor", "licenses"})
_LATER = frozenset(
    {"OpenSSL", "asn1crypto", "blake3", "cedarpy", "dns", "email_validator", "google", "id"}
    | {"in_toto_attestation", "jwt"}
    | {"mfusepy.py", "model_signing", "pkcs11", "platformdirs", "prometheus_client", "psycopg"}
    | {"psycopg_binary", "rekor_types", "rfc3161_client", "securesystemslib"}
    | {"sigstore", "sigstore_models", "tuf"}
)
"""What came into the locked environments after worlds were judged: with it every seed would be another world."""


def subjects(seed: int, enough: int, half: int | None = None) -> list[tuple[str, tuple[str, ...]]]:
    """Subjects as (name, texts) with `enough` characters together, or as many as there are."""
    rng = np.random.default_rng([seed, 0x5EED])
    seen: set[int] = set()
    found: list[tuple[str, tuple[str, ...]]] = []
    for name, text in _files(rng, half):
        texts = _blocks(text, seen)
        size = sum(map(len, texts))
        if size < SMALLEST_SUBJECT:
            continue
        found.append((name, texts))
        enough -= size
        if enough <= 0:
            break
    return found


def half_of(package: str) -> int:
    """In which of two worlds a package or top directory is.

    >>> half_of("numpy") in (0, 1)
    True
    """
    return zlib.crc32(f"{package}/1".encode()) % 2


def _roots() -> list[Path]:
    paths = sysconfig.get_paths()
    return [Path(p) for p in dict.fromkeys((paths["stdlib"], paths["purelib"], paths["platlib"]))]


def _files(rng: np.random.Generator, half: int | None) -> Iterator[tuple[str, str]]:
    """Files of all directories, one from each directory in turn, in random order."""
    directories: list[list[Path]] = []
    for root in _roots():
        for here, below, names in os.walk(root):
            at_root = here == str(root)
            left_out = _LATER | {"site-packages"} if at_root else frozenset()
            below[:] = sorted(d for d in below if d not in _SKIPPED and d not in left_out)
            chosen = sorted(n for n in names if n.endswith(ENDINGS) and n not in left_out)
            paths = [p for n in chosen if (p := Path(here, n)).stat().st_size >= SMALLEST_FILE]
            paths = [p for p in paths if half is None or half_of(p.relative_to(root).parts[0]) == half]
            if paths:
                directories.append([paths[int(i)] for i in rng.permutation(len(paths))])
    order = [directories[int(i)] for i in rng.permutation(len(directories))]
    turn = 0
    while order:
        for paths in order:
            text = _read(paths[turn])
            if text:
                yield str(paths[turn]), text
        turn += 1
        order = [paths for paths in order if len(paths) > turn]


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="strict") as file:
            text = file.read(LARGEST_READ)
    except (OSError, UnicodeDecodeError):
        return ""
    lines = text.count("\n") + 1
    # Tables of numbers, keys and bundled archives are nobody's subject.
    letters = sum(map(str.isalpha, text[2000:4000]))
    return text if len(text) / lines < 200 and letters > 900 else ""


def _blocks(text: str, seen: set[int]) -> tuple[str, ...]:
    """Paragraphs joined to blocks of a few hundred characters, without those that others have."""
    blocks: list[str] = []
    current = ""
    for paragraph in _paragraphs(text):
        key = hash_text(paragraph)
        if key in seen:
            continue
        seen.add(key)
        if current and len(current) + len(paragraph) > _BLOCK:
            blocks.append(current)
            current = ""
        current = f"{current}\n{paragraph}" if current else paragraph[: 2 * _BLOCK]
    if len(current) >= _SHORTEST_BLOCK:
        blocks.append(current)
    return tuple(blocks)


def _paragraphs(text: str) -> Iterable[str]:
    for part in text.split("\n\n"):
        stripped = part.strip("\n").rstrip()
        if len(stripped) >= 30 and not stripped.startswith(("# Copyright", "import ", "from ", "# Licensed")):
            yield stripped


def hash_text(text: str) -> int:
    """A digest for finding equal blocks; equal in every process, as `hash` is not.

    >>> hash_text("a  b") == hash_text("a b")
    True
    """
    squeezed = " ".join(text.split()).encode()
    return zlib.crc32(squeezed) << 32 | zlib.adler32(squeezed)

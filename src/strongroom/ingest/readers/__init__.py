"""The log formats that Strongroom reads, one module each, and how one is chosen.

`recognise` takes the reader that is surest of a sample; `reader_named` takes the user's word. Readers of
third parties join through the entry point group `strongroom.readers` (see `strongroom.ingest.reader`).

>>> [reader.name for reader in builtin_readers()][0]
'exchange-log'
"""

from __future__ import annotations

from ._registry import all_readers, builtin_readers, reader_named, recognise
from .mapped import MappedReader, parse_mapping

__all__ = [
    "MappedReader",
    "all_readers",
    "builtin_readers",
    "parse_mapping",
    "reader_named",
    "recognise",
]

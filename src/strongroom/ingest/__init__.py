"""Log files of any supported format to rows in the store, with a sketch in the place of each text.

Third parties write readers against `strongroom.ingest.reader`.
"""

from ._follow import Follower
from ._ingest import IngestReport, Progress, SourceReport, ingest
from ._sources import readable
from ._work import Settings
from .readers import MappedReader, all_readers, parse_mapping, reader_named

__all__ = [
    "Follower",
    "IngestReport",
    "MappedReader",
    "Progress",
    "Settings",
    "SourceReport",
    "all_readers",
    "ingest",
    "parse_mapping",
    "readable",
    "reader_named",
]

"""Log files of any supported format to rows in the store, with a sketch in the place of each text.

Third parties write readers against `strongroom.ingest.reader`.
"""

from ._ingest import IngestReport, Progress, SourceReport, ingest
from ._work import Settings
from .readers import all_readers, reader_named

__all__ = ["IngestReport", "Progress", "Settings", "SourceReport", "all_readers", "ingest", "reader_named"]

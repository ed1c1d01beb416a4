"""How a site's own commands put events on record: one at a time, so that none holds the ledger's lock for long."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.records import Entry

if TYPE_CHECKING:
    from ..ledger import Sequencer

__all__ = ["RECORD_SECONDS", "HeldRecorder", "NoRecorder", "PatientRecorder"]

RECORD_SECONDS = 20.0
"""How long an event waits for other commands of the site to be done with the ledger."""


class NoRecorder:
    """Of a site without a ledger: nothing is on record, and whoever asks is told so."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify

    def append(self, entry: Entry) -> int:
        """See `Recorder`."""
        what = f"{entry.body['action']} of {entry.body['asset']}"
        self._notify(f"not recorded: {what}; name a site with a ledger to have it on record")
        return -1


class HeldRecorder:
    """Of a process that holds the ledger: threads that come at once share a commit."""

    def __init__(self, admitted: Callable[[Entry], bytes], sequencer: Sequencer) -> None:
        self._admitted, self._sequencer = admitted, sequencer

    def append(self, entry: Entry) -> int:
        """See `Recorder`."""
        return self._sequencer.append_many([self._admitted(entry)])[0]


class PatientRecorder:
    """Many processes that open one model at once have a turn each."""

    def __init__(self, record: Callable[[Entry], int]) -> None:
        self._record = record

    def append(self, entry: Entry) -> int:
        """See `Recorder`."""
        from ..ledger import AnotherSequencer

        ends = time.monotonic() + RECORD_SECONDS
        while True:
            try:
                return self._record(entry)
            except AnotherSequencer:
                if time.monotonic() >= ends:
                    raise
                time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - it only keeps them apart

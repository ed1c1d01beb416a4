"""Sends each published checkpoint to where it is kept, behind the sequencer's back: a slow witness holds nobody up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..core.errors import IntegrityError, StrongroomError
from ._anchors import Anchor, WitnessAddress, keep_everywhere
from ._checkpoint import SignedCheckpoint
from ._commit import Committed
from ._notes import SignatureLine, VerifierKey
from ._open import read_keys
from ._reader import LogReader
from ._storage import Source
from ._witness_client import cosign

__all__ = ["Anchoring"]

COSIGN_SECONDS = 1.0
"""At least this long from one round of witnesses to the next."""
KEEP_SECONDS = 60.0
"""At least this long from one copy to the next."""
RETRY_SECONDS = 60.0
"""How long after a witness did not cosign it is asked again, where nothing new is to be cosigned."""


class Anchoring:
    """One thread. It owns what the witnesses are known to have seen."""

    def __init__(
        self,
        source: Source,
        key: VerifierKey,
        witnesses: Sequence[WitnessAddress],
        anchors: Sequence[Anchor],
        notify: Callable[[str], None],
    ) -> None:
        self._source, self._key = source, key
        self._witnesses, self._anchors = list(witnesses), list(anchors)
        self._tell = notify
        self._cosigned: Callable[[Committed, list[SignatureLine]], None] | None = None
        self._seen = dict.fromkeys((witness.url for witness in witnesses), 0)
        self._latest: Committed | None = None
        self._done: Committed | None = None
        self._refused = False
        """Whether a witness did not cosign what was sent last."""
        self._tried: Committed | None = None
        """What was last sent to the copies, when, and whether all of them have it."""
        self._tried_at = float("-inf")
        self._all_kept = True
        self._closing = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="ledger_anchoring", daemon=True)

    def start(self, cosigned: Callable[[Committed, list[SignatureLine]], None], committed: Committed) -> None:
        """Starts the thread, which calls `cosigned` with what the witnesses signed.

        `committed` is what is published already: it is sent too, since who sent it last may have found nobody.
        """
        self._cosigned = cosigned
        if self._witnesses or self._anchors:
            if committed.checkpoint.size:
                self._latest = self._latest or committed
            self._thread.start()

    def published(self, committed: Committed) -> None:
        """There is a newer checkpoint. Returns at once."""
        with self._wake:
            self._latest = committed
            self._wake.notify_all()

    def close(self) -> None:
        """Sends the last checkpoint everywhere, and stops."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        self._pause()  # a command that appends and ends sends one checkpoint, not two
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closing or self._latest is not self._done, self._idle_seconds())
                latest, last = self._latest, self._closing
            if latest is not None:
                if latest is not self._done or (self._refused and not last):
                    self._cosign(latest)
                if self._tried is not latest if last else self._keep_seconds(latest) == 0.0:
                    self._keep(latest)
                self._done = latest
            if last:
                return
            self._pause()

    def _pause(self) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._closing, COSIGN_SECONDS)

    def _idle_seconds(self) -> float | None:
        """When somebody is to be sent the last one again, or for the first time; None when all have it."""
        if self._done is None:
            return None
        times = [self._keep_seconds(self._done), RETRY_SECONDS if self._refused else None]
        return min((time for time in times if time is not None), default=None)

    def _keep_seconds(self, committed: Committed) -> float | None:
        """When the copies are to be sent this checkpoint; None when they have it."""
        if not self._anchors or (self._tried is committed and self._all_kept):
            return None
        return max(0.0, self._tried_at + KEEP_SECONDS - time.monotonic())

    def _cosign(self, committed: Committed) -> None:
        if not self._witnesses:
            return
        # At once: one that does not answer takes as long as all of them.
        with ThreadPoolExecutor(len(self._witnesses)) as threads:
            answers = threads.map(lambda witness: self._ask(witness, committed), self._witnesses)
            lines = [line for line in answers if line is not None]
        self._refused = len(lines) < len(self._witnesses)
        if lines and self._cosigned is not None:
            try:
                self._cosigned(committed, lines)
            except StrongroomError as error:
                self._notify(f"cosignatures were not written: {error}")

    def _keep(self, committed: Committed) -> None:
        self._tried, self._tried_at = committed, time.monotonic()
        if not self._anchors:
            return
        try:
            keys = read_keys(self._source, "keys")
        except StrongroomError as error:
            self._notify(f"a checkpoint was not kept anywhere: {error}")
            self._all_kept = False
            return
        reader = self._reader(committed)
        kept = keep_everywhere(self._anchors, committed, keys, reader, self._notify)
        self._all_kept = kept == len(self._anchors)

    def _notify(self, text: str) -> None:
        with contextlib.suppress(Exception):  # who cannot be told does not stop the alarms that come later
            self._tell(text)

    def _reader(self, committed: Committed) -> LogReader:
        return LogReader(self._source, SignedCheckpoint(committed.checkpoint, committed.note, self._key, {}))

    def _ask(self, witness: WitnessAddress, committed: Committed) -> SignatureLine | None:
        reader = self._reader(committed)
        try:
            line = cosign(
                witness.url,
                old_size=self._seen[witness.url],
                note=committed.note,
                prove=lambda old, new: reader.prove_consistency(old),
                witness=witness.key,
            )
        except IntegrityError as error:
            self._notify(f"ALARM: witness {witness.key.name}: {error}")
            return None
        except StrongroomError as error:
            self._notify(f"witness {witness.key.name} did not cosign: {error}")
            return None
        self._seen[witness.url] = committed.checkpoint.size
        return line

"""Sends each published checkpoint to where it is kept, behind the sequencer's back: a slow witness holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from ..core.errors import IntegrityError, StrongroomError
from ._anchors import Anchor, WitnessAddress, keep_everywhere
from ._checkpoint import SignedCheckpoint
from ._notes import SignatureLine, VerifierKey
from ._reader import LogReader
from ._sequencer import Committed
from ._storage import Source
from ._witness_client import cosign

__all__ = ["Anchoring"]

COSIGN_SECONDS = 1.0
"""At least this long from one round of witnesses to the next."""
KEEP_SECONDS = 60.0
"""At least this long from one copy to the next."""


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
        self._notify = notify
        self._cosigned: Callable[[Committed, list[SignatureLine]], None] | None = None
        self._seen = dict.fromkeys((witness.url for witness in witnesses), 0)
        self._latest: Committed | None = None
        self._kept_at = float("-inf")
        self._kept_size = -1
        self._closing = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="ledger_anchoring", daemon=True)

    def start(self, cosigned: Callable[[Committed, list[SignatureLine]], None]) -> None:
        """Starts the thread, which calls `cosigned` with what the witnesses signed."""
        self._cosigned = cosigned
        if self._witnesses or self._anchors:
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
        done: Committed | None = None
        while True:
            with self._wake:
                while self._latest is done and not self._closing:
                    self._wake.wait()
                latest, last = self._latest, self._closing
            if latest is not None and latest is not done:
                self._round(latest, last=last)
                done = latest
            if last:
                if latest is not None and self._kept_size != latest.checkpoint.size:
                    self._keep(latest)
                return
            with self._wake:
                self._wake.wait_for(lambda: self._closing, COSIGN_SECONDS)

    def _round(self, committed: Committed, *, last: bool) -> None:
        lines = [line for witness in self._witnesses if (line := self._ask(witness, committed)) is not None]
        if lines and self._cosigned is not None:
            try:
                self._cosigned(committed, lines)
            except StrongroomError as error:
                self._notify(f"cosignatures were not written: {error}")
        if last or time.monotonic() - self._kept_at >= KEEP_SECONDS:
            self._keep(committed)

    def _keep(self, committed: Committed) -> None:
        self._kept_at, self._kept_size = time.monotonic(), committed.checkpoint.size
        keep_everywhere(self._anchors, committed, self._notify)

    def _ask(self, witness: WitnessAddress, committed: Committed) -> SignatureLine | None:
        signed = SignedCheckpoint(committed.checkpoint, committed.note, self._key, {})
        reader = LogReader(self._source, signed)
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

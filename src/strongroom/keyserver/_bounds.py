"""How many are served at once, and how often one may ask: nobody keeps the others from being served.

Who is identified waits for a turn among few threads; who asks too often, is refused too often, or holds too many turns
is told to come again, and that is not on record: nobody fills the ledger with refusals either.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from ..core.errors import StrongroomError
from ._identify import Asker

__all__ = ["BURST", "MAX_OF_ONE", "MAX_TURNS", "PER_SECOND", "Bounds", "Busy"]

MAX_TURNS = 512
"""Requests of those who are identified, at once; most of them wait."""
MAX_OF_ONE = 256
"""Of one principal."""
MAX_IDENTIFYING = 64
"""Requests whose credential is being checked, at once."""
MAX_CHECKING = 8
"""Threads in which credentials are checked: an issuer that does not answer holds up those who wait for it alone."""
MAX_LARGE = 4
"""Requests of more than `LARGE_BYTES` that are in memory at once, each of another principal."""
LARGE_BYTES = 1 << 20
PER_SECOND, BURST = 50.0, 500.0
"""Requests of one principal: on average, and at once after a pause."""
REFUSED_COUNTS = 25
"""As how many requests one counts that was refused: each is an entry of the ledger."""
MAX_KNOWN = 10_000
"""Principals whose requests are counted; the longest silent is forgotten first, and has its burst again."""


class Busy(StrongroomError):
    """To be asked again, a little later."""

    code = "busy"

    def __init__(self) -> None:
        super().__init__("the key service is busy", next="try again")


class Bounds:
    """Of one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turns: Counter[str] = Counter()
        self._identifying = 0
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._large: set[str] = set()
        self._checking = CapacityLimiter(MAX_CHECKING)

    @property
    def serving(self) -> int:
        """Requests of those who are identified."""
        return self._turns.total()

    @contextlib.contextmanager
    def identifying(self) -> Iterator[None]:
        """While a credential is checked. Raises Busy."""
        if self._identifying >= MAX_IDENTIFYING:
            raise Busy
        self._identifying += 1
        try:
            yield
        finally:
            self._identifying -= 1

    async def checked(self, request: Request, identify: Callable[[Request], Asker]) -> Asker:
        """Who asks, found out in a thread. Who shows nothing that could need an issuer waits for none."""
        limiter = self._checking if "authorization" in request.headers else None
        return await to_thread.run_sync(identify, request, limiter=limiter)

    @contextlib.asynccontextmanager
    async def turn(self, principal: str, length: int | None) -> AsyncIterator[None]:
        """While somebody is served; `length`: of the body, where it was said. Raises Busy."""
        if self._turns[principal] >= MAX_OF_ONE or self._turns.total() >= MAX_TURNS or not self._spend(principal, 1):
            raise Busy
        self._turns[principal] += 1
        try:
            with self._reading(principal) if length is None or length > LARGE_BYTES else contextlib.nullcontext():
                yield
        finally:
            self._turns[principal] -= 1
            if not self._turns[principal]:
                del self._turns[principal]

    @contextlib.contextmanager
    def _reading(self, principal: str) -> Iterator[None]:
        """While a large request is in memory. Raises Busy: whoever sends slowly keeps nobody else waiting."""
        if principal in self._large or len(self._large) >= MAX_LARGE:
            raise Busy
        self._large.add(principal)
        try:
            yield
        finally:
            self._large.discard(principal)

    def refused(self, principal: str) -> None:
        """Somebody's request was refused, and that is on record."""
        self._spend(principal, REFUSED_COUNTS - 1)

    def _spend(self, principal: str, requests: int) -> bool:
        """A token bucket; False, and nothing spent, where it is empty."""
        now = self._clock()
        left, since = self._left.pop(principal, (BURST, now))
        left = min(BURST, left + (now - since) * PER_SECOND)
        enough = left >= 1
        self._left[principal] = (max(left - requests, 0.0) if enough else left, now)
        while len(self._left) > MAX_KNOWN:
            self._left.popitem(last=False)
        return enough

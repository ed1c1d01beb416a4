"""The site's API on its Unix socket: other processes append to the ledger through it.

    POST /v1/ledger/entries     entries, one canonical JSON a line -> {"first", "last"} once all are durable
    GET  /v1/ledger/checkpoint  the published checkpoint
    GET  /v1/status             sizes, queue, reserve, counted refusals

Who asks is told by the kernel (the peer's uid) and by a writer's token; both must fit. A writer writes only the
types that it was made for, under its own name. Refusals are counted and put on record in aggregate, once a minute
at most: a stranger cannot fill the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..audit import ACCESS
from ..core.clock import Clock, format_time, now
from ..core.errors import InputError, RefusedError, StrongroomError
from ..core.records import Entry
from ..ledger import RESERVED, Sequencer, decode_entry, encode_entry
from ..serving import Refusals, answer_error, peer_uid, read_body
from ..site import OWN_WRITER, Site
from ..state import Writer

__all__ = ["site_app"]

MAX_BODY_BYTES = 16 << 20
MAX_ENTRIES = 65_536
REFUSALS_SECONDS = 60.0
"""How often counted refusals are put on record."""
WATCH_SECONDS = 1.0


def site_app(
    site: Site,
    sequencer: Sequencer,
    *,
    clock: Clock = now,
    notify: Callable[[str], None] = lambda text: None,
    refusals: Refusals | None = None,
    refusals_seconds: float = REFUSALS_SECONDS,
    failed_for_good: Callable[[], None] = lambda: None,
) -> Starlette:
    """The app. The sequencer is opened and closed by whoever makes it.

    `refusals` may be counted by other doors of the process too. `failed_for_good` is called when it cannot go on: the
    next start reads what the disk holds.
    """
    refused = refusals or Refusals()
    door = _Door(site, refused)
    shared = bool(site.configuration.state.url)

    async def admit(request: Request) -> Writer:
        """In a thread where a database elsewhere is asked: others are served while it does not answer."""
        return await run_in_threadpool(door.admit, request) if shared else door.admit(request)

    async def append(request: Request) -> Response:
        writer = await admit(request)
        lines = _lines(await read_body(request, MAX_BODY_BYTES))
        if len(lines) == 1 and ACCESS.encode() not in lines[0]:
            # Without a thread: many single ones share a commit. Access events ask the state database first.
            # Shielded: an entry that is on its way stays so, whatever becomes of the request.
            index = await asyncio.shield(
                asyncio.wrap_future(sequencer.append_nowait(_admitted(lines[0], writer, site)))
            )
            return JSONResponse({"first": index, "last": index})
        indices = await run_in_threadpool(append_all, lines, writer)
        return JSONResponse({"first": indices[0], "last": indices[-1]})

    def append_all(lines: list[bytes], writer: Writer) -> range:
        return sequencer.append_many([_admitted(line, writer, site) for line in lines])

    async def checkpoint(request: Request) -> Response:
        await admit(request)
        return Response(sequencer.published.note, media_type="text/plain")

    async def status(request: Request) -> Response:
        await admit(request)
        return JSONResponse({**sequencer.status(), "refusals": refused.counted()})

    async def count_refusals() -> None:
        while True:
            await asyncio.sleep(refusals_seconds)
            await run_in_threadpool(_record_refusals, refused, sequencer, clock, notify)

    async def watch() -> None:
        while not sequencer.status()["failure"]:
            await asyncio.sleep(WATCH_SECONDS)
        failed_for_good()

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(count_refusals()), asyncio.create_task(watch())]
        yield
        for task in tasks:
            task.cancel()
        await run_in_threadpool(_record_refusals, refused, sequencer, clock, notify)

    return Starlette(
        routes=[
            Route("/v1/ledger/entries", append, methods=["POST"]),
            Route("/v1/ledger/checkpoint", checkpoint, methods=["GET"]),
            Route("/v1/status", status, methods=["GET"]),
        ],
        exception_handlers={StrongroomError: answer_error},
        lifespan=lifespan,
    )


class _Door:
    """Admits writers, and counts whom it refuses."""

    def __init__(self, site: Site, refusals: Refusals) -> None:
        self._site, self._refusals = site, refusals
        self._known: dict[str, Writer] = {}
        self._stamp: tuple[int, ...] = ()

    def admit(self, request: Request) -> Writer:
        uid = peer_uid(request.scope)
        if uid is None:
            raise self._refuse("not over the Unix socket")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise self._refuse(f"uid {uid}: no token")
        digest = hashlib.sha256(token.encode()).hexdigest()
        writer = self._writer(digest)
        if writer is None or not hmac.compare_digest(writer.token_digest, digest):
            raise self._refuse(f"uid {uid}: unknown token")
        if uid != (os.getuid() if writer.uid is None else writer.uid):
            raise self._refuse(f"uid {uid}: the token of another user")
        return writer

    def _writer(self, digest: str) -> Writer | None:
        """Looked up once, until the state changes: a writer that was removed is refused from then on."""
        stamp = self._site.state.stamp()
        if stamp != self._stamp:
            self._known, self._stamp = {}, stamp
        if digest not in self._known:
            found = self._site.state.writer_by_token_digest(digest)
            if found is None:
                return None
            self._known[digest] = found
        return self._known[digest]

    def _refuse(self, reason: str) -> RefusedError:
        self._refusals.count(reason)
        return RefusedError("this writer is not known here", next="see 'strongroom ledger writer'")


def _admitted(line: bytes, writer: Writer, site: Site) -> bytes:
    """A writer's entry as it goes on record: canonical, of a type that it may write, in its own name."""
    entry = decode_entry(line)
    if not {entry.type, "*"} & set(writer.types) or entry.type.startswith(RESERVED):
        raise RefusedError(f"writer {writer.name} may not write entries of type {entry.type}")
    # The site's own commands pass on what files say; everybody else writes in their own name.
    return site.admitted(entry, entry.writer if writer.name == OWN_WRITER else writer.name)


def _lines(body: bytes) -> list[bytes]:
    if body.count(b"\n") > MAX_ENTRIES:  # before they are cut apart
        raise InputError(f"a request has at most {MAX_ENTRIES:,} entries", next="send fewer")
    lines = body.removesuffix(b"\n").split(b"\n")
    if len(lines) > MAX_ENTRIES:
        raise InputError(f"a request has at most {MAX_ENTRIES:,} entries", next="send fewer")
    return lines


def _record_refusals(refusals: Refusals, sequencer: Sequencer, clock: Clock, notify: Callable[[str], None]) -> None:
    counted = refusals.take()
    if not counted:
        return
    entry = Entry(type=f"{RESERVED}refusals/1", time=format_time(clock()), writer="ledger", body={"refused": counted})
    notify(f"{sum(counted.values()):,} requests were refused in the last minute")
    try:
        sequencer.unsafe_append_many([encode_entry(entry)])
    except StrongroomError as error:
        notify(f"refusals were not put on record: {error}")

"""C2SP tlog-witness over HTTP: `Witness` behind two routes. No authentication, as the specification has it.

Bounds: a body is read up to MAX_REQUEST_BYTES and for BODY_SECONDS; what a request holds is `Witness`'s to judge.
"""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.clock import Clock, now
from ..ledger import MAX_REQUEST_BYTES, Answer, Witness

__all__ = ["witness_app"]

BODY_SECONDS = 10.0
TEXT_TYPE = "text/plain; charset=utf-8"


def witness_app(witness: Witness, *, clock: Clock = now, body_seconds: float = BODY_SECONDS) -> Starlette:
    """`POST /add-checkpoint` and `GET /<origin hash>/checkpoint`: submission and monitoring under one prefix."""

    async def add_checkpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(body_seconds):
                body = await _read(request)
        except TimeoutError:
            return _closing(408, "the request did not arrive in time")
        except ClientDisconnect:
            return _closing(400, "the client left")
        if body is None:
            return _closing(413, f"a request has at most {MAX_REQUEST_BYTES} bytes")
        # In a thread: signing may ask another process, and storing waits for the disk.
        return _response(await run_in_threadpool(witness.add_checkpoint, body, clock() // 1_000_000))

    async def checkpoint(request: Request) -> Response:
        note = witness.latest(request.path_params["name"])
        if note is None:
            return _response(Answer(404, TEXT_TYPE, b"this witness never cosigned a checkpoint of that log\n"))
        return _response(Answer(200, TEXT_TYPE, note))

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{name}/checkpoint", checkpoint, methods=["GET"]),
        ]
    )


async def _read(request: Request) -> bytes | None:
    """The body, or None as soon as it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_REQUEST_BYTES:
            return None
    return bytes(body)


def _response(answer: Answer) -> Response:
    # As a header: given as a media type, Starlette would add a charset to text/x.tlog.size.
    return Response(answer.body, answer.status, headers={"content-type": answer.content_type})


def _closing(status: int, text: str) -> Response:
    """An answer before the request ended; what is left of it is not waited for."""
    return Response(f"{text}\n", status, headers={"content-type": TEXT_TYPE, "connection": "close"})

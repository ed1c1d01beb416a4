"""Bodies of requests, in bounds, and errors as answers."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ..core.errors import InputError, StrongroomError

__all__ = ["BODY_SECONDS", "answer_error", "read_body"]

BODY_SECONDS = 30.0
_STATUS = {
    "input": 400,
    "usage": 400,
    "refused": 403,
    "not-identified": 401,
    "integrity": 500,
    "busy": 503,
    "failed": 503,
}


async def read_body(request: Request, limit: int) -> bytes:
    """All of it. Raises InputError for more than `limit` bytes, and for one that is not there in BODY_SECONDS."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise InputError(f"a request has at most {limit:,} bytes", next="send less at once")
    except TimeoutError:
        raise InputError("the request did not arrive in time") from None
    except ClientDisconnect:
        raise InputError("the client left") from None
    return bytes(body)


async def answer_error(request: Request, error: Exception) -> Response:
    """An exception handler for `StrongroomError`: design.md's `{"error": …}`."""
    assert isinstance(error, StrongroomError)
    return JSONResponse(error.as_dict(), _STATUS.get(error.code, 500))

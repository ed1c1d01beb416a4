"""A log's public files over HTTP, as C2SP tlog-tiles asks: any web server could do the same."""

from __future__ import annotations

import re

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ..core.errors import StrongroomError
from ..ledger import MAX_FILE_BYTES, Source

__all__ = ["log_app"]

_TILE = re.compile(r"tile/(?:entries|[0-9]|[1-5][0-9]|6[0-3])/(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?")
_TEXTS = ("checkpoint", "cosigned", "keys")


def log_app(source: Source) -> Starlette:
    """Serves checkpoint, keys and tiles, and nothing else that may lie beside them."""

    async def file(request: Request) -> Response:
        path = request.path_params["path"]
        if path not in _TEXTS and not _TILE.fullmatch(path):
            return PlainTextResponse("a log has no such file\n", 404)
        try:
            data = await run_in_threadpool(source.read, path, MAX_FILE_BYTES)
        except StrongroomError:
            return PlainTextResponse("the file cannot be read\n", 503)
        if data is None:
            return PlainTextResponse("a log has no such file\n", 404)
        if path in _TEXTS:
            return PlainTextResponse(data, headers={"cache-control": "no-cache"})
        return Response(
            data,
            media_type="application/octet-stream",
            headers={"cache-control": "public, max-age=31536000, immutable"},
        )

    return Starlette(routes=[Route("/{path:path}", file, methods=["GET", "HEAD"])])

"""The key service over HTTP: `vault._wire` says what is asked and answered.

Each request goes the same way: who asks (1, before anything of the body is read); a turn (2); the body, bounded in
bytes and seconds (3); what is asked, in a thread (4). Who is not identified is counted, and on record in aggregate.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ..core.errors import InputError, RefusedError, StrongroomError
from ..identity import NotIdentified
from ..serving import Refusals, answer_error, read_body
from ..vault import NoteRequest, PermitRequest, ReleaseRequest, SignRequest
from ._bounds import Bounds, Busy
from ._identify import Asker, Identify
from ._metrics import Metrics
from ._service import KeyService

__all__ = ["key_app", "metrics_app"]

MAX_REQUEST_BYTES = 128 << 20
"""A signed manifest of as many files as an object can have, in base64."""
T = TypeVar("T", bound=msgspec.Struct)
Handler = Callable[[Request], Awaitable[Response]]


def key_app(
    service: KeyService,
    identify: Identify,
    *,
    refusals: Refusals,
    metrics: Metrics,
    healthy: Callable[[], bool],
    notify: Callable[[str], None] = lambda text: None,
) -> Starlette:
    """The app, for one server: each has bounds of its own. `notify` is told of failures that are not the asker's."""
    bounds = Bounds()
    metrics.watch(lambda: bounds.serving)

    def answering(operation: str, act: Callable[[Asker, Request, bytes], Any]) -> Handler:
        async def handle(request: Request) -> Response:
            begun = time.monotonic()
            try:
                answer = await serve(request, act)
            except NotIdentified as error:
                refusals.count(f"key service, {error.method}: {error.reason}")
                metrics.refused(error.reason)
                raise
            except StrongroomError as error:
                metrics.count(operation, error.code, time.monotonic() - begun)
                if not isinstance(error, RefusedError | InputError | Busy):
                    notify(f"{operation}: {error}")
                raise
            metrics.count(operation, "done", time.monotonic() - begun)
            return Response(msgspec.json.encode(answer), media_type="application/json")

        return handle

    async def serve(request: Request, act: Callable[[Asker, Request, bytes], Any]) -> Any:
        with bounds.identifying():
            asker = await bounds.checked(request, identify)  # 1
        async with bounds.turn(asker.principal, _length(request)):  # 2
            body = await read_body(request, MAX_REQUEST_BYTES)  # 3
            try:
                return await run_in_threadpool(act, asker, request, body)  # 4
            except RefusedError:
                bounds.refused(asker.principal)
                raise

    def posted(operation: str, kind: type[T], act: Callable[[Asker, T], Any]) -> Route:
        def decoded(asker: Asker, request: Request, body: bytes) -> Any:
            return act(asker, _decode(body, kind)) or {}

        return Route(f"/v1/{operation}", answering(operation, decoded), methods=["POST"])

    return Starlette(
        routes=[
            Route("/healthz", _health(healthy), methods=["GET"]),
            Route("/v1/site", answering("site", lambda asker, request, body: service.describe(asker))),
            Route(
                "/v1/places/{asset:path}",
                answering("places", lambda asker, request, body: service.places(request.path_params["asset"])),
            ),
            posted("release", ReleaseRequest, service.release),
            Route(
                "/v1/object",
                answering("object", lambda asker, request, body: service.new_object(asker)),
                methods=["POST"],
            ),
            posted("permit", PermitRequest, service.permit),
            posted("sign", SignRequest, service.sign),
            posted("note", NoteRequest, service.note),
        ],
        exception_handlers={StrongroomError: answer_error},
    )


def metrics_app(metrics: Metrics, healthy: Callable[[], bool]) -> Starlette:
    """Health, and numbers without names, for whoever asks."""

    async def tell(request: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/healthz", _health(healthy)), Route("/metrics", tell)])


def _health(healthy: Callable[[], bool]) -> Handler:
    async def health(request: Request) -> Response:
        fine = await run_in_threadpool(healthy)
        return PlainTextResponse("ok\n" if fine else "failing\n", 200 if fine else 503)

    return health


def _length(request: Request) -> int | None:
    """Of the body; None where it is not said."""
    if request.method == "GET":
        return 0
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise InputError("the request cannot be read", next="is it of the same version?") from None

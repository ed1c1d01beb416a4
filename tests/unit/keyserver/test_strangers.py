"""What strangers and broken peers can do to the key service's sockets, memory and threads: nothing that others feel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from strongroom.keyserver import _bounds as bounds_module
from strongroom.keyserver._bounds import Bounds, Busy
from strongroom.serving import Server
from strongroom.serving import _server as server

from ..identity.svids import workload
from .rooms import Room, make_template, serving
from .test_door import HERE, TRAIN, Wide, read_all, wide

__all__ = ["wide"]  # a fixture


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    make_template(folder)
    return folder


@pytest.fixture
def room(template: Path, tmp_path: Path) -> Iterator[Room]:
    with serving(template, tmp_path) as made:
        yield made


def test_one_who_sends_much_slowly_keeps_nobody_else_from_sending_much() -> None:
    async def large() -> None:
        bounds = Bounds()
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(bounds.turn("eve", None))
            with pytest.raises(Busy):
                await stack.enter_async_context(bounds.turn("eve", bounds_module.LARGE_BYTES + 1))
            await stack.enter_async_context(bounds.turn("eve", 1))
            for name in ("ann", "bob", "ole"):
                await stack.enter_async_context(bounds.turn(name, None))
            with pytest.raises(Busy):
                await stack.enter_async_context(bounds.turn("zoe", None))
        async with bounds.turn("zoe", None):
            pass

    asyncio.run(large())


def test_pipelined_requests_end_the_connection(room: Room) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.connect(str(room.socket))
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(sock).count(b"200 OK") < 1000
    room.open().close()


def test_who_does_not_read_is_given_up(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WRITE_SECONDS", 0.3)

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})

    path = room.folder / "e"
    with Server(endless, unix_socket=path), contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.connect(str(path))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1.0)
        with contextlib.suppress(ConnectionResetError):
            assert len(read_all(sock)) < 100 << 20, "of 625 MiB"


def test_one_peer_has_not_all_connections(room: Room) -> None:
    alive, held = 0, []
    with Server(room.keys.app(), unix_socket=room.folder / "few", limit_concurrency=10):
        for _ in range(40):
            one = socket.socket(socket.AF_UNIX)
            one.connect(str(room.folder / "few"))
            held.append(one)
        time.sleep(0.5)
        for one in held:
            one.setblocking(False)
            with contextlib.suppress(ConnectionResetError):
                try:
                    one.recv(1)
                except BlockingIOError:
                    alive += 1
            one.close()
    assert alive == 15, "three quarters of twice ten"


def test_a_pipe_in_a_certificate_s_place_is_not_waited_for(wide: Wide) -> None:
    (wide.room.folder / "own.pem").unlink()
    os.mkfifo(wide.room.folder / "own.pem")
    wide.room.know(TRAIN, kind="workload")
    for _ in range(3):
        assert wide.door(workload(wide.root, begins=HERE)).principal == TRAIN
    assert sum("certificates stay as they were" in one for one in wide.room.told) == 1


def test_an_issuer_that_does_not_answer_holds_up_nobody_else() -> None:
    """Threads that wait for an issuer are few, and others do not wait for them."""

    def asking(**headers: str) -> Request:
        return Request({"type": "http", "headers": [(k.encode(), v.encode()) for k, v in headers.items()]})

    async def waiting() -> float:
        bounds, gate = Bounds(), threading.Event()

        def slow(request: Request) -> Any:
            gate.wait(20)

        stuck = [asyncio.create_task(bounds.checked(asking(authorization="x"), slow)) for _ in range(60)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await bounds.checked(asking(), lambda request: None)  # type: ignore[arg-type,return-value]
        took = time.monotonic() - began
        gate.set()
        await asyncio.gather(*stuck)
        return took

    assert asyncio.run(waiting()) < 15, "else it waited until the others were let go"

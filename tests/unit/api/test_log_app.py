"""A log over HTTP: its public files as they lie, and nothing else that lies beside them."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.api import log_app
from strongroom.core.errors import StrongroomError
from strongroom.ledger import (
    DirectoryStorage,
    KeyFile,
    NoteSigner,
    create_key,
    create_ledger,
    open_ledger,
    open_source,
    read_keys,
    storage_at,
    verify_log,
)
from strongroom.serving import Server

ORIGIN = "log.example/test"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log")
    key = create_key(path / "key", ORIGIN)
    signer = NoteSigner(KeyFile(key), key.verifier)
    create_ledger(storage_at(str(path / "ledger")), signer)
    sequencer = open_ledger(storage_at(str(path / "ledger")), signer, path / "lock")
    sequencer.append_many(
        [
            b'{"body":{"n":%d},"time":"2026-11-01T09:30:00.123Z","type":"strongroom.test/1","writer":"w"}' % n
            for n in range(600)
        ]
    )
    sequencer.close()
    public = path / "ledger" / "public"
    (public / "secret").write_text("battery staple")
    (public / "tile" / "secret").write_text("battery staple")
    (public / "checkpoint.part").write_text("battery staple")
    (path / "ledger" / "secret").write_text("battery staple")
    return public


@pytest.fixture(scope="module")
def address(public: Path) -> Iterator[str]:
    with Server(log_app(DirectoryStorage(public)), listen="127.0.0.1:0") as server:
        yield server.addresses[0]


def ask(address: str, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    connection.putrequest(method, path, skip_host=False)
    connection.endheaders()
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, data


def test_a_served_log_verifies(address: str, public: Path) -> None:
    source = open_source(address)
    keys = read_keys(source, "keys")
    verdict = verify_log(source, keys)
    verdict.check("log")
    assert verdict.size == 600


def test_every_file_of_a_log_is_served_as_it_lies(address: str, public: Path) -> None:
    files = [
        path for path in public.rglob("*") if path.is_file() and "secret" not in path.name and path.suffix != ".part"
    ]
    assert len(files) == 9
    for path in files:
        name = str(path.relative_to(public))
        status, headers, data = ask(address, f"/{name}")
        assert (status, data) == (200, path.read_bytes()), name
        immutable = name.startswith("tile/")
        assert ("immutable" in headers["cache-control"]) == immutable, "a checkpoint must never be kept back by a cache"
        assert headers["content-type"].startswith("application/octet-stream" if immutable else "text/plain")
        assert ask(address, f"/{name}", "HEAD")[::2] == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/secret",
        "/checkpoint.part",
        "/tile/secret",
        "/../secret",
        "/tile/../secret",
        "/%2e%2e/secret",
        "/tile/%2e%2e/%2e%2e/secret",
        "/..%2fsecret",
        "//secret",
        "/",
        "/tile",
        "/tile/0",
        "/tile/64/000",
        "/tile/00/000",
        "/tile/-1/000",
        "/tile/0/0",
        "/tile/0/000/",
        "/tile/0/000.p/0",
        "/tile/0/000.p/1000",
        "/tile/0/000.p/../../../secret",
        "/tile/entries/x001/../000",
        "/tile/0/000%00",
        "/tile/0/%D9%A0%D9%A0%D9%A0",
        "/checkpoint%00",
        "/" + "x001/" * 200,
        "/tile/0/" + "x001/" * 3000 + "000",
    ],
)
def test_nothing_else_is_served(address: str, path: str) -> None:
    status, _, data = ask(address, path)
    assert status in (400, 404, 503), path
    assert b"battery" not in data
    assert str(Path.home()).encode() not in data


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_is_read_only(address: str, method: str) -> None:
    assert ask(address, "/checkpoint", method)[0] == 405


def test_a_file_that_cannot_be_read_is_503_and_says_nothing_of_where(address: str, public: Path) -> None:
    odd = public / "tile" / "0" / "009"
    odd.mkdir()
    try:
        status, _, data = ask(address, "/tile/0/009")
        assert (status, data) == (503, b"the file cannot be read\n")
    finally:
        odd.rmdir()
    huge = public / "tile" / "0" / "008"
    with huge.open("wb") as file:
        os.truncate(file.fileno(), 1 << 33)
    try:
        assert ask(address, "/tile/0/008")[0] == 503
    finally:
        huge.unlink()


def test_a_log_that_moved_away_is_404(tmp_path: Path) -> None:
    with Server(log_app(DirectoryStorage(tmp_path / "none")), listen="127.0.0.1:0") as server:
        assert ask(server.addresses[0], "/checkpoint")[0] == 404
        with pytest.raises(StrongroomError):
            read_keys(open_source(server.addresses[0]), "keys")

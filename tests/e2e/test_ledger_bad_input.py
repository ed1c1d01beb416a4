"""What cannot be an entry, a checkpoint, a proof, a key or a log server: a clear error each, and nothing is believed."""

from __future__ import annotations

import base64
import contextlib
import random
import shutil
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from strongroom.cli._output import tame
from strongroom.ledger import Checkpoint, load_key
from strongroom.ledger import _storage as storage_module
from strongroom.ledger._notes import SigningKey, parse_note, sign_note

from .test_ledger import ORIGIN, Run, access, grow, line, lines, make, run

__all__ = ["run"]  # a fixture

STRANGER = SigningKey(ORIGIN, b"s" * 32)


def refused(run: Run, *words: object, code: int | tuple[int, ...], stdin: bytes = b"", both: bool = False) -> str:
    """The error as a document: what, where, and what to do next; with `both` in text too. Returns all of it."""
    done = run(*words, "--json", code=code, stdin=stdin)
    assert done.stdout == "" or done.returncode == 5, "a verdict that is bad is printed, and nothing else"
    error = done.error
    assert error["code"] == {2: "usage", 3: "input", 4: "refused", 5: "integrity", 6: "failed"}[done.returncode]
    assert error["message"]
    assert error["where"] or error["next"]
    if both:
        text = run(*words, code=done.returncode, stdin=stdin).stderr
        assert tame(error["message"][:40]).replace("\ufffd", "?") in text.replace("\ufffd", "?")
    return f"{error['message']} {error['where']} {error['next']}"


# Entries

GOOD = line(n=1)
ENTRIES: dict[str, tuple[bytes, str]] = {
    "oversized": (line(x="y" * 65_536).encode(), "65,535"),
    "oversized once escapes are gone": (line(x="\u00e9" * 40_000).encode(), "65,535"),
    "text longer than any entry": (line(x="y" * 600_000).encode(), "longer than"),
    "a line without end": (b"{" * (1 << 21), "longer than 1,048,576 bytes"),
    "no JSON": (b"hello\n", "no JSON"),
    "cut": (GOOD[:-10].encode(), "no JSON"),
    "no UTF-8": (GOOD.encode().replace(b"door", b"\xff\xfe"), "no JSON"),
    "UTF-16": (GOOD.encode("utf-16"), ""),
    "half a surrogate": (GOOD.encode().replace(b"door", b"\\ud800"), "no JSON"),
    "a list": (b"[]\n", "exactly the keys"),
    "a number": (b"1\n", "exactly the keys"),
    "null": (b"null\n", "exactly the keys"),
    "a missing key": (b'{"type":"strongroom.test/1"}\n', "exactly the keys"),
    "a key more": (GOOD.replace('"writer"', '"more": 1, "writer"').encode(), "exactly the keys"),
    "a key twice": (GOOD.replace('{"n": 1}', '{"n": 1, "n": 2}').encode(), "twice"),
    "not a number": (GOOD.replace("1}", "NaN}").encode(), "NaN"),
    "infinity": (GOOD.replace("1}", "1e999}").encode(), ""),
    "an integer that JSON loses": (GOOD.replace("1}", "9007199254740993}").encode(), ""),
    "an integer without end": (GOOD.replace("1}", "9" * 10_000 + "}").encode(), ""),
    "nested": (GOOD.replace("1}", "[" * 40 + "]" * 40 + "}").encode(), "nested"),
    "nested without end": (GOOD.replace("1}", "[" * 60_000).encode(), "nested"),
    "another type": (GOOD.replace("strongroom.test/1", "test").encode(), "its type"),
    "a type in other digits": (GOOD.replace("test/1", "test/\u0661").encode(), "its type"),
    "a type of the ledger's own": (
        GOOD.replace("strongroom.test/1", "strongroom.ledger.key/1").encode(),
        "the ledger alone",
    ),
    "another time": (GOOD.replace("Z", "+00:00").encode(), "its time"),
    "a time that was never": (GOOD.replace("-11-01", "-02-30").encode(), "its time"),
    "no writer": (GOOD.replace('"door"', '""').encode(), "its writer"),
    "a long writer": (GOOD.replace("door", "d" * 256).encode(), "its writer"),
    "no body": (GOOD.replace('{"n": 1}', "[]").encode(), "its body"),
    "an access event without anything": (line("strongroom.access/1").encode(), "no access event"),
    "an access event with more": (access(1, more=1).encode(), "no access event"),
    "an access event of another day": (access(1).replace("30:01.000Z", "30:61.000Z").encode(), "no time"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_what_cannot_be_an_entry(run: Run, name: str) -> None:
    entry, said = ENTRIES[name]
    make(run)
    Path("entries").write_bytes(GOOD.encode() + entry)
    error = refused(run, "ledger", "append", "S", "entries", code=3, both=True)
    assert said in error
    assert "entries" in error
    if "longer than 1,048" not in said:
        assert "line 2" in error
    assert run("ledger", "verify", "S", "--json").json["size"] == 0, "nothing of the chunk is on record"


def test_refused_names_are_refused_by_policy(run: Run) -> None:
    make(run)
    for asset in ("../x", "acme", "ACME/x", "acme/x:", "acme/\u00e9", "a/" + "b" * 5000):
        refused(run, "ledger", "append", "S", "-", code=4, stdin=access(1, asset=asset).encode())
    refused(run, "ledger", "append", "S", "-", code=4, stdin=access(1, principal="p" * 5000).encode())
    mixed = access(1, principal="hmac-sha256:" + "0" * 64, client_address="203.0.113.7")
    refused(run, "ledger", "append", "S", "-", code=4, stdin=mixed.encode())
    assert run("ledger", "verify", "S", "--json").json["size"] == 0


def test_nothing_to_append_and_nowhere_to_append_to(run: Run) -> None:
    make(run)
    for data in (b"", b"\n\n", b" \t\n"):
        assert "there is no entry" in refused(run, "ledger", "append", "S", "-", code=3, stdin=data)
    for name in ("none", ".", "S"):
        assert "cannot be read" in refused(run, "ledger", "append", "S", name, code=3)
    refused(run, "ledger", "append", "none", "-", code=3, stdin=lines(1))
    refused(run, "ledger", "append", "/dev/null", "-", code=3, stdin=lines(1))


# Checkpoints


def sign(key: SigningKey, size: str, root: str, origin: str = ORIGIN) -> bytes:
    return sign_note(f"{origin}\n{size}\n{root}\n", [key])


ROOT = base64.b64encode(b"r" * 32).decode()
CHECKPOINTS: dict[str, Callable[[bytes, SigningKey], bytes]] = {
    "empty": lambda note, key: b"",
    "binary": lambda note, key: bytes(range(256)) * 40,
    "html": lambda note, key: b"<html>\n\n<body>no such log</body>\n",
    "huge": lambda note, key: note + b"x" * 1_000_001,
    "of another log": lambda note, key: sign_note("log.example/other\n1\n" + ROOT + "\n", [key]),
    "of an unknown key": lambda note, key: sign_note(parse_note(note, where="").text, [STRANGER]),
    "signed twice, once wrongly": lambda note, key: note + str(key.sign_text("else\n")).encode(),
    "signed twice, first wrongly": lambda note, key: (
        parse_note(note, where="").text.encode()
        + b"\n"
        + str(key.sign_text("else\n")).encode()
        + note.splitlines(keepends=True)[-1]
    ),
    "without a signature": lambda note, key: parse_note(note, where="").text.encode() + b"\n",
    "without a text": lambda note, key: b"\n" + note.splitlines(keepends=True)[-1],
    "of another size": lambda note, key: note.replace(b"\n300\n", b"\n299\n"),
    "with CRLF": lambda note, key: note.replace(b"\n", b"\r\n"),
    "with a NUL": lambda note, key: note.replace(b"\n300", b"\0\n300"),
    "a size with a zero before": lambda note, key: sign(key, "0300", ROOT),
    "a negative size": lambda note, key: sign(key, "-1", ROOT),
    "a size that is no number": lambda note, key: sign(key, "1e3", ROOT),
    "a size in other digits": lambda note, key: sign(key, "\u0663", ROOT),
    "an absurd size": lambda note, key: sign(key, str(2**62), ROOT),
    "the largest size": lambda note, key: sign(key, str(2**63 - 1), ROOT),
    "a size beyond 64 bits": lambda note, key: sign(key, str(2**64), ROOT),
    "a size without end": lambda note, key: sign(key, "9" * 5000, ROOT),
    "another root": lambda note, key: sign(key, "300", ROOT),
    "no root": lambda note, key: sign(key, "300", ""),
    "a short root": lambda note, key: sign(key, "300", "AAAA"),
    "nothing with a root": lambda note, key: sign(key, "0", ROOT),
    "129 signatures": lambda note, key: note + note.splitlines(keepends=True)[-1] * 129,
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_what_cannot_be_the_logs_checkpoint(run: Run, name: str) -> None:
    key = make(run)
    grow(run, 300)
    path = Path("S/ledger/public/checkpoint")
    good = path.read_bytes()
    path.write_bytes(CHECKPOINTS[name](good, load_key(Path("S/keys/ledger.key"))))
    started = time.monotonic()
    for command in ("verify", "tail", "show 0", "prove 0", "prove-consistency 1"):
        verb, *more = command.split()
        if verb == "show" and name == "nothing with a root":
            continue
        error = refused(run, "ledger", verb, "S", *more, code=5)
        assert "checkpoint" in error or "missing" in error or verb != "verify", command
    refused(run, "ledger", "verify", "S", "--key", key, code=5)
    refused(run, "ledger", "append", "S", "-", code=5, stdin=lines(1))
    refused(run, "ledger", "ask", "acme/x", "--site", "S", code=5)
    shutil.copy(path, "older")
    path.write_bytes(good)
    if name not in ("an absurd size", "the largest size", "another root"):
        refused(run, "ledger", "verify", "S", "--since", "older", code=5)
        refused(run, "ledger", "compare", "older", "S", code=5)
    else:
        assert run("ledger", "verify", "S", "--since", "older", code=5).stdout
    assert time.monotonic() - started < 20
    run("ledger", "verify", "S")


def test_a_log_that_goes_backwards_is_not_opened(run: Run) -> None:
    """The checkpoint alone is an older one: the journal and the reserve know better, or the tiles do."""
    make(run)
    grow(run, 3)
    path = Path("S/ledger/public/checkpoint")
    older = path.read_bytes()
    grow(run, 300)
    path.write_bytes(older)
    Path("S/ledger/public/tile/0/000").write_bytes(bytes(256 * 32))
    refused(run, "ledger", "append", "S", "-", code=5, stdin=lines(1))
    refused(run, "ledger", "verify", "S", code=5)


# Keys


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "a+b+c",
        f"{ORIGIN}+00000000+{ROOT}",
        "\udcff+12345678+AAAA",
        "a" * 5000,
        f"{STRANGER.verifier}+x",
        "\x1b[31m",
    ],
)
def test_what_is_no_key(run: Run, key: str) -> None:
    make(run)
    grow(run, 1)
    Path("proof").write_text(run("ledger", "prove", "S", 0).stdout)
    Path("entry").write_text(run("ledger", "show", "S", 0).stdout)
    refused(run, "ledger", "check-proof", "proof", "--entry", "entry", "--key", key, code=2, both=True)
    run("ledger", "witness", "serve", "W", "--log", key, code=2)
    if key:
        for words in (["verify", "S"], ["tail", "S"], ["compare", "S", "S"], ["keys", "S"]):
            refused(run, "ledger", *words, "--key", key, code=2)
        refused(run, "ledger", "verify", "S", "--witness", key, code=2)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"x\n", b"PRIVATE+KEY+a+00000000+AAAA\n", b"age-encryption.org/v1\n" + b"x" * 99, b"x" * 70_000],
)
def test_what_is_no_private_key(run: Run, data: bytes) -> None:
    make(run)
    run("ledger", "witness", "init", "W", "--name", "w.example")
    for path in ("S/keys/ledger.key", "W/witness.key"):
        Path(path).write_bytes(data)
    Path("pass").write_text("words")
    code = 4 if data.startswith(b"age") else 5
    for words in (["append", "S", "-"], ["rotate", "S"]):
        refused(run, "ledger", *words, "--passphrase-file", "pass", code=code, stdin=lines(1))
    run("ledger", "witness", "serve", "W", "--log", STRANGER.verifier, "--passphrase-file", "pass", code=code)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"x\n", b"<html>", b"x" * 600_000, f"{STRANGER.verifier}\n".encode()]
)
def test_what_is_no_list_of_keys(run: Run, data: bytes) -> None:
    make(run)
    grow(run, 3)
    Path("S/ledger/public/keys").write_bytes(data)
    for command in ("verify", "tail", "show 0", "prove 0"):
        verb, *more = command.split()
        refused(run, "ledger", verb, "S", *more, code=5)


# Proofs


def proof_of(run: Run) -> str:
    make(run)
    grow(run, 300)
    Path("entry").write_text(run("ledger", "show", "S", 7).stdout)
    return run("ledger", "prove", "S", 7).stdout


def test_what_is_no_proof(run: Run) -> None:
    proof = proof_of(run)
    key = run("ledger", "keys", "S", "--json").json[0]["key"]
    head, _, note = proof.partition("\n\n")
    hashes = head.splitlines()[2:]
    forms = {
        "empty": "",
        "a checkpoint alone": note,
        "no checkpoint": head + "\n\n",
        "another header": proof.replace("@v1", "@v2"),
        "another index": proof.replace("index 7", "index 8"),
        "a negative index": proof.replace("index 7", "index -7"),
        "an index beyond the log": proof.replace("index 7", f"index {2**62}"),
        "an index without end": proof.replace("index 7", "index " + "7" * 5000),
        "no index": proof.replace("index 7\n", ""),
        "a hash less": "\n".join(head.splitlines()[:-1]) + "\n\n" + note,
        "a hash more": head + f"\n{ROOT}\n\n" + note,
        "64 hashes": head + f"\n{ROOT}" * 64 + "\n\n" + note,
        "a million hashes": head + f"\n{ROOT}" * 30_000 + "\n\n" + note,
        "no hash": "\n".join(head.splitlines()[:2]) + "\n\n" + note,
        "a short hash": proof.replace(hashes[0], "AAAA"),
        "exchanged hashes": proof.replace(hashes[0], "?").replace(hashes[1], hashes[0]).replace("?", hashes[1]),
        "CRLF": proof.replace("\n", "\r\n"),
        "extra that is no base64": proof.replace("index", "extra ???\nindex"),
        "too much extra": proof.replace("index", "extra " + base64.b64encode(bytes(70_000)).decode() + "\nindex"),
        "another log's checkpoint": head
        + "\n\n"
        + sign_note(Checkpoint(ORIGIN, 300, b"r" * 32).text(), [STRANGER]).decode(),
    }
    for name, text in forms.items():
        Path("proof").write_text(text)
        error = refused(run, "ledger", "check-proof", "proof", "--entry", "entry", "--key", key, code=5)
        assert "proof" in error, name
    Path("proof").write_bytes(b"x" * 3_000_000)
    refused(run, "ledger", "check-proof", "proof", "--entry", "entry", "--key", key, code=3)
    for words in (["none", "--entry", "entry"], ["S", "--entry", "entry"], ["proof", "--entry", "none"]):
        refused(run, "ledger", "check-proof", *words, "--key", key, code=3)
    for index in (300, 2**62, 10**30):
        assert "300" in refused(run, "ledger", "prove", "S", index, code=3)
        refused(run, "ledger", "show", "S", index, code=3)
        refused(run, "ledger", "prove-consistency", "S", index + 1, code=3)
    for words in (
        ["prove", "S", "-1"],
        ["show", "S", "x"],
        ["prove-consistency", "S", "1.5"],
        ["tail", "S", "-n", "-1"],
    ):
        run("ledger", *words, code=2)


def test_names_that_are_no_utf8_are_errors_or_answers_and_never_a_crash(run: Run) -> None:
    make(run)
    grow(run, 2)
    odd = "\udcff"
    for words in (["verify", odd], ["tail", odd], ["append", "S", odd], ["compare", odd, "S"]):
        refused(run, "ledger", *words, code=3)
    refused(run, "ledger", "append", odd, "-", code=2)
    shutil.copytree("S/ledger/public", odd)
    shutil.copy(f"{odd}/checkpoint", f"{odd}/older")
    for words in (["verify", odd], ["verify", "S", "--since", f"{odd}/older"], ["compare", odd, "S"], ["tail", odd]):
        run("ledger", *words)
        assert run("ledger", *words, "--json").json
    run("ledger", "export", "S", "--out", f"{odd}/file", "--json")
    refused(run, "ledger", "ask", f"acme/{odd}", "--site", "S", code=4)
    for words in (["ask", "--principal", odd], ["forget", odd]):
        assert run("ledger", *words, "--site", "S", "--json", code=4).error["message"]
    run("ledger", "writer", "add", odd, "--type", "strongroom.test/1", "--token-file", "t", "--site", "S", code=2)


# Servers


class Web(socketserver.ThreadingTCPServer):
    """Speaks HTTP as badly as it is told to: `answer(path)` gives the bytes, or pieces of them with pauses between."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Callable[[str], bytes | Iterator[bytes]]) -> None:
        self.answer, self.asked = answer, 0
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: object) -> None:
        pass


class Handler(socketserver.StreamRequestHandler):
    server: Web

    def handle(self) -> None:
        path = self.rfile.readline().decode("latin-1").split(" ")[1]
        while self.rfile.readline().strip():
            pass
        self.server.asked += 1
        answer = self.server.answer(path)
        for piece in [answer] if isinstance(answer, bytes) else answer:
            self.wfile.write(piece)
            self.wfile.flush()


def http(body: bytes | None, status: str = "200 OK", head: str = "") -> bytes:
    if body is None:
        return http(b"no such file\n", "404 Not Found")
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}Connection: close\r\n\r\n".encode() + body


@contextlib.contextmanager
def serving(answer: Callable[[str], bytes | Iterator[bytes]]) -> Iterator[str]:
    with Web(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def file(path: str, public: str = "S/ledger/public") -> bytes | None:
    target = Path(public) / path.lstrip("/")
    return target.read_bytes() if target.is_file() else None


def drip(body: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    for byte in body * 1000:
        yield bytes([byte])
        time.sleep(0.05)


def endless() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"8000\r\n" + b"x" * 0x8000 + b"\r\n"


COMMANDS: Sequence[list[object]] = (
    ["verify"],
    ["tail"],
    ["show", 1],
    ["prove", 1],
    ["prove-consistency", 1],
    ["export"],
    ["compare", "S"],
)


def all_refuse(
    run: Run, url: str, key: str, code: int | tuple[int, ...], commands: Sequence[list[object]] = COMMANDS
) -> None:
    for verb, *more in commands:
        error = refused(run, "ledger", verb, url, *more, "--key", key, code=code, both=verb == "tail")
        assert url in error or verb == "verify", error


@pytest.fixture
def key(run: Run) -> str:
    made = make(run)
    grow(run, 300)
    return made


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(lambda path: http(None), 3, id="404"),
        pytest.param(lambda path: http(b"", "500 Oops"), 6, id="500"),
        pytest.param(lambda path: http(b"", "429 Slow down"), 6, id="429"),
        pytest.param(lambda path: http(b"", "403 No"), 3, id="403"),
        pytest.param(lambda path: http(b"", "302 Found", "Location: http://127.0.0.1:1/secret\r\n"), 3, id="redirect"),
        pytest.param(lambda path: http(b"<html>Welcome</html>"), 5, id="html"),
        pytest.param(lambda path: http(b""), 5, id="empty"),
        pytest.param(lambda path: b"", 6, id="nothing"),
        pytest.param(lambda path: b"SSH-2.0-OpenSSH_9\r\n", 3, id="no HTTP"),
        pytest.param(lambda path: drip(b"x"), 6, id="drips"),
        pytest.param(
            lambda path: iter([b"HTTP/1.1 200 OK\r\n", *([b"a: b\r\n"] * 100_000)]), (3, 6), id="headers without end"
        ),
        pytest.param(lambda path: endless(), (5, 6), id="without end"),
        pytest.param(lambda path: http(b"x" * 4_000_000), (5, 6), id="too large"),
        pytest.param(
            lambda path: http(file(path), head="Content-Encoding: gzip\r\n").replace(
                b"\r\n\r\n", b"\r\n\r\n\x1f\x8b", 1
            ),
            (5, 6),
            id="compressed",
        ),
        pytest.param(lambda path: http(file(path) or b"")[:-20], (3, 5, 6), id="cut"),
    ],
)
def test_a_server_that_is_no_log(
    run: Run, key: str, answer: Callable[[str], bytes], code: int | tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if code == 6:  # what comes in drops is waited for no longer than this
        monkeypatch.setattr(storage_module, "READ_SECONDS", 0.25)
    with serving(answer) as url:
        all_refuse(run, url, key, code, (COMMANDS[0], COMMANDS[1], COMMANDS[-1]))


def test_nobody_listens(run: Run, key: str) -> None:
    all_refuse(run, "http://127.0.0.1:1", key, 6)
    for url in (
        "http://",
        "http:///x",
        "https://[",
        "http://a b/",
        "http://127.0.0.1:99999",
        "http://\x00/",
        "HTTP://127.0.0.1:1",
    ):
        run("ledger", "verify", url, "--key", key, code=2 if url != "HTTP://127.0.0.1:1" else 6)
    for url in (
        "http://127.0.0.1:1",
        "https://x.example",
        "s3://bucket/x",
        "memory://x",
        "simplecache::http://127.0.0.1:1",
    ):
        assert "verifier key" in refused(run, "ledger", "verify", url, code=2)


def test_a_secret_in_an_address_is_not_repeated(run: Run, key: str) -> None:
    for verb, *more in COMMANDS[:3]:
        done = run("ledger", verb, "http://me:hunter2@127.0.0.1:1/x", *more, "--key", key, "--json", code=6)
        assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("slow", ["tile/entries/000", "keys", "tile/1/000.p/1"])
def test_one_file_that_never_comes(run: Run, key: str, slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "READ_SECONDS", 0.8)
    with serving(lambda path: drip(b"x") if path.lstrip("/") == slow else http(file(path))) as url:
        assert slow in refused(run, "ledger", "verify", url, "--key", key, code=6)


def test_tiles_of_another_log(run: Run, key: str) -> None:
    make(run, "T")
    grow(run, 300, "T", other=1)
    with serving(lambda path: http(file(path) if "tile" not in path else file(path, "T/ledger/public"))) as url:
        all_refuse(run, url, key, 5, COMMANDS[:-1])
    for swapped in ("entries", "0"):
        with serving(
            lambda path, part=swapped: http(
                file(path, "T/ledger/public" if f"tile/{part}/" in path else "S/ledger/public")
            )
        ) as url:  # type: ignore[misc]
            refused(run, "ledger", "verify", url, "--key", key, code=5)
            refused(run, "ledger", "prove", url, 1, "--key", key, code=5)


def test_a_stale_server_is_found_by_whoever_has_seen_more(run: Run, key: str) -> None:
    shutil.copytree("S", "stale")
    grow(run, 5)
    Path("seen").write_bytes(Path("S/ledger/public/checkpoint").read_bytes())
    with serving(lambda path: http(file(path, "stale/ledger/public"))) as url:
        run("ledger", "verify", url, "--key", key)
        error = refused(run, "ledger", "verify", url, "--key", key, "--since", "seen", code=5)
        assert "entries 300 to 304" in error
        assert run("ledger", "compare", url, "S", "--key", key, "--json").json["verdict"] == "continues"


def test_a_forked_server_is_a_split_view(run: Run, key: str) -> None:
    shutil.copytree("S", "fork")
    grow(run, 5)
    grow(run, 7, "fork", other=1)
    Path("seen").write_bytes(Path("S/ledger/public/checkpoint").read_bytes())
    with serving(lambda path: http(file(path, "fork/ledger/public"))) as url:
        run("ledger", "verify", url, "--key", key)
        assert "not those" in refused(run, "ledger", "verify", url, "--key", key, "--since", "seen", code=5)
        assert run("ledger", "compare", url, "S", "--key", key, "--json", code=1).json["common"] == 300


def test_a_server_that_changes_its_mind_while_it_is_read(run: Run, key: str) -> None:
    shutil.copytree("S", "fork")
    grow(run, 5)
    grow(run, 7, "fork", other=1)
    rng = random.Random(1)
    with serving(lambda path: http(file(path, rng.choice(("S", "fork")) + "/ledger/public"))) as url:
        for _ in range(8):
            try:
                assert run("ledger", "verify", url, "--key", key, "--json").json["size"] in (305, 307)
            except AssertionError:  # then it was found out
                break


def test_an_attackers_key_in_the_file_of_keys_is_not_a_successor(run: Run, key: str) -> None:
    """Their log is whole and signed by their key; `keys` says that the key follows the one that is trusted."""
    run("ledger", "init", "A", "--origin", ORIGIN)
    theirs = load_key(Path("A/keys/ledger.key"))
    grow(run, 300, "A", forged=1)
    for text in (
        f"{key}\n{theirs.verifier}\n",
        f"{theirs.verifier}\n{key}\n{theirs.verifier}\n",
        f"{theirs.verifier}\n",
    ):
        with serving(
            lambda path, text=text: http(text.encode() if path == "/keys" else file(path, "A/ledger/public"))
        ) as url:  # type: ignore[misc]
            all_refuse(run, url, key, 5)
    # The honest log, with a checkpoint of theirs over its tiles: no rotation in it.
    forged = sign_note(parse_note(Path("S/ledger/public/checkpoint").read_bytes(), where="").text, [theirs])
    keys = f"{key}\n{theirs.verifier}\n".encode()
    swapped = {"/keys": keys, "/checkpoint": forged}
    with serving(lambda path: http(swapped.get(path) or file(path))) as url:
        all_refuse(run, url, key, 5)
        assert "not introduced" in refused(run, "ledger", "verify", url, "--key", key, code=5)


def test_absurd_sizes_from_a_server_end_soon(run: Run, key: str) -> None:
    signer = load_key(Path("S/keys/ledger.key"))
    for size in (2**62, 2**63 - 1, 2**40):
        note = sign_note(Checkpoint(ORIGIN, size, b"r" * 32).text(), [signer])
        for tile in (b"r" * 32 * 256, None):
            with serving(
                lambda path, note=note, tile=tile: http(
                    note if path == "/checkpoint" else tile if "tile" in path else file(path)
                )
            ) as url:  # type: ignore[misc]
                started = time.monotonic()
                for verb, *more in (["verify"], ["tail"], ["show", 1], ["prove", size - 1]):
                    refused(run, "ledger", verb, url, *more, "--key", key, code=5)
                assert time.monotonic() - started < 15


# Fuzz


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    for number in range(count):
        kind = number % 5
        at, to = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        if kind == 0:
            yield rng.randbytes(rng.randrange(400))
        elif kind == 1:
            yield data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]
        elif kind == 2:
            yield data[:at] + data[to:]
        elif kind == 3:
            yield data[:at] + data[at:to] * 3 + data[to:]
        else:
            flipped = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            yield bytes(flipped)


def test_mutated_files_are_never_believed_and_never_our_mistake(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from strongroom.cli import main

    proof = proof_of(run).encode()
    key = run("ledger", "keys", "S", "--json").json[0]["key"]
    entry = Path("entry").read_bytes()
    shutil.copytree("S/ledger/public", "P")

    def code(*words: object) -> int:
        monkeypatch.setattr("sys.argv", ["strongroom", "ledger", *map(str, words)])
        returned = main()
        _, error = capfd.readouterr()
        assert returned != 70, (words, error)
        assert "Traceback" not in error
        return returned

    for data in mutations(proof, 40, 1):
        Path("proof").write_bytes(data)
        if data != proof:
            assert code("check-proof", "proof", "--entry", "entry", "--key", key) in (3, 5)
    Path("proof").write_bytes(proof)
    for data in mutations(entry, 20, 2):
        Path("entry").write_bytes(data)
        if data.removesuffix(b"\n") != entry.removesuffix(b"\n"):
            assert code("check-proof", "proof", "--entry", "entry", "--key", key) in (3, 5)
        code("append", "S", "entry")
    for name in ("checkpoint", "keys", "tile/entries/001.p/44", "tile/0/001.p/44", "tile/0/000"):
        good = (Path("P") / name).read_bytes()
        for data in mutations(good, 5, 3):
            (Path("P") / name).write_bytes(data)
            assert code("verify", "P", "--key", key) in (0, 3, 5)
            code("tail", "P", "--json")
            code("show", "P", 290)
            code("compare", "P", "S")
        (Path("P") / name).write_bytes(good)
    assert code("verify", "S", "--since", "P/checkpoint") == 0

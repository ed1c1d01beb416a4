"""Tokens that were not made by us or by the library that checks them: RFC 7515's examples, and openssl's signatures.

And an issuer on this machine, asked over HTTP.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from strongroom.core.errors import StrongroomError, UsageError
from strongroom.identity import Issuer, NotIdentified, Tokens, fetch
from strongroom.identity import _fetch as fetching
from strongroom.identity._jose import Token
from strongroom.identity._key_sets import MAX_DOCUMENT_BYTES, KeySet

from ..conftest import missing
from ..unit.identity.jws import b64, ec_key, jwks, number, token

NOW_SECONDS = 1_793_500_000
NOW = NOW_SECONDS * 1_000_000
PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
RFC_7515_A2 = (
    {
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
    },
    f"eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
)
RFC_7515_A3 = (
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    },
    f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
)


@pytest.mark.parametrize("vector", [RFC_7515_A2, RFC_7515_A3], ids=["A.2", "A.3"])
def test_the_examples_of_rfc_7515_verify_and_are_refused_changed(vector: tuple[dict[str, Any], str]) -> None:
    jwk, text = vector
    keys, parsed = KeySet.parse(jwks(jwk).encode()), Token.parse(text)
    assert parsed.claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    keys.verify(parsed)
    head, _, signature = text.split(".")
    for changed in (f"{head}.{b64(b'{}')}.{signature}", f"{head}.{PAYLOAD}.{'A' + signature[1:]}"):
        with pytest.raises(NotIdentified, match="signature"):
            keys.verify(Token.parse(changed))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_what_openssl_signs_is_accepted(algorithm: str, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("openssl is not installed")

    def run(*words: str, given: bytes = b"") -> bytes:
        return subprocess.run([str(openssl), *words], input=given, capture_output=True, check=True, timeout=30).stdout

    key = str(tmp_path / "key")
    run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    modulus = int(run("rsa", "-in", key, "-noout", "-modulus").decode().partition("=")[2], 16)
    claims = {"iss": "https://i.example", "aud": "s", "sub": "a", "exp": NOW_SECONDS + 60}
    signed = f"{b64(json.dumps({'alg': algorithm}).encode())}.{b64(json.dumps(claims).encode())}"
    pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"] if algorithm == "PS256" else []
    signature = run("dgst", "-sha256", *pss, "-sign", key, given=signed.encode())
    settings = Issuer(
        issuer="https://i.example", audiences=["s"], prefix="p:",
        keys=jwks({"kty": "RSA", "n": number(modulus), "e": "AQAB"}),
    )  # fmt: skip
    assert Tokens([settings]).verify(f"{signed}.{b64(signature)}", now=NOW).principal == "p:a"
    with pytest.raises(NotIdentified, match="signature"):
        Tokens([settings]).verify(f"{signed}.{b64(signature[::-1])}", now=NOW)


class Handler(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return  # the other side has heard enough

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def server() -> Iterator[str]:
    Handler.answers, Handler.asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_keys_are_discovered_over_http_on_this_machine(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    key = ec_key()
    configuration = json.dumps({"issuer": server, "jwks_uri": f"{server}/keys"}).encode()
    Handler.answers["/.well-known/openid-configuration"] = (200, {}, configuration)
    Handler.answers["/keys"] = (200, {}, jwks(key.named("k1")).encode())
    tokens = Tokens([Issuer(issuer=server, audiences=["s"], prefix="p:")], fetch=fetch)
    text = token(key, {"iss": server, "aud": "s", "sub": "a", "exp": NOW_SECONDS + 60})
    assert tokens.verify(text, now=NOW).principal == "p:a"
    assert Handler.asked == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(server: str, status: int) -> None:
    Handler.answers["/a"] = (status, {"location": f"{server}/b"}, b"")
    Handler.answers["/b"] = (200, {}, b"{}")
    with pytest.raises(StrongroomError, match=f"answered {status}"):
        fetch(f"{server}/a")
    assert Handler.asked == ["/a"]


def test_an_endless_answer_is_cut_off_and_a_compressed_one_is_not_opened(server: str) -> None:
    Handler.answers["/large"] = (200, {}, b" " * (MAX_DOCUMENT_BYTES + 70_000))
    with pytest.raises(StrongroomError, match="larger than"):
        fetch(f"{server}/large")
    Handler.answers["/gzip"] = (200, {"content-encoding": "gzip"}, b"\x1f\x8b")
    assert fetch(f"{server}/gzip") == b"\x1f\x8b"


def test_no_answer_is_an_error_within_the_deadline(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FETCH_SECONDS", 0.2)
    stop = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda self: stop.wait(5))
    try:
        with pytest.raises(StrongroomError, match=r"no whole answer within 0\.2 seconds"):
            fetch(f"{server}/slow")
    finally:
        stop.set()
    with pytest.raises(StrongroomError, match="cannot be asked"):
        fetch("http://127.0.0.1:1/")


@pytest.mark.parametrize(
    "url", ["http://issuer.example/", "file:///etc/passwd", "https://", "ftp://x/", "https://a@b/"]
)
def test_nothing_but_https_is_fetched_from_elsewhere(url: str) -> None:
    with pytest.raises(UsageError):
        fetch(url)

"""Key sets and where they come from: strangers cannot make us fetch, and an issuer that is down or wrong changes nothing."""

from __future__ import annotations

import json
import threading
from typing import Any

import msgspec
import pytest

from strongroom.core.errors import InputError, StrongroomError
from strongroom.identity import Issuer, NotIdentified
from strongroom.identity._jose import Token
from strongroom.identity._key_sets import MAX_DOCUMENT_BYTES, MAX_KEYS, DiscoveredKeys, KeySet

from .jws import ec_key, ed_key, hmac_key, jwks, rsa_key, token

URL = "https://issuer.example/realm"
CONFIGURATION = f"{URL}/.well-known/openid-configuration"
SECOND = 1_000_000
NOW = 1_793_500_000 * SECOND
KEY = ec_key()
ISSUER = Issuer(issuer=URL, audiences=["a"], prefix="p:", refresh_seconds=3600, min_refresh_seconds=30)


class Server:
    """An issuer's documents in memory, and what was asked for."""

    def __init__(self, *keys: dict[str, Any], issuer: str = URL) -> None:
        self.documents: dict[str, Any] = {
            f"{issuer.rstrip('/')}/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{URL}/keys"},
            f"{URL}/keys": {"keys": list(keys)},
        }
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        found = self.documents.get(url)
        if found is None:
            raise StrongroomError("nothing there", where=url)
        return found if isinstance(found, bytes) else json.dumps(found).encode()


def named(kid: str) -> Token:
    return Token.parse(token(KEY, {}, kid=kid))


def unavailable(source: DiscoveredKeys, now: int = NOW) -> str:
    with pytest.raises(NotIdentified) as refused:
        source.keys(now)
    assert refused.value.reason == "unavailable"
    return source.failure


def test_keys_that_are_not_for_this_are_left_out() -> None:
    unfit = [
        hmac_key(b"s" * 32).named("a"), rsa_key(1024).named("b"), KEY.named("c", use="enc"), KEY.named("d", d="AAAA"),
        KEY.named("e", key_ops=["sign"]), KEY.named("f", key_ops="verify"), KEY.named("g", crv="secp256k1"),
        KEY.named("h", x="AAAA"), {"kty": "EC", "kid": "i"}, {"kid": "j"}, "k", None, 7, {"kty": ["EC"]},
        {**KEY.jwk, "kid": 1}, KEY.named("l", alg=5), ed_key().named("m", x="AA"), {"kty": "OKP", "crv": "X25519", "x": ed_key().jwk["x"]},
        {**rsa_key().jwk, "n": 5}, {**rsa_key().jwk, "n": "A" * 3000}, {**rsa_key().jwk, "n": "!" * 342}, {**rsa_key().jwk, "e": "AA"},
    ]  # fmt: skip
    found = KeySet.parse(jwks(*unfit, KEY.named("good"), rsa_key().named(None)).encode())
    assert [(key.id, key.type) for key in found.keys] == [("good", "EC"), (None, "RSA")]
    assert found.find(None, "EdDSA") is None


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[],"keys":[]}', json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode()],
)
def test_what_is_no_jwks_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="no JWKS"):
        KeySet.parse(data)


def test_a_set_has_the_same_version_until_its_keys_change() -> None:
    one, two = KEY.named("k1"), ec_key(secret=2).named("k2")
    same = json.dumps({"more": 1, "keys": [dict(reversed(one.items()))]}).encode()
    assert KeySet.parse(jwks(one).encode()).version == KeySet.parse(same).version
    assert len({KeySet.parse(jwks(*keys).encode()).version for keys in ([one], [two], [one, two], [])}) == 4


def test_keys_are_discovered_once_and_fetched_again_when_they_are_old() -> None:
    server = Server(KEY.named("k1"))
    source = DiscoveredKeys(ISSUER, server)
    assert server.asked == []
    for now in (NOW, NOW + 1, NOW + 3599 * SECOND):
        assert source.keys(now, named("k1")).find("k1", "ES256")
    assert server.asked == [CONFIGURATION, f"{URL}/keys"]
    server.documents[f"{URL}/keys"] = {"keys": [KEY.named("k2")]}
    assert source.keys(NOW + 3600 * SECOND).find("k1", "ES256") is None


def test_an_issuer_whose_url_ends_with_a_slash_is_found_too() -> None:
    slashed = msgspec.structs.replace(ISSUER, issuer=f"{URL}/")
    assert DiscoveredKeys(slashed, Server(KEY.named("k1"), issuer=f"{URL}/")).keys(NOW).keys


def test_strangers_cannot_make_us_fetch_more_than_once_in_the_time_that_is_set() -> None:
    server = Server(KEY.named("k1"))
    source = DiscoveredKeys(ISSUER, server)
    source.keys(NOW)
    for at in range(1000):
        source.keys(NOW + 29 * SECOND + at, named(f"made-up-{at}"))
    assert len(server.asked) == 2
    server.documents[f"{URL}/keys"] = {"keys": [KEY.named("k1"), KEY.named("new")]}
    assert source.keys(NOW + 30 * SECOND, named("new")).find("new", "ES256")
    assert len(server.asked) == 4


def test_they_cannot_while_the_issuer_is_down_either() -> None:
    server = Server()
    server.documents = {}
    source = DiscoveredKeys(ISSUER, server)
    for at in range(100):
        assert "nothing there" in unavailable(source, NOW + at)
    assert len(server.asked) == 1
    unavailable(source, NOW + 30 * SECOND)
    assert len(server.asked) == 2


def test_old_keys_are_kept_while_the_issuer_fails_and_not_for_ever() -> None:
    server = Server(KEY.named("k1"))
    source = DiscoveredKeys(ISSUER, server)
    source.keys(NOW)
    server.documents[f"{URL}/keys"] = b"<html>sorry</html>"
    for now in (NOW + 3600 * SECOND, NOW + 86_399 * SECOND):
        assert source.keys(now).find("k1", "ES256")
        assert "no JWKS" in source.failure
    unavailable(source, NOW + 86_400 * SECOND)
    server.documents[f"{URL}/keys"] = {"keys": [KEY.named("k1")]}
    assert source.keys(NOW + 86_500 * SECOND).keys
    assert source.failure == ""


def test_a_clock_that_was_set_back_does_not_stop_fetching() -> None:
    server = Server(KEY.named("k1"))
    source = DiscoveredKeys(ISSUER, server)
    source.keys(NOW)
    server.documents[f"{URL}/keys"] = {"keys": [KEY.named("k2")]}
    assert source.keys(NOW - 86_400 * 365 * SECOND, named("k2")).find("k2", "ES256")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"issuer": "https://evil.example", "jwks_uri": f"{URL}/keys"}, "another issuer"),
        ({"issuer": f"{URL}/", "jwks_uri": f"{URL}/keys"}, "another issuer"),
        ({"jwks_uri": f"{URL}/keys"}, "another issuer"),
        ({"issuer": URL}, "names no jwks_uri"),
        ({"issuer": URL, "jwks_uri": ["x"]}, "names no jwks_uri"),
        ({"issuer": URL, "jwks_uri": "http://issuer.example/keys"}, "no https URL"),
        ({"issuer": URL, "jwks_uri": "file:///etc/passwd"}, "no https URL"),
        ({"issuer": URL, "jwks_uri": "gopher://x"}, "no https URL"),
        ({"issuer": URL, "jwks_uri": "https://a@b/"}, "more than host and path"),
        ({"issuer": URL, "jwks_uri": "http://127.0.0.1:8080/keys"}, "on this machine"),
        ({"issuer": URL, "jwks_uri": "http://localhost/keys"}, "on this machine"),
        (b'{"issuer":"x","issuer":"y"}', "no JSON object"),
        (b"[]", "no JSON object"),
        (b" " * (MAX_DOCUMENT_BYTES + 1), "larger than"),
    ],
)
def test_a_configuration_that_leads_elsewhere_is_refused_before_it_is_followed(document: Any, message: str) -> None:
    server = Server(KEY.named("k1"))
    server.documents[CONFIGURATION] = document
    assert message in unavailable(DiscoveredKeys(ISSUER, server))
    assert server.asked == [CONFIGURATION]


def test_keys_that_are_too_large_are_refused() -> None:
    server = Server()
    server.documents[f"{URL}/keys"] = b" " * (MAX_DOCUMENT_BYTES + 1)
    assert "larger than" in unavailable(DiscoveredKeys(ISSUER, server))


def test_a_slow_issuer_holds_up_nobody_whose_key_is_known_and_is_asked_once() -> None:
    server, asked, answer = Server(KEY.named("k1")), threading.Event(), threading.Event()

    def slow(url: str) -> bytes:
        if server.asked.count(f"{URL}/keys") == 1:
            asked.set()
            assert answer.wait(10)
        return server(url)

    source = DiscoveredKeys(ISSUER, slow)
    source.keys(NOW)
    later = NOW + 60 * SECOND
    waiting = threading.Thread(target=source.keys, args=(later, named("made-up")))
    waiting.start()
    assert asked.wait(10)
    assert source.keys(later, named("k1")).find("k1", "ES256")
    assert source.keys(later, named("made-up-too")).find("made-up-too", "ES256") is None
    answer.set()
    waiting.join(10)
    assert server.asked.count(CONFIGURATION) == 2


def test_many_threads_that_find_no_keys_yet_fetch_them_once() -> None:
    server, found = Server(KEY.named("k1")), []
    source, start = DiscoveredKeys(ISSUER, server), threading.Barrier(8)

    def work() -> None:
        start.wait(10)
        found.append(source.keys(NOW).find("k1", "ES256"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert None not in found
    assert len(server.asked) == 2

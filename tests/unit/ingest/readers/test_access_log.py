"""Access logs of Envoy and nginx."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.readers.access_log import SECRETS, AccessLogReader

READER = AccessLogReader()
ENVOY: dict[str, Any] = {
    "start_time": "2026-11-01T09:30:00.123Z",
    "method": "POST",
    "path": "/v1/chat/completions?stream=true#x",
    "response_code": 200,
    "response_flags": "-",
    "x_forwarded_for": None,
    "user_agent": "curl/8",
    "downstream_remote_address": "203.0.113.7:52311",
}
NGINX: dict[str, Any] = {
    "msec": "1793525400.123",
    "remote_addr": "203.0.113.7",
    "remote_user": "-",
    "request": "POST /v1/messages?beta=1 HTTP/1.1",
    "status": "200",
    "http_user_agent": "curl/8",
}


def read(record: dict[str, Any], **changes: Any) -> Exchange:
    (exchange,) = READER.read(json.dumps(record | changes).encode())
    return exchange


def test_a_request_through_envoy_arrives() -> None:
    assert read(ENVOY) == Exchange(
        time=1_793_525_400_123_000,
        account="address:203.0.113.7",
        client_address="203.0.113.7",
        user_agent="curl/8",
        operation="/v1/chat/completions",
        status=200,
    )


def test_a_request_through_nginx_arrives() -> None:
    exchange = read(NGINX)
    assert (exchange.time, exchange.operation, exchange.status) == (1_793_525_400_123_000, "/v1/messages", 200)
    assert (exchange.account, exchange.user_agent) == ("address:203.0.113.7", "curl/8")
    assert read(NGINX, msec=None, time_local="01/Nov/2026:09:30:00 +0000").time == 1_793_525_400_000_000


def test_named_accounts_come_before_keys_and_addresses() -> None:
    assert read(NGINX, remote_user="ann").account == "ann"
    assert read(ENVOY, **{"x-consumer-id": "acct", "authorization": "Bearer abc"}).account == "acct"
    assert read(ENVOY, downstream_peer_uri_san="spiffe://x/y").account == "spiffe://x/y"


@pytest.mark.parametrize("header", [header for header in SECRETS if "cookie" not in header])
@pytest.mark.parametrize("spelling", ["{}", "http_{}", "HTTP_{}", "req_{}"])
def test_no_secret_of_a_header_is_kept(header: str, spelling: str) -> None:
    exchange = read(ENVOY, **{spelling.format(header): "very-secret-value"})
    assert exchange.account == exchange.credential
    assert exchange.credential.startswith("key:")
    assert len(exchange.credential) == 16
    assert "very-secret" not in repr(exchange)


def test_no_cookie_and_no_key_of_an_address_is_kept() -> None:
    exchange = read(ENVOY, cookie="session=very-secret", path="/v1beta/models/m:generateContent?key=very-secret-key")
    assert "very-secret" not in repr(exchange)
    assert exchange.credential.startswith("key:")


def test_one_key_has_one_digest() -> None:
    key = "sk-0f4cu5t0mer7"
    basic = base64.b64encode(f"{key}:".encode()).decode()
    digests = {
        read(ENVOY, authorization=f"Bearer {key}").credential,
        read(ENVOY, authorization=f"bearer  {key}").credential,
        read(ENVOY, authorization=f"Basic {basic}").credential,
        read(ENVOY, x_api_key=key).credential,
        read(ENVOY, path=f"/v1?api_key={key}").credential,
    }
    assert len(digests) == 1


def test_passwords_do_not_reach_the_digest() -> None:
    one, other = (base64.b64encode(f"ann:{password}".encode()).decode() for password in ("a", "b"))
    assert read(ENVOY, authorization=f"Basic {one}") == read(ENVOY, authorization=f"Basic {other}")


ADDRESSES: list[tuple[dict[str, Any], str]] = [
    (
        {"downstream_remote_address": "10.0.0.1:1", "x_forwarded_for": "198.51.100.1, 203.0.113.9, 10.0.0.2"},
        "203.0.113.9",
    ),
    ({"downstream_remote_address": "[2001:db8::1]:443"}, "2001:db8::1"),
    ({"x_forwarded_for": "198.51.100.1"}, "203.0.113.7"),
    ({"x_envoy_external_address": "198.51.100.5"}, "198.51.100.5"),
    ({"downstream_remote_address": "10.0.0.1:1"}, "10.0.0.1"),
    ({"downstream_remote_address": "::ffff:10.0.0.1", "x_forwarded_for": "203.0.113.9"}, "203.0.113.9"),
]


@pytest.mark.parametrize(("changes", "address"), ADDRESSES)
def test_the_address_is_one_that_a_client_cannot_make_up(changes: dict[str, Any], address: str) -> None:
    assert read(ENVOY, **changes).client_address == address


def test_an_id_that_the_client_may_choose_is_not_used() -> None:
    assert read(ENVOY, request_id="1", **{"x-request-id": "1"}).id == ""


def test_whole_urls_are_paths() -> None:
    assert read(ENVOY, path="https://api.example.org/v1/x?y").operation == "/v1/x"


def test_tokens_of_an_ai_gateway_are_kept() -> None:
    exchange = read(ENVOY, **{"gen_ai.usage.input_tokens": 5, "gen_ai.request.model": "m"})
    assert (exchange.input_tokens, exchange.model) == (5, "m")


def test_two_fields_that_name_two_accounts_are_refused() -> None:
    with pytest.raises(RecordError) as error:
        read(ENVOY, **{"x-user-id": "a", "x_user_id": "b"})
    assert error.value.reason == "duplicate key"


def test_it_claims_access_logs_only() -> None:
    assert READER.claims(ENVOY) == READER.claims(NGINX) == 85
    assert READER.claims({"ts": 1, "status": 200, "path": "/x", "method": "GET"}) == 55
    assert READER.claims({"time": 1, "level": "info", "msg": "x", "path": "/x"}) == 0
    assert READER.claims({"timestamp": 1, "status": 200, "path": "/", "method": "POST", "messages": []}) == 0

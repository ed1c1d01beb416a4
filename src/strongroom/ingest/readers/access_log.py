"""JSON access logs of Envoy and nginx: who asked for which path, how much was sent; never what was said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange

from ._addresses import client_address
from ._json import load_object
from ._secrets import digest
from ._time import microseconds
from ._values import count, finished, first, name

__all__ = ["AccessLogReader"]

ACCOUNTS = (
    *("account", "account_id", "x_account_id", "consumer", "consumer_id", "x_consumer_id", "x_consumer_custom_id"),
    *("consumer_username", "x_consumer_username", "customer_id", "user_id", "x_user_id", "x_authenticated_userid"),
    *("x_auth_request_user", "x_forwarded_user", "remote_user", "authenticated_user", "jwt_sub", "sub", "principal"),
    *("client_id", "api_key_id", "x_api_key_id", "key_id"),
)
"""Fields that name an account, the surest first. A proxy must set or strip the headers among them."""
SECRETS = (
    *("authorization", "proxy_authorization", "x_api_key", "api_key", "apikey", "x_goog_api_key", "x_auth_token"),
    *("cookie", "set_cookie"),
)
"""Headers of which only a digest is kept; cookies change too often to be an account and are not kept at all."""
_CERTIFICATES = ("downstream_peer_uri_san", "downstream_peer_subject", "ssl_client_s_dn", "ssl_client_subject")
_ORGANIZATIONS = (
    "organization",
    "organization_id",
    "x_organization_id",
    "org_id",
    "tenant",
    "tenant_id",
    "x_tenant_id",
)
_TIMES = ("start_time", "time_iso8601", "msec", "time_local", "@timestamp", "timestamp", "time", "ts")
_PATHS = ("x_envoy_original_path", "path", "request_uri", "uri", "url", "request_path")
_STATUSES = ("response_code", "status", "status_code")
_PEERS = (
    *("x_envoy_external_address", "downstream_remote_address", "downstream_remote_address_without_port"),
    *("downstream_direct_remote_address", "realip_remote_addr", "remote_addr", "x_real_ip", "client_ip"),
    *("client_address", "remote_address"),
)
_FORWARDED = ("x_forwarded_for", "proxy_add_x_forwarded_for")
_FINGERPRINTS = ("tls_ja4_fingerprint", "ja4", "ssl_ja4", "tls_ja3_fingerprint", "ja3", "ja3_fingerprint", "ssl_ja3")
_MODELS = ("gen_ai.request.model", "model", "x_model", "llm_model", "genai_model_name", "x_ai_eg_model")
_INPUT_TOKENS = ("gen_ai.usage.input_tokens", "input_tokens", "prompt_tokens", "llm_input_token")
_OUTPUT_TOKENS = ("gen_ai.usage.output_tokens", "output_tokens", "completion_tokens", "llm_output_token")
_COUNTRIES = ("country", "geoip_country_code", "geoip2_country_code", "x_country", "cf_ipcountry")
_ENVOY = frozenset(("response_flags", "upstream_cluster", "downstream_remote_address", "authority", "route_name"))
_NGINX = frozenset(("remote_addr", "time_iso8601", "time_local", "msec", "request_time", "body_bytes_sent"))
_KEY_IN_URL = re.compile(r"[?&](?:key|api[-_]?key|access_token|token)=([^&#\s]+)", re.IGNORECASE)
_REQUEST = re.compile(r"[A-Z]+ (\S+)(?: HTTP/[\d.]+)?")


class AccessLogReader:
    """Reads JSON access logs of Envoy (also Istio) and nginx."""

    name = "access-log"
    title = "Envoy and nginx JSON access logs"
    reference = "https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """85 with fields that only Envoy or nginx has beside time, path and status, 55 without."""
        if "messages" in record or "prompt" in record:
            return 0
        row = _normalised(record)
        if not (_has(row, _TIMES) and _has(row, _STATUSES) and (_has(row, _PATHS) or "request" in row)):
            return 0
        if len(_ENVOY & row.keys()) >= 2 or len(_NGINX & row.keys()) >= 2:
            return 85
        return 55 if _has(row, _PEERS) or _has(row, _FORWARDED) or "method" in row else 0

    def read(self, raw: bytes) -> Iterable[Exchange]:
        """The one exchange of a request. Raises RecordError."""
        row = _normalised(load_object(raw))
        time = first(row, *_TIMES)
        if time is None:
            raise RecordError("required field missing", "no start_time, time_iso8601 or msec")
        target = _target(row)
        address = client_address([name(row, key) for key in _PEERS if row.get(key)], name(row, *_FORWARDED))
        credential = _credential(row, target)
        account = name(row, *ACCOUNTS) or credential or name(row, *_CERTIFICATES)
        exchange = Exchange(
            time=microseconds(time),
            account=account or (f"address:{address}" if address else ""),
            organization=name(row, *_ORGANIZATIONS),
            credential=credential,
            client_address=address,
            asn=_asn(row),
            tls_fingerprint=name(row, *_FINGERPRINTS),
            user_agent=name(row, "user_agent"),
            operation=target.partition("?")[0].partition("#")[0],
            model=name(row, *_MODELS),
            input_tokens=count(first(row, *_INPUT_TOKENS), "input_tokens"),
            output_tokens=count(first(row, *_OUTPUT_TOKENS), "output_tokens"),
            status=count(first(row, *_STATUSES), "status"),
            country=name(row, *_COUNTRIES),
        )
        return (finished(exchange),)


def _normalised(record: dict[str, Any]) -> dict[str, Any]:
    """Names in lower case with `_`, without the marks of headers: `:path`, `User-Agent`, `http_user_agent`.

    Raises RecordError where two fields then have one name and differ: they may name two accounts.
    """
    row: dict[str, Any] = {}
    for key, value in record.items():
        short = key.lower().lstrip(":").replace("-", "_").removeprefix("http_").removeprefix("req_")
        if short in row and row[short] != value and first(row, short) is not None:
            if short in ACCOUNTS or short in SECRETS:
                raise RecordError("duplicate key", f"two fields name {short}")
            continue
        row[short] = value
    return row


def _has(row: dict[str, Any], keys: tuple[str, ...]) -> bool:
    return first(row, *keys) is not None


def _target(row: dict[str, Any]) -> str:
    """Path and query of the request, also from nginx's `request` line and from a whole URL."""
    target = name(row, *_PATHS)
    if not target:
        line = name(row, "request")
        match = _REQUEST.fullmatch(line)
        target = match[1] if match else ""
    scheme, mark, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if mark and "/" not in scheme else target


def _credential(row: dict[str, Any], target: str) -> str:
    for header in SECRETS:
        if "cookie" not in header:
            secret = name(row, header)
            if secret:
                return digest(secret)
    match = _KEY_IN_URL.search(target)
    return digest(match[1]) if match else ""


def _asn(row: dict[str, Any]) -> int:
    number = name(row, "asn", "geoip_asn", "geoip2_asn", "client_asn").upper().removeprefix("AS")
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 10 else 0

"""Exchange log v1: Strongroom's own format, and the one that a gateway of one's own should write.

The fields are those of `docs/schemas/` and the page `docs/readers/exchange-log.md`. This reader is the one
that must keep up with millions of records, so it decodes into typed structs and touches each field once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.reader import check_duplicate_keys, whole_number

from ._json import load
from ._messages import Message, conversation
from ._secrets import digest, guarded, is_secret
from ._time import microseconds, microseconds_or_absent
from ._values import MAX_NAME, limit, temperature, tidy, wants_logprobs

__all__ = ["ExchangeLogReader"]


class _Request(msgspec.Struct, gc=False):
    """What the client asked for; any type, since clients also send nonsense that is logged with status 400."""

    max_tokens: Any = None
    temperature: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    max_completion_tokens: Any = None


class _Signup(msgspec.Struct, gc=False):
    time: str | int | float | None = None
    payment_digest: str | None = None
    email_domain: str | None = None
    country: str | None = None


class _Record(msgspec.Struct, gc=False):
    time: str | int | float
    account: str
    messages: list[Message] | None = None
    prompt: str | list[Any] | None = None
    id: str | int | None = None
    organization: str | None = None
    credential: str | None = None
    end_user: str | None = None
    session: str | None = None
    client_address: str | None = None
    asn: int | str | None = None
    tls_fingerprint: str | None = None
    user_agent: str | None = None
    operation: str | None = None
    model: str | None = None
    input_tokens: int | float | None = None
    output_tokens: int | float | None = None
    status: int | float | str | None = None
    request: _Request | None = None
    signup: _Signup | None = None


_DECODER = msgspec.json.Decoder(_Record)
_KEYS = (b'"account"', b'"time"', b'"end_user"', b'"organization"', b'"messages"', b'"prompt"')


class ExchangeLogReader:
    """Reads exchange log v1."""

    name = "exchange-log"
    title = "Strongroom exchange log v1"
    reference = "docs/readers/exchange-log.md"
    metadata_only = False

    def claims(self, record: dict[str, Any]) -> int:
        """90 for a time, an account and messages or a prompt; 0 otherwise."""
        required = "time" in record and "account" in record
        return 90 if required and ("messages" in record or "prompt" in record) else 0

    def read(self, raw: bytes) -> Iterable[Exchange]:
        """The one exchange of a record. Raises RecordError."""
        r = load(raw, _DECODER)
        signup = r.signup
        if _names_a_key_twice(raw, r):
            check_duplicate_keys(raw, _KEYS)
        account = r.account
        if not account or account.isspace():
            raise RecordError("no account", "account is empty")
        if is_secret(account):
            account = digest(account)
        if r.messages is not None:
            text, system, turn = conversation(r.messages)
        elif r.prompt is not None:
            text, system, turn = _prompt_text(r.prompt), "", 1
        else:
            raise RecordError("required field missing", "neither messages nor prompt")
        exchange = Exchange(
            microseconds(r.time),
            account,
            text,
            system,
            turn,
            "" if r.id is None else str(r.id),
            r.organization or "",
            guarded(r.credential) if r.credential else "",
            guarded(r.end_user) if r.end_user else "",
            r.session or "",
            r.client_address or "",
            _asn(r.asn) if r.asn else 0,
            r.tls_fingerprint or "",
            r.user_agent or "",
            r.operation or "",
            r.model or "",
            whole_number(r.input_tokens, "input_tokens"),
            whole_number(r.output_tokens, "output_tokens"),
            whole_number(r.status, "status"),
        )
        if r.request is not None:
            _add_request(exchange, r.request)
        if signup is not None:
            exchange.signup_time = microseconds_or_absent(signup.time)
            exchange.payment_digest = signup.payment_digest or ""
            exchange.email_domain = signup.email_domain or ""
            exchange.country = signup.country or ""
        if len(raw) - len(text) - len(system) > MAX_NAME or b"\\u0000" in raw:
            tidy(exchange)
        return (exchange,)


def _names_a_key_twice(raw: bytes, r: _Record) -> bool:
    """Whether a closer look is due; each count costs a pass over the record, so absent keys are not counted."""
    count = raw.count
    return (
        count(b'"account"') > 1
        or count(b'"time"') > 1 + (r.signup is not None and r.signup.time is not None)
        or (r.messages is not None and count(b'"messages"') > 1)
        or (r.prompt is not None and count(b'"prompt"') > 1)
        or (r.end_user is not None and count(b'"end_user"') > 1)
        or (r.organization is not None and count(b'"organization"') > 1)
    )


def _add_request(exchange: Exchange, request: _Request) -> None:
    limits = request.max_tokens if request.max_tokens is not None else request.max_completion_tokens
    if limits is not None:
        exchange.max_tokens = limit(limits)
    if request.temperature is not None:
        exchange.temperature = temperature(request.temperature)
    if request.logprobs or request.top_logprobs:
        exchange.logprobs = wants_logprobs(request.logprobs, request.top_logprobs)


def _prompt_text(prompt: str | list[Any]) -> str:
    """Strings joined; lists of token numbers, which some APIs take, are no text."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join([part for part in prompt if isinstance(part, str) and part])


def _asn(value: int | str) -> int:
    """An autonomous system's number, also as `AS64500`."""
    if isinstance(value, str):
        value = value.strip().upper().removeprefix("AS")
    return max(whole_number(value, "asn"), 0)

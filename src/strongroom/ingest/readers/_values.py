"""Values as logs write them: names, counts, settings of a request; and the last look at an exchange.

Two sides write into one record. What the provider's side wrote (accounts, times, token counts) is held to its
type, and a record that breaks it is refused. What the client sent (its `max_tokens`, its messages) is taken
where it can be and ignored where not: otherwise a client could have its own records refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.reader import whole_number

from ._secrets import digest, guarded, is_secret

__all__ = [
    "MAX_NAME",
    "add_settings",
    "count",
    "finished",
    "first",
    "limit",
    "mapping",
    "name",
    "temperature",
    "tidy",
    "wants_logprobs",
]

MAX_NAME = 1024
"""Characters kept of an account, an address, a model name …; clients choose some of them."""

_TEXTS = ("text", "system")
_NAMES = tuple(
    name for name in Exchange.__struct_fields__ if Exchange.__annotations__[name] == "str" and name not in _TEXTS
)
_ABSENT = frozenset({"", "-", "null", "None", "NULL", "undefined"})
_MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxTokens", "max_tokens_to_sample")
_MAX_TOKENS_OF_MODELS = ("max_gen_len", "maxTokenCount", "max_new_tokens", "maxOutputTokens", "num_predict")
_SETTINGS = ("inferenceConfig", "textGenerationConfig", "generationConfig", "inference_config", "parameters")


def finished(exchange: Exchange) -> Exchange:
    """The last look that every reader takes: no secret, no NUL, no endless name, and an account.

    Raises RecordError "no account".
    """
    exchange.account = exchange.account.strip()
    if not exchange.account:
        raise RecordError("no account", "no field of the record says whose exchange it is")
    if is_secret(exchange.account):
        exchange.account = digest(exchange.account)
    exchange.credential = guarded(exchange.credential)
    exchange.end_user = guarded(exchange.end_user)
    exchange.session = guarded(exchange.session)
    exchange.organization = guarded(exchange.organization)
    return tidy(exchange)


def tidy(exchange: Exchange) -> Exchange:
    """Puts a space where a text or name holds NUL (many stores end there) and cuts names to MAX_NAME."""
    for field in _TEXTS:
        text = getattr(exchange, field)
        if "\0" in text:
            setattr(exchange, field, text.replace("\0", " "))
    for field in _NAMES:
        text = getattr(exchange, field)
        if "\0" in text or len(text) > MAX_NAME:
            setattr(exchange, field, text[:MAX_NAME].replace("\0", " "))
    return exchange


def first(record: Mapping[str, Any], *keys: str) -> Any:
    """The first value that is there: not absent, null, or one of the words that stand for nothing."""
    for key in keys:
        value = record.get(key)
        if value is not None and not (isinstance(value, str) and value.strip() in _ABSENT):
            return value
    return None


def name(record: Mapping[str, Any], *keys: str) -> str:
    """The first value that is there, as text. Raises RecordError where it is neither text nor a number."""
    value = first(record, *keys)
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise RecordError("wrong type", f"{' or '.join(keys)} is neither text nor a number")


def mapping(value: Any, field: str) -> dict[str, Any]:
    """An object, empty when absent. Raises RecordError for another type."""
    if value is None or value == "":
        return {}
    if isinstance(value, dict):
        return value
    raise RecordError("wrong type", f"{field} is not an object")


def count(value: Any, field: str) -> int:
    """A number that the provider's side wrote: -1 when absent; `12`, `12.0`, `"12"` are one.

    Raises RecordError when it is no number, negative or absurd.
    """
    if value is None or (isinstance(value, str) and value.strip() in _ABSENT):
        return -1
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise RecordError("wrong type", f"{field} is not a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RecordError("wrong type", f"{field} is not a number")
    return whole_number(value, field)


def limit(value: Any) -> int:
    """`max_tokens` of a request: -1 when absent or useless (some clients send -1 for "no limit")."""
    number = _number(value)
    return int(number) if 0 <= number <= 1 << 40 else -1


def temperature(value: Any) -> float:
    """`temperature` of a request: -1.0 when absent or useless."""
    number = _number(value)
    return number if 0 <= number <= 1000 else -1.0


def wants_logprobs(logprobs: Any, top_logprobs: Any = None) -> bool:
    """Whether the request asked for token log-probabilities: `true`, or a number of alternatives."""
    return any(value is True or value in ("true", "True") or _number(value) > 0 for value in (logprobs, top_logprobs))


def add_settings(exchange: Exchange, request: Any) -> None:
    """Fills max_tokens, temperature and logprobs from a request's body, whichever API it is of."""
    if not isinstance(request, dict):
        return
    bodies = [request, *(request[key] for key in _SETTINGS if isinstance(request.get(key), dict))]
    for body in bodies:
        if exchange.max_tokens < 0:
            exchange.max_tokens = limit(first(body, *_MAX_TOKENS, *_MAX_TOKENS_OF_MODELS))
        if exchange.temperature < 0:
            exchange.temperature = temperature(body.get("temperature"))
        alternatives = first(body, "top_logprobs", "responseLogprobs")
        exchange.logprobs |= wants_logprobs(body.get("logprobs"), alternatives)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return -1.0
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return -1.0
    return number if math.isfinite(number) else -1.0

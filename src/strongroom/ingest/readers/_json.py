"""JSON as logs hold it: one way to decode a record, and JSON that hides in a string of another JSON.

Texts that users write reach logs with anything in them. A lone half of a surrogate pair is valid in JSON
text and in no encoding; it is replaced by U+FFFD, because to refuse the record would let a client hide an
exchange by writing one.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from strongroom.core.errors import RecordError
from strongroom.ingest.reader import decode

__all__ = ["MAX_EMBEDDED", "embedded", "load", "load_object"]

MAX_EMBEDDED = 3
"""How often a string may turn out to be JSON whose string is JSON …"""

T = TypeVar("T")

_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_HALF = re.compile(rb"\\u[dD][89abAB]")
# A whole pair, or one half, or any other escape (so that the second character of `\\` starts nothing).
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def load(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decodes one record, mending lone surrogates. Raises RecordError for whatever else is wrong."""
    try:
        return decode(raw, decoder)
    except RecordError as error:
        if error.reason in {"not JSON", "truncated JSON"} and re.search(rb"\\u[dD][89a-fA-F]", raw):
            return decode(_mended(raw), decoder)
        raise


def load_object(raw: bytes) -> dict[str, Any]:
    """Decodes one record that must be an object. Raises RecordError."""
    value = load(raw, _ANY)
    if not isinstance(value, dict):
        raise RecordError("wrong type", "the record is not a JSON object")
    return value


def embedded(value: Any, depth: int = MAX_EMBEDDED) -> Any:
    """The value of a string that holds a JSON object, array or string; any other value as it is.

    >>> embedded('{"a": 1}'), embedded("[not JSON"), embedded("a question"), embedded('"\\\\"twice\\\\""')
    ({'a': 1}, '[not JSON', 'a question', 'twice')
    """
    while depth and isinstance(value, str) and value[:1] in {"{", "[", '"'} and value[-1:] in {"}", "]", '"'}:
        try:
            value = load(value.encode("utf-8", "replace"), _ANY)
        except RecordError as error:
            if error.reason == "nested too deep":
                raise
            break
        depth -= 1
    return value


def _mended(raw: bytes) -> bytes:
    return _ESCAPES.sub(lambda match: rb"\ufffd" if match[1] else match[0], raw)

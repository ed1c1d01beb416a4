"""A record of a foreign log as flat fields, which rules ask for by name.

`{"a": {"b": [1, 2]}}` has `a` (its JSON text) and `a.b` (both values, with SEPARATOR between them). Fields of objects
in a list stand under one name, in order. Null is left out, `true` is `true`. What is named or looks like a secret is
held back.

>>> flat({"a": {"b": [1, 2], "password": "x"}, "c": None, "d": True})
{'a': '{"b":[1,2],"password":"****"}', 'a.b': '1\\x1f2', 'a.password': '****', 'd': 'true'}
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from strongroom.core.errors import RecordError

from ._secrets import without_secrets

__all__ = ["HELD_BACK", "MAX_FIELDS", "MAX_VALUE", "SEPARATOR", "flat"]

SEPARATOR = "\x1f"
"""Between the values of a field that has several (ASCII's unit separator); a space in a value that holds one."""
MAX_FIELDS = 500
"""Fields of one record that are kept; the largest that cloud services write have about 200."""
MAX_VALUE = 4096
"""Characters kept of a value: enough for a policy, too little for a body."""
MAX_LEVELS = 24
"""Objects in objects; deeper ones are kept as text alone."""
HELD_BACK = "****"
"""Stands for a value whose name says that it is a secret. Cloud services write the same for theirs."""

_SECRET_NAME = re.compile(
    r"(?:password|passwd|pwd|passphrase|secret|token|authorization|private_?key|private_?key_?data|plaintext"
    r"|secret_?(?:access_?)?key|secret_?(?:string|binary|text|value)|connection_?string|(?:account|shared|api)_?key)$",
    re.IGNORECASE,
)
_UNCLEAN = re.compile(r"[\x00\x1f]")
_encode = msgspec.json.Encoder().encode


def flat(record: Mapping[str, Any], without: Collection[str] = (), *, secrets: bool = True) -> dict[str, str]:
    """The fields of a record by their dotted names; those in `without` are left out.

    `secrets`: whether it may hold some (`may_hold_secrets`). Raises RecordError for a record that nests without end.
    """
    found: dict[str, str] = {}
    try:
        for key, value in record.items():
            _add(found, key, _clean(key, value) if secrets else value, without, 1)
    except RecursionError:
        raise RecordError("nested too deep") from None
    return found


def _clean(key: str, value: Any) -> Any:
    """A value without secrets, so that neither a field nor the text of an object around it holds one."""
    if type(value) in (str, int, float) and _SECRET_NAME.search(key):
        return HELD_BACK if value else value
    if type(value) is str:
        if len(value) > MAX_VALUE:
            value = value[:MAX_VALUE]
        return without_secrets(value)
    if type(value) is dict:
        return {name: _clean(name, inner) for name, inner in value.items()}
    if type(value) is list:
        return [_clean(key, inner) for inner in value]
    return value


def _add(found: dict[str, str], path: str, value: Any, without: Collection[str], level: int) -> None:
    if value is None or path in without:
        return
    if type(value) is dict:
        _put(found, path, _text(value))
        if level < MAX_LEVELS:
            for key, inner in value.items():
                _add(found, f"{path}.{key}", inner, without, level + 1)
    elif type(value) is list:
        if any(type(inner) in (dict, list) for inner in value):
            _put(found, path, _text(value))
            for inner in value:
                if type(inner) is dict and level < MAX_LEVELS:
                    for key, deeper in inner.items():
                        _add(found, f"{path}.{key}", deeper, without, level + 1)
        else:
            for inner in value:
                _add(found, path, inner, without, level)
    else:
        _put(found, path, _UNCLEAN.sub(" ", value[:MAX_VALUE]) if type(value) is str else _text(value))


def _text(value: Any) -> str:
    text = _encode(value)[: 4 * MAX_VALUE].replace(rb"\u0000", b" ")
    return text.decode("utf-8", "ignore")[:MAX_VALUE]


def _put(found: dict[str, str], path: str, text: str) -> None:
    before = found.get(path)
    if before is not None:
        if len(before) < MAX_VALUE:
            found[path] = f"{before}{SEPARATOR}{text}"[:MAX_VALUE]
    elif len(found) < MAX_FIELDS:
        found[_UNCLEAN.sub(" ", path[:MAX_VALUE])] = text

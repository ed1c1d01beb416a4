"""A record of a foreign log as flat fields, which rules ask for by name.

`{"a": {"b": [1, 2]}}` has `a` (its JSON text) and `a.b` (both values, with SEPARATOR between them). Fields of objects
in a list stand under one name, in order. Null is left out, `true` is `true`. What is named or looks like a secret is
held back; a list of texts is looked at as the arguments of a command.

>>> flat({"a": {"b": [1, 2], "password": "x"}, "c": None, "d": True})
{'a': '{"b":[1,2],"password":"****"}', 'a.b': '1\\x1f2', 'a.password': '****', 'd': 'true'}
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

import msgspec

from strongroom.core.errors import RecordError

from ._json import embedded
from ._secrets import HELD_BACK, arguments_without_secrets, without_secrets

__all__ = ["CUT", "HELD_BACK", "MAX_FIELDS", "MAX_VALUE", "SEPARATOR", "cut_short", "flat", "mark_cut"]

SEPARATOR = "\x1f"
"""Between the values of a field that has several (ASCII's unit separator); a space in a value that holds one."""
MAX_FIELDS = 500
"""Fields of one record that are kept; the largest that cloud services write have about 200. CUT is one more."""
MAX_VALUE = 4096
"""Characters kept of a value: enough for a policy, too little for a body."""
MAX_TEXT_OPENED = 1 << 18
"""Characters of a text that is JSON, in which secrets are looked for as in a record; in longer ones by words alone."""
CUT = "strongroom.cut"
"""A field of the reader's own: what of a record is not kept and no rule sees. `fields`: some of more than MAX_FIELDS;
`values`: the ends of some values; `fields,values`: both. The text of an object counts for nothing, as its fields stand
beside it. No record can bring this field."""
MAX_LEVELS = 24
"""Objects in objects; deeper ones are kept as text alone."""

_SECRET_NAME = re.compile(
    r"(?:password|passwd|pwd|passphrase|secret|token|authorization|private_?key|private_?key_?data|plaintext"
    r"|secret_?(?:access_?)?key|secret_?(?:string|binary|text|value)|connection_?string|(?:account|shared|api|auth)[-_]?key"
    r"|x-amz-signature|(?<![a-z])pass)$",
    re.IGNORECASE,
)
_UNCLEAN = re.compile(r"[\x00\x1f]")
_encode = msgspec.json.Encoder().encode


def flat(record: Mapping[str, Any], without: Collection[str] = (), *, secrets: bool = True) -> dict[str, str]:
    """The fields of a record by their dotted names; those in `without` are left out. CUT says what is not all there.

    `secrets`: whether it may hold some (`may_hold_secrets`). Raises RecordError for a record that nests without end.
    """
    found: dict[str, str] = {}
    try:
        for key, value in (_clean("", dict(record)) if secrets else record).items():
            _add(found, key, value, without, 1)
    except RecursionError:
        raise RecordError("nested too deep") from None
    return found


def mark_cut(fields: dict[str, str], what: Literal["fields", "values"]) -> None:
    """Notes in `fields` that a record had more than they hold."""
    before = fields.get(CUT)
    if before is None:
        fields[CUT] = what
    elif before != what:
        fields[CUT] = "fields,values"


def cut_short(text: str) -> str:
    """The beginning of a text before secrets are looked for in it, which may take long.

    One character more than is kept, also where a secret made it shorter, so that `flat` sees that it was cut.
    """
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE + 1]


def _clean(key: str, value: Any) -> Any:
    """A value without secrets, so that neither a field nor the text of an object around it holds one."""
    if type(value) in (str, int, float) and _SECRET_NAME.search(key):
        return HELD_BACK if value else value
    if type(value) is str:
        return _clean_text(key, value)
    if type(value) is dict:
        cleaned = {name: _clean(name, inner) for name, inner in value.items()}
        command, more = _arguments(value.get("command")), _arguments(value.get("args"))
        if command and more:  # of a container: one command in two lists
            both = _clean_arguments([*command, *more])
            cleaned["command"], cleaned["args"] = both[: len(command)], both[len(command) :]
        return cleaned
    if type(value) is list:
        if len(value) > 1 and not _SECRET_NAME.search(key) and (plain := _arguments(value)):
            return _clean_arguments(plain)
        return [_clean(key, inner) for inner in value]
    return value


def _clean_text(key: str, text: str) -> str:
    if text[:1] in ("{", "[") and len(text) <= MAX_TEXT_OPENED:
        with contextlib.suppress(RecordError, RecursionError):
            value = embedded(text, 1)
            if type(value) is not str and (cleaned := _clean(key, value)) != value:
                text = _encode(cleaned).decode()
    cleaned = without_secrets(cut_short(text))
    return cleaned if len(text) <= MAX_VALUE else cleaned.ljust(MAX_VALUE + 1)


def _arguments(value: Any) -> list[Any]:
    """A list of plain values with texts among them; empty for anything else."""
    if type(value) is not list or any(type(inner) in (dict, list) for inner in value):
        return []
    return value if any(type(inner) is str for inner in value) else []


def _clean_arguments(values: list[Any]) -> list[Any]:
    """Of a list such as `["--password", "x"]`. Numbers stay numbers unless they are the secret."""
    texts = [value if type(value) is str else "" if value is None else str(value) for value in values]
    cleaned = arguments_without_secrets([cut_short(text) for text in texts])
    return [
        clean.ljust(MAX_VALUE + 1) if len(text) > MAX_VALUE else clean if type(value) is str or clean != text else value
        for value, text, clean in zip(values, texts, cleaned, strict=True)
    ]


def _add(found: dict[str, str], path: str, value: Any, without: Collection[str], level: int) -> None:
    if value is None or path in without or path == CUT:
        return
    if type(value) is dict:
        _put(found, path, _text(value))
        if level < MAX_LEVELS:
            for key, inner in value.items():
                _add(found, f"{path}.{key}", inner, without, level + 1)
    elif type(value) is list:
        _add_list(found, path, value, without, level)
    elif type(value) is str:
        if len(value) > MAX_VALUE:
            mark_cut(found, "values")
        _put(found, path, _UNCLEAN.sub(" ", value[:MAX_VALUE]))
    else:
        _put(found, path, _text(value))


def _add_list(found: dict[str, str], path: str, values: list[Any], without: Collection[str], level: int) -> None:
    if not any(type(inner) in (dict, list) for inner in values):
        for inner in values:
            _add(found, path, inner, without, level)
        return
    _put(found, path, _text(values))
    for inner in values:
        if type(inner) is dict and level < MAX_LEVELS:
            for key, deeper in inner.items():
                _add(found, f"{path}.{key}", deeper, without, level + 1)


def _text(value: Any) -> str:
    text = _encode(value)[: 4 * MAX_VALUE].replace(rb"\u0000", b" ")
    return text.decode("utf-8", "ignore")[:MAX_VALUE]


def _put(found: dict[str, str], path: str, text: str) -> None:
    before = found.get(path)
    if before is not None:
        if len(before) + len(text) >= MAX_VALUE:
            mark_cut(found, "values")
        if len(before) < MAX_VALUE:
            found[path] = f"{before}{SEPARATOR}{text}"[:MAX_VALUE]
    elif len(found) < MAX_FIELDS + (CUT in found):
        found[_UNCLEAN.sub(" ", path[:MAX_VALUE])] = text
    else:
        mark_cut(found, "fields")

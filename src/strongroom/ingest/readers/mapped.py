"""Rows of tables and logs of unknown shape, read as their owner says: `--map account=user.id --map time=ts`.

>>> reader = MappedReader(parse_mapping(["account=user.id", "time=ts", "prompt=body.0.text"]))
>>> (exchange,) = reader.read(b'{"user": {"id": 7}, "ts": 1793534400, "body": [{"text": "Hello"}]}')
>>> exchange.account, exchange.text
('7', 'Hello')
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from strongroom.core.errors import RecordError, UsageError
from strongroom.core.records import Exchange

from ._json import embedded, load_object
from ._shapes import conversation_of
from ._time import microseconds, microseconds_or_absent
from ._values import count, finished, first, limit, name, temperature, wants_logprobs

__all__ = ["TARGETS", "MappedReader", "parse_mapping"]

_TEXTS = ("prompt", "messages", "text")
_COUNTS = ("turn", "asn", "input_tokens", "output_tokens", "status")
TARGETS = (*Exchange.__struct_fields__, "prompt", "messages")
"""What may stand before the `=`: the fields of an exchange; `prompt` and `messages` fill text, system and turn."""
_NAMES = tuple(
    field
    for field in Exchange.__struct_fields__
    if Exchange.__annotations__[field] == "str" and field not in ("text", "system", "account")
)
MAX_STEPS = 16
"""Steps of a dotted path."""


class MappedReader:
    """Reads records by a mapping from fields of an exchange to dotted paths in the record."""

    name = "mapped"
    title = "Rows and JSON of any shape, by --map"
    reference = "docs/readers/mapped.md"
    metadata_only = False

    def __init__(self, mapping: Mapping[str, str]) -> None:
        """Raises UsageError without `account` and `time`, or for an unknown target."""
        _check_targets(mapping)
        missing = [target for target in ("account", "time") if target not in mapping]
        if missing:
            raise UsageError(
                f"the mapping lacks {' and '.join(missing)}",
                next="add " + " ".join(f"--map {target}=FIELD" for target in missing),
            )
        self.mapping = dict(mapping)
        self.metadata_only = not any(target in mapping for target in _TEXTS)

    def claims(self, record: dict[str, Any]) -> int:
        """0: it is used where it is asked for, never recognised."""
        return 0

    def read(self, raw: bytes) -> Iterable[Exchange]:
        """The one exchange of a record. Raises RecordError."""
        record = load_object(raw)
        row = {target: _at(record, path) for target, path in self.mapping.items()}
        when = first(row, "time")
        if when is None:
            raise RecordError("required field missing", f"no {self.mapping['time']}")
        exchange = Exchange(microseconds(when), name(row, "account"))
        for field in _NAMES:
            setattr(exchange, field, name(row, field))
        _add_text(exchange, row)
        for field in _COUNTS:
            number = count(row.get(field), field)
            if number >= 0:
                setattr(exchange, field, number)
        exchange.max_tokens = limit(row.get("max_tokens"))
        exchange.temperature = temperature(row.get("temperature"))
        exchange.logprobs = wants_logprobs(row.get("logprobs"))
        exchange.signup_time = microseconds_or_absent(row.get("signup_time"))
        return (finished(exchange),)


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """`["account=user.id", …]`, as given with --map, to a mapping. Raises UsageError."""
    found: dict[str, str] = {}
    for pair in pairs:
        target, equals, path = (part.strip() for part in pair.partition("="))
        if not (target and equals and path):
            raise UsageError(f"'{pair}' is not a mapping", next="write --map TARGET=FIELD, as --map account=user.id")
        if target in found:
            raise UsageError(f"two fields are mapped to '{target}'", next="keep one")
        if path.count(".") >= MAX_STEPS:
            raise UsageError(f"'{path}' has more than {MAX_STEPS} steps")
        found[target] = path
    _check_targets(found)
    return found


def _check_targets(mapping: Mapping[str, str]) -> None:
    for target in mapping:
        if target not in TARGETS:
            raise UsageError(f"nothing is called '{target}'", next="map one of " + ", ".join(sorted(TARGETS)))


def _add_text(exchange: Exchange, row: dict[str, Any]) -> None:
    for target in _TEXTS:
        if row.get(target):
            value = row[target]
            if target == "text" and isinstance(value, str):  # a text as it is, even if it looks like messages
                exchange.text = value
            else:
                exchange.text, exchange.system, exchange.turn = conversation_of(value)
            break
    if isinstance(row.get("system"), str):
        exchange.system = row["system"]


def _at(record: dict[str, Any], path: str) -> Any:
    """The value at a dotted path. A column whose own name has dots comes first; JSON in text is entered."""
    if path in record:
        return record[path]
    value: Any = record
    for step in path.split("."):
        value = embedded(value)
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 8:
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value

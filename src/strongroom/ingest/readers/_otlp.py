"""OTLP in JSON: from an export request, a file of them or one span alone, to spans with plain attributes.

Field names are accepted in lowerCamelCase, as OTLP/JSON says, and in snake_case, as some exporters write.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from strongroom.core.errors import RecordError

__all__ = ["attributes_of", "field", "spans"]

_MAX_VALUE_DEPTH = 32
"""Deeper nesting of an attribute's value is refused."""


def spans(record: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each span with the attributes of its resource. Raises RecordError for a wrong type."""
    resources = field(record, "resourceSpans")
    if resources is None:
        if "attributes" in record:
            yield record, {}
        return
    for resource_spans in _objects(resources, "resourceSpans"):
        resource = resource_spans.get("resource")
        shared = attributes_of(resource.get("attributes")) if isinstance(resource, dict) else {}
        scopes = field(resource_spans, "scopeSpans")
        if scopes is None:
            scopes = field(resource_spans, "instrumentationLibrarySpans")
        for scope in _objects(scopes, "scopeSpans"):
            for span in _objects(scope.get("spans"), "spans"):
                yield span, shared


def attributes_of(attributes: Any) -> dict[str, Any]:
    """Attributes as a dict of plain values, from OTLP's list of pairs or from an object."""
    if attributes is None:
        return {}
    if isinstance(attributes, dict):
        return attributes
    found = {}
    for pair in _objects(attributes, "attributes"):
        key = pair.get("key")
        if not isinstance(key, str):
            raise RecordError("wrong type", "the key of an attribute is not text")
        found[key] = _plain(pair.get("value"), _MAX_VALUE_DEPTH)
    return found


def field(record: dict[str, Any], camel: str) -> Any:
    """A field by its lowerCamelCase name or the snake_case of it."""
    value = record.get(camel)
    if value is None:
        value = record.get("".join("_" + c.lower() if c.isupper() else c for c in camel))
    return value


def _objects(values: Any, what: str) -> list[dict[str, Any]]:
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise RecordError("wrong type", f"{what} is not a list of objects")
    return values


def _plain(value: Any, depth: int) -> Any:
    """What an AnyValue holds; 64-bit integers stand in text there."""
    if not isinstance(value, dict):
        return value
    if not depth:
        raise RecordError("nested too deep", f"an attribute nests more than {_MAX_VALUE_DEPTH} levels")
    for kind, inner in value.items():
        match kind.replace("_", "").lower():
            case "stringvalue" | "boolvalue" | "doublevalue" | "bytesvalue" | "intvalue":
                return inner
            case "arrayvalue":
                values = inner.get("values") if isinstance(inner, dict) else None
                return [_plain(each, depth - 1) for each in values] if isinstance(values, list) else []
            case "kvlistvalue":
                pairs = inner.get("values") if isinstance(inner, dict) else None
                return {
                    str(pair.get("key")): _plain(pair.get("value"), depth - 1)
                    for pair in (pairs if isinstance(pairs, list) else [])
                    if isinstance(pair, dict)
                }
    return None

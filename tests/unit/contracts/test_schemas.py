"""Every contract of design.md has a schema file, and every schema file is sound and says what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from .schemas import FOLDER, NAMES, problems, resolve, schema

CONTRACTS = {
    "access-event-1.json",
    "asset-1.json",
    "backup-1.json",
    "configuration-1.json",
    "error-1.json",
    "exchange-log-1.json",
    "finding-1.json",
    "hunt-1.json",
    "ids-1.json",
    "ledger-entry-1.json",
    "posture-1.json",
    "sealed-object-1.json",
    "site-1.json",
    "watch-1.json",
}


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, with its path."""
    if not isinstance(node, dict):
        return
    yield path, node
    for word in ("properties", "patternProperties", "$defs"):
        for name, inner in node.get(word, {}).items():
            yield from nodes(inner, f"{path}/{word}/{name}")
    for word in ("anyOf", "allOf", "oneOf", "prefixItems"):
        for number, inner in enumerate(node.get(word, ())):
            yield from nodes(inner, f"{path}/{word}/{number}")
    for word in ("items", "if", "then", "else", "not", "additionalProperties"):
        yield from nodes(node.get(word), f"{path}/{word}")


def test_every_contract_has_its_file() -> None:
    assert set(NAMES) == CONTRACTS


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_a_draft_2020_12_schema_known_by_its_own_name(name: str) -> None:
    loaded = schema(name)
    Draft202012Validator.check_schema(loaded)
    assert loaded["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert loaded["$id"] == name
    assert loaded["title"]
    assert loaded["description"]


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_described(name: str) -> None:
    for path, node in nodes(schema(name)):
        if path.endswith(("/if", "/then")) or "/anyOf/" in path or ("/$defs/" in path and name == "site-1.json"):
            continue
        for field, inner in node.get("properties", {}).items():
            assert resolve(inner, name)[0].get("description"), f"{path}/{field}"


@pytest.mark.parametrize("name", NAMES)
def test_every_object_says_whether_unknown_keys_are_allowed(name: str) -> None:
    for path, node in nodes(schema(name)):
        if node.get("type") == "object" or node.get("type") == ["object", "null"]:
            assert "additionalProperties" in node, path


@pytest.mark.parametrize("name", NAMES)
def test_every_required_field_is_a_known_field(name: str) -> None:
    for path, node in nodes(schema(name)):
        if "properties" in node and "/anyOf/" not in path:
            assert set(node.get("required", ())) <= set(node["properties"]), path


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_leads_somewhere(name: str) -> None:
    for path, node in nodes(schema(name)):
        found, file = resolve(node, name)  # a KeyError names what is missing
        assert "$ref" not in found, path
        assert file in NAMES, path


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_schema_are_valid(name: str) -> None:
    for path, node in nodes(schema(name)):
        for example in node.get("examples", ()):
            assert problems(f"{name}#{path}", example) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_in_the_index(name: str) -> None:
    assert f"({name})" in (FOLDER / "README.md").read_text()

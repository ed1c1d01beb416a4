"""The schema files of docs/schemas/, loaded, and what an honest and a broken document are."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FOLDER = Path(__file__).parents[3] / "docs" / "schemas"
NAMES = sorted(path.name for path in FOLDER.glob("*.json"))


@cache
def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return found


@cache
def _registry() -> Registry[Any]:
    return Registry().with_resources((name, Resource.from_contents(schema(name))) for name in NAMES)


@cache
def validator(reference: str) -> Draft202012Validator:
    """For a file, `hunt-1.json`, or a definition of one, `ids-1.json#/$defs/id`."""
    return Draft202012Validator({"$ref": reference}, registry=_registry())


def resolve(node: dict[str, Any], base: str) -> tuple[dict[str, Any], str]:
    """The node that a chain of `$ref` ends at, and the file it stands in. Keywords beside a `$ref` are kept."""
    while "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        file, _, pointer = node["$ref"].partition("#")
        base = file or base
        node = schema(base)
        for step in pointer.strip("/").split("/") if pointer else ():
            node = node[step]
        node = {**node, **rest}
    return node, base


def valid(reference: str, document: Any) -> bool:
    return bool(validator(reference).is_valid(document))


def problems(reference: str, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(reference).iter_errors(document)]

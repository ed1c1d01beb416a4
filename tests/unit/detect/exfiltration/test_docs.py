"""docs/exfiltration.md names every threshold with the value that the code has."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import strongroom.detect.exfiltration as package

PAGE = Path(__file__).parents[4] / "docs" / "exfiltration.md"
LISTED = dict(re.findall(r"^\| `detect\.exfiltration\.(\w+\.[A-Z_]+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))


def numbers() -> dict[str, object]:
    found = {}
    for path in Path(str(package.__file__)).parent.glob("_*.py"):
        if path.name == "__init__.py":
            continue
        module = importlib.import_module(f"{package.__name__}.{path.stem}")
        for name, value in vars(module).items():
            own = re.search(rf"^{name} = ", path.read_text(), re.MULTILINE)
            if own and name.isupper() and not name.startswith("_") and isinstance(value, int | float):
                found[f"{path.stem}.{name}"] = value
    return found


def test_every_constant_is_listed_with_its_value_and_no_other_is() -> None:
    assert {name: ast.literal_eval(value) for name, value in LISTED.items()} == numbers()


def test_every_kind_of_signal_has_its_row() -> None:
    written = {
        kind
        for path in Path(str(package.__file__)).parent.glob("_*.py")
        for kind in re.findall(r'"((?:[a-z]+-)+[a-z]+)"', path.read_text())
        if kind.split("-")[-1] in ("read", "copy", "reads", "keys")
    }
    assert written == set(re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(), re.MULTILINE))

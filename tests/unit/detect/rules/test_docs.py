"""docs/rules.md says what is so."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from strongroom.detect.rules import load_rules
from strongroom.detect.rules.build import catalogue

DOCUMENT = Path(__file__).parents[4] / "docs" / "rules.md"


@pytest.fixture(scope="module")
def text() -> str:
    return DOCUMENT.read_text()


def test_catalogue_is_that_of_the_rules(text: str) -> None:
    assert text.endswith(catalogue()), "run: python -m strongroom.detect.rules.build --catalogue"


def test_table_of_public_rules(text: str, shared: Path) -> None:
    loaded = load_rules([shared / "sigma" / "rules"])
    assert not loaded.refused
    for (product, service), count in Counter((rule.product, rule.service) for rule in loaded.rules).items():
        assert f"| {product} {service} | {count} | 0 |" in text


def test_example_is_a_rule(text: str, tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example
    (tmp_path / "example.yml").write_text(example[1])
    loaded = load_rules([tmp_path])
    assert not loaded.refused
    assert loaded.rules[0].recommended == ("Ask the owner of the credentials.",)

"""Each reader's page says what it reads, and its samples are what it reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.records import Exchange
from strongroom.ingest.reader import Reader
from strongroom.ingest.readers import MappedReader, builtin_readers, parse_mapping, recognise
from strongroom.ingest.readers.mapped import TARGETS

PAGES = Path(__file__).parents[4] / "docs" / "readers"
MAPPED = MappedReader(parse_mapping(["account=user.id", "time=ts", "prompt=body.messages", "output_tokens=tokens"]))
READERS: list[Reader] = [*builtin_readers(), MAPPED]


def page(reader: Reader) -> str:
    return (PAGES / f"{reader.name}.md").read_text()


def samples(reader: Reader) -> list[dict[str, Any] | bytes]:
    """JSON, and the lines of logs that are text; \\x1d stands there for the character."""
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page(reader), re.DOTALL)]
    texts = re.findall(r"```text\n(.*?)```", page(reader), re.DOTALL)
    return blocks + [line.replace("\\x1d", "\x1d").encode() for text in texts for line in text.splitlines()]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_page_links_the_formats_reference_and_is_in_the_index(reader: Reader) -> None:
    assert reader.reference in page(reader)
    assert f"({reader.name}.md)" in (PAGES / "README.md").read_text()
    assert "Cannot see:" in page(reader)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_pages_samples_yield_one_row_each(reader: Reader) -> None:
    assert samples(reader)
    for sample in samples(reader):
        (row,) = reader.read(sample if isinstance(sample, bytes) else json.dumps(sample).encode())
        assert 1_793_525_400_000_000 <= row.time < 1_793_525_403_000_000
        if isinstance(row, Exchange):
            assert row.account
            empty = isinstance(sample, dict) and sample.get("messages") == "{}"
            assert bool(row.text) != (reader.metadata_only or empty)
        else:
            assert row.principal
            assert row.action
            assert row.fields


@pytest.mark.parametrize("reader", builtin_readers(), ids=lambda reader: reader.name)
def test_a_pages_samples_are_recognised(reader: Reader) -> None:
    for sample in samples(reader):
        found = recognise([sample])
        assert found is not None
        assert found.name == reader.name


def test_every_target_of_a_mapping_is_on_its_page() -> None:
    assert all(f"`{target}`" in page(MAPPED) for target in TARGETS)

"""Choosing a reader by name, by content, and from plugins."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from strongroom.core.errors import UsageError
from strongroom.ingest.readers import _registry, all_readers, builtin_readers, reader_named, recognise
from strongroom.ingest.readers.exchange_log import ExchangeLogReader

GOOD = {"time": 1_793_534_400, "account": "a", "prompt": "x"}


class OtherReader(ExchangeLogReader):
    name = "other"


class NoReader:
    name = "half"


def install(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint(name="plugin", value=value, group=_registry.GROUP)
    monkeypatch.setattr(_registry, "entry_points", lambda group: [point] if group == _registry.GROUP else [])


def test_names_are_unique_and_found() -> None:
    names = [reader.name for reader in builtin_readers()]
    assert len(set(names)) == len(names)
    assert all(reader_named(name).name == name for name in names)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="exchange-log, litellm, bedrock, otel, langfuse, access-log"):
        reader_named("excel")


def test_a_few_good_records_among_bad_ones_are_recognised() -> None:
    bad: list[dict[str, Any]] = [{"x": 1}] * 49
    found = recognise([*bad, GOOD])
    assert found is not None
    assert found.name == "exchange-log"


@pytest.mark.parametrize("sample", [[], [{}], [{"time": 1, "level": "info", "msg": "started"}]])
def test_records_of_no_known_format_are_not_recognised(sample: list[dict[str, Any]]) -> None:
    assert recognise(sample) is None


def test_two_formats_in_equal_parts_are_not_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_registry, "builtin_readers", lambda: [ExchangeLogReader(), OtherReader()])
    assert recognise([GOOD]) is None


def test_a_plugin_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plugin_of_a_test", sys.modules[__name__])
    install(monkeypatch, "plugin_of_a_test:OtherReader")
    assert reader_named("other").title == ExchangeLogReader.title


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module_at_all:Reader", "'plugin' cannot be loaded: ModuleNotFoundError"),
        ("plugin_of_a_test:NoReader", "'plugin' lacks title, reference"),
        ("strongroom.ingest.readers.exchange_log:ExchangeLogReader", "'plugin' takes the name 'exchange-log'"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    monkeypatch.setitem(sys.modules, "plugin_of_a_test", sys.modules[__name__])
    install(monkeypatch, value)
    with pytest.raises(UsageError, match=message):
        all_readers()


def test_readers_travel_between_processes() -> None:
    assert [pickle.loads(pickle.dumps(reader)).name for reader in builtin_readers()]


def test_importing_the_readers_is_light() -> None:
    code = (
        "import sys, types, pathlib; import strongroom; root = pathlib.Path(strongroom.__file__).parent;"
        "package = types.ModuleType('strongroom.ingest'); package.__path__ = [str(root / 'ingest')];"
        "sys.modules['strongroom.ingest'] = package; import strongroom.ingest.readers;"
        "print([name for name in ('numpy', 'pyarrow', 'deltalake', 'duckdb') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

"""What the disk and delta-rs refuse is told as ours, and costs no committed row."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import IntegrityError, StrongroomError
from strongroom.store import Store, _table

from .test_store import NOON, batch


def test_a_full_disk_is_told_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.append_exchanges([batch(10)])
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(_table.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StrongroomError, match="the disk is full") as caught:
        store.append_exchanges([batch(10, start=NOON + 1)])
    assert "it resumes" in caught.value.next
    monkeypatch.undo()
    assert len(Store(tmp_path).keys()[0]) == 10


@pytest.mark.parametrize("method", ["append", "delete", "compact"])
def test_what_the_disk_refuses_is_told_with_what_to_do(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.append_exchanges([batch(10)])

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(30, "Read-only file system")

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return refuse

    monkeypatch.setattr(_table, "write_deltalake", refuse)
    monkeypatch.setattr(store._exchanges, "_delta", Refusing())
    with pytest.raises(StrongroomError, match=r"cannot be .*Read-only file system") as caught:
        if method == "append":
            store.append_exchanges([batch(1)])
        elif method == "delete":
            store.prune(NOON)
        else:
            store.compact()
    assert (caught.value.exit_code, caught.value.where) == (6, str(tmp_path / "exchanges"))


def test_a_table_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "exchanges").write_text("a file")
    with pytest.raises(StrongroomError, match="exchanges"):
        Store(tmp_path)


def test_a_missing_data_file_is_an_integrity_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_exchanges([batch(10)])
    for file in (tmp_path / "exchanges").glob("*.parquet"):
        file.unlink()
    with pytest.raises(IntegrityError, match="exchanges"):
        Store(tmp_path).keys()


def test_a_damaged_data_file_is_an_integrity_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_exchanges([batch(1000)])
    for file in (tmp_path / "exchanges").glob("*.parquet"):
        data = bytearray(file.read_bytes())
        data[: len(data) // 2] = bytes(len(data) // 2)
        file.write_bytes(data)
    with pytest.raises(IntegrityError, match="cannot be read"):
        Store(tmp_path).keys()


def test_compact_removes_what_a_killed_writer_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(3):
        store.append_exchanges([batch(10, start=NOON + i)])
    (tmp_path / "exchanges/part-00000-dead.zstd.parquet").write_bytes(b"PAR1 half a file")
    (tmp_path / "exchanges/part-00000-dead.zstd.parquet#1").write_bytes(b"PAR1 half a file")
    (tmp_path / "spill" / "spark-dead").mkdir(parents=True)
    (tmp_path / "spill" / "spark-dead" / "part.arrow").write_bytes(b"half a file")
    store.compact()
    assert list((tmp_path / "spill").iterdir()) == []
    (file,) = [path for path in (tmp_path / "exchanges").iterdir() if path.is_file()]
    assert file.suffix == ".parquet"
    assert len(Store(tmp_path).keys()[0]) == 30


def test_what_does_not_fit_into_memory_goes_beside_the_tables(tmp_path: Path) -> None:
    store = Store(tmp_path)
    place = store._local.connection.con.execute("SELECT current_setting('temp_directory')").fetchone()[0]
    assert Path(place).parent == tmp_path

"""Sealed Parquet through fsspec: DuckDB, pandas and pyarrow read it as they read any file, and touch what they need."""

from __future__ import annotations

from pathlib import Path

import duckdb
import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from strongroom.site import Site
from strongroom.vault import SealedFileSystem, find_sources, open_file, seal

ROWS = 200_000


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two Parquet files of a dataset, sealed at a site that the environment names."""
    site = Site.create(tmp_path / "site")
    monkeypatch.setenv("STRONGROOM_SITE", str(site.path))
    SealedFileSystem.clear_instance_cache()  # fsspec keeps one for each process, with the site of the test before
    (tmp_path / "data").mkdir()
    for part in range(2):
        table = pa.table({"id": range(part * ROWS, (part + 1) * ROWS), "label": [f"c{n % 7}" for n in range(ROWS)]})
        pa.parquet.write_table(table, tmp_path / "data" / f"part-{part}.parquet", row_group_size=20_000)
    door = site.door()
    seal(find_sources([tmp_path / "data"]), tmp_path / "data.sealed", door.recipients, door)
    return tmp_path / "data.sealed"


def test_duckdb_queries_it(sealed: Path) -> None:
    connection = duckdb.connect()
    connection.register_filesystem(SealedFileSystem())
    query = "SELECT label, count(*), min(id) FROM read_parquet('sealed://{}') GROUP BY label ORDER BY label"
    one = connection.execute(query.format(sealed / "part-0.parquet")).fetchall()
    assert one[0] == ("c0", 28_572, 0)
    both = connection.execute(query.format(sealed / "*.parquet")).fetchall()
    assert sum(row[1] for row in both) == 2 * ROWS


def test_pandas_reads_it(sealed: Path) -> None:
    found = pd.read_parquet(f"sealed://{sealed}/part-1.parquet", columns=["id"])
    assert (len(found), int(found["id"].min())) == (ROWS, ROWS)


def test_pyarrow_scans_it(sealed: Path) -> None:
    files = pyarrow.dataset.dataset(str(sealed), format="parquet", filesystem=SealedFileSystem())
    assert files.count_rows() == 2 * ROWS
    some = files.to_table(filter=pyarrow.dataset.field("id") == 250_000)
    assert some.to_pydict() == {"id": [250_000], "label": [f"c{50_000 % 7}"]}


def test_pandas_writes_it(sealed: Path) -> None:
    address = f"sealed://{sealed.parent}/new.sealed/a.parquet"
    pd.DataFrame({"x": [1, 2, 3]}).to_parquet(address)
    assert pd.read_parquet(address)["x"].tolist() == [1, 2, 3]
    with fsspec.open(f"sealed://{sealed.parent}/new.sealed/b.csv", "w") as file:
        file.write("x\n4\n")
    with open_file(sealed.parent / "new.sealed" / "b.csv") as raw:
        assert raw.read() == b"x\n4\n"

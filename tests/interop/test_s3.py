"""Logs are read from an object store as from files. The store is moto's, on loopback."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.core.errors import InputError
from strongroom.ingest import Settings, ingest
from strongroom.store import Store


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="logs")
    for day in (1, 2):
        lines = [
            {
                "time": f"2026-11-0{day}T00:00:{i:02d}Z",
                "account": f"a{i % 3}",
                "prompt": f"what is the number {i} of day {day}?",
            }
            for i in range(40)
        ]
        body = gzip.compress("\n".join(map(json.dumps, lines)).encode())
        client.put_object(Bucket="logs", Key=f"2026/11/0{day}/part.jsonl.gz", Body=body)
    yield "s3://logs"
    server.stop()


def test_objects_prefixes_and_globs_are_read_once(bucket: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert ingest([f"{bucket}/2026/11/01/part.jsonl.gz"], store, Settings(bytes(32)), workers=0).new == 40
    assert ingest([f"{bucket}/2026/11/*/*.gz"], store, Settings(bytes(32)), workers=0).new == 40
    report = ingest([f"{bucket}/2026/"], store, Settings(bytes(32)), workers=0)
    assert (report.records, report.new) == (80, 0)


def test_an_object_that_is_not_there_is_missing_input(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="s3://logs/nothing"):
        ingest([f"{bucket}/nothing/"], Store(tmp_path), Settings(bytes(32)), workers=0)

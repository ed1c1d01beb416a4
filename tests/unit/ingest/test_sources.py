"""Words on the command line become each readable file once; whatever cannot be read is told and opens nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import fsspec
import pytest

from strongroom.core.errors import InputError, UsageError
from strongroom.ingest import _sources
from strongroom.ingest._sources import find_sources


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")


def found(*words: object) -> tuple[list[str], dict[str, str]]:
    """Paths of the sources, and path to reason of what is unreadable."""
    sources, unreadable = find_sources([str(word) for word in words])
    return [source.path for source in sources], {u.path: u.reason for u in unreadable}


def test_a_directory_is_walked_in_a_stable_order_without_hidden_files(tmp_path: Path) -> None:
    make(tmp_path, "b.jsonl", "a/z.json.gz", "a/b/c.csv", ".hidden.jsonl", ".git/config", "a/.cache/x")
    assert found(tmp_path)[0] == [str(tmp_path / name) for name in ("b.jsonl", "a/z.json.gz", "a/b/c.csv")]


def test_a_glob_matches_files_and_directories(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl", "b.jsonl", "c.txt", "d/e.jsonl", "d/f/g.jsonl")
    assert found(tmp_path / "*.jsonl")[0] == [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    assert len(found(tmp_path / "**" / "*.jsonl")[0]) == 4
    assert len(found(tmp_path / "*")[0]) == 5


def test_a_name_that_looks_like_a_glob_is_a_name_when_it_is_there(tmp_path: Path) -> None:
    make(tmp_path, "a[1].jsonl", "a1.jsonl")
    assert found(tmp_path / "a[1].jsonl")[0] == [str(tmp_path / "a[1].jsonl")]


def test_each_file_is_read_once_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "logs/a.jsonl")
    (tmp_path / "link.jsonl").symlink_to("logs/a.jsonl")
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "logs/a.jsonl")
    monkeypatch.chdir(tmp_path)
    names = ["logs/a.jsonl", "logs/a.jsonl", "./logs/../logs/a.jsonl", tmp_path / "logs/a.jsonl", "logs", "link.jsonl"]
    assert found(*names, "hard.jsonl", "*.jsonl")[0] == ["logs/a.jsonl"]
    assert found("-", "-")[0] == ["-"]


def test_links_that_loop_end(tmp_path: Path) -> None:
    make(tmp_path, "a/x.jsonl")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    sources, unreadable = found(tmp_path)
    assert sources == [str(tmp_path / "a/x.jsonl")]
    assert set(unreadable) == {str(tmp_path / "loop"), str(tmp_path / "gone")}
    assert found(tmp_path / "**" / "*.jsonl")[0][0].endswith("x.jsonl")
    assert len(found(tmp_path / "**" / "*.jsonl")[0]) == 1
    with pytest.raises(InputError, match=r"nothing to read: .*loop: Too many levels"):
        found(tmp_path / "loop")


def test_what_would_never_end_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name in ("fifo", "socket", "/dev/zero", "/dev/null"):
            with pytest.raises(InputError, match="not a regular file"):
                found(tmp_path / name)
        make(tmp_path, "a.jsonl")
        sources, unreadable = found(tmp_path)
    assert (len(sources), set(map(os.path.basename, unreadable))) == (1, {"fifo", "socket"})


def test_what_a_shell_substitutes_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"hello\n")
    os.close(writing)
    (source,), _ = find_sources([f"/dev/fd/{reading}"])
    with source.open() as file:
        assert file.read() == b"hello\n"
    os.close(reading)


@pytest.mark.parametrize("what", ["nowhere.jsonl", "no*.jsonl", "", "a\0b", "x" * 5000, "nowhere/a.jsonl"])
def test_what_is_not_there_is_named(tmp_path: Path, what: str) -> None:
    with pytest.raises(InputError, match="nothing to read"):
        found(what and f"{tmp_path}/{what}")


def test_an_empty_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty/deeper").mkdir(parents=True)
    with pytest.raises(InputError, match="empty: no files"):
        found(tmp_path / "empty")
    make(tmp_path, "a.jsonl")
    assert found(tmp_path / "a.jsonl", tmp_path / "empty")[1] == {str(tmp_path / "empty"): "no files in this directory"}


def test_a_directory_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/x.jsonl", "b/y.jsonl")
    scandir = os.scandir

    def refuse(path: object = ".") -> object:
        if str(path).endswith("/a"):  # tests may run as root, whom no permission stops
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path) == ([str(tmp_path / "b/y.jsonl")], {str(tmp_path / "a"): "Permission denied"})


def test_no_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="-: standard input is closed"):
        found("-")


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sources, "MAX_SOURCES", 3)
    make(tmp_path, *(f"{i}.jsonl" for i in range(5)))
    with pytest.raises(UsageError, match="more than 3 files"):
        found(tmp_path)


# Addresses


def test_addresses_name_files_directories_and_globs() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("logs/a.jsonl", "logs/b/c.jsonl", "logs/d.txt"):
        memory.pipe(f"/{name}", b"x\n")
    try:
        assert len(found("memory://logs")[0]) == 3
        assert found("memory://logs/*.jsonl")[0] == ["memory:///logs/a.jsonl"]
        (source,), _ = find_sources(["memory://logs/a.jsonl"])
        assert source.size == 2
        with source.open() as file:
            assert file.read() == b"x\n"
        with pytest.raises(InputError, match="no such object"):
            found("memory://elsewhere")
    finally:
        memory.rm("/logs", recursive=True)


def test_an_address_that_nothing_opens_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        found("no-such-protocol://bucket/a.jsonl")


def test_what_a_store_of_objects_raises_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCredentialsError(Exception):
        """As botocore's, of no family of ours."""

    memory = fsspec.filesystem("memory")
    memory.pipe("/logs/a.jsonl", b"x\n")

    def fail(*_: object, **__: object) -> None:
        raise NoCredentialsError("unable to locate credentials")

    try:
        with monkeypatch.context() as patch:
            patch.setattr(type(memory), "find", fail)
            with pytest.raises(InputError, match="NoCredentialsError: unable to locate credentials"):
                found("memory://logs")
        (source,), _ = find_sources(["memory://logs/a.jsonl"])
        monkeypatch.setattr(type(memory), "open", fail)
        with pytest.raises(OSError, match="NoCredentialsError"):
            source.open()
    finally:
        memory.store.clear()

"""Sealed objects that somebody has changed: told by file, segment and offset, and nothing of them is opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .test_ledger import Run
from .test_vault import ledger_run, recorded, run, sealed, signer, template, write
from .test_vault_bad_input import refused

__all__ = ["ledger_run", "run", "template"]  # fixtures


def replace(part: bytes, by: bytes) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        assert part in data
        return data.replace(part, by)

    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: b"junk",
        lambda data: b"\xff\xfe" * 100,
        lambda data: b"[" * 200_000,
        lambda data: data[:-1],
        lambda data: data + b"{}",
        lambda data: data[:1000],
        replace(b"v0.3+json", b"v0.2+json"),
        replace(b"vnd.in-toto", b"vnd.other"),
        replace(b'"signatures":[', b'"signatures":[{"sig":"AAAA"},'),
        replace(b'"payload":"ey', b'"payload":"e3'),
        replace(b'"sig":"', b'"sig":"AA'),
    ],
)
def test_a_manifest_that_is_none_or_was_changed(run: Run, change: Callable[[bytes], bytes]) -> None:
    sealed(run)
    Path("m/model.sig").write_bytes(change(Path("m/model.sig").read_bytes()))
    for line in ("vault info m", "vault check m --quick", "vault unseal m -o out", "vault rekey m --remove site"):
        refused(run, line, 5, "m/model.sig")
    assert [action for action, _, _ in recorded(run)] == ["Seal"]


def test_a_manifest_that_is_too_large_or_no_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(run)
    monkeypatch.setattr("strongroom.vault._object.MAX_BUNDLE_BYTES", 1000)
    refused(run, "vault info m", 5, "more than 1,000 bytes")
    Path("m/model.sig").unlink()
    refused(run, "vault unseal m -o out", 3, "no sealed object")
    Path("m/model.sig").mkdir()
    refused(run, "vault unseal m -o out", 3, "m/model.sig")
    Path("m/model.sig").rmdir()
    Path("m/model.sig").symlink_to("model.sig")
    refused(run, "vault unseal m -o out", 3, "m/model.sig")


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def exchange(one: Path, other: Path) -> None:
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)


def link(path: Path) -> None:
    path.rename("elsewhere")
    path.symlink_to(Path("elsewhere").absolute())


ONE, EMPTY, SMALL = (Path("m/files", name) for name in ("shards/one.bin.floe", "empty.floe", "config.json.floe"))


@pytest.mark.parametrize(
    ("change", "said", "quick"),
    [
        (lambda: flip(ONE, 2_000_000), "shards/one.bin, segment 1, offset 1048650", False),
        (lambda: flip(ONE, 0), "shards/one.bin", True),
        (lambda: flip(EMPTY, -1), "empty", False),
        (lambda: ONE.write_bytes(ONE.read_bytes()[:-1]), "shards/one.bin", True),
        (lambda: ONE.write_bytes(ONE.read_bytes() + b"x"), "shards/one.bin", True),
        (lambda: SMALL.write_bytes(b""), "config.json", True),
        (SMALL.unlink, "config.json.floe", True),
        (lambda: exchange(SMALL, EMPTY), "config.json", True),
        (lambda: link(SMALL), "config.json.floe", True),
        (lambda: (SMALL.unlink(), SMALL.mkdir()), "config.json", True),
        (lambda: (SMALL.unlink(), os.mkfifo(SMALL)), "config.json", True),
    ],
)
def test_sealed_files_that_somebody_has_changed(run: Run, change: Callable[[], object], said: str, quick: bool) -> None:
    sealed(run)
    change()
    found = run("vault", "check", "m", "--site", "S", "--json", code=5).json["problems"]
    assert said in found[0]["where"]
    assert {one["code"] for one in found} <= {"integrity", "failed"}
    assert said in run("vault", "check", "m", "--site", "S", code=5).stderr
    run("vault", "check", "m", "--site", "S", "--quick", code=5 if quick else 0)
    run("vault", "check", "m", "--signer", signer(run), code=5)
    code = run("vault", "unseal", "m", "-o", "out", "--site", "S", code=(5, 6)).returncode
    refused(run, "vault unseal m -o out --threads 1", code, said)
    refused(run, "vault rekey m --rotate-data --threads 1", code, said)


@pytest.mark.parametrize("place", ["m/files/shards/stranger", "m/stranger"])
def test_a_file_that_somebody_put_into_an_object_is_told(run: Run, place: str) -> None:
    sealed(run)
    write(Path(place), b"")
    told = run("vault", "check", "m", "--quick", "--site", "S", code=5)
    assert "stranger" in told.stderr
    assert "1 problem\n" in told.stdout
    Path(place).unlink()
    write(Path("m/SEALED"), b"changed")
    assert "SEALED" in run("vault", "check", "m", "--site", "S", code=5).stderr

"""What `make torture` found in the vault: one small test for each."""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom.cli import main
from strongroom.core.errors import InputError, IntegrityError, StrongroomError
from strongroom.vault import (
    PrivateKey,
    PublicKey,
    _work,
    check,
    find_sources,
    open_object,
    prove,
    rekey,
    rotate,
    seal,
    unseal,
)
from strongroom.vault._manifest import place_of
from strongroom.vault._signing import sign, verify
from strongroom.vault._writer import add_file

from .rooms import FILES, PAYLOAD, SEGMENT, Room, room, sealed_object, write_files


def in_a_child(work: Callable[[], object], seconds: float = 60.0) -> int:
    """The exit code of a fork that does `work`, -9 where it killed itself, 1 where it failed. It must not hang."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = int(work() or 0)
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("it hangs")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Kills


def test_unsealing_with_force_that_was_killed_after_the_exchange_ends_with_the_new_files(tmp_path: Path) -> None:
    """The journal says that all is done, and where the new files lay are now the old ones, of the same sizes."""
    own = room()
    path = sealed_object(tmp_path, own)
    out = write_files(tmp_path / "out", {name: bytes(len(data)) for name, data in FILES.items()})

    def again() -> None:
        with open_object(path, door=own.door) as sealed:
            unseal(sealed, out, replace=True, threads=1)

    def killed() -> None:
        real = _work._exchange
        _work._exchange = lambda *words: (real(*words), die())[0]  # type: ignore[assignment]
        again()

    assert in_a_child(killed) == -signal.SIGKILL
    assert contents(out) == FILES
    again()
    assert contents(out) == FILES


def test_a_removal_of_sources_that_was_killed_loses_nothing_when_the_command_is_given_again(tmp_path: Path) -> None:
    """What is left of the sources is sealed anew, and replaces the only copy of those that were removed already."""
    own = room()
    own.site.write(tmp_path)
    own.signer.write(tmp_path)
    source, out = write_files(tmp_path / "model"), tmp_path / "m.sealed"
    keys = ["--to", tmp_path / "site.pub", "--key", tmp_path / "site.key", "--key", tmp_path / "signer.key"]

    def command(*more: str) -> int:
        sys.argv = ["strongroom", *map(str, ("vault", "seal", source, "-o", out, "--remove-source", *keys, *more))]
        return main()

    def killed() -> int:
        real, removed = os.unlink, []

        def unlink(path: Any, *words: Any, **options: Any) -> None:
            if str(path).startswith(str(source)):
                removed.append(path)
            if len(removed) == 3:
                die()
            real(path, *words, **options)

        os.unlink = unlink  # type: ignore[assignment]
        return command()

    assert in_a_child(killed) == -signal.SIGKILL
    left = contents(source)
    assert 0 < len(left) < len(FILES)
    if in_a_child(command):  # "something is there already; choose another -o, or give --force"
        in_a_child(lambda: command("--force"))
    with open_object(out, door=own.door) as sealed:
        kept = {name: sealed.open(name).read() for name in sealed.names()}
    assert kept | contents(source) == FILES


@pytest.mark.parametrize("what", ["rekey", "add"])
def test_a_change_of_the_manifest_that_was_killed_leaves_an_object_that_checks_clean(tmp_path: Path, what: str) -> None:
    own = room()
    path = sealed_object(tmp_path, own)

    def killed() -> None:
        Path.replace = lambda *words: die()  # type: ignore[assignment, method-assign]
        if what == "rekey":
            with open_object(path, door=own.door) as sealed:
                rekey(sealed, own.door, remove=["recovery"])
        else:
            add_file(path, "more", door=own.door).close()

    assert in_a_child(killed) == -signal.SIGKILL
    with open_object(path, door=own.door) as sealed:
        assert check(path, sealed.manifest, sealed) == []


def test_a_file_that_could_not_be_added_leaves_an_object_that_checks_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = room()
    path = sealed_object(tmp_path, own)

    def full(*words: Any) -> None:
        raise StrongroomError("it cannot be written: No space left on device")

    monkeypatch.setattr("strongroom.vault._writer.replace_file", full)
    with pytest.raises(StrongroomError, match="No space"):
        add_file(path, "more/added", door=own.door).close()
    with open_object(path, door=own.door) as sealed:
        assert check(path, sealed.manifest, sealed) == []


def test_a_manifest_that_was_replaced_and_whose_name_could_not_be_synced_names_only_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO after the rename: the new manifest is in its place, and the file that it names must stay."""
    own = room()
    path = sealed_object(tmp_path, own)
    real = _work.replace_file

    def failing(where: Path, data: bytes) -> None:
        real(where, data)
        raise StrongroomError("it cannot be written: Input/output error")

    monkeypatch.setattr("strongroom.vault._writer.replace_file", failing)
    with pytest.raises(StrongroomError, match="Input/output"):
        add_file(path, "more", door=own.door).close()
    with open_object(path, door=own.door) as sealed:
        assert check(path, sealed.manifest, sealed) == []


def test_adding_a_file_does_not_take_the_manifest_of_another_who_is_writing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.m.sealed.model.sig.part` reads like what a killed run left, and nobody has it locked."""
    own = room()
    path = sealed_object(tmp_path, own)
    real = Path.replace

    def replace(part: Path, where: Path) -> Path:
        if part.name.endswith(".model.sig.part"):
            monkeypatch.setattr(Path, "replace", real)
            add_file(path, "more", door=own.door).abort()
        return real(part, where)

    with open_object(path, door=own.door) as sealed:
        monkeypatch.setattr(Path, "replace", replace)
        assert rekey(sealed, own.door, remove=["recovery"]).manifest.version == 2


# Hostile objects


def test_bytes_after_the_end_of_a_file_are_refused(tmp_path: Path) -> None:
    """A last segment without plaintext has no bytes of plaintext: a length that is a multiple allows for both."""
    own = room()
    path = sealed_object(tmp_path, own, {"exact": bytes(2 * PAYLOAD)})
    with (path / place_of("exact")).open("ab") as file:
        file.write(b"\0\0\0\x20" + bytes(28))
    with open_object(path, door=own.door) as sealed:
        with pytest.raises(IntegrityError):
            sealed.file("exact")
        assert len(check(path, sealed.manifest, sealed)) == 1
        with pytest.raises(IntegrityError):
            unseal(sealed, tmp_path / "out")


def test_a_bundle_that_nobody_signed_takes_little_more_memory_than_it_is_long() -> None:
    """An entry of two bytes became a Python object of eighty, before any signature is checked."""
    own = room()
    bundle = json.loads(sign(b"{}", own.signer.public, own.door.keys))
    bundle["verificationMaterial"]["tlogEntries"] = [0] * 4_000_000
    data = json.dumps(bundle, separators=(",", ":")).encode()

    def growth() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(StrongroomError):
            verify(data, [], "model.sig")
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 > 8 * len(data)

    assert in_a_child(growth) == 0


@pytest.mark.parametrize("kind", ["x25519", "mlkem768-x25519"])
def test_a_public_key_that_nothing_can_be_wrapped_for_is_told(kind: str) -> None:
    data = PrivateKey.generate(kind, "ally").public.data[:-32] + bytes(32)  # type: ignore[arg-type]
    line = f"strongroom-public-key/1 {kind} ally {base64.b64encode(data).decode()}"
    with pytest.raises(StrongroomError):
        PublicKey.parse(line).wrap(bytes(32), b"context")


def test_a_file_of_another_name_is_told_in_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    own.signer.write(tmp_path)
    (path / "files" / os.fsdecode(b"\xff")).write_bytes(b"")
    words = ["vault", "check", path, "--signer", tmp_path / "signer.pub", "--json"]

    def command() -> int:
        sys.argv = ["strongroom", *map(str, words)]
        return main()

    assert in_a_child(command) == IntegrityError.exit_code


LINES = [
    *(
        b"1",
        b"null",
        b"{}",
        b"[]",
        b'"x"',
        b'{"file":1}',
        b'{"file":{}}',
        b'{"object":1}',
        b'{"key":1}',
        b"[" * 100_000,
    ),
    *(b'"\xff"', b'{"file":{"name":"a","length":1,"digest":"","header":"","key":9,"wrapped":""},"mark":""}'),
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
@pytest.mark.parametrize("verb", ["sealing", "unsealing"])
@pytest.mark.parametrize("summed", [True, False])
def test_a_journal_that_is_none_is_refused_or_thrown_away(tmp_path: Path, verb: str, line: bytes, summed: bool) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    out = tmp_path / "out"
    work = tmp_path / f".out.{verb}"

    def again() -> None:
        if verb == "sealing":
            sources = find_sources([tmp_path / "model"])
            seal(sources, out, own.door.recipients, own.door, segment_length=SEGMENT)
        else:
            with open_object(path, door=own.door) as sealed:
                unseal(sealed, out)

    def killed() -> None:
        _work.Work.note = _work.Work.commit = lambda *words: die()  # type: ignore[assignment, method-assign]
        again()

    in_a_child(killed)
    with (work / "journal").open("ab") as journal:
        journal.write((b"%08x %s\n" % (zlib.crc32(line), line)) if summed else line + b"\n")
    try:
        again()
    except StrongroomError:
        return
    if verb == "sealing":
        with open_object(out, door=own.door) as sealed:
            assert {name: sealed.open(name).read() for name in sealed.names()} == FILES
    else:
        assert contents(out) == FILES


@pytest.mark.parametrize("field", ["digest", "header", "wrapped", "length"])
def test_a_journal_with_a_damaged_line_of_a_file_is_refused_or_that_file_is_sealed_anew(
    tmp_path: Path, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = room()
    source, out = write_files(tmp_path / "model"), tmp_path / "out"
    monkeypatch.setattr(_work, "BATCH_FILES", 1)

    def again() -> None:
        sources = find_sources([source])
        seal(sources, out, own.door.recipients, own.door, segment_length=SEGMENT, threads=1)

    def killed() -> None:
        _work.Work.place = lambda *words, **options: die()  # type: ignore[assignment, method-assign]
        again()

    assert in_a_child(killed) == -signal.SIGKILL
    journal = tmp_path / ".out.sealing" / "journal"
    lines = [json.loads(line.partition(b" ")[2]) for line in journal.read_bytes().splitlines()]
    for line in lines:
        if "file" in line:
            line["file"][field] = -1 if field == "length" else "no " + line["file"][field]
    journal.write_bytes(b"".join(map(_work.journal_line, lines)))
    try:
        again()
    except StrongroomError:
        return
    with open_object(out, door=own.door) as sealed:
        assert {name: sealed.open(name).read() for name in sealed.names()} == FILES


def test_a_journal_with_a_flipped_bit_keeps_what_stands_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flipped bit of a wrapped key would give an object that is signed and never opens."""
    own = room()
    source, out = write_files(tmp_path / "model"), tmp_path / "out"
    monkeypatch.setattr(_work, "BATCH_FILES", 1)

    def again() -> int:
        sources = find_sources([source])
        return seal(sources, out, own.door.recipients, own.door, segment_length=SEGMENT, threads=1).continued

    def killed() -> None:
        _work.Work.place = lambda *words, **options: die()  # type: ignore[assignment, method-assign]
        again()

    assert in_a_child(killed) == -signal.SIGKILL
    journal = tmp_path / ".out.sealing" / "journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    files = [number for number, line in enumerate(lines) if b'"file"' in line]
    at = lines[files[2]].index(b'"wrapped":"') + 20
    lines[files[2]] = lines[files[2]][:at] + bytes([lines[files[2]][at] ^ 1]) + lines[files[2]][at + 1 :]
    journal.write_bytes(b"".join(lines))
    assert again() == 2
    with open_object(out, door=own.door) as sealed:
        assert {name: sealed.open(name).read() for name in sealed.names()} == FILES


# Sources


def test_files_whose_places_would_be_one_are_told(tmp_path: Path) -> None:
    """`a` lies at `files/a.floe`, and `a.floe/b` below it."""
    files = {"a": b"1", "a.floe/b": b"2"}
    own = room()
    with pytest.raises(InputError, match="of a file and of a directory"):
        sealed_object(tmp_path, own, files)


def test_a_source_that_became_a_pipe_is_refused(tmp_path: Path) -> None:
    own = room()
    folder = write_files(tmp_path / "model", {"a": b"1"})
    sources = find_sources([folder])
    (folder / "a").unlink()
    os.mkfifo(folder / "a")

    def work() -> None:
        with pytest.raises(StrongroomError):
            seal(sources, tmp_path / "out", own.door.recipients, own.door)

    assert in_a_child(work, seconds=10) == 0


def test_directories_in_one_another_a_thousand_times_are_told(tmp_path: Path) -> None:
    where = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=where)
        below = os.open("d", os.O_RDONLY, dir_fd=where)
        os.close(where)
        where = below
    os.close(where)
    try:
        with pytest.raises(InputError):
            find_sources([tmp_path])
    finally:
        os.system(f"rm -rf {tmp_path}/d")  # shutil would recurse too


def test_a_source_that_was_deleted_is_told_before_it_is_proved(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    sources = find_sources([tmp_path / "model"])
    (tmp_path / "model" / "config.json").unlink()
    with open_object(path, door=own.door) as sealed, pytest.raises(StrongroomError):
        prove(sealed, sources)


# Disks


def gone(own: Room, tmp_path: Path, change: Callable[[Any], object]) -> None:
    path = sealed_object(tmp_path, own)
    with open_object(path, door=own.door) as sealed:
        path.rename(tmp_path / "elsewhere")
        with pytest.raises(StrongroomError):
            change(sealed)


def test_an_object_that_went_away_is_told(tmp_path: Path) -> None:
    own = room()
    gone(own, tmp_path / "a", lambda sealed: rekey(sealed, own.door, remove=["recovery"]))
    gone(own, tmp_path / "b", lambda sealed: rotate(sealed, own.door.recipients, own.door))

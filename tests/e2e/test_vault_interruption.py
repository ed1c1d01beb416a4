"""Ctrl-C while the vault's commands are at work: what is kept, what is removed, and that the same command completes."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .test_interruption import start, until
from .test_ledger import Run
from .test_vault import MARK, ledger_run, run, template, write

__all__ = ["ledger_run", "run", "template"]  # fixtures

SMALL_FILES = 4_000
"""More than what is made durable together, so that a Ctrl-C comes when some are and some are not."""


def interrupted(*words: object, cwd: Path, when: Callable[[], bool]) -> str:
    """What a process says on stderr that gets a Ctrl-C once `when` holds."""
    process = start(*words, cwd=cwd)
    until(lambda: when() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, b""), err
    return err.decode()


def again(*words: object, cwd: Path) -> Any:
    process = start(*words, "--json", cwd=cwd)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


def has(path: Path, size: int = 1) -> bool:
    return path.is_file() and path.stat().st_size >= size


def test_ctrl_c_keeps_what_was_sealed_and_nothing_that_was_decrypted(run: Run, tmp_path: Path) -> None:
    for number in range(SMALL_FILES):
        write(Path(f"plain/many/{number // 100:02d}/{number % 100:02d}"), MARK)
    words = ("vault", "seal", "plain/many", "-o", "m", "--site", "S", "--threads", "2")
    journal = tmp_path / ".m.sealing" / "journal"
    said = interrupted(*words, cwd=tmp_path, when=lambda: has(journal) and b'"file"' in journal.read_bytes())
    assert said == "interrupted; what was sealed is kept, and the same command continues\n"
    assert not Path("m").exists()
    done = again(*words, cwd=tmp_path)
    assert 0 < done["continued"] < SMALL_FILES == done["files"]
    words = ("vault", "unseal", "m", "-o", "out", "--site", "S", "--threads", "2")
    said = interrupted(*words, cwd=tmp_path, when=(tmp_path / ".out.unsealing/object/15/00").exists)
    assert said == "interrupted; what was decrypted is removed\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["S", "m", "plain", "tmp"]
    run("vault", "check", "m", "--site", "S")


def test_ctrl_c_in_the_middle_of_large_files(run: Run, tmp_path: Path) -> None:
    Path("plain/large").mkdir()
    for name in ("a", "b", "c"):
        with Path("plain/large", name).open("wb") as file:
            file.write(MARK)
            file.truncate(64 << 20)
    words = ("vault", "seal", "plain/large", "-o", "m", "--site", "S", "--threads", "2")
    second = tmp_path / ".m.sealing" / "object" / "files" / "b.floe"
    said = interrupted(*words, cwd=tmp_path, when=lambda: has(second))
    assert said.startswith("interrupted; what was sealed is kept")
    done = again(*words, cwd=tmp_path)
    assert done["files"] == 3
    run("vault", "check", "m", "--site", "S")
    assert done["continued"] == 1

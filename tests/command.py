"""`strongroom WORDS…` as a person types it: in the tests' own process, or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from strongroom.cli import main

CODE = "import sys; from strongroom.cli import main; sys.exit(main())"

Done = subprocess.CompletedProcess[bytes]


def run(*words: object, cwd: Path, code: int, stdin: bytes = b"") -> Done:
    """In this process: a hunt in ten records is two seconds of imports in one of its own, and half a second here.

    Never our mistake, never a traceback.
    """
    given, out, error = (tempfile.TemporaryFile() for _ in range(3))  # noqa: SIM115 # closed below
    with given, out, error, pytest.MonkeyPatch.context() as patch, _written_to(1, out), _written_to(2, error):
        given.write(stdin)
        given.seek(0)
        patch.chdir(cwd)
        patch.setenv("TMPDIR", str(cwd))
        patch.setattr("tempfile.tempdir", str(cwd))
        patch.delenv("STRONGROOM_SITE", raising=False)
        patch.setattr("signal.signal", lambda *_: None)
        patch.setattr("sys.argv", ["strongroom", *map(str, words)])
        patch.setattr("sys.stdin", io.TextIOWrapper(given, encoding="utf-8"))
        patch.setattr("sys.stdout", io.TextIOWrapper(out, encoding="utf-8", write_through=True))
        patch.setattr(
            "sys.stderr", io.TextIOWrapper(error, encoding="utf-8", errors="backslashreplace", write_through=True)
        )
        returned = main()
        sys.stdout.flush()
        for file in (out, error):
            file.seek(0)
        done = Done(words, returned, out.read(), error.read())
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert b"our mistake" not in done.stderr, done.stderr.decode()
    return _checked(done, code)


def process(*words: object, cwd: Path, code: int, stdin: bytes | None = None) -> Done:
    """In a process of its own: where its start, its end, its arguments or its files are what is tested."""
    environment = {k: v for k, v in os.environ.items() if k != "STRONGROOM_SITE"} | {"TMPDIR": str(cwd)}
    command = [sys.executable, "-c", CODE, *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env=environment, input=stdin, capture_output=True, timeout=120, check=False)
    return _checked(done, code)


def _checked(done: Done, code: int) -> Done:
    assert done.returncode == code, (done.returncode, done.stderr.decode()[-2000:], done.stdout.decode()[-500:])
    return done


@contextlib.contextmanager
def _written_to(number: int, file: IO[bytes]) -> Iterator[None]:
    """What libraries write past Python goes there too."""
    before = os.dup(number)
    os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        os.dup2(before, number)
        os.close(before)

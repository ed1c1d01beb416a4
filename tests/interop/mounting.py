"""A process that mounts the files of a plain directory through `strongroom.vault._mount`, for `test_vault_mount.py`.

    python mounting.py SOURCE DIR [THREADS]

Prints `ready`, a line for each failure that is told, and at the end `ended` or the error. `broken.bin` is a file whose
third MiB is damaged.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from strongroom.core.errors import IntegrityError, StrongroomError
from strongroom.vault._mount import mount

MIB = 1 << 20
BROKEN = "broken.bin"
DAMAGED = range(2 * MIB, 3 * MIB)


class PlainFile:
    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.descriptor = os.open(path, os.O_RDONLY)
        self.length = os.fstat(self.descriptor).st_size

    def read_into(self, offset: int, buffer: memoryview) -> None:
        if self.name == BROKEN and offset < DAMAGED.stop and offset + len(buffer) > DAMAGED.start:
            raise IntegrityError("segment 2 is damaged", where=f"{BROKEN}, offset {DAMAGED.start}")
        if os.preadv(self.descriptor, [buffer], offset) != len(buffer):
            raise AssertionError("past the end")

    def close(self) -> None:
        os.close(self.descriptor)


class PlainTree:
    def __init__(self, source: Path) -> None:
        self.source = source

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.source)) for path in self.source.rglob("*") if path.is_file())

    def length(self, name: str) -> int:
        return (self.source / name).stat().st_size

    def file(self, name: str) -> PlainFile:
        return PlainFile(self.source / name, name)


def tell(line: str) -> None:
    print(line, flush=True)


def main(source: str, at: str, threads: str = "0") -> int:
    try:
        mount(
            PlainTree(Path(source)),
            Path(at),
            notify=lambda text: tell(f"told: {text}"),
            ready=lambda: tell("ready"),
            threads=int(threads),
        )
    except StrongroomError as error:
        tell(f"error: {error}")
        return error.exit_code
    tell("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""What every program of the vault's benchmark shares: a job comes as a line of JSON, and is answered by one.

Runs in the peers' environments: standard library only. Each answer has `peak`, the bytes of memory that the job took
beyond those that the process had before, its result included.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

PIECE = 1 << 20
FEW = 16
"""Files of a result that are synced one by one; for more of them everything is."""

Answer = dict[str, Any]


def serve(jobs: Mapping[str, Callable[..., Answer]]) -> None:
    """Says that it is ready, and answers until there are no more jobs. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    answers.write("{}\n")
    for line in sys.stdin:
        given = json.loads(line)
        _free()
        before = _reset_peak()
        try:
            work = jobs.get(given.pop("job"))
            answer = {"lacks": True} if work is None else work(**given)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer["peak"] = answer.get("peak", _status("VmHWM")) - before
        answers.write(json.dumps(answer) + "\n")


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def written(work: Callable[[], object], out: str) -> Answer:
    """What `work` takes to write `out` (a file or a folder), and what it takes until that is on the disk."""
    seconds = seconds_of(work)
    return {"seconds": seconds, "synced": seconds + seconds_of(lambda: sync(Path(out))), "bytes": length(Path(out))}


def sync(out: Path) -> None:
    files = files_of(out)
    if len(files) > FEW:
        os.sync()
        return
    for path in [*files, out.parent]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def files_of(out: Path) -> list[Path]:
    """The file, or those of the folder, sorted."""
    return sorted(path for path in out.rglob("*") if path.is_file()) if out.is_dir() else [out]


def length(out: Path) -> int:
    return sum(path.stat().st_size for path in files_of(out))


def each_file(source: str, out: str, one: Callable[[Path, Path], object]) -> Answer:
    """A loop over the files of a folder, for whoever knows single files only."""
    folders = {path.parent for path in files_of(Path(source))}

    def work() -> None:
        for folder in folders:
            (Path(out) / folder.relative_to(source)).mkdir(parents=True)
        for path in files:
            one(path, Path(out) / path.relative_to(source))

    files = files_of(Path(source))
    return written(work, out)


class Opened(Protocol):
    """A sealed file that was opened."""

    def tensor(self, name: str) -> Any:
        """All of a tensor."""
        ...

    def row(self, name: str, index: int) -> Any:
        """One row of a tensor."""
        ...


class Streamed:
    """For whoever decrypts from the beginning only: knows where the tensors of a safetensors file are.

    `read(offset, length)` decrypts what comes before, too, and stops after.
    """

    def __init__(self, read: Callable[[int, int], bytearray]) -> None:
        self.read = read
        size = int.from_bytes(read(0, 8), "little")
        header = json.loads(read(8, size))
        header.pop("__metadata__", None)
        self.start = 8 + size
        self.entries: dict[str, Any] = header

    def tensor(self, name: str) -> bytearray:
        first, last = self.entries[name]["data_offsets"]
        return self.read(self.start + first, last - first)

    def row(self, name: str, index: int) -> bytearray:
        entry = self.entries[name]
        first, last = entry["data_offsets"]
        length = (last - first) // entry["shape"][0]
        return self.read(self.start + first + index * length, length)


def one(opened: Opened, name: str, data: Callable[[Any], bytes]) -> Answer:
    """One tensor, for the memory that it takes; its bytes are looked at after the peak was."""
    found = opened.tensor(name)
    peak = _status("VmHWM")
    return {"peak": peak, "bytes": len(data(found))}


def tensors(opened: Opened, names: Iterable[str], data: Callable[[Any], bytes]) -> Answer:
    """Seconds for each tensor, none of which was read before, and the digest of the first."""
    each, first = [], b""
    for name in names:
        began = time.perf_counter()
        found = opened.tensor(name)
        each.append(time.perf_counter() - began)
        first = first or data(found)
    return {"each": each, "digest": digest(first)}


def rows(opened: Opened, places: Iterable[tuple[str, int]], height: int, data: Callable[[Any], bytes]) -> Answer:
    """Seconds for a row of a tensor that was not read before, for another row of it, and the digest of the very first.

    The other row is half a tensor away.
    """
    first, again, found = [], [], b""
    for name, index in places:
        began = time.perf_counter()
        row = opened.row(name, index)
        first.append(time.perf_counter() - began)
        began = time.perf_counter()
        opened.row(name, (index + height // 2) % height)
        again.append(time.perf_counter() - began)
        found = found or data(row)
    return {"each": first, "again": again, "digest": digest(found)}


def reading(open_file: Callable[[str], Opened], data: Callable[[Any], bytes]) -> dict[str, Callable[..., Answer]]:
    """The jobs that read parts of a sealed file, which is opened once for each job; that is not timed."""
    return {
        "one": lambda sealed, name: one(open_file(sealed), name, data),
        "tensor": lambda sealed, names: tensors(open_file(sealed), names, data),
        "row": lambda sealed, places, height: rows(open_file(sealed), places, height, data),
    }


def digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """A key of this program, made once and kept in the folder that was given on the command line."""
    path = Path(sys.argv[1]) / name
    if not path.exists():
        path.write_bytes(make())
    return path.read_bytes()


def threads() -> int:
    """How many threads were asked for on the command line; the process is bound to as many cores."""
    return int(sys.argv[2])


def _free() -> None:
    """What the job before left goes back to the system, so that each begins alike."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _reset_peak() -> int:
    """From now on the peak counts anew. The bytes in memory now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"/proc/self/status has no {name}")

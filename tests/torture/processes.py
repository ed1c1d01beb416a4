"""Real processes to kill, logs for them to read, and all that their store holds."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from strongroom.site import Site
from strongroom.store import Store

# Commits are small so that a kill has many of them to hit; all else is as in `strongroom`.
HUNT = "import sys; from strongroom.ingest import _ingest; _ingest.COMMIT_ROWS = 2000; from strongroom.cli import main; sys.exit(main())"


def write_log(path: Path, n: int, seed: int = 1) -> None:
    """Records with and without ids, ids and lines that come again, and bad lines."""
    rng = random.Random(seed)
    with path.open("w") as file:
        for i in range(n):
            moment = f"2026-11-{1 + i * 14 // n:02d}T{i // 60 % 24:02d}:{i % 60:02d}:00Z"
            record = {
                "time": moment,
                "account": f"a{i % 90}",
                "prompt": f"text {rng.randrange(n)} {rng.random()} words",
            }
            if i % 3 == 0:
                record["id"] = f"r-{rng.randrange(n)}"
            line = json.dumps(record)
            file.write(line[:-9] + "\n" if i % 50 == 0 else (line + "\n") * (1 + (i % 70 == 0)))


def start(code: str, *words: object, cwd: Path) -> subprocess.Popen[bytes]:
    """Python that runs `code`, leader of a group of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "STRONGROOM_SITE"} | {"TMPDIR": str(cwd)}
    command = [sys.executable, "-c", code, *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=cwd, env=environment, start_new_session=True, **pipes)


def kill(process: subprocess.Popen[bytes], *, group: bool) -> tuple[bool, str]:
    """kill -9; whether the process was still there to be killed, and what it had to say."""
    alive = process.poll() is None
    if alive:
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    _, said = process.communicate(timeout=30)
    return alive, said.decode()


def new_site(path: Path, key_of: Path | None = None) -> Path:
    """A site, with the key of another, so that the rows of both can be compared."""
    Site.create(path)
    if key_of is not None:
        shutil.copy(key_of / "keys/sketch.key", path / "keys/sketch.key")
    return path


def rows(site: Path) -> pa.Table:
    """Every column of every stored exchange, by record key."""
    store = Store(site / "store")
    return store.table(store.exchanges().order_by("record_key"))


def orphans(site: Path) -> list[str]:
    """Files of the tables that no row is in."""
    store = Store(site / "store")
    live = {Path(name).name for name in [*store._exchanges.files(), *store._findings.files()]}
    files = [path for path in (site / "store").rglob("*") if path.is_file() and "_delta_log" not in path.parts]
    return [path.name for path in files if path.name not in live]

"""Runs every benchmark, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = ("ingest", "hunt", "detection", "ledger")

if __name__ == "__main__":
    here = Path(__file__).parent
    runs = {name: subprocess.run([sys.executable, here / f"{name}.py"], check=False) for name in NAMES}
    failed = [name for name, run in runs.items() if run.returncode]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)

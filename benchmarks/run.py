"""Runs every benchmark, one after the other, each in a process of its own. Some are directories."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = ("ingest", "hunt", "campaigns", "budget", "attacker", "ledger", "scale", "intrusion", "anomaly", "vault")

if __name__ == "__main__":
    here = Path(__file__).parent
    places = {name: here / name if (here / name).is_dir() else here / f"{name}.py" for name in NAMES}
    runs = {name: subprocess.run([sys.executable, place], check=False) for name, place in places.items()}
    failed = [name for name, run in runs.items() if run.returncode]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)

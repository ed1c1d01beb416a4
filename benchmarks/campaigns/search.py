"""One search of one store, in a process of its own so that its memory can be read: `python search.py STORE`."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from strongroom.detect.campaign import find_campaigns
from strongroom.store import Store


def main(place: Path) -> None:
    """Prints what was found as one JSON object, as the last line."""
    store = Store(place)
    started = time.perf_counter()
    result = find_campaigns(store)
    seconds = time.perf_counter() - started
    campaigns = result.campaigns if result is not None else ()
    found = [
        {"accounts": sorted(c.accounts), "detected_at": str(c.detected_at), "exchanges": int(c.exchanges)}
        for c in campaigns
    ]
    # `ru_maxrss` would be the parent's where that was larger.
    kilobytes = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    memory = int(kilobytes[1]) / (1 << 20) if kilobytes else float("nan")
    print(json.dumps({"campaigns": found, "seconds": seconds, "gibibytes": memory}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

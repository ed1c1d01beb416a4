"""Where benchmark results go: docs/benchmarks.md, one block per benchmark, with date and machine."""

from __future__ import annotations

import platform
import re
from datetime import UTC, datetime
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def machine() -> str:
    """Processor, cores and memory, as a reader needs them to judge a figure."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = ""
    if Path("/proc/meminfo").exists():
        kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
        memory = f", {kilobytes / (1 << 20):.0f} GiB"
    import os

    return f"{model}, {len(os.sched_getaffinity(0))} cores{memory}, Python {platform.python_version()}"


def record(name: str, text: str) -> None:
    """Prints a result and puts it between the markers of `name`, which are added when they are missing."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%d")
    where = f"_{stamp}; {machine()}; shared machine: only ratios of one run count._"
    block = f"<!-- {name} -->\n{where}\n\n{text.strip()}\n<!-- /{name} -->"
    print(f"\n## {name}\n{text}")
    old = DOCUMENT.read_text() if DOCUMENT.exists() else "# Benchmarks\n"
    pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    new = pattern.sub(lambda _: block, old) if pattern.search(old) else f"{old.rstrip()}\n\n## {name}\n\n{block}\n"
    DOCUMENT.write_text(new)


def table(header: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)

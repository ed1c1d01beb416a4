"""Results of torture runs go to docs/reliability.md, each between markers of its own."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def record_result(name: str, text: str) -> None:
    """Writes today's date and `text` in the place of the last result of that name, or at the end of the page."""
    date = datetime.now(UTC).date().isoformat()
    block = f"<!-- result: {name} -->\n- **{name}** ({date}, {os.cpu_count()} cores): {text}\n<!-- end: {name} -->"
    page = PAGE.read_text()
    pattern = re.compile(rf"<!-- result: {re.escape(name)} -->.*?<!-- end: {re.escape(name)} -->", re.DOTALL)
    page = pattern.sub(lambda _: block, page) if pattern.search(page) else page.rstrip("\n") + "\n" + block + "\n"
    PAGE.write_text(page)
    print(f"\n{name}: {text}")

"""What the engine of one machine makes of an expression."""

from __future__ import annotations

from pathlib import Path

from strongroom.store import Store


def test_what_is_used_twice_is_read_twice_and_not_held_in_memory(tmp_path: Path) -> None:
    """Ten million rows with embeddings took 5 GB when a query counted rows and joined the counts to them."""
    store = Store(tmp_path)
    rows = store.exchanges().filter(lambda table: table.words > 4)
    query = rows.join(rows.group_by("subject").aggregate(n=rows.count()), "subject").select("subject", "embedding")
    assert "AS NOT MATERIALIZED" in store._local._compiled(query)
    assert store.table(query).num_rows == 0

"""Which asset an access event is about, which events are about none, and where assets seem to lie.

`resolve` and `unresolved` are pure Ibis over the columns of `strongroom.store.ACCESS_EVENTS`; DuckDB and Spark give
the same. `propose` asks a store.
"""

from ._propose import Proposal, propose
from ._resolve import resolve, unresolved

__all__ = ["Proposal", "propose", "resolve", "unresolved"]

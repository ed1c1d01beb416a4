"""The analytical tables of a site (Delta files) and the engine that queries them (Ibis on DuckDB)."""

from ._schema import EXCHANGES, FINDINGS, SCHEMA_VERSION
from ._store import Store

__all__ = ["EXCHANGES", "FINDINGS", "SCHEMA_VERSION", "Store"]

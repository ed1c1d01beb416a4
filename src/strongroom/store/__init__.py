"""The analytical tables of a site (Delta files) and the engines that query them (Ibis on DuckDB or Spark)."""

from ._engine import Partial
from ._schema import EXCHANGES, FINDINGS, SCHEMA_VERSION
from ._spark import SparkSettings
from ._store import Store, microseconds

__all__ = ["EXCHANGES", "FINDINGS", "SCHEMA_VERSION", "Partial", "SparkSettings", "Store", "microseconds"]

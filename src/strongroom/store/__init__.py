"""The analytical tables of a site (Delta files) and the engines that query them (Ibis on DuckDB or Spark)."""

from strongroom.core.records import FIELD_COLUMNS

from ._engine import Partial
from ._schema import ACCESS_EVENTS, EXCHANGES, FINDINGS, SCHEMA_VERSION
from ._spark import SparkSettings
from ._store import Store, microseconds

__all__ = [
    "ACCESS_EVENTS",
    "EXCHANGES",
    "FIELD_COLUMNS",
    "FINDINGS",
    "SCHEMA_VERSION",
    "Partial",
    "SparkSettings",
    "Store",
    "microseconds",
]

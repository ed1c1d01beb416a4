"""What the tests of rules share."""

from __future__ import annotations

from typing import Any

import ibis
import pytest


@pytest.fixture(scope="session")
def spark_sql() -> Any:
    """Makes Spark's SQL of an expression. It needs no PySpark, but for whose options it asks."""
    from ibis.backends.sql.compilers import PySparkCompiler  # noqa: F401

    def make(expression: Any) -> str:
        return str(ibis.to_sql(expression, dialect="pyspark"))

    return make

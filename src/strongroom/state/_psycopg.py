"""Connections to PostgreSQL that wait for nothing without an end. Imports the extra `postgres`."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg

__all__ = ["connect"]

CONNECT_SECONDS = 5
LOCK_SECONDS = 10
"""How long a transaction waits for another's."""
STATEMENT_SECONDS = 12
IDLE_SECONDS = 30
"""How long a transaction may do nothing: of a server that was stopped or cut off, whose lock the others wait for."""
ANSWER_SECONDS = 15.0
"""How long an answer is waited for: PostgreSQL's own limits end nothing where it was stopped, or cut off."""
_SETTINGS = (
    f"SET lock_timeout = '{LOCK_SECONDS}s'; SET statement_timeout = '{STATEMENT_SECONDS}s';"
    f" SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s';"
    " SET synchronous_commit = on"  # a role may have it off; what was committed must survive a power cut
)


def connect(url: str, password: str) -> psycopg.Connection[Any]:
    """Autocommit: transactions begin where `_postgres` says so. No statement is prepared: none outlives a pooler's."""
    more: dict[str, Any] = {"password": password} if password else {}
    made = _Bounded.connect(
        url,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=CONNECT_SECONDS,
        client_encoding="UTF8",
        application_name="strongroom",
        **more,
    )
    made.execute(_SETTINGS)
    return made


class _Bounded(psycopg.Connection[Any]):
    def wait(self, gen: Generator[Any, Any, Any], *words: Any, **more: Any) -> Any:
        """Every statement, and every beginning and end of a transaction, is waited for here."""
        return super().wait(self._until(gen, time.monotonic() + ANSWER_SECONDS), *words, **more)

    def _until(self, gen: Generator[Any, Any, Any], ends: float) -> Generator[Any, Any, Any]:
        """Goes on with `gen`; is asked several times a second, also when nothing comes."""
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send((yield wanted))
                if time.monotonic() >= ends:
                    self.pgconn.finish()  # the answer may still come: nothing else may be read in its place
                    raise psycopg.OperationalError(f"no answer in {ANSWER_SECONDS:.0f} seconds")
        except StopIteration as done:
            return done.value

"""Alembic runs this to migrate over the connection, and inside the transaction, that `_migrate` hands it."""

from __future__ import annotations

from alembic import context


def run() -> None:
    """The caller's transaction holds everything; SQLite can roll back changes of tables too."""
    context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic loads it; a test that imports every module is another
    run()

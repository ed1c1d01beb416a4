"""The small transactional tables of a site: SQLAlchemy Core, migrated by Alembic, over SQLite, or over PostgreSQL
where several servers share them.

`state.db` holds what must change in one transaction, and what must be erasable: the ledger keeps digests for ever,
this file keeps their keys only as long as nobody asks for erasure. Whoever can read it can test guesses at who
stands behind the ledger's digests, so it is mode 0600 and belongs where secrets belong.

Invariants: a `state.db` is complete from the moment at which it exists; a version that this code does not know is
never touched; what `forget_subject` returned from is in no byte of `state.db*`. Copies elsewhere (backups, snapshots,
freed blocks of the disk; PostgreSQL's log) are outside its reach. A transaction that writes is the only one that
does, on every server; none waits without an end.

>>> import tempfile
>>> from pathlib import Path
>>> with tempfile.TemporaryDirectory() as folder, State.open(Path(folder) / "state.db") as state:
...     made = state.subject_key("ab" * 32, create=True)
...     again = state.subject_key("ab" * 32, create=False)
...     made == again, state.forget_subject("ab" * 32), state.subject_key("ab" * 32, create=False)
(True, True, None)
"""

from ._assets import MAX_ASSETS, AssetsTaken
from ._policy_sets import PolicySet
from ._postgres import check_url
from ._state import State, Transaction, Writer
from ._survey import Cell, Personal, Rows, Survey

__all__ = [
    "MAX_ASSETS",
    "AssetsTaken",
    "Cell",
    "Personal",
    "PolicySet",
    "Rows",
    "State",
    "Survey",
    "Transaction",
    "Writer",
    "check_url",
]

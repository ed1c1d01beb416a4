"""HTTP: the server that every app of Strongroom runs on, and the witness's app.

An app is told who asks by the scope's `client`: address and port over TCP, `("uid:1000", pid)` over a Unix socket.
Decisions are made in the floors below; nothing here decides.
"""

from ._log import log_app
from ._server import Server, peer_uid, run
from ._site import site_app
from ._witness import witness_app

__all__ = ["Server", "log_app", "peer_uid", "run", "site_app", "witness_app"]

"""What every HTTP door of Strongroom has in common: the server it runs on, and how strangers are kept in bounds.

An app is told who asks by the scope's `client`: address and port over TCP, `("uid:1000", pid)` over a Unix socket; and
over TLS by the certificates that the client showed (`client_chain`). Nothing here decides.
"""

from ._bodies import answer_error, read_body
from ._refusals import Refusals
from ._server import Server, client_chain, peer_uid, run

__all__ = ["Refusals", "Server", "answer_error", "client_chain", "peer_uid", "read_body", "run"]

"""`strongroom keyserver serve`: the process that holds the keys, until it is stopped."""

from __future__ import annotations

import contextlib
import os
import signal

import typer

from strongroom.core.errors import StrongroomError

from ._logs import PassphraseFile, open_site
from ._options import SiteOption, need_site
from ._serve import log_lines, tell_ready
from ._vault_door import passphrases

__all__ = ["keyserver"]

keyserver = typer.Typer(help="The key service: keys for programs that may not read them.", no_args_is_help=True)
MAX_CONNECTIONS = 1024


@keyserver.command("serve")
def serve(context: typer.Context, passphrase_file: PassphraseFile = None, site: SiteOption = "") -> None:
    """Hold the keys and the ledger, and release keys to who may, as strongroom.toml says where, until stopped.

    Logs are JSON lines on stderr; addresses come on stdout once it listens.
    """
    from strongroom.api import site_app
    from strongroom.keyserver import KeyServer, metrics_app
    from strongroom.serving import Refusals, Server
    from strongroom.vault import harden_process

    harden_process()
    opened = open_site(need_site(context, site).path)
    log, passphrase = log_lines(), passphrases(passphrase_file)

    def notify(text: str) -> None:
        log.warning(text)

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    settings, refusals = opened.configuration.keyserver, Refusals()
    secret = passphrase(opened.ledger.key_file)
    with opened.ledger.open(passphrase=secret, notify=notify) as sequencer, contextlib.ExitStack() as stack:
        keys = KeyServer(opened, sequencer, passphrase=passphrase, refusals=refusals, notify=notify)
        appending = site_app(opened, sequencer, notify=notify, refusals=refusals, failed_for_good=stop)
        beside = [Server(appending, unix_socket=opened.listen_at(None))]
        if settings.metrics:
            beside.append(Server(metrics_app(keys.metrics, keys.healthy), listen=settings.metrics))
        if settings.listen:
            tls = keys.certificates.context
            beside.append(Server(keys.app(), listen=settings.listen, tls=tls, limit_concurrency=MAX_CONNECTIONS))
        for server in beside:
            stack.enter_context(server)
            for address in server.addresses:
                tell_ready(address)
        log.info("serving", site=opened.name, entries=sequencer.status()["size"])
        # Who may connect is everybody; who is answered is judged by user, token, key or certificate.
        own = Server(
            keys.app(), unix_socket=opened.path / settings.socket, socket_mode=0o666, limit_concurrency=MAX_CONNECTIONS
        )
        own.run(tell_ready)
        status = sequencer.status()
        log.info("stopping", entries=status["size"])
        if status["failure"]:  # not 0, so that a supervisor starts it again
            raise StrongroomError("the ledger cannot go on", where=str(opened.path), next=str(status["failure"]))

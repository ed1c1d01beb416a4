"""`strongroom serve`, `ledger serve` and `ledger witness …`: what runs until it is stopped."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strongroom.core.errors import StrongroomError, UsageError

from ._ledger import UNSEALED, ledger
from ._logs import Log, PassphraseFile, log_source, new_passphrase, open_site, passphrase_for, read_passphrase
from ._options import Json, SiteOption, need_site
from ._output import print_facts, print_json, print_notice

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["log_lines", "serve", "tell_ready", "witness"]

witness = typer.Typer(help="A witness: cosigns what continues what it saw before.", no_args_is_help=True)
ledger.add_typer(witness, name="witness")

Listen = Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where; port 0 takes a free one.")]
WITNESS_KEY = "witness.key"


def serve(
    context: typer.Context,
    passphrase_file: PassphraseFile = None,
    listen: Annotated[
        Path | None,
        typer.Option("--socket", metavar="PATH", help="Listen there, for writers of other users; anybody may connect."),
    ] = None,
    site: SiteOption = "",
) -> None:
    """Hold the ledger and append for other processes, on the site's Unix socket, until stopped.

    Logs are JSON lines on stderr; the address comes on stdout once it listens.
    """
    from strongroom.api import site_app
    from strongroom.serving import run

    opened = open_site(need_site(context, site).path)
    log = log_lines()
    secret = passphrase_for(opened, passphrase_file)

    def notify(text: str) -> None:
        log.warning(text)

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with opened.ledger.open(passphrase=secret, notify=notify) as sequencer:
        socket = opened.listen_at(listen)
        log.info("serving", socket=str(socket), entries=sequencer.status()["size"])
        app = site_app(opened, sequencer, notify=notify, failed_for_good=stop)
        # Whom the socket lets in is judged by user and token.
        run(app, unix_socket=socket, ready=tell_ready, socket_mode=0o666 if listen else 0o600)
        status = sequencer.status()
        log.info("stopping", entries=status["size"])
        if status["failure"]:  # not 0, so that a supervisor starts it again
            raise StrongroomError("the ledger cannot go on", where=str(opened.path), next=str(status["failure"]))


@ledger.command("serve")
def ledger_serve(log: Log, listen: Listen = "127.0.0.1:8080") -> None:
    """Serve a log's public files over HTTP, read-only, until stopped. Any web server can do the same."""
    from strongroom.api import log_app
    from strongroom.serving import run

    run(log_app(log_source(log)), listen=listen, ready=tell_ready)


@witness.command("init")
def witness_init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The witness's own directory.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Its name, such as witness.example.com.")],
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Make a witness's key. Prints the key that logs and verifiers are given."""
    from strongroom.ledger import COSIGNATURE, check_name, create_key

    check_name(name)
    secret = new_passphrase(passphrase_file, ask=not json)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StrongroomError(f"the directory cannot be made: {error.strerror}", where=str(directory)) from error
    key = create_key(directory / WITNESS_KEY, name, type=COSIGNATURE, passphrase=secret)
    if not secret:
        print_notice(f"warning: {UNSEALED}")
    if json:
        print_json({"witness": name, "key": str(key.verifier), "sealed": bool(secret)})
    else:
        print_facts([("witness", name), ("verifier key", key.verifier)])


@witness.command("serve")
def witness_serve(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The witness's own directory.")],
    log: Annotated[list[str], typer.Option("--log", metavar="VKEY", help="A log that it cosigns; repeat it.")],
    listen: Listen = "127.0.0.1:8081",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Cosign checkpoints (C2SP tlog-witness) until stopped."""
    from strongroom.api import witness_app
    from strongroom.ledger import ED25519, VerifierKey, Witness, WitnessDirectory, load_key
    from strongroom.serving import run

    logs: dict[str, list[VerifierKey]] = {}
    for text in log:
        key = VerifierKey.parse(text)
        if key.type != ED25519:
            raise UsageError("this is no log's key", where="--log", next="give the key that 'ledger init' printed")
        logs.setdefault(key.name, []).append(key)
    lines = log_lines()
    signing = load_key(directory / WITNESS_KEY, passphrase=read_passphrase(directory / WITNESS_KEY, passphrase_file))

    def report(error: StrongroomError) -> None:
        lines.error(error.message, where=error.where)

    with WitnessDirectory(directory / "checkpoints") as storage:
        run(witness_app(Witness(signing, logs, storage, report=report)), listen=listen, ready=tell_ready)


def tell_ready(address: str) -> None:
    sys.stdout.write(f"listening: {address}\n")
    sys.stdout.flush()


def log_lines() -> FilteringBoundLogger:
    """The one way in which long-lived processes log: JSON lines on stderr."""
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    log: Any = structlog.get_logger()
    return log  # type: ignore[no-any-return]

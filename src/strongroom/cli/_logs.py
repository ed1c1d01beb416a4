"""What the commands about ledgers share: which log, which keys, which passphrase."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.core.errors import InputError, UsageError

if TYPE_CHECKING:
    from strongroom.ledger import LogReader, Source, VerifierKey
    from strongroom.site import Site

__all__ = [
    "Directory",
    "KeyOption",
    "Log",
    "PassphraseFile",
    "QuorumOption",
    "WitnessOption",
    "key_of",
    "log_source",
    "new_passphrase",
    "open_log",
    "open_site",
    "passphrase_for",
    "read_input",
    "read_passphrase",
    "witness_keys",
]

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A site's directory.")]
Log = Annotated[str, typer.Argument(metavar="LOG", help="A site, a ledger's directory or copy, or its address.")]
KeyOption = Annotated[
    str, typer.Option("--key", metavar="VKEY", help="The log's verifier key; an address needs it.", show_default=False)
]
WitnessOption = Annotated[
    list[str] | None, typer.Option("--witness", metavar="VKEY", help="A witness's verifier key; repeat it.")
]
QuorumOption = Annotated[
    int | None, typer.Option("--quorum", metavar="K", min=0, help="How many witnesses must have cosigned; all.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Its first line seals or opens the private key."),
]
MAX_PASSPHRASE_BYTES = 4096


def open_site(path: Path) -> Site:
    """A site that has a ledger. Raises InputError."""
    from strongroom.site import Site

    site = Site.open(path)
    if not site.ledger.exists:
        raise InputError(
            "this site has no ledger", where=str(path), next=f"make one: strongroom ledger init {path} --origin NAME"
        )
    return site


def log_source(place: str) -> Source:
    """The public files of a log, wherever it lies. Raises InputError."""
    from strongroom.ledger import open_source

    if "://" not in place and (Path(place) / "strongroom.toml").is_file():
        return open_site(Path(place)).ledger.source
    return open_source(place)


def key_of(place: str, text: str) -> VerifierKey | None:
    """The key that was given. Raises UsageError where an address comes without."""
    from strongroom.ledger import VerifierKey

    if not text and "://" in place:
        raise UsageError(
            "an address needs the log's verifier key, or it could be anybody's log",
            where=place,
            next="ask the log's owner for it, and give --key VKEY",
        )
    return VerifierKey.parse(text) if text else None


def open_log(place: str, key: str) -> LogReader:
    """A log up to its checkpoint, which the given key, or the last of a directory's own, has signed."""
    from strongroom.ledger import LogReader, read_checkpoint, read_keys

    given, source = key_of(place, key), log_source(place)
    keys = [given] if given else read_keys(source, "keys")[-1:]
    return LogReader(source, read_checkpoint(source, keys))


def witness_keys(texts: list[str] | None, quorum: int | None) -> tuple[list[VerifierKey], int]:
    """The witnesses' keys, and how many of them must have signed. Raises UsageError."""
    from strongroom.ledger import VerifierKey

    keys = [VerifierKey.parse(text) for text in texts or []]
    wanted = len(keys) if quorum is None else quorum
    if wanted > len(keys):
        raise UsageError(f"{wanted} cosignatures of {len(keys)} witnesses cannot be", where="--quorum")
    return keys, wanted


def passphrase_for(site: Site, file: Path | None) -> str:
    """What opens a site's ledger key; asked for on a terminal when it is sealed and no file was named.

    Nothing where 'strongroom serve' runs, which has opened it.
    """
    if file is None and site.served:
        return ""
    return read_passphrase(site.ledger.key_file, file)


def read_passphrase(key: Path, file: Path | None) -> str:
    """What opens a key file; asked for on a terminal when it is sealed and no file was named."""
    from strongroom.core.keyfile import is_sealed

    if file is not None:
        return _first_line(file)
    if is_sealed(key) and sys.stdin.isatty():
        return str(typer.prompt(f"Passphrase of {key}", hide_input=True, err=True))
    return ""


def new_passphrase(file: Path | None, *, ask: bool) -> str:
    """What seals a new key; empty when it is to lie open, which the caller says aloud."""
    if file is not None:
        return _first_line(file)
    if ask and sys.stdin.isatty():
        return str(
            typer.prompt(
                "Passphrase for the new key (empty: not encrypted)",
                hide_input=True,
                confirmation_prompt=True,
                default="",
                show_default=False,
                err=True,
            )
        )
    return ""


def _first_line(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_PASSPHRASE_BYTES + 1)
        line = data.decode().split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the passphrase cannot be read: {type(error).__name__}", where=str(file)) from None
    if not line or len(data) > MAX_PASSPHRASE_BYTES:
        raise InputError("the passphrase file is empty, or too large for one", where=str(file))
    return line


def read_input(name: str, limit: int) -> bytes:
    """A small file, or stdin for `-`. Raises InputError."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=name) from None
    if len(data) > limit:
        raise InputError(f"the file is larger than {limit:,} bytes", where=name)
    return data

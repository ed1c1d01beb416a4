"""`strongroom ledger …`: making a log, appending to it, reading it, and its keys."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from strongroom.core.clock import now
from strongroom.core.errors import InputError, IntegrityError, StrongroomError, UsageError

from ._logs import (
    Directory,
    KeyOption,
    Log,
    PassphraseFile,
    new_passphrase,
    open_log,
    open_site,
    passphrase_for,
)
from ._options import Json
from ._output import counting, print_facts, print_json, print_notice, print_table, tame

if TYPE_CHECKING:
    from strongroom.ledger import LogReader
    from strongroom.site import Site

__all__ = ["UNSEALED", "Interrupted", "json_of", "ledger"]

ledger = typer.Typer(help="The append-only log of what happened, which others can check.", no_args_is_help=True)

UNSEALED = "the private key is not encrypted (mode 0600); --passphrase-file seals it"
CHUNK_ENTRIES = 32_768
"""Lines of one commit of `ledger append`."""
CHUNK_BYTES = 8 << 20
"""Bytes of one commit: less than what the site's server takes in one request."""
MAX_LINE_BYTES = 1 << 20
FOLLOW_SECONDS = 0.5
Index = Annotated[int, typer.Argument(metavar="INDEX", min=0, help="An entry's number, from 0 on.")]


class Interrupted(typer.Abort):
    """Ctrl-C, and what is done already. No KeyboardInterrupt: of that Typer would keep the exit code alone."""


@ledger.command("init")
def init(
    directory: Directory,
    origin: Annotated[str, typer.Option("--origin", metavar="NAME", help="The log's name, such as example.com/log.")],
    storage: Annotated[
        str, typer.Option("--storage", metavar="URL", help="Where the log lies, such as s3://bucket/prefix.")
    ] = "",
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Make a log, in a new site or in one that has none yet. Prints the key with which others verify it."""
    from strongroom.ledger import check_name
    from strongroom.site import Site

    check_name(origin)
    secret = new_passphrase(passphrase_file, ask=not json)
    if (directory / "strongroom.toml").exists():
        if storage:
            raise UsageError(
                "the site is there already",
                where="--storage",
                next=f"write ledger.storage into {directory}/strongroom.toml",
            )
        site = Site.open(directory)
        site.make_ledger(origin, passphrase=secret)
    else:
        site = Site.create(directory, origin=origin, storage=storage, passphrase=secret)
    if not secret:
        print_notice(f"warning: {UNSEALED}")
    key = str(site.ledger.keys()[-1])
    if json:
        print_json({"site": str(directory.absolute()), "origin": origin, "key": key, "sealed": bool(secret)})
        return
    print_facts([("site", directory.absolute()), ("origin", origin), ("verifier key", key)])
    sys.stdout.write(
        "Give the verifier key to whoever is to check this log. Until a checkpoint leaves the machine (a witness, a\n"
        f"copy elsewhere, a git remote: {directory}/strongroom.toml), its operator can rewrite it unseen.\n"
    )


@ledger.command("append")
def append(
    directory: Directory,
    file: Annotated[str, typer.Argument(metavar="FILE", help="One JSON entry a line; - for stdin.")],
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Put entries on record. Prints the first and the last index once all are durable.

    Entries are made canonical here, and personal facts of access events become keyed digests.
    """
    site = open_site(directory)
    secret = passphrase_for(site, passphrase_file)
    first = last = -1
    lines = sent = 0
    try:
        with site.recorder(passphrase=secret, notify=print_notice) as recorder, counting("entries") as count:
            for chunk in _chunks(site, file):
                sent = lines + len(chunk)
                done = recorder.append_many(chunk)
                first, last = done[0] if first < 0 else first, done[-1]
                lines += len(chunk)
                count(lines, 0)
    except KeyboardInterrupt:
        doubt = f"; the {sent - lines:,} after them may be" if sent > lines else ""
        raise Interrupted(f"interrupted; {_on_record(lines, first, last)}{doubt}") from None
    except StrongroomError as error:
        if lines:
            error.next = f"{error.next}; {_on_record(lines, first, last)}".removeprefix("; ")
        raise
    if lines == 0:
        raise InputError("there is no entry", where=file, next="write one JSON entry a line")
    if json:
        print_json({"first": first, "last": last, "entries": lines})
    else:
        print_facts([("first", f"{first:,}"), ("last", f"{last:,}"), ("entries", f"{lines:,}")])


@ledger.command("tail")
def tail(
    log: Log,
    count: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=0, help="How many.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
    key: KeyOption = "",
    json: Json = False,
) -> None:
    """Show the last entries, each verified."""
    reader = open_log(log, key)
    key = key or str(reader.signed.key)  # also for what comes later: `keys` could change meanwhile
    first = max(0, reader.size - count)
    if json and not follow:
        print_json([_shown(index, entry) for index, entry in reader.entries(first)])
        return
    while True:
        for index, entry in reader.entries(first):
            _print_entry(index, entry, json=json)
        sys.stdout.flush()
        first = reader.size
        if not follow:
            return
        time.sleep(FOLLOW_SECONDS)
        reader = _newer(reader, log, key)


@ledger.command("show")
def show(log: Log, index: Index, key: KeyOption = "", json: Json = False) -> None:
    """Print one entry as it was hashed, verified."""
    reader = open_log(log, key)
    entry = reader.entry(index)
    if json:
        print_json({**_shown(index, entry), "origin": reader.origin, "size": reader.size})
    elif sys.stdout.isatty():
        sys.stdout.write(tame(entry.decode(errors="replace")) + "\n")  # a stranger's entry could steer the terminal
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(entry + b"\n")


@ledger.command("keys")
def keys(log: Log, key: KeyOption = "", json: Json = False) -> None:
    """Show the keys that a log says it had, oldest first; the last one signs. 'verify' checks that they follow."""
    from strongroom.ledger import read_keys

    from ._logs import key_of, log_source

    given = key_of(log, key)
    found = read_keys(log_source(log), "keys")
    if given is not None and given not in found:
        raise StrongroomError("the log does not say that it had this key", where=log, next="ask the log's owner")
    if json:
        print_json([{"key": str(one), "origin": one.name, "signs": one is found[-1]} for one in found])
    else:
        print_table(["verifier key", "signs"], [(one, "yes" if one is found[-1] else "no") for one in found])


@ledger.command("rotate")
def rotate(
    directory: Directory,
    passphrase_file: PassphraseFile = None,
    new_passphrase_file: Annotated[
        Path | None, typer.Option("--new-passphrase-file", metavar="FILE", help="Its first line seals the new key.")
    ] = None,
    json: Json = False,
) -> None:
    """Give the log a new key. The old one signs the entry that introduces it, and is then erased."""
    site = open_site(directory)
    secret = passphrase_for(site, passphrase_file)
    fresh = new_passphrase(new_passphrase_file, ask=not json) if new_passphrase_file or not secret else secret
    made = site.ledger.rotate(now(), passphrase=secret, new_passphrase=fresh)
    if not fresh:
        print_notice(f"warning: {UNSEALED}")
    if json:
        print_json({"origin": made.name, "key": str(made), "sealed": bool(fresh)})
    else:
        print_facts([("new verifier key", made)])
        sys.stdout.write("Give it to whoever checks this log or cosigns it: witnesses know the old key alone.\n")


def _chunks(site: Site, name: str) -> Iterator[list[bytes]]:
    """Canonical entries, some thousand at a time. Raises InputError naming the line."""
    chunk: list[bytes] = []
    size = 0
    for number, line in enumerate(_lines(name), 1):
        if not line.strip():
            continue
        entry = _entry(site, line, f"{'stdin' if name == '-' else name}, line {number}")
        if chunk and (len(chunk) == CHUNK_ENTRIES or size + len(entry) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += len(entry)
    if chunk:
        yield chunk


def _entry(site: Site, line: bytes, where: str) -> bytes:
    from strongroom.ledger import RESERVED, canonicalise, decode_entry

    try:
        entry = decode_entry(canonicalise(line.strip(), where=where))
        if entry.type.startswith(RESERVED):
            raise InputError(f"the ledger alone writes entries of type {entry.type}")
        return site.admitted(entry, entry.writer)
    except StrongroomError as error:
        error.where = where
        raise


def _lines(name: str) -> Iterator[bytes]:
    try:
        file = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115 - stdin stays open
        with file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES:
                    raise InputError(f"a line is longer than {MAX_LINE_BYTES:,} bytes", where=name)
                yield line
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=name) from error


def _newer(reader: LogReader, place: str, key: str) -> LogReader:
    """The log as it is now, which must begin with what was seen before."""
    newer = open_log(place, key)
    if newer.size < reader.size:
        what = f"the log had {reader.size:,} entries and has {newer.size:,} now"
    elif newer.root_at(reader.size) != reader.root:
        what = f"the log's first {reader.size:,} entries are others now"
    else:
        return newer
    raise IntegrityError(what, where=newer.source.name, next="run 'ledger verify'")


def _shown(index: int, entry: bytes) -> dict[str, Any]:
    from strongroom.ledger import leaf_hash

    return {"index": index, "leaf": leaf_hash(entry).hex(), "entry": json_of(entry)}


def json_of(entry: bytes) -> Any:
    """An entry inside another JSON document: itself, or in base64 what in another maker's log is no JSON."""
    try:
        return msgspec.json.decode(entry)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return base64.b64encode(entry).decode()


def _print_entry(index: int, entry: bytes, *, json: bool) -> None:
    if json:
        sys.stdout.write(msgspec.json.encode(_shown(index, entry)).decode() + "\n")
    else:
        sys.stdout.write(f"{index}\t{tame(entry.decode(errors='replace'))}\n")


def _on_record(lines: int, first: int, last: int) -> str:
    return f"the first {lines:,} entries are on record, {first:,} to {last:,}" if lines else "nothing is on record"

"""`strongroom ledger …`: who opened what, export, erasure, and who may write."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from strongroom.core.clock import format_time, now
from strongroom.core.errors import InputError, RecordError, StrongroomError, UsageError
from strongroom.core.records import Entry

from ._ledger import json_of, ledger
from ._logs import KeyOption, Log, PassphraseFile, open_log, open_site, passphrase_for
from ._options import Json, SiteOption, check_writable, need_site, window_of, write_output
from ._output import print_facts, print_json, print_notice, print_table, tame

if TYPE_CHECKING:
    from strongroom.audit import Answer
    from strongroom.ledger import LogReader

__all__ = ["writer"]

writer = typer.Typer(help="Other processes that may append, through 'strongroom serve'.", no_args_is_help=True)
ledger.add_typer(writer, name="writer")


@ledger.command("ask")
def ask(
    context: typer.Context,
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="org/name, or org/name:tag; none: every asset.")] = "",
    principal: Annotated[str, typer.Option("--principal", metavar="P", help="Who: by name, or as keyed digest.")] = "",
    action: Annotated[str, typer.Option("--action", metavar="ACTION", help="Only this action.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is older (a time, or 14d).")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is from then on.")] = "",
    scan: Annotated[
        bool, typer.Option("--scan", help="Read the whole log, not the index: a forged index could hide lines.")
    ] = False,
    proofs: Annotated[
        Path | None, typer.Option("--proofs", metavar="DIR", help="Write each entry and its proof into this directory.")
    ] = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Say who opened what, when, under which lease. Every line is read from the log and proven."""
    from strongroom.audit import ask as ask_log

    if not asset and not principal:
        raise UsageError("ask about an asset, a principal, or both", next="strongroom ledger ask org/name")
    window = window_of(since, until)
    opened = open_site(need_site(context, site).path)
    reader = opened.ledger.reader()
    answers = ask_log(
        reader,
        asset=asset or None,
        principal=principal or None,
        action=action or None,
        since=window[0],
        until=window[1],
        subjects=opened.subjects if principal else None,
        index=opened.path / "run" / "ledger-index.db",
        scan=scan,
    )
    rows = []
    for answer in answers:
        rows.append(_answer(answer))
        if proofs is not None:
            _write_proof(proofs, answer)
    if json:
        print_json({"origin": reader.origin, "size": reader.size, "scanned": scan, "answers": rows})
        return
    columns = ["index", "time", "outcome", "action", "asset", "principal", "lease", "purpose", "reason"]
    print_table(columns, [[_short(str(row[name])) for name in columns] for row in rows])
    print_notice(
        f"{len(rows):,} lines, each proven against the checkpoint at {reader.size:,}"
        + ("" if scan else "; found by the index, --scan reads the whole log")
    )


@ledger.command("export")
def export(
    log: Log,
    ocsf: Annotated[
        bool, typer.Option("--ocsf", help="Access events as OCSF API Activity; leave out all else.")
    ] = False,
    first: Annotated[int, typer.Option("--from", metavar="INDEX", min=0, help="The first entry.")] = 0,
    until: Annotated[int | None, typer.Option("--to", metavar="INDEX", min=0, help="The entry to stop before.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write there instead of stdout.")] = None,
    key: KeyOption = "",
    json: Json = False,
) -> None:
    """Write verified entries as JSON Lines, each with its index. With --json as one document."""
    check_writable(out, "--out")
    reader = open_log(log, key)
    rows = _exported(reader, first, until, ocsf=ocsf)
    if json and out is None:
        print_json({"origin": reader.origin, "size": reader.size, "entries": list(rows)})
        return
    lines = (msgspec.json.encode(row).decode() + "\n" for row in rows)
    if out is None:
        for line in lines:
            sys.stdout.write(line)
        return
    count = write_output(out, lines)
    if json:
        print_json({"origin": reader.origin, "size": reader.size, "lines": count, "file": tame(str(out))})
    else:
        print_notice(f"{count:,} lines: {out}")


@ledger.command("forget")
def forget(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="The principal's name.")],
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Erase a principal's key: its digests on record lead to nobody any more, and the log still verifies.

    That a key was erased, not whose, goes on record first.
    """
    opened = open_site(need_site(context, site).path)
    if opened.subjects.find(subject) is None:
        opened.subjects.forget(subject)  # an erasure that was interrupted: no trace stays in the files
        raise InputError("there is no key of this principal", next="it never acted here, or was forgotten already")
    secret = passphrase_for(opened, passphrase_file)
    entry = Entry(type="strongroom.erasure/1", time=format_time(now()), writer="strongroom", body={"keys": 1})
    with opened.recorder(passphrase=secret, notify=print_notice) as recorder:
        index = recorder.append(entry)
    opened.subjects.forget(subject)
    if json:
        print_json({"forgotten": True, "index": index})
    else:
        print_facts([("erased", "1 key"), ("on record as entry", f"{index:,}")])
        sys.stdout.write("Copies of state.db (backups, snapshots) still hold the key until they are gone.\n")


@writer.command("add")
def writer_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What its entries name as their writer.")],
    types: Annotated[
        list[str],
        typer.Option("--type", metavar="TYPE", help="Such as strongroom.access/1; repeat it."),
    ],
    token_file: Annotated[Path, typer.Option("--token-file", metavar="FILE", help="Where its token goes (mode 0600).")],
    uid: Annotated[int | None, typer.Option("--uid", metavar="UID", min=0, help="Its user; yours by default.")] = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Let another process append entries of these types. Its token is shown nowhere and kept as a digest."""
    opened = open_site(need_site(context, site).path)
    check_writable(token_file, "--token-file")
    try:
        descriptor = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise StrongroomError(f"the token file cannot be made: {error.strerror}", where=str(token_file)) from error
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(opened.add_writer(name, types, uid if uid is not None else os.getuid()) + "\n")
    except BaseException:
        token_file.unlink(missing_ok=True)
        raise
    if json:
        print_json({"writer": name, "types": types, "token_file": tame(str(token_file)), "socket": str(opened.socket)})
    else:
        print_facts([("writer", name), ("types", ", ".join(types)), ("token", token_file), ("socket", opened.socket)])


@writer.command("list")
def writer_list(context: typer.Context, site: SiteOption = "", json: Json = False) -> None:
    """Show who may append, and what."""
    found = open_site(need_site(context, site).path).state.writers()
    if json:
        print_json([{"writer": o.name, "types": o.types, "uid": o.uid, "since": format_time(o.created)} for o in found])
    else:
        rows = [(one.name, ", ".join(one.types), one.uid, format_time(one.created)) for one in found]
        print_table(["writer", "types", "uid", "since"], rows)


@writer.command("remove")
def writer_remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The writer.")],
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Take a writer's right away, from its next request on."""
    opened = open_site(need_site(context, site).path)
    if not opened.state.remove_writer(name):
        raise InputError(f"there is no writer '{name}'", next="see 'strongroom ledger writer list'")
    if json:
        print_json({"removed": name})
    else:
        print_facts([("removed", name)])


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "index": answer.index,
        "time": answer.time,
        "outcome": answer.outcome,
        "action": answer.action,
        "asset": answer.asset,
        "principal": answer.principal,
        "lease": answer.lease,
        "purpose": answer.purpose,
        "reason": answer.reason,
        "entry": msgspec.Raw(answer.entry.encode()),
        "proof": answer.proof,
    }


def _short(text: str) -> str:
    """A digest as people compare it; --json has it whole."""
    return text[:24] + "…" if text.startswith("hmac-sha256:") else text


def _write_proof(folder: Path, answer: Answer) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StrongroomError(f"the directory cannot be made: {error.strerror}", where=str(folder)) from error
    write_output(folder / f"{answer.index}.json", answer.entry + "\n")
    write_output(folder / f"{answer.index}.tlog-proof", answer.proof)


def _embedded(entry: bytes) -> Any:
    """An entry inside a JSON document, byte for byte when it is canonical."""
    from strongroom.ledger import check_entry

    try:
        check_entry(entry)
    except InputError:
        return json_of(entry)
    return msgspec.Raw(entry)


def _exported(reader: LogReader, first: int, until: int | None, *, ocsf: bool) -> Iterator[dict[str, Any]]:
    from strongroom.audit import ACCESS, api_activity

    for index, entry in reader.entries(first, until):
        if not ocsf:
            yield {"index": index, "entry": _embedded(entry)}
            continue
        decoded = json_of(entry)
        if isinstance(decoded, dict) and decoded.get("type") == ACCESS:
            body = decoded.get("body")
            try:
                yield api_activity(body if isinstance(body, dict) else {}, index=index, log=reader.origin)
            except RecordError as error:
                print_notice(f"entry {index:,} left out: {error.message}")

"""`strongroom ledger …`: proofs, verdicts, and comparing two views."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strongroom.core.clock import format_time
from strongroom.core.errors import InputError, IntegrityError, UsageError

from ._ledger import Index, ledger
from ._logs import (
    KeyOption,
    Log,
    QuorumOption,
    WitnessOption,
    key_of,
    log_source,
    open_log,
    open_site,
    read_input,
    witness_keys,
)
from ._options import Json, check_writable, write_output
from ._output import counting, print_facts, print_json, print_notice, tame

if TYPE_CHECKING:
    from strongroom.ledger import Seen, Verdict, VerifierKey, View

__all__ = ["SPLIT"]

SPLIT = 1
OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead of stdout.")]
MAX_FILE_BYTES = 2_000_000


@ledger.command("prove")
def prove(log: Log, index: Index, out: OutOption = None, key: KeyOption = "", json: Json = False) -> None:
    """Make a proof (C2SP tlog-proof) that an entry is on record, to be checked offline with 'check-proof'."""
    check_writable(out, "--out")
    reader = open_log(log, key)
    _, proof = reader.prove_entry(index)
    text = proof.encode().decode()
    if out is not None:
        write_output(out, text)
    if json:
        print_json(
            {
                "index": index,
                "size": reader.size,
                "origin": reader.origin,
                "hashes": [base64.b64encode(hash_).decode() for hash_ in proof.hashes],
                "proof": text,
            }
        )
    elif out is None:
        sys.stdout.write(text)


@ledger.command("prove-consistency")
def prove_consistency(
    log: Log,
    old: Annotated[int, typer.Argument(metavar="OLD", min=0, help="An older size.")],
    key: KeyOption = "",
    json: Json = False,
) -> None:
    """Make a proof that today's log begins with its first OLD entries (the body of tlog-witness's add-checkpoint)."""
    reader = open_log(log, key)
    hashes = [base64.b64encode(hash_).decode() for hash_ in reader.prove_consistency(old)]
    if json:
        print_json(
            {
                "origin": reader.origin,
                "old": {"size": old, "root": base64.b64encode(reader.root_at(old)).decode()},
                "new": {"size": reader.size, "root": base64.b64encode(reader.root).decode()},
                "hashes": hashes,
            }
        )
        return
    sys.stdout.write("\n".join([f"old {old}", *hashes, "", ""]) + reader.signed.note.decode())


@ledger.command("check-proof")
def check_proof(
    proof: Annotated[str, typer.Argument(metavar="PROOF", help="A tlog-proof file; - for stdin.")],
    entry: Annotated[Path, typer.Option("--entry", metavar="FILE", help="The entry, as 'show' prints it.")],
    key: Annotated[str, typer.Option("--key", metavar="VKEY", help="The log's verifier key.")],
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
    json: Json = False,
) -> None:
    """Check a proof offline, without the log. Exit 0: it holds, 5: it does not."""
    from strongroom.ledger import VerifierKey, check_quorum, parse_proof
    from strongroom.ledger import check_proof as check

    trusted, (witnesses, wanted) = VerifierKey.parse(key), witness_keys(witness, quorum)
    parsed = parse_proof(read_input(proof, MAX_FILE_BYTES), where=proof)
    data = read_input(str(entry), MAX_FILE_BYTES)
    # 'show' ends its line; a canonical entry never ends in one.
    signed = check(parsed, data.removesuffix(b"\n"), [trusted], witnesses=witnesses, where=proof)
    check_quorum(signed, wanted, where=proof)
    facts: dict[str, Any] = {
        "origin": signed.checkpoint.origin,
        "index": parsed.index,
        "size": signed.checkpoint.size,
        "key": str(signed.key),
        "cosigned": {one.name: format_time(time * 1_000_000) for one, time in signed.cosigned.items()},
    }
    if json:
        print_json({"holds": True, **facts})
        return
    sys.stdout.write(f"the proof holds: the entry is number {parsed.index:,} of {signed.checkpoint.origin}\n")
    print_facts([("signed by", signed.key), ("log's size then", f"{signed.checkpoint.size:,}")])
    print_facts([("cosigned by", ", ".join(f"{name} at {at}" for name, at in facts["cosigned"].items()) or "nobody")])


@ledger.command("verify")
def verify(
    log: Log,
    since: Annotated[
        list[str] | None,
        typer.Option("--since", metavar="CHECKPOINT", help="An older checkpoint of this log (a file); repeat it."),
    ] = None,
    key: KeyOption = "",
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
    json: Json = False,
) -> None:
    """Read a whole log and say whether it was changed, and whether something is missing. Exit 5 when it is so.

    A site's own log is also compared with what its witnesses, copies and git remote have kept.
    """
    given = key_of(log, key)
    with counting("entries") as count:
        verdict = _verdict(log, given, since or [], witness, quorum, count)
    if json:
        print_json({**verdict.as_dict(), "key_from": "given" if given else "the log itself"})
    else:
        _print_verdict(verdict, own_key=given is None)
    verdict.check(log)


def _verdict(
    log: str,
    given: VerifierKey | None,
    since: list[str],
    witness: list[str] | None,
    quorum: int | None,
    count: Any,
) -> Verdict:
    from strongroom.ledger import read_keys, trusted_keys, verify_log

    if "://" not in log and (Path(log) / "strongroom.toml").is_file():
        home = open_site(Path(log)).ledger
        witnesses, wanted = home.witnesses_and_quorum()
        if witness or quorum is not None:
            witnesses, wanted = witness_keys(witness or list(map(str, witnesses)), quorum)
        return home.verify(
            given=given,
            witnesses=witnesses,
            quorum=wanted,
            seen=_seen(since, home.keys()),
            notify=print_notice,
            progress=count,
        )
    source = log_source(log)
    try:
        claimed = read_keys(source, "keys")
    except IntegrityError:
        if given is None:
            raise
        claimed = [given]  # another maker's log has no such file
    witnesses, wanted = witness_keys(witness, quorum)
    return verify_log(
        source,
        trusted_keys(claimed, given),
        older_keys=claimed,
        witnesses=witnesses,
        quorum=wanted,
        seen=_seen(since, claimed),
        progress=count,
    )


def _seen(since: list[str], keys: list[VerifierKey]) -> list[Seen]:
    from strongroom.ledger import Seen, open_checkpoint

    found = []
    for name in since:
        signed = open_checkpoint(read_input(name, MAX_FILE_BYTES), keys, where=name)
        found.append(Seen(f"the checkpoint {tame(name)}", signed.checkpoint, outside=False))
    return found


def _print_verdict(verdict: Verdict, *, own_key: bool) -> None:
    print_facts(
        [
            ("log", verdict.origin),
            ("entries", f"{verdict.size:,}"),
            ("root", base64.b64encode(verdict.root).decode()),
            ("signed by", verdict.key),
            ("key from", "the log itself: compare it with what its owner told you" if own_key else "what you gave"),
            ("integrity", _integrity(verdict)),
            ("completeness", _completeness(verdict)),
            ("cosigned by", _cosigned(verdict)),
            (
                "protected",
                "yes, a checkpoint is kept outside this log's machine"
                if verdict.protected
                else "not protected against the operator: no checkpoint is known to have left the machine",
            ),
        ]
    )


def _integrity(verdict: Verdict) -> str:
    if verdict.integrity == "intact":
        return "intact: every entry and hash is what the checkpoint signs"
    return "CHANGED: " + "; ".join([*verdict.damage.changed, *verdict.damage.malformed, *verdict.rewritten])


def _completeness(verdict: Verdict) -> str:
    if verdict.completeness == "incomplete":
        return "INCOMPLETE: " + "; ".join([*verdict.damage.missing, *verdict.rolled_back])
    if verdict.completeness == "unknown":
        return "no file is missing; without an older checkpoint a rolled-back disk would not show"
    seen = ", ".join(f"{item['by']} ({item['size']:,})" for item in verdict.seen if item["older"])
    return f"complete, compared with {seen}"


def _cosigned(verdict: Verdict) -> str:
    parts = [
        f"{key.name} at {format_time(time * 1_000_000)}" if time is not None else f"{key.name}: MISSING"
        for key, time in verdict.cosigned.items()
    ]
    if not parts:
        return "nobody"
    return f"{', '.join(parts)}; of {verdict.size:,} entries {verdict.cosigned_size:,} ({verdict.quorum} wanted)"


@ledger.command("compare")
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A log (directory or address) or a checkpoint file.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another view of the same log.")],
    key: KeyOption = "",
    json: Json = False,
) -> None:
    """Compare two views of one log. Exit 0: one continues the other, 1: a split view, which both signatures prove."""
    from strongroom.ledger import compare as compare_views

    given = key_of(first, key) or key_of(second, key)
    keys = [given] if given else _keys_of(first, second)
    found = compare_views(_view(first, keys), _view(second, keys))
    views = [found.smaller, found.larger]
    if json:
        print_json(
            {
                "verdict": found.verdict,
                "common": found.common,
                "views": [
                    {
                        "name": tame(view.name),
                        "size": view.signed.checkpoint.size,
                        "root": base64.b64encode(view.signed.checkpoint.root).decode(),
                        "checkpoint": view.signed.note.decode(),
                    }
                    for view in views
                ],
            }
        )
    elif found.verdict == "split":
        common = "unknown" if found.common is None else f"{found.common:,}"
        sys.stdout.write(f"SPLIT VIEW: one key signed two histories; entries in common: {common}\n\n")
        for view in views:
            sys.stdout.write(f"{view.name}:\n{view.signed.note.decode()}\n")
        sys.stdout.write("Keep both checkpoints: each is signed, and together they prove it.\n")
    else:
        sys.stdout.write(
            "both are the same\n"
            if found.verdict == "same"
            else f"{found.larger.name} continues {found.smaller.name}: {found.common:,} entries in common\n"
        )
    if found.verdict == "split":
        raise typer.Exit(SPLIT)


def _keys_of(*places: str) -> list[VerifierKey]:
    from strongroom.ledger import read_keys

    for place in places:
        if not Path(place).is_file():
            return read_keys(log_source(place), "keys")[-1:]
    raise UsageError("two checkpoint files need the log's key", where="--key", next="give --key VKEY")


def _view(place: str, keys: list[VerifierKey]) -> View:
    from strongroom.ledger import LogReader, View, open_checkpoint, read_checkpoint

    if "://" not in place and Path(place).is_file():
        return View(place, open_checkpoint(read_input(place, MAX_FILE_BYTES), keys, where=place))
    if "://" not in place and not Path(place).exists():
        raise InputError("there is no such log or checkpoint", where=place)
    source = log_source(place)
    signed = read_checkpoint(source, keys)
    return View(place, signed, LogReader(source, signed))

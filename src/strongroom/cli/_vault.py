"""`strongroom vault …`: sealing weights and datasets, opening them, and changing who may."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strongroom.core.errors import InputError, IntegrityError, RefusedError, UsageError

from ._ledger import Interrupted
from ._logs import PassphraseFile
from ._options import Json, SiteOption
from ._output import moving, print_error, print_facts, print_json, print_notice, print_table
from ._vault_door import KeyFiles, Lease, Purpose, Signers, door_of, recipients_of

if TYPE_CHECKING:
    from strongroom.vault import Door, Manifest, Recipient, Sealed, SealedObject, Signed, Source

__all__ = ["vault"]

vault = typer.Typer(help="Weights and datasets sealed at rest, opened one slice at a time.", no_args_is_help=True)

SHOWN_FILES = 50
Object = Annotated[Path, typer.Argument(metavar="OBJECT", help="A sealed object's directory.")]
Expected = Annotated[str, typer.Option("--name", metavar="ASSET", help="The asset that it must be: org/name[:tag].")]
Threads = Annotated[int, typer.Option("--threads", metavar="N", min=0, max=32, help="How many; 0: one a core.")]


@vault.command("seal")
def seal_paths(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and directories.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="The sealed object, a new directory.")],
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="RECIPIENT", help="Who may open it: a key's name, NAME.pub, awskms:…; repeat it."),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="ASSET", help="The asset that it is: org/name[:tag].")] = "",
    recovery: Annotated[
        bool, typer.Option("--recovery/--no-recovery", help="Seal to the site's recovery key too.")
    ] = True,
    threads: Threads = 0,
    force: Annotated[bool, typer.Option("--force", help="Exchange the sealed object at OUT for the new one.")] = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Seal what symbolic links lead to; otherwise they are an error.")
    ] = False,
    remove_source: Annotated[
        bool, typer.Option("--remove-source", help="Prove the sealed copy, byte by byte, then remove the files.")
    ] = False,
    key: KeyFiles = None,
    passphrase_file: PassphraseFile = None,
    purpose: Purpose = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Encrypt files into a sealed object. After a kill or Ctrl-C the same command continues."""
    from strongroom.core.ids import check_asset_name
    from strongroom.vault import find_sources, is_sealed_object, seal

    if name:
        check_asset_name(name)
    if remove_source:
        _check_removing(follow_links, force)
    named = recipients_of(context, site, to or [])
    with door_of(context, site, keys=key, passphrase_file=passphrase_file, purpose=purpose) as door:
        recipients = _with_recovery(named or list(door.recipients), door, recovery)
        if remove_source:
            _check_provable(recipients, door)
        sources = find_sources(paths, follow_links=follow_links, out=out)
        if remove_source and is_sealed_object(out):
            _finish_removing(sources, out, door, threads, json=json)
            return
        begun = time.monotonic()
        try:
            with moving("sealing", sum(source.size for source in sources)) as progress:
                sealed = seal(
                    sources, out, recipients, door, name=name, threads=threads, replace=force, progress=progress
                )
        except KeyboardInterrupt:
            raise Interrupted("interrupted; what was sealed is kept, and the same command continues") from None
        seconds = time.monotonic() - begun
        if remove_source:
            _remove(sources, out, door, threads)
    warn_of_one([one.name for one in recipients])
    _tell_sealed(sealed, out, seconds, len(sources) if remove_source else 0, json=json)


def _check_removing(follow_links: bool, force: bool) -> None:
    """Raises UsageError where removing would take more than was sealed, or the copy of what was removed before."""
    if follow_links or force:
        other = "--follow-links" if follow_links else "--force"
        why = "what links lead to is not removed" if follow_links else "the object at OUT may be the only copy of some"
        raise UsageError(why, where="--remove-source", next=f"leave {other} out")


def _check_provable(recipients: Sequence[Recipient], door: Door) -> None:
    if not any(door.keys.holds(one.key) for one in recipients):
        raise UsageError(
            "no key that could open it is held here, so the copy could not be proved",
            where="--remove-source",
            next="seal to a key of the site too, or leave it out",
        )


def _tell_sealed(sealed: Sealed, out: Path, seconds: float, removed: int, *, json: bool) -> None:
    manifest = sealed.signed.manifest
    if json:
        more = {"continued": sealed.continued, "removed": removed, "seconds": round(seconds, 3)}
        print_json(facts_of(sealed.signed, out) | more)
        return
    print_facts(
        [
            ("sealed", f"{out}"),
            ("asset", manifest.name or "no name"),
            ("version", manifest.version),
            ("files", f"{len(manifest.files):,}, {_size(manifest.length)}"),
            ("opens for", ", ".join(one.name for one in manifest.keys[0])),
            ("signed by", sealed.signed.signer.name),
            ("rate", f"{manifest.length / 1e6 / max(seconds, 1e-3):,.0f} MB/s"),
            *([("continued", f"{sealed.continued:,} files were sealed before")] if sealed.continued else []),
            *([("removed", f"{removed:,} files, after the copy was proved")] if removed else []),
        ]
    )


def warn_of_one(names: Sequence[str]) -> None:
    if len(names) == 1:
        print_notice(f"warning: {names[0]} alone can open it; if that key is lost, so is the content")


def _with_recovery(named: list[Recipient], door: Door, wanted: bool) -> list[Recipient]:
    from strongroom.vault import RECOVERY

    recovery = [one for one in door.recipients if one.name == RECOVERY]
    if not wanted:
        kept = [one for one in named if one not in recovery]
        return kept or named
    return named + [one for one in recovery if one.key not in {other.key for other in named}]


def _remove(sources: Sequence[Source], out: Path, door: Door, threads: int) -> None:
    """Removes files whose sealed copy was opened and compared. Raises StrongroomError, and then nothing is removed."""
    from strongroom.vault import open_object, prove, remove_sources

    # Nothing is released: it is part of sealing, by whoever has the files in plain.
    proving = open_object(out, door=door, action="Seal", reason="proves the sealed copy")
    with proving as sealed, moving("proving", sealed.manifest.length) as progress:
        prove(sealed, sources, threads=threads, progress=progress)
    remove_sources(sources)


def _finish_removing(sources: Sequence[Source], out: Path, door: Door, threads: int, *, json: bool) -> None:
    """The object is there already: an earlier run was stopped while it removed. Raises StrongroomError otherwise."""
    _remove(sources, out, door, threads)
    if json:
        print_json({"path": str(out), "removed": len(sources)})
    else:
        print_facts([("sealed before", out), ("removed", f"{len(sources):,} files, after the copy was proved")])


@vault.command("unseal")
def unseal_object(
    context: typer.Context,
    object: Object,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the files go, a new directory.")],
    file: Annotated[
        list[str] | None, typer.Option("--file", metavar="NAME", help="Only this file of the object; repeat it.")
    ] = None,
    name: Expected = "",
    threads: Threads = 0,
    force: Annotated[bool, typer.Option("--force", help="Exchange the directory at DIR for the new one.")] = False,
    key: KeyFiles = None,
    signer: Signers = None,
    passphrase_file: PassphraseFile = None,
    purpose: Purpose = "",
    lease: Lease = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Decrypt a sealed object into plain files."""
    from strongroom.vault import check_place, open_object, unseal

    begun = time.monotonic()
    names = list(dict.fromkeys(file or []))

    def before(manifest: Manifest) -> None:
        held = [one.name for one in manifest.files]
        missing = [name for name in names if name not in held]
        if missing:  # before a lease is used up
            raise InputError("the object has no such file", where=f"{object}, {missing[0]}"[:300])
        check_place(object, held, out, replace=force)

    with (
        door_of(
            context,
            site,
            keys=key,
            signers=signer,
            passphrase_file=passphrase_file,
            purpose=purpose,
            lease=lease,
            object=object,
        ) as door,
        open_object(object, name=name, door=door, action="ExportWeights", before=before) as sealed,
    ):
        length = sum(sealed.length(name) for name in names or sealed.names())
        count = len(names or sealed.names())
        try:
            with moving("unsealing", length) as progress:
                continued = unseal(sealed, out, names=names, threads=threads, replace=force, progress=progress)
        except KeyboardInterrupt:
            raise Interrupted("interrupted; what was decrypted is removed") from None
    seconds = time.monotonic() - begun
    if json:
        print_json(
            {"path": str(out), "files": count, "bytes": length, "continued": continued, "seconds": round(seconds, 3)}
        )
        return
    print_facts(
        [
            ("unsealed", f"{out}"),
            ("files", f"{count:,}, {_size(length)}"),
            ("rate", f"{length / 1e6 / max(seconds, 1e-3):,.0f} MB/s"),
        ]
    )


@vault.command("info")
def info(
    context: typer.Context,
    object: Object,
    key: KeyFiles = None,
    signer: Signers = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """What a sealed object holds, who signed it, and for whom it opens. Needs no private key."""
    from strongroom.vault import find_object, read_manifest

    with door_of(context, site, keys=key, signers=signer, object=object) as door:
        object, _ = find_object(object, door)
        signed = read_manifest(object, door.trusted)
        door.check_version(signed, str(object))
    manifest = signed.manifest
    if json:
        files = [{"name": one.name, "bytes": one.length, "sealed_sha256": one.digest} for one in manifest.files]
        print_json(facts_of(signed, object) | {"files": files})
        return
    print_facts(
        [
            ("object", manifest.object),
            ("asset", manifest.name or "no name"),
            ("version", manifest.version),
            ("sealed", manifest.sealed_at),
            ("signed by", f"{signed.signer.name} ({signed.signer.key[:21]}…)"),
            ("opens for", ", ".join(f"{one.name} ({_short(one.key)})" for one in manifest.keys[0])),
            ("files", f"{len(manifest.files):,}, {_size(manifest.length)}"),
            ("digest", manifest.root_digest),
        ]
    )
    print_table(["file", "bytes"], [(one.name, f"{one.length:,}") for one in manifest.files[:SHOWN_FILES]])
    if len(manifest.files) > SHOWN_FILES:
        sys.stdout.write(f"and {len(manifest.files) - SHOWN_FILES:,} more: --json lists all\n")


@vault.command("check")
def check_object(
    context: typer.Context,
    object: Object,
    quick: Annotated[
        bool, typer.Option("--quick", help="Manifest, headers and lengths alone, not every segment.")
    ] = False,
    threads: Threads = 0,
    key: KeyFiles = None,
    signer: Signers = None,
    passphrase_file: PassphraseFile = None,
    purpose: Purpose = "",
    lease: Lease = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Is every segment what was sealed? Without a key files are compared with what was signed."""
    from strongroom.vault import check, find_object, read_manifest

    with door_of(
        context,
        site,
        keys=key,
        signers=signer,
        passphrase_file=passphrase_file,
        purpose=purpose,
        lease=lease,
        object=object,
    ) as door:
        object, _ = find_object(object, door)
        signed = read_manifest(object, door.trusted)
        manifest = signed.manifest
        door.check_version(signed, str(object))
        sealed = None if quick else _opened_to_check(object, manifest, door)
        with contextlib.ExitStack() as stack:
            if sealed is not None:
                stack.enter_context(sealed)
            progress = stack.enter_context(moving("checking", 0 if quick else manifest.length))
            problems = check(object, manifest, sealed, quick=quick, threads=threads, progress=progress)
    how = (
        "headers and lengths"
        if quick
        else "every segment"
        if sealed
        else "every file, by its digest: no key could be used"
    )
    if json:
        told = [problem.as_dict()["error"] for problem in problems]
        print_json({"path": str(object), "files": len(manifest.files), "checked": how, "problems": told})
    else:
        for problem in problems:
            print_error(problem, json=False)
        state = f"{len(problems):,} problem{'s' * (len(problems) > 1)}" if problems else "sound"
        print_facts([("object", object), ("checked", how), ("files", f"{len(manifest.files):,}"), ("result", state)])
    if problems:
        raise typer.Exit(IntegrityError.exit_code)


def _opened_to_check(object: Path, manifest: Manifest, door: Door) -> SealedObject | None:
    """The object, opened, or None where no key that opens it can be used; then digests are compared."""
    from strongroom.vault import open_object

    if not all(door.holds_any(wraps) for wraps in manifest.keys):
        return None
    try:
        return open_object(object, door=door)
    except RefusedError as error:
        print_notice(f"note: no key could be used: {error}")
        return None


@vault.command("mount")
def mount_object(
    context: typer.Context,
    object: Object,
    at: Annotated[Path, typer.Argument(metavar="DIR", help="An empty directory.")],
    name: Expected = "",
    key: KeyFiles = None,
    signer: Signers = None,
    passphrase_file: PassphraseFile = None,
    purpose: Purpose = "",
    lease: Lease = "",
    site: SiteOption = "",
) -> None:
    """Show a sealed object as a read-only directory of plain files, until Ctrl-C (Linux, FUSE)."""
    from strongroom.vault import check_mount_point, mount, open_object

    def before(manifest: Manifest) -> None:
        check_mount_point(at)

    with (
        door_of(
            context,
            site,
            keys=key,
            signers=signer,
            passphrase_file=passphrase_file,
            purpose=purpose,
            lease=lease,
            object=object,
        ) as door,
        open_object(object, name=name, door=door, before=before) as sealed,
    ):
        mount(
            sealed,
            at,
            notify=print_notice,
            ready=lambda: print_notice(f"mounted {object} at {at}; Ctrl-C, or fusermount3 -u {at}, unmounts it"),
        )


def _short(key: str) -> str:
    """A fingerprint's begin; what names a key elsewhere in full."""
    return key if key.startswith(("awskms:", "pkcs11:")) else f"{key[:31]}…"


def facts_of(signed: Signed, path: Path) -> dict[str, Any]:
    manifest = signed.manifest
    return {
        "path": str(path),
        "object": manifest.object,
        "name": manifest.name,
        "version": manifest.version,
        "sealed_at": manifest.sealed_at,
        "digest": manifest.root_digest,
        "signer": {"name": signed.signer.name, "key": signed.signer.key},
        "recipients": [{"name": one.name, "key": one.key} for one in manifest.keys[0]],
        "files": len(manifest.files),
        "bytes": manifest.length,
    }


def _size(length: int) -> str:
    from strongroom.core.assets import format_size

    return format_size(length)

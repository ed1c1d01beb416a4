"""Writing sealed files as a program produces them, such as checkpoints: no plaintext ever touches the disk.

A new object is built beside its place and put there when all of it was written; a file that is added to an object that
is there lies beside the others before the manifest that names it takes the old one's place. A crash leaves the old
state, and an exception too.

>>> with create("run/step-100.sealed", door=door) as made:  # doctest: +SKIP
...     with made.open("model.safetensors") as file:
...         file.write(safetensors.torch.save(model.state_dict()))
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import io
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from ..core.errors import StrongroomError, UsageError
from ..core.ids import check_asset_name
from ._door import Door, own_door
from ._making import (
    Slot,
    check_out,
    check_recipients,
    finish,
    new_slot,
    note,
    reason_of,
    version_of,
)
from ._manifest import (
    SIGNATURE,
    Manifest,
    SealedFile,
    WrappedKey,
    check_names,
    check_segment_length,
    place_of,
)
from ._object import read_manifest
from ._parts import Recipient
from ._pipeline import Output
from ._signed import Signed
from ._work import Work, locked, make_folders, no_write, replace_file, sync_up
from .floe import SEGMENT_LENGTH, Buffer, Encryptor

__all__ = ["SealedWriter", "WritableFile", "add_file", "create", "create_file"]

MERGE_SECONDS = 60.0
"""How long a finished file waits for others that are being added to the same object."""


def create(
    path: Path | str,
    *,
    to: Sequence[Recipient] = (),
    name: str = "",
    replace: bool = False,
    segment_length: int = SEGMENT_LENGTH,
    door: Door | None = None,
) -> SealedWriter:
    """A new sealed object to write files into, for `to`, or for the door's own recipients.

    Enter it; when the block ends well the object is signed, durable and in its place, otherwise nothing is. Raises
    UsageError, InputError, RefusedError, StrongroomError.
    """
    return SealedWriter(Path(path), door or own_door(), to, name, replace, segment_length)


class SealedWriter:
    """See `create`."""

    def __init__(
        self, out: Path, door: Door, to: Sequence[Recipient], name: str, replace: bool, segment_length: int
    ) -> None:
        if name:
            check_asset_name(name)
        check_segment_length(segment_length)
        check_out(out, replace=replace)
        self._door, self._replace, self._segment = door, replace, segment_length
        self._name, self._object = name, door.new_object()
        self._recipients = list(to) or list(door.recipients)
        check_recipients(self._recipients)
        door.need_signer()
        self._work = Work(out, "writing")
        self._files: dict[str, SealedFile | None] = {}
        self._slot: Slot | None = None
        self._wraps: list[WrappedKey] = []
        self.signed: Signed | None = None
        """The manifest, once the block has ended well."""

    def __enter__(self) -> Self:
        self._work.__enter__()
        try:
            self._work.begin({"writing": self._object})
            asset, reason = self._name or f"sealed/{self._object}", reason_of(self._recipients)
            self._door.permit("Seal", asset, length=0, reason=reason, object=self._object)
            self._slot, self._wraps = new_slot(0, self._recipients, self._object, self._name)
        except BaseException:
            self._work.discard()
            self._work.__exit__(None, None, None)
            raise
        return self

    def open(
        self, name: str, kept: Callable[[SealedFile], None] | None = None, lost: Callable[[], None] = lambda: None
    ) -> WritableFile:
        """A file object to write one file through; it counts when it was closed. Raises InputError, UsageError."""
        if self._slot is None:
            raise UsageError("the object is not being written", next="enter it first: with create(…) as made")
        check_names([*self._files, name])
        self._files[name] = None
        try:
            make_folders(self._work.object, [place_of(name)])
            path = self._work.object / place_of(name)
            return WritableFile(path, name, self._object, self._slot, self._segment, kept or self.keep, lost)
        except OSError as error:
            raise no_write(self._work.path, error) from error

    def keep(self, file: SealedFile) -> None:
        """Counts a file that is whole."""
        self._files[file.name] = file

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
            else:
                self._work.discard()
        except BaseException:
            self._work.discard()
            raise
        finally:
            if self._slot is not None:
                self._slot.drop()
                self._slot = None
            self._work.__exit__(None, None, None)

    def _finish(self) -> None:
        open_still = [name for name, file in self._files.items() if file is None]
        if open_still:
            raise UsageError("a file was not closed, or failed", where=open_still[0])
        files = [file for _, file in sorted(self._files.items()) if file is not None]
        version = 1 + version_of(self._work.out, self._name, self._door) if self._replace else 1
        manifest = Manifest(self._object, self._name, version, "", [self._wraps], files)
        self.signed = finish(self._work, manifest, self._door, replace=self._replace)


class WritableFile(io.RawIOBase):
    """A sealed file that is written from its begin to its end.

    It ends well by `close`, not where an exception that was raised since it was opened is on its way, nor where nobody
    closed it: wrappers of other libraries close what they hold in any case.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        object: str,
        slot: Slot,
        segment_length: int,
        kept: Callable[[SealedFile], None],
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """`kept` is called once the file is whole and durable, `lost` where it never will be. Raises OSError."""
        super().__init__()
        self.name = name
        self.autocommit = True
        """Without, the file counts when `commit` is called, not when it is closed (fsspec's transactions)."""
        self._path, self._kept, self._lost = path, kept, lost
        cipher, self._wrapped = slot.new_file(object, name, segment_length)
        self._number = slot.number
        self._stream = Encryptor(cipher)
        self._digest = hashlib.sha256()
        self._since = sys.exc_info()[1]
        self._made: SealedFile | None = None
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # says that somebody is at it
        self._out = Output(self._descriptor)
        self._put(cipher.header)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.length

    def write(self, data: Buffer) -> int:  # type: ignore[override]
        """Takes all of `data`. Raises StrongroomError, and then the file is lost."""
        if self._descriptor < 0:
            raise ValueError("write to closed file")
        view = memoryview(data).cast("B")
        self._put(self._stream.update(view))
        return len(view)

    def _put(self, data: Buffer) -> None:
        try:
            self._digest.update(data)
            self._out.write(data)
        except BaseException as error:  # a Ctrl-C too: what was written and what was hashed may differ now
            self.abort()
            if isinstance(error, OSError):
                raise no_write(self._path, error) from error
            raise

    def close(self) -> None:
        """Ends the file, which is whole and durable when it returns. Raises StrongroomError, and then it is lost."""
        if self._descriptor < 0:
            return
        raised = sys.exc_info()[1]
        if raised is not None and raised is not self._since:
            self.abort()
            return
        self._put(self._stream.finalize())
        try:
            self._out.sync()
        except OSError as error:
            self.abort()
            raise no_write(self._path, error) from error
        header, length = self._stream.cipher.header, self._stream.length
        self._made = SealedFile(self.name, length, self._digest.hexdigest(), header, self._number, self._wrapped)
        self._release()
        if self.autocommit:
            self.commit()

    def commit(self) -> None:
        """Lets a file count that was closed. Raises StrongroomError, and then it is lost."""
        made, self._made = self._made, None
        if made is None:
            raise UsageError("the file was not closed, or is lost", where=self.name)
        try:
            self._kept(made)
        except BaseException:
            self._remove()
            raise

    def discard(self) -> None:
        """Nothing of the file stays, closed or not."""
        self.abort()
        if self._made is not None:
            self._made = None
            self._remove()

    def abort(self) -> None:
        """Ends the file, and nothing of it stays."""
        if self._descriptor >= 0:
            self._release()
            self._remove()

    def _release(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        self._stream.cipher.forget()
        super().close()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._lost()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
        self.close()

    def _dealloc_warn(self, source: object) -> None:
        """A wrapper that nobody closed (`io.TextIOWrapper`) says so, before it closes what it holds."""
        self.abort()

    def __del__(self) -> None:
        # Nobody said that a file which nobody closed is whole.
        if getattr(self, "_descriptor", -1) >= 0:
            self.abort()


def create_file(path: Path, name: str, *, to: Sequence[Recipient] = (), door: Door | None = None) -> WritableFile:
    """A file object for the only file of a new object, which is in its place once the file was closed.

    Raises what `create` raises.
    """
    made = create(path, to=to, door=door)
    with contextlib.ExitStack() as undo:
        undo.push(made.__enter__().__exit__)

        def kept(file: SealedFile) -> None:
            made.keep(file)
            made.__exit__(None, None, None)

        def lost() -> None:
            made.__exit__(StrongroomError, None, None)

        file = made.open(name, kept, lost)
        undo.pop_all()
        return file


def add_file(root: Path, name: str, *, segment_length: int = SEGMENT_LENGTH, door: Door | None = None) -> WritableFile:
    """A file object that adds one file to the object at `root`, for those that it is sealed to now.

    When it is closed, the next version of the manifest names it, beside what others have added meanwhile. Its data key
    is wrapped with a new object key: whoever was removed before holds none of it. Nothing that is there is replaced.
    Raises InputError, UsageError where a recipient's public key is not known, RefusedError, StrongroomError.
    """
    door, root = door or own_door(), root.absolute()
    door.need_signer()
    signed = read_manifest(root, door.trusted)
    manifest = signed.manifest
    door.check_version(signed, str(root))
    check_names([*(file.name for file in manifest.files), name])
    recipients = door.known_all(manifest.keys[0])
    _remove_stale(root)
    reason = f"adds {name}, {reason_of(recipients)}"
    door.permit("Seal", manifest.line, length=0, digest=manifest.root_digest, reason=reason)
    slot, wraps = new_slot(0, recipients, manifest.object, manifest.name)
    # Beside the object: what lies in it and in no manifest would make every verifier refuse it.
    path = root.parent / f".{root.name}.{secrets.token_hex(8)}.added"

    def kept(file: SealedFile) -> None:
        try:
            with locked(root, seconds=MERGE_SECONDS):
                _merge(root, path, signed, file, wraps, door)
        except OSError as error:
            raise no_write(root, error) from error
        finally:
            slot.drop()

    try:
        return WritableFile(path, name, manifest.object, slot, segment_length, kept, slot.drop)
    except OSError as error:
        slot.drop()
        raise no_write(path, error) from error


def _merge(root: Path, path: Path, before: Signed, file: SealedFile, wraps: list[WrappedKey], door: Door) -> None:
    """Puts a finished file into the object as it is now. Raises UsageError where its recipients changed meanwhile."""
    now = read_manifest(root, door.trusted)
    manifest = now.manifest
    same = {one.key for one in manifest.keys[0]} == {one.key for one in wraps}
    if manifest.object != before.manifest.object or now.signer != before.signer or not same:
        raise UsageError("the object or its recipients changed meanwhile", where=str(root), next="write the file again")
    check_names([*(one.name for one in manifest.files), file.name])
    make_folders(root, [place_of(file.name)])
    place = root / place_of(file.name)
    path.replace(place)  # what no manifest names yet is of a run that was killed
    bundle = b""
    try:
        sync_up(place, root)
        file = msgspec.structs.replace(file, key=len(manifest.keys))
        files = sorted([*manifest.files, file], key=lambda each: each.name)
        whole = msgspec.structs.replace(manifest, keys=[*manifest.keys, wraps], files=files)
        signed, bundle = door.sign(whole, at_least=manifest.version + 1)
        replace_file(root / SIGNATURE, bundle)
    except BaseException:
        with contextlib.suppress(OSError):
            if (root / SIGNATURE).read_bytes() != bundle:  # it may be there, and only its name could not be synced
                place.unlink()
        raise
    note(signed, door)


def _remove_stale(root: Path) -> None:
    """Removes what killed runs left beside the object: files that nobody has locked."""
    for path in root.parent.glob(f".{glob.escape(root.name)}.*.added"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)

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
import hashlib
import io
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from ..core.clock import format_time
from ..core.errors import StrongroomError, UsageError
from ..core.keyfile import sync_directory
from ._door import Door, own_door
from ._manifest import SIGNATURE, Manifest, SealedFile, WrappedKey, check_names, place_of
from ._object import Signed, alone, open_object
from ._parts import Recipient
from ._pipeline import Output
from ._seal import Slot, check_out, finish, new_slot, reason_of, sign_manifest
from ._work import Work, make_folders, no_write, replace_file
from .floe import SEGMENT_LENGTH, Buffer, Encryptor

__all__ = ["SealedWriter", "WritableFile", "add_file", "create", "create_file"]


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
        check_out(out, replace=replace)
        self._door, self._replace, self._segment = door, replace, segment_length
        self._name, self._object = name, secrets.token_hex(16)
        self._recipients = list(to) or list(door.recipients)
        if not self._recipients:
            raise UsageError("nobody is named who may open it", next="name recipients: to=[…]")
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
            self._door.permit("seal", asset, length=0, reason=reason)
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
        line = self._name or f"sealed/{self._object}"
        manifest = Manifest(
            self._object,
            self._name,
            self._door.next_version(line),
            format_time(self._door.clock()),
            [self._wraps],
            files,
        )
        self.signed = finish(self._work, manifest, self._door, replace=self._replace)


class WritableFile(io.RawIOBase):
    """A sealed file that is written from its begin to its end."""

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
        self._path, self._kept, self._lost = path, kept, lost
        cipher, self._wrapped = slot.new_file(object, name, segment_length)
        self._number = slot.number
        self._stream = Encryptor(cipher)
        self._digest = hashlib.sha256()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
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
        except OSError as error:
            self.abort()
            raise no_write(self._path, error) from error

    def close(self) -> None:
        """Ends the file, which is whole and durable when it returns. Raises StrongroomError, and then it is lost."""
        if self._descriptor < 0:
            return
        self._put(self._stream.finalize())
        try:
            self._out.sync()
        except OSError as error:
            self.abort()
            raise no_write(self._path, error) from error
        header, length = self._stream.cipher.header, self._stream.length
        self._release()
        try:
            self._kept(SealedFile(self.name, length, self._digest.hexdigest(), header, self._number, self._wrapped))
        except BaseException:
            self._remove()
            raise

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
    """A file object that adds one file to the object at `root`, for whoever may open that.

    When it is closed, the next version of the manifest names it. Nothing that is there is replaced. Raises InputError,
    UsageError, RefusedError where the door may not open the object, StrongroomError.
    """
    door = door or own_door()
    door.need_signer()
    sealed = open_object(root, door=door, action="seal", reason=f"adds {name}")
    manifest = sealed.manifest
    check_names([*sealed.names(), name])
    slot = Slot(0, sealed.object_keys[0])
    path = root / f".{secrets.token_hex(8)}.part"

    def kept(file: SealedFile) -> None:
        try:
            with alone(root, sealed.signed):
                make_folders(root, [place_of(name)])
                path.replace(root / place_of(name))  # what no manifest names yet is of a run that was killed
                sync_directory((root / place_of(name)).parent)
                whole = msgspec.structs.replace(
                    manifest,
                    version=max(manifest.version + 1, door.next_version(manifest.line)),
                    sealed_at=format_time(door.clock()),
                    files=sorted([*manifest.files, file], key=lambda each: each.name),
                )
                signed, bundle = sign_manifest(whole, door)
                replace_file(root / SIGNATURE, bundle)
                door.note_version(whole.line, whole.version, signed.digest)
        except OSError as error:
            raise no_write(root, error) from error
        finally:
            sealed.close()

    try:
        return WritableFile(path, name, manifest.object, slot, segment_length, kept, sealed.close)
    except OSError as error:
        sealed.close()
        raise no_write(path, error) from error

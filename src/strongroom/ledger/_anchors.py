"""Where checkpoints are kept that the log's operator cannot take back alone.

A checkpoint that has left the machine is what makes rewriting detectable. Each place keeps checkpoints and gives
back the largest that it has: witnesses (`_witness_client`), a second directory, a git remote.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..core.errors import IntegrityError, StrongroomError
from ._checkpoint import open_checkpoint
from ._commit import Committed
from ._notes import MAX_NOTE_BYTES, VerifierKey
from ._reader import LogReader
from ._storage import full_disk
from ._verdict import Seen

__all__ = ["Anchor", "Directory", "GitRemote", "WitnessAddress", "keep_everywhere"]

GIT_SECONDS = 60.0
SIZE_DIGITS = 20
GIT_SETTINGS = (
    "user.name=strongroom",
    "user.email=strongroom@localhost",
    "commit.gpgsign=false",
    "core.hooksPath=/dev/null",
    "core.autocrlf=false",
    "gc.auto=0",
)
GIT_PLACES = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_QUARANTINE_PATH",
    "GIT_WORK_TREE",
}


@dataclass(frozen=True)
class WitnessAddress:
    """A witness: its submission prefix, and its verifier key."""

    url: str
    key: VerifierKey


class Anchor(Protocol):
    """A place that keeps checkpoints."""

    name: str

    @property
    def kept(self) -> Path:
        """The directory of this machine in which what is kept there can be seen, without asking anybody."""
        ...

    def keep(self, committed: Committed) -> None:
        """Raises StrongroomError when it cannot."""
        ...

    def latest(self, keys: Sequence[VerifierKey]) -> Seen | None:
        """The largest checkpoint that is kept here. Raises StrongroomError, IntegrityError."""
        ...


class Directory:
    """A directory elsewhere: another disk, a mount of another host, one that only appends.

    A file for each checkpoint, `<digest of the origin>/<size>.checkpoint`; none is ever written over.
    """

    def __init__(self, path: Path, origin: str) -> None:
        self.name = f"the copy in {path}"
        self._root = path
        self._folder = path / hashlib.sha256(origin.encode()).hexdigest()[:16]

    @property
    def kept(self) -> Path:
        """See Anchor."""
        return self._folder

    def keep(self, committed: Committed) -> None:
        """See Anchor."""
        target = self._folder / _file_name(committed)
        if not self._root.is_dir():
            raise StrongroomError("the directory for copies of checkpoints is not there", where=str(self._root))
        if target.exists():
            return
        part = target.with_suffix(".part")
        try:
            self._folder.mkdir(exist_ok=True)
            with part.open("wb") as file:
                file.write(committed.note)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except OSError as error:
            raise full_disk(error, str(target)) from error

    def latest(self, keys: Sequence[VerifierKey]) -> Seen | None:
        """See Anchor."""
        if not self._root.is_dir():
            raise StrongroomError("the directory for copies of checkpoints is not there", where=str(self._root))
        try:
            found = sorted(self._folder.glob("*.checkpoint"))
            if not found:
                return None
            with found[-1].open("rb") as file:
                data = file.read(MAX_NOTE_BYTES + 1)
        except OSError as error:
            raise StrongroomError(f"the copy cannot be read: {error.strerror}", where=str(self._folder)) from error
        return _seen(self.name, found[-1].name, data, keys, where=str(found[-1]))


def _file_name(committed: Committed) -> str:
    return f"{committed.checkpoint.size:0{SIZE_DIGITS}d}.checkpoint"


def _seen(by: str, name: str, data: bytes, keys: Sequence[VerifierKey], *, where: str) -> Seen:
    """The checkpoint in the file of the highest size. Raises IntegrityError when it holds another size.

    Otherwise whoever can only add could hide what is kept behind an older checkpoint under a higher name.
    """
    checkpoint = open_checkpoint(data, keys, where=where).checkpoint
    if name != f"{checkpoint.size:0{SIZE_DIGITS}d}.checkpoint":
        raise IntegrityError(
            f"the file holds a checkpoint at {checkpoint.size:,}, not at the size that its name says",
            where=where,
            next="somebody put it there to hide the others: look at those",
        )
    return Seen(by, checkpoint)


class GitRemote:
    """A branch of a git repository: a file and a commit for each checkpoint that is kept, never forced.

    What counts is the highest size that was ever added, whether or not a later commit removed it.
    """

    def __init__(self, url: str, work: Path, origin: str) -> None:
        self.name = "the git remote"
        self._url, self._work = url, work
        self._folder = hashlib.sha256(origin.encode()).hexdigest()[:16]
        self._branch = "strongroom-checkpoints"

    @property
    def kept(self) -> Path:
        """See Anchor. The clone: what a push that failed has not brought away is there too."""
        return self._work / self._folder

    def keep(self, committed: Committed) -> None:
        """See Anchor."""
        self._prepare()
        if self._git("fetch", "--quiet", "origin", self._branch, may_fail=True) is not None:
            self._git("reset", "--quiet", "--hard", "FETCH_HEAD")
        target = self._work / self._folder / _file_name(committed)
        if not target.exists():
            try:
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(committed.note)
            except OSError as error:
                raise full_disk(error, str(target)) from error
        self._git("add", "--", self._folder)
        if self._git("status", "--porcelain"):
            self._git("commit", "--quiet", "-m", f"checkpoint at {committed.checkpoint.size}")
        # Also when nothing is new here: an earlier push may have failed.
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{self._branch}")

    def latest(self, keys: Sequence[VerifierKey]) -> Seen | None:
        """See Anchor."""
        self._prepare()
        if not self._git("ls-remote", "--heads", "origin", self._branch):
            return None
        self._git("fetch", "--quiet", "origin", self._branch)
        # Every file that any commit added, with the commit: the blob is there though a later commit removed it.
        added = self._git(
            "log", "--diff-filter=A", "--name-only", "--format=commit %H", "FETCH_HEAD", "--", self._folder
        )
        commit, found = "", {}
        for line in (added or b"").decode(errors="replace").splitlines():
            if line.startswith("commit "):
                commit = line.removeprefix("commit ")
            elif line.endswith(".checkpoint"):
                found[line] = commit  # the log goes back in time: the first commit that added it stays
        if not found:
            return None
        path = max(found)
        where, blob = f"{self.name}: {path}", f"{found[path]}:{path}"
        if int(self._git("cat-file", "-s", blob) or b"0") > MAX_NOTE_BYTES:
            raise IntegrityError("what is kept there is too large for a checkpoint", where=where)
        data = self._git("cat-file", "blob", blob) or b""
        return _seen(self.name, path.rpartition("/")[2], data, keys, where=where)

    def _prepare(self) -> None:
        if (self._work / ".git").is_dir():
            return
        try:
            self._work.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise full_disk(error, str(self._work)) from error
        self._git("init", "--quiet")

    def _git(self, *words: str, may_fail: bool = False) -> bytes | None:
        command = ["git", "-C", str(self._work), *(part for one in GIT_SETTINGS for part in ("-c", one)), *words]
        # Not those of a hook that may have started us: GIT_DIR would lead into somebody's own repository.
        environment = {
            **{name: value for name, value in os.environ.items() if name not in GIT_PLACES},
            "GIT_TERMINAL_PROMPT": "0",
            # The address not as an argument: it may hold a password, and arguments can be read by others.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "remote.origin.url",
            "GIT_CONFIG_VALUE_0": self._url,
            "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        }
        environment.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")  # no question to wait for
        try:
            done = subprocess.run(  # noqa: S603 - git itself, with words of ours
                command, env=environment, capture_output=True, timeout=GIT_SECONDS, check=False
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise StrongroomError(f"git cannot be run: {type(error).__name__}", where=self.name) from error
        if done.returncode == 0:
            return done.stdout
        if may_fail:
            return None
        # What git says may quote the address and what is secret in it; the verb is enough to look further.
        raise StrongroomError(f"'git {words[0]}' failed", where=self.name, next=f"try it by hand in {self._work}")


def keep_everywhere(
    anchors: Sequence[Anchor],
    committed: Committed,
    keys: Sequence[VerifierKey],
    reader: LogReader,
    notify: Callable[[str], None],
) -> int:
    """Keeps a checkpoint in every place; one that fails does not keep it from the others. Returns in how many.

    Where the log does not continue what a place has kept, nothing is kept over it: that is the proof. `reader` reads
    the log up to this checkpoint.
    """
    kept = 0
    for anchor in anchors:
        try:
            older = anchor.latest(keys)
            if older is not None:
                _check_continues(older, reader)
            anchor.keep(committed)
            kept += 1
        except IntegrityError as error:
            notify(f"ALARM: {anchor.name}: {error}")
        except StrongroomError as error:
            notify(f"a checkpoint was not kept by {anchor.name}: {error}")
    return kept


def _check_continues(older: Seen, reader: LogReader) -> None:
    """Raises IntegrityError unless the log begins with what was kept."""
    size = older.checkpoint.size
    if size > reader.size:
        what = f"it has kept a checkpoint at {size:,}, and the log ends at {reader.size:,}: rolled back or copied"
    elif reader.root_at(size) != older.checkpoint.root:
        what = f"the log's first {size:,} entries are not those that it has kept a checkpoint of: rewritten"
    else:
        return
    raise IntegrityError(what, where=reader.source.name, next="stop writing, and run 'strongroom ledger verify'")

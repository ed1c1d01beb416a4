"""One installation: its directory, and what stands in it.

    strongroom.toml   ledger/{public,journal}/   store/{exchanges,findings}/   state.db
    keys/{sketch.key,ledger.key,writer.token,vault/}   run/{hunt.lock,lock,strongroom.sock}

`keys/sketch.key` keys every digest of the store and finds the keys of subjects: with it and the store, somebody can
test whether a guessed text was sent, so it belongs where secrets belong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pwd
import re
import secrets
import socket
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from ._configuration import Configuration, read_configuration, template

if TYPE_CHECKING:
    from ..access import Access
    from ..audit import Subjects
    from ..audit.posture import Posture
    from ..core.leases import Lease
    from ..core.ports import Recorder
    from ..core.records import Entry
    from ..ledger import Home, RemoteRecorder, Sequencer
    from ..state import State
    from ..store import Store
    from ..vault import Door, KeyFolder, Recipient
    from ._access import Administration

__all__ = ["ENVIRONMENT", "OWN_WRITER", "Site"]

ENVIRONMENT = {
    "STRONGROOM_SITE": "the site's directory where --site is not given",
    "STRONGROOM_KEYSERVER": "the key service of programs that name neither site nor service: see client.toml",
    "STRONGROOM_CLIENT": "client.toml: which key services there are, and with which credential each is asked",
    "STRONGROOM_PURPOSE": "what a program that names no door opens sealed objects for; it goes on record",
    "STRONGROOM_LEASE": "the lease under which it does",
}
OWN_WRITER = "strongroom"
"""The writer that the site's own commands are; its token lies in keys/writer.token."""
_KEY_BYTES = 32


class Site:
    """One installation."""

    def __init__(self, path: Path, configuration: Configuration, key: bytes) -> None:
        self.path = path
        self.configuration = configuration
        self._key = key

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        keep_text: bool = False,
        origin: str = "",
        storage: str = "",
        passphrase: str = "",
        owned: bool = True,
    ) -> Site:
        """Makes a site in a new or empty directory, with a ledger if `origin` names one; `owned`: with policies, too.

        Raises UsageError when something is there already.
        """
        from ..ledger import check_name

        _check_name(path)
        if origin:
            check_name(origin)  # before anything is made
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            there = "a site is there already" if (path / "strongroom.toml").exists() else "the directory is not empty"
            next = "choose another directory; what an interrupted 'init' left may be removed"
            raise UsageError(there, where=str(path), next=next)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            for folder in ("store", "keys", "run"):
                (path / folder).mkdir(mode=0o700)
            _write_secret(path / "keys" / "sketch.key", secrets.token_hex(_KEY_BYTES) + "\n")
            # Last and at once, so that a directory without it is no site and a half-made one is never opened.
            _write_secret(path / "strongroom.toml.part", template(keep_text, storage))
            (path / "strongroom.toml.part").replace(path / "strongroom.toml")
            for made in (path / "keys", path, path.parent):
                _sync(made)
        except OSError as error:
            raise StrongroomError(
                f"the site cannot be made: {error.strerror}", where=str(path), next="check space and permissions"
            ) from error
        from ._vault import make_keys

        site = cls.open(path)
        make_keys(site.vault_keys, passphrase=passphrase)
        if owned:
            site.administration(passphrase=lambda path: passphrase).begin(path / "policies")
            site.close()
        if origin:
            site.make_ledger(origin, passphrase=passphrase)
        return site

    @classmethod
    def open(cls, path: Path) -> Site:
        """Opens a site. Raises InputError when there is none, UsageError for its configuration, IntegrityError."""
        _check_name(path)
        try:
            text = (path / "strongroom.toml").read_bytes()
        except FileNotFoundError:
            raise InputError("there is no site", where=str(path), next=f"run: strongroom init {path}") from None
        except OSError as error:
            raise InputError(f"the site cannot be read: {error.strerror}", where=str(path)) from error
        return cls(path, read_configuration(text, path), _read_key(path / "keys" / "sketch.key"))

    @classmethod
    def find(cls, given: str | None) -> Site | None:
        """The site that `--site` or STRONGROOM_SITE names, or None when neither does."""
        path = cls.named(given)
        return cls.open(path) if path else None

    @staticmethod
    def named(given: str | None) -> Path | None:
        """The directory that `--site` or STRONGROOM_SITE names, whether or not a site is there."""
        path = given or os.environ.get("STRONGROOM_SITE")
        return Path(path) if path else None

    @cached_property
    def store(self) -> Store:
        """The site's tables."""
        from ..store import SparkSettings, Store

        chosen = self.configuration.store
        spark = SparkSettings(chosen.spark_master, chosen.spark_options) if chosen.engine == "spark" else None
        return Store(self.path / "store", spark=spark)

    @cached_property
    def state(self) -> State:
        """The site's transactional tables."""
        from ..state import State
        from ._passwords import first_line

        chosen = self.configuration.state
        if not chosen.url:
            return State.open(self.path / "state.db")
        file = chosen.password_file
        return State.open(chosen.url, password=first_line(self.path / file, "the password") if file else "")

    @cached_property
    def subjects(self) -> Subjects:
        """Digests personal facts for the ledger."""
        from ..audit import Subjects

        return Subjects(self.state, self._key)

    @cached_property
    def ledger(self) -> Home:
        """The site's ledger, whether or not it was made."""
        from ..ledger import Home

        return Home(self.path, self.configuration.ledger)

    @property
    def vault_keys(self) -> Path:
        """Where the vault's keys lie."""
        return self.path / "keys" / "vault"

    def door(
        self,
        *,
        passphrase: Callable[[Path], str] = lambda path: "",
        notify: Callable[[str], None] = lambda text: None,
        purpose: str = "",
        lease: str = "",
        recorder: Recorder | None = None,
        folder: KeyFolder | None = None,
    ) -> Door:
        """Through which sealed objects are made and opened: with this site's keys, as its policies decide, on record
        in its ledger.

        `passphrase` opens a key file; `lease` is the id of one that was asked for; `recorder` and
        `folder` are given where this process holds the ledger and has read the keys. Raises InputError, UsageError.
        """
        from ..vault import KeyFolder
        from ._vault import door

        made = door(
            folder or KeyFolder(self.vault_keys, passphrase),
            self.configuration.vault,
            self.path,
            recorder=recorder or self._own_recorder(passphrase, notify),
            versions=self.state,
            notify=notify,
            purpose=purpose,
        )
        authorizer = None
        if self.configuration.policy.mode != "off":
            if self.ledger.exists:
                from ._state_check import check_tables

                check_tables(self)
            authorizer = self.access(passphrase=passphrase, notify=notify, recorder=recorder)
        uid = f"peer:uid-{os.getuid()}"
        return dataclasses.replace(
            made, authorizer=authorizer, principal=self.local_principal, credential=uid, lease=lease
        )

    def access(
        self,
        *,
        passphrase: Callable[[Path], str] = lambda path: "",
        notify: Callable[[str], None] = lambda text: None,
        recorder: Recorder | None = None,
    ) -> Access:
        """Decides as this site's policies say, and puts it on record."""
        from ..access import Access
        from ..vault import KeyFolder
        from ._access import PublishedPolicies, SshApprovals

        return Access(
            state=self.state,
            policies=PublishedPolicies(KeyFolder(self.vault_keys, passphrase), str(self.path), notify),
            approvals=SshApprovals(self.name),
            recorder=recorder or self._own_recorder(passphrase, notify),
            shadow=self.configuration.policy.mode == "shadow",
            notify=notify,
        )

    def administration(
        self,
        *,
        passphrase: Callable[[Path], str] = lambda path: "",
        notify: Callable[[str], None] = lambda text: None,
    ) -> Administration:
        """Changes who may do what on this site, in the name of the user of the operating system."""
        from ..audit import RowDigests
        from ..vault import KeyFolder
        from ._access import Administration

        return Administration(
            access=self.access(passphrase=passphrase, notify=notify),
            keys=KeyFolder(self.vault_keys, passphrase),
            principal=self.local_principal,
            rows=RowDigests(self.subjects, self._key, create=True),
            decides=self.configuration.policy.mode != "off",
        )

    def posture(self, time: int, *, scan: bool = False) -> tuple[Posture, int]:
        """Which demands this site meets, measured now, and the exit code that says so; `scan` reads all the ledger."""
        from ..audit.posture import exit_code_of, posture_of
        from ._posture import read_facts

        facts = read_facts(self, time, scan=scan)
        posture = posture_of(facts, time, scanned=scan)
        return posture, exit_code_of(facts, posture)

    def announcer(self) -> Callable[[Lease], None] | None:
        """Tells those who must know that glass was broken; None where nobody is configured to."""
        from ._announce import announce_lease

        program = self.configuration.announce
        return (lambda lease: announce_lease(program, self.name, lease)) if program else None

    def _own_recorder(self, passphrase: Callable[[Path], str], notify: Callable[[str], None]) -> Recorder:
        """Puts this site's own events on record, or tells that it has no ledger to do so."""
        from ._recorders import NoRecorder, PatientRecorder

        if not self.ledger.exists and self.had_ledger:
            raise IntegrityError(
                "the ledger's key is gone, so nothing can go on record",
                where=str(self.ledger.key_file),
                next="restore it from a backup",
            )
        if not self.ledger.exists:
            return NoRecorder(notify)
        return PatientRecorder(lambda entry: self._record(entry, passphrase))

    @property
    def had_ledger(self) -> bool:
        """Whether there was one, going by what its making leaves beside its key."""
        return any((self.path / name).exists() for name in ("ledger", "keys/writer.token"))

    def _record(self, entry: Entry, passphrase: Callable[[Path], str]) -> int:
        data = self._own(entry)
        opens = "" if self.served else passphrase(self.ledger.key_file)
        with self.recorder(passphrase=opens) as recorder:
            return recorder.append_many([data])[0]

    def _own(self, entry: Entry) -> bytes:
        return self.admitted(msgspec.structs.replace(entry, writer=OWN_WRITER), OWN_WRITER)

    def held_recorder(self, sequencer: Sequencer) -> Recorder:
        """Puts this site's own events on record, in the process that holds the ledger."""
        from ._recorders import HeldRecorder

        return HeldRecorder(self._own, sequencer)

    @property
    def name(self) -> str:
        """What people who sign for this site name it by: its ledger's origin, where nothing else is configured."""
        if self.configuration.policy.site:
            return self.configuration.policy.site
        return self.ledger.keys()[0].name if self.ledger.exists else "local"

    @property
    def local_principal(self) -> str:
        """The user of the operating system, as this site names it; the environment is not asked."""
        return self.user(os.getuid())

    def user(self, uid: int) -> str:
        """A user of this machine, as this site names it."""
        name = f"uid-{uid}"
        with contextlib.suppress(KeyError):
            found = pwd.getpwuid(uid).pw_name
            name = found if re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", found) else name
        return f"{name}@{self.configuration.policy.host}"

    def recipient(self, text: str) -> Recipient:
        """Somebody to seal to, as people name one. Raises InputError, UsageError."""
        from ..vault import KeyFolder
        from ._vault import recipient

        return recipient(text, KeyFolder(self.vault_keys), self.configuration.vault, self.path)

    @property
    def configuration_digest(self) -> str:
        """`sha256:` of the configuration file."""
        return f"sha256:{hashlib.sha256((self.path / 'strongroom.toml').read_bytes()).hexdigest()}"

    def listen_at(self, path: Path | None) -> Path:
        """Where `strongroom serve` is to listen; when elsewhere, this site's own commands find it through a link."""
        if path is not None or self.socket.is_symlink():
            self.socket.unlink(missing_ok=True)
        if path is not None:
            self.socket.symlink_to(path.absolute())
        return path or self.socket

    @property
    def socket(self) -> Path:
        """Where `strongroom serve` listens."""
        return self.path / "run" / "strongroom.sock"

    def make_ledger(self, origin: str, *, passphrase: str = "") -> None:
        """Makes key, log, and the writer that this site's own commands are. Raises UsageError when there is one."""
        if self.ledger.exists:
            raise UsageError("there is a ledger already", where=str(self.path), next="choose another site")
        self._make_token(self.path / "keys" / "writer.token")
        self.close()
        self.ledger.create(origin, passphrase=passphrase)  # last: its key says that there is a ledger

    def _make_token(self, file: Path) -> None:
        """Servers that share state have one token: a second one would take the first one's right away."""
        if file.exists() and self.state.writer_by_token_digest(_digest(self._token())):
            return
        if self.configuration.state.url and any(one.name == OWN_WRITER for one in self.state.writers()):
            raise UsageError(
                "the servers that share this state have a token already",
                where=str(file),
                next="copy keys/writer.token of one of them",
            )
        file.unlink(missing_ok=True)  # of a start that was interrupted
        self.state.remove_writer(OWN_WRITER)
        _write_secret(file, self.add_writer(OWN_WRITER, ["*"], os.getuid()) + "\n")

    def add_writer(self, name: str, types: list[str], uid: int | None) -> str:
        """A new writer's token, which is kept nowhere but as a digest. Raises UsageError."""
        token = secrets.token_urlsafe(32)
        self.state.add_writer(name, _digest(token), types, uid)
        return token

    def admitted(self, entry: Entry, writer: str) -> bytes:
        """An entry as it goes on record, in the writer's own name; an access event's personal facts as keyed digests.

        Raises InputError or RefusedError for what is no entry.
        """
        from ..audit import ACCESS, entry_of
        from ..ledger import encode_entry

        if entry.writer != writer:
            raise RefusedError(f"the entry names the writer '{entry.writer[:80]}', not '{writer}'")
        if entry.type == ACCESS:
            entry = entry_of(entry.body, self.subjects, writer, time=entry.time)
        return encode_entry(entry)

    @contextlib.contextmanager
    def recorder(
        self, *, passphrase: str = "", notify: Callable[[str], None] = lambda text: None
    ) -> Iterator[Sequencer | RemoteRecorder]:
        """Appends to the ledger: through `strongroom serve` where that runs, and needs no passphrase; else itself.

        Raises what `Home.open` raises; AnotherSequencer when the lock is held and nobody serves.
        """
        from ..ledger import AnotherSequencer

        with contextlib.ExitStack() as stack:
            recorder: Sequencer | RemoteRecorder
            if self.served:
                recorder = stack.enter_context(self._remote())
            else:
                try:
                    recorder = stack.enter_context(self.ledger.open(passphrase=passphrase, notify=notify))
                except AnotherSequencer:
                    if not self.served:
                        raise
                    recorder = stack.enter_context(self._remote())  # it started meanwhile
            yield recorder

    def _remote(self) -> contextlib.closing[RemoteRecorder]:
        from ..ledger import RemoteRecorder

        return contextlib.closing(RemoteRecorder(self.socket, self._token()))

    @property
    def served(self) -> bool:
        """Whether `strongroom serve` answers on the site's socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True

    def _token(self) -> str:
        path = self.path / "keys" / "writer.token"
        try:
            return path.read_text().strip()
        except OSError as error:
            raise InputError(f"the site's own token cannot be read: {error.strerror}", where=str(path)) from error

    @property
    def sketch_key(self) -> bytes:
        """The key of every digest of the store."""
        return self._key

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Holds `run/hunt.lock`. Raises StrongroomError when another hunt on this site holds it."""
        try:
            (self.path / "run").mkdir(mode=0o700, exist_ok=True)
            opened = (self.path / "run" / "hunt.lock").open("w")
        except OSError as error:
            raise StrongroomError(
                f"the site cannot be locked: {error.strerror}", where=str(self.path), next="check space and permissions"
            ) from error
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StrongroomError(
                    "another hunt is at work on this site", where=str(self.path), next="wait for it to end"
                ) from None
            try:
                yield
            finally:
                self.close()

    def close(self) -> None:
        """Closes what is open of the state: then its write-ahead log is gone. It is opened again when it is needed."""
        if "state" in self.__dict__:
            self.state.close()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _check_name(path: Path) -> None:
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise UsageError("the directory's name is no UTF-8", next="choose another directory") from None


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise IntegrityError(
            f"the site's sketch key cannot be read: {error}",
            where=str(path),
            next="restore it from a backup; without it what is stored cannot be compared with new logs",
        ) from None
    if len(key) != _KEY_BYTES:
        raise IntegrityError(f"the site's sketch key has {len(key)} bytes, not {_KEY_BYTES}", where=str(path))
    return key


def _write_secret(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A ledger at home: where its parts lie in a site, and everything that is done with them.

ledger/public/    checkpoint, cosigned, keys, tile/…: what the world may read
ledger/journal/   committed and not yet in tiles
keys/ledger.key   the private key;  keys/ledger.key.next while it is being rotated
run/lock          held by the sequencer;  run/checkpoints.git, a clone of the git remote
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from ..core.keyfile import is_sealed, sync_directory
from ._anchoring import Anchoring
from ._anchors import Anchor, Directory, GitRemote, WitnessAddress
from ._commit import Limits
from ._entry import encode_entry
from ._keys import KeyFile, NoteSigner, create_key, load_key
from ._notes import VerifierKey
from ._open import KEYS, create_ledger, open_ledger, read_keys, storage_at
from ._reader import LogReader, read_checkpoint
from ._rotation import introduced_by, rotation_entry
from ._sequencer import Sequencer
from ._storage import DirectoryStorage, ObjectStorage, Source, full_disk
from ._verdict import Seen, Verdict, trusted_keys, verify_log
from ._witness_client import latest

__all__ = ["Home", "Settings"]


@dataclass(frozen=True)
class Settings:
    """What a site says about its ledger."""

    storage: str = ""
    """The URL of a prefix in an object store; empty: the site's own directory."""
    witnesses: tuple[WitnessAddress, ...] = ()
    quorum: int = 0
    """How many of the witnesses must have cosigned."""
    copy: str = ""
    """A second directory for checkpoints."""
    git: str = ""
    """A git remote for checkpoints."""


class Home:
    """The ledger of a site in `root`."""

    def __init__(self, root: Path, settings: Settings | None = None) -> None:
        self.root = root
        self.settings = settings or Settings()
        self.key_file = root / "keys" / "ledger.key"
        self._next_key = root / "keys" / "ledger.key.next"
        self._lock = root / "run" / "lock"

    @property
    def storage(self) -> DirectoryStorage | ObjectStorage:
        """Where the log is written."""
        return storage_at(self.settings.storage or str(self.root / "ledger"))

    @property
    def source(self) -> Source:
        """Where the log is read."""
        storage = self.storage
        if isinstance(storage, ObjectStorage):
            return ObjectStorage(f"{storage.name}/public")
        return DirectoryStorage(storage.root / "public")

    @property
    def exists(self) -> bool:
        """Whether this site has a ledger."""
        return self.key_file.exists()

    def create(self, origin: str, *, passphrase: str = "") -> VerifierKey:
        """Makes key and log. Raises UsageError when there is one already, StrongroomError."""
        if self.exists:
            raise UsageError("there is a ledger already", where=str(self.root), next="choose another directory")
        part = self.key_file.with_suffix(".key.part")
        part.unlink(missing_ok=True)  # of a start that was interrupted, as an empty log is
        key = create_key(part, origin, passphrase=passphrase)
        try:
            create_ledger(self.storage, NoteSigner(KeyFile(key), key.verifier))
            part.replace(self.key_file)  # last: the key says that there is a ledger
            sync_directory(part.parent)
        except OSError as error:
            raise full_disk(error, str(self.key_file)) from error
        finally:
            part.unlink(missing_ok=True)
        return key.verifier

    @property
    def sealed(self) -> bool:
        """Whether a passphrase is needed to append."""
        return is_sealed(self.key_file)

    def check_passphrase(self, passphrase: str) -> None:
        """Raises RefusedError unless it opens the key."""
        self._signer(passphrase)

    def keys(self) -> list[VerifierKey]:
        """The log's keys as it says, oldest first."""
        return read_keys(self.source, KEYS.rpartition("/")[2])

    def reader(self) -> LogReader:
        """The log up to its published checkpoint, which the last of its own keys has signed."""
        return LogReader(self.source, read_checkpoint(self.source, self.keys()[-1:]))

    @contextlib.contextmanager
    def open(
        self,
        *,
        passphrase: str = "",
        limits: Limits | None = None,
        notify: Callable[[str], None] = lambda text: None,
    ) -> Iterator[Sequencer]:
        """The sequencer; its checkpoints go where the settings say. See `open_ledger` for what it raises."""
        sequencer, anchoring = self._start(passphrase, limits, notify)
        if self._finish_rotation(passphrase, sequencer):
            sequencer.close()
            sequencer, anchoring = self._start(passphrase, limits, notify)
        first = sequencer.committed
        anchoring.start(sequencer.add_cosignatures, first)
        try:
            yield sequencer
            last = sequencer.flush()
            if last.checkpoint != first.checkpoint:
                anchoring.published(last)  # here too: the publisher says it after `flush` has returned
        finally:
            anchoring.close()
            sequencer.close()

    def _start(
        self, passphrase: str, limits: Limits | None, notify: Callable[[str], None]
    ) -> tuple[Sequencer, Anchoring]:
        signer = self._signer(passphrase)
        anchoring = Anchoring(self.source, signer.verifier, self.settings.witnesses, self.anchors(), notify)
        sequencer = open_ledger(
            self.storage, signer, self._lock, limits=limits, notify=notify, published=anchoring.published
        )
        return sequencer, anchoring

    def anchors(self) -> list[Anchor]:
        """Where checkpoints are kept, beside the witnesses."""
        found: list[Anchor] = []
        origin = self.keys()[0].name
        if self.settings.copy:
            found.append(Directory(Path(self.settings.copy), origin))
        if self.settings.git:
            found.append(GitRemote(self.settings.git, self.root / "run" / "checkpoints.git", origin))
        return found

    def left(self) -> tuple[int, int] | None:
        """The entries under the largest checkpoint that this machine knows to have left, and when, in seconds since
        1970: by a witness's cosignature, or as copies lie. Nobody is asked. Raises IntegrityError.
        """
        found = []
        for anchor in self.anchors():
            for path in sorted(anchor.kept.glob("[0-9]*.checkpoint"))[-1:]:
                with contextlib.suppress(ValueError, OSError):
                    found.append((int(path.stem), int(path.stat().st_mtime)))
        witnesses = [witness.key for witness in self.settings.witnesses]
        with contextlib.suppress(InputError):  # none has cosigned yet
            signed = read_checkpoint(self.source, self.keys()[-1:], witnesses=witnesses, name="cosigned")
            found += [(signed.checkpoint.size, time) for time in signed.cosigned.values()]
        return max(found, default=None)

    def witnesses_and_quorum(self) -> tuple[list[VerifierKey], int]:
        """The keys of the witnesses, and how many of them must have cosigned."""
        return [witness.key for witness in self.settings.witnesses], self.settings.quorum

    def verify(
        self,
        *,
        given: VerifierKey | None = None,
        witnesses: Sequence[VerifierKey] | None = None,
        quorum: int | None = None,
        seen: Sequence[Seen] = (),
        notify: Callable[[str], None] = lambda text: None,
        progress: Callable[[int, int], None] = lambda done, all: None,
    ) -> Verdict:
        """Verifies the log, and compares it with every place that keeps its checkpoints.

        Raises IntegrityError (see `verify_log`). A place that does not answer is notified and not compared with; one
        that answers with what none of this log's keys has signed speaks against the log.
        """
        claimed = self.keys()
        keys = trusted_keys(claimed, given)
        # What was kept before a rotation is signed by an older key than the one that is trusted.
        every = list(dict.fromkeys([*keys, *claimed]))
        own = self.witnesses_and_quorum()
        witnesses, quorum = own[0] if witnesses is None else witnesses, own[1] if quorum is None else quorum
        against: list[str] = []
        found = [*seen, *self.seen_elsewhere(every, notify, against.append)]
        verdict = verify_log(
            self.source,
            keys,
            older_keys=claimed,
            witnesses=witnesses,
            quorum=quorum,
            seen=found,
            progress=progress,
        )
        verdict.rewritten += against
        return verdict

    def seen_elsewhere(
        self, keys: Sequence[VerifierKey], notify: Callable[[str], None], against: Callable[[str], None]
    ) -> Iterator[Seen]:
        """The newest checkpoint of each place that keeps them; what cannot be one of this log is told to `against`."""
        for anchor in self.anchors():
            try:
                kept = anchor.latest(keys)
            except IntegrityError as error:
                against(f"{anchor.name} does not hold a checkpoint of this log: {error}")
                continue
            except StrongroomError as error:
                notify(f"not compared with {anchor.name}: {error}")
                continue
            if kept is not None:
                yield kept
        for witness in self.settings.witnesses:
            try:
                signed = latest(witness.url, origin=keys[0].name, log_keys=keys, witness=witness.key)
            except IntegrityError as error:
                against(f"witness {witness.key.name} does not hold a checkpoint of this log: {error}")
                continue
            except StrongroomError as error:
                notify(f"not compared with witness {witness.key.name}: {error}")
                continue
            if signed is not None:
                yield Seen(f"witness {witness.key.name}", signed.checkpoint)

    def rotate(self, time_us: int, *, passphrase: str = "", new_passphrase: str = "") -> VerifierKey:
        """The log gets a new key, introduced by the old one. Nobody else may append meanwhile. Raises StrongroomError.

        Interrupted anywhere, the next start finishes it or takes it back: the new key waits in a file of its own,
        and counts once its entry, which is then the last of the log, is durable. The checkpoint that both have
        signed is there before the old key goes.
        """
        with self.open(passphrase=passphrase) as sequencer:
            old = sequencer.signer
            self._next_key.unlink(missing_ok=True)
            key = create_key(self._next_key, old.verifier.name, passphrase=new_passphrase)
            new = NoteSigner(KeyFile(key), key.verifier)
            sequencer.unsafe_append_many([encode_entry(rotation_entry(old, new, time_us))])
            sequencer.flush()
            sequencer.sign_with(new, old)
            self._adopt(key.verifier)
        return key.verifier

    def _signer(self, passphrase: str) -> NoteSigner:
        if not self.exists:
            raise InputError(
                "this site has no ledger", where=str(self.root), next=f"make one: strongroom ledger init {self.root}"
            )
        key = load_key(self.key_file, passphrase=passphrase)
        return NoteSigner(KeyFile(key), key.verifier)

    def _finish_rotation(self, passphrase: str, sequencer: Sequencer) -> bool:
        """What an interrupted rotation left: adopted, then True, when its entry is the last one; else taken back."""
        if not self._next_key.exists():
            return False
        try:
            reader, old = self.reader(), sequencer.signer
            introduced = introduced_by(reader.entry(reader.size - 1), old.verifier) if reader.size else None
            if introduced is None:
                self._next_key.unlink()
                return False
            try:
                key = load_key(self._next_key, passphrase=passphrase)
            except RefusedError:
                self._adopt(introduced)
                raise RefusedError(
                    "an interrupted rotation is finished now, and the new key is sealed with another passphrase",
                    where=str(self.key_file),
                    next="give the new one",
                ) from None
            if key.verifier != introduced:
                raise IntegrityError(
                    "the rotation on record introduces another key than the one that waits",
                    where=str(self._next_key),
                    next="restore the key that the last entry names",
                )
            sequencer.sign_with(NoteSigner(KeyFile(key), introduced), old)
            self._adopt(introduced)
        except BaseException:
            sequencer.close()
            raise
        return True

    def _adopt(self, key: VerifierKey) -> None:
        lines = [str(one) for one in self.keys()]
        if str(key) not in lines:
            self.storage.replace(KEYS, "".join(f"{line}\n" for line in [*lines, str(key)]).encode())
        self._next_key.replace(self.key_file)
        sync_directory(self.key_file.parent)

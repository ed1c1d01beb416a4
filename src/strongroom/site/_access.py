"""A site's part in deciding: its published policies, its people's SSH keys, its own principals."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import rfc8785

from ..access import Access, preview
from ..audit import NO_ROW, RowDigests, changes
from ..core.clock import format_time
from ..core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from ..core.ids import new_id
from ..core.leases import Approval, Lease
from ..core.principals import Principal
from ..core.records import AccessEvent
from ..policy import DEFAULT, Policies, signed_request
from ..state import PolicySet, Rows, Transaction

if TYPE_CHECKING:
    from ..vault import KeyFolder, PublicKey

__all__ = ["OWNERS", "Administration", "PublishedPolicies", "SshApprovals", "check_signed"]

_HOW = "docs/policy.md says how, under 'Changing policies'"
OWNERS = "owners"
SITE_ASSET = "strongroom/site"
"""What a change that concerns no asset in particular is about."""
T = TypeVar("T")
POLICY_SET = "strongroom.policy-set/1"
MAX_ENTRY_ROWS = 800
"""Of 68 bytes each; an entry has at most 65,535."""


def _signed_bytes(version: int, text: str, by: str) -> bytes:
    return rfc8785.dumps({"type": POLICY_SET, "version": version, "text": text, "by": by})


class _TakenBackError(Exception):
    """Ends a transaction that was only tried."""


@dataclass(frozen=True, kw_only=True)
class Administration:
    """Changes who may do what on a site: each change is permitted, and on record, before it is made."""

    access: Access
    keys: KeyFolder
    principal: str
    """Who changes it."""
    rows: RowDigests
    """Digests changes, and the rows that they alter."""
    decides: bool
    """False: policies are off, and a change is only put on record."""

    def change(
        self, change: dict[str, Any], apply: Callable[[Transaction], T], *, policies: Policies | None = None
    ) -> T:
        """Makes a change. On record stands what kind it is, and a keyed digest of all of it, by which it can be proved.

        `policies`: those that are in force after it, where it changes them. Raises RefusedError, StrongroomError, and
        what `apply` raises, before anything is on record; UsageError where nobody could administer the site after it.
        """
        before, after = self._try(apply, policies)
        self.put_on_record(change, self.rows.on_record(changes(before, after)))
        with self.access.state.transaction(write=True) as transaction:
            found = transaction.survey.guarded()
            if any(found.get(row) != before.get(row) for row in changes(before, after)):
                raise StrongroomError("somebody else changed the same meanwhile", next="run the same command again")
            return apply(transaction)

    def put_on_record(self, change: dict[str, Any], rows: list[str], *, source: str = "") -> None:
        """Has a change decided and put on record, with the digests of the rows that it alters."""
        first, *more = [rows[at : at + MAX_ENTRY_ROWS] for at in range(0, len(rows), MAX_ENTRY_ROWS)] or [[NO_ROW]]
        time = self.access.clock()
        event = AccessEvent(
            id=new_id("evt", time),
            time=format_time(time),
            principal=self.principal,
            action="Administer",
            asset=SITE_ASSET,
            outcome="allowed",
            reason=str(change["change"]),
            source=source,
            request_digest=self.rows.change(change),
            changed=first,
        )
        if self.decides:
            self.access.authorize(event)
        else:
            self.access.record(event)
        for some in more:
            self.access.record(msgspec.structs.replace(event, id=new_id("evt", time), changed=some))

    def publish(self, text: str) -> int:
        """Signs a set of policies, puts it on record and into force. Returns its version.

        Raises UsageError where nobody could publish the next one, RefusedError, StrongroomError.
        """
        change = {"change": "publishes policies", "sha256": hashlib.sha256(text.encode()).hexdigest()}
        policies = Policies.parse(text)
        return self.change(change, lambda transaction: self._publish(transaction, text), policies=policies)

    def _try(self, apply: Callable[[Transaction], T], policies: Policies | None) -> tuple[Rows, Rows]:
        """Makes the change and takes it back: what cannot be done must not stand on record as done.

        Returns the rows before and after it.
        """
        before: Rows = {}
        after: Rows = {}
        with contextlib.suppress(_TakenBackError), self.access.state.transaction(write=True) as transaction:
            if self.decides and policies is None:
                with contextlib.suppress(RefusedError):  # none are in force: then deciding refuses it
                    policies = self.access.policies.current(transaction)
            before = transaction.survey.guarded()
            apply(transaction)
            after = transaction.survey.guarded()
            if self.decides and policies is not None:
                self._check_administrable(transaction, policies)
            raise _TakenBackError
        return before, after

    def _check_administrable(self, transaction: Transaction, policies: Policies) -> None:
        """Raises UsageError where nobody may change anything any more."""
        for name in (self.principal, *(one.name for one in transaction.principals.all() if one.kind == "person")):
            event = AccessEvent(
                id="", time="", principal=name, action="Administer", asset=SITE_ASSET, outcome="allowed"
            )
            if preview(transaction, policies, event, self.access.approvals, self.access.clock()).allowed:
                return
        raise UsageError("after this nobody could administer the site", next="leave somebody who may Administer")

    def begin(self, folder: Path) -> None:
        """Of a new site: the principal owns it, the default policies are in force, `folder` holds a copy to edit."""
        folder.mkdir(mode=0o700)
        for source, name in ((DEFAULT, "site.cedar"), (DEFAULT.with_suffix(".csv"), "site.csv")):
            (folder / name).write_bytes(source.read_bytes())
        with self.access.state.transaction(write=True) as transaction:
            transaction.principals.put(Principal(name=self.principal, kind="person", groups=[OWNERS]))
            self._publish(transaction, DEFAULT.read_text())

    def _publish(self, transaction: Transaction, text: str) -> int:
        """The next version, signed. Raises UsageError where the site has no key to sign with."""
        own = _own_signers(self.keys)
        if not own:
            raise UsageError(
                "there is no key to sign with", next="make one: strongroom vault keys new NAME --kind p256"
            )
        version = transaction.policies.newest_version() + 1
        made = PolicySet(
            version=version,
            text=text,
            signer=own[0].key,
            signature=self.keys.sign(own[0].key, _signed_bytes(version, text, self.principal)),
            by=self.principal,
            published=self.access.clock(),
        )
        transaction.policies.add(made)
        return version


def _own_signers(folder: KeyFolder) -> Sequence[PublicKey]:
    """Whose policies are believed: those who sign for the site, not those whose manifests it believes too."""
    return [key for key in folder.signers if folder.held(key)]


def check_signed(found: PolicySet, folder: KeyFolder, *, where: str = "") -> None:
    """Raises IntegrityError unless the site signed this set as it is."""
    signer = next((key for key in _own_signers(folder) if key.key == found.signer), None)
    if signer is None:
        raise IntegrityError(
            f"the policies of version {found.version} were not signed by this site", where=where, next=_HOW
        )
    try:
        signer.verify(found.signature, _signed_bytes(found.version, found.text, found.by))
    except IntegrityError:
        raise IntegrityError(
            f"the policies of version {found.version} are not as this site signed them", where=where, next=_HOW
        ) from None


class PublishedPolicies:
    """The set in force, read anew when another was published; one that cannot be believed leaves the old in force."""

    def __init__(self, folder: KeyFolder, where: str, notify: Callable[[str], None]) -> None:
        self._folder = folder
        self._where = where
        self._notify = notify
        self._version = 0
        self._policies: Policies | None = None
        self._told = 0

    def current(self, transaction: Transaction) -> Policies:
        """See `access.PolicySource`."""
        version = transaction.policies.newest_version()
        if self._policies is not None and version == self._version:
            return self._policies
        try:
            if version < self._version:
                raise IntegrityError("published policies are gone", where=self._where)
            self._policies, self._version = self._load(transaction), version
        except StrongroomError as error:
            if self._policies is None:
                raise
            if version != self._told:
                self._notify(f"the policies of version {self._version} stay in force: {error}")
                self._told = version
        return self._policies

    def _load(self, transaction: Transaction) -> Policies:
        found = transaction.policies.newest()
        if found is None:
            raise RefusedError(
                "no policies are in force on this site, so nothing is permitted",
                where=self._where,
                next=_HOW,
            )
        check_signed(found, self._folder, where=self._where)
        return Policies.parse(found.text, where=f"{self._where}, policies of version {found.version}")


class SshApprovals:
    """Approvals that people sign with their SSH keys."""

    def __init__(self, site: str) -> None:
        self._site = site

    def approvers(self, lease: Lease, given: list[Approval], transaction: Transaction) -> list[Principal]:
        """See `access.Approvals`. A signature that no key of the person's made counts for nothing."""
        found = []
        for approval in given:
            person = transaction.principals.get(approval.principal)
            if person is None or person.kind != "person" or person.suspended:
                continue
            try:
                self._owner(lease, approval.signature, transaction.principals.ssh_keys(person.name))
            except RefusedError:
                continue
            found.append(person)
        return found

    def signer(self, lease: Lease, signature: str, transaction: Transaction) -> str:
        """See `access.Approvals`."""
        return self._owner(lease, signature, transaction.principals.ssh_keys())

    def _owner(self, lease: Lease, signature: str, known: Sequence[tuple[str, str]]) -> str:
        """Whose of these keys signed a lease's request. Raises RefusedError where none did."""
        from ..identity import APPROVAL, SshKey, verify_signature

        owners = {SshKey.parse(line): name for name, line in known}
        message = signed_request(lease, self._site)
        return owners[verify_signature(message, signature.encode(), namespace=APPROVAL, keys=list(owners))]

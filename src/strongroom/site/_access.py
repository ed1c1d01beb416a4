"""A site's part in deciding: its published policies, its people's SSH keys, its own principals."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rfc8785

from ..access import Access, preview
from ..core.clock import format_time, now
from ..core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from ..core.ids import new_id
from ..core.leases import Approval, Lease
from ..core.ports import Recorder
from ..core.principals import Principal
from ..core.records import AccessEvent
from ..policy import DEFAULT, Policies, signed_request
from ..state import PolicySet, Transaction

if TYPE_CHECKING:
    from ..vault import KeyFolder, PublicKey
    from ._site import Site

__all__ = ["access", "administer", "make_owner", "publish_policies"]

OWNERS = "owners"
SITE_ASSET = "strongroom/site"
"""What a change that concerns no asset in particular is about."""
Passphrase = Callable[[Path], str]
Notify = Callable[[str], None]
T = TypeVar("T")
POLICY_SET = "strongroom.policy-set/1"


def _signed_bytes(version: int, text: str, by: str) -> bytes:
    return rfc8785.dumps({"type": POLICY_SET, "version": version, "text": text, "by": by})


def access(site: Site, recorder: Recorder, passphrase: Passphrase, notify: Notify) -> Access:
    """Decides as a site's policies say."""
    from ..vault import KeyFolder

    return Access(
        state=site.state,
        policies=PublishedPolicies(KeyFolder(site.vault_keys, passphrase), str(site.path), notify),
        approvals=SshApprovals(site.name),
        recorder=recorder,
        shadow=site.configuration.policy.mode == "shadow",
        notify=notify,
    )


def make_owner(site: Site, *, passphrase: str) -> None:
    """Makes the user of the operating system the site's owner, and puts the default policies into force."""
    folder = site.path / "policies"
    folder.mkdir(mode=0o700)
    for source, name in ((DEFAULT, "site.cedar"), (DEFAULT.with_suffix(".csv"), "site.csv")):
        (folder / name).write_bytes(source.read_bytes())
    owner = Principal(name=site.local_principal, kind="person", groups=[OWNERS])
    with site.state.transaction(write=True) as transaction:
        transaction.principals.put(owner)
        _publish(site, transaction, DEFAULT.read_text(), lambda path: passphrase)
    site.close()


def administer(
    site: Site,
    change: dict[str, Any],
    apply: Callable[[Transaction], T],
    *,
    passphrase: Passphrase,
    notify: Notify,
) -> T:
    """Makes a change to who may do what, after it was permitted and put on record.

    On record stands what kind of change it is, and a keyed digest of the rest, by which it can be proved and found.
    Raises RefusedError, StrongroomError, and what `apply` raises.
    """
    time = now()
    event = AccessEvent(
        id=new_id("evt", time),
        time=format_time(time),
        principal=site.local_principal,
        action="Administer",
        asset=SITE_ASSET,
        outcome="allowed",
        reason=str(change["change"]),
        request_digest=f"sha256:{hmac.digest(site.sketch_key, rfc8785.dumps(change), 'sha256').hex()}",
    )
    decides = site.access(passphrase=passphrase, notify=notify)
    if site.configuration.policy.mode == "off":
        decides.record(event)
    else:
        decides.authorize(event)
    with site.state.transaction(write=True) as transaction:
        return apply(transaction)


def publish_policies(site: Site, text: str, *, passphrase: Passphrase, notify: Notify) -> int:
    """Signs a set of policies, puts it on record and into force. Returns its version.

    Raises UsageError where whoever publishes could not publish the next one, RefusedError, StrongroomError.
    """
    owner, time = site.local_principal, now()
    policies = Policies.parse(text)
    event = AccessEvent(id="", time="", principal=owner, action="Administer", asset=SITE_ASSET, outcome="allowed")
    with site.state.transaction(write=False) as transaction:
        after = preview(transaction, policies, event, SshApprovals(site.name), time)
    if not after.allowed:
        raise UsageError(
            f"with these policies {owner} could not publish others: {after.reason}",
            next="have a policy that permits Administer",
        )
    return administer(
        site,
        {"change": "publishes policies", "sha256": hashlib.sha256(text.encode()).hexdigest()},
        lambda transaction: _publish(site, transaction, text, passphrase),
        passphrase=passphrase,
        notify=notify,
    )


def _publish(site: Site, transaction: Transaction, text: str, passphrase: Passphrase) -> int:
    """The next version, signed. Raises UsageError where the site has no key to sign with."""
    from ..vault import KeyFolder

    Policies.parse(text)
    folder, by = KeyFolder(site.vault_keys, passphrase), site.local_principal
    own = _own_signers(folder)
    if not own:
        raise UsageError("there is no key to sign with", next="make one: strongroom vault keys new NAME --kind p256")
    version = transaction.policies.newest_version() + 1
    signature = folder.sign(own[0].key, _signed_bytes(version, text, by))
    transaction.policies.add(
        PolicySet(version=version, text=text, signer=own[0].key, signature=signature, by=by, published=now())
    )
    return version


def _own_signers(folder: KeyFolder) -> Sequence[PublicKey]:
    """Whose policies are believed: those who sign for the site, not those whose manifests it believes too."""
    return [key for key in folder.signers if folder.held(key)]


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
                next="docs/policy.md says how a site that was made before gets them, under 'Changing policies'",
            )
        signer = next((key for key in _own_signers(self._folder) if key.key == found.signer), None)
        if signer is None:
            raise IntegrityError(
                f"the policies of version {found.version} were not signed by this site",
                where=self._where,
                next="publish them anew: strongroom policy publish",
            )
        signer.verify(found.signature, _signed_bytes(found.version, found.text, found.by))
        return Policies.parse(found.text, where=f"{self._where}, policies of version {found.version}")


class SshApprovals:
    """Approvals that people sign with their SSH keys."""

    def __init__(self, site: str) -> None:
        self._site = site

    def approvers(self, lease: Lease, given: list[Approval], transaction: Transaction) -> list[Principal]:
        """See `access.Approvals`. A signature that no key of the person's made counts for nothing."""
        from ..identity import APPROVAL, SshKey, verify_signature

        message = signed_request(lease, self._site)
        found = []
        for approval in given:
            person = transaction.principals.get(approval.principal)
            if person is None or person.kind != "person" or person.suspended:
                continue
            keys = [SshKey.parse(public) for _, public in transaction.principals.ssh_keys(person.name)]
            try:
                verify_signature(message, approval.signature.encode(), namespace=APPROVAL, keys=keys)
            except RefusedError:
                continue
            found.append(person)
        return found

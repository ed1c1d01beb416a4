"""What a posture counts in grants, keys, policies and the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from ..audit.posture import LONGEST_GRANT_DAYS, OLDEST_KEY_DAYS, ApiKeys, Channels, Grants, Rules
from ..core.assets import CLASSIFICATIONS, Asset, Classification
from ..core.errors import InputError, IntegrityError, RefusedError, UsageError
from ..core.leases import Grant
from ..core.principals import ApiKey, Principal
from ..policy import Asked, Policies, Request
from ._access import OWNERS, PublishedPolicies

if TYPE_CHECKING:
    from ..state import Transaction
    from ..vault import KeyFolder
    from ._site import Site

__all__ = ["api_keys_of", "channels_of", "grants_of", "rules_of"]

DAY_US = 86_400_000_000
PROBE_ADDRESSES = ("", "127.0.0.1", "10.0.0.1", "192.168.0.1", "fd00::1")
"""This machine, and networks that are often called internal."""
MAX_APPROVALS = 8
"""Up to how many approvals an export is tried with."""
MAX_PEM_BYTES = 1 << 20
ENCRYPTED = frozenset({"https", "ssh", "s3", "gs", "abfs", "file", ""})
"""Schemes of addresses whose transport is encrypted, or that are paths of this machine."""
CHECKED = ("verify-ca", "verify-full")
"""What libpq's sslmode must say for the server to be checked."""


def grants_of(grants: Sequence[Grant], time: int) -> Grants:
    """Counts of those that have not expired."""
    days = [-(-(one.expires - time) // DAY_US) for one in grants if one.expires > time]
    return Grants(
        live=len(days),
        end_in_30_days=sum(each <= 30 for each in days),
        end_in_90_days=sum(30 < each <= LONGEST_GRANT_DAYS for each in days),
        end_later=sum(each > LONGEST_GRANT_DAYS for each in days),
        longest_days=max(days, default=0),
        of_whole_organizations=sum(one.expires > time and one.asset.endswith("/*") for one in grants),
    )


def api_keys_of(keys: Sequence[ApiKey], time: int) -> ApiKeys:
    """Counts of those that are accepted."""
    live = [one for one in keys if one.live(time)]
    return ApiKeys(
        live=len(live),
        old=sum(one.created < time - OLDEST_KEY_DAYS * DAY_US for one in live),
        without_end=sum(one.expires is None for one in live),
    )


def rules_of(site: Site, folder: KeyFolder, transaction: Transaction, time: int) -> Rules:
    """The policies in force, and what they answer to requests that nobody made. Nothing is decided or recorded."""
    mode = site.configuration.policy.mode
    try:
        policies = PublishedPolicies(folder, str(site.path), lambda text: None).current(transaction)
    except (RefusedError, IntegrityError, UsageError):  # none, none that the site signed, none that can be read
        return Rules(version=0, mode=mode)
    return Rules(
        version=transaction.policies.newest_version(),
        mode=mode,
        policies=len(policies.policies),
        reads_network=sum(one.permits and '"network"' in one.form for one in policies.policies),
        opens_to_strangers=_opened_to_strangers(policies, time),
        export_approvals=_export_approvals(policies, time),
        purpose_needed=not _decide(policies, time, "OpenWeights", "crown", granted=True, approvals=MAX_APPROVALS),
    )


def _opened_to_strangers(policies: Policies, time: int) -> int:
    return sum(
        _decide(policies, time, action, classification, network=address, purpose="probe", owner=False)
        for action in ("ReadDataset", "OpenWeights", "ExportWeights")
        for classification in CLASSIFICATIONS[1:]  # what is public is everybody's
        for address in PROBE_ADDRESSES
    )


def _export_approvals(policies: Policies, time: int) -> int:
    for count in range(MAX_APPROVALS + 1):
        if _decide(policies, time, "ExportWeights", "crown", granted=True, approvals=count, purpose="probe"):
            return count
    return -1


def _decide(
    policies: Policies,
    time: int,
    action: str,
    classification: Classification,
    *,
    owner: bool = True,
    granted: bool = False,
    approvals: int = 0,
    purpose: str = "",
    network: str = "",
) -> bool:
    """Whether a made-up principal would be permitted: an owner, or somebody who is merely known."""
    request = Request(
        principal=Principal(name="probe@posture", groups=[OWNERS, "members"] if owner else []),
        action=action,
        asset=Asset(name="posture/probe", classification=classification, places=[]),
        asked=Asked(
            time=time, purpose=purpose, granted=granted, leased=granted, approvals=approvals, share=100, network=network
        ),
    )
    return policies.decide(request).allowed


def channels_of(site: Site, time: int) -> Channels:
    """Where the site talks to other machines, as its configuration says. Raises InputError for a certificate that
    cannot be read."""
    configuration = site.configuration
    ledger = configuration.ledger
    plain = [
        not _is_encrypted(address)
        for address in (ledger.storage, ledger.git, *(one.url for one in ledger.witnesses))
        if address
    ]
    if configuration.state.url:
        plain.append(not _is_checked(configuration.state.url))
    days = None
    if configuration.keyserver.listen:  # TLS 1.3 alone is spoken there
        plain.append(False)
        days = _certificate_days(site.path / configuration.keyserver.certificate, time)
    return Channels(configured=len(plain), plain=sum(plain), certificate_days=days)


def _is_encrypted(address: str) -> bool:
    """git's `host:path` is ssh; what is no address is not called encrypted."""
    try:
        return (urlsplit(address).scheme if "://" in address else "") in ENCRYPTED
    except ValueError:
        return False


def _is_checked(url: str) -> bool:
    """A database on this machine's socket needs no TLS."""
    try:
        parts = urlsplit(url)
        host, asked = parts.hostname, parse_qs(parts.query)
    except ValueError:
        return False
    host = host or asked.get("host", [""])[0]
    return not host or host.startswith("/") or asked.get("sslmode", [""])[0] in CHECKED


def _certificate_days(path: Path, time: int) -> int:
    from cryptography import x509

    try:
        with path.open("rb") as file:
            found = x509.load_pem_x509_certificates(file.read(MAX_PEM_BYTES))
    except (OSError, ValueError):
        raise InputError("the key service's certificate cannot be read", where=str(path)) from None
    return int((found[0].not_valid_after_utc.timestamp() * 1_000_000 - time) // DAY_US)

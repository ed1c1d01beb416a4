"""What is read of a site to measure its posture: counts, and no names. No IO."""

from __future__ import annotations

from dataclasses import dataclass

from .._recent import Recent

__all__ = [
    "ApiKeys",
    "Assets",
    "Channels",
    "Facts",
    "Grants",
    "Hunts",
    "Keys",
    "Ledger",
    "People",
    "Rules",
    "Service",
    "Unread",
    "Uses",
]


@dataclass(frozen=True)
class Unread:
    """A part of the site that could not be read, or is not there."""

    why: str
    exit_code: int = 0
    """That of the error; 0 where the part is merely not there."""


@dataclass(frozen=True, kw_only=True)
class People:
    """Principals."""

    principals: int
    suspended: int
    owners: int
    idle: int
    """Neither owners nor suspended, and without a sign of use for `IDLE_DAYS`."""
    approvers: int
    """People who are not suspended and have an SSH key."""
    approvers_with_hardware: int
    """Those of them whose every key lives in hardware."""


@dataclass(frozen=True, kw_only=True)
class Grants:
    """Standing permissions that have not expired."""

    live: int
    end_in_30_days: int
    end_in_90_days: int
    end_later: int
    longest_days: int
    of_whole_organizations: int


@dataclass(frozen=True, kw_only=True)
class ApiKeys:
    """API keys that are accepted."""

    live: int
    old: int
    without_end: int


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The policies in force, and what they answer when they are asked."""

    version: int
    """0: none are in force that the site has signed."""
    mode: str
    policies: int = 0
    reads_network: int = 0
    """Permits that look at the network address."""
    opens_to_strangers: int = 0
    """Requests from this machine and private networks, by somebody without grant or group, that were permitted."""
    export_approvals: int = 0
    """With how many approvals a granted export of a crown asset is permitted first; -1: with none that was tried."""
    purpose_needed: bool = False
    """Whether opening a crown asset without a purpose is refused."""


@dataclass(frozen=True, kw_only=True)
class Uses:
    """Leases under which keys were released in the last `WINDOW_DAYS`."""

    leases: int
    with_purpose: int
    exports: int


@dataclass(frozen=True, kw_only=True)
class Assets:
    """The list of assets, and what was seen sealed here."""

    listed: int
    dear: int
    """Restricted and crown."""
    dear_sealed: int
    dear_in_several_places: int
    sealed: int
    """Names under which something was sealed."""
    sealed_unlisted: int
    sealed_by_known_signer: int


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Keys of the vault and of the ledger."""

    post_quantum: int
    """Recipients that the site seals to by itself."""
    classical: int
    kms_or_token: int
    """Keys of a KMS or a PKCS#11 token that may be asked."""
    private_files: int
    private_files_open: int
    """Not sealed with a passphrase."""
    recovery: bool
    recovery_here: bool
    """Whether the recovery key's private part lies on this machine."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """The key service."""

    answers: bool
    listens_for_others: bool
    workload_has_its_user: bool
    """Whether a principal that is no owner is the user that holds the keys."""


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Where the site talks to other machines."""

    configured: int
    plain: int
    certificate_days: int | None
    """How long the key service's certificate is valid; negative: no more; None: none is configured."""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The record."""

    exists: bool
    entries: int = 0
    places: int = 0
    """Witnesses, copies and git remotes that checkpoints go to."""
    left: int = 0
    """Entries under the largest checkpoint that is known to have gone there."""
    left_hours_ago: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hunts:
    """What hunts found."""

    days_since_last: int | None
    open: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Each part as it was read, or why it was not."""

    people: People | Unread
    grants: Grants | Unread
    api_keys: ApiKeys | Unread
    rules: Rules | Unread
    uses: Uses | Unread
    assets: Assets | Unread
    keys: Keys | Unread
    service: Service | Unread
    channels: Channels | Unread
    ledger: Ledger | Unread
    recent: Recent | Unread
    hunts: Hunts | Unread

"""What is asked for: the plan of a simulated organisation in AWS, and the intrusions that may happen in it.

>>> CloudPlan(seed=1, intrusions=(StolenKey(begin_day=9.5),)).people
25
"""

from __future__ import annotations

from dataclasses import dataclass, field

from strongroom.core.assets import Asset, check_asset
from strongroom.simulate._simulate import NOVEMBER

GIGABYTE = 10**9


@dataclass(frozen=True)
class Intrusion:
    """What every intrusion has. Bytes are bytes, days are days of 24 hours from the plan's start."""

    begin_day: float = 9.4
    """When the first call is made."""
    asset: str | None = None
    """The name of what it is about; None: drawn."""


@dataclass(frozen=True)
class StolenKey(Intrusion):
    """An engineer's access key used from another network: look around, stay, take one model in full."""

    bytes_per_hour: float = 60.0 * GIGABYTE
    discovery: int = 60
    """Calls that look around."""
    persist: bool = True
    """Makes an access key for a user that nobody has used."""
    networks: int = 1
    """How many other networks the calls come from."""
    pause_hours: float = 2.0
    """Between looking around and taking."""


@dataclass(frozen=True)
class Insider(Intrusion):
    """A real engineer reads the shards of one model, a few each day, from their own network in their own hours."""

    begin_day: float = 0.0
    shards_per_day: float = 3.0


@dataclass(frozen=True)
class SnapshotShared(Intrusion):
    """A snapshot of a volume, or an image, is made and shared with an account outside the organisation."""

    image: bool = False
    copies: int = 1


@dataclass(frozen=True)
class BucketOpened(Intrusion):
    """The public access block is lifted and policies let everybody read and decrypt; another account then does."""

    readers: int = 2
    bytes_per_hour: float = 100.0 * GIGABYTE


@dataclass(frozen=True)
class CheckpointCopied(Intrusion):
    """The weights go to a bucket of another account: by a replication rule, or object by object."""

    replication: bool = False
    objects_per_hour: float = 240.0


@dataclass(frozen=True)
class InstanceCredentials(Intrusion):
    """The credentials of a serving instance's role, used outside of AWS."""

    bytes_per_hour: float = 40.0 * GIGABYTE
    discovery: int = 12


@dataclass(frozen=True)
class TrailStopped(Intrusion):
    """The trail is stopped, or told to leave data events out; what follows is not in the records."""

    begin_day: float = 9.3
    hours: float = 3.0
    selectors: bool = False
    """Only data events are left out, and only until `hours` are over."""


@dataclass(frozen=True)
class DecryptBurst(Intrusion):
    """Data keys of a model's shards are decrypted in a burst, with no read of the model."""

    calls: int = 400
    calls_per_minute: float = 120.0


@dataclass(frozen=True)
class UnreleasedReads(Intrusion):
    """A sealed model is read in full with a training role and no key of it is released: the ledger has no entry."""

    bytes_per_hour: float = 80.0 * GIGABYTE


@dataclass(frozen=True)
class CloudPlan:
    """What is simulated. The same plan gives the same records."""

    seed: int
    days: int = 14
    start_ms: int = NOVEMBER
    """Midnight UTC of the first day, in milliseconds since 1970."""
    events_per_day: int = 40_000
    """Of all principals together, about; what people do does not grow with it, machines fill it up."""
    administrators: int = 4
    engineers: int = 14
    on_call: int = 3
    auditors: int = 2
    console_users: int = 2
    """People who only look, in the console."""
    training_roles: int = 3
    serving_instances: int = 12
    models: int = 8
    datasets: int = 10
    hard_negatives: bool = True
    """The migration, the new hire, the contractor, the sharing with the backup account, the scanners, the audit."""
    intrusions: tuple[Intrusion, ...] = ()
    home_region: str = "eu-west-1"
    second_region: str = "eu-central-1"

    @property
    def people(self) -> int:
        """How many people work there from the first day."""
        return self.administrators + self.engineers + self.on_call + self.auditors + self.console_users

    @property
    def end_ms(self) -> int:
        """The end of the last day, in milliseconds since 1970."""
        return self.start_ms + self.days * 86_400_000


@dataclass(frozen=True)
class CloudAsset:
    """One thing that is guarded; the fields are those of `strongroom.core.assets.Asset`, and where its bytes lie."""

    name: str
    kind: str
    """`model`, `dataset` or `environment`."""
    classification: str
    size: int
    """In bytes."""
    places: tuple[str, ...]
    """As `strongroom.core.places` reads them."""
    bucket: str = ""
    prefix: str = ""
    shards: tuple[tuple[str, int], ...] = ()
    """Key and size in bytes of each object."""
    key_arn: str = ""
    sealed: bool = False
    """Its objects are sealed: to open one, a key has to be released, and the ledger has an entry of that."""

    def listed(self) -> Asset:
        """As it would stand on a site's list of assets."""
        fields = {name: getattr(self, name) for name in ("name", "kind", "classification", "size")}
        return check_asset(Asset(**fields, places=list(self.places)))


@dataclass(frozen=True)
class TruthStep:
    """One technique of one intrusion, and when."""

    intrusion: str
    """`StolenKey`, `Insider`, …"""
    technique: str
    first_ms: int
    last_ms: int
    event_ids: tuple[str, ...]


@dataclass(frozen=True)
class CloudTruth:
    """Who did what. Nothing of it stands in the records."""

    assets: tuple[CloudAsset, ...]
    steps: tuple[TruthStep, ...] = ()
    principals: frozenset[str] = frozenset()
    """As readers name them. An insider's and a stolen key's principals do honest work too."""
    credentials: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    event_ids: frozenset[str] = frozenset()
    stolen_assets: frozenset[str] = frozenset()
    bytes_taken: dict[str, int] = field(default_factory=dict)
    """By intrusion: what left, as the records count it; copies inside of AWS count no bytes there."""
    unlogged: int = 0
    """Calls of intruders that were made while the trail did not write them."""
    roles: dict[str, str] = field(default_factory=dict)
    """What each principal of the organisation is: `engineer`, `training`, …"""

    @property
    def techniques(self) -> frozenset[str]:
        """All that were used."""
        return frozenset(step.technique for step in self.steps)

"""What people, machines and intruders have in common: who a sitting is, reading and copying an asset, looking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from random import Random
from typing import NamedTuple

from strongroom.simulate import _cloud_actions as act
from strongroom.simulate._cloud_badges import key_id, role_badge, saml_badge, service_badge, user_badge, written_date
from strongroom.simulate._cloud_habits import HOUR_MS, Hand
from strongroom.simulate._cloud_organization import Organization, Person, Role
from strongroom.simulate._cloud_plan import CloudAsset
from strongroom.simulate._cloud_records import Action, Badge, Call, Origin, Release

Event = Call | Release
INTERNAL = Origin("AWS Internal", "AWS Internal")
SSO_PATH = "/aws-reserved/sso.amazonaws.com/"
SESSION_HOURS = 8
DECRYPT_SHARE = 0.12
"""Of reads that need a new data key: bucket keys spare the others."""
MAY = {
    "engineer": frozenset({"iam", "organizations", "cloudtrail"}),
    "hire": frozenset({"iam", "organizations", "cloudtrail"}),
    "console": frozenset({"iam", "kms"}),
    "serving": frozenset({"iam", "organizations", "cloudtrail", "rds", "lambda"}),
}
"""By role: the services that it may not use."""
_PERSON_ROLES = {"administrator": "admin", "engineer": "engineer", "hire": "engineer", "on_call": "operator",
                 "auditor": "auditor", "console": "viewer", "contractor": "migration"}  # fmt: skip


class Episode(NamedTuple):
    """Something that begins at a time (milliseconds since 1970) and yields events from then on, in time order."""

    start_ms: int
    events: Iterator[Event]


def person_hand(org: Organization, person: Person, start_ms: int, origin: Origin, rng: Random, badge: Badge) -> Hand:
    """A sitting with the person's own pace and rates of failure."""
    habits = person.habits
    return Hand(
        rng, start_ms, badge, origin, org.home, habits.pace_s, habits.pace_spread, habits.denied, habits.throttled,
        MAY.get(person.role, frozenset()),
    )  # fmt: skip


def user_of(org: Organization, person: Person, time_ms: float) -> Badge:
    """The person with the lasting key of that time."""
    return user_badge(org.account, person.name, person.user_id, person.key_at(time_ms))


def signed_in(org: Organization, person: Person, day: int, first_ms: int, time_ms: int) -> Badge:
    """The person's session of a role: one for each `SESSION_HOURS` after the day's first sitting."""
    number = (time_ms - first_ms) // (SESSION_HOURS * HOUR_MS)
    rng = org.rng("session", person.name, day, number)
    role = org.roles[_PERSON_ROLES[person.role]]
    began = first_ms + number * SESSION_HOURS * HOUR_MS if number else first_ms
    return role_badge(
        org.account, role.name, role.id, f"{person.name}@acme.example", key_id(rng, "ASIA"), began, mfa=True,
        path=SSO_PATH,
    )  # fmt: skip


def assume(hand: Hand, org: Organization, role: str, session: str, badge: Badge, action: Action) -> Iterator[Call]:
    """The call that gives `badge` to whoever holds `hand` now; afterwards the hand has it."""
    args = assumed_args(org.roles[role], org.role_arn(role), session, badge, hand.now_ms)
    yield from hand.do(action, **args)
    hand.badge = badge


def assumed_args(role: Role, arn: str, session: str, badge: Badge, now_ms: float) -> dict[str, str | int]:
    """What AssumeRole asks for and answers."""
    return {
        "role": arn, "role_id": role.id, "role_name": role.name, "session": session, "new_key": badge.credential,
        "seconds": 3600, "expires": written_date(int(now_ms) + HOUR_MS),
    }  # fmt: skip


def begin(hand: Hand, org: Organization, person: Person, day: int, first_ms: int) -> Iterator[Call]:
    """Signs in as the person does: with a lasting key, by the company's sign-in, or from the key into a role."""
    start = int(hand.now_ms)
    if person.access_key and person.role != "administrator":
        hand.badge = user_of(org, person, start)
        if hand.rng.random() < 0.3:
            yield from hand.do(act.GET_CALLER_IDENTITY)
        return
    badge = signed_in(org, person, day, first_ms, start)
    fresh = start == first_ms or (start - first_ms) % (SESSION_HOURS * HOUR_MS) < 2 * HOUR_MS
    if person.access_key:
        hand.badge = user_of(org, person, start)
        yield from assume(hand, org, "admin", f"{person.name}@acme.example", badge, act.ASSUME_ROLE)
    elif fresh:
        hand.badge = saml_badge(person.name)
        role = _PERSON_ROLES[person.role]
        yield from assume(hand, org, role, f"{person.name}@acme.example", badge, act.ASSUME_ROLE_SAML)
    hand.badge = badge


@lru_cache(maxsize=4096)
def internal(badge: Badge) -> Badge:
    """AWS acting on a caller's behalf."""
    identity = badge.identity[:-1] + ',"invokedBy":"AWS Internal"}'
    principal = badge.principal if badge.arn else "AWS Internal"
    return Badge(identity, principal, badge.kind, badge.arn, badge.credential, badge.session)


def data_key(hand: Hand, asset: CloudAsset, key: str, action: Action = act.DECRYPT) -> Call:
    """S3 asks for the data key of an object on the caller's behalf."""
    args = {**hand.defaults, "bucket": asset.bucket, "key": key, "kms": asset.key_arn}
    return Call(int(hand.now_ms), internal(hand.badge), INTERNAL, action, args, hand.rng.getrandbits(128))


def release(hand: Hand, asset: CloudAsset) -> Iterator[Event]:
    """A sealed asset is opened: its key is released before it is read."""
    if asset.sealed:
        yield Release(int(hand.now_ms), hand.badge.principal, asset.name)
        hand.wait(1 + hand.rng.random())


def read(
    hand: Hand, asset: CloudAsset, shards: Iterable[tuple[str, int]], rate: float, gap_s: float = 0.05
) -> Iterator[Event]:
    """Objects of an asset, in the tool's parts, at `rate` bytes per second."""
    part, pace, denied = hand.origin.part_bytes, hand.pace_s, hand.denied
    hand.pace_s, hand.denied = gap_s, 0.0  # who may read the first object of a place may read them all
    args = {"bucket": asset.bucket, "key": "", "bytes": 0}
    for key, size in shards:
        if hand.rng.random() < DECRYPT_SHARE:
            yield data_key(hand, asset, key)
        args["key"], left = key, size
        while left > 0:
            args["bytes"] = min(part, left)
            yield from hand.do(act.GET_OBJECT, **args)
            hand.wait(min(part, left) / rate)
            left -= part
    hand.pace_s, hand.denied = pace, denied


def list_asset(hand: Hand, asset: CloudAsset) -> Iterator[Call]:
    """The listing of an asset's objects, 1,000 at a time."""
    for _ in range(len(asset.shards) // 1000 + 1):
        yield from hand.do(act.LIST_OBJECTS, bucket=asset.bucket, prefix=asset.prefix, bytes=2_000)


def copy(
    hand: Hand, asset: CloudAsset, bucket: str, prefix: str, per_hour: float, owner: str | None = None
) -> Iterator[Call]:
    """Every object of an asset to another bucket, within AWS: no bytes leave. `owner` is the bucket's account."""
    pace, hand.pace_s = hand.pace_s, 3600 / per_hour
    for key, _ in asset.shards:
        target = f"{prefix}{key.rsplit('/', 1)[-1]}"
        args = {"bucket": bucket, "key": target, "source": f"{asset.bucket}/{key}", "bytes": 234}
        yield from hand.do(act.COPY_OBJECT, **args, owner=owner or hand.defaults["account"])
    hand.pace_s = pace


def look(hand: Hand, actions: Iterable[Action]) -> Iterator[Call]:
    """Calls that only look, each once."""
    for action in actions:
        yield from hand.do(action)


def look_at_buckets(hand: Hand, buckets: Iterable[str]) -> Iterator[Call]:
    """Policies, lists and settings of buckets."""
    for bucket in buckets:
        for action in hand.rng.sample(act.BUCKET_READS, hand.rng.randint(2, 6)):
            yield from hand.do(action, bucket=bucket)


def in_vpc(org: Organization, number: int, agent: str, part_bytes: int) -> Origin:
    """A machine of the organisation, through the VPC endpoint."""
    address = org.addresses[number % len(org.addresses)]
    return Origin(address, agent, ("TLSv1.3", "TLS_AES_128_GCM_SHA256"), org.endpoint, part_bytes)


def service_hand(org: Organization, service: str, start_ms: float, rng: Random) -> Hand:
    """AWS acting by itself."""
    name = f"{service}.amazonaws.com"
    return Hand(rng, start_ms, service_badge(name), Origin(name, name), org.home, 0.5, 0.5, 0.0, 0.0)

"""The intrusions: what an intruder calls, as public reports describe it, with hands like everybody's.

Times, pace and places of an intruder are drawn from `_cloud_habits`, as those of honest people are. Nothing here knows
a detector. What is called, and in which order, is from the public descriptions that docs/simulation-cloud.md names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, cast

from strongroom.simulate import _cloud_actions as act
from strongroom.simulate._cloud_badges import account_badge, hexadecimal, key_id, role_badge
from strongroom.simulate._cloud_habits import (
    DAY_MS,
    HOUR_MS,
    MEBIBYTE,
    WHOLE,
    Habits,
    Hand,
    at,
    draw_habits,
    place_of,
    sitting_starts,
)
from strongroom.simulate._cloud_machines import instance_badge
from strongroom.simulate._cloud_organization import Organization, Person
from strongroom.simulate._cloud_plan import (
    BucketOpened,
    CheckpointCopied,
    CloudAsset,
    DecryptBurst,
    Insider,
    InstanceCredentials,
    Intrusion,
    SnapshotShared,
    StolenKey,
    TrailStopped,
    UnreleasedReads,
)
from strongroom.simulate._cloud_records import Action, Badge, Call
from strongroom.simulate._cloud_scene import (
    MAY,
    Event,
    assume,
    copy,
    in_vpc,
    list_asset,
    look,
    look_at_buckets,
    person_hand,
    read,
    release,
    service_hand,
    user_of,
)

VALID_ACCOUNT, INSTANCE_SECRET = "T1078.004", "T1552.005"
DISCOVER_CLOUD, DISCOVER_STORAGE, DISCOVER_RIGHTS = "T1580", "T1619", "T1069.003"
ADD_CREDENTIALS, IMPAIR_LOG, FROM_STORAGE, TO_ACCOUNT = "T1098.001", "T1562.008", "T1530", "T1537"
SNAPSHOT, STEAL_MODEL = "T1578.001", "AML.T0025"


class _Intruder:
    """One intrusion's own habits, and the hands made with them."""

    def __init__(self, org: Organization, intrusion: Intrusion, number: int) -> None:
        self.name = f"intrusion{number}/{type(intrusion).__name__}"
        self.org, self.rng = org, org.rng(self.name)
        self.habits: Habits = draw_habits(org.plan.seed, self.name, org.plan.days)
        self.start_ms = org.plan.start_ms + int(intrusion.begin_day * DAY_MS)
        self.tool = self.rng.choice(self.habits.tools)

    def asset(self, intrusion: Intrusion, *, sealed: bool = False) -> CloudAsset:
        """What it is about: of the models, a dear one. Raises KeyError for a name that there is not."""
        if intrusion.asset:
            return self.org.asset(intrusion.asset)
        models = [model for model in self.org.models if model.sealed] if sealed else list(self.org.models)
        return self.rng.choice(sorted(models, key=lambda model: model.size)[len(models) // 3 :])

    def hand(self, badge: Badge, role: str, *, network: int = 0, start_ms: float | None = None) -> Hand:
        """A hand in one of the intruder's networks, with the rights of a role of `MAY`."""
        plan = self.org.plan
        place = draw_habits(plan.seed, f"{self.name}/{network}", plan.days) if network else self.habits
        begin_ms, origin = self.start_ms if start_ms is None else start_ms, at(self.tool, place.home[0])
        return Hand(
            self.rng, begin_ms, badge, origin, self.org.home,
            self.habits.pace_s, self.habits.pace_spread, self.habits.denied, self.habits.throttled,
            MAY.get(role, frozenset()),
        )  # fmt: skip

    def administrator(self) -> Badge:
        """Whose credential is used where an administrator's rights are needed: one with a lasting key, if there is."""
        people = [person for person in self.org.people if person.role == "administrator"]
        person = next((each for each in people if each.access_key), people[0])
        if person.access_key:
            return user_of(self.org, person, self.start_ms)
        role = self.org.roles["admin"]
        session = f"{person.name}@acme.example"
        return role_badge(
            self.org.account, role.name, role.id, session, key_id(self.rng, "ASIA"), self.start_ms, mfa=True
        )


def _engineer(org: Organization, rng: Random) -> Person:
    """An engineer with a lasting key, if there is one."""
    people = [person for person in org.people if person.role == "engineer"]
    return rng.choice([person for person in people if person.access_key] or people)


def _marked(technique: str, events: Iterator[Event]) -> Iterator[Event]:
    """The events, labelled."""
    for event in events:
        yield event._replace(technique=technique) if isinstance(event, Call) else event


def _discover(hand: Hand, org: Organization, calls: int) -> Iterator[Event]:
    """Who am I, what is there, who may what."""
    yield from _marked(VALID_ACCOUNT, hand.do(act.GET_CALLER_IDENTITY))
    left = calls - 1
    yield from _marked(DISCOVER_STORAGE, hand.do(act.LIST_BUCKETS))
    buckets = hand.rng.sample(org.buckets, min(len(org.buckets), max(1, left // 12)))
    yield from _marked(DISCOVER_STORAGE, look_at_buckets(hand, buckets))
    left -= 1 + 4 * len(buckets)
    rights = hand.rng.choices(act.IAM_READS[:8], k=max(2, left // 3))
    yield from _marked(DISCOVER_RIGHTS, look(hand, rights))
    cloud = hand.rng.choices((*act.EC2_READS, *act.OTHER_READS), k=max(2, left - len(rights)))
    yield from _marked(DISCOVER_CLOUD, look(hand, cloud))


def _stolen_key(org: Organization, asked: Intrusion, number: int) -> Iterator[Event]:
    intrusion = cast(StolenKey, asked)
    who = _Intruder(org, asked, number)
    asset, person = who.asset(asked), _engineer(org, who.rng)
    hand = who.hand(user_of(org, person, who.start_ms), person.role)
    yield from _discover(hand, org, intrusion.discovery)
    if intrusion.persist:
        yield from _marked(ADD_CREDENTIALS, _persist(hand, org))
    hand.wait(intrusion.pause_hours * 3600)
    hand.badge = user_of(org, person, hand.now_ms)
    yield from _marked(DISCOVER_STORAGE, list_asset(hand, asset))
    for turn in range(intrusion.networks):
        share = asset.shards[turn :: intrusion.networks]
        hand.origin = who.hand(hand.badge, person.role, network=turn).origin
        yield from _marked(FROM_STORAGE, read(hand, asset, share, intrusion.bytes_per_hour / 3600))


def _persist(hand: Hand, org: Organization) -> Iterator[Call]:
    """A key for a user whom nobody has used; the engineer's rights happen to allow it."""
    refused, hand.refused = hand.refused, frozenset()
    yield from hand.do(act.LIST_ACCESS_KEYS, user=org.dormant_user)
    yield from hand.do(act.CREATE_ACCESS_KEY, user=org.dormant_user, new_key=key_id(hand.rng, "AKIA"))
    hand.refused = refused


def _insider(org: Organization, asked: Intrusion, number: int) -> Iterator[Event]:
    """A real engineer, in their own sittings and networks; a few shards each day."""
    intrusion = cast(Insider, asked)
    who = _Intruder(org, asked, number)
    person = _engineer(org, who.rng)
    asset, taken = who.asset(asked), 0
    for day in range(int(intrusion.begin_day), org.plan.days):
        starts = sitting_starts(person.habits, org.plan.start_ms, day, who.rng)
        if not starts or taken >= len(asset.shards):
            continue
        place = place_of(person.habits, org.networks, day, who.rng)
        tool = at(person.habits.tools[0], place)
        badge = user_of(org, person, starts[0])
        hand = person_hand(org, person, starts[0], tool, who.rng, badge)
        count = max(1, round(who.rng.gauss(intrusion.shards_per_day, 0.8)))
        yield from release(hand, asset)
        shards = asset.shards[taken : taken + count]
        yield from _marked(STEAL_MODEL, read(hand, asset, shards, 60e6))
        taken += count


def _snapshot_shared(org: Organization, asked: Intrusion, number: int) -> Iterator[Event]:
    intrusion = cast(SnapshotShared, asked)
    who = _Intruder(org, asked, number)
    hand = who.hand(who.administrator(), "administrator")
    yield from _marked(DISCOVER_CLOUD, look(hand, (act.DESCRIBE_VOLUMES, act.DESCRIBE_SNAPSHOTS)))
    for asset in who.rng.sample(org.volumes, min(intrusion.copies, len(org.volumes))):
        id = hexadecimal(who.rng, 16)
        if intrusion.image:
            making = {"instance": who.rng.choice(org.instances), "image": f"ami-0{id}", "note": "copy"}
            yield from _marked(SNAPSHOT, hand.do(act.CREATE_IMAGE, **making))
        else:
            making = {"volume": asset.places[0][4:], "snapshot": f"snap-0{id}", "note": "copy"}
            yield from _marked(SNAPSHOT, hand.do(act.CREATE_SNAPSHOT, **making))
        hand.wait(600)
        action: Action = act.SHARE_IMAGE if intrusion.image else act.SHARE_SNAPSHOT
        share = {"image": f"ami-0{id}", "snapshot": f"snap-0{id}", "other": org.foreign_account}
        yield from _marked(TO_ACCOUNT, hand.do(action, **share))


def _bucket_opened(org: Organization, asked: Intrusion, number: int) -> Iterator[Event]:
    intrusion = cast(BucketOpened, asked)
    who = _Intruder(org, asked, number)
    asset = who.asset(asked)
    hand = who.hand(who.administrator(), "administrator")
    yield from _marked(DISCOVER_STORAGE, look_at_buckets(hand, (asset.bucket,)))
    lifted = hand.do(act.PUT_PUBLIC_ACCESS_BLOCK, bucket=asset.bucket, block="false")
    yield from _marked(TO_ACCOUNT, lifted)
    document = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",'
        f'"Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::{asset.bucket}","arn:aws:s3:::{asset.bucket}/*"]}}]}}'
    )
    yield from _marked(TO_ACCOUNT, hand.do(act.PUT_BUCKET_POLICY, bucket=asset.bucket, document=document))
    yield from _marked(TO_ACCOUNT, hand.do(act.PUT_KEY_POLICY, kms=asset.key_arn, policy="{}"))
    hand.wait(who.rng.uniform(300, 3600))
    for turn in range(intrusion.readers):
        reader = who.hand(
            account_badge(org.foreign_account, key_id(who.rng, "AIDA")), "", network=turn, start_ms=hand.now_ms
        )
        shards = asset.shards[turn :: intrusion.readers]
        yield from _marked(FROM_STORAGE, read(reader, asset, shards, intrusion.bytes_per_hour / 3600))
        hand.now_ms = reader.now_ms


def _checkpoint_copied(org: Organization, asked: Intrusion, number: int) -> Iterator[Event]:
    intrusion = cast(CheckpointCopied, asked)
    who = _Intruder(org, asked, number)
    asset, target = who.asset(asked), f"staging-{hexadecimal(who.rng, 8)}"
    hand = who.hand(who.administrator(), "administrator")
    yield from _marked(DISCOVER_STORAGE, list_asset(hand, asset))
    if not intrusion.replication:
        hand.badge = who.administrator()
        yield from _marked(TO_ACCOUNT, copy(hand, asset, target, "", intrusion.objects_per_hour, org.foreign_account))
        return
    rule = {
        "bucket": asset.bucket, "role": org.role_arn("replication"), "rule": "archive", "prefix": asset.prefix,
        "target": target, "other": org.foreign_account,
    }  # fmt: skip
    yield from _marked(TO_ACCOUNT, hand.do(act.PUT_BUCKET_REPLICATION, **rule))
    hand.wait(300)
    role = org.roles["replication"]
    badge = role_badge(org.account, role.name, role.id, "s3-replication", key_id(who.rng, "ASIA"), int(hand.now_ms))
    service = service_hand(org, "s3", hand.now_ms, who.rng)
    assumed = assume(service, org, "replication", "s3-replication", badge, act.ASSUME_ROLE)
    yield from _marked(TO_ACCOUNT, assumed)
    yield from _marked(TO_ACCOUNT, read(service, asset, asset.shards, 500e6))


def _instance_credentials(org: Organization, asked: Intrusion, number: int) -> Iterator[Event]:
    intrusion = cast(InstanceCredentials, asked)
    who = _Intruder(org, asked, number)
    asset, instance = who.asset(asked), who.rng.randrange(org.plan.serving_instances)
    hand = who.hand(instance_badge(org, instance, who.start_ms), "serving")
    yield from _marked(INSTANCE_SECRET, hand.do(act.GET_CALLER_IDENTITY))
    yield from _discover(hand, org, intrusion.discovery)
    yield from _marked(DISCOVER_STORAGE, list_asset(hand, asset))
    for shard in asset.shards:
        hand.badge = instance_badge(org, instance, hand.now_ms)
        yield from _marked(FROM_STORAGE, read(hand, asset, [shard], intrusion.bytes_per_hour / 3600))


def _trail_stopped(org: Organization, asked: Intrusion, number: int) -> Iterator[Event]:
    intrusion = cast(TrailStopped, asked)
    who = _Intruder(org, asked, number)
    hand = who.hand(who.administrator(), "administrator")
    hand.denied = hand.throttled = 0.0
    looks = (act.OTHER_READS[7], act.OTHER_READS[9])
    yield from _marked(DISCOVER_CLOUD, look(hand, looks))
    for on in (False, True):
        change: dict[str, Any] = {"trail": org.trail}
        action = act.START_LOGGING if on else act.STOP_LOGGING
        if intrusion.selectors:
            action = act.PUT_EVENT_SELECTORS
            kept = '[{"type":"AWS::S3::Object","values":["arn:aws:s3"]}]' if on else "[]"
            change |= {"which": "All", "resources": kept}
        yield from _marked(IMPAIR_LOG, hand.do(action, **change))
        hand.now_ms = max(hand.now_ms, who.start_ms + intrusion.hours * HOUR_MS)


def _decrypt_burst(org: Organization, asked: Intrusion, number: int) -> Iterator[Event]:
    intrusion = cast(DecryptBurst, asked)
    who = _Intruder(org, asked, number)
    asset, person = who.asset(asked), _engineer(org, who.rng)
    hand = who.hand(user_of(org, person, who.start_ms), person.role)
    hand.pace_s = 60 / intrusion.calls_per_minute
    for turn in range(intrusion.calls):
        key = asset.shards[turn % len(asset.shards)][0]
        call = hand.do(act.DECRYPT_BLOB, kms=asset.key_arn, context=key)
        yield from _marked(FROM_STORAGE, call)


def _unreleased_reads(org: Organization, asked: Intrusion, number: int) -> Iterator[Event]:
    """From within the VPC, as a training job would, but without a release of the key."""
    intrusion = cast(UnreleasedReads, asked)
    who = _Intruder(org, asked, number)
    asset, role = who.asset(asked, sealed=True), org.roles["training"]
    session = f"SageMaker-{hexadecimal(who.rng, 8)}"
    badge = role_badge(org.account, role.name, role.id, session, key_id(who.rng, "ASIA"), who.start_ms)
    hand = who.hand(badge, "training")
    hand.origin = in_vpc(org, len(org.instances) - 1, who.tool.agent, who.rng.choice((256 * MEBIBYTE, WHOLE)))
    yield from _marked(DISCOVER_STORAGE, list_asset(hand, asset))
    yield from _marked(STEAL_MODEL, read(hand, asset, asset.shards, intrusion.bytes_per_hour / 3600))


_WAYS: dict[type[Intrusion], Callable[[Organization, Intrusion, int], Iterator[Event]]] = {
    StolenKey: _stolen_key,
    Insider: _insider,
    SnapshotShared: _snapshot_shared,
    BucketOpened: _bucket_opened,
    CheckpointCopied: _checkpoint_copied,
    InstanceCredentials: _instance_credentials,
    TrailStopped: _trail_stopped,
    DecryptBurst: _decrypt_burst,
    UnreleasedReads: _unreleased_reads,
}


def intrude(org: Organization, number: int) -> list[Event]:
    """All events of one of the plan's intrusions, in time order: calls with a technique, and releases."""
    intrusion = org.plan.intrusions[number]
    return sorted(_WAYS[type(intrusion)](org, intrusion, number), key=lambda event: event.time_ms)

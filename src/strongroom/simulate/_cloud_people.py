"""What people do in a sitting, by their work. Each activity looks, for honest reasons, like something an intruder does.

Every activity is a generator that takes the sitting's hand; who does how much of which is in `_WORK`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from strongroom.simulate import _cloud_actions as act
from strongroom.simulate._cloud_badges import hexadecimal, key_id, role_badge, user_badge
from strongroom.simulate._cloud_habits import DAY_MS, HOUR_MS, WHOLE, Hand, at, place_of, sitting_starts
from strongroom.simulate._cloud_organization import Organization, Person
from strongroom.simulate._cloud_records import Action, Badge, Call
from strongroom.simulate._cloud_scene import (
    Episode,
    Event,
    begin,
    copy,
    in_vpc,
    list_asset,
    look,
    look_at_buckets,
    person_hand,
    read,
    release,
    signed_in,
    user_of,
)

Activity = Callable[[Hand, Organization, Person], Iterator[Event]]
MEGABYTE = 10**6
_CONSOLE_SHARE = 0.2
_NOBODY = Badge("{}", "", "")


def person_day(org: Organization, person: Person, day: int) -> Iterator[Episode]:
    """The sittings of one person that begin on a day of theirs."""
    if day < person.first_day:
        return
    rng = org.rng("day", person.name, day)
    starts = sitting_starts(person.habits, org.plan.start_ms, day, rng)
    for start in starts:
        yield Episode(start, _sitting(org, person, day, starts[0], start))
    if person.role == "on_call" and rng.random() < 0.3:
        night = org.plan.start_ms + day * DAY_MS + int((rng.uniform(0.5, 5.5) - person.habits.zone) * HOUR_MS)
        yield Episode(night, _called_at_night(org, person, day, night))
    if person.role == "hire" and day == person.first_day:
        yield Episode(org.plan.start_ms + day * DAY_MS, _onboarding(org, person, org.plan.start_ms + day * DAY_MS))
    if 0 <= person.rotates_ms - org.plan.start_ms - day * DAY_MS < DAY_MS:
        yield Episode(person.rotates_ms, _rotation(org, person, day))


def _sitting(org: Organization, person: Person, day: int, first_ms: int, start_ms: int) -> Iterator[Event]:
    rng = org.rng("sitting", person.name, start_ms)
    habits = person.habits
    console = person.role == "console" or rng.random() < _CONSOLE_SHARE
    tool = habits.browser if console else rng.choice(habits.tools)
    origin = at(tool, place_of(habits, org.networks, day, rng))
    hand = person_hand(org, person, start_ms, origin, rng, _NOBODY)
    if console and (person.role == "console" or person.access_key):
        yield from console_login(hand, org, person)
    else:
        yield from begin(hand, org, person, day, first_ms)
    activities, weights = zip(*_WORK[person.role], strict=True)
    for activity in rng.choices(activities, weights, k=rng.choice((1, 1, 2, 3))):
        yield from activity(hand, org, person)
        hand.wait(rng.expovariate(1 / 300))


def console_login(hand: Hand, org: Organization, person: Person) -> Iterator[Call]:
    """The password, sometimes mistyped first; afterwards the hand has a session of the console."""
    hand.badge = user_badge(org.account, person.name, person.user_id, "")
    while hand.rng.random() < person.habits.mistyped:
        yield hand.now(act.WRONG_PASSWORD, region="us-east-1")
        hand.wait(hand.rng.uniform(4, 30))
    yield hand.now(act.CONSOLE_LOGIN, region="us-east-1")
    hand.wait(2)
    key = key_id(hand.rng, "ASIA")
    hand.badge = user_badge(org.account, person.name, person.user_id, key, created_ms=int(hand.now_ms), mfa=True)


def _look(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    if hand.rng.random() < 0.3:
        yield from hand.do(act.GET_CALLER_IDENTITY)
    yield from look(hand, hand.rng.choices((*act.LOOKS * 20, *act.ALL_READS), k=hand.rng.randint(2, 12)))


def _browse(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    asset = hand.rng.choice(org.datasets)
    yield from list_asset(hand, asset)
    for key, size in hand.rng.sample(asset.shards, hand.rng.randint(1, 8)):
        yield from hand.do(act.HEAD_OBJECT, bucket=asset.bucket, key=key, bytes=0)
        yield from read(hand, asset, [(key, size)], 20 * MEGABYTE)


def _notebook(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    """The person opens a notebook, and its role reads."""
    name = f"nb-{person.name.replace('.', '-')}"
    yield from hand.do(act.NOTEBOOK_URL, notebook=name)
    role, rng = org.roles["notebook"], hand.rng
    badge = role_badge(org.account, role.name, role.id, name, key_id(rng, "ASIA"), int(hand.now_ms))
    agent = "Boto3/1.35.9 md/Botocore#1.35.9 ua/2.0 os/linux#5.10.227 md/arch#x86_64 lang/python#3.10.14"
    own = replace(hand, badge=badge, origin=in_vpc(org, sum(map(ord, name)), agent, WHOLE))
    asset = rng.choice(org.datasets)
    yield from list_asset(own, asset)
    yield from read(own, asset, rng.sample(asset.shards, rng.randint(4, 40)), 300 * MEGABYTE, 4.0)
    hand.now_ms = own.now_ms


def _submit(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    job = f"{person.name.split('.')[0]}-sft-{hexadecimal(hand.rng, 6)}"
    count = hand.rng.choice((1, 2, 4, 8))
    yield from hand.do(act.CREATE_TRAINING_JOB, job=job, role=org.role_arn("training"), count=count)
    for _ in range(hand.rng.randint(2, 10)):
        hand.wait(60)
        yield from hand.do(act.DESCRIBE_TRAINING_JOB, job=job)


def _sample_weights(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    """A few shards of the model that the person works on."""
    asset = org.models[sum(map(ord, person.name)) % len(org.models)]
    yield from release(hand, asset)
    yield from list_asset(hand, asset)
    few = hand.rng.sample(asset.shards, min(hand.rng.randint(1, 5), len(asset.shards)))
    yield from read(hand, asset, few, 80 * MEGABYTE)


def _pull_model(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    """A whole model, small ones to where the person is, larger ones to the rented machine room."""
    asset = hand.rng.choice(org.models)
    before = hand.origin
    if asset.size > 70e9:
        hand.origin = at(hand.rng.choice(person.habits.tools), hand.rng.choice(org.networks.cluster))
    yield from release(hand, asset)
    yield from list_asset(hand, asset)
    yield from read(hand, asset, asset.shards, hand.rng.uniform(20, 400) * MEGABYTE)
    hand.origin = before


def _fork_checkpoint(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    """A model copied beside the checkpoints, to train on from there."""
    asset = hand.rng.choice(org.models)
    yield from list_asset(hand, asset)
    yield from copy(hand, asset, org.bucket("checkpoints"), f"{person.name}/base/", hand.rng.uniform(200, 4000))


def _push_image(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    yield from hand.do(act.ECR_TOKEN)
    for action in (*act.ECR_PULL, *act.ECR_PUSH):
        yield from hand.do(action, repository=hand.rng.choice(("serving", "training", "evaluation")))


def _rotation(org: Organization, person: Person, day: int) -> Iterator[Event]:
    """A lasting key is replaced by its owner."""
    rng = org.rng("rotation", person.name)
    origin = at(person.habits.tools[0], place_of(person.habits, org.networks, day, rng))
    badge = user_badge(org.account, person.name, person.user_id, person.next_key)
    old = user_badge(org.account, person.name, person.user_id, person.access_key)
    hand = person_hand(org, person, person.rotates_ms, origin, rng, old)
    hand.refused = frozenset()
    yield from hand.do(act.LIST_ACCESS_KEYS, user=person.name)
    yield from hand.do(act.CREATE_ACCESS_KEY, user=person.name, new_key=person.next_key)
    hand.badge = badge
    yield from hand.do(act.GET_CALLER_IDENTITY)
    yield from hand.do(act.UPDATE_ACCESS_KEY, user=person.name, old_key=person.access_key)


def _onboarding(org: Organization, person: Person, start_ms: int) -> Iterator[Event]:
    """An administrator makes the user of somebody new."""
    admin, rng = org.person("administrator"), org.rng("onboarding", person.name)
    badge = user_of(org, admin, start_ms) if admin.access_key else signed_in(org, admin, -1, start_ms, start_ms)
    hand = person_hand(org, admin, start_ms, at(admin.habits.tools[0], org.networks.office[0]), rng, badge)
    yield from hand.do(act.CREATE_USER, user=person.name)
    yield from hand.do(act.ADD_USER_TO_GROUP, user=person.name, group="engineers")
    yield from hand.do(act.CREATE_LOGIN_PROFILE, user=person.name)
    yield from hand.do(act.CREATE_ACCESS_KEY, user=person.name, new_key=person.access_key)


def _called_at_night(org: Organization, person: Person, day: int, start_ms: int) -> Iterator[Event]:
    """An alarm: from home or elsewhere, quick, and with rights that are not needed by day."""
    rng = org.rng("night", person.name, start_ms)
    origin = at(person.habits.browser, place_of(person.habits, org.networks, day, rng))
    hand = person_hand(org, person, start_ms, origin, rng, _NOBODY)
    yield from begin(hand, org, person, day, start_ms)
    yield from _operate(hand, org, person)
    if rng.random() < 0.4:
        asset = rng.choice(org.models)
        yield from release(hand, asset)
        yield from read(hand, asset, asset.shards[:2], 100 * MEGABYTE)


def _operate(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    instance = hand.rng.choice(org.instances)
    yield from look(hand, (act.DESCRIBE_INSTANCES, act.OTHER_READS[2], *act.OTHER_READS[15:17] * 2))
    yield from hand.do(act.SESSION_START, instance=instance)
    if hand.rng.random() < 0.5:
        yield from hand.do(act.REBOOT, instance=instance)
    yield from hand.do(act.UPDATE_ENDPOINT, served=f"chat-{hand.rng.randint(1, 3)}")
    if hand.rng.random() < 0.3:
        yield from hand.do(act.GET_SECRET, secret="serving/registry-token")  # noqa: S106


def _plan_infrastructure(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    """Terraform reads everything before it changes anything."""
    pace, hand.pace_s = hand.pace_s, 0.15
    yield from look(hand, (act.GET_CALLER_IDENTITY, *act.ALL_READS))
    yield from look_at_buckets(hand, org.buckets)
    hand.pace_s = pace


def _apply_infrastructure(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    rng = hand.rng
    group = f"sg-0{hexadecimal(rng, 16)}"
    changes: list[tuple[Action, dict[str, object]]] = [
        (act.OPEN_PORT, {"group": group, "port": rng.choice((443, 22, 8443)), "cidr": f"{org.networks.office[0]}/32"}),
        (act.CLOSE_PORT, {"group": group}),
        (act.PUT_ROLE_POLICY, {"role_name": rng.choice(list(org.roles.values())).name, "policy": "%7B%7D"}),
        (act.PUT_BUCKET_POLICY, {"bucket": rng.choice(org.buckets), "document": own_policy(org)}),
        (act.PUT_PUBLIC_ACCESS_BLOCK, {"bucket": org.bucket("exports"), "block": rng.choice(("true", "false"))}),
        (act.PUT_LIFECYCLE, {"bucket": org.bucket("checkpoints")}),
        (act.PUT_KEY_POLICY, {"kms": rng.choice(org.models).key_arn, "policy": "{}"}),
        (act.RUN_INSTANCES, {"type": "g6e.12xlarge"}),
        (act.PUT_BUCKET_REPLICATION, _own_replication(org, rng.choice(org.datasets).bucket)),
        (act.CREATE_ROLE, {"role_name": f"Job{hexadecimal(rng, 4)}", "policy": "%7B%7D"}),
    ]
    for action, args in rng.sample(changes, rng.randint(1, 4)):
        yield from hand.do(action, **args)


def _own_replication(org: Organization, bucket: str) -> dict[str, object]:
    return {
        "bucket": bucket, "role": org.role_arn("replication"), "rule": "to-second-region", "prefix": "",
        "target": f"{bucket}-replica", "other": org.backup_account,
    }  # fmt: skip


def own_policy(org: Organization) -> str:
    """A bucket policy that lets the backup account read."""
    return (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::'
        f'{org.backup_account}:root"}},"Action":"s3:GetObject","Resource":"*"}}]}}'
    )


def _manage_users(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    """A key for somebody, or a user who is new."""
    other = hand.rng.choice(org.people)
    user, old = other.name, other.access_key or key_id(hand.rng, "AKIA")
    if hand.rng.random() < 0.3:
        user = f"svc-{hand.rng.choice(('eval', 'sync', 'dashboards', 'labeling'))}-{hand.rng.randint(1, 9)}"
        yield from hand.do(act.CREATE_USER, user=user)
        yield from hand.do(act.ATTACH_USER_POLICY, user=user, policy="arn:aws:iam::aws:policy/ReadOnlyAccess")
        yield from hand.do(act.CREATE_ACCESS_KEY, user=user, new_key=key_id(hand.rng, "AKIA"))
        return
    yield from look(hand, (act.LIST_USERS,))
    yield from hand.do(act.LIST_ACCESS_KEYS, user=user)
    if hand.rng.random() < 0.5:
        yield from hand.do(act.CREATE_ACCESS_KEY, user=user, new_key=key_id(hand.rng, "AKIA"))
    else:
        yield from hand.do(act.DELETE_ACCESS_KEY, user=user, old_key=old)


def _mend_trail(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    """A team's own trail is stopped for a moment, changed, and started; the organisation's stays."""
    for action in (act.STOP_LOGGING, act.UPDATE_TRAIL):
        yield from hand.do(action, trail=org.other_trail)
    resources = '[{"type":"AWS::S3::Object","values":["arn:aws:s3"]}]'
    yield from hand.do(act.PUT_EVENT_SELECTORS, trail=org.other_trail, which="WriteOnly", resources=resources)
    yield from hand.do(act.START_LOGGING, trail=org.other_trail)


def _share_image(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    """A base image for a partner company, which is outside of the organisation too."""
    image = f"ami-0{hexadecimal(hand.rng, 16)}"
    yield from hand.do(act.CREATE_IMAGE, instance=hand.rng.choice(org.instances), image=image, note="base")
    yield from hand.do(act.SHARE_IMAGE, image=image, other=org.partner_account)


def _audit(hand: Hand, org: Organization, person: Person) -> Iterator[Event]:
    """A review of permissions: everything is looked at, by somebody who seldom comes."""
    yield from look(hand, hand.rng.sample(act.IAM_READS, 7))
    yield from look_at_buckets(hand, hand.rng.sample(org.buckets, 4))
    for asset in hand.rng.sample(org.models, min(3, len(org.models))):
        yield from hand.do(act.DESCRIBE_KEY, kms=asset.key_arn)
    yield from look(hand, hand.rng.sample(act.OTHER_READS, 8))


_ENGINEER: tuple[tuple[Activity, float], ...] = (
    (_look, 8), (_browse, 8), (_notebook, 5), (_submit, 4), (_sample_weights, 5), (_pull_model, 0.5),
    (_fork_checkpoint, 0.5), (_push_image, 1),
)  # fmt: skip
_WORK: dict[str, tuple[tuple[Activity, float], ...]] = {
    "engineer": _ENGINEER,
    "hire": _ENGINEER,
    "administrator": (
        (_look, 6), (_plan_infrastructure, 3), (_apply_infrastructure, 4), (_manage_users, 2), (_mend_trail, 0.3),
        (_share_image, 0.3), (_operate, 1),
    ),
    "on_call": ((_look, 5), (_operate, 3), (_sample_weights, 1)),
    "auditor": ((_audit, 3), (_look, 1)),
    "console": ((_look, 1),),
    "contractor": ((_look, 1), (_browse, 2)),
}  # fmt: skip

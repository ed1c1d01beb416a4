"""What machines do: training, serving, builds, backups, scanners, and AWS by itself; a migration by a contractor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from strongroom.simulate import _cloud_actions as act
from strongroom.simulate._cloud_badges import hexadecimal, key_id, role_badge, service_badge, workflow_badge
from strongroom.simulate._cloud_habits import DAY_MS, HOUR_MS, MEBIBYTE, WHOLE, Hand, at, draw_tool
from strongroom.simulate._cloud_organization import Organization
from strongroom.simulate._cloud_plan import CloudAsset
from strongroom.simulate._cloud_records import Action, Badge, Call, Origin
from strongroom.simulate._cloud_scene import (
    INTERNAL,
    Episode,
    Event,
    assume,
    copy,
    data_key,
    in_vpc,
    list_asset,
    look,
    look_at_buckets,
    read,
    release,
    service_hand,
)

GIGABYTE = 10**9
_TRAINER = "Boto3/1.{}.9 md/Botocore#1.{}.9 ua/2.0 os/linux#5.10.226 md/arch#x86_64 lang/python#3.11.10"
_SERVER = "aws-sdk-cpp/1.11.{} ua/2.1 os/Linux#6.1.112 md/aws-crt#0.28.2 md/arch#x86_64 lang/C++#C++17"
_RUNNER = "aws-cli/2.19.1 md/awscrt#0.22.0 ua/2.0 os/linux#6.5.0-1025-azure md/arch#x86_64 lang/python#3.12.6"
_SCANNER = "Boto3/1.35.36 md/Botocore#1.35.36 ua/2.0 os/linux#4.14.355 md/arch#x86_64 lang/python#3.12.7 prowler/5.0"
# Of the records that machines write, by kind; the rest is what backups and scanners need.
SHARES = {"training": 0.58, "serving": 0.22, "builds": 0.05, "services": 0.15}
CALLS_PER_JOB, CALLS_PER_BUILD, CALLS_PER_ROUND = 4_000, 26, 9
RECORDS_PER_READ = 1.7
"""What a training job writes for each object of its dataset: keys, checkpoints and its base model with it."""
SCALING_CALLS = 260
"""About what one start of a serving instance writes; the average over the models."""
INSTANCE_SESSION_HOURS = 6


def machine_day(org: Organization, day: int, records: float) -> Iterator[Episode]:
    """All that machines begin on a day, for about that many records."""
    for kind, share in SHARES.items():
        rng = org.rng(kind, day)
        yield from _KINDS[kind](org, day, records * share * rng.lognormvariate(0.0, 0.08), rng)
    yield from _backups(org, day)
    if org.plan.hard_negatives:
        yield from _scans(org, day)
        yield from _migration(org, day)


def _moment(org: Organization, day: int, rng: Random, busy: float = 0.0) -> int:
    """A moment of the day in milliseconds since 1970; with `busy`, more often by European daylight."""
    hour = rng.gauss(13.0, 4.0) % 24 if rng.random() < busy else rng.random() * 24
    return org.plan.start_ms + day * DAY_MS + int(hour * HOUR_MS)


def _machine(org: Organization, start: int, badge: Badge, origin: Origin, rng: Random, pace_s: float) -> Hand:
    return Hand(rng, start, badge, origin, org.home, pace_s, 0.6, denied=0.0004, throttled=0.003)


def _training(org: Organization, day: int, records: float, rng: Random) -> Iterator[Episode]:
    while records > 0:
        calls = max(60, int(min(records, CALLS_PER_JOB * rng.lognormvariate(-0.3, 0.7))))
        start = _moment(org, day, rng, 0.4)
        yield Episode(start, _job(org, start, calls, org.rng("job", start, calls)))
        records -= calls * RECORDS_PER_READ


def _job(org: Organization, start: int, calls: int, rng: Random) -> Iterator[Event]:
    """A training job: its base model, then its dataset again and again, a checkpoint now and then."""
    role, number = org.roles["training"], rng.randrange(org.plan.training_roles)
    session = f"SageMaker-{hexadecimal(rng, 8)}"
    badge = role_badge(org.account, role.name, role.id, session, key_id(rng, "ASIA"), start)
    service = service_hand(org, "sagemaker", start, rng)
    yield from assume(service, org, "training", session, badge, act.ASSUME_ROLE)
    version = 34 + number
    origin = in_vpc(org, len(org.instances) - 1 - number, _TRAINER.format(version, version), WHOLE)
    hand = _machine(org, start + 3000, badge, origin, rng, 0.3)
    if calls > 500 and rng.random() < 0.5:
        base = rng.choice(org.models[:4])
        yield from release(hand, base)
        yield from read(hand, base, base.shards, GIGABYTE)
    asset, done = rng.choice(org.datasets), 0
    yield from list_asset(hand, asset)
    checkpoint, step = org.bucket("checkpoints"), 0
    gap = min(6 * 3600 / calls, 5.0)
    while done < calls:
        shards = rng.sample(asset.shards, min(len(asset.shards), calls - done))
        for shard in shards:
            yield from read(hand, asset, [shard], 2 * GIGABYTE, gap)
            if rng.random() < 0.2:
                yield from _data_keys(hand, asset, shard[0])
            done += 1
        step += 500
        yield from _checkpoint(hand, asset, checkpoint, f"{session}/step-{step:06d}/", rng.randint(4, 24))


def _data_keys(hand: Hand, asset: CloudAsset, key: str) -> Iterator[Call]:
    """The loader opens its own cache: data keys, with no read from S3."""
    for _ in range(hand.rng.randint(1, 3)):
        yield from hand.do(act.DECRYPT_BLOB, kms=asset.key_arn, context=key)


def _checkpoint(hand: Hand, asset: CloudAsset, bucket: str, prefix: str, count: int) -> Iterator[Call]:
    for number in range(count):
        key = f"{prefix}rank-{number:03d}.pt"
        call = data_key(hand, asset, key, act.GENERATE_DATA_KEY)
        yield call._replace(args={**call.args, "bucket": bucket})
        size = hand.rng.randrange(2, 9) * GIGABYTE
        yield from hand.do(act.PUT_OBJECT, bucket=bucket, key=key, bytes=0, bytes_in=size)


def instance_badge(org: Organization, number: int, time_ms: float) -> Badge:
    """The credentials that a serving instance has at that time."""
    index = int(time_ms // (INSTANCE_SESSION_HOURS * HOUR_MS))
    rng, role = org.rng("instance", number, index), org.roles["serving"]
    began = index * INSTANCE_SESSION_HOURS * HOUR_MS
    return role_badge(org.account, role.name, role.id, org.instances[number], key_id(rng, "ASIA"), began)


def _serving(org: Organization, day: int, records: float, rng: Random) -> Iterator[Episode]:
    while records > 0:
        start, number = _moment(org, day, rng, 0.7), rng.randrange(org.plan.serving_instances)
        yield Episode(start, _start_of_instance(org, start, number, org.rng("serve", start, number)))
        records -= SCALING_CALLS
    for number in range(org.plan.serving_instances):
        start = org.plan.start_ms + day * DAY_MS + rng.randrange(DAY_MS // 8)
        yield Episode(start, _heartbeats(org, start, number, org.rng("beat", start, number)))


def _start_of_instance(org: Organization, start: int, number: int, rng: Random) -> Iterator[Event]:
    """An instance comes up: the image, then the weights in full."""
    badge = instance_badge(org, number, start)
    scaling = service_hand(org, "ec2", start, rng)
    yield from assume(scaling, org, "serving", org.instances[number], badge, act.ASSUME_ROLE)
    origin = in_vpc(org, number, _SERVER.format(420 + number % 3), 256 * MEBIBYTE)
    hand = _machine(org, start + 2000, badge, origin, rng, 0.2)
    yield from hand.do(act.ECR_TOKEN)
    for action in act.ECR_PULL * 2:
        yield from hand.do(action, repository="serving")
    asset = org.models[rng.choice((0, 0, 1, 1, 2, 3, 4)) % len(org.models)]
    yield from release(hand, asset)
    yield from list_asset(hand, asset)
    yield from read(hand, asset, asset.shards, 1.2 * GIGABYTE, 0.02)


def _heartbeats(org: Organization, start: int, number: int, rng: Random) -> Iterator[Event]:
    agent = "aws-sdk-go/1.55.5 (go1.22.8; linux; amd64) amazon-ssm-agent/3.3.1611.0"
    hand = _machine(org, start, instance_badge(org, number, start), in_vpc(org, number, agent, WHOLE), rng, 0.0)
    while hand.now_ms < start + DAY_MS * 0.8:
        hand.badge = instance_badge(org, number, hand.now_ms)
        yield from hand.do(act.HEARTBEAT, instance=org.instances[number])
        hand.wait(3600)


def _builds(org: Organization, day: int, records: float, rng: Random) -> Iterator[Episode]:
    for _ in range(max(1, round(records / CALLS_PER_BUILD))):
        start = _moment(org, day, rng, 0.8)
        yield Episode(start, _build(org, start, org.rng("build", start)))


def _build(org: Organization, start: int, rng: Random) -> Iterator[Event]:
    """A workflow: a role by OIDC, an image pushed, an endpoint updated; from one of the build service's machines."""
    role, session = org.roles["ci"], "GitHubActions"
    badge = role_badge(org.account, role.name, role.id, session, key_id(rng, "ASIA"), start)
    origin = Origin(rng.choice(org.runners), _RUNNER, ("TLSv1.3", "TLS_AES_128_GCM_SHA256"), "", WHOLE)
    hand = _machine(org, start, workflow_badge(org.account, "acme/serving"), origin, rng, 1.5)
    yield from assume(hand, org, "ci", session, badge, act.ASSUME_ROLE_WEB)
    yield from look(hand, (act.GET_CALLER_IDENTITY, act.ECR_TOKEN))
    repository = rng.choice(("serving", "training", "evaluation"))
    for action in (*act.ECR_PULL, *act.ECR_PUSH[:2], *[act.ECR_PUSH[2]] * rng.randint(2, 16), *act.ECR_PUSH[3:]):
        yield from hand.do(action, repository=repository)
    if rng.random() < 0.3:
        job = f"ci-smoke-{hexadecimal(rng, 6)}"
        yield from hand.do(act.CREATE_TRAINING_JOB, job=job, role=org.role_arn("training"), count=1)
    yield from hand.do(act.UPDATE_ENDPOINT, served=f"chat-{rng.randint(1, 3)}")


def _services(org: Organization, day: int, records: float, rng: Random) -> Iterator[Episode]:
    for _ in range(max(4, round(records / CALLS_PER_ROUND))):
        start = _moment(org, day, rng)
        yield Episode(start, _service_round(org, start, rng.choice(_ROUNDS), org.rng("round", start)))


def _service_round(org: Organization, start: int, kind: str, rng: Random) -> Iterator[Event]:
    """AWS looks after itself, with roles of its own or none."""
    service = kind.lower()
    hand = service_hand(org, service, start, rng)
    if kind == "CloudTrail":
        for bucket in [org.bucket("logs")] * 9:
            yield from hand.do(act.GET_BUCKET_ACL, bucket=bucket)
        return
    if kind == "KMS":
        hand.badge, hand.origin = service_badge("AWS Internal"), INTERNAL
        yield from hand.do(act.ROTATE_KEY, kms=rng.choice(org.models).key_arn)
        return
    role = org.roles[kind]
    session = f"{kind}-session"
    badge = role_badge(
        org.account, role.name, role.id, session, key_id(rng, "ASIA"), start,
        invoked_by=f"{service}.amazonaws.com", path=role.path,
    )  # fmt: skip
    yield from assume(hand, org, kind, session, badge, act.ASSUME_ROLE)
    actions: tuple[Action, ...] = act.EC2_READS if kind != "Config" else act.ALL_READS
    yield from look(hand, rng.sample(actions, 7))
    yield from look_at_buckets(hand, rng.sample(org.buckets, 1) if kind == "Config" else ())


_ROUNDS = ("CloudTrail", "Config", "Config", "AutoScaling", "AutoScaling", "Inspector2", "SageMakerNotebooks", "KMS")
_KINDS = {"training": _training, "serving": _serving, "builds": _builds, "services": _services}


def _backups(org: Organization, day: int) -> Iterator[Episode]:
    """Each night: a snapshot of each volume, to the second region, and to the organisation's backup account."""
    start = org.plan.start_ms + day * DAY_MS + int(1.5 * HOUR_MS) + org.rng("backup", day).randrange(600_000)
    yield Episode(start, _backup(org, day, start, org.rng("backup", start)))


def _backup(org: Organization, day: int, start: int, rng: Random) -> Iterator[Event]:
    role, second = org.roles["backup"], org.plan.second_region
    badge = role_badge(org.account, role.name, role.id, "nightly", key_id(rng, "ASIA"), start)
    yield from assume(service_hand(org, "lambda", start, rng), org, "backup", "nightly", badge, act.ASSUME_ROLE)
    hand = _machine(org, start + 2000, badge, in_vpc(org, len(org.instances) - 4, _SCANNER[:90], WHOLE), rng, 4.0)
    for asset in org.volumes:
        snapshot, copied, old = (f"snap-0{hexadecimal(rng, 16)}" for _ in range(3))
        volume = asset.places[0].removeprefix("ebs:")
        yield from hand.do(act.CREATE_SNAPSHOT, volume=volume, snapshot=snapshot, note="nightly")
        hand.wait(240)
        copying = {"snapshot": snapshot, "copy": copied, "from_region": org.plan.home_region, "region": second}
        yield from hand.do(act.COPY_SNAPSHOT, **copying)
        hand.wait(120)
        yield from hand.do(act.SHARE_SNAPSHOT, snapshot=copied, other=org.backup_account, region=second)
        yield from hand.do(act.DELETE_SNAPSHOT, snapshot=old)
    if day % 7 == 5:
        image = f"ami-0{hexadecimal(rng, 16)}"
        yield from hand.do(act.CREATE_IMAGE, instance=org.instances[0], image=image, note="weekly")
        yield from hand.do(act.SHARE_IMAGE, image=image, other=org.backup_account)
        asset = org.models[day // 7 % len(org.models)]
        yield from copy(hand, asset, f"{asset.bucket}-replica", asset.prefix, 1500, org.backup_account)


def _scans(org: Organization, day: int) -> Iterator[Episode]:
    """A read-only scanner looks at everything, in three regions, every twelve hours."""
    for number in range(2):
        start = org.plan.start_ms + day * DAY_MS + (number * 12 + 3) * HOUR_MS + org.rng("scan", day).randrange(900_000)
        yield Episode(start, _scan(org, start, org.rng("scan", start)))


def _scan(org: Organization, start: int, rng: Random) -> Iterator[Event]:
    role = org.roles["scanner"]
    badge = role_badge(org.account, role.name, role.id, "botocore-session-1793491200", key_id(rng, "ASIA"), start,
                       made_up=True)  # fmt: skip
    hand = _machine(org, start, badge, in_vpc(org, len(org.instances) - 4, _SCANNER, WHOLE), rng, 0.4)
    yield from look(hand, (act.GET_CALLER_IDENTITY,))
    for region in (org.plan.home_region, org.plan.second_region, "us-east-1"):
        hand.defaults = {**org.home, "region": region}
        yield from look(hand, act.ALL_READS)
    hand.defaults = org.home
    for bucket in org.buckets:
        for action in act.BUCKET_READS:
            yield from hand.do(action, bucket=bucket)
    for person in org.people:
        yield from hand.do(act.LIST_ACCESS_KEYS, user=person.name)


def _migration(org: Organization, day: int) -> Iterator[Episode]:
    """In the second week a contractor copies one dataset to another bucket of the organisation, over two days."""
    first = org.person("contractor").first_day + 1
    if day not in (first, first + 1):
        return
    start = org.plan.start_ms + day * DAY_MS + 9 * HOUR_MS
    yield Episode(start, _migrate(org, start, day == first, org.rng("migration", day)))


def _migrate(org: Organization, start: int, lists: bool, rng: Random) -> Iterator[Event]:
    person, role = org.person("contractor"), org.roles["migration"]
    session = f"{person.name}@partner.example"
    badge = role_badge(org.account, role.name, role.id, session, key_id(rng, "ASIA"), start, mfa=True)
    origin = at(draw_tool(org.rng("migration tool")), person.habits.home[0])
    hand = _machine(org, start, badge, origin, rng, 1.0)
    yield from look(hand, (act.GET_CALLER_IDENTITY, act.LIST_BUCKETS))
    asset = max(org.datasets, key=lambda each: each.size)
    half = len(asset.shards) // 2
    if lists:
        yield from list_asset(hand, asset)
    asset = replace(asset, shards=asset.shards[:half] if lists else asset.shards[half:])
    yield from copy(hand, asset, org.bucket("lake"), f"migrated/{asset.prefix}", rng.uniform(200, 900))

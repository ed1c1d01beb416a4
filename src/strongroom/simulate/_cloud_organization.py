"""The simulated organisation: accounts, people, roles, and the assets that are guarded. Nothing of it is real."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from strongroom.simulate._cloud_badges import hexadecimal, key_id
from strongroom.simulate._cloud_habits import Habits, Networks, draw_habits, draw_networks
from strongroom.simulate._cloud_plan import GIGABYTE, CloudAsset, CloudPlan

ORGANIZATION = "acme"
_FIRST = ("ann", "bela", "chen", "dora", "emil", "fatou", "goran", "hana", "ines", "jo", "kofi", "lena", "mira", "nils",
          "olga", "paul", "quinn", "rosa", "sven", "tara", "uma", "vera", "wen", "xenia", "yara", "zoe")  # fmt: skip
_LAST = ("berg", "costa", "diallo", "evans", "fischer", "garcia", "hansen", "ito", "jensen", "kumar", "lopez", "meyer",
         "novak", "okafor", "petrov", "rossi", "sato", "turner", "vogel", "weber", "yilmaz")  # fmt: skip
_MODELS = ("lyra", "orion", "vega", "draco", "cygnus", "aquila", "pavo", "hydra", "corvus", "lepus")
_BILLIONS = (7, 14, 32, 70, 70, 123, 236, 400)
"""Two bytes a weight: 15 to 800 GB."""
_DATASETS = ("webtext", "code", "dialogues", "math", "books", "preferences", "images", "speech", "papers", "evals",
             "reviews", "forums")  # fmt: skip
SHARD_BYTES = 4_950_000_000


@dataclass(frozen=True)
class Person:
    """Somebody who works there."""

    name: str
    role: str
    """`administrator`, `engineer`, `on_call`, `auditor`, `console`, `hire`, `contractor`."""
    habits: Habits
    user_id: str
    access_key: str
    """A lasting key; empty for those who sign in through the company."""
    next_key: str = ""
    rotates_ms: int = 1 << 62
    """When `next_key` takes the place of `access_key`, in milliseconds since 1970."""
    first_day: int = 0

    def key_at(self, time_ms: float) -> str:
        """The lasting key in use then; empty for those who have none."""
        return self.access_key if time_ms < self.rotates_ms else self.next_key


@dataclass(frozen=True)
class Role:
    """A role that can be assumed."""

    name: str
    id: str
    path: str = "/"


@dataclass(frozen=True)
class Organization:
    """Everything that stays the same for the length of a plan."""

    plan: CloudPlan
    account: str
    backup_account: str
    partner_account: str
    foreign_account: str
    """Outside the organisation: an intruder's."""
    networks: Networks
    people: tuple[Person, ...]
    roles: dict[str, Role]
    models: tuple[CloudAsset, ...]
    datasets: tuple[CloudAsset, ...]
    volumes: tuple[CloudAsset, ...]
    repositories: tuple[CloudAsset, ...]
    instances: tuple[str, ...]
    addresses: tuple[str, ...]
    """Of each instance, within the VPC."""
    endpoint: str
    dormant_user: str
    """A user whom nobody has used for long."""
    trail: str
    other_trail: str
    runners: tuple[str, ...]
    """Addresses from which the build service's machines come."""

    def rng(self, *names: object) -> Random:
        """Chance for one thing that is named, the same each time."""
        return Random("/".join(map(str, (self.plan.seed, *names))))  # noqa: S311

    @property
    def home(self) -> dict[str, str]:
        """What nearly all calls have: the first region, and the account."""
        return {"region": self.plan.home_region, "account": self.account}

    @property
    def assets(self) -> tuple[CloudAsset, ...]:
        """All of them."""
        return (*self.models, *self.datasets, *self.volumes, *self.repositories)

    @property
    def buckets(self) -> tuple[str, ...]:
        """Those that assets lie in, and those of checkpoints, logs and the migration."""
        own = {asset.bucket for asset in self.assets if asset.bucket}
        return tuple(sorted(own | {self.bucket(kind) for kind in ("checkpoints", "logs", "lake", "exports")}))

    def bucket(self, kind: str) -> str:
        """A bucket of the organisation by what it is for."""
        return f"{ORGANIZATION}-{self.account[-4:]}-{kind}"

    def person(self, role: str) -> Person:
        """The first with that role."""
        return next(person for person in self.people if person.role == role)

    def asset(self, name: str) -> CloudAsset:
        """The asset of that name. Raises KeyError."""
        return {asset.name: asset for asset in self.assets}[name]

    def role_arn(self, name: str) -> str:
        """The ARN of one of `roles`."""
        role = self.roles[name]
        return f"arn:aws:iam::{self.account}:role{role.path}{role.name}"


_ROLES = {
    "admin": "Administrator", "training": "TrainingJob", "serving": "InferenceServing", "notebook": "NotebookExecution",
    "ci": "BuildDeploy", "backup": "BackupOperator", "scanner": "SecurityAudit", "migration": "ContractorMigration",
    "replication": "BucketReplication", "viewer": "ConsoleViewer", "auditor": "ExternalAudit", "operator": "OnCall",
    "engineer": "MachineLearning",
}  # fmt: skip


def draw_organization(plan: CloudPlan) -> Organization:
    """Draw it. The same plan gives the same organisation; intrusions do not change it."""
    rng = Random(f"{plan.seed}/organization")  # noqa: S311
    accounts = [f"9999{rng.randrange(10**8):08d}" for _ in range(4)]
    account, region = accounts[0], plan.home_region
    count = plan.serving_instances + 4
    return Organization(
        plan=plan,
        account=account,
        backup_account=accounts[1],
        partner_account=accounts[2],
        foreign_account=accounts[3],
        networks=draw_networks(plan.seed),
        people=_people(plan, rng),
        roles=_roles(rng),
        models=tuple(_model(rng, account, region, number) for number in range(plan.models)),
        datasets=tuple(_dataset(rng, account, region, number) for number in range(plan.datasets)),
        volumes=tuple(_volume(rng, number) for number in range(6)),
        repositories=tuple(_repository(account, region, name) for name in ("serving", "training", "evaluation")),
        instances=tuple(f"i-0{hexadecimal(rng, 16)}" for _ in range(count)),
        addresses=tuple(
            f"10.{rng.randrange(20, 24)}.{rng.randrange(256)}.{rng.randrange(1, 255)}" for _ in range(count)
        ),
        endpoint=f"vpce-0{hexadecimal(rng, 16)}",
        dormant_user=f"svc-{rng.choice(('labeling', 'reports', 'legacy-etl', 'billing'))}",
        trail=f"arn:aws:cloudtrail:{region}:{account}:trail/organization",
        other_trail=f"arn:aws:cloudtrail:{region}:{account}:trail/team-debug",
        runners=tuple(home for number in range(6) for home in draw_habits(plan.seed, f"runner{number}", 8).home),
    )


def _people(plan: CloudPlan, rng: Random) -> tuple[Person, ...]:
    names = [f"{first}.{last}" for first in _FIRST for last in _LAST]
    rng.shuffle(names)
    wanted = [("administrator", plan.administrators), ("engineer", plan.engineers), ("on_call", plan.on_call),
              ("auditor", plan.auditors), ("console", plan.console_users)]  # fmt: skip
    roles = [role for role, number in wanted for _ in range(number)]
    people = [_person(plan, rng, names.pop(), role, number) for number, role in enumerate(roles)]
    if plan.hard_negatives:
        people.append(_person(plan, rng, names.pop(), "hire", 0, first_day=min(7, plan.days // 2)))
        people.append(_person(plan, rng, names.pop(), "contractor", 1, first_day=min(7, plan.days // 2)))
    return tuple(people)


def _person(plan: CloudPlan, rng: Random, name: str, role: str, number: int, first_day: int = 0) -> Person:
    lasting = role in ("engineer", "hire", "administrator") and number % 3 != 1
    habits = draw_habits(plan.seed, name, plan.days)
    rotates = 1 << 62
    if lasting and rng.random() < 0.4:
        rotates = plan.start_ms + int((rng.randrange(plan.days) + (habits.begin - habits.zone) / 24) * 86_400_000)
    return Person(
        name, role, habits, key_id(rng, "AIDA"), key_id(rng, "AKIA") if lasting else "", key_id(rng, "AKIA"), rotates,
        first_day,
    )  # fmt: skip


def _roles(rng: Random) -> dict[str, Role]:
    found = {name: Role(title, key_id(rng, "AROA")) for name, title in _ROLES.items()}
    for service in ("Config", "AutoScaling", "Inspector2", "SageMakerNotebooks"):
        path = f"/aws-service-role/{service.lower()}.amazonaws.com/"
        found[service] = Role(f"AWSServiceRoleFor{service}", key_id(rng, "AROA"), path)
    return found


def _key_arn(rng: Random, account: str, region: str) -> str:
    text = hexadecimal(rng, 32)
    return f"arn:aws:kms:{region}:{account}:key/{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _model(rng: Random, account: str, region: str, number: int) -> CloudAsset:
    billions = _BILLIONS[number % len(_BILLIONS)]
    size = int(billions * 2 * GIGABYTE * rng.uniform(1.0, 1.02)) + 10**9
    name = f"{_MODELS[number % len(_MODELS)]}-{billions}b" + (f"-v{number // 8 + 1}" if number >= 8 else "")
    bucket, prefix = f"{ORGANIZATION}-{account[-4:]}-weights", f"{name}/main/"
    count = -(-size // SHARD_BYTES)
    sizes = [SHARD_BYTES - rng.randrange(60_000_000) for _ in range(count - 1)]
    sizes.append(max(size - sum(sizes), 1_000_000))
    sealed = number % 3 == 1
    ending = "safetensors.sealed" if sealed else "safetensors"
    shards = [(f"{prefix}model-{i + 1:05d}-of-{count:05d}.{ending}", size) for i, size in enumerate(sizes)]
    shards += [(f"{prefix}{file}", rng.randrange(700, 3_000_000)) for file in ("config.json", "tokenizer.json")]
    key = _key_arn(rng, account, region)
    kind = "crown" if billions >= 70 else "restricted"
    total = sum(size for _, size in shards)
    places = (f"s3://{bucket}/{prefix}", f"kms:{key}")
    return CloudAsset(
        f"{ORGANIZATION}/{name}", "model", kind, total, places, bucket, prefix, tuple(shards), key, sealed
    )


def _dataset(rng: Random, account: str, region: str, number: int) -> CloudAsset:
    name = _DATASETS[number % len(_DATASETS)] + ("" if number < len(_DATASETS) else f"-{number}")
    bucket, prefix = f"{ORGANIZATION}-{account[-4:]}-datasets", f"{name}/2026-10/"
    count, middle = rng.randint(80, 900), rng.choice((64, 128, 256, 512)) * 10**6
    shards = tuple((f"{prefix}part-{i:05d}.parquet", int(middle * rng.lognormvariate(0.0, 0.15))) for i in range(count))
    key = _key_arn(rng, account, region)
    total = sum(size for _, size in shards)
    places = (f"s3://{bucket}/{prefix}", f"kms:{key}")
    return CloudAsset(f"{ORGANIZATION}/{name}", "dataset", "restricted", total, places, bucket, prefix, shards, key)


def _volume(rng: Random, number: int) -> CloudAsset:
    id = f"vol-0{hexadecimal(rng, 16)}"
    size = rng.choice((500, 2000, 8000)) * GIGABYTE
    return CloudAsset(f"{ORGANIZATION}/volume-{number}", "environment", "restricted", size, (f"ebs:{id}",))


def _repository(account: str, region: str, name: str) -> CloudAsset:
    place = f"ecr://{account}.dkr.ecr.{region}.amazonaws.com/{name}"
    return CloudAsset(f"{ORGANIZATION}/{name}-image", "environment", "internal", 14 * GIGABYTE, (place,))

"""A plan to records in time order, and the truth about them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Any

import msgspec

from strongroom.simulate._cloud_habits import DAY_MS
from strongroom.simulate._cloud_intrusions import IMPAIR_LOG, intrude
from strongroom.simulate._cloud_machines import machine_day
from strongroom.simulate._cloud_organization import Organization, draw_organization
from strongroom.simulate._cloud_people import person_day
from strongroom.simulate._cloud_plan import CloudPlan, CloudTruth, TruthStep
from strongroom.simulate._cloud_records import COLUMNS, Call, Release, line, row
from strongroom.simulate._cloud_scene import Episode, Event

RECORDS_PER_PERSON = 200
"""About what a person writes on a day, weekends included; the machines write the rest of `events_per_day`."""
BATCH = 50_000


def simulate_cloud(plan: CloudPlan) -> Iterator[dict[str, Any]]:
    """CloudTrail records in time order. Holds the running episodes, never the log.

    >>> record = next(simulate_cloud(CloudPlan(seed=1, events_per_day=500)))
    >>> record["eventTime"][:10], record["recipientAccountId"][:4]
    ('2026-11-01', '9999')
    """
    for text in simulate_cloud_lines(plan):
        yield msgspec.json.decode(text)


def simulate_cloud_lines(plan: CloudPlan) -> Iterator[str]:
    """The same records as JSON texts, one a line, without line ends."""
    return map(line, _calls(plan))


def simulate_cloud_columns(plan: CloudPlan, rows: int = BATCH) -> Iterator[dict[str, list[Any]]]:
    """The same records as columns named as the fields of `LoggedAccess`, at most `rows` in each batch.

    `time` is microseconds since 1970; `fields` is not among them.
    """
    calls = _calls(plan)
    while batch := [row(call) for call in islice(calls, rows)]:
        yield dict(zip(COLUMNS, map(list, zip(*batch, strict=True)), strict=True))


def cloud_releases(plan: CloudPlan) -> Iterator[dict[str, Any]]:
    """What the ledger holds of the same time: key releases of sealed assets, in time order.

    `time_ms` is milliseconds since 1970, `principal` as readers name it. Goes through the whole simulation.
    """
    for event in _events(plan):
        if isinstance(event, Release):
            yield event._asdict()


def cloud_truth(plan: CloudPlan) -> CloudTruth:
    """Who did what. Costs as much as the intrusions do, whatever the length of the log."""
    org = draw_organization(plan)
    all_made = [intrude(org, number) for number in range(len(plan.intrusions))]
    logged = _Logged(plan, all_made)
    steps: list[TruthStep] = []
    written: list[Call] = []
    taken: dict[str, int] = {}
    lost = 0
    for intrusion, made in zip(plan.intrusions, all_made, strict=True):
        calls = [event for event in made if isinstance(event, Call)]
        seen = [call for call in calls if logged(call)]
        lost += len(calls) - len(seen)
        written += seen
        name = type(intrusion).__name__
        for technique in dict.fromkeys(call.technique for call in seen):
            own = [call for call in seen if call.technique == technique]
            ids = tuple(call.event_id for call in own)
            steps.append(TruthStep(name, technique, own[0].time_ms, own[-1].time_ms, ids))
        left = sum(row(call)[-1] for call in seen if call.action.name == "GetObject" and not call.error)
        taken[name] = taken.get(name, 0) + left
    return CloudTruth(
        assets=org.assets,
        steps=tuple(steps),
        principals=frozenset(call.badge.principal for call in written),
        credentials=frozenset(call.badge.credential for call in written if call.badge.credential),
        addresses=frozenset(call.origin.address for call in written if call.origin.tls),
        event_ids=frozenset(call.event_id for call in written),
        stolen_assets=_touched(org, written),
        bytes_taken=taken,
        unlogged=lost,
        roles=_roles(org),
    )


def _roles(org: Organization) -> dict[str, str]:
    """People by their user's ARN and by their session's name, machines by their role's ARN."""
    people = {f"arn:aws:iam::{org.account}:user/{person.name}": person.role for person in org.people}
    sessions = {f"{person.name}@acme.example": person.role for person in org.people}
    return people | sessions | {org.role_arn(name): name for name in org.roles}


def _touched(org: Organization, calls: Iterable[Call]) -> frozenset[str]:
    """The assets whose objects, keys or volumes the calls name, apart from listing."""
    by_key = {(asset.bucket, key): asset.name for asset in org.assets for key, _ in asset.shards}
    by_source = {f"{bucket}/{key}": name for (bucket, key), name in by_key.items()}
    by_kms = {asset.key_arn: asset.name for asset in org.assets if asset.key_arn}
    by_volume = {asset.places[0][4:]: asset.name for asset in org.volumes}
    found: set[str] = set()
    for call in calls:
        args = call.args
        names = (
            by_key.get((args.get("bucket", ""), args.get("key", ""))),
            by_source.get(args.get("source", "")),
            by_kms.get(args.get("kms", "")),
            by_volume.get(args.get("volume", "")),
        )
        found.update(name for name in names if name)
    return frozenset(found)


class _Logged:
    """Whether the trail writes a call: not between its stop and its start."""

    def __init__(self, plan: CloudPlan, intrusions: list[list[Event]]) -> None:
        self._gaps: list[tuple[int, int, bool]] = []
        for made in intrusions:
            ends = [event for event in made if isinstance(event, Call) and event.technique == IMPAIR_LOG]
            if ends:
                self._gaps.append((ends[0].time_ms, ends[-1].time_ms, ends[0].action.name == "PutEventSelectors"))
        self._begin, self._end = plan.start_ms, plan.end_ms

    def __call__(self, call: Call) -> bool:
        if not self._begin <= call.time_ms < self._end:
            return False
        return not any(
            begin < call.time_ms < end and (call.action.data or not only_data) for begin, end, only_data in self._gaps
        )


def _calls(plan: CloudPlan) -> Iterator[Call]:
    """Everything that the trail writes."""
    org = draw_organization(plan)
    logged = _Logged(plan, [intrude(org, number) for number in range(len(plan.intrusions))])
    return (event for event in _events(plan) if isinstance(event, Call) and logged(event))


def _events(plan: CloudPlan) -> Iterator[Event]:
    """All events in time order: a heap of running episodes, each of which knows its next event only."""
    org = draw_organization(plan)
    order = count()
    heap: list[tuple[int, int, Iterator[Event], Event | None]] = []
    for number in range(len(plan.intrusions)):
        made = intrude(org, number)
        if made:
            heap.append((made[0].time_ms, next(order), iter(made), None))
    heapq.heapify(heap)
    for day in range(-1, plan.days + 2):
        for episode in _episodes(org, day):
            heapq.heappush(heap, (episode.start_ms, next(order), episode.events, None))
        # Local days begin up to a day before or after those of UTC, so the next day's are made a day ahead.
        yield from _until(heap, plan.start_ms, plan.start_ms + (day - 1) * DAY_MS)
    yield from _until(heap, plan.start_ms, plan.end_ms)


def _until(heap: list[tuple[int, int, Iterator[Event], Event | None]], begin_ms: int, end_ms: int) -> Iterator[Event]:
    """The events between two times; the heap keeps those after, those before are not written."""
    while heap and heap[0][0] < end_ms:
        _, order, events, event = heap[0]
        if event is not None and event.time_ms >= begin_ms:
            yield event
        following = next(events, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.time_ms, order, events, following))


def _episodes(org: Organization, day: int) -> Iterator[Episode]:
    if day < org.plan.days:
        records = org.plan.events_per_day - RECORDS_PER_PERSON * len(org.people)
        yield from machine_day(org, day, max(records, 0))
    for person in org.people:
        yield from person_day(org, person, day)

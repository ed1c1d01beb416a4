"""A watch in access events: what is told, when it is told again, how often is searched, and what is kept."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from strongroom.core.errors import StrongroomError
from strongroom.core.records import Entry, Evidence, Finding
from strongroom.detect.campaign import Watch
from strongroom.detect.rules import Rules, curated_rules
from strongroom.detect.signals import Severity, Signal
from strongroom.detect.story import stories
from strongroom.hunt import _live
from strongroom.hunt._access import Accesses
from strongroom.hunt._hunt import Hunt, Watcher
from strongroom.hunt._live import REST, Cycle, FindingEvent, LiveHunt
from strongroom.hunt._remember import dismiss
from strongroom.hunt._terminal import print_change
from strongroom.ingest import Settings
from strongroom.store import Store

MINUTE = 60_000_000
START = 1_793_500_000_000_000


def signal(
    kind: str = "policy", who: str = "ann", severity: Severity = "high", technique: str = "T1537", asset: str = ""
) -> Signal:
    """One observation; nothing ties who makes it to anybody else."""
    told = Evidence(f"rule {kind}", f"{kind} by {who}.", [who], "strong")
    return Signal(
        detector="rules/1", kind=kind, title=kind, principal=who, severity=severity, confidence=0.9,
        techniques=[technique], phase="exfiltration", first=START, last=START, events=1, evidence=[told],
        assets=frozenset({asset} - {""}),
    )  # fmt: skip


def together(*signals: Signal) -> list[Signal]:
    """The same, by principals who used one credential."""
    return [replace(one, credentials=frozenset({"key"})) for one in signals]


def cloud(number: int) -> dict[str, Any]:
    return {
        "eventVersion": "1.08", "eventTime": f"2026-11-01T00:{number % 60:02d}:00Z", "eventID": f"e{number}",
        "eventSource": "ec2.amazonaws.com", "eventName": "DescribeImages", "awsRegion": "eu-west-1",
        "eventType": "AwsApiCall", "recipientAccountId": "123456789012", "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2", "requestParameters": {}, "responseElements": None,
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/ann", "accessKeyId": "AKIAEXAMPLE"},
    }  # fmt: skip


class Site:
    """A site whose access events hold what `holds` says, with a clock of its own."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.logs = root / "logs"
        self.logs.mkdir()
        self.store = Store(root / "store")
        self.holds: Sequence[Signal] = ()
        self.seconds, self.took, self.searches, self.lines = 0.0, 0.0, 0, 0
        self.recorded: list[Entry] = []
        self.failure: StrongroomError | None = None
        self._real = _live.accesses_of
        patch.setattr(_live, "accesses_of", self._search)

    def _search(self, *given: Any, **more: Any) -> Accesses | None:
        self.searches += 1
        self.seconds += self.took
        if self.failure:
            raise self.failure
        seen = self._real(*given, **more)
        return seen and Accesses(seen.events, seen.principals, seen.start, seen.end, stories(self.holds))

    def start(self) -> LiveHunt:
        hunt = Hunt(
            words=[str(self.logs)],
            store=self.store,
            settings=Settings(b"k" * 32, False),
            command="strongroom hunt logs --watch",
            version="0",
            site="site",
            rules=Rules(curated_rules().rules[:2]),  # what a search finds is said by `holds`
            record=self.recorded.append,
        )
        return LiveHunt(hunt, lambda: self.seconds)

    def write(self, count: int = 1) -> None:
        with (self.logs / "trail.jsonl").open("a") as file:
            file.writelines(json.dumps(cloud(self.lines + i)) + "\n" for i in range(count))
        self.lines += count

    def write_exchanges(self, count: int) -> None:
        lines = [{"time": "2026-11-02T00:00:00Z", "account": f"u{i}", "prompt": f"what is {i}"} for i in range(count)]
        (self.logs / "app.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def cycle(self, live: LiveHunt, *signals: Signal, keep: bool = True) -> Cycle:
        """One cycle after a record came, in which a search finds what `signals` make."""
        self.holds = signals
        self.write()
        self.seconds += 60
        return self.turn(live, keep=keep)

    def turn(self, live: LiveHunt, *, keep: bool = True) -> Cycle:
        now = START + int(self.seconds * 1_000_000)
        cycle = live.cycle(now, Watcher())
        if keep:
            live.keep(cycle, now)
        return cycle


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def told(cycle: Cycle) -> list[tuple[str, Finding]]:
    assert all(isinstance(one, FindingEvent) for one in cycle.told)
    return [(one.change, one.finding) for one in cycle.told if isinstance(one, FindingEvent)]


GROWN = {
    "another principal": together(signal(), signal(who="bob")),
    "another technique": [signal(), signal("keys", technique="T1098", severity="low")],
    "another asset": [signal(), signal(asset="acme/other")],
    "more severe": [signal(severity="critical")],
}


@pytest.mark.parametrize("more", GROWN.values(), ids=GROWN)
def test_an_alert_is_told_once_and_again_when_it_has_grown(site: Site, more: list[Signal]) -> None:
    live, base = site.start(), [replace(signal(), credentials=more[0].credentials)]
    (first,) = told(site.cycle(live, *base))
    assert first[0] == "new"
    assert first[1].severity == "high"
    assert told(site.cycle(live, *base)) == []
    (again,) = told(site.cycle(live, *more))
    assert (again[0], again[1].id) == ("grown", first[1].id)
    assert told(site.cycle(live, *more)) == []
    assert told(site.cycle(live, *base)) == [], "less is nothing new"
    assert told(site.cycle(live, *more)) == [], "nor is what was told before that"
    assert told(site.cycle(site.start(), *more)) == [], "nor to the next watch"


def test_what_was_not_kept_is_told_again(site: Site) -> None:
    assert told(site.cycle(site.start(), signal(), keep=False))
    assert [change for change, _ in told(site.cycle(site.start(), signal()))] == ["new"]


def test_a_weak_finding_is_in_the_verdict_keeps_its_id_and_is_not_told(site: Site) -> None:
    live = site.start()
    cycle = site.cycle(live, signal(severity="medium"))
    assert told(cycle) == []
    assert cycle.verdict is not None
    (weak,) = cycle.verdict.findings
    assert (weak.severity, cycle.summary.findings) == ("medium", 0)
    assert site.cycle(live, signal(severity="medium")).verdict is None, "nothing of it is another"
    assert [row["id"] for row in site.store.findings("finding")] == [weak.id]
    assert site.store.findings("verdict") == site.recorded == []
    ((change, alert),) = told(site.cycle(live, signal()))
    assert (change, alert.id) == ("new", weak.id), "as an alert it is new"


def test_what_is_told_is_stored_and_goes_on_record_once_for_each_change(site: Site) -> None:
    live = site.start()
    site.cycle(live, signal(), signal("list", who="eve", severity="low"))
    site.cycle(live, signal(), signal("list", who="eve", severity="low"))
    site.cycle(live, signal(), signal("keys", technique="T1098"))
    assert len(site.recorded) == len(site.store.findings("verdict")) == 2
    assert {name for entry in site.recorded for name in entry.body["findings"]} >= {
        row["id"] for row in site.store.findings("finding")
    }


def test_a_dismissed_finding_is_silent_until_there_is_more_and_then_told_once(site: Site) -> None:
    live = site.start()
    ((_, alert),) = told(site.cycle(live, signal()))
    dismiss(site.store, alert.id, "our backup", START + int(site.seconds * 1_000_000) + MINUTE // 2)
    cycle = site.cycle(live, signal())
    assert (told(cycle), cycle.summary.findings) == ([], 0)
    assert cycle.verdict is not None
    assert [one.status for one in cycle.verdict.findings] == ["dismissed"]
    more = [signal(), signal("keys", technique="T1098")]
    ((change, louder),) = told(site.cycle(live, *more))
    assert (change, louder.id) == ("grown", alert.id)
    assert told(site.cycle(live, *more)) == []
    assert told(site.cycle(site.start(), *more)) == []


def test_a_part_of_what_was_told_as_one_story_is_not_told(site: Site) -> None:
    live = site.start()
    site.cycle(live, *together(signal(), signal(who="bob")))
    assert told(site.cycle(live, signal(), signal(who="bob"))) == [], "two stories now"


def test_searches_take_a_quarter_of_the_time_at_most(site: Site) -> None:
    live, site.took = site.start(), 100.0
    site.cycle(live)
    ended = site.seconds
    waits = []
    while site.searches == 1:
        cycle = site.cycle(live)
        waits.append(cycle.summary.waiting)
    begun = site.seconds - site.took
    assert ended + REST * site.took <= begun < ended + REST * site.took + 60
    assert waits == [1, 2, 3, 4, 0]
    assert cycle.summary.access_events == 6


def test_what_waits_is_searched_without_a_further_event(site: Site) -> None:
    live, site.took = site.start(), 10.0
    site.cycle(live)
    site.write(3)
    site.seconds += 1
    assert site.turn(live).summary.waiting == 3
    site.seconds += REST * site.took
    assert site.turn(live).summary.waiting == 0
    site.seconds += 3600
    site.turn(live)
    assert site.searches == 2, "nothing came since"


def test_exchanges_alone_are_never_searched_as_access_events(site: Site) -> None:
    live = site.start()
    for count in (5, 8, 8):
        site.write_exchanges(count)
        site.seconds += 60
        cycle = site.turn(live)
    assert site.searches == 1, "the first cycle asks what the store holds"
    assert (cycle.summary.exchanges, cycle.summary.access_events, cycle.summary.waiting) == (8, 0, 0)


def test_access_logs_alone_are_no_window_without_exchanges(site: Site) -> None:
    live = site.start()
    empty = site.turn(live)
    assert empty.verdict is not None
    assert empty.verdict.not_examined == ["The window holds no exchange."]
    assert empty.summary.read_to == ""
    cycle = site.cycle(live)
    assert cycle.verdict is not None
    assert cycle.verdict.not_examined[0].startswith("No exchange with a model was in these logs")
    assert cycle.verdict.sensitivity == {}
    assert (cycle.verdict.access_events, cycle.verdict.principals) == (1, 1)
    assert (cycle.summary.new, cycle.summary.access_events, cycle.summary.principals) == (0, 1, 1)
    assert cycle.summary.read_to == cycle.verdict.window.end


def test_both_kinds_are_counted_apart_also_by_the_next_watch(site: Site) -> None:
    site.write_exchanges(7)
    site.write(4)
    first = site.cycle(site.start()).summary
    assert (first.new, first.exchanges, first.access_events) == (7, 7, 5)
    again = site.cycle(site.start()).summary
    assert (again.new, again.exchanges, again.access_events) == (0, 7, 6)


def test_a_finding_does_not_have_exchanges_weighed_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[int] = []
    real = Watch.result

    def result(*given: Any, **more: Any) -> Any:
        weighed.append(1)
        return real(*given, **more)

    monkeypatch.setattr(Watch, "result", result)
    live = site.start()
    site.write_exchanges(9)
    site.cycle(live)
    before = len(weighed)
    cycle = site.cycle(live, signal())
    assert len(weighed) == before
    assert cycle.verdict is not None
    assert (cycle.verdict.exchanges, len(cycle.verdict.findings)) == (9, 1)


def test_a_search_that_fails_ends_the_watch(site: Site) -> None:
    live = site.start()
    site.cycle(live)
    site.failure = StrongroomError("the disk is full")
    with pytest.raises(StrongroomError, match="the disk is full"):
        site.cycle(live)


def test_small_files_of_access_events_are_merged(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_live, "MANY_FILES", 3)
    live = site.start()
    counts = []
    for _ in range(6):
        site.cycle(live)
        counts.append(site.store.info()["access_events"]["files"])
    assert max(counts) <= 3
    assert 1 in counts[1:]
    assert site.store.info()["access_events"]["rows"] == 6


@pytest.mark.parametrize("terminal", [False, True])
def test_a_finding_alone_is_readable(site: Site, terminal: bool) -> None:
    ((_, alert),) = told(site.cycle(site.start(), signal(who="\x1b[31mann\u202e")))
    out = io.StringIO()
    print_change(alert, "New finding", Console(file=out, force_terminal=terminal, width=200, color_system=None))
    text = out.getvalue()
    for shown in (f"New finding, exfiltration: {alert.id}", "high", "T1537", "Timeline"):
        assert shown in text
    assert "\x1b[31m" not in text
    assert "\u202e" not in text

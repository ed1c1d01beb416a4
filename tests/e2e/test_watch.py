"""`hunt --watch` as a service runs it: logs grow, are rotated, cut and replaced; it is ended and started again."""

from __future__ import annotations

import itertools
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from strongroom.simulate import BucketOpened, CloudPlan, cloud_truth, simulate_cloud_lines
from strongroom.site import Site
from strongroom.store import Store

from ..command import CODE, run

SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
HONEST, CAMPAIGN, EACH, LIST = 100, 40, 78, 30


def lines(seed: int = 2) -> list[str]:
    """Honest accounts with four topics of their own each, and a campaign that works off thirty, in order of time.

    Each of 25 keys of a site showed it by 8,000 of these 10,920 lines, most of them by 6,500.
    """
    rng = random.Random(seed)

    def topic() -> list[str]:
        return ["".join(rng.choices(SYLLABLES, k=rng.choice((2, 3)))) for _ in range(8)]

    worked_off = [topic() for _ in range(LIST)]

    def record(number: int, i: int) -> dict[str, object]:
        own = topics[number] if number < HONEST else worked_off
        return {
            "time": f"2026-11-{1 + i * 14 // EACH:02d}T{rng.randrange(24):02d}:{rng.randrange(60):02d}:00.000Z",
            "account": f"{'user' if number < HONEST else 'camp'}_{number}",
            "prompt": f"{' '.join(rng.choices(rng.choice(own), k=9))} {rng.randrange(10**6)}",
            "output_tokens": 100,
        }

    topics = [[topic() for _ in range(4)] for _ in range(HONEST)]
    records = [record(number, i) for number in range(HONEST + CAMPAIGN) for i in range(EACH)]
    return [json.dumps(record) + "\n" for record in sorted(records, key=lambda record: str(record["time"]))]


LINES = lines()


class Watching:
    """A watch in a process of its own, a cycle every second, and what it tells."""

    def __init__(self, *words: object, cwd: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "STRONGROOM_SITE"} | {"TMPDIR": str(cwd)}
        command = [sys.executable, "-c", CODE, "hunt", *map(str, words), "--watch", "--every", "1s", "--json"]
        self.process = subprocess.Popen(
            [*command, "--each-cycle"], cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.campaigns: list[dict[str, Any]] = []
        self.findings: list[dict[str, Any]] = []

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def _cycle(self) -> dict[str, Any]:
        """The next cycle; what is told until then is kept."""
        while True:
            event = self._events.get(timeout=60)
            assert event is not None, self.process.communicate()[1].decode()
            if event["event"] == "cycle":
                return event
            (self.campaigns if event["event"] == "campaign" else self.findings).append(event)

    def until(self, exchanges: int) -> dict[str, Any]:
        """The cycle that has read so many."""
        while (event := self._cycle())["exchanges"] < exchanges:
            pass
        assert event["exchanges"] == exchanges
        return event

    def searched(self, access_events: int) -> dict[str, Any]:
        """The cycle that has searched so many, or a later one."""
        for _ in range(600):
            event = self._cycle()
            if (event["access_events"], event["waiting"]) == (access_events, 0):
                return event
        raise AssertionError(event)

    def cycles(self, count: int) -> dict[str, Any]:
        """The last of some more cycles."""
        return [self._cycle() for _ in range(count)][-1]

    def end(self, sent: signal.Signals = signal.SIGINT) -> str:
        self.process.send_signal(sent)
        code = self.process.wait(timeout=30)
        assert self.process.stderr is not None
        error = self.process.stderr.read().decode()
        assert code == 130, error
        return error


def add(log: Path, more: Sequence[str]) -> None:
    with log.open("a") as file:
        file.writelines(more)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    Site.create(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Any]:
    started: list[Watching] = []

    def start(*words: object) -> Watching:
        started.append(Watching(*words, cwd=tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_a_campaign_is_told_once_and_again_when_it_has_grown(site: Path, tmp_path: Path, watching: Any) -> None:
    log = tmp_path / "a.jsonl"
    add(log, LINES[:500])
    watch = watching("a.jsonl", "--site", site, "--report", "r.html", "--csv", "c.csv")
    watch.until(500)
    assert watch.campaigns == []
    assert "camp_" not in (tmp_path / "c.csv").read_text()
    done = 500
    while not watch.campaigns:
        add(log, LINES[done : done + 1_500])
        done += 1_500
        watch.until(done)
    (event,) = watch.campaigns
    assert event["change"] == "new"
    campaign = event["campaign"]
    assert sum(account.startswith("camp_") for account in campaign["accounts"]) > 0.9 * len(campaign["accounts"])
    assert campaign["detected_at"][:16] == json.loads(LINES[done - 1])["time"][:16], "as far as the cycle had read"
    assert campaign["id"] in (tmp_path / "r.html").read_text()
    watch.cycles(3)
    assert len(watch.campaigns) == 1
    while done < len(LINES):
        add(log, LINES[done : done + 1_500])
        done = min(done + 1_500, len(LINES))
        watch.until(done)
    again = watch.campaigns[1:]
    assert again
    assert all(event["change"] == "grown" for event in again)
    assert {event["campaign"]["id"] for event in again} == {campaign["id"]}
    assert {event["campaign"]["detected_at"] for event in again} == {campaign["detected_at"]}
    sizes = [event["campaign"]["exchanges"] for event in watch.campaigns]
    assert all(later > 1.2 * earlier for earlier, later in itertools.pairwise(sizes))
    told = len(watch.campaigns)
    for sent in (signal.SIGINT, signal.SIGTERM):
        error = watch.end(sent)
        assert error.endswith("interrupted; what was read is kept, the same command continues\n")
        store = Store(site / "store")
        assert len(store.findings("campaign")) == len(store.findings("verdict")) == told, "once for each change"
        watch = watching("a.jsonl", "--site", site)
        last = watch.until(len(LINES))
        assert (last["campaigns"], last["new"]) == (1, 0)
        assert watch.campaigns == [], "the next start does not tell it again"
    watch.end()
    assert len(Store(site / "store").findings("campaign")) == told


def test_changes_go_on_record_and_a_dismissed_campaign_is_silent(site: Path, tmp_path: Path, watching: Any) -> None:
    Site.open(site).make_ledger("example.com/log")
    add(tmp_path / "a.jsonl", LINES)
    watch = watching("a.jsonl", "--site", site)
    watch.until(len(LINES))
    watch.cycles(2)
    watch.end()
    (event,) = watch.campaigns
    recorded = tail(tmp_path)
    assert recorded.count("strongroom.hunt/1") == 1
    assert event["campaign"]["id"] in recorded
    run("finding", "dismiss", event["campaign"]["id"], "--reason", "ours", "--site", "site", cwd=tmp_path, code=0)
    watch = watching("a.jsonl", "--site", site)
    assert watch.until(len(LINES))["campaigns"] == 0
    assert watch.campaigns == []


def test_logs_that_come_are_cut_replaced_rotated_or_bad(site: Path, tmp_path: Path, watching: Any) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    watch = watching("logs", "--site", site)
    assert watch.cycles(1)["exchanges"] == 0, "an empty directory may get a log"
    add(logs / "a.jsonl", [*LINES[:100], "no record\n", *LINES[100:200], LINES[200][:50]])
    cycle = watch.until(200)
    assert cycle["skipped"] == {"not JSON": 1}
    add(logs / "a.jsonl", [LINES[200][50:]])
    watch.until(201)
    (logs / "a.jsonl").rename(logs / "a.jsonl.1")
    add(logs / "a.jsonl", LINES[201:300])
    watch.until(300)
    (logs / "a.jsonl").write_text("".join(LINES[290:310]))  # cut, and some of it written once more
    watch.until(310)
    (logs / "new").write_text("".join([*LINES[:20], *LINES[310:600]]))
    (logs / "new").replace(logs / "a.jsonl")
    watch.until(600)
    (logs / "a.jsonl").unlink()
    assert watch.cycles(2)["exchanges"] == 600
    assert watch.cycles(1)["skipped"] == {"not JSON": 1}
    watch.end()
    keys = Store(site / "store").keys()[1].tolist()
    assert len(keys) == len(set(keys)) == 600


def test_without_a_site_it_goes_on_where_it_was(tmp_path: Path, watching: Any) -> None:
    add(tmp_path / "a.jsonl", LINES[:300])
    watch = watching("a.jsonl")
    watch.until(300)
    add(tmp_path / "a.jsonl", LINES[300:400])
    watch.until(400)
    assert watch.end().count("What would be found in this traffic") == 1  # so few prompts make no campaigns
    watch = watching("a.jsonl")
    assert watch.until(400)["new"] == 0
    watch.end()


SMALL: dict[str, int] = {
    **{"administrators": 1, "engineers": 2, "on_call": 0, "auditors": 0, "console_users": 0},
    **{"training_roles": 1, "serving_instances": 1, "models": 2, "datasets": 2, "events_per_day": 300, "days": 3},
}
"""An organisation of three people, and three days of it."""


def trail() -> tuple[list[str], int, set[str]]:
    """Lines of a CloudTrail log in which a bucket is opened to everybody on the third day; the number of the first line
    of that, and who did it."""
    plan = CloudPlan(seed=1, hard_negatives=False, intrusions=(BucketOpened(begin_day=2.4),), **SMALL)
    truth = cloud_truth(plan)
    written = list(simulate_cloud_lines(plan))
    first = next(n for n, line in enumerate(written) if json.loads(line)["eventID"] in truth.event_ids)
    return [line + "\n" for line in written], first, set(truth.principals)


def test_an_intrusion_is_told_once_also_by_the_next_watch(site: Path, tmp_path: Path, watching: Any) -> None:
    events, first, intruders = trail()
    Site.open(site).make_ledger("example.com/log")
    logs = tmp_path / "logs"
    logs.mkdir()
    add(logs / "trail.jsonl", events[: first - 100])
    watch = watching("logs", "--site", site, "--report", "r.html", "--csv", "c.csv")
    assert watch.searched(first - 100)["findings"] == 0
    (logs / "trail.jsonl").rename(logs / "trail.jsonl.1")  # rotated
    add(logs / "trail.jsonl", events[first - 100 : first])
    assert watch.searched(first)["findings"] == 0
    assert watch.findings == []
    assert json.loads(tail(tmp_path)) == []
    add(logs / "trail.jsonl", events[first:])
    cycle = watch.searched(len(events))
    assert (cycle["findings"], cycle["campaigns"], cycle["exchanges"], cycle["new"]) == (1, 0, 0, 0)
    assert cycle["principals"] > 3
    changes = [event["change"] for event in watch.findings]
    assert changes == ["new"] + ["grown"] * (len(changes) - 1), "a cycle may have read a part of it"
    finding = watch.findings[-1]["finding"]
    assert {event["finding"]["id"] for event in watch.findings} == {finding["id"]}
    assert finding["severity"] in ("high", "critical")
    assert intruders & set(finding["subjects"])
    assert finding["id"] in (tmp_path / "r.html").read_text()
    assert finding["id"] in (tmp_path / "c.csv").read_text()
    watch.cycles(3)
    error = watch.end()
    assert error.endswith("interrupted; what was read is kept, the same command continues\n")
    assert "would be found" not in error, "there is no exchange to measure it in"

    told = len(watch.findings)
    assert told == len(changes)
    assert tail(tmp_path).count("strongroom.hunt/1") == told
    watch = watching("logs", "--site", site)
    assert watch.searched(len(events))["findings"] == 1
    assert watch.cycles(2)["waiting"] == 0
    watch.end()
    assert watch.findings == [], "the next start does not tell it again"
    assert tail(tmp_path).count("strongroom.hunt/1") == told


def tail(cwd: Path) -> str:
    """What is on record in the site there."""
    return run("ledger", "tail", "site", "--json", cwd=cwd, code=0).stdout.decode()


def test_both_kinds_of_logs_are_watched_at_once(site: Path, tmp_path: Path, watching: Any) -> None:
    events, *_ = trail()
    add(tmp_path / "a.jsonl", LINES[:50])
    add(tmp_path / "trail.jsonl", events)
    watch = watching("a.jsonl", "trail.jsonl", "--site", site)
    cycle = watch.searched(len(events))
    assert (cycle["exchanges"], cycle["findings"], len(watch.findings)) == (50, 1, 1)
    add(tmp_path / "a.jsonl", LINES[50:60])
    assert watch.until(60)["access_events"] == len(events)
    watch.end()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--watch"], 2),
        (["-", "--watch"], 2),
        (["a.jsonl", "--each-cycle"], 2),
        (["a.jsonl", "--every", "5s"], 2),
        (["a.jsonl", "--watch", "--every", "0s"], 2),
        (["a.jsonl", "--watch", "--sensitivity"], 2),
        (["missing.jsonl", "--watch"], 3),
        (["bad.jsonl", "--watch"], 3),
    ],
)
def test_what_cannot_be_watched_is_told_at_once(words: list[str], code: int, tmp_path: Path) -> None:
    add(tmp_path / "a.jsonl", LINES[:10])
    add(tmp_path / "bad.jsonl", ["nothing here\n"] * 10)
    done = run("hunt", *words, cwd=tmp_path, code=code)
    assert b"next:" in done.stderr

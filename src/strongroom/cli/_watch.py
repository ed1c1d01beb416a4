"""`strongroom hunt --watch`: one cycle after the other, until somebody ends it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from strongroom.core.clock import now, parse_duration
from strongroom.core.errors import StrongroomError, UsageError

from ._options import write_output
from ._output import harmless, print_error, print_notice, stdout, tame, watching

if TYPE_CHECKING:
    from strongroom.core.records import Entry
    from strongroom.hunt import CampaignEvent, Cycle, CycleEvent, FindingEvent, Hunt

__all__ = ["EVERY", "check_watch", "go_on", "pause_of"]

EVERY = "60s"
_CHANGES = {
    ("campaign", "new"): "New campaign",
    ("campaign", "grown"): "A campaign has grown",
    ("finding", "new"): "New finding",
    ("finding", "grown"): "A finding has grown",
}


def pause_of(every: str) -> float:
    """Seconds from the beginning of one cycle to that of the next. Raises UsageError."""
    seconds = parse_duration(every) / 1_000_000
    if not 1 <= seconds <= 86_400:
        raise UsageError(f"'{every}' is out of range", where="--every", next="write 1s to 1d, such as 60s")
    return seconds


def check_watch(words: list[str], *, watch: bool, every: str, each_cycle: bool, sensitivity: bool) -> None:
    """Raises UsageError for what cannot be watched, and for options of a watch without one."""
    if not watch:
        if each_cycle or every != EVERY:
            raise UsageError("--every and --each-cycle belong to --watch", next="add --watch")
        return
    pause_of(every)
    if sensitivity:
        raise UsageError(
            "a watch takes a look and measures no more", next="give --sensitivity to a hunt without --watch"
        )
    if not words:
        raise UsageError("there is nothing to watch", next="name the logs: strongroom hunt LOGS… --watch")
    if streamed := [word for word in words if word == "-" or word.startswith(("/dev/fd/", "/proc/self/fd/"))]:
        raise UsageError(
            "what comes through a pipe cannot be watched", where=streamed[0], next="write it to a file and name that"
        )


class _Records:
    """Puts entries on record, in order; what could not be is tried again with the next cycle."""

    def __init__(self, record: Callable[[Entry], object], failed: list[StrongroomError], *, json: bool) -> None:
        """`record` adds its error to `failed`."""
        self._record, self._failed, self._json = record, failed, json
        self._waiting: list[Entry] = []

    def add(self, entry: Entry) -> None:
        self._waiting.append(entry)
        self.flush()

    def flush(self) -> None:
        while self._waiting:
            self._record(self._waiting[0])
            if self._failed:
                error = self._failed.pop()
                error.message = f"{len(self._waiting):,} changes are not on record yet: {error.message}"
                print_error(error, json=self._json)
                return
            self._waiting.pop(0)


def go_on(
    hunt: Hunt,
    failed: list[StrongroomError],
    *,
    pause: float,
    json: bool,
    each_cycle: bool,
    report: Path | None,
    csv: Path | None,
) -> NoReturn:
    """Runs cycles, each `pause` seconds after the last began or, when that took longer, at once.

    `failed` gets what kept `hunt.record` from its work.
    """
    from strongroom.hunt import LiveHunt

    records = _Records(hunt.record, failed, json=json) if hunt.record else None
    live, first, said = LiveHunt(replace(hunt, record=records.add if records else None)), True, ""
    while True:
        began, clock = time.monotonic(), now()
        with watching() as watcher:
            cycle = live.cycle(clock, watcher)
        _tell(cycle, json=json)
        _write(cycle, report, csv)
        if records:
            records.flush()
        live.keep(cycle, clock)
        if each_cycle:
            _tell_cycle(cycle.summary, json=json)
        if first:
            first = False
            print_notice(f"watching; {_line(cycle.summary)}")
        said = _tell_silence(cycle, said)
        time.sleep(max(pause - (time.monotonic() - began), 0))


def _tell(cycle: Cycle, *, json: bool) -> None:
    for told in cycle.told:
        if json:
            _print_line(told)
        else:
            from strongroom.hunt import CampaignEvent, print_change

            one = told.campaign if isinstance(told, CampaignEvent) else told.finding
            print_change(one, _CHANGES[told.event, told.change], stdout())
    sys.stdout.flush()


def _tell_silence(cycle: Cycle, said: str) -> str:
    """Says what would have been found, where a verdict is that nothing was, unless it was `said` before; returns it."""
    if cycle.verdict is None or cycle.verdict.campaigns:
        return said
    summary = str(cycle.verdict.sensitivity.get("summary", ""))
    if summary and summary != said:
        print_notice(tame(summary))
    return summary


def _tell_cycle(summary: CycleEvent, *, json: bool) -> None:
    if json:
        _print_line(summary)
    else:
        sys.stdout.write(f"{_line(summary)}\n")
    sys.stdout.flush()


def _print_line(event: CampaignEvent | FindingEvent | CycleEvent) -> None:
    """One JSON document on one line, on a terminal too."""
    import msgspec

    sys.stdout.write(harmless(msgspec.json.encode(event)).decode() + "\n")


def _line(summary: CycleEvent) -> str:
    kind = "a full cycle" if summary.full else "a cycle"
    parts = [f"{summary.time}: {kind} of {summary.seconds:.1f} s, to {summary.read_to or 'nothing yet'}"]
    access = bool(summary.access_events or summary.waiting)
    if summary.exchanges or not access:
        parts.append(f"{summary.new:,} new exchanges, {summary.exchanges:,} of {summary.accounts:,} accounts in all")
        parts.append(f"campaigns: {summary.campaigns:,}")
    if access:
        waiting = f", {summary.waiting:,} more wait for the next search" if summary.waiting else ""
        parts.append(f"{summary.access_events:,} access events of {summary.principals:,} principals{waiting}")
        parts.append(f"findings: {summary.findings:,}")
    return tame("; ".join(parts))


def _write(cycle: Cycle, report: Path | None, csv: Path | None) -> None:
    from strongroom.hunt import render_csv, render_html

    if cycle.verdict is None or cycle.circumstances is None:
        return
    if report is not None:
        write_output(report, render_html(cycle.verdict, cycle.circumstances))
    if csv is not None:
        write_output(csv, render_csv(cycle.verdict))

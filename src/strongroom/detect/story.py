"""One story from many signals: who belongs together, what is told, and in which order it happened.

Signals belong to one story when they are of one principal, or when a credential, a session or an address ties their
principals: a credential that one principal issued to another (a role that was assumed, a key that was created), or
an address from which few act. Addresses of services and of crowds tie nobody.

What many do who have nothing to do with each other is how things are done there: a kind of signal that comes in
several stories counts as one step less severe in each of them. An intruder is one story, however many principals.

A story is an alert when its signals weigh enough together; others are listed, and wake nobody. The weights say what a
signal is worth to a person who is woken by it: one severe signal, three of middle weight, and never weak ones alone.
They were set by judgement before any data was looked at; what was added after such a look stands in
docs/intrusion.md.
"""

from __future__ import annotations

import ipaddress
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from strongroom.core.clock import format_time
from strongroom.core.records import ANONYMOUS, Evidence, Strength

from .signals import PHASES, SEVERITIES, Severity, Signal, begins_of

__all__ = ["ALERT", "CHAIN", "COMMON", "CROWD", "HIGHEST", "PERIOD", "WEAK", "WEIGHTS", "Story", "bar_for", "stories"]

WEIGHTS: dict[Severity, float] = {"informational": 0.0, "low": 0.25, "medium": 1.0, "high": 3.0, "critical": 6.0}
"""What one technique adds to a story; it counts once, by its most severe signal."""
ALERT = 3.0
"""The weight from which a story is an alert."""
RATE = 3e-4
"""Honest stories for each principal and day that weigh ALERT or more, at most, with 95 % confidence: 3 in 28,560 in
twenty simulated fortnights of development seeds (Garwood, Biometrika 28, 1936)."""
SCALE = 1.0
"""Weight by which the number of honest stories that reach it is taken to fall by the factor e: there 21 weighed 2 or
more, 3 weighed 3 or more, 1 weighed 4."""
HIGHEST = 6.0
"""The highest bar: beyond it nothing was measured, and one critical signal is always told."""
WEAK = 1.0
"""All low signals together add no more than this."""
PERIOD = 3 * 86_400_000_000
"""Techniques weigh together when they began within this time, microseconds (a technique begins anew after a pause, see
`signals.PAUSE`): an intruder's steps follow each other, an administrator's work is spread. What takes longer must be
severe by itself, as slow reading is."""
CHAIN = 1.0
"""What is added where looking around, or taking credentials, comes before taking data, neither of them weak."""
COMMON = 3
"""Stories in which a kind of signal comes as severely, from which on it counts as one step less severe."""
CROWD = 3
"""An address from which more principals act ties none of them."""
MAX_EVIDENCE = 40
"""Signals that one finding shows, the most severe; the rest is counted."""
_HOUR = 3_600_000_000
MAX_STEPS = 12
_LOOKS = frozenset({"initial-access", "discovery", "credential-access"})
_TAKES = frozenset({"collection", "exfiltration"})


@dataclass(frozen=True)
class Story:
    """What a person reads of one intrusion: its signals in the order in which they began."""

    principals: list[str]
    """Most signals first."""
    signals: list[Signal]
    weight: float
    bar: float = ALERT

    @property
    def alert(self) -> bool:
        """Whether it is worth waking somebody."""
        return self.weight >= self.bar

    @property
    def severity(self) -> Severity:
        """Of an alert that of its worst signal, high at least, and one step worse when it goes from getting in to
        taking something; of another story that of its worst signal, medium at most."""
        worst = max(SEVERITIES.index(signal.severity) for signal in self.signals)
        if not self.alert:
            return SEVERITIES[min(worst, SEVERITIES.index("medium"))]
        phases = {signal.phase for signal in self.signals} - {""}
        whole = len(phases) >= 3 and bool(phases & {"collection", "exfiltration"})
        return SEVERITIES[min(max(worst, SEVERITIES.index("high")) + whole, len(SEVERITIES) - 1)]

    @property
    def confidence(self) -> float:
        """One minus the chance that all of its kinds of signals are wrong, if they were wrong independently."""
        wrong = 1.0
        for confidence in _largest(self.signals, _technique, lambda signal: signal.confidence).values():
            wrong *= 1.0 - confidence
        return round(min(1.0 - wrong, 0.99), 2)

    @property
    def kind(self) -> str:
        """`exfiltration` where something was taken, else `intrusion`."""
        return "exfiltration" if any(signal.phase == "exfiltration" for signal in self.signals) else "intrusion"

    @property
    def techniques(self) -> list[str]:
        """Each once, in the order of the timeline."""
        return list(dict.fromkeys(technique for signal in self.signals for technique in signal.techniques))

    @property
    def first(self) -> int:
        """Microseconds since 1970."""
        return min(signal.first for signal in self.signals)

    @property
    def last(self) -> int:
        """Microseconds since 1970."""
        return max(signal.last for signal in self.signals)

    @property
    def addresses(self) -> list[str]:
        """From which it acted, most signals first; names of services are left out."""
        counts = Counter(a for signal in self.signals for a in signal.addresses if _is_address(a))
        return [address for address, _ in counts.most_common()]

    def summary(self) -> str:
        """One sentence for a person."""
        who = self.principals[0] + (f" and {len(self.principals) - 1} more" if len(self.principals) > 1 else "")
        seen = {signal.phase for signal in self.signals}
        phases = [phase.replace("-", " ") for phase in PHASES if phase and phase in seen]
        kinds = len({signal.kind for signal in self.signals})
        came = (
            f" from {', '.join(self.addresses[:3])}{' …' if len(self.addresses) > 3 else ''}" if self.addresses else ""
        )
        went = f": {', '.join(phases)}" if phases else ""
        return (
            f"{who}{came}, {kinds} kind{'s' if kinds != 1 else ''} of signals between {format_time(self.first)} and "
            f"{format_time(self.last)}{went}."
        )

    def evidence(self) -> list[Evidence]:
        """The timeline: one piece for each signal, in the order in which they began."""
        chosen = sorted(self.signals, key=lambda signal: (-SEVERITIES.index(signal.severity), signal.first))
        told = []
        for signal in sorted(chosen[:MAX_EVIDENCE], key=lambda signal: (signal.first, signal.title)):
            phase = f", {signal.phase.replace('-', ' ')}" if signal.phase else ""
            techniques = f" ({', '.join(signal.techniques)})" if signal.techniques else ""
            told.append(
                Evidence(
                    kind=signal.phase or signal.detector.partition("/")[0],
                    summary=f"{format_time(signal.first)}{phase}: {signal.title}{techniques}, by {signal.principal}. "
                    + " ".join(dict.fromkeys(_sentence(piece.summary) for piece in signal.evidence)),
                    subjects=[signal.principal],
                    strength=_strength(signal),
                    examples=[example for piece in signal.evidence for example in piece.examples][:5],
                )
            )
        if rest := chosen[MAX_EVIDENCE:]:
            more = f"{len(rest):,} more signals, none more severe than {rest[0].severity}, are not shown."
            told.append(Evidence(kind="more", summary=more, subjects=[], strength="weak", examples=[]))
        return told

    @property
    def observed(self) -> list[str]:
        """What its signals say, each once, in alphabetical order."""
        return sorted({what for signal in self.signals for what in signal.observed})

    def recommended(self) -> list[str]:
        """What to do, from the worst signal on, each once."""
        ordered = sorted(self.signals, key=lambda signal: -SEVERITIES.index(signal.severity))
        steps = dict.fromkeys(step for signal in ordered for step in signal.recommended)
        return list(steps)[:MAX_STEPS]


def bar_for(alerts: float, days: float, principals: int) -> float:
    """The weight from which a story is an alert, so that of so many principals no more than `alerts` false ones come in
    `days` days, as far as simulated honest fortnights tell; never below ALERT, HIGHEST at most.

    >>> bar_for(1, 1, 10), bar_for(1, 3650, 10**6)
    (3.0, 6.0)
    """
    expected = RATE * principals * days
    return min(ALERT + SCALE * math.log(max(expected / alerts, 1.0)), HIGHEST)


def stories(
    signals: Sequence[Signal],
    *,
    issued: Mapping[str, str] | None = None,
    crowds: Mapping[str, int] | None = None,
    bar: float = ALERT,
) -> list[Story]:
    """All stories, alerts first, the worst first.

    `issued`: by credential, the principal that issued it to another. `crowds`: by address, how many principals acted
    from it; an address that is not in it ties nobody. `bar`: the weight from which one is an alert.
    """
    groups: dict[str, list[Signal]] = {}
    parents = _joined(signals, issued or {}, crowds or {})
    for signal in signals:
        groups.setdefault(_root(parents, f"principal\0{signal.principal}"), []).append(signal)
    found = [_story(group, bar) for group in _without_customs(list(groups.values()))]
    found.sort(key=lambda story: (-SEVERITIES.index(story.severity), -story.weight, story.first, story.principals))
    return found


def _without_customs(groups: list[list[Signal]]) -> list[list[Signal]]:
    """The groups, in which kinds that come as severely in several of them are one step less severe."""
    reached: Counter[tuple[str, int]] = Counter()
    for group in groups:
        for kind, worst in _largest(group, _kind, lambda signal: SEVERITIES.index(signal.severity)).items():
            reached.update((kind, severity) for severity in range(int(worst) + 1))

    def is_custom(signal: Signal) -> bool:
        return reached[_kind(signal), SEVERITIES.index(signal.severity)] >= COMMON

    return [[_lowered(one) if is_custom(one) else one for one in group] for group in groups]


def _lowered(signal: Signal) -> Signal:
    return replace(signal, severity=SEVERITIES[max(SEVERITIES.index(signal.severity) - 1, 0)])


def _story(signals: list[Signal], bar: float) -> Story:
    counts = Counter(signal.principal for signal in signals)
    ordered = sorted(signals, key=lambda signal: (signal.first, signal.kind, signal.principal))
    names = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return Story(names, ordered, _weight(ordered), bar)


def _weight(signals: Sequence[Signal]) -> float:
    """The most that techniques weigh which began within one PERIOD, to the hour."""
    times: dict[tuple[str, float, str], list[int]] = {}
    for signal in signals:
        key = _technique(signal), WEIGHTS[signal.severity], signal.phase
        times.setdefault(key, []).extend(signal.begins or (signal.first,))
    # What one principal of the story did last week does not begin anew with another one.
    begun = {key: begins_of(each) for key, each in times.items()}
    starts = {time - time % _HOUR for each in begun.values() for time in each}
    return max(_weight_from(start, begun) for start in starts)


def _weight_from(start: int, begun: Mapping[tuple[str, float, str], Sequence[int]]) -> float:
    """What weighs together from `start` on; `begun`: by technique, weight and phase, when, in order."""
    weights: dict[str, float] = {}
    looked, took = start + PERIOD, start - 1
    for (technique, weight, phase), times in begun.items():
        first, end = bisect_left(times, start), bisect_left(times, start + PERIOD)
        if first == end:
            continue
        weights[technique] = max(weights.get(technique, 0.0), weight)
        if weight > WEIGHTS["low"]:
            looked = min(looked, times[first]) if phase in _LOOKS else looked
            took = max(took, times[end - 1]) if phase in _TAKES else took
    weak = sum(weight for weight in weights.values() if weight <= WEIGHTS["low"])
    strong = sum(weight for weight in weights.values() if weight > WEIGHTS["low"])
    return strong + min(weak, WEAK) + (CHAIN if looked <= took else 0.0)


def _largest(
    signals: Iterable[Signal], by: Callable[[Signal], str], value: Callable[[Signal], float]
) -> dict[str, float]:
    """The largest value of the signals of each kind, or of each technique."""
    largest: dict[str, float] = {}
    for signal in signals:
        largest[by(signal)] = max(largest.get(by(signal), 0.0), value(signal))
    return largest


def _kind(signal: Signal) -> str:
    return f"{signal.detector}\0{signal.kind}"


def _technique(signal: Signal) -> str:
    """What it weighs as: two rules for one technique, ours and somebody else's, say one thing."""
    return signal.techniques[0] if signal.techniques else _kind(signal)


def _joined(signals: Sequence[Signal], issued: Mapping[str, str], crowds: Mapping[str, int]) -> dict[str, str]:
    """A forest in which what belongs together has one root."""
    parents: dict[str, str] = {}
    for signal in signals:
        who = f"principal\0{signal.principal}"
        if signal.principal in ANONYMOUS:
            continue
        ties = [f"credential\0{one}" for one in signal.credentials] + [f"session\0{one}" for one in signal.sessions]
        ties += [f"principal\0{issued[one]}" for one in signal.credentials if one in issued]
        ties += [f"address\0{one}" for one in signal.addresses if _is_address(one) and 0 < crowds.get(one, 0) <= CROWD]
        for tie in ties:
            parents[_root(parents, tie)] = _root(parents, who)
    return parents


def _root(parents: dict[str, str], node: str) -> str:
    parents.setdefault(node, node)
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


def _is_address(text: str) -> bool:
    """Whether it is an address of somebody, and not of the machine itself."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_link_local)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ")")) else ".")


def _strength(signal: Signal) -> Strength:
    rank = SEVERITIES.index(signal.severity)
    return "strong" if rank >= 3 else "moderate" if rank == 2 else "weak"

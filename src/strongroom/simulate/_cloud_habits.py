"""How a person or an intruder behaves: one law for everybody. Nothing in this file knows who is honest.

Hours, weekends, pace, tools and networks are drawn here, once for each. An intruder draws from the same law.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import Any

import numpy as np

from strongroom.simulate._cloud_records import Action, Badge, Call, Origin
from strongroom.simulate._identity import draw_address, draw_network

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MEBIBYTE = 1 << 20
WHOLE = 1 << 40
_ZONES = ((-8.0, 3), (-5.0, 3), (0.0, 4), (1.0, 6), (2.0, 2), (5.5, 2), (9.0, 1))
_TLS = (("TLSv1.3", "TLS_AES_128_GCM_SHA256"), ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"))
# User agent, the versions that fill it, weight, share of TLS 1.2, part size in MiB (0: the object at once).
_TOOLS = (
    ("aws-cli/2.{} md/awscrt#0.26.1 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.12.6", (15, 27), 8, 0.1, 256),
    ("aws-cli/2.{} md/awscrt#0.26.1 ua/2.1 os/macos#24.1.0 md/arch#arm64 lang/python#3.12.6", (15, 27), 6, 0.1, 256),
    (
        "Boto3/1.{0}.9 md/Botocore#1.{0}.9 ua/2.0 os/linux#5.15.0 md/arch#x86_64 lang/python#3.11.9",
        (34, 40),
        8,
        0.3,
        64,
    ),
    ("aws-sdk-go-v2/1.{} ua/2.1 os/linux lang/go#1.23.2 md/GOOS#linux s5cmd/2.3", (30, 39), 3, 0.1, 0),
    ("rclone/v1.{}.1", (66, 71), 2, 0.1, 128),
    ("APN/1.0 HashiCorp/1.0 Terraform/1.{}.2 terraform-provider-aws/5.70.0 aws-sdk-go-v2/1.32.2", (7, 10), 3, 0.1, 0),
    ("Boto3/1.{0}.2 md/Botocore#1.{0}.2 os/macos#23.6.0 lang/python#3.12.4 sagemaker-sdk/2.2", (33, 40), 4, 0.2, 128),
)
_BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0",
)
_LOG_NORMAL = tuple(math.exp(NormalDist().inv_cdf((i + 0.5) / 1024)) for i in range(1024))
"""Quantiles of the standard log-normal law: a draw for every call has to be quick."""
_THROTTLED = {"ec2": "Client.RequestLimitExceeded", "s3": "SlowDown"}
_DENIED = {"ec2": "Client.UnauthorizedOperation"}


@dataclass(frozen=True)
class Networks:
    """Where the organisation's people come from; an address for each day where it changes."""

    office: tuple[str, ...]
    vpn: tuple[str, ...]
    cluster: tuple[str, ...]
    """Of a rented machine room elsewhere, where engineers evaluate."""


@dataclass(frozen=True)
class Habits:
    """What stays the same about one person. Hours are local, `zone` is hours ahead of UTC, times in seconds."""

    zone: float
    begin: float
    length: float
    weekend: float
    sittings: float
    pace_s: float
    pace_spread: float
    office: float
    vpn: float
    home: tuple[str, ...]
    """The address at home on each day: providers change it."""
    away: tuple[str, ...]
    """The address on each day that is spent elsewhere; empty: at home."""
    tools: tuple[Origin, ...]
    """Tools, without an address."""
    browser: Origin
    mistyped: float
    denied: float
    throttled: float


def draw_tool(rng: Random) -> Origin:
    """A tool and version; its handshake and part size go with it."""
    text, versions, _, old, part = rng.choices(_TOOLS, [tool[2] for tool in _TOOLS])[0]
    version = rng.randint(*versions)
    return Origin("", text.format(version), _TLS[rng.random() < old], "", part * MEBIBYTE or WHOLE)


def draw_browser(rng: Random) -> Origin:
    """A browser on the console."""
    return Origin("", rng.choice(_BROWSERS).format(rng.randint(128, 142)), _TLS[0])


def draw_networks(seed: int) -> Networks:
    """The organisation's own exits."""
    rng = np.random.default_rng([seed, 0x0FF1CE])
    office, vpn, cluster = (draw_network(rng) for _ in range(3))
    return Networks(_addresses(rng, office, 4), _addresses(rng, vpn, 6), _addresses(rng, cluster, 3))


def draw_habits(seed: int, name: str, days: int) -> Habits:
    """Draw one person's habits.

    >>> draw_habits(1, "ann", 14).home == draw_habits(1, "ann", 14).home
    True
    """
    rng = Random(f"{seed}/habits/{name}")  # noqa: S311
    places = np.random.default_rng([seed, rng.getrandbits(32)])
    zones, weights = zip(*_ZONES, strict=True)
    return Habits(
        zone=rng.choices(zones, weights)[0],
        begin=rng.gauss(9.0, 1.2),
        length=max(4.0, rng.gauss(8.8, 1.3)),
        weekend=rng.choice((0.0, 0.05, 0.1, 0.35)),
        sittings=rng.uniform(2.0, 6.0),
        pace_s=math.exp(rng.gauss(2.6, 0.6)),
        pace_spread=rng.uniform(0.7, 1.3),
        office=rng.choice((0.0, 0.4, 0.8)),
        vpn=rng.choice((0.05, 0.5, 0.9)),
        home=_home(places, rng, days),
        away=_away(places, rng, days),
        tools=tuple(draw_tool(rng) for _ in range(rng.choice((1, 2, 2, 3)))),
        browser=draw_browser(rng),
        mistyped=rng.choice((0.01, 0.04, 0.2)),
        denied=rng.uniform(0.002, 0.02),
        throttled=rng.uniform(0.0005, 0.004),
    )


def _addresses(rng: np.random.Generator, network: int, count: int) -> tuple[str, ...]:
    return tuple(draw_address(rng, network)[0] for _ in range(count))


def _home(places: np.random.Generator, rng: Random, days: int) -> tuple[str, ...]:
    """A provider's address that lasts from a day to weeks."""
    network, lasts = draw_network(places), rng.choice((1, 3, 7, 60))
    found, phase = _addresses(places, network, days // lasts + 3), rng.randrange(lasts)
    return tuple(found[(day + phase) // lasts] for day in range(days + 2))


def _away(places: np.random.Generator, rng: Random, days: int) -> tuple[str, ...]:
    """Three in ten people spend a few days elsewhere in a fortnight."""
    found = [""] * (days + 2)
    if rng.random() < 0.3:
        first, address = rng.randrange(days), _addresses(places, draw_network(places), 1)[0]
        for day in range(first, min(first + rng.randint(1, 4), days)):
            found[day] = address
    return tuple(found)


def place_of(habits: Habits, networks: Networks, day: int, rng: Random, *, vpn: bool | None = None) -> str:
    """The address of one sitting: office, VPN, home, or wherever the person is that day."""
    if (habits.vpn > rng.random()) if vpn is None else vpn:
        return rng.choice(networks.vpn)
    if away := habits.away[max(day, 0)]:
        return away
    return rng.choice(networks.office) if rng.random() < habits.office else habits.home[max(day, 0)]


def at(tool: Origin, address: str, endpoint: str = "") -> Origin:
    """The tool at an address."""
    return Origin(address, tool.agent, tool.tls, endpoint, tool.part_bytes)


def sitting_starts(habits: Habits, start_ms: int, day: int, rng: Random) -> list[int]:
    """When the person sits down on a day, in milliseconds since 1970; empty on a day off."""
    weekday = (start_ms // DAY_MS + day + 3) % 7  # 1970-01-01 was a Thursday
    if rng.random() < 0.06 if weekday < 5 else rng.random() >= habits.weekend:
        return []
    count = max(1, round(rng.gauss(habits.sittings, 1.0)))
    begin = start_ms + day * DAY_MS + int((habits.begin + rng.gauss(0, 0.5) - habits.zone) * HOUR_MS)
    return sorted(begin + int(rng.random() * habits.length * HOUR_MS) for _ in range(count))


@dataclass
class Hand:
    """One sitting: a clock that moves on with each call. Everybody's calls are written by it."""

    rng: Random
    now_ms: float
    badge: Badge
    origin: Origin
    defaults: dict[str, Any]
    """`region` and `account` of the calls."""
    pace_s: float
    spread: float = 1.0
    denied: float = 0.004
    throttled: float = 0.001
    refused: frozenset[str] = frozenset()
    """Services that this principal may not use: nine in ten calls to them are denied."""

    def do(self, action: Action, **args: Any) -> Iterator[Call]:
        """The call, perhaps denied; when throttled, the failed one and its retry."""
        if self.rng.random() < self.throttled:
            yield self.now(action, _THROTTLED.get(action.service, "ThrottlingException"), **args)
            self.wait(0.6 * (1 + self.rng.random()))
        chance = 0.9 if action.service in self.refused else self.denied
        error = _DENIED.get(action.service, "AccessDenied") if self.rng.random() < chance else ""
        yield self.now(action, error, **args)
        self.wait(self.pace_s * _LOG_NORMAL[self.rng.getrandbits(10)] ** self.spread)

    def now(self, action: Action, error: str = "", **args: Any) -> Call:
        """The call, with that error; the clock stands."""
        return Call(
            int(self.now_ms), self.badge, self.origin, action, {**self.defaults, **args}, self.rng.getrandbits(128),
            error,
        )  # fmt: skip

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self.now_ms += seconds * 1000

"""How an account behaves: one law for everybody, honest or not.

A benchmark in which a campaign's accounts have other hours, fewer follow-ups or shorter prompts is solved by its own
seams. So every stream of simulated traffic takes its habits and its schedule from here, and nothing in this file knows
who is honest. The only argument that differs is the mean number of requests on an active day, and it is the same by
default.

Shapes are fitted loosely to public traces and kept as the few numbers below:

* ServeGen m-large (alibaba/ServeGen, Apache-2.0), 162 clients over 14 days: share of active days has quartiles
  .21 / .71 / 1.0; the log of a client's daily volume has standard deviation .7 to 2.0 from day to day (we use less,
  for people are not data centres).
* Azure 2023 conversations (Azure/AzurePublicDataset, CC-BY-4.0): log of generated tokens 5.0 +- .85.
* Mooncake conversations (kvcache-ai/Mooncake, Apache-2.0): two thirds of the requests open a conversation; log of
  generated tokens 5.4 +- 1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

DAY_MS = 86_400_000
MAX_TURNS = 12
MIN_CHARACTERS, MAX_CHARACTERS = 24, 4_000
MAX_SESSIONS_PER_DAY = 1_500
SHORTEST_LIFE, LONGEST_LIFE = 2, 6
# What `max(1, Poisson)` and the cap on turns add to the asked mean, measured over 20,000 draws.
VOLUME_CORRECTION = 1.0

MODELS = ("m-1", "m-1-mini", "m-2", "m-2-large")
TEMPERATURES = (None, 0.0, 0.2, 0.3, 0.5, 0.7, 0.8, 1.0)
MAX_TOKENS = (None, 256, 512, 1024, 2048, 4096, 8192)
ERRORS = (429, 500, 529, 400)


class Kind(IntEnum):
    """What a request's last user message is."""

    FRESH = 0
    REPEAT = 1
    FOLLOW_UP = 2
    RETRY = 3


@dataclass(frozen=True, slots=True)
class Habits:
    """What stays the same about one account for as long as we look."""

    active_share: float
    weekend: float
    per_day: float
    day_spread: float
    peak_hour: float
    hour_spread: float
    around_the_clock: float
    sittings: float
    pace_s: float
    think_s: float
    follow_share: float
    repeat_share: float
    length_log: float
    length_spread: float
    follow_length_log: float
    output_log: float
    output_spread: float
    characters_per_token: float
    error_share: float
    main_model: int
    other_model: int
    other_model_share: float
    temperature: float | None
    max_tokens: int | None
    logprobs: bool
    typed_share: float
    addresses: int
    clients: int
    names_sessions: bool
    system_prompt: bool


def draw_habits(rng: np.random.Generator, mean_per_day: float) -> Habits:
    """Draw one account's habits.

    >>> a = draw_habits(np.random.default_rng(1), 26.0)
    >>> a == draw_habits(np.random.default_rng(1), 26.0)
    True
    """
    main = int(rng.choice(len(MODELS), p=(0.4, 0.3, 0.2, 0.1)))
    return Habits(
        active_share=float(rng.beta(0.95, 0.65)),
        weekend=float(rng.choice((0.3, 0.7, 1.0), p=(0.4, 0.25, 0.35))),
        per_day=mean_per_day * float(np.exp(rng.normal(-0.36, 0.85))) * VOLUME_CORRECTION,
        day_spread=float(rng.uniform(0.3, 0.9)),
        peak_hour=float(rng.choice((8.0, 14.0, 20.0), p=(0.3, 0.4, 0.3)) + rng.normal(0, 2.5)),
        hour_spread=float(rng.uniform(1.5, 4.5)),
        around_the_clock=float(rng.beta(0.5, 2.0)),
        sittings=float(rng.gamma(2.0, 1.0)),
        pace_s=float(np.exp(rng.normal(5.0, 1.1))),
        think_s=float(np.exp(rng.normal(3.6, 0.8))),
        follow_share=float(rng.beta(1.6, 2.2)),
        repeat_share=float(rng.beta(1.0, 14.0) if rng.random() < 0.93 else rng.beta(3.0, 3.0)),
        length_log=float(rng.normal(5.35, 0.40)),
        length_spread=float(rng.uniform(0.4, 0.8)),
        follow_length_log=float(rng.normal(4.3, 0.30)),
        output_log=float(rng.normal(5.5, 0.6)),
        output_spread=float(rng.uniform(0.5, 1.1)),
        characters_per_token=float(rng.normal(3.9, 0.25)),
        error_share=float(rng.beta(1.0, 60.0)),
        main_model=main,
        other_model=int(rng.integers(len(MODELS))),
        other_model_share=float(rng.beta(0.4, 3.0)),
        temperature=TEMPERATURES[int(rng.integers(len(TEMPERATURES)))],
        max_tokens=MAX_TOKENS[int(rng.integers(len(MAX_TOKENS)))],
        logprobs=bool(rng.random() < 0.02),
        typed_share=float(rng.beta(1.0, 30.0)),
        addresses=int(rng.choice((1, 2, 3, 4, 5), p=(0.35, 0.28, 0.19, 0.11, 0.07))),
        clients=int(rng.choice((1, 2, 3), p=(0.72, 0.22, 0.06))),
        names_sessions=bool(rng.random() < 0.6),
        system_prompt=bool(rng.random() < 0.45),
    )


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every request of one stream in time order, as columns; texts are made later, one at a time."""

    time_ms: NDArray[np.int64]
    session: NDArray[np.int32]
    kind: NDArray[np.int8]
    last: NDArray[np.bool_]
    ordinal: NDArray[np.int32]
    length: NDArray[np.int32]
    output: NDArray[np.int32]
    status: NDArray[np.int16]
    model: NDArray[np.int8]
    address: NDArray[np.int8]
    client: NDArray[np.int8]
    chance: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.time_ms)

    def fresh_lengths(self) -> NDArray[np.int32]:
        """Wanted lengths of the fresh prompts, in the order in which they are asked for."""
        rows = self.kind == Kind.FRESH
        return np.asarray(self.length[rows], dtype=np.int32)


def draw_life(rng: np.random.Generator, days: int, churn: float) -> tuple[int, int] | None:
    """First day and number of days of an account that lives for a few days only; None for one that stays.

    >>> draw_life(np.random.default_rng(1), 14, 0.0) is None
    True
    """
    length = life_days(rng)
    begin = int(rng.integers(1 - length, days))
    return (begin, length) if rng.random() < churn else None


def life_days(rng: np.random.Generator) -> int:
    """How long a short-lived account lives."""
    return int(rng.integers(SHORTEST_LIFE, LONGEST_LIFE + 1))


def draw_schedule(habits: Habits, rng: np.random.Generator, *, start_ms: int, days: int, signup_ms: int) -> Schedule:
    """Draw when a stream asks, in which conversation, and how long each text is.

    Every stream has at least one request, and none before its sign-up.
    """
    day = _session_days(habits, rng, start_ms, days, signup_ms)
    begin = _session_starts(habits, rng, day, start_ms)
    turns = np.minimum(rng.geometric(1.0 - 0.85 * habits.follow_share, len(day)), MAX_TURNS)
    rows = int(turns.sum())
    first = np.cumsum(turns) - turns
    session = np.repeat(np.arange(len(day)), turns)
    turn = np.arange(rows) - first[session]
    output = _outputs(habits, rng, rows)
    gap = rng.lognormal(np.log(habits.think_s), 0.8, rows) + output / 60.0
    gap[turn == 0] = 0.0
    elapsed = np.cumsum(gap)
    time = begin[session] + ((elapsed - elapsed[first][session]) * 1000).astype(np.int64)
    kind = np.where(turn > 0, Kind.FOLLOW_UP, Kind.FRESH)
    kind[(turn == 0) & (rng.random(rows) < habits.repeat_share)] = Kind.REPEAT
    last = turn == turns[session] - 1
    return _finish(habits, rng, (start_ms, days), time, session, kind, last, output)


def _session_days(
    habits: Habits, rng: np.random.Generator, start_ms: int, days: int, signup_ms: int
) -> NDArray[np.int64]:
    """The day of every session: some days are silent, and volume varies from day to day."""
    calendar = np.arange(days)
    weekday = (calendar + start_ms // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday
    share = np.where(weekday >= 5, habits.active_share * habits.weekend, habits.active_share)
    first_day = max(0, -(-(signup_ms - start_ms) // DAY_MS))
    active = (rng.random(days) < share) & (calendar >= first_day)
    if not active.any():
        active[int(rng.integers(min(first_day, days - 1), days))] = True
    spread = habits.day_spread
    volume = habits.per_day * np.exp(rng.normal(-spread * spread / 2, spread, days))
    mean_turns = 1.0 / (1.0 - 0.85 * habits.follow_share)
    sessions = np.clip(rng.poisson(volume / mean_turns), 1, MAX_SESSIONS_PER_DAY)
    return np.repeat(calendar, np.where(active, sessions, 0))


def _session_starts(
    habits: Habits, rng: np.random.Generator, day: NDArray[np.int64], start_ms: int
) -> NDArray[np.int64]:
    """Sessions of a day gather in a few sittings around the account's hours."""
    count = len(day)
    most = 1 + int(rng.poisson(habits.sittings))
    sitting = day * most + (rng.random(count) ** 1.5 * most).astype(np.int64)
    keys, where = np.unique(sitting, return_inverse=True)
    hour = rng.normal(habits.peak_hour, habits.hour_spread, len(keys)) % 24
    automatic = rng.random(len(keys)) < habits.around_the_clock
    hour[automatic] = rng.uniform(0, 24, int(automatic.sum()))
    order = np.argsort(where, kind="stable")
    gaps = rng.lognormal(np.log(habits.pace_s), 1.0, count)
    offset = np.cumsum(gaps)
    begins = np.searchsorted(where[order], np.arange(len(keys)))
    offset -= (offset[begins])[where[order]]
    seconds = np.empty(count)
    # A sitting does not go on for ever: what would run past eight hours starts over within them.
    seconds[order] = offset % (8 * 3600)
    into_day = (hour[where] * 3600 + seconds) % 86_400
    return np.asarray(start_ms + day * DAY_MS + (into_day * 1000).astype(np.int64), dtype=np.int64)


def _outputs(habits: Habits, rng: np.random.Generator, rows: int) -> NDArray[np.int64]:
    tokens = rng.lognormal(habits.output_log, habits.output_spread, rows)
    return np.asarray(np.clip(tokens, 1, habits.max_tokens or 8192), dtype=np.int64)


def _finish(
    habits: Habits,
    rng: np.random.Generator,
    window: tuple[int, int],
    time: NDArray[np.int64],
    session: NDArray[np.int64],
    kind: NDArray[np.int64],
    last: NDArray[np.bool_],
    output: NDArray[np.int64],
) -> Schedule:
    """Put rows in time order, add failures with their retries, and draw what each request has of its own."""
    start_ms, days = window
    rows = len(time)
    failed = rng.random(rows) < habits.error_share
    given_up = failed & last & (rng.random(rows) < 0.4)
    copies = np.where(failed & ~given_up, 2, 1)
    source = np.repeat(np.arange(rows), copies)
    again = np.concatenate(([False], source[1:] == source[:-1])) if len(source) else np.zeros(0, bool)
    status = np.where(failed[source] & ~again, rng.choice(ERRORS, len(source), p=(0.6, 0.15, 0.15, 0.1)), 200)
    time = time[source] + np.where(again, rng.integers(800, 20_000, len(source)), 0)
    kind = np.where(again, Kind.RETRY, kind[source])
    last = last[source] & (np.concatenate((~again[1:], [True])) if len(source) else again)
    order = np.lexsort((np.arange(len(source)), time))
    order = order[time[order] < start_ms + days * DAY_MS]
    if not len(order):  # a lone session that began in the last second
        order = np.array([0])
        time[0] = start_ms + days * DAY_MS - 1
    source, time, kind, status, last = source[order], time[order], kind[order], status[order], last[order]
    rows = len(order)
    kind[0] = Kind.FRESH  # nothing to repeat yet
    fresh = kind == Kind.FRESH
    center = np.where(kind == Kind.FOLLOW_UP, habits.follow_length_log, habits.length_log)
    length = np.exp(rng.normal(center, habits.length_spread, rows))
    model = np.where(rng.random(rows) < habits.other_model_share, habits.other_model, habits.main_model)
    home = rng.random(rows) ** 1.7
    return Schedule(
        time_ms=time,
        session=session[source].astype(np.int32),
        kind=kind.astype(np.int8),
        last=last,
        ordinal=(np.cumsum(fresh) - 1).astype(np.int32),
        length=np.clip(length, MIN_CHARACTERS, MAX_CHARACTERS).astype(np.int32),
        output=np.where(status == 200, output[source], 0).astype(np.int32),
        status=status.astype(np.int16),
        model=model.astype(np.int8),
        address=(home * habits.addresses).astype(np.int8),
        client=(rng.random(rows) ** 2 * habits.clients).astype(np.int8),
        chance=rng.random((rows, 3), dtype=np.float32),
    )

"""One sender's traffic as exchange log records: its schedule from the law of behaviour, its texts from a source."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from strongroom.simulate._behaviour import (
    MODELS,
    Habits,
    Kind,
    Schedule,
    draw_habits,
)
from strongroom.simulate._identity import Identity
from strongroom.simulate._text import Source, follow_up, respond

REMEMBERED = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """The simulated time: a start in milliseconds since 1970, and days."""

    start_ms: int
    days: int


@dataclass(frozen=True)
class Stream:
    """One sender. `source` makes its fresh prompts, once its schedule is known."""

    role: str
    identity: Identity
    habits: Habits
    seed: tuple[int, ...]
    schedule: Schedule
    source: Callable[[Schedule], Source]
    system: str = ""
    user_agent: str = ""
    """Of an openly used program; otherwise the sender's own clients."""

    def records(self, *, answers: bool = True) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """(time in ms, id, record) in time order; without answers the log is half as long."""
        talk = _Talk(self, self.source(self.schedule), np.random.default_rng([*self.seed, 2]), answers)
        times = self.schedule.time_ms.tolist()
        for row, time_ms in enumerate(times):
            record = talk.record(self.schedule, row)
            yield time_ms, record["id"], record


class _Talk:
    """The conversations of one sender while its records are made."""

    def __init__(self, stream: Stream, source: Source, rng: np.random.Generator, answers: bool) -> None:
        self._stream, self._source, self._answers = stream, source, answers
        self._open: dict[int, list[dict[str, str]]] = {}
        self._past: deque[str] = deque(maxlen=REMEMBERED)
        self._name = rng.bytes(6).hex()
        signup = stream.identity
        self._signup = {
            "time": stamp(signup.signup_ms),
            "payment_digest": signup.payment,
            "email_domain": signup.email_domain,
            "country": signup.country,
        }
        self._request: dict[str, object] = {"logprobs": stream.habits.logprobs}
        if stream.habits.max_tokens is not None:
            self._request["max_tokens"] = stream.habits.max_tokens
        if stream.habits.temperature is not None:
            self._request["temperature"] = stream.habits.temperature

    def record(self, schedule: Schedule, row: int) -> dict[str, Any]:
        """The record of one row; rows must be asked for in order."""
        identity, habits = self._stream.identity, self._stream.habits
        session = int(schedule.session[row])
        messages = self._messages(schedule, row, session)
        place, asn = identity.addresses[int(schedule.address[row]) % len(identity.addresses)]
        client = identity.clients[int(schedule.client[row]) % len(identity.clients)]
        status = int(schedule.status[row])
        output = int(schedule.output[row])
        record: dict[str, Any] = {
            "id": f"{self._name}-{row}",
            "time": stamp(int(schedule.time_ms[row])),
            "account": identity.account,
            "credential": identity.credentials[session % len(identity.credentials)],
            "client_address": place,
            "asn": asn,
            "tls_fingerprint": client.tls_fingerprint,
            "user_agent": self._stream.user_agent or client.user_agent,
            "operation": "chat",
            "model": MODELS[int(schedule.model[row])],
            "messages": list(messages),
            "input_tokens": int(sum(len(m["content"]) for m in messages) / max(habits.characters_per_token, 2.0)) + 4,
            "output_tokens": output,
            "status": status,
            "request": self._request,
            "signup": self._signup,
        }
        if identity.organization is not None:
            record["organization"] = identity.organization
        if identity.end_user is not None:
            record["end_user"] = identity.end_user
        if habits.names_sessions:
            record["session"] = f"{self._name}-s{session}"
        if status == 200 and self._answers:
            answer = respond(messages[-1]["content"], schedule.chance[row])
            record["response"] = answer
            messages.append({"role": "assistant", "content": answer})
        if schedule.last[row]:
            self._open.pop(session, None)
        return record

    def _messages(self, schedule: Schedule, row: int, session: int) -> list[dict[str, str]]:
        kind, length, chance = int(schedule.kind[row]), int(schedule.length[row]), schedule.chance[row]
        messages = self._open.get(session)
        if kind == Kind.RETRY and messages:
            return messages
        if kind == Kind.FOLLOW_UP and messages:
            first = next(m["content"] for m in messages if m["role"] == "user")
            text = follow_up(first, length, chance)
        elif kind == Kind.REPEAT and self._past:
            text = self._past[int(chance[0] * len(self._past))]
        else:
            text = self._source.fresh(int(schedule.ordinal[row]), length, chance)
            self._past.append(text)
        if messages is None or kind in (Kind.FRESH, Kind.REPEAT):
            messages = [{"role": "system", "content": self._stream.system}] if self._stream.system else []
            self._open[session] = messages
        messages.append({"role": "user", "content": text})
        return messages


def stamp(time_ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC.

    >>> stamp(1_000)
    '1970-01-01T00:00:01.000Z'
    """
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"


def habits_of(seed: tuple[int, ...], mean_per_day: float) -> Habits:
    """The law's draw for one sender."""
    return draw_habits(np.random.default_rng([*seed, 0]), mean_per_day)

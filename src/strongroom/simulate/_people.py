"""Honest individuals: each asks about their own matter, now and then wraps it in a template of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from strongroom.simulate._behaviour import DAY_MS, Schedule, draw_life, draw_schedule
from strongroom.simulate._identity import Identity, draw_identity
from strongroom.simulate._library import Dealer, Domain
from strongroom.simulate._material import Material, own_system_prompt
from strongroom.simulate._phrases import REQUIREMENTS
from strongroom.simulate._streams import Stream, Window, habits_of
from strongroom.simulate._text import Exact, OwnWork, Source, Wrapped, draw_manner

OWN_TEMPLATE = 0.35
"""Share of people who put their prompts into a template of their own: scripts, text expanders."""
TYPED_PER_ACCOUNT = 3.0
"""Typed prompts that the law would give to an account in a fortnight, were there enough of them."""

Write = Callable[[np.random.Generator, Schedule], Source]
Change = Callable[[Identity], Identity]


@dataclass(frozen=True)
class Draft:
    """A sender before it has a source: who, when, and with what matter."""

    seed: tuple[int, ...]
    identity: Identity
    schedule: Schedule
    system: bool
    domains: tuple[Domain, ...]
    typed: tuple[tuple[str, ...], ...]


@dataclass
class Makers:
    """What the makers of streams share: material, window, and the matter that is still free."""

    seed: int
    material: Material
    window: Window
    mean_per_day: float
    people: int = 0
    churn: float = 0.0
    """Share of accounts that live for a few days only."""
    resellers: list[Identity] = field(default_factory=list)
    """The servers of each reseller made so far."""

    def __post_init__(self) -> None:
        self._dealer = Dealer(self.material.honest)
        self._typed = 1  # the first one is the viral prompt
        self._typed_share = min(1.0, len(self.material.typed) / (TYPED_PER_ACCOUNT * max(self.people, 1)))
        self._count = 0

    def deal(self, need: int, rng: np.random.Generator) -> Domain:
        """Matter that nobody else has. Raises ValueError when the material holds too little."""
        return self._dealer.deal(need, rng)

    def draft(self, *, subjects: int = 1, life: tuple[int, int] | None = None) -> Draft:
        """Draw the next sender, independently of all others. `life`: first day and number of days."""
        self._count += 1
        seed = (self.seed, 77, self._count)
        habits = habits_of(seed, self.mean_per_day)
        window = self.window
        identity = draw_identity(
            np.random.default_rng([*seed, 3]),
            addresses=habits.addresses,
            clients=habits.clients,
            start_ms=window.start_ms,
            days=window.days,
        )
        rng = np.random.default_rng([*seed, 6])
        begin, days = life or draw_life(rng, window.days, self.churn) or (0, 0)
        if days:
            signup = window.start_ms + begin * DAY_MS - int(rng.uniform(0.0, 1.0) * DAY_MS)
            identity = replace(identity, signup_ms=signup)
        first = max(begin, 0)
        last = min(begin + days, window.days) if days else window.days
        schedule = draw_schedule(
            habits,
            np.random.default_rng([*seed, 1]),
            start_ms=window.start_ms + first * DAY_MS,
            days=max(last - first, 1),
            signup_ms=identity.signup_ms,
        )
        need = int(schedule.fresh_lengths().sum())
        domains = tuple(self.deal(need // subjects + 500, rng) for _ in range(subjects))
        fresh = len(schedule.fresh_lengths())
        typed = tuple(self._some_typed(rng, habits.typed_share * fresh / subjects) for _ in range(subjects))
        return Draft(seed, identity, schedule, habits.system_prompt, domains, typed)

    def _some_typed(self, rng: np.random.Generator, expected: float) -> tuple[str, ...]:
        """Typed prompts for one person; there are few, and nobody else gets the same."""
        begin = self._typed
        self._typed = min(begin + int(rng.poisson(expected * self._typed_share)), len(self.material.typed))
        return tuple(self.material.typed[i] for i in range(begin, self._typed))

    def stream(
        self,
        role: str,
        draft: Draft,
        source: Write,
        *,
        change: Change = lambda identity: identity,
        system: str | None = None,
        about: str = "",
        user_agent: str = "",
    ) -> Stream:
        """A stream of the law. `system` None: a system prompt of the sender's own, if the law gives them one."""
        seed = draft.seed
        if system is None:
            about = about or (draft.domains[0].texts[0] if draft.domains else "")
            own = draft.system and about
            system = own_system_prompt(np.random.default_rng([*seed, 4]), about) if own else ""
        return Stream(
            role=role,
            identity=change(draft.identity),
            habits=habits_of(seed, self.mean_per_day),
            seed=seed,
            schedule=draft.schedule,
            source=lambda schedule: source(np.random.default_rng([*seed, 5]), schedule),
            system=system,
            user_agent=user_agent,
        )


def own_work(draft: Draft, rng: np.random.Generator, which: int = 0) -> OwnWork:
    """Questions of one person about their own matter."""
    manner = draw_manner(rng)
    fresh = max(len(draft.schedule.fresh_lengths()), 1)
    typed = draft.typed[which]
    return OwnWork(draft.domains[which].texts, typed, len(typed) / fresh, manner, int(rng.integers(1 << 31)))


def individual(makers: Makers, *, change: Change = lambda identity: identity) -> Stream:
    """One honest person with matter of their own; a third use a template of their own, as scripts do."""
    draft = makers.draft()
    template = maybe_template(draft.seed, draft.domains[0].texts)

    def source(rng: np.random.Generator, _: Schedule) -> Source:
        work = own_work(draft, rng)
        return Wrapped(work, template) if template else work

    return makers.stream("script" if template else "individual", draft, source, change=change)


def viral_reader(makers: Makers) -> Stream:
    """A person who pastes a prompt that everybody passes on, once or twice."""
    draft = makers.draft()
    prompt = makers.material.typed[0]

    def source(rng: np.random.Generator, _: Schedule) -> Source:
        return Exact([prompt] * int(rng.integers(1, 3)), 0.05, own_work(draft, rng))

    return makers.stream("viral prompt", draft, source)


def maybe_template(seed: tuple[int, ...], texts: Sequence[str]) -> str:
    """A wrapper that one person wrote, for a third of all; "" for the others."""
    rng = np.random.default_rng([*seed, 7])
    if rng.random() >= OWN_TEMPLATE or not texts:
        return ""
    words = " ".join(texts[int(rng.integers(len(texts)))].split())
    begin = int(rng.integers(max(1, len(words) - 70)))
    about = words[begin : begin + int(rng.integers(25, 70))].replace("{", "(").replace("}", ")")
    chosen = rng.choice(len(REQUIREMENTS), int(rng.integers(1, 3)), replace=False)
    end = " ".join(REQUIREMENTS[int(i)] for i in chosen)
    return f"[{about}]\n{{instruction}}\n--\n{end}" if rng.random() < 0.5 else f"{about}:\n{{instruction}}\n{end}"

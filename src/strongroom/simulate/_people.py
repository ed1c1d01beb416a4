"""Honest individuals: each asks about their own subject, now and then wraps it in a template of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from strongroom.simulate._behaviour import Schedule
from strongroom.simulate._identity import Identity, draw_identity
from strongroom.simulate._material import Domain, Material, own_system_prompt
from strongroom.simulate._phrases import REQUIREMENTS
from strongroom.simulate._streams import Stream, Window, habits_of
from strongroom.simulate._text import Exact, OwnWork, Source, Wrapped, draw_manner

OWN_TEMPLATE = 0.35
"""Share of people who put their prompts into a template of their own: scripts, text expanders."""


@dataclass
class Makers:
    """What the makers of streams share: material, window, and the subjects that are still free."""

    seed: int
    material: Material
    window: Window
    mean_per_day: float

    def __post_init__(self) -> None:
        self._domains: Iterator[Domain] = iter(self.material.honest)
        self._count = 0

    def next_domain(self) -> Domain:
        """A subject that nobody else has. Raises ValueError when the material holds too few."""
        domain = next(self._domains, None)
        if domain is None:
            raise ValueError("the material holds fewer subjects than the plan has people")
        return domain

    def next_seed(self) -> tuple[int, ...]:
        """A seed for the next stream, so that each is drawn independently of all others."""
        self._count += 1
        return (self.seed, 77, self._count)

    def identity(self, seed: tuple[int, ...]) -> Identity:
        """Who the next sender is."""
        habits = habits_of(seed, self.mean_per_day)
        return draw_identity(
            np.random.default_rng([*seed, 3]),
            addresses=habits.addresses,
            clients=habits.clients,
            start_ms=self.window.start_ms,
            days=self.window.days,
        )

    def stream(
        self,
        role: str,
        source: Callable[[np.random.Generator, Schedule], Source],
        *,
        change: Callable[[Identity], Identity] = lambda identity: identity,
        system: str | None = None,
        about: str = "",
        user_agent: str = "",
    ) -> Stream:
        """A stream of the law. `system` None: a system prompt of the sender's own, if the law gives them one."""
        seed = self.next_seed()
        habits = habits_of(seed, self.mean_per_day)
        rng = np.random.default_rng([*seed, 4])
        if system is None:
            system = own_system_prompt(rng, about) if habits.system_prompt and about else ""
        return Stream(
            role=role,
            identity=change(self.identity(seed)),
            habits=habits,
            seed=seed,
            source=lambda schedule: source(np.random.default_rng([*seed, 5]), schedule),
            system=system,
            user_agent=user_agent,
        )

    def own_work(self, domain: Domain, rng: np.random.Generator) -> Source:
        """Questions of one person about one subject."""
        share = float(rng.beta(1.0, 30.0))
        manner = draw_manner(rng)
        return OwnWork(domain.texts, self.material.typed, share, manner, int(rng.integers(1 << 31)))


def individual(makers: Makers, *, change: Callable[[Identity], Identity] = lambda identity: identity) -> Stream:
    """One honest person with a subject of their own; a third use a template of their own."""
    domain = makers.next_domain()

    def source(rng: np.random.Generator, _: Schedule) -> Source:
        template = own_template(rng, domain) if rng.random() < OWN_TEMPLATE else ""
        work = makers.own_work(domain, rng)
        return Wrapped(work, template) if template else work

    return makers.stream("individual", source, change=change, about=domain.texts[0])


def viral_reader(makers: Makers, prompt: str) -> Stream:
    """A person who pastes a prompt that everybody passes on, once or twice."""
    domain = makers.next_domain()

    def source(rng: np.random.Generator, _: Schedule) -> Source:
        return Exact([prompt] * int(rng.integers(1, 3)), 0.05, makers.own_work(domain, rng))

    return makers.stream("viral prompt", source, about=domain.texts[0])


def own_template(rng: np.random.Generator, domain: Domain) -> str:
    """A wrapper that one person wrote: some words of their subject, some stock requirements."""
    words = " ".join(domain.texts[int(rng.integers(len(domain.texts)))].split())
    begin = int(rng.integers(max(1, len(words) - 70)))
    about = words[begin : begin + int(rng.integers(25, 70))].replace("{", "(").replace("}", ")")
    chosen = rng.choice(len(REQUIREMENTS), int(rng.integers(1, 3)), replace=False)
    end = " ".join(REQUIREMENTS[int(i)] for i in chosen)
    return f"[{about}]\n{{instruction}}\n--\n{end}" if rng.random() < 0.5 else f"{about}:\n{{instruction}}\n{end}"

"""The simulated campaign: accounts that work through one list of instructions, each item once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from strongroom.simulate._behaviour import Schedule
from strongroom.simulate._identity import Identity, draw_address, draw_identity, hexadecimal
from strongroom.simulate._people import Makers
from strongroom.simulate._streams import Stream
from strongroom.simulate._text import Either, Items, Manner, Source, Wrapped, draw_manner

ACCOUNTS_PER_ADDRESS = 14
ACCOUNTS_PER_PAYMENT = 10


@dataclass(frozen=True)
class Campaign:
    """What a simulated campaign is like. Its behaviour is drawn from the law that honest accounts follow."""

    accounts: int = 200
    level: Literal["one_key", "shared_addresses", "separate_addresses"] = "separate_addresses"
    template: str | None = None
    """A prompt with {instruction} in it, or None: each account asks in a manner of its own."""
    cover: float = 0.0
    """Share of fresh prompts that are about a subject of the account's own, as honest people's are."""


class Shares:
    """Deals the harvest out: contiguous runs of one shuffle, so that no item comes twice before all came once."""

    def __init__(self, makers: Makers, rng: np.random.Generator) -> None:
        material = makers.material
        self._harvest, self._context = material.harvest, material.harvest_context
        self._shuffle = _shuffled(len(self._harvest), rng), _shuffled(len(self._context), rng)
        self._next = [0, 0]

    def deal(self, lengths: Sequence[int]) -> tuple[list[str], list[bool]]:
        """One item for each wanted length: an instruction, or where that is too short a text to ask about."""
        items: list[str] = []
        about: list[bool] = []
        for length in lengths:
            item = self._take(0)
            longer = len(item) * 1.3 < length
            while longer and len(item) < length:
                item += "\n\n" + self._take(1)
            items.append(item)
            about.append(longer)
        return items, about

    def _take(self, which: int) -> str:
        source = (self._harvest, self._context)[which]
        order = self._shuffle[which]
        place = self._next[which]
        self._next[which] += 1
        return source[place % len(source)] if order is None else source[int(order[place % len(order)])]


def _shuffled(count: int, rng: np.random.Generator) -> np.ndarray | None:
    """A generated list of millions needs no shuffle: its items are independent already."""
    return rng.permutation(count) if count <= 1_000_000 else None


def campaign_streams(makers: Makers, campaign: Campaign, rng: np.random.Generator) -> Iterator[Stream]:
    """The campaign's accounts."""
    shares = Shares(makers, rng)
    key = draw_identity(rng, addresses=3, clients=1, start_ms=makers.window.start_ms, days=makers.window.days)
    pool = [draw_address(rng, 11) for _ in range(max(campaign.accounts // ACCOUNTS_PER_ADDRESS, 2))]
    payments = ["pay_" + hexadecimal(rng, 16) for _ in range(max(campaign.accounts // ACCOUNTS_PER_PAYMENT, 2))]
    for number in range(campaign.accounts):
        domain = makers.next_domain() if campaign.cover > 0 else None

        def change(identity: Identity, number: int = number) -> Identity:
            if campaign.level == "one_key":
                return key
            if campaign.level == "shared_addresses":
                spare = [pool[int(i)] for i in rng.integers(0, len(pool), len(identity.addresses) - 1)]
                places = [pool[number % len(pool)], *spare]
                return replace(identity.moved_to(places), payment=payments[number % len(payments)])
            return identity

        def source(own: np.random.Generator, schedule: Schedule, domain: object = domain) -> Source:
            items, about = shares.deal(schedule.fresh_lengths().tolist())
            asked: Source = Items(items or [""], about or [False], draw_manner(own))
            if campaign.template:
                asked = Wrapped(Items(items or [""], about or [False], _PLAIN), campaign.template)
            if domain is not None:
                asked = Either(makers.own_work(domain, own), asked, campaign.cover)  # type: ignore[arg-type]
            return asked

        yield makers.stream("campaign", source, change=change, about=_matter(makers, number))


_PLAIN = Manner(openers=("",), after=0.0, requirement=0.0)


def _matter(makers: Makers, number: int) -> str:
    """Words for an own system prompt, which the law gives to some accounts of a campaign as to anybody."""
    return makers.material.honest[-1 - number % max(len(makers.material.honest) // 4, 1)].texts[-1]

"""The simulated campaign: accounts that work through one list of instructions, each item once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from strongroom.simulate._behaviour import Schedule, life_days
from strongroom.simulate._harvest import Harvest
from strongroom.simulate._identity import Identity, draw_address, draw_identity, draw_network, hexadecimal
from strongroom.simulate._people import Change, Draft, Makers, maybe_template, own_work
from strongroom.simulate._streams import Stream
from strongroom.simulate._text import Either, Items, Manner, Source, Wrapped, draw_manner

ACCOUNTS_PER_ADDRESS = 14
ACCOUNTS_PER_PAYMENT = 10
RESELLERS_USED = 2
SHORTEST_ITEM = 40


@dataclass(frozen=True)
class Campaign:
    """What a simulated campaign is like. Its behaviour is drawn from the law that honest accounts follow."""

    accounts: int = 200
    level: Literal["one_key", "shared_addresses", "separate_addresses", "resellers"] = "separate_addresses"
    """`resellers`: its accounts are end users of resellers that have honest end users too."""
    template: str | None = None
    """A prompt with {instruction} in it, or None: each account asks in a manner of its own."""
    cover: float = 0.0
    """Share of fresh prompts that are about matter of the account's own, as honest people's are."""
    replaced: bool = False
    """Each account lives a few days, then a new one takes over its share; `accounts` work at one time."""
    joined: bool = False
    """Prompts are several items in a row: for sets of short wordings."""


def campaign_streams(
    makers: Makers, campaign: Campaign, rng: np.random.Generator, elsewhere: Change
) -> Iterator[Stream]:
    """The campaign's accounts. `elsewhere` puts some of them behind addresses that strangers use too, like anybody."""
    material = makers.material
    subjects = 1 if campaign.cover > 0 else 0
    drafts = [makers.draft(subjects=subjects, life=life) for life in _lives(makers, campaign, rng)]
    wanted = sum(len(draft.schedule.fresh_lengths()) for draft in drafts)
    harvest = Harvest(material.harvest, material.harvest_context, rng, wanted=wanted, joined=campaign.joined)
    change = _Places(makers, campaign, rng, elsewhere)
    for number, draft in enumerate(drafts):
        matter = _matter(makers, number)

        def source(own: np.random.Generator, schedule: Schedule, draft: Draft = draft, matter: str = matter) -> Source:
            return _source(harvest, campaign, draft, matter, own, schedule)

        yield makers.stream(
            "campaign",
            draft,
            source,
            change=lambda identity, number=number: change(identity, number),  # type: ignore[misc]
            about=matter,
        )


def _lives(makers: Makers, campaign: Campaign, rng: np.random.Generator) -> Iterator[tuple[int, int] | None]:
    """First day and days of each account in turn; None: it stays."""
    for _ in range(campaign.accounts):
        if not campaign.replaced:
            yield None
            continue
        length = life_days(rng)
        begin = -int(rng.integers(length))
        while begin < makers.window.days:
            yield begin, length
            begin += length
            length = life_days(rng)


def _source(
    harvest: Harvest, campaign: Campaign, draft: Draft, matter: str, own: np.random.Generator, schedule: Schedule
) -> Source:
    template = campaign.template or maybe_template(draft.seed, [matter])
    manner = _PLAIN if campaign.template else draw_manner(own)
    lengths = schedule.fresh_lengths() - (len(template) - len("{instruction}") if template else 0)
    items = [harvest.deal(length) for length in np.maximum(lengths, SHORTEST_ITEM).tolist()]
    asked: Source = Items(items or [("", False)], manner)
    if campaign.cover > 0:
        asked = Either(own_work(draft, own), asked, campaign.cover)
    return Wrapped(asked, template) if template else asked


_PLAIN = Manner(openers=("",), after=0.0, requirement=0.0)


class _Places:
    """Where the campaign's accounts come from, and who pays."""

    def __init__(self, makers: Makers, campaign: Campaign, rng: np.random.Generator, elsewhere: Change) -> None:
        self._level, self._rng, self._elsewhere = campaign.level, rng, elsewhere
        start, days = makers.window.start_ms, makers.window.days
        self._key = draw_identity(rng, addresses=3, clients=1, start_ms=start, days=days)
        self._resellers = makers.resellers[:RESELLERS_USED] or [self._key]
        network = draw_network(rng)
        self._pool = [draw_address(rng, network) for _ in range(max(campaign.accounts // ACCOUNTS_PER_ADDRESS, 2))]
        count = max(campaign.accounts // ACCOUNTS_PER_PAYMENT, 2)
        self._payments = ["pay_" + hexadecimal(rng, 16) for _ in range(count)]

    def __call__(self, identity: Identity, number: int) -> Identity:
        if self._level == "one_key":
            return self._key
        if self._level == "resellers":
            base = self._resellers[number % len(self._resellers)]
            return replace(base, end_user="u" + identity.account[-8:], country=identity.country)
        if self._level == "shared_addresses":
            pool, payments = self._pool, self._payments
            spare = [pool[int(i)] for i in self._rng.integers(0, len(pool), len(identity.addresses) - 1)]
            moved = identity.moved_to([pool[number % len(pool)], *spare])
            return replace(moved, payment=payments[number % len(payments)])
        return self._elsewhere(identity)


def _matter(makers: Makers, number: int) -> str:
    """Words for an own system prompt, which the law gives to some accounts of a campaign as to anybody."""
    source = makers.material.harvest_context or makers.material.harvest
    return source[number * 7 % len(source)]

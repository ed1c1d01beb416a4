"""Honest groups that look alike for an honest reason. Each is one function that makes the group's streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from strongroom.simulate._behaviour import Schedule
from strongroom.simulate._identity import Identity, draw_address, draw_identity, draw_network, hexadecimal
from strongroom.simulate._material import Program
from strongroom.simulate._people import Change, Draft, Makers, own_work
from strongroom.simulate._streams import Stream
from strongroom.simulate._study import Shelf
from strongroom.simulate._text import Either, Exact, OwnWork, Source, Study, Wrapped, draw_manner

COMPANY_MATTER = 60_000
"""Characters of the matter that all seats of a company ask about."""


def program_users(makers: Makers, program: Program, count: int) -> Iterator[Stream]:
    """Unrelated users of one program, which sends its system prompt and template for all; each asks about their own."""
    for _ in range(count):
        draft = makers.draft()
        yield makers.stream(
            f"program {program.name}",
            draft,
            lambda rng, _, draft=draft: Wrapped(own_work(draft, rng), program.template),  # type: ignore[misc]
            system=program.system.replace("{date}", "2026-11-01"),
            user_agent=program.user_agent,
        )


def school_class(makers: Makers, rng: np.random.Generator, count: int, *, mail: str | None) -> Iterator[Stream]:
    """Pupils behind one campus address who paste the same assignments and do their own work; `mail`: at school."""
    campus_network = draw_network(rng)
    campus = [draw_address(rng, campus_network) for _ in range(2)]
    tasks = [makers.material.assignments[i] for i in rng.choice(len(makers.material.assignments), 12, replace=False)]
    for _ in range(count):
        draft = makers.draft()

        def source(own: np.random.Generator, _: Schedule, draft: Draft = draft) -> Source:
            mine = [tasks[i] for i in own.permutation(len(tasks))[: int(own.integers(6, 13))]]
            return Exact(mine, 0.35, own_work(draft, own))

        yield makers.stream("class" if mail else "class with free mail", draft, source, change=_at(campus, mail=mail))


def company(makers: Makers, rng: np.random.Generator, count: int) -> Iterator[Stream]:
    """Seats of one company: organisation, payment, address, an internal template and its matter in common."""
    change = _openly_together(rng)
    template = "Internal assistant of the support desk. Use our tone of voice.\n\n{instruction}\n\nSign as the team."
    shared = makers.deal(COMPANY_MATTER, rng).texts
    for _ in range(count):
        draft = makers.draft()

        def source(rng: np.random.Generator, _: Schedule, draft: Draft = draft) -> Source:
            together = OwnWork(shared, (), 0.0, draw_manner(rng), int(rng.integers(1 << 31)))
            return Wrapped(Either(together, own_work(draft, rng), 0.5), template)

        system = "You help the support desk of our company."
        yield makers.stream("company", draft, source, change=change, system=system)


def evaluators(makers: Makers, count: int) -> Iterator[Stream]:
    """Unrelated people who run one public benchmark under one harness: the same texts in another order."""
    harness = "The following is a multiple choice question. Answer with the letter only.\n\n{instruction}\nAnswer:"
    questions = makers.material.benchmark

    def source(rng: np.random.Generator, schedule: Schedule) -> Source:
        wanted = max(len(schedule.fresh_lengths()), 1)
        order = rng.permutation(len(questions))
        chosen = [questions[int(order[i % len(order)])] for i in range(wanted)]
        return Wrapped(Exact(chosen, 1.0, None), harness)

    for _ in range(count):
        yield makers.stream("evaluation", makers.draft(subjects=0), source)


def narrow_products(makers: Makers, each: int) -> Iterator[Stream]:
    """Single accounts of narrow products, several unrelated ones in one trade."""
    for trade, queries in makers.material.trades.items():
        for product in range(each):

            def source(rng: np.random.Generator, schedule: Schedule, queries: Sequence[str] = queries) -> Source:
                wanted = max(len(schedule.fresh_lengths()), 1)
                return Exact([queries[int(i)] for i in rng.integers(0, len(queries), wanted)], 1.0, None)

            system = f"You are the assistant of {trade} product {product}. Answer questions of customers only."
            yield makers.stream(f"narrow product {trade}", makers.draft(subjects=0), source, system=system)


def reseller(makers: Makers, rng: np.random.Generator, end_users: int) -> Iterator[Stream]:
    """One account that names its end users; all of them come from its servers."""
    window = makers.window
    base = draw_identity(rng, addresses=2, clients=1, start_ms=window.start_ms, days=window.days)
    makers.resellers.append(base)

    def change(identity: Identity) -> Identity:
        return replace(base, end_user="u" + identity.account[-8:], country=identity.country)

    for _ in range(end_users):
        draft = makers.draft()
        yield makers.stream(
            "reseller",
            draft,
            lambda rng, _, draft=draft: own_work(draft, rng),  # type: ignore[misc]
            change=change,
        )


def learners(makers: Makers, count: int) -> Iterator[Stream]:
    """People who study the harvested subject: its other part, a persistent focus each, in their own words."""
    shelf, texts = Shelf(makers.material.study), len(makers.material.study)
    for _ in range(count):
        draft = makers.draft()

        def source(rng: np.random.Generator, _: Schedule, draft: Draft = draft) -> Source:
            # A focus is one thing and what is nearest to it, gone back to again and again.
            focus = shelf.focus(int(rng.integers(texts)), int(rng.integers(20, 60)))
            questions = Study(focus, draw_manner(rng), int(rng.integers(1 << 31)))
            return Either(questions, own_work(draft, rng), float(rng.uniform(0.5, 0.95)))

        yield makers.stream("learner", draft, source)


def tutors(makers: Makers, count: int) -> Iterator[Stream]:
    """Translators and tutors: a template of their own over other people's diverse material."""
    for _ in range(count):
        draft = makers.draft(subjects=2)

        def source(rng: np.random.Generator, _: Schedule, draft: Draft = draft) -> Source:
            mixed = Either(own_work(draft, rng, 0), own_work(draft, rng, 1), 0.5)
            greeting = hexadecimal(rng, 5)
            return Wrapped(mixed, f"Lesson {greeting}. For my pupil, at their level:\n{{instruction}}")

        yield makers.stream("tutor", draft, source)


def sharding_organisation(makers: Makers, rng: np.random.Generator, count: int) -> Iterator[Stream]:
    """An organisation that openly spreads one dataset over its accounts."""
    change = _openly_together(rng)
    rows = makers.material.dataset
    template = "Label the review with one word: positive, negative or mixed.\n{instruction}"
    for number in range(count):

        def source(_: np.random.Generator, schedule: Schedule, number: int = number) -> Source:
            wanted = max(len(schedule.fresh_lengths()), 1)
            chosen = [rows[(number + i * count) % len(rows)] for i in range(wanted)]
            return Wrapped(Exact(chosen, 1.0, None), template)

        yield makers.stream("sharding organisation", makers.draft(subjects=0), source, change=change)


def _openly_together(rng: np.random.Generator) -> Change:
    organization, payment = "org_" + hexadecimal(rng, 8), "pay_" + hexadecimal(rng, 16)
    mail, place = f"{hexadecimal(rng, 6)}.example", (draw_address(rng, draw_network(rng)),)

    def change(identity: Identity) -> Identity:
        return replace(identity, organization=organization, payment=payment, email_domain=mail, addresses=place)

    return change


def behind_shared_addresses(rng: np.random.Generator, people: int) -> Change:
    """Carrier NAT and VPN exits: some people share an address with strangers some of the time."""
    carrier, exits = draw_network(rng), draw_network(rng)
    nat = [draw_address(rng, carrier) for _ in range(max(people // 60, 3))]
    vpn = [draw_address(rng, exits) for _ in range(max(people // 200, 3))]

    def change(identity: Identity) -> Identity:
        pick = rng.random()
        if pick < 0.15:
            return identity.moved_to([*identity.addresses, nat[int(rng.integers(len(nat)))]])
        if pick < 0.20:
            return identity.moved_to([*identity.addresses, *(vpn[int(i)] for i in rng.integers(0, len(vpn), 2))])
        return identity

    return change


def _at(places: Sequence[tuple[str, int]], *, mail: str | None) -> Change:
    def change(identity: Identity) -> Identity:
        moved = identity.moved_to([*places, identity.addresses[0]])
        return moved if mail is None else replace(moved, email_domain=mail)

    return change

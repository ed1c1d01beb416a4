"""Honest groups that look alike for an honest reason. Each is one function that makes the group's streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from strongroom.simulate._behaviour import Schedule
from strongroom.simulate._identity import Identity, draw_address, draw_identity, hexadecimal
from strongroom.simulate._material import Program
from strongroom.simulate._people import Makers
from strongroom.simulate._streams import Stream
from strongroom.simulate._text import Either, Exact, Source, Study, Wrapped, draw_manner

Change = Callable[[Identity], Identity]


def program_users(makers: Makers, program: Program, count: int) -> Iterator[Stream]:
    """Unrelated users of one program, which sends its system prompt and template for all; each asks about their own."""
    for _ in range(count):
        domain = makers.next_domain()
        yield makers.stream(
            f"program {program.name}",
            lambda rng, _, domain=domain: Wrapped(makers.own_work(domain, rng), program.template),  # type: ignore[misc]
            system=program.system.replace("{date}", "2026-11-01"),
            user_agent=program.user_agent,
        )


def school_class(makers: Makers, rng: np.random.Generator, count: int, *, mail: str | None) -> Iterator[Stream]:
    """Pupils behind one campus address who paste the same assignments and do their own work; `mail`: at school."""
    campus = [draw_address(rng, 17) for _ in range(2)]
    tasks = [makers.material.assignments[i] for i in rng.choice(len(makers.material.assignments), 12, replace=False)]
    for _ in range(count):
        domain = makers.next_domain()

        def source(
            own: np.random.Generator, _: Schedule, domain: object = domain, tasks: Sequence[str] = tasks
        ) -> Source:
            mine = [tasks[i] for i in own.permutation(len(tasks))[: int(own.integers(6, 13))]]
            return Exact(mine, 0.35, makers.own_work(domain, own))  # type: ignore[arg-type]

        yield makers.stream("class" if mail else "class with free mail", source, change=_at(campus, mail=mail))


def company(makers: Makers, rng: np.random.Generator, count: int) -> Iterator[Stream]:
    """Seats of one company: organisation, payment, address and an internal template in common."""
    office, mail = [draw_address(rng, 23)], f"{hexadecimal(rng, 6)}.example"
    organization, payment = "org_" + hexadecimal(rng, 8), "pay_" + hexadecimal(rng, 16)
    template = "Internal assistant of the support desk. Use our tone of voice.\n\n{instruction}\n\nSign as the team."
    shared = makers.next_domain()
    for _ in range(count):
        own = makers.next_domain()

        def source(rng: np.random.Generator, _: Schedule, own: object = own) -> Source:
            mixed = Either(makers.own_work(shared, rng), makers.own_work(own, rng), 0.5)  # type: ignore[arg-type]
            return Wrapped(mixed, template)

        def change(identity: Identity) -> Identity:
            return replace(
                identity, organization=organization, payment=payment, email_domain=mail, addresses=tuple(office)
            )

        yield makers.stream("company", source, change=change, system="You help the support desk of our company.")


def evaluators(makers: Makers, count: int) -> Iterator[Stream]:
    """Unrelated people who run one public benchmark under one harness: the same texts in another order."""
    harness = "The following is a multiple choice question. Answer with the letter only.\n\n{instruction}\nAnswer:"
    questions = makers.material.benchmark
    for _ in range(count):

        def source(rng: np.random.Generator, schedule: Schedule) -> Source:
            wanted = max(len(schedule.fresh_lengths()), 1)
            order = rng.permutation(len(questions))
            chosen = [questions[int(order[i % len(order)])] for i in range(wanted)]
            return Wrapped(Exact(chosen, 1.0, None), harness)

        yield makers.stream("evaluation", source)


def narrow_products(makers: Makers, each: int) -> Iterator[Stream]:
    """Single accounts of narrow products, several unrelated ones in one trade."""
    for trade, queries in makers.material.trades.items():
        for product in range(each):

            def source(rng: np.random.Generator, schedule: Schedule, queries: Sequence[str] = queries) -> Source:
                wanted = max(len(schedule.fresh_lengths()), 1)
                return Exact([queries[int(i)] for i in rng.integers(0, len(queries), wanted)], 1.0, None)

            system = f"You are the assistant of {trade} product {product}. Answer questions of customers only."
            yield makers.stream(f"narrow product {trade}", source, system=system)


def reseller(makers: Makers, rng: np.random.Generator, end_users: int) -> Iterator[Stream]:
    """One account that names its end users; all of them come from its servers."""
    base = draw_identity(rng, addresses=2, clients=1, start_ms=makers.window.start_ms, days=makers.window.days)
    for number in range(end_users):
        domain = makers.next_domain()

        def change(identity: Identity, number: int = number) -> Identity:
            return replace(base, end_user=f"u{number:03d}", country=identity.country)

        yield makers.stream(
            "reseller",
            lambda rng, _, domain=domain: makers.own_work(domain, rng),  # type: ignore[misc]
            change=change,
            system="You are the assistant of a platform with many customers.",
        )


def learners(makers: Makers, count: int) -> Iterator[Stream]:
    """People who study the harvested subject: its other part, a persistent focus each, in their own words."""
    study = makers.material.study
    for _ in range(count):
        domain = makers.next_domain()

        def source(rng: np.random.Generator, _: Schedule, domain: object = domain) -> Source:
            # A focus is a narrow run of the material, gone back to again and again.
            begin, width = int(rng.integers(len(study))), int(rng.integers(20, 60))
            focus = [study[(begin + i) % len(study)] for i in range(width)]
            questions = Study(focus, draw_manner(rng), int(rng.integers(1 << 31)))
            return Either(questions, makers.own_work(domain, rng), float(rng.uniform(0.5, 0.95)))  # type: ignore[arg-type]

        yield makers.stream("learner", source, about=domain.texts[0])


def tutors(makers: Makers, count: int) -> Iterator[Stream]:
    """Translators and tutors: a template of their own over other people's diverse material."""
    for _ in range(count):
        one, two = makers.next_domain(), makers.next_domain()

        def source(rng: np.random.Generator, _: Schedule, one: object = one, two: object = two) -> Source:
            mixed = Either(makers.own_work(one, rng), makers.own_work(two, rng), 0.5)  # type: ignore[arg-type]
            greeting = hexadecimal(rng, 5)
            return Wrapped(mixed, f"Lesson {greeting}. For my pupil, at their level:\n{{instruction}}")

        yield makers.stream("tutor", source)


def sharding_organisation(makers: Makers, rng: np.random.Generator, count: int) -> Iterator[Stream]:
    """An organisation that openly spreads one dataset over its accounts."""
    organization, payment = "org_" + hexadecimal(rng, 8), "pay_" + hexadecimal(rng, 16)
    mail, place = f"{hexadecimal(rng, 6)}.example", [draw_address(rng, 31)]
    rows = makers.material.dataset
    template = "Label the review with one word: positive, negative or mixed.\n{instruction}"
    for number in range(count):

        def source(_: np.random.Generator, schedule: Schedule, number: int = number) -> Source:
            wanted = max(len(schedule.fresh_lengths()), 1)
            chosen = [rows[(number + i * count) % len(rows)] for i in range(wanted)]
            return Wrapped(Exact(chosen, 1.0, None), template)

        def change(identity: Identity) -> Identity:
            return replace(
                identity, organization=organization, payment=payment, email_domain=mail, addresses=tuple(place)
            )

        yield makers.stream("sharding organisation", source, change=change)


def behind_shared_addresses(rng: np.random.Generator, people: int) -> Change:
    """Carrier NAT and VPN exits: some people share an address with strangers some of the time."""
    nat = [draw_address(rng, 5) for _ in range(max(people // 60, 3))]
    vpn = [draw_address(rng, 40) for _ in range(max(people // 200, 3))]

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

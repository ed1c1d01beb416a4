"""Verdicts as a hunt would give them, for the tests of their renderings."""

from __future__ import annotations

import random

from strongroom.core.records import (
    Campaign,
    Evidence,
    Example,
    FlaggedAccount,
    RelatedGroup,
    Verdict,
    Window,
)
from strongroom.hunt.circumstances import Circumstances, InputFile, Link, Picture, Truth

Pair = tuple[Verdict, Circumstances]

DAYS = [f"2026-11-{day:02d}" for day in range(1, 15)]

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></script><!--",
    "[bold red]markup[/bold red][link=https://evil.example]x[/link]",
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred",
    "a\r\nb\tc\x00d\x9b31m",
    "invoice\u202egnp.exe\u2066\u200b\ufeff",
    "e" + "\u0301" * 500,
    "lone\ud800surrogate",
    '=HYPERLINK("https://evil.example";"x")',
    "A" * 10_000 + "Z",
    "&lt;b&gt; &amp;",
)


def _names(count: int, chance: random.Random) -> list[str]:
    return [f"acct_{chance.randrange(16**8):08x}" for _ in range(count)]


def _examples(accounts: list[str], chance: random.Random, count: int = 4) -> list[Example]:
    return [
        Example(
            subject=account,
            time=f"2026-11-{day:02d}T{chance.randrange(24):02d}:{chance.randrange(60):02d}:07.310Z",
            where=f"logs/2026-11-{day:02d}.jsonl.gz:{chance.randrange(90_000) + 1}",
        )
        for account in chance.sample(accounts, min(count, len(accounts)))
        for day in [chance.randrange(1, 15)]
    ]


def _links(accounts: list[str], outside: list[str], chance: random.Random) -> list[Link]:
    """Address links in small knots, template links in three families, a few payment links; some lead outside."""
    links: dict[tuple[str, str, str], Link] = {}

    def add(a: str, b: str, kind: str, weight: float) -> None:
        if a != b:
            links[min(a, b), max(a, b), kind] = Link(min(a, b), max(a, b), kind, round(weight, 3))

    for start in range(0, len(accounts), 7):
        knot = accounts[start : start + 7]
        for a in knot:
            for b in knot:
                if a < b and chance.random() < 0.5:
                    add(a, b, "address", chance.uniform(0.6, 1.0))
    families = [accounts[place::3] for place in range(3)]
    for family in families:
        for a in family:
            for b in chance.sample(family, min(8, len(family))):
                add(a, b, "template", chance.uniform(0.4, 1.0))
    for a in accounts[::4]:
        add(a, chance.choice(accounts), "payment", chance.uniform(0.5, 0.9))
    inner = sorted(links.values(), key=lambda link: -link.weight)[:1800]
    links.clear()
    for stranger in outside:
        for member in chance.sample(accounts, 2):
            add(stranger, member, "address", chance.uniform(0.1, 0.3))
    return inner + list(links.values())


def _campaign(place: int, size: int, chance: random.Random, **changes: object) -> tuple[Campaign, Picture]:
    accounts = _names(size, chance)
    outside = _names(max(size // 14, 1), chance)
    begin = chance.randrange(0, 4)
    active = [0 if day < begin else min(size, 12 + size * (day - begin) // 4) for day in range(14)]
    active = [round(count * chance.uniform(0.82, 0.97)) for count in active]
    per_day = [round(count * chance.uniform(23, 28)) for count in active]
    fields: dict[str, object] = {
        "id": f"cmp_019a3f20c1d47c3e8e0000000000{place:04x}",
        "accounts": accounts,
        "exchanges": sum(per_day),
        "tokens_out": sum(per_day) * 861,
        "detected_at": f"{DAYS[begin + 1]}T05:40:12.004Z",
        "score": 0.94,
        "p_value": 0.00049,
        "objective": "reasoning",
        "techniques": ["AML.T0024.002"],
        "evidence": [
            Evidence(
                "template",
                f"{size:,} accounts send prompts of 3 templates that 2 of the 5,912 other accounts use.",
                accounts,
                "strong",
                _examples(accounts, chance),
            ),
            Evidence(
                "distribution",
                f"The {size:,} accounts ask interchangeably: over 41,200 distinct opening prompts, likeness is 0.96, "
                "where 1 means that a prompt does not tell which account sent it and 0 is usual between unrelated "
                "accounts. Of 2,000 groups made of the other accounts that ask most alike, 0 came as close.",
                accounts,
                "moderate",
                _examples(accounts, chance),
            ),
            Evidence(
                "address",
                f"{size * 3 // 4:,} of {size:,} accounts share a client address with another of them in one hour; "
                "of honest accounts 1.2 % do.",
                accounts[: size * 3 // 4],
                "moderate",
                _examples(accounts, chance, 3),
            ),
        ],
        "recommended": [
            "Look at the examples in the logs, and at two or three accounts with `strongroom explain ACCOUNT`.",
            "Propose a lower output limit for these accounts while you look; it can be undone.",
            "Preserve the logs of this window before they are pruned.",
            "Ask for more proof of identity at the next payment of these accounts.",
        ],
        "first_seen": f"{DAYS[begin]}T00:12:44.190Z",
        "last_seen": "2026-11-14T23:51:02.500Z",
    }
    campaign = Campaign(**{**fields, **changes})  # type: ignore[arg-type]
    picture = Picture(campaign.id, _links(accounts, outside, chance), per_day, active, outside)
    return campaign, picture


def _circumstances(pictures: list[Picture], **changes: object) -> Circumstances:
    fields: dict[str, object] = {
        "created": "2026-11-16T08:30:00.000Z",
        "version": "0.1.0",
        "command": "strongroom hunt logs --site /srv/strongroom --report hunt.html",
        "inputs": [
            InputFile(f"logs/{day}.jsonl.gz", "exchange-log", 84_120 + place * 731, 84_118, 2 * place, 31_400_000)
            for place, day in enumerate(DAYS)
        ],
        "rejects_file": "/srv/strongroom/rejects/2026-11-16T08-30.jsonl",
        "days": DAYS,
        "exchanges_per_day": [84_118 - 9_000 * (place % 7 > 4) + 700 * place for place in range(14)],
        "seconds": 48.3,
        "site": "/srv/strongroom",
        "pictures": pictures,
    }
    return Circumstances(**{**fields, **changes})  # type: ignore[arg-type]


def _verdict(campaigns: list[Campaign], **changes: object) -> Verdict:
    fields: dict[str, object] = {
        "exchanges": 1_204_311,
        "accounts": 6_110,
        "window": Window("2026-11-01T00:00:01.004Z", "2026-11-14T23:59:58.771Z"),
        "skipped": {"not JSON": 118, "no account": 61, "time out of range": 3},
        "campaigns": campaigns,
        "related_groups": [
            RelatedGroup(
                accounts=[f"acct_school_{place}" for place in range(28)],
                relation="same organization (org_lyceum_9) and one system prompt",
                evidence=[
                    Evidence("organization", "28 accounts name the organization org_lyceum_9.", [], "strong"),
                ],
            ),
            RelatedGroup(
                accounts=[f"reseller_2/user_{place}" for place in range(140)],
                relation="end users of one reseller (reseller_2)",
            ),
        ],
        "accounts_flagged": [],
        "sensitivity": {
            "summary": "A campaign of 20 accounts with one template at 5 exchanges a day each would have been found "
            "in 19 of 20 simulated insertions into this traffic.",
            "smallest_campaign": 4,
            "least_texts_per_account": 12,
            "largest_p_value": 0.01,
            "accounts_compared": 4_380,
            "measured": True,
        },
        "not_examined": [
            "14 accounts with fewer than 5 exchanges: too little to compare.",
            "Client addresses are missing from 8 % of the records: shared addresses were not looked for there.",
        ],
    }
    return Verdict(**{**fields, **changes})  # type: ignore[arg-type]


def one_campaign(simulated: bool = False) -> Pair:
    """198 accounts with template, distribution and address evidence; related groups; skipped records."""
    campaign, picture = _campaign(1, 198, random.Random(7))
    truth = None
    if simulated:
        truth = Truth(
            campaign_accounts=[*campaign.accounts[:-1], "acct_missed_1", "acct_missed_2", "acct_missed_3"],
            description="A campaign of 200 accounts on separate addresses, about 26 exchanges a day each.",
            found=197,
            reported=198,
        )
    return _verdict([campaign]), _circumstances([picture], truth=truth)


def three_campaigns() -> Pair:
    """Three open campaigns, one of them known before, a dismissed one and two accounts flagged alone."""
    chance = random.Random(11)
    made = [
        _campaign(1, 61, chance, objective="code", p_value=0.0021, score=0.81, status="known"),
        _campaign(2, 1_240, chance, tokens_out=0),
        _campaign(3, 9, chance, objective="", p_value=0.012, score=0.66, techniques=[]),
        _campaign(4, 30, chance, status="dismissed"),
    ]
    flagged = [
        FlaggedAccount(
            account=f"acct_alone_{place}",
            p_value=0.0007,
            evidence=[Evidence("volume", "11,240 distinct questions of one kind in two days.", [], "moderate")],
        )
        for place in range(2)
    ]
    verdict = _verdict([campaign for campaign, _ in made], accounts_flagged=flagged)
    return verdict, _circumstances([picture for _, picture in made], site="")


def no_campaign() -> Pair:
    """Traffic in which nothing was found."""
    return _verdict([]), _circumstances([])


def nothing_examined() -> Pair:
    """A hunt that could read nothing."""
    verdict = _verdict(
        [],
        exchanges=0,
        accounts=0,
        window=Window("", ""),
        skipped={},
        related_groups=[],
        sensitivity={},
        not_examined=[],
    )
    unknown = [InputFile("photo.jpg", "", 0, 0, 0, 81_233)]
    return verdict, _circumstances([], inputs=unknown, days=[], exchanges_per_day=[], rejects_file="", site="")


def hostile() -> Pair:
    """Every text that a log or a detector's sentence could carry is an attack."""
    accounts = list(HOSTILE)
    attack = " ".join(HOSTILE[:6]) + HOSTILE[7] + HOSTILE[9]
    evidence = [
        Evidence(
            kind="template\x1b[31m<b>" if place % 2 else "address",
            summary=text + attack,
            subjects=accounts,
            strength="strong",
            examples=[Example(subject=text, time=text, where=text, excerpt=text + attack)],
        )
        for place, text in enumerate(HOSTILE)
    ]
    campaign = Campaign(
        id=attack,
        accounts=accounts,
        exchanges=3,
        tokens_out=4,
        detected_at=attack,
        score=float("nan"),
        p_value=7.0,
        objective=attack,
        techniques=list(HOSTILE),
        evidence=evidence,
        recommended=list(HOSTILE),
        first_seen=attack,
        last_seen=HOSTILE[0],
    )
    links = [Link(a, b, HOSTILE[(place * 3) % 8], 9.0) for place, a in enumerate(accounts) for b in accounts[:2]]
    picture = Picture(attack, links, [1] * 20, [-4, 10**12], list(HOSTILE[:3]))
    group = RelatedGroup(accounts=accounts, relation=attack, evidence=evidence)
    verdict = _verdict(
        [campaign],
        window=Window(HOSTILE[0], attack),
        skipped=dict.fromkeys(HOSTILE, 2),
        related_groups=[group],
        accounts_flagged=[FlaggedAccount(account=text, p_value=0.0, evidence=evidence[:2]) for text in HOSTILE],
        sensitivity={text: {text: [text, {text: [1, None, True]}]} for text in HOSTILE},
        not_examined=list(HOSTILE),
    )
    circumstances = _circumstances(
        [picture],
        created=attack,
        version=HOSTILE[0],
        command=attack,
        inputs=[InputFile(text, text, 1, 1, 0, 10) for text in HOSTILE],
        rejects_file=HOSTILE[7],
        days=[*DAYS[:2], HOSTILE[0]],
        exchanges_per_day=[5, 0, 3],
        site=HOSTILE[5],
        truth=Truth(accounts, attack, 2, 3),
    )
    return verdict, circumstances

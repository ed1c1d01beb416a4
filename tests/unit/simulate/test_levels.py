"""Each level of campaign is what it says, and honest traffic is the same with and without it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest

from strongroom.simulate import Campaign, Material, Plan, bundled_material, streams, truth_of
from strongroom.simulate._behaviour import DAY_MS, LONGEST_LIFE, Kind
from strongroom.simulate._harvest import Harvest
from strongroom.simulate._library import Dealer, Domain
from strongroom.simulate._streams import Stream
from strongroom.simulate._text import Either

ACCOUNTS = 150
PLAN = Plan(seed=8, honest_accounts=ACCOUNTS, days=5, mean_per_active_day=8)
LEVELS = {
    "one key": Campaign(accounts=12, level="one_key"),
    "shared addresses": Campaign(accounts=12, level="shared_addresses"),
    "nothing shared": Campaign(accounts=12),
    "half cover": Campaign(accounts=12, cover=0.5),
    "nine tenths cover": Campaign(accounts=12, cover=0.9),
    "replaced": Campaign(accounts=12, replaced=True),
    "resellers": Campaign(accounts=12, level="resellers"),
    "joined": Campaign(accounts=12, joined=True),
    "template": Campaign(accounts=12, template="Think first.\n{instruction}\nAnswer:"),
}
SHARED_ON_PURPOSE = {"class", "class with free mail", "company", "evaluation", "viral prompt", "sharding organisation"}


@pytest.fixture(scope="module")
def material() -> Material:
    return bundled_material(8, accounts=ACCOUNTS)


@pytest.fixture(scope="module")
def honest(material: Material) -> list[list[dict]]:
    return [records(stream) for stream in streams(PLAN, material)]


def records(stream: Stream) -> list[dict]:
    return [record for _, _, record in stream.records()]


def with_campaign(material: Material, campaign: Campaign, **changes: object) -> list[Stream]:
    return streams(Plan(**{**PLAN.__dict__, "campaign": campaign, **changes}), material)


def openings(of: Iterable[dict]) -> list[str]:
    """First user messages of conversations."""
    asked = [[m["content"] for m in record["messages"] if m["role"] == "user"] for record in of]
    return [texts[0] for texts in asked if len(texts) == 1]


@pytest.mark.parametrize("level", LEVELS)
def test_honest_streams_do_not_change_with_a_campaign(level: str, material: Material, honest: list[list[dict]]) -> None:
    made = with_campaign(material, LEVELS[level])
    alone = [stream for stream in made if stream.role != "campaign"]
    assert len(alone) == len(honest)
    assert [records(stream) for stream in alone[::7]] == honest[::7]


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_can_be_simulated_apart_from_the_honest_streams(level: str, material: Material) -> None:
    """Their records may be written later, and alone: nothing of theirs depends on honest records having been made."""
    together = with_campaign(material, LEVELS[level])
    texts = [records(stream) for stream in together][-3:]
    apart = [stream for stream in with_campaign(material, LEVELS[level]) if stream.role == "campaign"]
    assert [records(stream) for stream in apart][-3:] == texts


def test_no_text_is_shared_between_honest_individuals(material: Material) -> None:
    senders: dict[str, set[str]] = defaultdict(set)
    for stream in streams(PLAN, material):
        if stream.role not in SHARED_ON_PURPOSE and not stream.role.startswith("narrow"):
            for text in openings(records(stream)):
                if len(text.split()) >= 12:  # shorter ones may be stock phrases
                    senders[text].add(stream.identity.subject)
    assert len(senders) > 500
    assert [text for text, who in senders.items() if len(who) > 1] == []


def test_matter_is_dealt_once_and_as_much_as_is_needed(material: Material) -> None:
    import numpy as np

    dealer, rng = Dealer(material.honest), np.random.default_rng(1)
    dealt = [dealer.deal(20_000, rng) for _ in range(60)]
    count = Counter(text for domain in dealt for text in domain.texts)
    assert max(count.values()) == 1
    assert min(sum(map(len, domain.texts)) for domain in dealt) >= 20_000
    files = [len(domain.name.split("+")) for domain in dealt]
    assert min(files) == 1
    assert max(files) > 3


def test_a_dealer_says_when_nothing_is_left() -> None:
    import numpy as np

    dealer = Dealer([Domain("a/b.py", ("x" * 2_000,))])
    with pytest.raises(ValueError, match="fewer subjects"):
        dealer.deal(5_000, np.random.default_rng(1))


def test_prompts_of_a_small_harvest_never_come_twice() -> None:
    import numpy as np

    rng = np.random.default_rng(1)
    items = [f"write a function number {i} that does {'much ' * (i % 9)}" for i in range(50)]
    answers = [" ".join(f"word{i * 40 + j}" for j in range(40)) for i in range(50)]
    harvest = Harvest(items, answers, rng, wanted=400)
    dealt = [harvest.deal(int(length)) for length in rng.integers(120, 300, 400)]
    assert len({text for text, _ in dealt}) == 400
    halves = [sum("function" in text and not about for text, about in part) for part in (dealt[:200], dealt[200:])]
    assert abs(halves[0] - halves[1]) < 25, "whoever comes first gets no more whole items"


def test_joined_prompts_say_each_wording_once_while_wordings_last() -> None:
    import numpy as np

    items = [f"wording {i} of something that people ask" for i in range(300)]
    harvest = Harvest(items, (), np.random.default_rng(1), wanted=30, joined=True)
    lines = [line for _ in range(30) for line in harvest.deal(250)[0].split("\n")]
    assert len(lines) > 100
    assert len(set(lines)) == len(lines)


def test_accounts_that_are_replaced_live_for_a_few_days_and_follow_each_other(material: Material) -> None:
    made = with_campaign(material, LEVELS["replaced"], days=14, churn=0.8)
    theirs = [stream for stream in made if stream.role == "campaign"]
    assert len(theirs) > 24
    spans = [(s.schedule.time_ms[-1] - s.schedule.time_ms[0]) / DAY_MS for s in theirs]
    assert max(spans) <= LONGEST_LIFE
    late = [s for s in theirs if s.identity.signup_ms > PLAN.start_ms]
    people = [s for s in made if s.role in {"individual", "script"}]
    share = sum(s.identity.signup_ms > PLAN.start_ms for s in people) / len(people)
    assert 0.5 < share < len(late) / len(theirs) < 0.9


def test_a_campaign_behind_resellers_stands_beside_honest_end_users(material: Material) -> None:
    made = with_campaign(material, LEVELS["resellers"])
    told = truth_of(made)
    theirs = {subject.split("/")[0] for subject in told.campaign_accounts}
    honest = {subject.split("/")[0] for subject in told.groups["reseller"]}
    assert theirs < honest
    assert len(told.campaign_accounts) == 12


@pytest.mark.parametrize(("level", "share"), [("half cover", 0.5), ("nine tenths cover", 0.9)])
def test_cover_is_the_share_that_was_asked_for(level: str, share: float, material: Material) -> None:
    counts = [0, 0]
    for stream in with_campaign(material, LEVELS[level]):
        if stream.role == "campaign":
            source = stream.source(stream.schedule)
            either = getattr(source, "_inner", source)
            assert isinstance(either, Either)
            rows = stream.schedule.kind == Kind.FRESH
            asked = zip(stream.schedule.length[rows], stream.schedule.chance[rows], strict=True)
            for number, (length, chance) in enumerate(asked):
                either.fresh(number, int(length), chance.tolist())
            counts = [a + b for a, b in zip(counts, either._counts, strict=True)]
    assert sum(counts) > 100
    assert counts[0] / sum(counts) == pytest.approx(share, abs=0.1)


def test_every_honest_look_alike_is_in_every_seed(material: Material) -> None:
    for seed in (8, 9):
        roles = {s.role for s in streams(Plan(seed=seed, honest_accounts=ACCOUNTS, days=2), material)}
        assert roles >= {"individual", "script", "learner", "tutor", "reseller", *SHARED_ON_PURPOSE}
        assert sum(role.startswith("program") for role in roles) == 3
        assert any(role.startswith("narrow product") for role in roles)

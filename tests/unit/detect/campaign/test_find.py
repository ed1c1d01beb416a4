"""From a store to a verdict that a person can check: evidence with places, links, what was not examined, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from strongroom.core.errors import InputError
from strongroom.detect.campaign import Explanation, Found, Result, explain, find_campaigns
from strongroom.detect.campaign._detect import Snapshot, detect
from strongroom.detect.campaign._evidence import evidence_of
from strongroom.detect.campaign._features import Features, read_features
from strongroom.detect.campaign._links import DRAWN_LINKS, cosines, drawn
from strongroom.detect.campaign._sources import JOIN
from strongroom.sketch import FLAGS
from strongroom.store import Store

from .worlds import World

PEOPLE, SIZE = 150, 30


@dataclass
class Case:
    store: Store
    campaign: list[str]
    result: Result

    @property
    def found(self) -> Found:
        (found,) = self.result.campaigns
        return found

    def features(self) -> Features:
        features = read_features(self.store, since=None, until=None)
        assert features is not None
        return features


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A campaign on five addresses that asks for reasoning, a bystander at one of these, and somebody without texts."""
    world = World(1)
    world.people(PEOPLE, 60)
    campaign = world.workers(SIZE, world.list_of(), 60)
    for pool in range(5):
        world.fact("client_address", campaign[pool * 6 : pool * 6 + 6], f"203.0.113.{pool}")
    world.fact("client_address", [0], "203.0.113.0")
    for person in range(1, PEOPLE):
        world.fact("client_address", [person], f"198.51.100.{person}")
    flag = FLAGS["reasoning_elicitation"]
    store = world.store(tmp_path_factory.mktemp("case"), campaign, flag, metadata_only=7)
    result = find_campaigns(store)
    assert result is not None
    return Case(store, [f"acct_{i:04d}" for i in campaign], result)


def test_nothing_stored_is_no_verdict(tmp_path: Path) -> None:
    assert find_campaigns(Store(tmp_path)) is None


def test_what_is_found_is_counted_and_dated(case: Case) -> None:
    found = case.found
    assert len(set(found.accounts) & set(case.campaign)) > 0.9 * max(len(found.accounts), SIZE)
    assert found.exchanges == 60 * len(found.accounts)
    assert found.tokens_out == 100 * found.exchanges
    assert found.first_seen <= found.detected_at <= found.last_seen
    assert 0.7 < found.score <= 1
    assert found.p_value == 0.01
    assert found.objective == "reasoning"


def test_what_was_looked_at_is_counted_too(case: Case) -> None:
    result = case.result
    assert result.exchanges == 60 * (PEOPLE + SIZE) + 7
    assert result.accounts == PEOPLE + SIZE + 1
    assert result.compared == PEOPLE + SIZE
    said = " ".join(result.not_examined)
    assert "7 exchanges carry no prompt text" in said
    assert f"1 of {PEOPLE + SIZE + 1} accounts" in said
    assert "no payment digests" in said
    assert "no client addresses" not in said


def test_every_piece_of_evidence_is_a_sentence_about_accounts_that_are_named(case: Case) -> None:
    kinds = [evidence.kind for evidence in case.found.evidence]
    assert set(kinds) == {"distribution", "address", "division", "indicator"}
    ranks = [["strong", "moderate", "weak"].index(evidence.strength) for evidence in case.found.evidence]
    assert ranks == sorted(ranks)
    for evidence in case.found.evidence:
        assert evidence.summary.endswith(".")
        assert set(evidence.subjects) <= set(case.found.accounts)
        assert all(e.subject in evidence.subjects for e in evidence.examples)


def test_examples_lead_to_lines_of_the_log(case: Case) -> None:
    (alike,) = (evidence for evidence in case.found.evidence if evidence.kind == "distribution")
    assert len(alike.examples) == 3
    for example in alike.examples:
        source, _, line = example.where.partition(":")
        assert source == "simulated.jsonl"
        assert int(line) >= 1
        assert example.excerpt
        assert "what is" in example.excerpt
        assert example.time.startswith("2026-11-")


def test_addresses_say_how_many_others_were_seen_there(case: Case) -> None:
    (address,) = (evidence for evidence in case.found.evidence if evidence.kind == "address")
    assert "5 network addresses" in address.summary
    assert "outside the campaign 1 were seen" in address.summary


def test_links_are_drawn_between_members_the_shared_things_first(case: Case) -> None:
    links = case.found.links
    assert 0 < len(links) <= DRAWN_LINKS
    kinds = [kind for _, _, kind, _ in links]
    assert set(kinds) == {"address", "distribution"}
    assert kinds == sorted(kinds)  # addresses first
    for a, b, _, likeness in links:
        assert {a, b} <= set(case.found.accounts)
        assert a < b
        assert 0 < likeness <= 1
    assert len({(a, b) for a, b, _, _ in links}) == len(links)


def test_a_campaign_that_shares_nothing_has_links_by_what_it_asks(case: Case) -> None:
    features = case.features()
    features = replace(features, facts={kind: emptied(fact) for kind, fact in features.facts.items()})
    snapshot = detect(features, len(features.edges))
    (campaign,) = snapshot.campaigns
    links = drawn(campaign, snapshot, features)
    assert {kind for _, _, kind, _ in links} == {"distribution"}
    assert len({a for a, _, _, _ in links} | {b for _, b, _, _ in links}) > 0.9 * len(campaign.members)
    kinds = {evidence.kind for evidence in evidence_of(campaign, snapshot, features, case.store)}
    assert kinds == {"distribution", "division", "indicator"}


def emptied(fact):
    return replace(fact, subject=fact.subject[:0], value=fact.value[:0], slice=fact.slice[:0], names=[])


def test_cosines_are_one_for_oneself_and_more_within_a_group(case: Case) -> None:
    features = case.features()
    snapshot: Snapshot = detect(features, len(features.edges))
    member = features.subjects.index(case.campaign[0])
    unit = snapshot.evidence.unit
    near = cosines(snapshot.evidence, int(unit[member]))
    assert near[unit[member]] == pytest.approx(1)
    others = unit[[features.subjects.index(name) for name in case.campaign[1:]]]
    assert np.median(near[others]) > 2 * np.median(near)


# explain


def told(case: Case, account: str) -> Explanation:
    return explain(case.store, account)


def test_a_member_is_told_why_and_what_would_clear_it(case: Case) -> None:
    me = case.found.accounts[0]
    said = told(case, me)
    assert said.campaign == case.found.accounts
    assert (said.texts, said.exchanges, said.compared) == (60, 60, True)
    assert said.score is not None
    assert said.score > JOIN
    assert said.share is not None
    assert said.share > 0.5
    assert 0 < said.prompts_in_source <= 60
    assert said.tied_to_campaign == ["address 203.0.113.0"]
    assert "It is in a campaign" in said.reasons[0]
    assert "It would leave the campaign if" in said.reasons[1]
    assert [n.account for n in said.nearest if n.in_campaign]
    assert all(0 < neighbour.likeness <= 1 for neighbour in said.nearest)
    assert me not in [neighbour.account for neighbour in said.nearest]


def test_a_bystander_at_the_same_address_is_told_that_it_is_in_none(case: Case) -> None:
    said = told(case, "acct_0000")
    assert said.campaign == []
    assert said.score is not None
    assert said.tied_to_campaign == ["address 203.0.113.0"]
    assert said.reasons[0] == "It is in no campaign."


def test_who_sent_no_text_is_told_that_it_cannot_be_compared(case: Case) -> None:
    said = told(case, "acct_silent")
    assert (said.texts, said.compared, said.campaign) == (0, False, [])
    assert "cannot be compared" in said.reasons[0]


def test_without_a_campaign_there_is_none_to_be_in(tmp_path: Path) -> None:
    world = World(2)
    world.people(30)
    said = explain(world.store(tmp_path), "acct_0003")
    assert (said.score, said.share, said.campaign, said.tied_to_campaign) == (None, None, [], [])
    assert "No campaign is seen" in said.reasons[0]


def test_an_unknown_account_is_an_error_that_says_what_to_do(case: Case, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no exchange of account 'nobody'"):
        told(case, "nobody")
    with pytest.raises(InputError):
        explain(Store(tmp_path), "nobody")

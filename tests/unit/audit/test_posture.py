"""Each claim is met, partly met and not met on what it must be, and never on what was not read."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from strongroom.audit import Recent
from strongroom.audit.posture import (
    CLAIMS,
    ApiKeys,
    Assets,
    Channels,
    Facts,
    Grants,
    Hunts,
    Keys,
    Ledger,
    People,
    Rules,
    Service,
    Unread,
    Uses,
    exit_code_of,
    posture_of,
)

TIME = 1_796_083_200_000_000
GOOD = Facts(
    people=People(principals=4, suspended=1, owners=1, idle=0, approvers=2, approvers_with_hardware=2),
    grants=Grants(live=3, end_in_30_days=2, end_in_90_days=1, end_later=0, longest_days=60, of_whole_organizations=0),
    api_keys=ApiKeys(live=2, old=0, without_end=0),
    rules=Rules(version=2, mode="enforce", policies=11, export_approvals=2, purpose_needed=True),
    uses=Uses(leases=5, with_purpose=5, exports=1),
    assets=Assets(
        listed=3,
        dear=2,
        dear_sealed=2,
        dear_in_several_places=0,
        sealed=2,
        sealed_unlisted=0,
        sealed_by_known_signer=2,
    ),
    keys=Keys(
        post_quantum=2,
        classical=0,
        kms_or_token=1,
        private_files=3,
        private_files_open=0,
        recovery=True,
        recovery_here=False,
    ),
    service=Service(answers=True, listens_for_others=True, workload_has_its_user=False),
    channels=Channels(configured=2, plain=0, certificate_days=60),
    ledger=Ledger(exists=True, entries=10, places=1, left=10, left_hours_ago=1000),
    recent=Recent(entries_read=10, complete=True, releases=6, under_lease=6, with_credential=6, refused=1),
    hunts=Hunts(days_since_last=0, open=0),
)

CASES: list[tuple[str, str, dict[str, Any], str]] = [
    ("sp800-207/2.1-1/sealed", "assets", {"dear_sealed": 1}, "partly"),
    ("sp800-207/2.1-1/sealed", "assets", {"dear_sealed": 0}, "not met"),
    ("sp800-207/2.1-1/sealed", "assets", {"dear": 0, "dear_sealed": 0}, "not applicable"),
    ("sp800-207/2.1-2/transport", "channels", {"plain": 1}, "partly"),
    ("sp800-207/2.1-2/transport", "channels", {"plain": 2}, "not met"),
    ("sp800-207/2.1-2/transport", "channels", {"certificate_days": -1}, "not met"),
    ("sp800-207/2.1-2/transport", "channels", {"configured": 0, "certificate_days": None}, "not applicable"),
    ("sp800-207/2.1-2/post-quantum", "keys", {"post_quantum": 1, "classical": 1}, "partly"),
    ("sp800-207/2.1-2/post-quantum", "keys", {"post_quantum": 0, "classical": 1}, "not met"),
    ("sp800-207/2.1-2/location", "rules", {"opens_to_strangers": 1}, "not met"),
    ("sp800-207/2.1-2/location", "rules", {"reads_network": 1}, "partly"),
    ("sp800-207/2.1-2/location", "rules", {"mode": "shadow"}, "not met"),
    ("sp800-207/2.1-3/lease", "recent", {"under_lease": 5}, "partly"),
    ("sp800-207/2.1-3/lease", "recent", {"under_lease": 0}, "not met"),
    ("sp800-207/2.1-3/lease", "recent", {"releases": 0, "under_lease": 0}, "not applicable"),
    ("sp800-207/2.1-3/purpose", "uses", {"with_purpose": 4}, "partly"),
    ("sp800-207/2.1-3/purpose", "uses", {"with_purpose": 0}, "not met"),
    ("sp800-207/2.1-3/grants", "grants", {"end_later": 1}, "partly"),
    ("sp800-207/2.1-3/grants", "grants", {"end_later": 3}, "not met"),
    ("sp800-207/2.1-4/policy", "rules", {"version": 0}, "not met"),
    ("sp800-207/2.1-4/policy", "rules", {"mode": "shadow"}, "not met"),
    ("sp800-207/2.1-4/policy", "rules", {"mode": "off"}, "not met"),
    ("sp800-207/2.1-5/versions", "assets", {"sealed_by_known_signer": 1}, "partly"),
    ("sp800-207/2.1-6/credential", "recent", {"with_credential": 5}, "partly"),
    ("sp800-207/2.1-6/credential", "recent", {"with_credential": 0}, "not met"),
    ("sp800-207/2.1-6/api-keys", "api_keys", {"old": 1}, "partly"),
    ("sp800-207/2.1-6/api-keys", "api_keys", {"without_end": 2}, "not met"),
    ("sp800-207/2.1-6/api-keys", "api_keys", {"live": 0}, "not applicable"),
    ("sp800-207/2.1-6/idle", "people", {"idle": 1}, "partly"),
    ("sp800-207/2.1-6/idle", "people", {"principals": 0}, "not applicable"),
    ("sp800-207/2.1-7/record", "ledger", {"exists": False}, "not met"),
    ("sp800-207/2.1-7/record", "ledger", {"places": 0}, "not met"),
    ("sp800-207/2.1-7/record", "ledger", {"left_hours_ago": None}, "not met"),
    ("sp800-207/2.1-7/record", "ledger", {"left": 11}, "not met"),
    ("sp800-207/2.1-7/record", "ledger", {"left": 9, "left_hours_ago": 24}, "partly"),
    ("sp800-207/2.1-7/record", "ledger", {"left": 9, "left_hours_ago": 23}, "met"),
    ("sp800-207/2.1-7/findings", "hunts", {"open": 1}, "not met"),
    ("sp800-207/2.1-7/findings", "hunts", {"days_since_last": 8}, "partly"),
    ("rand/sl1/weight-encryption", "assets", {"dear_sealed": 0}, "not met"),
    ("rand/sl1/access-control", "rules", {"version": 0}, "not met"),
    ("rand/sl1/audit-trail", "ledger", {"exists": False}, "not met"),
    ("rand/sl1/least-privilege", "people", {"owners": 0}, "not met"),
    ("rand/sl1/least-privilege", "grants", {"of_whole_organizations": 1}, "partly"),
    ("rand/sl1/backup", "keys", {"recovery_here": True}, "partly"),
    ("rand/sl1/backup", "keys", {"recovery": False}, "not met"),
    ("rand/sl2/key-management", "keys", {"private_files_open": 1}, "partly"),
    ("rand/sl2/key-management", "keys", {"private_files_open": 3}, "not met"),
    ("rand/sl2/transit", "channels", {"plain": 2}, "not met"),
    ("rand/sl2/hardware-keys", "people", {"approvers_with_hardware": 1}, "partly"),
    ("rand/sl2/hardware-keys", "people", {"approvers_with_hardware": 0}, "not met"),
    ("rand/sl2/hardware-keys", "people", {"approvers": 0, "approvers_with_hardware": 0}, "not applicable"),
    ("rand/sl2/logging", "ledger", {"exists": False}, "not met"),
    ("rand/sl2/logging", "uses", {"leases": 7}, "partly"),
    ("rand/sl2/copies", "assets", {"dear_in_several_places": 1}, "partly"),
    ("rand/sl2/copies", "assets", {"dear_in_several_places": 2}, "not met"),
    ("rand/sl3/central-storage", "assets", {"sealed_unlisted": 1}, "partly"),
    ("rand/sl3/interface", "service", {"answers": False}, "not met"),
    ("rand/sl3/interface", "service", {"workload_has_its_user": True}, "partly"),
    ("rand/sl3/multiparty", "rules", {"export_approvals": 0}, "not met"),
    ("rand/sl3/multiparty", "rules", {"export_approvals": 1}, "partly"),
    ("rand/sl3/multiparty", "rules", {"export_approvals": -1}, "met"),
    ("rand/sl3/multiparty", "rules", {"purpose_needed": False}, "partly"),
    ("rand/sl3/multiparty", "rules", {"mode": "off"}, "not met"),
    ("rand/sl3/anomaly-detection", "hunts", {"days_since_last": None}, "not met"),
    ("rand/sl3/anomaly-detection", "hunts", {"days_since_last": 8}, "partly"),
    ("rand/sl3/policy-as-code", "rules", {"version": 0}, "not met"),
]


def test_where_all_is_well_everything_is_met_and_the_exit_code_is_0() -> None:
    posture = posture_of(GOOD, TIME, scanned=False)
    assert {one.state for one in posture.claims} == {"met"}
    assert {one.next for one in posture.claims} == {""}
    assert posture.states == {"met": len(CLAIMS)}
    assert exit_code_of(GOOD, posture) == 0


@pytest.mark.parametrize(("id", "part", "changed", "state"), CASES, ids=str)
def test_a_claim_is_measured_on_what_was_read(id: str, part: str, changed: dict[str, Any], state: str) -> None:
    facts = replace(GOOD, **{part: replace(getattr(GOOD, part), **changed)})
    posture = posture_of(facts, TIME, scanned=False)
    result = next(one for one in posture.claims if one.id == id)
    assert result.state == state
    assert bool(result.next) == (state in ("partly", "not met"))
    assert exit_code_of(facts, posture) == any(one.state in ("partly", "not met") for one in posture.claims)


def test_every_claim_can_fail() -> None:
    assert {id for id, _, _, state in CASES if state in ("partly", "not met")} == {claim.id for claim in CLAIMS}


@pytest.mark.parametrize("part", [field.name for field in fields(Facts)])
def test_what_was_not_read_is_never_met(part: str) -> None:
    facts = replace(GOOD, **{part: Unread("it is damaged", 5)})
    posture = posture_of(facts, TIME, scanned=True)
    for claim, result in zip(CLAIMS, posture.claims, strict=True):
        assert (result.state == "not measured") == (part in claim.needs)
        assert result.state != "not measured" or (result.next == "it is damaged" and not result.numbers)
    assert [(one.part, one.why) for one in posture.problems] == [(part, "it is damaged")]
    assert exit_code_of(facts, posture) == 5


def test_what_is_merely_not_there_is_no_problem() -> None:
    facts = replace(GOOD, recent=Unread("the site has no ledger"))
    posture = posture_of(facts, TIME, scanned=False)
    assert posture.problems == []
    assert exit_code_of(facts, posture) == 0


def test_a_claims_id_names_its_source() -> None:
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.source.startswith(("NIST SP 800-207", "RAND RR-A2849-1"))
        assert set(claim.needs) <= {field.name for field in fields(Facts)}

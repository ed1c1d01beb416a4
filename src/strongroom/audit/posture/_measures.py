"""Measures: pure functions from what was read of a site to a state and the numbers that it rests on.

A measure says `met` only of what it counted. Where there is nothing to count it says `not applicable`.
"""

from __future__ import annotations

from dataclasses import asdict

from .._recent import Recent
from ._facts import ApiKeys, Assets, Channels, Grants, Hunts, Keys, Ledger, People, Rules, Service, Uses
from ._result import Number, State

__all__ = [
    "EXPORT_APPROVALS",
    "FRESH_HOURS",
    "HUNT_DAYS",
    "IDLE_DAYS",
    "LONGEST_GRANT_DAYS",
    "OLDEST_KEY_DAYS",
    "WINDOW_DAYS",
    "Measured",
]

WINDOW_DAYS = 30
"""Of releases that are looked at."""
IDLE_DAYS = 90
LONGEST_GRANT_DAYS = 90
OLDEST_KEY_DAYS = 90
"""Of an API key."""
HUNT_DAYS = 7
FRESH_HOURS = 24
"""How old the last checkpoint that left may be while newer entries have not left."""
EXPORT_APPROVALS = 2

Measured = tuple[State, dict[str, Number]]


def share(part: int, whole: int, numbers: dict[str, Number]) -> Measured:
    """All, some or none of what was counted."""
    if whole == 0:
        return "not applicable", numbers
    return ("met" if part == whole else "partly" if part else "not met"), numbers


def sealed(assets: Assets) -> Measured:
    numbers = _some(assets, "listed", "dear", "dear_sealed")
    return share(assets.dear_sealed, assets.dear, {**numbers, "dear_unsealed": assets.dear - assets.dear_sealed})


def one_place(assets: Assets, uses: Uses) -> Measured:
    numbers = {**_some(assets, "dear", "dear_in_several_places"), "exports": uses.exports}
    return share(assets.dear - assets.dear_in_several_places, assets.dear, numbers)


def all_listed(assets: Assets) -> Measured:
    return share(assets.sealed - assets.sealed_unlisted, assets.sealed, _some(assets, "sealed", "sealed_unlisted"))


def signed_versions(assets: Assets) -> Measured:
    return share(assets.sealed_by_known_signer, assets.sealed, _some(assets, "sealed", "sealed_by_known_signer"))


def transport(channels: Channels) -> Measured:
    numbers = _some(channels, "configured", "plain")
    if channels.certificate_days is not None:
        numbers["certificate_days"] = channels.certificate_days
    if channels.certificate_days is not None and channels.certificate_days < 0:
        return "not met", numbers
    return share(channels.configured - channels.plain, channels.configured, numbers)


def post_quantum(keys: Keys) -> Measured:
    numbers = _some(keys, "post_quantum", "classical", "kms_or_token")
    return share(keys.post_quantum, keys.post_quantum + keys.classical, numbers)


def key_files(keys: Keys) -> Measured:
    numbers = _some(keys, "private_files", "private_files_open", "kms_or_token")
    return share(keys.private_files - keys.private_files_open, keys.private_files, numbers)


def recovery(keys: Keys) -> Measured:
    numbers = _some(keys, "recovery", "recovery_here")
    if not keys.recovery:
        return "not met", numbers
    return ("partly" if keys.recovery_here else "met"), numbers


def location(rules: Rules) -> Measured:
    numbers = _some(rules, "opens_to_strangers", "reads_network", "mode")
    if not _decides(rules) or rules.opens_to_strangers:
        return "not met", numbers
    return ("partly" if rules.reads_network else "met"), numbers


def in_force(rules: Rules) -> Measured:
    return ("met" if _decides(rules) else "not met"), _some(rules, "version", "mode", "policies")


def multiparty(rules: Rules) -> Measured:
    numbers = _some(rules, "export_approvals", "purpose_needed", "mode")
    if not _decides(rules) or rules.export_approvals == 0:
        return "not met", numbers
    enough = rules.export_approvals < 0 or rules.export_approvals >= EXPORT_APPROVALS
    return ("met" if enough and rules.purpose_needed else "partly"), numbers


def leased(recent: Recent) -> Measured:
    return share(recent.under_lease, recent.releases, _read(recent, "under_lease"))


def credentials(recent: Recent) -> Measured:
    return share(recent.with_credential, recent.releases, _read(recent, "with_credential"))


def purposes(uses: Uses) -> Measured:
    return share(uses.with_purpose, uses.leases, _some(uses, "leases", "with_purpose"))


def on_record(uses: Uses, ledger: Ledger, recent: Recent) -> Measured:
    """Leases are in the state, releases in the ledger: fewer releases than leases means that a part is elsewhere."""
    numbers: dict[str, Number] = {
        **_some(recent, "releases", "refused", "entries_read", "complete"),
        "leases": uses.leases,
        "entries": ledger.entries,
    }
    if not ledger.exists:
        return "not met", numbers
    return ("partly" if recent.complete and recent.releases < uses.leases else "met"), numbers


def grants_end(grants: Grants) -> Measured:
    numbers = _some(grants, "live", "end_in_30_days", "end_in_90_days", "end_later", "longest_days")
    return share(grants.live - grants.end_later, grants.live, numbers)


def least_privilege(grants: Grants, people: People) -> Measured:
    numbers = {**_some(grants, "live", "of_whole_organizations"), **_some(people, "principals", "owners")}
    if people.owners == 0:
        return "not met", numbers
    return ("partly" if grants.of_whole_organizations else "met"), numbers


def keys_end(keys: ApiKeys) -> Measured:
    bad = max(keys.old, keys.without_end)
    return share(keys.live - bad, keys.live, _some(keys, "live", "old", "without_end"))


def none_idle(people: People) -> Measured:
    numbers = _some(people, "principals", "suspended", "idle")
    return share(people.principals - people.idle, people.principals, numbers)


def hardware(people: People) -> Measured:
    numbers = _some(people, "approvers", "approvers_with_hardware")
    return share(people.approvers_with_hardware, people.approvers, numbers)


def audit_trail(ledger: Ledger) -> Measured:
    return ("met" if ledger.exists else "not met"), _some(ledger, "exists", "entries")


def left_the_machine(ledger: Ledger) -> Measured:
    numbers = _some(ledger, "entries", "places", "left")
    if ledger.left_hours_ago is not None:
        numbers["left_hours_ago"] = ledger.left_hours_ago
    if not ledger.exists or ledger.places == 0 or ledger.left_hours_ago is None:
        return "not met", numbers
    if ledger.left > ledger.entries:  # the log was put back to an older state
        return "not met", numbers
    fresh = ledger.left >= ledger.entries or ledger.left_hours_ago < FRESH_HOURS
    return ("met" if fresh else "partly"), numbers


def interface(service: Service) -> Measured:
    if not service.answers:
        return "not met", _some(service)
    return ("partly" if service.workload_has_its_user else "met"), _some(service)


def hunted(hunts: Hunts) -> Measured:
    numbers: dict[str, Number] = {"open": hunts.open}
    if hunts.days_since_last is None:
        return "not met", numbers
    numbers["days_since_last"] = hunts.days_since_last
    return ("met" if hunts.days_since_last <= HUNT_DAYS else "partly"), numbers


def findings(hunts: Hunts) -> Measured:
    state, numbers = hunted(hunts)
    return ("not met" if hunts.open else state), numbers


def _decides(rules: Rules) -> bool:
    return rules.version > 0 and rules.mode == "enforce"


def _read(recent: Recent, name: str) -> dict[str, Number]:
    return _some(recent, "releases", name, "entries_read", "complete")


def _some(fact: object, *names: str) -> dict[str, Number]:
    """These numbers of a part, or all of them."""
    every: dict[str, Number] = asdict(fact)  # type: ignore[call-overload]
    return {name: every[name] for name in names or every}

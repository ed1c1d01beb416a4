"""What `site doctor` says of policies, principals, grants and leases."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import CLOCK_SLACK_US, PENDING_SECONDS, preview
from ..core.clock import format_time
from ..core.errors import StrongroomError
from ..core.records import AccessEvent
from ..state import Transaction
from ._access import SITE_ASSET
from ._doctor import Problem, Severity, problem_of
from ._site import Site

__all__ = ["people_problems"]

SOON_US = 7 * 86_400_000_000
"""Grants that end so soon are told."""
SHOWN = 20
"""Of one kind."""


def people_problems(site: Site, time_us: int) -> Iterator[Problem]:
    """Whether somebody can administer the site, and what of its permissions is about to end or leads nowhere."""
    mode = site.configuration.policy.mode
    if mode != "enforce":
        what = f"the policies' mode is {mode}: nothing is refused"
        yield _problem("policies", what, str(site.path / "strongroom.toml"), 'set mode = "enforce" under [policy]')
    with site.state.transaction(write=False) as transaction:
        yield from _policies(site, transaction, time_us)
        yield from _clock(transaction, time_us)
        yield from _grants(transaction, time_us)
        yield from _leases(transaction, time_us)


def _policies(site: Site, transaction: Transaction, time_us: int) -> Iterator[Problem]:
    access = site.access()
    people = [one for one in transaction.principals.all() if one.kind == "person"]
    try:
        policies = access.policies.current(transaction)
    except StrongroomError as error:
        yield problem_of("policies", error)
        return
    able = []
    for one in people:
        event = AccessEvent(
            id="", time="", principal=one.name, action="Administer", asset=SITE_ASSET, outcome="allowed"
        )
        if preview(transaction, policies, event, access.approvals, time_us).allowed:
            able.append(one.name)
    if not able:
        what = "nobody can administer the site"
        next = 'set mode = "off" under [policy], then: strongroom principal add USER@HOST --group owners'
        yield _problem("policies", what, "", next, "error")
    for one in people:
        if one.suspended and "owners" in one.groups:
            next = f"strongroom principal resume {one.name}, or: strongroom principal remove {one.name}"
            yield _problem("principals", f"the owner {one.name} is suspended", one.name, next)
    if transaction.principals.get(site.local_principal) is None:
        what = "you are not known to the site, so all that you ask for is refused"
        next = f"an owner runs: strongroom principal add {site.local_principal} --group members"
        yield _problem("principals", what, site.local_principal, next)


def _clock(transaction: Transaction, time_us: int) -> Iterator[Problem]:
    seen = transaction.leases.seen_time()
    if time_us < seen - CLOCK_SLACK_US:
        what = f"this machine's clock is behind a time that was seen before ({format_time(seen)}): all is refused"
        next = "set the clock; if it is right: strongroom policy reset-clock"
        yield _problem("clock", what, format_time(time_us), next, "error")


def _grants(transaction: Transaction, time_us: int) -> Iterator[Problem]:
    people = transaction.principals.all()
    known = {one.name for one in people} | {f"group:{group}" for one in people for group in one.groups}
    assets = transaction.assets(*{grant.asset for grant in transaction.principals.grants()} or {""})
    for number, grant in enumerate(one for one in transaction.principals.grants() if one.expires > time_us):
        if number >= SHOWN:
            return
        what = f"{grant.action} of {grant.asset} to {grant.subject}"
        revoke = f"strongroom grant revoke {grant.subject} {grant.action} {grant.asset}"
        if grant.subject not in known:
            yield _problem("grants", f"{what}: nobody is known by that name", grant.subject, revoke)
        if not grant.asset.endswith("/*") and grant.asset not in assets:
            next = f"strongroom asset add {grant.asset} --at PLACE, or: {revoke}"
            yield _problem("grants", f"{what}: the asset is not listed, and counts as internal", grant.asset, next)
        if grant.expires < time_us + SOON_US:
            next = f"strongroom grant add {grant.subject} {grant.action} {grant.asset} --for 30d"
            yield _problem("grants", f"{what} ends at {format_time(grant.expires)}", grant.subject, next)


def _leases(transaction: Transaction, time_us: int) -> Iterator[Problem]:
    dead = [
        one
        for one in transaction.leases.all(state="pending", limit=SHOWN)
        if one.changed + PENDING_SECONDS * 1_000_000 < time_us
    ]
    for one in dead:
        what = f"it was taken at {format_time(one.changed)} and never finished: nothing was released"
        yield _problem("leases", what, one.id, f"strongroom lease revoke {one.id}, or use it again")
    for one in transaction.leases.all(state="requested", limit=SHOWN):
        for given in transaction.leases.approvals(one.id):
            person = transaction.principals.get(given.principal)
            if person is None or person.suspended:
                what = f"the approval of {given.principal} does not count: who gave it is suspended or removed"
                yield _problem("leases", what, one.id, "have another person approve it: strongroom lease approve")


def _problem(check: str, what: str, where: str, next: str, severity: Severity = "advice") -> Problem:
    return Problem(check=check, severity=severity, what=what, where=where, next=next)

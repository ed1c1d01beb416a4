"""`strongroom policy posture`: which demands of NIST SP 800-207 and of RAND's security levels this site meets."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.core.clock import now

from ._options import Json, SiteOption, need_site
from ._output import print_json, print_notice, print_table, tame
from ._policy import policy

if TYPE_CHECKING:
    from strongroom.audit.posture import Posture, Result

__all__ = ["posture"]


@policy.command("posture")
def posture(
    context: typer.Context,
    scan: Annotated[bool, typer.Option("--scan", help="Read the whole ledger, not its index and its end.")] = False,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Measure what this site claims of zero trust and of weight security. Exit code 1 where something is not met."""
    opened = need_site(context, site)
    with contextlib.closing(opened):
        found, code = opened.posture(now(), scan=scan)
    if json:
        print_json(found)
    else:
        _print(found)
    if code:
        raise typer.Exit(code)


def _print(found: Posture) -> None:
    print_table(
        ["claim", "state", "measured"],
        [(one.id, one.state, _numbers(one)) for one in found.claims],
    )
    for one in found.claims:
        if one.state in ("partly", "not met"):
            sys.stdout.write(f"\n{one.id}: {one.state}\n  {tame(one.claim)}\n  next: {tame(one.next)}\n")
    sys.stdout.write("\n" + ", ".join(f"{count} {state}" for state, count in found.states.items()) + "\n")
    for problem in found.problems:
        print_notice(f"{problem.part} was not read: {problem.why}")
    print_notice("What cannot be measured here (docs/zero-trust.md): premises, staff, hardware, whoever is root.")


def _numbers(one: Result) -> str:
    return ", ".join(f"{name} {value}" for name, value in one.numbers.items()) or one.next

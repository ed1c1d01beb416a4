"""Tables that say what policies must decide: kept beside the policies, and run before these are published.

CSV with a header; `expect` is `allowed` or `refused`. What a column leaves empty, or a table leaves out, is as for a
person in no group who asks for an internal model without having been granted anything:

    principal,groups,action,asset,classification,expect
    ada@acme.example,owners,Administer,acme/llama,,allowed
    bob@acme.example,members,ExportWeights,acme/llama,crown,refused
"""

from __future__ import annotations

import csv
import io
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from ..core.assets import Asset, check_asset
from ..core.errors import RefusedError, StrongroomError, UsageError
from ..core.principals import Principal, check_principal
from ._cedar import ACTIONS, Asked, Decision, Policies, Request

__all__ = ["COLUMNS", "Case", "failures", "read_cases"]

COLUMNS = {
    "principal": "who asks",
    "kind": "person, workload or customer",
    "groups": "the principal's groups, separated by spaces",
    "suspended": "yes or no",
    "action": "a Cedar action",
    "asset": "org/name or org/name:tag",
    "classification": "public, internal, restricted or crown",
    "granted": "yes where a grant covers it",
    "sealer": "yes where the principal sealed it",
    "leased": "yes where it was asked for in advance",
    "breakglass": "yes where its lease was made by breaking glass",
    "approvals": "how many others signed",
    "share": "percent of the asset that the principal will have had today",
    "purpose": "what for",
    "network": "the address it comes from",
    "expect": "allowed or refused",
    "by": "the @id of a policy that must be among those that decide",
}
"""The columns of a table, each with what it holds."""
_NEEDED = ("principal", "action", "asset", "expect")
_YES = {"yes": True, "no": False, "": False}
MAX_CASES = 100_000


@dataclass(frozen=True)
class Case:
    """One line of a table."""

    line: int
    request: Request
    allowed: bool
    by: str


def read_cases(text: str, *, where: str, time: int) -> list[Case]:
    """The lines of a table, as asked at `time`. Raises UsageError, which names the line."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    unknown = sorted({str(name) for name in reader.fieldnames or ()} - set(COLUMNS))
    missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
    if unknown or missing:
        what = f"unknown column '{unknown[0][:40]}'" if unknown else f"the column {missing[0]} is missing"
        raise UsageError(what, where=f"{where}, line 1", next=f"columns are {', '.join(COLUMNS)}")
    cases = []
    try:
        for row in reader:
            cases.append(_case(row, reader.line_num, time, where))
            if len(cases) > MAX_CASES:
                raise UsageError(f"a table has at most {MAX_CASES:,} lines", where=where)
    except csv.Error as error:
        raise UsageError(f"this is no CSV: {error}", where=f"{where}, line {reader.line_num}") from None
    return cases


def failures(policies: Policies, cases: list[Case]) -> Iterator[tuple[Case, Decision]]:
    """The cases that are decided otherwise, with how."""
    for case in cases:
        decision = policies.decide(case.request)
        if decision.allowed is not case.allowed or (case.by and case.by not in decision.policies):
            yield case, decision


def _case(row: dict[str | Any, str | Any], line: int, time: int, where: str) -> Case:
    if None in row or None in row.values():
        raise UsageError("it has another number of columns than the header", where=f"{where}, line {line}")
    cell = {name: str(row.get(name) or "").strip() for name in COLUMNS}
    try:
        return Case(line, _request(cell, time), _expected(cell["expect"]), cell["by"])
    except (UsageError, RefusedError) as error:
        raise UsageError(error.message, where=f"{where}, line {line}", next=error.next) from None
    except StrongroomError as error:
        error.where = f"{where}, line {line}"
        raise


def _request(cell: dict[str, str], time: int) -> Request:
    principal = Principal(
        name=cell["principal"],
        kind=cast("Any", cell["kind"] or "person"),
        groups=cell["groups"].split(),
        suspended=_yes(cell["suspended"], "suspended"),
    )
    classification = cast("Any", cell["classification"] or "internal")
    if cell["network"]:
        try:
            ipaddress.ip_network(cell["network"], strict=False)
        except ValueError:
            raise UsageError(f"'{cell['network'][:40]}' is no address") from None
    if cell["action"] not in ACTIONS:
        raise UsageError(f"'{cell['action'][:80]}' is no action", next=f"actions are {', '.join(ACTIONS)}")
    asked = Asked(
        time=time,
        purpose=cell["purpose"],
        granted=_yes(cell["granted"], "granted"),
        sealer=_yes(cell["sealer"], "sealer"),
        leased=_yes(cell["leased"], "leased"),
        breakglass=_yes(cell["breakglass"], "breakglass"),
        approvals=_number(cell["approvals"], "approvals"),
        share=_number(cell["share"], "share"),
        network=cell["network"],
    )
    asset = check_asset(Asset(name=cell["asset"], classification=classification, places=["file:///nowhere"]))
    return Request(principal=check_principal(principal), action=cell["action"], asset=asset, asked=asked)


def _expected(text: str) -> bool:
    if text not in ("allowed", "refused"):
        raise UsageError(f"expect is allowed or refused, not '{text[:40]}'")
    return text == "allowed"


def _yes(text: str, column: str) -> bool:
    if text not in _YES:
        raise UsageError(f"{column} is yes or no, not '{text[:40]}'")
    return _YES[text]


def _number(text: str, column: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"{column} is a whole number, not '{text[:40]}'")
    return int(text or 0)

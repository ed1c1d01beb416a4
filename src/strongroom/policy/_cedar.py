"""Cedar behind the policies: text in, a set that is sound or none at all; a request in, a decision with its reasons.

The schema (`schema.cedarschema`) is part of the code. Policies are validated against it when they are loaded, and a
policy that fails while a request is decided refuses the request: Cedar itself would leave that policy out, so that a
`forbid` that fails would permit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cedarpy

from ..core.assets import Asset
from ..core.clock import format_time
from ..core.errors import RefusedError, UsageError
from ..core.ids import check_asset_name
from ..core.principals import Principal, check_principal

__all__ = ["ACTIONS", "DEFAULT", "Asked", "Decision", "Policies", "Policy", "Request"]

ACTIONS = {
    "Infer": "ask a model",
    "ReadDataset": "read a dataset",
    "OpenWeights": "use a model's weights where they are sealed",
    "ExportWeights": "take an asset away in the clear",
    "Seal": "seal files for recipients",
    "Rekey": "change who may open a sealed object",
    "Approve": "agree to somebody else's request",
    "Administer": "change principals, grants, policies, or what is believed of an asset",
}
"""The Cedar actions, each with what it permits."""
MAX_TEXT_BYTES = 1 << 20
"""Of all policies of a set."""
MAX_POLICIES = 1000
MAX_BECAUSE = 200
"""Characters of a reason that are told and recorded."""
MAX_NESTING = 100
"""Of brackets: Cedar's parser has no limit of its own, and would end the process."""
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KINDS = {"person": "Person", "workload": "Workload", "customer": "Customer"}
DEFAULT = Path(__file__).with_name("default.cedar")
"""The policies that a new site begins with."""
_SCHEMA = Path(__file__).with_name("schema.cedarschema")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a door knows of one request: the policies' `context`."""

    time: int
    """Microseconds since 1970."""
    purpose: str = ""
    granted: bool = False
    sealer: bool = False
    leased: bool = False
    breakglass: bool = False
    approvals: int = 0
    share: int = 0
    """Percent of the asset's size."""
    network: str = ""
    """An IP address; empty for a request on the host itself."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Who wants to do what to which asset."""

    principal: Principal
    action: str
    asset: Asset
    asked: Asked


@dataclass(frozen=True)
class Policy:
    """One policy of a set."""

    id: str
    permits: bool
    because: str
    form: str
    """What it says, without its annotations and however it is laid out."""


@dataclass(frozen=True)
class Decision:
    """What a set of policies says of a request."""

    allowed: bool
    policies: tuple[str, ...]
    """The ids of those that decided; none where nothing permitted it."""
    reason: str


class Policies:
    """A set of policies that fits the schema. Threads may share it."""

    def __init__(self, text: str, policies: Sequence[Policy], parsed: cedarpy.PolicySet) -> None:
        self.text = text
        self.policies = tuple(policies)
        self._by_id = {policy.id: policy for policy in policies}
        self._parsed = parsed

    @classmethod
    def parse(cls, text: str, *, where: str = "") -> Policies:
        """Parses and validates. Raises UsageError, which says which policy is wrong and why."""
        if len(text.encode()) > MAX_TEXT_BYTES:
            raise UsageError(f"policies have more than {MAX_TEXT_BYTES:,} bytes", where=where)
        _check_nesting(text, where)
        try:
            parsed = cedarpy.PolicySet.from_str(text)
            form = json.loads(cedarpy.policies_to_json_str(text))
        except ValueError as error:
            raise UsageError(f"these are no Cedar policies: {_one_line(error)}", where=where) from None
        except RecursionError:
            raise UsageError("a policy is nested too deeply", where=where, next="split it") from None
        if form.get("templates"):
            raise UsageError(
                "a policy has ?principal or ?resource", where=where, next="write policies without slots, and grants"
            )
        named = {number: _policy(number, policy, where) for number, policy in form["staticPolicies"].items()}
        ids = [policy.id for policy in named.values()]
        if len(ids) > MAX_POLICIES:
            raise UsageError(f"a set has at most {MAX_POLICIES:,} policies, not {len(ids):,}", where=where)
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise UsageError(f"two policies have the @id {twice[0]}", where=where, next="name each once")
        found = cedarpy.validate_policies(text, _schema())
        if not found.validation_passed:
            first = found.errors[0]
            name = named[first.policy_id].id if first.policy_id in named else ""
            raise UsageError(
                f"a policy does not fit the schema: {_one_line(first.error)}",
                where=", ".join(part for part in (where, name) if part),
                next="docs/policy.md shows the schema",
            )
        return cls(text, list(named.values()), parsed)

    def decide(self, request: Request) -> Decision:
        """What the policies say. Raises RefusedError for a principal, action or asset that cannot be one."""
        check_principal(request.principal)
        check_asset_name(request.asset.name)
        if request.action not in ACTIONS:
            raise RefusedError(
                f"'{request.action[:80]}' is no action", next=f"actions are {', '.join(ACTIONS)}; Cedar counts case"
            )
        answer = cedarpy.is_authorized(_cedar_request(request), self._parsed, _entities(request), _schema())
        said = answer.diagnostics
        ids = tuple(sorted(said.id_annotations_by_reason.values()))
        if said.errors:
            # Cedar's own words may name the principal, and a reason goes on record in plain.
            return Decision(False, ids, "refused: a policy failed, or the request does not fit the schema")
        if answer.decision is cedarpy.Decision.Allow:
            return Decision(True, ids, f"permitted: {self._because(ids)}")
        if ids:
            return Decision(False, ids, f"refused: {self._because(ids)}")
        return Decision(False, (), f"refused: no policy permits {request.action} of {request.asset.name}")

    def _because(self, ids: Sequence[str]) -> str:
        return "; ".join(self._by_id[one].because or one for one in ids)


def _check_nesting(text: str, where: str) -> None:
    """Raises UsageError; brackets in strings and comments count too."""
    depth = 0
    for found in re.finditer(r"[()\[\]{}]", text):
        depth = depth + 1 if found[0] in "([{" else max(depth - 1, 0)
        if depth > MAX_NESTING:
            line = text.count("\n", 0, found.start()) + 1
            raise UsageError("brackets are nested too deeply", where=f"{where}, line {line}", next="split the policy")


def _policy(number: str, policy: dict[str, Any], where: str) -> Policy:
    annotations = policy.pop("annotations", {})
    id = annotations.get("id") or ""
    if not id:
        raise UsageError(
            f"policy {int(number.removeprefix('policy')) + 1} has no @id", where=where, next='write @id("a-name")'
        )
    if not _ID.fullmatch(id):
        raise UsageError(
            f"'{id[:80]}' cannot be an @id", where=where, next="write a-z, 0-9, '.', '_', '-'; at most 64 characters"
        )
    form = json.dumps(policy, sort_keys=True)
    return Policy(id, policy["effect"] == "permit", str(annotations.get("because") or "")[:MAX_BECAUSE], form)


@cache
def _schema() -> cedarpy.Schema:
    return cedarpy.Schema.from_str(_SCHEMA.read_text())


def _uid(type: str, id: str) -> dict[str, str]:
    return {"type": type, "id": id}


def _cedar_request(request: Request) -> dict[str, Any]:
    asked = request.asked
    context: dict[str, Any] = {
        "purpose": asked.purpose,
        "granted": asked.granted,
        "sealer": asked.sealer,
        "leased": asked.leased,
        "breakglass": asked.breakglass,
        "approvals": asked.approvals,
        "share": asked.share,
        "time": {"__extn": {"fn": "datetime", "arg": format_time(asked.time)}},
    }
    if asked.network:
        context["network"] = {"__extn": {"fn": "ip", "arg": asked.network}}
    return {
        "principal": _uid(_KINDS[request.principal.kind], request.principal.name),
        "action": _uid("Action", request.action),
        "resource": _uid("Asset", request.asset.name),
        "context": context,
    }


def _entities(request: Request) -> list[dict[str, Any]]:
    """The few entities that one request is about; a set of all would have to be parsed anew at every change."""
    principal, asset = request.principal, request.asset
    organization, _, rest = asset.name.partition("/")
    untagged = f"{organization}/{rest.partition(':')[0]}"
    parents = [_uid("Organization", organization)]
    if untagged != asset.name:
        parents.append(_uid("Asset", untagged))
    return [
        {
            "uid": _uid(_KINDS[principal.kind], principal.name),
            "attrs": {"suspended": principal.suspended},
            "parents": [_uid("Group", group) for group in principal.groups],
        },
        {
            "uid": _uid("Asset", asset.name),
            "attrs": {"classification": {"__entity": _uid("Classification", asset.classification)}, "kind": asset.kind},
            "parents": parents,
        },
    ]


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]

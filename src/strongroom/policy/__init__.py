"""Policy: Cedar decides who may do what to which asset.

Invariants: what no policy permits is refused; a policy that fails refuses; a set that does not parse, or does not fit
the schema, is never in force.
"""

from ._cedar import ACTIONS, DEFAULT, MAX_TEXT_BYTES, Asked, Decision, Policies, Policy, Request
from ._requests import LEASE_REQUEST, signed_request
from ._tests import COLUMNS, Case, failures, read_cases

__all__ = [
    "ACTIONS",
    "COLUMNS",
    "DEFAULT",
    "LEASE_REQUEST",
    "MAX_TEXT_BYTES",
    "Asked",
    "Case",
    "Decision",
    "Policies",
    "Policy",
    "Request",
    "failures",
    "read_cases",
    "signed_request",
]

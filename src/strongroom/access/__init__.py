"""The one order in which anything is opened (design.md, security rule 2).

Invariants: nothing is released before the entry that says so is durable in the ledger; a decision, what it debits and
the lease that consumes its approvals are one transaction; what was revoked meanwhile is not released.
"""

from ._break_glass import use_break_glass
from ._credentials import make_break_glass, revoke_break_glass, unlock_break_glass
from ._facts import CLOCK_SLACK_US, PENDING_SECONDS, RELEASES, REQUEST_DAYS, Approvals
from ._glass import budget_of
from ._leases import approve_lease, find_lease, request_lease, revoke_lease, withdraw_lease
from ._opening import OPENING_SECONDS, Access, PolicySource
from ._preview import Difference, differences, preview

__all__ = [
    "CLOCK_SLACK_US",
    "OPENING_SECONDS",
    "PENDING_SECONDS",
    "RELEASES",
    "REQUEST_DAYS",
    "Access",
    "Approvals",
    "Difference",
    "PolicySource",
    "approve_lease",
    "budget_of",
    "differences",
    "find_lease",
    "make_break_glass",
    "preview",
    "request_lease",
    "revoke_break_glass",
    "revoke_lease",
    "unlock_break_glass",
    "use_break_glass",
    "withdraw_lease",
]

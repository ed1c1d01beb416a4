"""Posture: which demands of NIST SP 800-207 and of RAND's weight-security levels a site meets, measured on it.

Invariants: a state rests on numbers that were read of this site now; what could not be read is `not measured`, never
`met`; no name of a principal, an asset or a file is in a result.
"""

from ._claims import CLAIMS, Claim, exit_code_of, posture_of
from ._facts import (
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
)
from ._measures import IDLE_DAYS, LONGEST_GRANT_DAYS, OLDEST_KEY_DAYS, WINDOW_DAYS
from ._result import Posture, Problem, Result

__all__ = [
    "CLAIMS",
    "IDLE_DAYS",
    "LONGEST_GRANT_DAYS",
    "OLDEST_KEY_DAYS",
    "WINDOW_DAYS",
    "ApiKeys",
    "Assets",
    "Channels",
    "Claim",
    "Facts",
    "Grants",
    "Hunts",
    "Keys",
    "Ledger",
    "People",
    "Posture",
    "Problem",
    "Result",
    "Rules",
    "Service",
    "Unread",
    "Uses",
    "exit_code_of",
    "posture_of",
]

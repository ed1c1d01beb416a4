"""Finds accounts that act as one and hide it: campaigns.

The question is never whether one account is strange, but whether several that seem unrelated draw from one source.
Whoever copies a model works off a list; spread over many accounts, each gets a share that cannot be told from any
other. People's own questions can always be told apart. docs/detection.md tells the method and its limits.
"""

from ._budget import AlertBudget, parse_budget
from ._explain import Explanation, explain
from ._find import Found, Result, find_campaigns
from ._watch import Spotted, Watch

__all__ = [
    "AlertBudget",
    "Explanation",
    "Found",
    "Result",
    "Spotted",
    "Watch",
    "explain",
    "find_campaigns",
    "parse_budget",
]

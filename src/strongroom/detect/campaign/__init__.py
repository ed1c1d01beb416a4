"""Finds accounts that act as one and hide it: campaigns.

The question is never whether one account is strange, but whether several that seem unrelated are one. Two
subjects are linked when they share something (an address, a payment, a passage in their prompts) *and* ask
alike; linked groups are compared with the most alike groups among everybody else. docs/detection.md tells
the method and its limits.
"""

from ._explain import Explanation, explain
from ._find import Found, Result, find_campaigns

__all__ = ["Explanation", "Found", "Result", "explain", "find_campaigns"]

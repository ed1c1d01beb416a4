"""Sigma rules over access events: those that come with Strongroom, for AI assets, and rules of your own.

A rule becomes an Ibis expression over the table `access_events`, so that it says the same on DuckDB and on Spark. All
rules go over the table in one pass. docs/rules.md tells what is supported of Sigma, and each curated rule.
"""

from ._find import match_rules
from ._load import curated_rules, load_rules
from ._rules import Refusal, Rule, Rules

__all__ = ["Refusal", "Rule", "Rules", "curated_rules", "load_rules", "match_rules"]

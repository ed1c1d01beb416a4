"""Sigma's correlations, as pySigma parses them, to rules of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, get_args

from ._compile import column_of
from ._rules import Base, Correlation, CorrelationKind, Rule
from ._sigma import RefusedRuleError, described

__all__ = ["MAX_BASES", "MAX_GROUP", "MAX_SPAN", "to_correlation"]

MAX_BASES = 16
"""Rules of one correlation."""
MAX_GROUP = 8
"""Fields of one correlation's group-by."""
MAX_SPAN = 366 * 86_400
"""Seconds of a correlation's timespan."""


def to_correlation(document: dict[str, Any], named: Mapping[str, Rule], silent: Counter[str]) -> Rule:
    """A correlation from one YAML document; `named`: the rules loaded so far, by id and name. Counts in `silent` the
    ids of rules that it wants no signals of. Raises RefusedRuleError."""
    from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule
    from sigma.exceptions import SigmaError

    try:
        parsed = SigmaCorrelationRule.from_dict(document)
    except (SigmaError, RecursionError) as error:
        raise RefusedRuleError(f"pySigma: {error}"[:300]) from None
    kind = parsed.type.name.lower()
    if kind not in get_args(CorrelationKind):
        raise RefusedRuleError(f"a correlation of the type {kind}")
    condition = parsed.condition
    if not isinstance(condition, SigmaCorrelationCondition) or condition.percentile is not None:
        raise RefusedRuleError("an extended condition in a correlation")
    if not isinstance(condition.count, int):
        raise RefusedRuleError("a count that is no whole number")
    if parsed.timespan.seconds > MAX_SPAN:
        raise RefusedRuleError("a timespan of more than a year")
    rules = _referenced(parsed, named)
    bases = tuple(_base(parsed, reference, rule) for reference, rule in rules)
    if not parsed.generate:
        silent.update(rule.id for _, rule in rules)
    return Rule(
        product=bases[0].product,
        service=bases[0].service,
        correlation=Correlation(
            kind=kind,
            bases=bases,
            group_by=tuple(parsed.group_by or ()),
            span=parsed.timespan.seconds * 1_000_000,
            operator=condition.op.name.lower(),
            count=condition.count,
        ),
        **described(parsed),
    )


def _referenced(parsed: Any, named: Mapping[str, Rule]) -> list[tuple[str, Rule]]:
    found = []
    for reference in parsed.rules or ():
        rule = named.get(reference.reference)
        if rule is None:
            raise RefusedRuleError(f"no rule {reference.reference} was loaded"[:200])
        if rule.condition is None:
            raise RefusedRuleError("a correlation of correlations")
        found.append((reference.reference, rule))
    if len({rule.id for _, rule in found}) < len(found):
        raise RefusedRuleError("a rule that stands twice in a correlation")
    if not 0 < len(found) <= MAX_BASES or len(parsed.group_by or ()) > MAX_GROUP:
        raise RefusedRuleError(f"not 1 to {MAX_BASES} rules, or more than {MAX_GROUP} fields to group by")
    return found


def _base(parsed: Any, reference: str, rule: Rule) -> Base:
    log = (rule.product, rule.service)
    group = tuple(_alias(parsed, reference, name) for name in parsed.group_by or ())
    value = ""
    if parsed.type.name == "VALUE_COUNT":
        if not isinstance(parsed.condition.fieldref, str):
            raise RefusedRuleError("a value count over no field, or several")
        value = _alias(parsed, reference, parsed.condition.fieldref)
    for name in (*group, *([value] if value else [])):
        try:
            column_of(log, name)
        except KeyError:
            raise RefusedRuleError(f"no column {name}") from None
    assert rule.condition is not None
    return Base(rule.id, *log, rule.condition, group, value)


def _alias(parsed: Any, reference: str, name: str) -> str:
    """What the events of one rule call a field that the correlation calls `name`."""
    for alias in parsed.aliases:
        if alias.alias == name:
            for each, field in alias.mapping.items():
                if each.reference == reference:
                    return str(field)
            raise RefusedRuleError(f"the alias {name} does not tell the field of {reference}")
    return name

"""Sigma rules, as pySigma parses them, to rules of ours.

pySigma (extra `sigma`, LGPL) is imported inside functions. Its parsed condition is walked as it stands; no query
language lies between. What has no equal here is refused with a reason, never left out: a rule that lost a part would
match more, or less, than its author wrote. pySigma's lists of ATT&CK and D3FEND, which it downloads, are not imported.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable
from typing import Any, cast

from strongroom.core.errors import UsageError
from strongroom.detect.signals import SEVERITIES, Phase

from ._condition import (
    ANY_CHARACTER,
    ANY_TEXT,
    SEPARATOR,
    And,
    Cidr,
    Compare,
    Exists,
    How,
    Keyword,
    Like,
    Match,
    Node,
    Not,
    Or,
    Regex,
    SameAs,
    fold,
    leaves,
)
from ._regex import UnportableError, portable, re2_pattern
from ._rules import LOG_SOURCES, Rule, phase_of

__all__ = ["MAX_CONDITION", "MAX_LEAVES", "RefusedRuleError", "need_sigma", "to_rule"]

MAX_CONDITION = 2000
"""Characters of a rule's condition; pySigma's parser takes longer than linear time."""
MAX_PARENTHESES = 12
"""Parentheses inside each other in a condition."""
MAX_LEAVES = 2000
"""Comparisons of one rule, after modifiers have multiplied values."""
MAX_NUMBER = 1 << 53
"""Below it, engines compare whole numbers exactly."""
MAX_TEXT = 4000
"""Characters kept of a rule's description, author and the like."""
_TECHNIQUE = re.compile(r"(attack\.t\d{4}(?:\.\d{3})?|atlas\.aml\.t\d{4}(?:\.\d{3})?)", re.IGNORECASE)
_ANCHORED: dict[tuple[bool, bool], How] = {
    (False, False): "equals",
    (False, True): "startswith",
    (True, False): "endswith",
    (True, True): "contains",
}


class RefusedRuleError(ValueError):
    """The rule cannot be run as written; its text says why."""


def need_sigma() -> None:
    """Raises UsageError when pySigma is not installed."""
    if importlib.util.find_spec("sigma") is None:
        raise UsageError(
            "Sigma rules of your own need the extra `sigma`", next="pip install 'strongroom[sigma]' (pySigma, LGPL)"
        )


def to_rule(document: dict[str, Any]) -> Rule:
    """A rule over single events from one YAML document. Raises RefusedRuleError."""
    from sigma.exceptions import SigmaError
    from sigma.rule import SigmaRule

    _check_condition(document)
    try:
        parsed = SigmaRule.from_dict(document, policy=_policy())
        conditions = [condition.parsed for condition in parsed.detection.parsed_condition]
    except (SigmaError, RecursionError) as error:
        raise RefusedRuleError(f"pySigma: {error}"[:300]) from None
    if len(conditions) != 1:
        raise RefusedRuleError("more than one condition")
    product, service = _log_source(parsed.logsource)
    condition = _node(conditions[0])
    if sum(1 for _ in leaves(condition)) > MAX_LEAVES:
        raise RefusedRuleError(f"more than {MAX_LEAVES:,} comparisons")
    return Rule(product=product, service=service, condition=condition, **described(parsed))


def _policy() -> Any:
    """pySigma's safe policy, whose regular expressions do not tell their errors on stderr as well."""
    from sigma.policy import SigmaPolicy
    from sigma.policy.regex_engine import RE2RegexEngine

    class Quiet(RE2RegexEngine):  # type: ignore[misc]
        def compile(self, pattern: str, flags: int = 0) -> Any:
            named = [letter for letter, flag in (("i", re.I), ("m", re.M), ("s", re.S)) if flags & flag]
            return re2_pattern(f"(?{''.join(named)}){pattern}" if named else pattern)

    return SigmaPolicy(regex_engine=Quiet())


def described(parsed: Any) -> dict[str, Any]:
    """What a rule says of itself, as fields of Rule. Raises RefusedRuleError."""
    if parsed.id is None:
        raise RefusedRuleError("no id")
    if parsed.status is not None and parsed.status.name == "UNSUPPORTED":
        raise RefusedRuleError("its author calls it unsupported")
    own = parsed.custom_attributes
    falsepositives = _texts(parsed.falsepositives or (), "falsepositives")
    recommended = _texts(own.get("recommended") or (), "recommended")
    level = str(parsed.level or "medium")
    tags = [str(tag) for tag in parsed.tags]
    return {
        "id": str(parsed.id),
        "title": parsed.title[:MAX_TEXT],
        "level": level if level in SEVERITIES else "medium",
        "status": str(parsed.status or ""),
        "author": (parsed.author or "")[:MAX_TEXT],
        "license": (parsed.license or "")[:MAX_TEXT],
        "techniques": tuple(dict.fromkeys(_techniques(tags))),
        "phase": _phase(tags),
        "why": _text(own.get("why") or parsed.description or ""),
        "recommended": recommended or _checks(falsepositives),
        "falsepositives": falsepositives,
    }


def _checks(falsepositives: Iterable[str]) -> tuple[str, ...]:
    """What to do first about a rule that does not say it: rule out what its author knows to set it off too."""
    return tuple(
        f"Find out whether it is: {text}"
        for text in falsepositives
        if text.strip(". ").lower() not in ("unknown", "unlikely", "none", "")
    )


def _techniques(tags: Iterable[str]) -> Iterable[str]:
    for tag in tags:
        if match := _TECHNIQUE.fullmatch(tag):
            yield match[1].partition(".")[2].upper()


def _phase(tags: Iterable[str]) -> Phase:
    """The first tactic that is named, which by Sigma's custom is the one that the rule is about."""
    for tag in tags:
        family, _, name = tag.lower().partition(".")
        if family in ("attack", "atlas") and (phase := phase_of(name)):
            return phase
    return ""


def _texts(values: Any, name: str) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise RefusedRuleError(f"{name} is no list of texts")
    return tuple(_text(value) for value in values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise RefusedRuleError("why or description is no text")
    return " ".join(value.split())[:MAX_TEXT]


def _check_condition(document: dict[str, Any]) -> None:
    """Bounds what pySigma's parser of conditions is given. Raises RefusedRuleError."""
    if "action" in document:
        raise RefusedRuleError("a collection of the old kind (action: …)")
    detection = document.get("detection")
    condition = detection.get("condition") if isinstance(detection, dict) else None
    for text in condition if isinstance(condition, list) else [condition]:
        if not isinstance(text, str):
            raise RefusedRuleError("no condition, or one that is no text")
        if len(text) > MAX_CONDITION:
            raise RefusedRuleError(f"a condition of more than {MAX_CONDITION:,} characters")
        depth = deepest = 0
        for letter in text:
            depth += (letter == "(") - (letter == ")")
            deepest = max(deepest, depth)
        if deepest > MAX_PARENTHESES or text.split().count("not") > MAX_CONDITION // 20:
            raise RefusedRuleError("a condition with too many parentheses or nots")
        if "|" in text:
            raise RefusedRuleError("an aggregation in the condition (deprecated; write a correlation)")


def _log_source(source: Any) -> tuple[str, str]:
    product, service = (source.product or "").lower(), (source.service or "").lower()
    if (product, service) not in LOG_SOURCES or (source.category or "application").lower() != "application":
        named = ", ".join(f"{name} {value}" for name, value in source.to_dict().items() if name != "definition")
        raise RefusedRuleError(f"no reader for its log source ({named})")
    return product, service


# The condition


def _node(item: Any) -> Node:
    from sigma import conditions

    if isinstance(item, conditions.ConditionAND):
        return And(tuple(_node(each) for each in _arguments(item)))
    if isinstance(item, conditions.ConditionOR):
        return _or([_node(each) for each in _arguments(item)])
    if isinstance(item, conditions.ConditionNOT):
        return Not(_node(_arguments(item)[0]))
    if isinstance(item, conditions.ConditionFieldEqualsValueExpression):
        return _field(item.field, item.value)
    if isinstance(item, conditions.ConditionValueExpression):
        return _keyword(item.value)
    raise RefusedRuleError(f"a condition of the kind {type(item).__name__}")


def _arguments(item: Any) -> list[Any]:
    if not item.args or any(each is None for each in item.args):
        raise RefusedRuleError("an empty part of the condition")
    return list(item.args)


def _or(nodes: list[Node]) -> Node:
    """Texts that one field may equal, begin with or contain become one leaf, which engines look up at once."""
    together: dict[tuple[str, How, bool], list[str]] = {}
    rest: list[Node] = []
    for node in nodes:
        if isinstance(node, Match):
            together.setdefault((node.field, node.how, node.cased), []).extend(node.values)
        else:
            rest.append(node)
    matches = [Match(name, how, tuple(dict.fromkeys(v)), cased) for (name, how, cased), v in together.items()]
    made = [*matches, *rest]
    return made[0] if len(made) == 1 else Or(tuple(made))


def _field(name: str, value: Any) -> Node:
    from sigma import types

    if isinstance(value, types.SigmaTimestampPart):  # which pySigma makes a kind of number
        raise RefusedRuleError("a modifier for a part of a time")
    makers: list[tuple[type, Callable[[Any], Node]]] = [
        (types.SigmaExpansion, lambda v: _or([_field(name, each) for each in v.values])),
        (types.SigmaString, lambda v: _text_leaf(name, v)),
        (types.SigmaBool, lambda v: Match(name, "equals", ("true" if v.boolean else "false",))),
        (types.SigmaNumber, lambda v: Compare(name, "eq", _number(v))),
        (types.SigmaNull, lambda v: Not(Exists(name))),
        (types.SigmaExists, lambda v: Exists(name) if v.exists else Not(Exists(name))),
        (types.SigmaRegularExpression, lambda v: Regex(name, _regex(v))),
        (types.SigmaCIDRExpression, lambda v: Cidr(name, str(v.network))),
        (types.SigmaCompareExpression, lambda v: _compare(name, v)),
        (types.SigmaFieldReference, lambda v: SameAs(name, _ANCHORED[v.ends_with, v.starts_with], v.field)),
    ]
    for kind, make in makers:
        if isinstance(value, kind):
            return make(value)
    raise RefusedRuleError(f"a value of the kind {type(value).__name__}")


def _compare(name: str, value: Any) -> Node:
    operator = value.op.name.lower()
    if operator not in ("lt", "lte", "gt", "gte"):
        raise RefusedRuleError(f"a comparison of the kind {operator}")
    return Compare(name, operator, _number(value.number))


def _keyword(value: Any) -> Node:
    from sigma import types

    if isinstance(value, types.SigmaExpansion):
        return _or([_keyword(each) for each in value.values])
    if isinstance(value, types.SigmaNumber) and not isinstance(value, types.SigmaTimestampPart):
        return Keyword((str(value.number),))
    if not isinstance(value, types.SigmaString):
        raise RefusedRuleError(f"a keyword of the kind {type(value).__name__}")
    parts, cased = _parts(value)
    while parts and parts[0] == ANY_TEXT:
        parts = parts[1:]
    while parts and parts[-1] == ANY_TEXT:
        parts = parts[:-1]
    if not any(isinstance(part, str) for part in parts):
        raise RefusedRuleError("a keyword without letters")
    return Keyword(parts, cased)


def _text_leaf(name: str, value: Any) -> Node:
    parts, cased = _parts(value)
    begins, ends = parts[:1] == (ANY_TEXT,), parts[-1:] == (ANY_TEXT,)
    middle = parts[1 if begins else 0 : len(parts) - 1 if ends and len(parts) > 1 else None]
    if parts == (ANY_TEXT,) or not middle:
        # Of Sigma's texts, only '' has no parts. '*' is any text, also an empty one.
        return Exists(name) if parts else Match(name, "equals", ("",))
    if len(middle) == 1 and isinstance(middle[0], str):
        return Match(name, _ANCHORED[begins, ends], (middle[0],), cased)
    return Like(name, parts, cased)


def _parts(value: Any) -> tuple[tuple[str | int, ...], bool]:
    from sigma import types

    cased = isinstance(value, types.SigmaCasedString)
    made: list[str | int] = []
    for part in value.s:
        if isinstance(part, str) and SEPARATOR in part:
            raise RefusedRuleError("the character U+001F")
        if isinstance(part, str):
            made.append(part if cased else fold(part))
        elif part is types.SpecialChars.WILDCARD_MULTI:
            if made[-1:] != [ANY_TEXT]:
                made.append(ANY_TEXT)
        elif part is types.SpecialChars.WILDCARD_SINGLE:
            made.append(ANY_CHARACTER)
        else:
            raise RefusedRuleError("a placeholder (modifier expand)")
    return tuple(made), cased


def _number(value: Any) -> int | float:
    number = cast("int | float", value.number)
    if abs(number) >= MAX_NUMBER:  # pySigma has rounded it by now
        raise RefusedRuleError("a number beyond 2**53, which engines round; write it as a text")
    return number


def _regex(value: Any) -> str:
    flags = "".join(sorted(value.sigma_to_re_flag[flag] for flag in value.flags))
    try:
        return portable(str(value.regexp), flags)
    except UnportableError as error:
        raise RefusedRuleError(str(error)) from None

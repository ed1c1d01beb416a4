"""Files and directories of Sigma rules, and the rules that come with Strongroom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from strongroom.core.errors import InputError

from ._compile import column_of
from ._condition import Keyword, Leaf, SameAs, leaves
from ._rules import Refusal, Rule, Rules, decode_rules
from ._sigma import RefusedRuleError, need_sigma, to_rule
from ._sigma_correlation import to_correlation
from ._yaml import UnreadableError, documents

__all__ = ["MAX_FILES", "MAX_RULES", "curated_rules", "load_rules"]

MAX_FILES = 20_000
"""Files that are looked at; SigmaHQ's whole repository has about 4,000."""
MAX_RULES = 5_000
"""Rules of one load. What comes after is refused by name."""


def curated_rules() -> Rules:
    """The rules for AI assets that come with Strongroom, already compiled: they need no extra."""
    return Rules(decode_rules((files(__package__) / "curated.json").read_bytes()))


def load_rules(paths: Sequence[Path]) -> Rules:
    """The Sigma rules in files, and in `.yml` and `.yaml` files below directories, in the order of their names.

    What cannot be run is in `refused`, with its reason. Raises UsageError without the extra `sigma`, InputError for a
    path that is not there.
    """
    need_sigma()
    loading = _Loading()
    for path in _files(paths):
        loading.file(path)
    return loading.finished()


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    count = 0
    for path in paths:
        if not path.exists():
            raise InputError("no such file or directory", where=str(path), next="name files or directories of rules")
        found = [path]
        if path.is_dir():
            found = sorted(each for each in path.rglob("*") if each.suffix in (".yml", ".yaml") and each.is_file())
        count += len(found)
        if count > MAX_FILES:
            raise InputError(f"more than {MAX_FILES:,} files of rules", where=str(path), next="name fewer directories")
        yield from found


class _Loading:
    """Rules of all files; correlations wait until the rules that they name are known."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._refused: list[Refusal] = []
        self._names: dict[str, Rule] = {}  # by id and by name
        self._waiting: list[tuple[Path, dict[str, Any]]] = []

    def file(self, path: Path) -> None:
        try:
            found = documents(path)
        except UnreadableError as error:
            self._refuse(path, {}, str(error))
            return
        for document in found:
            if "correlation" in document:
                self._waiting.append((path, document))
            elif "filter" in document and "detection" not in document:
                self._refuse(path, document, "a Sigma filter; write it into the rule")
            else:
                self._try(path, document, self._single)

    def finished(self) -> Rules:
        silent: Counter[str] = Counter()
        for path, document in self._waiting:
            self._try(path, document, lambda each: to_correlation(each, self._names, silent))
        rules = [_silenced(rule) if silent[rule.id] else rule for rule in self._rules]
        return Rules(rules, self._refused)

    @staticmethod
    def _single(document: dict[str, Any]) -> Rule:
        rule = to_rule(document)
        assert rule.condition is not None
        for leaf in leaves(rule.condition):
            _check_columns((rule.product, rule.service), leaf)
        return rule

    def _try(self, path: Path, document: dict[str, Any], make: Any) -> None:
        try:
            rule = make(document)
            if rule.id in self._names:
                raise RefusedRuleError(f"another rule has the id {rule.id}")
            if len(self._rules) >= MAX_RULES:
                raise RefusedRuleError(f"more than {MAX_RULES:,} rules")
        except RefusedRuleError as error:
            self._refuse(path, document, str(error))
            return
        except Exception as error:  # a rule of a shape that pySigma does not expect must cost that rule alone
            self._refuse(path, document, f"pySigma: {type(error).__name__}: {error}"[:300])
            return
        self._rules.append(rule)
        self._names[rule.id] = rule
        if isinstance(name := document.get("name"), str):
            self._names.setdefault(name, rule)

    def _refuse(self, path: Path, document: dict[str, Any], reason: str) -> None:
        title = document.get("title")
        self._refused.append(Refusal(path, title if isinstance(title, str) else "", reason))


def _silenced(rule: Rule) -> Rule:
    import msgspec

    return msgspec.structs.replace(rule, silent=True)


def _check_columns(log: tuple[str, str], leaf: Leaf) -> None:
    """Raises RefusedRuleError for a column of ours that there is not."""
    if isinstance(leaf, Keyword):
        return
    for name in [leaf.field, *([leaf.other] if isinstance(leaf, SameAs) else [])]:
        try:
            column_of(log, name)
        except KeyError:
            raise RefusedRuleError(f"no column {name}") from None

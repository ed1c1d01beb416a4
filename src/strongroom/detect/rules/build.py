"""Compiles the curated rules: `python -m strongroom.detect.rules.build` writes curated.json. Needs the extra `sigma`.

With `--catalogue` it prints their list for docs/rules.md. Tests hold both to the YAML in `curated/`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from strongroom.core.errors import InputError

from ._load import curated_rules, load_rules
from ._rules import confidence, encode_rules

__all__ = ["catalogue", "compiled", "main"]

_HERE = Path(__file__).parent


def compiled() -> bytes:
    """curated.json as the YAML in `curated/` says. Raises InputError for a rule that is refused."""
    loaded = load_rules([_HERE / "curated"])
    for refusal in loaded.refused:
        raise InputError(refusal.reason, where=str(refusal.path))
    return encode_rules(loaded.rules)


def catalogue() -> str:
    """The curated rules as Markdown, by log."""
    rules = sorted(
        (rule for rule in curated_rules().rules if not rule.silent), key=lambda rule: (rule.product, rule.title)
    )
    lines: list[str] = []
    for log in dict.fromkeys((rule.product, rule.service) for rule in rules):
        lines += ["", f"### {log[0]} {log[1]}"]
        for rule in rules:
            if (rule.product, rule.service) == log:
                lines += [
                    "",
                    f"**{rule.title}** ({rule.level}, confidence {confidence(rule)}, {', '.join(rule.techniques)})  ",
                    f"`{rule.id}`  ",
                    f"{rule.why}  ",
                    f"Do: {' '.join(rule.recommended)}  ",
                    f"Honest: {'; '.join(rule.falsepositives)}.",
                ]
    return "\n".join(lines).strip() + "\n"


def main(arguments: Sequence[str]) -> None:
    """Writes curated.json, or prints the catalogue."""
    if "--catalogue" in arguments:
        sys.stdout.write(catalogue())
    else:
        (_HERE / "curated.json").write_bytes(compiled())


if __name__ == "__main__":
    main(sys.argv[1:])

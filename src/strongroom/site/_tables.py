"""Tables of a TOML file: which keys they may have, and texts in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.errors import UsageError

__all__ = ["check_keys", "text_of"]


def check_keys(values: Any, prefix: str, keys: Iterable[str], where: str) -> None:
    """Raises UsageError for what is no table, or has a key that is not known. `keys` are whole: `vault.pkcs11.keys`."""
    known = {key.removeprefix(prefix).partition(".")[0] for key in keys if key.startswith(prefix)}
    if not isinstance(values, dict):
        raise UsageError(f"{prefix.rstrip('.')} must be a table", where=where)
    unknown = sorted(set(values) - known)
    if unknown:
        raise UsageError(
            f"unknown key '{prefix}{unknown[0]}'", where=where, next=f"known keys: {', '.join(sorted(known))}"
        )


def text_of(values: dict[str, Any], name: str, default: str, prefix: str, where: str) -> str:
    """Raises UsageError for what is no text in one line."""
    text = values.get(name, default)
    if not isinstance(text, str) or not text.isprintable():
        raise UsageError(f"{prefix}{name} must be text in one line", where=where)
    return text

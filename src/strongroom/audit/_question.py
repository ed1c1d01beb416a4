"""What is asked of the ledger, and whether an access entry answers it. No IO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._body import text_of, time_of

__all__ = ["Question", "name_of"]


@dataclass(frozen=True)
class Question:
    """None asks for anything. Times are microseconds since 1970: from `since` on, before `until`.

    >>> Question(asset="acme/m").fits({"asset": "acme/m:v2"}), Question(asset="acme/m:v1").fits({"asset": "acme/m"})
    (True, False)
    """

    asset: str | None = None
    """With its tag, or without for every tag."""
    principal: str | None = None
    """A keyed digest."""
    action: str | None = None
    since: int | None = None
    until: int | None = None

    def fits(self, body: dict[str, Any]) -> bool:
        """Whether an access entry answers. One whose time cannot be read lies in every window: it is not hidden."""
        asset = text_of(body, "asset")
        if self.asset not in (None, asset, name_of(asset)):
            return False
        if self.principal not in (None, text_of(body, "principal")):
            return False
        if self.action not in (None, text_of(body, "action")):
            return False
        return self._in_window(time_of(body))

    def _in_window(self, time: int | None) -> bool:
        if time is None:
            return True
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)


def name_of(asset: str) -> str:
    """An asset's name without its tag."""
    return asset.partition(":")[0]

"""The records of a posture: what is claimed, what was measured, and what to do. docs/schemas/posture-1.json."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Number", "Posture", "Problem", "Result", "State"]

State = Literal["met", "partly", "not met", "not applicable", "not measured"]
Number = int | bool | str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One claim, measured."""

    id: str
    source: str
    """Whose demand it answers."""
    claim: str
    state: State
    numbers: dict[str, Number]
    next: str
    """What to do where it is not met, or why it was not measured."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the site that could not be read."""

    part: str
    why: str


class Posture(msgspec.Struct, frozen=True, kw_only=True):
    """Posture v1."""

    version: int = 1
    time: str
    scanned: bool
    """Whether the whole ledger was read."""
    states: dict[str, int]
    """How many claims are in each state."""
    claims: list[Result]
    problems: list[Problem]

"""Who is told when glass is broken: a program of the site's own, with one JSON object on its standard input."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import msgspec

from ..core.clock import format_time
from ..core.errors import StrongroomError, UsageError
from ..core.leases import Lease
from ._tables import check_keys

__all__ = ["BREAK_GLASS", "announce_lease", "read_announce"]

BREAK_GLASS = {
    "breakglass.announce": "a list: the program that tells people when glass is broken, by its path, and its arguments",
}
ANNOUNCE_SECONDS = 30.0
"""How long the program may take."""
MAX_WORDS = 32


def read_announce(values: Any, where: str) -> tuple[str, ...]:
    """The program and its arguments; none where none is configured. Raises UsageError."""
    check_keys(values, "breakglass.", BREAK_GLASS, where)
    words = values.get("announce", [])
    if not isinstance(words, list) or len(words) > MAX_WORDS or not all(isinstance(word, str) for word in words):
        raise UsageError(f"breakglass.announce is a list of at most {MAX_WORDS} texts", where=where)
    if "\0" in "".join(words) or (words and not words[0].startswith("/")):
        raise UsageError(
            "breakglass.announce begins with a program's whole path", where=where, next='write ["/usr/bin/notify", "…"]'
        )
    return tuple(words)


def announce_lease(program: tuple[str, ...], site: str, lease: Lease) -> None:
    """Runs the program, without a shell and with none of this process's environment. It has told everybody when it
    ends with 0. Raises StrongroomError otherwise, and nothing of what it wrote."""
    told = {
        "type": "strongroom.break-glass/1",
        "site": site,
        "principal": lease.principal,
        "action": lease.action,
        "asset": lease.asset,
        "purpose": lease.purpose,
        "lease": lease.id,
        "credential": lease.breakglass,
        "not_before": format_time(lease.not_before),
        "revoke": f"strongroom lease revoke {lease.id}",
    }
    try:
        done = subprocess.run(  # noqa: S603 - the owner's own program, from the configuration
            program,
            input=msgspec.json.encode(told) + b"\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            cwd="/",
            timeout=ANNOUNCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StrongroomError(f"it took longer than {ANNOUNCE_SECONDS:g} seconds", where=program[0]) from None
    except OSError as error:
        raise StrongroomError(f"it cannot be run: {error.strerror}", where=program[0]) from None
    if done.returncode:
        raise StrongroomError(f"it ended with {done.returncode}", where=program[0])

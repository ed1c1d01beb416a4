"""The program that tells people when glass is broken: what it gets, and what becomes of one that fails."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import StrongroomError
from strongroom.core.leases import Lease
from strongroom.site import _announce
from strongroom.site._announce import announce_lease

LEASE = Lease(
    id="lse_" + "0" * 32,
    principal="bob@acme",
    action="OpenWeights",
    asset="acme/llama",
    purpose='"; rm -rf / #',
    requested=0,
    seconds=3600,
    state="requested",
    breakglass="k3x7q2mz",
    not_before=1_800_000_000,
)


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "notify"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_it_gets_one_object_its_arguments_as_they_are_and_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSPHRASE", "hidden")
    told = program(tmp_path, f'cat > {tmp_path}/told; echo "$#:$1" > {tmp_path}/words; env > {tmp_path}/env; echo x')
    announce_lease((told, "$(id); a b"), "example.com/site", LEASE)
    found: dict[str, Any] = json.loads((tmp_path / "told").read_text())
    assert found == {
        "type": "strongroom.break-glass/1",
        "site": "example.com/site",
        "principal": "bob@acme",
        "action": "OpenWeights",
        "asset": "acme/llama",
        "purpose": '"; rm -rf / #',
        "lease": LEASE.id,
        "credential": "k3x7q2mz",
        "not_before": "1970-01-01T00:30:00.000Z",
        "revoke": f"strongroom lease revoke {LEASE.id}",
    }
    assert (tmp_path / "words").read_text() == "1:$(id); a b\n"
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exit 3", "it ended with 3"),
        ("kill -9 $$", "it ended with -9"),
        ("exec sleep 60", "longer than"),
        (None, "it cannot be run: No such file"),
    ],
)
def test_one_that_fails_is_an_error_that_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, message: str
) -> None:
    monkeypatch.setattr(_announce, "ANNOUNCE_SECONDS", 0.3)
    path = str(tmp_path / "none") if text is None else program(tmp_path, f"echo secret >&2; {text}")
    started = time.monotonic()
    with pytest.raises(StrongroomError, match=message) as error:
        announce_lease((path,), "example.com/site", LEASE)
    assert time.monotonic() - started < 30
    assert error.value.where == path
    assert "secret" not in str(error.value)


def test_one_that_reads_nothing_has_told_them_all_the_same(tmp_path: Path) -> None:
    announce_lease((program(tmp_path, "exit 0"),), "s" * (1 << 20), LEASE)

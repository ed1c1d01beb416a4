"""`policy posture` as people use it: on a fresh site, on one that was hardened, and on ones that are broken."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.audit.posture import CLAIMS
from strongroom.core.clock import now
from strongroom.core.principals import ApiKey
from strongroom.site import Site

from ..unit.contracts.schemas import problems
from .test_cli import write_log
from .test_ledger import Run, run

__all__ = ["run"]  # a fixture

DAY = 86_400_000_000


def states(document: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["state"] for one in document["claims"]}


def measured(run: Run, code: int = 0, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = run("policy", "posture", "--site", "S", "--json", *more, code=code).json
    assert problems("posture-1.json", found) == []
    assert [one["id"] for one in found["claims"]] == [claim.id for claim in CLAIMS]
    return found


def hardware_key(path: Path) -> Path:
    """The public line of an ed25519-sk key, as no security key is needed to make it."""
    parts = (b"sk-ssh-ed25519@openssh.com", base64.b64decode("0+2pYJKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), b"ssh:")
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    path.write_text(f"sk-ssh-ed25519@openssh.com {base64.b64encode(blob).decode()} bob\n")
    return path


def test_a_fresh_site_meets_what_it_comes_with_and_says_what_to_do(run: Run) -> None:
    run("init", "--yes", "S")
    found = measured(run, 1)
    assert states(found)["sp800-207/2.1-4/policy"] == "met"
    assert states(found)["sp800-207/2.1-6/api-keys"] == "not applicable"
    assert {id for id, state in states(found).items() if state in ("partly", "not met")} == {
        "sp800-207/2.1-7/record",
        "sp800-207/2.1-7/findings",
        "rand/sl1/backup",
        "rand/sl2/key-management",
        "rand/sl3/interface",
        "rand/sl3/anomaly-detection",
    }
    told = run("policy", "posture", "--site", "S", code=1)
    for one in found["claims"]:
        assert f"{one['id']}\t{one['state']}\t" in told.stdout
        assert not one["next"] or one["next"] in told.stdout
    assert "docs/zero-trust.md" in told.stderr


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Path]:
    """Something that listens where a key service would."""
    folder = Path(tempfile.mkdtemp(prefix="srp", dir="/tmp"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen(8)
        yield folder / "s"
    shutil.rmtree(folder)


def test_a_hardened_site_meets_everything_and_what_is_loosened_is_found(
    run: Run, tmp_path: Path, service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom.vault.harden_process", lambda: None)  # of a process of its own, not of the tests'
    (tmp_path / "secret").write_text("battery staple horse\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.bin").write_bytes(bytes(100_000))
    with_secret = ("--passphrase-file", "secret", "--site", "S")
    run("init", "--yes", "S", "--origin", "example.com/hard", "--passphrase-file", "secret")
    configuration = tmp_path / "S" / "strongroom.toml"
    text = configuration.read_text().replace("[ledger]\n", f'[ledger]\ncopy = "{tmp_path}/elsewhere"\n')
    configuration.write_text(f'{text}[keyserver]\nsocket = "{service}"\n')
    run("asset", "add", "acme/llama", "--at", "file:///srv/llama.sealed", "--classification", "crown", *with_secret)
    run("vault", "seal", "weights", "-o", "m", "--name", "acme/llama", *with_secret)
    me = Site.open(tmp_path / "S").local_principal
    run("grant", "add", me, "OpenWeights", "acme/llama", "--for", "30d", *with_secret)
    run(
        "principal",
        "add",
        "bob@acme",
        "--group",
        "members",
        "--ssh-key",
        hardware_key(tmp_path / "bob.pub"),
        *with_secret,
    )
    shutil.move(tmp_path / "S" / "keys" / "vault" / "recovery.key", tmp_path / "elsewhere")
    write_log(tmp_path / "log.jsonl", campaign=0)
    run("hunt", tmp_path / "log.jsonl", "--site", "S", "--passphrase-file", "secret", code=(0, 1))

    before = measured(run, 0)
    assert set(states(before).values()) == {"met", "not applicable"}
    run("vault", "check", "m", "--purpose", "evaluation", *with_secret)
    found = measured(run, 0)
    assert set(states(found).values()) == {"met", "not applicable"}
    by_id = {one["id"]: one["numbers"] for one in found["claims"]}
    assert by_id["sp800-207/2.1-1/sealed"]["dear_sealed"] == 1
    assert by_id["sp800-207/2.1-3/lease"] == {
        "releases": 1,
        "under_lease": 1,
        "entries_read": by_id["rand/sl2/logging"]["entries"],
        "complete": True,
    }
    assert by_id["sp800-207/2.1-3/purpose"] == {"leases": 1, "with_purpose": 1}
    assert by_id["sp800-207/2.1-7/record"]["left"] == by_id["rand/sl2/logging"]["entries"] > 3
    assert by_id["sp800-207/2.1-7/findings"] == {"open": 0, "days_since_last": 0}
    scanned = measured(run, 0, "--scan")
    assert (scanned["scanned"], scanned["claims"]) == (True, found["claims"])
    for secret in ("bob", "llama", me, "evaluation", "battery", str(tmp_path)):
        assert secret not in json.dumps(found)

    with Site.open(tmp_path / "S").state as state, state.transaction(write=True) as transaction:
        transaction.principals.put_api_key(
            ApiKey(id="a" * 11, principal="bob@acme", digest="sha256:" + "0" * 64, created=now() - 91 * DAY)
        )
    configuration.write_text(configuration.read_text().replace('mode = "enforce"', 'mode = "shadow"'))
    loosened = states(measured(run, 1))
    assert loosened["sp800-207/2.1-6/api-keys"] == "not met"
    for id in ("sp800-207/2.1-4/policy", "sp800-207/2.1-2/location", "rand/sl3/multiparty"):
        assert loosened[id] == "not met"


def test_what_is_broken_is_told_and_the_rest_is_measured(run: Run, tmp_path: Path) -> None:
    run("init", "--yes", "S")
    shutil.copytree(tmp_path / "S", tmp_path / "sound")
    (tmp_path / "S" / "state.db").unlink()
    gone = measured(run, 3)
    assert "the state database is not there" in {one["why"] for one in gone["problems"]}
    assert states(gone)["sp800-207/2.1-2/post-quantum"] == "met"
    assert states(gone)["sp800-207/2.1-4/policy"] == "not measured"
    assert not (tmp_path / "S" / "state.db").exists()
    (tmp_path / "S" / "state.db").write_bytes(b"no database" * 1000)
    assert "not measured" in states(measured(run, 5)).values()
    told = run("policy", "posture", "--site", "S", code=5)
    assert "people was not read: " in told.stderr
    shutil.rmtree(tmp_path / "S")
    shutil.copytree(tmp_path / "sound", tmp_path / "S")
    (tmp_path / "S" / "keys" / "ledger.key").unlink()
    without = measured(run, 1)
    assert states(without)["rand/sl1/audit-trail"] == "not met"
    assert states(without)["sp800-207/2.1-6/credential"] == "not measured"


def test_a_site_that_is_none_is_refused(run: Run) -> None:
    assert run("policy", "posture", "--json", code=3).error["code"] == "input"
    assert run("policy", "posture", "--site", "nowhere", "--json", code=3).error["code"] == "input"

"""Breaking glass as people do it: files with shares, a delay, a program that tells the owners, and what goes wrong."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from strongroom.access import Access
from strongroom.core.clock import format_time, now
from strongroom.core.errors import RefusedError
from strongroom.identity import make_shares, read_share
from strongroom.site import Site
from strongroom.vault import open_file

from .test_ledger import run
from .test_policy import ASSET, Desk, as_member, desk, template

__all__ = ["desk", "run", "template"]  # fixtures

MINUTE = 60_000_000
USE = ("breakglass", "use", ASSET, "--purpose", "production is down")


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves the clock by which is decided."""
    moved = [0]
    monkeypatch.setitem(Access.__init__.__kwdefaults__, "clock", lambda: now() + moved[0])

    def wait(microseconds: int) -> None:
        moved[0] += microseconds

    return wait


def announce(desk: Desk, text: str = "") -> Path:
    """Has the site tell people by a shell script; returns where it writes what it was told."""
    program, told = desk.path / "notify", desk.path / "told"
    program.write_text(f"#!/bin/sh\n{text or f'cat >> {told}'}\n")
    program.chmod(0o700)
    configuration = desk.path / "S/strongroom.toml"
    if "\n[breakglass]" not in configuration.read_text():
        with configuration.open("a") as file:
            file.write(f'\n[breakglass]\nannounce = ["{program}", "--urgent"]\n')
    return told


def issue(desk: Desk, *more: object, out: str = "shares") -> tuple[str, list[str]]:
    """A credential's id, and the files of its shares."""
    made = desk.json("breakglass", "issue", "--assets", ASSET, "--shares", 3, "--need", 2, "--out", out, *more)
    return str(made["id"]), [str(file) for file in made["files"]]


def shares(*files: str) -> list[str]:
    return [word for file in files for word in ("--share", file)]


def opens(desk: Desk, lease: str, purpose: str = "") -> str:
    """Why the weights do not open under a lease; empty when they do."""
    with contextlib.closing(Site.open(desk.path / "S")) as site:
        try:
            with open_file(desk.path / "m" / "model.bin", door=site.door(lease=lease, purpose=purpose)) as file:
                assert file.read() == (desk.path / "weights/model.bin").read_bytes()
        except RefusedError as error:
            return error.message
    return ""


def test_two_holders_of_three_open_it_after_half_an_hour_and_everybody_knows(desk: Desk, wait: Any) -> None:
    told = announce(desk)
    id, files = issue(desk)
    assert [Path(file).name for file in files] == [f"{id}-{number}.share" for number in (1, 2, 3)]
    assert {Path(desk.path, file).stat().st_mode & 0o777 for file in files} == {0o600}
    assert "no policy permits OpenWeights" in opens(desk, "", purpose="evaluation")
    before = now()
    made = desk.json(*USE, *shares(files[0], files[2]))
    lease = made["lease"]
    assert made == {"lease": lease, "action": "OpenWeights", "asset": ASSET, "announced": True,
                    "not_before": made["not_before"]}  # fmt: skip
    assert format_time(before + 30 * MINUTE) <= made["not_before"] <= format_time(now() + 30 * MINUTE)
    note = json.loads(told.read_text())
    assert (note["principal"], note["asset"], note["lease"]) == (desk.me, ASSET, lease)
    assert note["revoke"] == f"strongroom lease revoke {lease}"
    assert f"may be used from {made['not_before']} on" in opens(desk, lease)
    wait(31 * MINUTE)
    assert opens(desk, lease) == ""
    assert "is for OpenWeights" in desk.run("vault", "unseal", "m", "-o", "out", "--lease", lease, code=4)
    assert not (desk.path / "out").exists()
    wait(61 * MINUTE)
    assert "expired at" in opens(desk, lease)
    assert "the credential is used" in desk.run(*USE, *shares(*files), code=4)
    assert desk.recorded()[1:] == [
        ("OpenWeights", "refused"),
        ("OpenWeights", "refused"),
        ("OpenWeights", "refused"),
        ("OpenWeights", "allowed"),
        ("ExportWeights", "refused"),
        ("OpenWeights", "refused"),
        ("OpenWeights", "refused"),
    ]
    answers = desk.json("ledger", "ask", ASSET)["answers"]
    assert f"credential {id} was accepted" in answers[2]["reason"]
    assert answers[2]["lease"] == answers[4]["lease"] == lease
    assert [(one["id"], one["state"], one["lease"]) for one in desk.json("breakglass", "list")] == [(id, "used", lease)]
    shown = desk.run("lease", "show", lease)
    assert f"by breaking glass: {id}" in " ".join(shown.split())
    desk.run("ledger", "verify", "S")


def test_no_share_and_no_secret_is_anywhere_but_in_its_file(desk: Desk) -> None:
    announce(desk)
    _, files = issue(desk)
    printed = desk.run("breakglass", "list") + desk.run(*USE, *shares(*files[:2]))
    held = [read_share((desk.path / file).read_text()) for file in files]
    secrets = [text for share in held for text in (share.data, share.data.hex().encode(), share.text()[20:60].encode())]
    everything = [path.read_bytes() for path in (desk.path / "S").rglob("*") if path.is_file()]
    everything += [(desk.path / "told").read_bytes(), printed.encode()]
    for secret in secrets:
        assert not any(secret in data for data in everything)


def test_shares_that_do_not_do_are_told_by_number_or_refused_and_counted(desk: Desk) -> None:
    announce(desk)
    id, files = issue(desk)
    other, others = issue(desk, out="others")
    assert "2 shares are needed, 1 given" in desk.run(*USE, *shares(files[0], files[0]), code=2)
    assert f"share 2 is of {other}, and share 1 of {id}" in desk.run(*USE, *shares(files[0], others[1]), code=2)
    text = (desk.path / files[1]).read_text()
    typed = desk.path / "typed"
    typed.write_text(text[:-8] + ("A" if text[-8] != "A" else "B") + text[-7:])
    failed = desk.run(*USE, *shares(files[0], "typed"), code=3)
    assert "share 2 is mistyped" in failed
    assert text.splitlines()[-1][20:40] not in failed
    desk.run(*USE, *shares(files[0], "none"), code=3)
    assert desk.json("breakglass", "list")[1]["wrong"] == 0, "what was only mistyped does not count"
    forged = make_shares(id, bytes(32), shares=2, need=2, random=bytes)[1]
    typed.write_text(forged.text())
    for wrong in (1, 9):
        assert "not those of a credential" in desk.run(*USE, *shares(files[0], "typed"), code=4)
        assert desk.json("breakglass", "list")[1]["wrong"] == wrong
        with sqlite3.connect(desk.path / "S/state.db") as direct:
            direct.execute("UPDATE break_glass SET wrong = wrong + 7 WHERE wrong = 1")
    assert "not those of a credential" in desk.run(*USE, *shares(files[0], "typed"), code=4)
    assert desk.recorded()[1:] == [("OpenWeights", "refused")] * 3
    assert "is locked" in desk.run(*USE, *shares(*files), code=4)
    assert [one["state"] for one in desk.json("breakglass", "list")] == ["issued", "locked"]
    assert desk.json("breakglass", "unlock", id) == {"unlocked": id}
    desk.run(*USE, *shares(*files))
    assert desk.json("breakglass", "revoke", other) == {"revoked": other}
    assert "the credential is revoked" in desk.run(*USE, *shares(*others), code=4)
    for words, code in ((("unlock", other), 2), (("revoke", other), 2), (("revoke", "aaaaaaaa"), 3)):
        desk.run("breakglass", *words, code=code)


def test_an_owner_stops_it_while_it_waits(desk: Desk, wait: Any) -> None:
    announce(desk)
    id, files = issue(desk)
    lease = desk.json(*USE, *shares(*files))["lease"]
    assert f"strongroom lease revoke {lease}" in desk.run("breakglass", "revoke", id, code=2)
    desk.run("lease", "revoke", lease)
    wait(31 * MINUTE)
    assert f"{lease} is revoked" in opens(desk, lease)


def test_unannounced_it_is_refused_unless_whoever_issued_it_wanted_it_so(desk: Desk) -> None:
    told = desk.run("breakglass", "issue", "--assets", ASSET, "--out", "shares", code=2)
    assert "nobody would be told" in told
    assert not (desk.path / "shares").exists()
    announce(desk, "exit 1")
    _, files = issue(desk)
    assert "the announcement failed" in desk.run(*USE, *shares(*files), code=4)
    announce(desk)
    desk.run(*USE, *shares(*files))
    _, loud = issue(desk, out="loud")
    _, quiet = issue(desk, "--unannounced", out="quiet")
    path = desk.path / "S/strongroom.toml"
    path.write_text(path.read_text().partition("\n[breakglass]")[0])
    assert "nobody would be told" in desk.run(*USE, *shares(*loud), code=4)
    assert desk.json(*USE, *shares(*quiet))["announced"] is False


def test_an_unannounced_use_says_so_loudly(desk: Desk) -> None:
    _, files = issue(desk, "--unannounced")
    assert desk._run is not None
    done = desk._run("--site", "S", *USE, *shares(*files))
    assert "NOBODY WAS TOLD" in done.stderr


def test_a_member_issues_revokes_and_unlocks_nothing_and_a_stranger_uses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(desk)
    id, files = issue(desk)
    bob = as_member(desk, monkeypatch)
    for words in (("issue", "--assets", ASSET, "--out", "more"), ("revoke", id)):
        assert "no policy permits Administer" in desk.run("breakglass", *words, code=4)
    assert not any((desk.path / "more").iterdir()), "nothing is left of shares whose credential was not made"
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        direct.execute("UPDATE break_glass SET state = 'locked'")
    assert "no policy permits Administer" in desk.run("breakglass", "unlock", id, code=4)
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        direct.execute("UPDATE break_glass SET state = 'issued'")
        direct.execute("UPDATE principals SET suspended = 1 WHERE name = ?", (bob,))
    assert "suspended" in desk.run(*USE, *shares(*files), code=4)
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        direct.execute("PRAGMA foreign_keys = ON")
        direct.execute("DELETE FROM principals WHERE name = ?", (bob,))
    assert "not known to this site" in desk.run(*USE, *shares(*files), code=4)
    assert desk.json("breakglass", "list")[0]["wrong"] == 0


def test_an_edited_row_is_opened_by_no_shares_and_an_edited_lease_opens_nothing(desk: Desk, wait: Any) -> None:
    announce(desk)
    id, files = issue(desk)
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        direct.execute("UPDATE break_glass SET delay = 0")
    assert "not those of a credential" in desk.run(*USE, *shares(*files), code=4)
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        direct.execute("UPDATE break_glass SET delay = 1800")
    lease = desk.json(*USE, *shares(*files))["lease"]
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        direct.execute("UPDATE leases SET not_before = requested WHERE id = ?", (lease,))
        direct.execute("UPDATE break_glass SET state = 'issued', wrong = 0 WHERE id = ?", (id,))
    assert "is not as it was made" in opens(desk, lease)
    assert "the credential is used" in desk.run(*USE, *shares(*files), code=4)


def test_what_cannot_be_issued_leaves_no_file(desk: Desk) -> None:
    announce(desk)
    for more in (["--need", 1], ["--need", 4, "--shares", 3], ["--delay", "1m"], ["--for", "500d"]):
        desk.run("breakglass", "issue", "--assets", ASSET, "--out", "shares", *more, code=2)
    assert not (desk.path / "shares").exists()
    (desk.path / "file").write_text("")
    desk.run("breakglass", "issue", "--assets", ASSET, "--out", "file", code=6)
    assert desk.run("breakglass", "list") == "there are no break-glass credentials\n"
    assert desk.run(*USE[:3], "--share", issue(desk)[1][0], code=2)

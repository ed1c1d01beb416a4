"""What a posture reads of a site: counts that are right on a small site, and reasons where a part cannot be read."""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from strongroom.audit.posture import Facts, Unread
from strongroom.core.assets import Asset
from strongroom.core.leases import Approval, Grant, Lease
from strongroom.core.principals import ApiKey, Principal
from strongroom.policy import DEFAULT
from strongroom.site import Site
from strongroom.site._posture import read_facts
from strongroom.vault import PrivateKey

DAY = 86_400_000_000
NOW = 1_796_083_200_000_000
OLD = NOW - 91 * DAY
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Site.create(tmp_path_factory.mktemp("posture") / "S", origin="example.com/posture").path


@pytest.fixture
def site(template: Path, tmp_path: Path) -> Iterator[Site]:
    shutil.copytree(template, tmp_path / "S")
    opened = Site.open(tmp_path / "S")
    yield opened
    opened.close()


def configured(site: Site, text: str) -> Site:
    site.close()
    with (site.path / "strongroom.toml").open("a") as file:
        file.write(text)
    return Site.open(site.path)


def read(site: Site, **more: Any) -> Facts:
    return read_facts(site, NOW, **{"scan": False, **more})


def lease(number: int, principal: str, changed: int = NOW - DAY, **more: Any) -> Lease:
    fields: dict[str, Any] = {
        "id": f"lse_{number:032x}",
        "principal": principal,
        "action": "OpenWeights",
        "asset": "acme/llama",
        "purpose": "evaluation",
        "requested": changed,
        "seconds": 60,
        "state": "active",
        "changed": changed,
        "entry": number,
    }
    return Lease(**(fields | more))


def test_people_and_their_signs_of_use(site: Site) -> None:
    with site.state.transaction(write=True) as transaction:
        put = transaction.principals.put
        for name in ("leaser", "approver", "keyed", "granted", "idle", "late"):
            put(Principal(name=f"{name}@acme", kind="person"))
        put(Principal(name="gone@acme", suspended=True))
        put(Principal(name="grouped@acme", groups=["members"]))
        transaction.leases.put(lease(1, "leaser@acme"))
        transaction.leases.put(lease(2, "late@acme", OLD))
        transaction.leases.put(lease(3, "idle@acme", state="requested", entry=-1))
        transaction.leases.approve(
            Approval(id="apr_1", lease=lease(1, "").id, principal="approver@acme", signature="x", given=NOW - DAY)
        )
        transaction.principals.put_api_key(
            ApiKey(id="aaaaaaaaaaa", principal="keyed@acme", digest="sha256:" + "0" * 64, created=NOW - DAY)
        )
        for subject in ("granted@acme", "group:members"):
            transaction.principals.grant(
                Grant(subject=subject, action="OpenWeights", asset="acme/llama", expires=NOW, given=NOW - DAY, by="me")
            )
        transaction.principals.add_ssh_key("leaser@acme", "SHA256:a", SSH, OLD)
        transaction.principals.add_ssh_key("approver@acme", "SHA256:b", "sk-" + SSH, OLD)
        transaction.principals.add_ssh_key("late@acme", "SHA256:c", "sk-" + SSH, OLD)
        transaction.principals.add_ssh_key("late@acme", "SHA256:d", SSH, OLD)
        transaction.principals.add_ssh_key("gone@acme", "SHA256:e", SSH, OLD)
    people = read(site).people
    assert not isinstance(people, Unread)
    assert (people.principals, people.suspended, people.owners, people.idle) == (9, 1, 1, 3)
    assert (people.approvers, people.approvers_with_hardware) == (3, 1)


def test_grants_and_keys_that_hold_are_counted_by_their_end(site: Site) -> None:
    with site.state.transaction(write=True) as transaction:
        for asset, days in (("acme/a", 1), ("acme/b", 30), ("acme/c", 31), ("acme/*", 366), ("acme/d", 0)):
            transaction.principals.grant(
                Grant(subject="x", action="Seal", asset=asset, expires=NOW + days * DAY, given=OLD, by="me")
            )
        owner = transaction.principals.all()[0].name
        for id, created, expires, revoked in (
            ("a" * 11, NOW - DAY, NOW + DAY, None),
            ("b" * 11, OLD, NOW + DAY, None),
            ("c" * 11, NOW, None, None),
            ("d" * 11, OLD, NOW - DAY, None),
            ("e" * 11, OLD, None, NOW),
        ):
            digest = "sha256:" + id[0] * 64
            transaction.principals.put_api_key(
                ApiKey(id=id, principal=owner, digest=digest, created=created, expires=expires, revoked=revoked)
            )
    facts = read(site)
    assert not isinstance(facts.grants, Unread)
    assert not isinstance(facts.api_keys, Unread)
    grants = facts.grants
    assert (grants.live, grants.end_in_30_days, grants.end_in_90_days, grants.end_later) == (4, 2, 1, 1)
    assert (grants.longest_days, grants.of_whole_organizations) == (366, 1)
    assert (facts.api_keys.live, facts.api_keys.old, facts.api_keys.without_end) == (3, 1, 1)


def test_uses_of_the_window_are_counted_with_their_purposes(site: Site) -> None:
    with site.state.transaction(write=True) as transaction:
        for made in (
            lease(1, "a"),
            lease(2, "a", purpose=""),
            lease(3, "a", action="ExportWeights", state="used"),
            lease(4, "a", state="pending", entry=-1),
            lease(5, "a", state="revoked"),
            lease(6, "a", NOW - 31 * DAY),
        ):
            transaction.leases.put(made)
    uses = read(site).uses
    assert not isinstance(uses, Unread)
    assert (uses.leases, uses.with_purpose, uses.exports) == (3, 2, 1)


def test_assets_are_sealed_under_their_name_or_a_tag_of_it(site: Site) -> None:
    from strongroom.vault import KeyFolder

    own = KeyFolder(site.vault_keys).signers[0].key
    places = [f"file:///srv/{number}" for number in range(6)]
    site.state.put_assets(
        [
            Asset(name="acme/plain", classification="crown", places=places[:1]),
            Asset(name="acme/named", classification="crown", places=places[1:3]),
            Asset(name="acme/tagged", classification="restricted", places=places[3:4]),
            Asset(name="acme/cheap", classification="internal", places=places[4:5]),
            Asset(name="acme/api", kind="endpoint", classification="crown", places=places[5:]),
        ]
    )
    for line, signer in (("acme/named", own), ("acme/tagged:v1", own), ("acme/unlisted", "p256:" + "0" * 64)):
        site.state.record_version(line, 1, "sha256:" + "0" * 64, signer)
    site.state.reserve_version("acme/plain", 1)
    found = read(site).assets
    assert not isinstance(found, Unread)
    assert (found.listed, found.dear, found.dear_sealed, found.dear_in_several_places) == (5, 3, 2, 1)
    assert (found.sealed, found.sealed_unlisted, found.sealed_by_known_signer) == (3, 1, 2)


def test_policies_are_asked_and_not_only_read(site: Site) -> None:
    found = read(site).rules
    assert not isinstance(found, Unread)
    assert (found.version, found.mode, found.export_approvals, found.purpose_needed) == (1, "enforce", 2, True)
    assert (found.opens_to_strangers, found.reads_network) == (0, 0)
    text = DEFAULT.read_text()
    lenient = text.replace("context.approvals < 2", "context.approvals < 1")
    assert lenient != text
    inside = '@id("inside") permit (principal, action == Action::"OpenWeights", resource) when { context has network && context.network.isInRange(ip("10.0.0.0/8")) };\n'
    site.administration().publish(lenient + inside)
    found = read(site).rules
    assert not isinstance(found, Unread)
    assert (found.version, found.export_approvals) == (2, 1)
    assert (found.opens_to_strangers, found.reads_network) == (3, 1)


@pytest.mark.parametrize("change", ["signer = 'p256:00'", "text = text || ' '", "text = 'permit'"])
def test_policies_that_the_site_did_not_sign_are_not_in_force(site: Site, change: str) -> None:
    import sqlite3

    site.close()
    with sqlite3.connect(site.path / "state.db") as database:
        database.execute(f"UPDATE policy_sets SET {change}")
    database.close()
    found = read(site).rules
    assert not isinstance(found, Unread)
    assert found.version == 0


def test_keys_are_counted_by_kind_and_by_what_seals_them(site: Site) -> None:
    found = read(site).keys
    assert not isinstance(found, Unread)
    assert (found.post_quantum, found.classical, found.private_files, found.private_files_open) == (2, 0, 4, 4)
    assert (found.recovery, found.recovery_here) == (True, True)
    (site.vault_keys / "recovery.key").unlink()
    PrivateKey.generate("x25519", "old").write(site.vault_keys, passphrase="battery staple horse")
    site = configured(
        site, '[vault]\naws_kms = ["arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"]\n'
    )
    found = read(site).keys
    assert not isinstance(found, Unread)
    assert (found.post_quantum, found.classical, found.private_files, found.private_files_open) == (2, 1, 4, 3)
    assert (found.recovery, found.recovery_here, found.kms_or_token) == (True, False, 1)
    for file in ("recovery.pub",):
        (site.vault_keys / file).unlink()
    found = read(site).keys
    assert not isinstance(found, Unread)
    assert not found.recovery


def test_a_key_service_answers_as_its_user(site: Site) -> None:
    found = read(site).service
    assert not isinstance(found, Unread)
    assert not found.answers
    folder = Path(tempfile.mkdtemp(prefix="srp"))  # a socket's path is short
    try:
        site = configured(site, f'[keyserver]\nsocket = "{folder}/s"\n')
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "s"))
            listener.listen(8)
            found = read(site).service
            assert not isinstance(found, Unread)
            assert (found.answers, found.workload_has_its_user) == (True, False)
            with site.state.transaction(write=True) as transaction:
                transaction.principals.put(Principal(name=site.user(os.getuid()), kind="workload"))
            found = read(site).service
            assert not isinstance(found, Unread)
            assert found.workload_has_its_user
        found = read(site).service
        assert not isinstance(found, Unread)
        assert not found.answers
    finally:
        shutil.rmtree(folder)


def certificate(path: Path, days: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keys.example")])
    end = datetime.datetime.fromtimestamp(NOW / 1e6, datetime.UTC) + datetime.timedelta(days=days, hours=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - datetime.timedelta(days=100))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(Encoding.PEM))


@pytest.mark.parametrize("days", [30, -2])
def test_connections_are_counted_and_those_in_plain(site: Site, days: int) -> None:
    found = read(site).channels
    assert not isinstance(found, Unread)
    assert (found.configured, found.plain, found.certificate_days) == (0, 0, None)
    certificate(site.path / "keys" / "tls.pem", days)
    text = (
        (site.path / "strongroom.toml").read_text().replace("[ledger]", '[ledger]\ngit = "git://example.com/c.git"', 1)
    )
    (site.path / "strongroom.toml").write_text(text)
    site = configured(site, '[keyserver]\nlisten = "127.0.0.1:8443"\ncertificate = "keys/tls.pem"\n')
    found = read(site).channels
    assert not isinstance(found, Unread)
    assert (found.configured, found.plain, found.certificate_days) == (2, 1, days)
    (site.path / "keys" / "tls.pem").write_text("no certificate")
    assert read(site).channels == Unread("the key service's certificate cannot be read", 3)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("postgresql://s@db.example.com/s", True),
        ("postgresql://s@db.example.com/s?sslmode=require", True),
        ("postgresql://s@db.example.com/s?sslmode=verify-full", False),
        ("postgresql://s@/s?host=/run/postgresql", False),
        ("postgresql://s@[::1/s", True),
    ],
)
def test_a_database_elsewhere_must_be_checked(site: Site, url: str, plain: bool) -> None:
    from strongroom.site._posture_rules import channels_of

    found = channels_of(configured(site, f'[state]\nurl = "{url}"\n'), NOW)
    assert (found.configured, found.plain) == (1, int(plain))


def test_findings_are_open_until_they_are_dismissed(site: Site) -> None:
    found = read(site).hunts
    assert not isinstance(found, Unread)
    assert (found.days_since_last, found.open) == (None, 0)

    def row(kind: str, id: str, day: int, **document: Any) -> dict[str, Any]:
        time = datetime.datetime.fromtimestamp((NOW + day * DAY) / 1e6, datetime.UTC)
        return {"time": time, "hunt": "h", "kind": kind, "id": id, "subjects": [], "document": document}

    site.store.append_findings(
        [
            row("verdict", "v1", -20),
            row("verdict", "v2", -9),
            row("campaign", "c1", -9, status="open"),
            row("campaign", "c2", -9, status="dismissed"),
            row("campaign", "c3", -9, status="open"),
            row("dismissal", "c3", -8),
            row("finding", "f1", -9, status="open", severity="critical"),
            row("finding", "f2", -9, status="open", severity="low"),
            row("finding", "f3", -9, status="open", severity="high"),
            row("dismissal", "f3", -8),
            row("finding", "f3", -7, status="open", severity="high"),
        ]
    )
    found = read(site).hunts
    assert not isinstance(found, Unread)
    assert (found.days_since_last, found.open) == (9, 3)


def test_a_database_that_does_not_answer_is_waited_for_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from strongroom.core.errors import StrongroomError
    from strongroom.state import State

    asked: list[object] = []

    def refuse(place: object, **_: object) -> State:
        asked.append(place)
        raise StrongroomError("the state database does not answer")

    site.close()
    monkeypatch.setattr(State, "open", refuse)
    facts = read(Site.open(site.path))
    assert facts.people == facts.service == Unread("the state database does not answer", 6)
    assert len(asked) == 1


def test_a_site_without_a_ledger_measures_the_rest(tmp_path: Path) -> None:
    site = Site.create(tmp_path / "S")
    facts = read(site)
    site.close()
    assert not isinstance(facts.ledger, Unread)
    assert not facts.ledger.exists
    assert isinstance(facts.recent, Unread)
    assert not facts.recent.exit_code
    assert not isinstance(facts.people, Unread)


def test_a_site_without_policies_or_principals_has_none_in_force(tmp_path: Path) -> None:
    site = Site.create(tmp_path / "S", owned=False)
    with site.state.transaction(write=False):
        pass  # which makes the tables
    facts = read(site)
    site.close()
    assert not isinstance(facts.rules, Unread)
    assert not isinstance(facts.people, Unread)
    assert (facts.rules.version, facts.people.principals, facts.people.owners) == (0, 0, 0)


def test_a_site_whose_state_is_gone_is_not_given_a_new_one(site: Site) -> None:
    site.close()
    (site.path / "state.db").unlink()
    facts = read(site)
    assert facts.people == facts.uses == facts.rules == Unread("the state database is not there", 3)
    assert not isinstance(facts.keys, Unread)
    assert not isinstance(facts.ledger, Unread)
    assert not (site.path / "state.db").exists()


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 500])
def test_a_damaged_state_is_told(site: Site, damage: bytes) -> None:
    site.close()
    (site.path / "state.db").write_bytes(damage)
    facts = read(site)
    assert isinstance(facts.people, Unread)
    assert facts.people.exit_code == 5
    assert not isinstance(facts.keys, Unread)


def test_a_damaged_checkpoint_is_told(site: Site) -> None:
    (site.path / "ledger" / "public" / "checkpoint").write_text("nothing")
    facts = read(site)
    assert isinstance(facts.ledger, Unread)
    assert isinstance(facts.recent, Unread)
    assert (facts.ledger.exit_code, facts.recent.exit_code) == (5, 5)
    assert not isinstance(facts.people, Unread)


def test_nothing_is_written_by_measuring(site: Site) -> None:
    site.close()
    before = {path: path.stat().st_mtime_ns for path in site.path.rglob("*") if path.is_file()}
    facts = read(site)
    site.close()
    assert not isinstance(facts.hunts, Unread)
    after = {path: path.stat().st_mtime_ns for path in site.path.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {site.path / "state.db"}
    assert set(after) == set(before)

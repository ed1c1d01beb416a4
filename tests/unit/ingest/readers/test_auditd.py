"""Linux audit.log."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest import Settings, ingest
from strongroom.ingest._follow import Follower
from strongroom.ingest._frames import kind_of
from strongroom.ingest.readers import recognise
from strongroom.ingest.readers.auditd import AuditdReader
from strongroom.store import Store

READER = AuditdReader()
STAMP = "msg=audit(1793525400.123:24287):"
SYSCALL = (
    f"node=gpu-7 type=SYSCALL {STAMP} arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=7ffd42eb1590 items=1"
    ' pid=13010 auid=1000 uid=0 tty=(none) ses=3 comm="cp" exe="/usr/bin/cp" subj==unconfined key="weights"'
    '\x1dARCH=x86_64 SYSCALL=openat AUID="ann" UID="root"'
)


def read(line: str) -> LoggedAccess:
    (found,) = READER.read(line.encode())
    return found


def test_a_line_arrives_whole() -> None:
    access = read(SYSCALL)
    fields = access.fields
    access.fields = {}
    assert access == LoggedAccess(
        time=1_793_525_400_123_000,
        principal="ann@gpu-7",
        product="linux",
        service="auditd",
        action="syscall:openat",
        operation="SYSCALL",
        id=access.id,
        session="1793525400.123:24287",
        organization="gpu-7",
    )
    assert access.id.startswith("gpu-7/1793525400.123:24287/SYSCALL/")
    assert (fields["exe"], fields["comm"], fields["key"], fields["SYSCALL"]) == (
        *("/usr/bin/cp", "cp", "weights"),
        "openat",
    )
    assert fields["a0"] == "ffffff9c", "a number, not text in hexadecimal"
    assert fields["subj"] == "=unconfined"
    assert not {"type", "node", "msg"} & fields.keys()


@pytest.mark.parametrize(
    ("rest", "principal"),
    [
        ("auid=1000 uid=0", "uid:1000"),
        ('auid=1000 uid=0\x1dAUID="unknown(1000)"', "uid:1000"),
        ("auid=4294967295 uid=33", "uid:33"),
        ('auid=4294967295 uid=33\x1dAUID="unset" UID="www-data"', "www-data"),
        ("uid=0 auid=4294967295 msg='op=login acct=\"bob\" res=failed'", "bob"),
        ("uid=0 auid=4294967295 msg='op=login acct=28756E6B6E6F776E207573657229 res=failed'", "(unknown user)"),
        ("uid=0 old auid=4294967295 new auid=700 old ses=1 new ses=2", "uid:700"),
        ("pid=1 auid=5 msg='op=x auid=0 acct=\"root\" auid=0'", "uid:5"),
        ("argc=1", "unknown"),
    ],
)
def test_who_acted(rest: str, principal: str) -> None:
    assert read(f"type=USER_LOGIN {STAMP} {rest}").principal == principal


@pytest.mark.parametrize(
    ("kind", "rest", "outcome", "reason"),
    [
        ("SYSCALL", "success=no exit=-13 uid=1", "refused", "-13"),
        ("SYSCALL", "success=no exit=-2 uid=1", "failed", "-2"),
        ("USER_AUTH", "uid=0 msg='op=PAM:authentication acct=\"x\" res=failed'", "refused", ""),
        (
            "USER_START",
            "uid=0 msg='PAM: session acct=x : (hostname=?, addr=?, terminal=cron res=failed)'",
            "refused",
            "",
        ),
        ("SERVICE_START", "uid=0 msg='unit=x res=failed'", "failed", ""),
        ("AVC", 'avc:  denied  { read write } for  pid=1 comm="x" name="maildrop"', "refused", ""),
        ("AVC", 'avc:  granted  { read } for  pid=1 comm="x"', "allowed", ""),
        ("AVC", 'apparmor="DENIED" operation="open" profile="p" name="/etc/shadow"', "refused", ""),
    ],
)
def test_how_it_ended(kind: str, rest: str, outcome: str, reason: str) -> None:
    access = read(f"type={kind} {STAMP} {rest}")
    assert (access.outcome, access.reason) == (outcome, reason)


def test_the_parts_of_an_avc_have_names() -> None:
    fields = read(f"type=AVC {STAMP} avc:  denied  {{ read write }} for  pid=1 tclass=dir").fields
    assert (fields["seresult"], fields["seperms"], fields["tclass"]) == ("denied", "read\x1fwrite", "dir")


def test_text_in_hexadecimal_is_decoded() -> None:
    fields = read(f"type=EXECVE {STAMP} argc=3 a0=top a1=2F6120622F a2_len=9 a2[0]=C3 a2[1]=A4C3A4").fields
    assert (fields["a0"], fields["a1"], fields["a2"]) == ("top", "/a b/", "ää")
    assert read(f"type=EXECVE {STAMP} a2[1]=6162").fields["a2"] == "ab"
    assert read(f"type=PROCTITLE {STAMP} proctitle=6E63002D6C").fields["proctitle"] == "nc -l"
    assert read(f"type=SYSCALL {STAMP} uid=0 key=6101620163").fields["key"] == "a\x1fb\x1fc"
    saddr = read(f"type=SOCKADDR {STAMP} saddr=0200\x1dSADDR={{ saddr_fam=inet laddr=192.0.2.1 lport=22 }}").fields
    assert (saddr["saddr"], saddr["laddr"], saddr["lport"]) == ("0200", "192.0.2.1", "22")


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ('"/srv/models/x"', "/srv/models/x"),
        ('"/tmp/../srv/./models//x"', "/srv/models/x"),
        ('"//srv/x"', "/srv/x"),
        ("2F737276206D2F78", "/srv m/x"),
        ('"acme/llama"', ""),
        ("(null)", ""),
    ],
)
def test_which_file(name: str, resource: str) -> None:
    assert read(f"type=PATH {STAMP} item=0 name={name} nametype=CREATE").resource == resource


@pytest.mark.parametrize(
    "rest",
    [
        'type=EXECVE MSG argc=3 a0="mysql" a1="--password" a2="hunter2222"',
        'type=EXECVE MSG argc=2 a0="x" a1="--token=hunter2222"',
        'type=EXECVE MSG argc=2 a0="x" a1=2D2D70617373776F72643D68756E74657232323232',
        "type=PROCTITLE MSG proctitle=78002D2D70617373776F72640068756E74657232323232",
        "type=USER_CMD MSG uid=0 msg='cwd=\"/\" cmd=78202D2D746F6B656E2068756E74657232323232 res=success'",
        'type=TTY MSG tty pid=1 uid=1 comm="bash" data=68756E74657232323232',
        'type=EXECVE MSG argc=3 a0="/usr/bin/curl" a1="-u" a2="ann:hunter2222"',
        'type=EXECVE MSG argc=2 a0="mysql" a1="-phunter2222"',
        "type=PROCTITLE MSG proctitle=73736870617373002D700068756E746572323232320073736800",
        'type=EXECVE MSG argc=2 a0="x" a1="-----BEGIN PRIVATE KEY-----hunter2222" a2="hunter2222"',
    ],
)
def test_secrets_are_held_back(rest: str) -> None:
    fields = read(rest.replace("MSG", STAMP)).fields
    assert not any("hunter2222" in value for value in fields.values())
    assert fields


def test_a_private_key_masks_only_the_arguments_that_it_covers() -> None:
    key = "-----BEGIN PRIVATE KEY-----"
    line = f'type=EXECVE {STAMP} argc=5 a0="tee" a1="{key}" a2="MIIE" a3="x-----END PRIVATE KEY-----" a4="/srv/m"'
    fields = read(line).fields
    assert [fields[f"a{i}"] for i in range(5)] == ["tee", "****", "****", "****", "/srv/m"]


@pytest.mark.parametrize(
    ("rest", "principal"),
    [
        ('auid=1000\x1dAUID="ann"', "ann@gpu-7"),
        ("auid=0", "uid:0@gpu-7"),
        ('auid=1000\x1dAUID="ann@corp.example"', "ann@corp.example"),
        ("auid=4294967295 msg='acct=\"root@gpu-8\" res=failed'", "root@gpu-8@gpu-7"),
        ("argc=1", "unknown"),
    ],
)
def test_names_bear_the_host_that_gives_them(rest: str, principal: str) -> None:
    assert read(f"node=gpu-7 type=USER_LOGIN {STAMP} {rest}").principal == principal


def test_more_arguments_than_are_kept_are_told() -> None:
    line = f"type=EXECVE {STAMP} argc=600 " + " ".join(f'a{i}="x"' for i in range(600))
    assert read(line).fields["strongroom.cut"] == "fields"
    assert read(f'type=EXECVE {STAMP} a0="{"x" * 5000}"').fields["strongroom.cut"] == "values"
    assert "strongroom.cut" not in read(SYSCALL).fields


def test_the_lines_of_an_event_have_its_user(tmp_path: Path) -> None:
    lines = []
    for serial in range(9000):
        stamp = f"msg=audit(1793525400.123:{serial}):"
        lines.append(f'type=SYSCALL {stamp} syscall=257 auid={serial} uid=0 comm="{"x" * 100}"')
        lines += [f'type={kind} {stamp} x="y"' for kind in ("EXECVE", "CWD", "PATH", "PROCTITLE")]
        lines.append(f"type=EOE {stamp}")
    lines.append(f'node=gpu-8 type=CWD {STAMP.replace("24287", "5")} cwd="/"')
    (tmp_path / "audit.log").write_text("\n".join(lines))
    assert (tmp_path / "audit.log").stat().st_size > 2 << 20, "several chunks"
    report = ingest([str(tmp_path / "audit.log")], store := Store(tmp_path / "s"), Settings(b"k" * 16), workers=0)
    assert report.new == 9000 * 5 + 1
    rows = store.table(store.access_events()).to_pylist()
    for row in rows:
        serial = row["session"].rpartition(":")[2]
        assert row["principal"] == ("unknown" if row["organization"] else f"uid:{serial}")


def test_lines_that_come_later_have_the_user_of_their_event(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(SYSCALL + "\n")
    follower = Follower([str(path)], store := Store(tmp_path / "s"), Settings(b"k" * 16), workers=0)
    assert follower.read() == 1
    path.write_text(SYSCALL + f'\nnode=gpu-7 type=CWD {STAMP} cwd="/"\n')
    assert follower.read() == 1
    assert {row["principal"] for row in store.table(store.access_events()).to_pylist()} == {"ann@gpu-7"}


def test_the_end_of_an_event_is_no_access() -> None:
    assert list(READER.read(f"type=EOE {STAMP} ".encode())) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"type":"SYSCALL"}', "not an audit line"),
        (f"Nov  1 09:30:00 host app: type=SYSCALL {STAMP} uid=0".encode(), "not an audit line"),
        (b"type=UNKNOWN[1329] msg=g", "not an audit line"),
        (b'type=CWD msg=audit(1170021493.977:293): cwd="/"', "time out of range"),
        (f"type=CWD {STAMP} cwd=".encode() + b"\xff", "invalid UTF-8"),
    ],
)
def test_other_lines_are_refused(line: bytes, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        list(READER.read(line))
    assert caught.value.reason == reason


def test_a_log_is_framed_and_recognised_by_its_lines(tmp_path: Path) -> None:
    paths = [f'node=gpu-7 type=PATH {STAMP} item={i} name="/a,b/{i}" nametype=NORMAL' for i in range(3)]
    text = "\n".join(["garbage", "{", SYSCALL, *paths, f'type=CWD {STAMP} cwd="/"', f"type=EOE {STAMP} "])
    (tmp_path / "audit.log").write_text(text)
    assert kind_of(SYSCALL.encode()) == "lines"
    report = ingest([str(tmp_path / "audit.log")], store := Store(tmp_path / "s"), Settings(b"k" * 16), workers=0)
    assert report.sources[0].format == "auditd"
    assert (report.new, report.skipped["not an audit line"], report.skipped["not an exchange"]) == (5, 2, 1)
    again = ingest([str(tmp_path)], store, Settings(b"k" * 16), workers=0)
    assert again.new == 0


def test_json_lines_and_text_lines_do_not_stand_for_each_other() -> None:
    assert recognise([SYSCALL.encode()]) is not None
    assert recognise([b"plain text", b"type=SYSCALL of no event"]) is None


def test_a_log_that_grows_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(SYSCALL + "\n" + SYSCALL.replace("24287", "24288")[:40])
    follower = Follower([str(path)], Store(tmp_path / "s"), Settings(b"k" * 16), workers=0)
    assert follower.read() == 1
    path.write_text(SYSCALL + "\n" + SYSCALL.replace("24287", "24288") + "\n")
    assert follower.read() == 1


def test_the_same_line_of_two_hosts_without_names_counts_for_each_that_differs() -> None:
    one, two = (read(f'type=CWD {STAMP} cwd="/{name}"') for name in "ab")
    assert one.id != two.id

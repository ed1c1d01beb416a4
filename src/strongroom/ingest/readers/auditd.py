"""Linux audit: the lines of audit.log, one access event each.

The records of one event stand on several lines (SYSCALL, EXECVE, CWD, PATH, PROCTITLE …). Rules are written for one
kind of record, and a reader sees one; `session` is what joins them, the time and serial number of the event. Who acted
stands in SYSCALL alone; `complete` gives it to the others.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2s
from typing import Any, Literal

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess

from ._access import finished_access, local_name
from ._fields import HELD_BACK, MAX_FIELDS, MAX_VALUE, cut_short, flat, mark_cut
from ._secrets import arguments_without_secrets, may_hold_secrets
from ._time import EARLIEST, LATEST

__all__ = ["AuditdReader"]

PRODUCT, SERVICE = "linux", "auditd"
UNKNOWN = "unknown"
_WITHOUT = frozenset(FIELD_COLUMNS[PRODUCT, SERVICE])
_LINE = re.compile(
    rb"(?:node=(\S{1,255}) )?type=([A-Z][A-Z0-9_]{0,63}|UNKNOWN\[\d{1,5}\])"
    rb" msg=audit\((\d{1,11})\.(\d{3}):(\d{1,20})\):"
)
_PAIR = re.compile(
    r"((?:(?:old|new) )?[A-Za-z_][\w-]{0,63}(?:\[\d{1,6}\])?)=(\"[^\"]*\"|'[^']*'|\{[^}]{0,4096}\}|[^\s\x1d]*)",
    re.ASCII,
)
_ENRICHED = "\x1d"
"""Between what the kernel wrote and what auditd made of its numbers (`log_format = ENRICHED`)."""
_AVC = re.compile(r"\s*avc:\s+(denied|granted)\s+\{ ([^}]{0,200}) \}")
_HEX = re.compile(r"(?:[0-9A-F]{2})+")
_ARGUMENT = re.compile(r"a(\d{1,6})(?:\[\d{1,6}\])?")
# Text that others choose: in quotes, or in hexadecimal where it holds a quote, a space or a control character.
_ESCAPED = frozenset(
    {
        *("acct", "apparmor", "cgroup", "cmd", "comm", "cwd", "data", "denied_mask", "device", "dir", "exe", "file"),
        *("grp", "info", "invalid_context", "key", "name", "new-disk", "new-fs", "new-net", "new_group", "ocomm"),
        *("old-disk", "old-fs", "old-net", "operation", "path", "proctitle", "profile", "requested_mask", "root_dir"),
        *("sw", "vm", "watch"),
    }
)
_RENAMED = {"new auid": "auid", "new ses": "ses", "old auid": "old-auid", "old ses": "old-ses"}
_NOTHING = frozenset({"", "?", "(null)"})
_UNSET = frozenset({"4294967295", "-1", "unset", ""})
_DENIED = frozenset({"-1", "-13", "EPERM", "EACCES"})
_KEYSTROKES = frozenset({"TTY", "USER_TTY"})


class AuditdReader:
    """Reads the lines of Linux's audit.log."""

    name = "auditd"
    title = "Linux audit (audit.log)"
    reference = "https://github.com/linux-audit/audit-documentation/wiki/SPEC-Audit-Event-Enrichment"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """0: the lines are no JSON."""
        return 0

    def claims_line(self, raw: bytes) -> int:
        """95 for what every line begins with."""
        return 95 if _LINE.match(raw) else 0

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """The access event of a line; none of the mark at the end of an event. Raises RecordError."""
        match = _LINE.match(raw.strip())
        if match is None:
            raise RecordError("not an audit line", "it does not begin with type=… msg=audit(…)")
        node, kind, seconds, millis, serial = (
            part.decode("ascii", "replace") if part else "" for part in match.groups()
        )
        time = int(seconds) * 1_000_000 + int(millis) * 1_000
        if not EARLIEST <= time < LATEST:
            raise RecordError("time out of range", "the time is not between 2015 and 2100")
        if kind != "EOE":
            yield _access(raw, raw.strip()[match.end() :], node, kind, time, f"{seconds}.{millis}:{serial}")

    def complete(self, rows: Sequence[LoggedAccess]) -> None:
        """Lines that say no user get that of the SYSCALL line of the same event, on the same host."""
        users: dict[tuple[str, str], str] = {}
        for row in rows:
            if row.operation == "SYSCALL" and row.principal != UNKNOWN:
                users.setdefault((row.organization, row.session), row.principal)
        for row in rows:
            if row.principal == UNKNOWN:
                row.principal = users.get((row.organization, row.session), UNKNOWN)


def _access(raw: bytes, rest: bytes, node: str, kind: str, time: int, stamp: str) -> LoggedAccess:
    try:
        pairs, encoded, whole = _pairs(rest.decode(), kind)
    except UnicodeDecodeError as error:
        raise RecordError("invalid UTF-8", f"{error.reason} at byte {error.start}") from None
    operation = _one(pairs, "SYSCALL", "syscall", "op", "URING_OP", "uring_op", "unit")
    outcome = _outcome(kind, pairs)
    # Digest and all: two hosts that do not name themselves may write one serial number in one millisecond.
    digest = blake2s(raw.strip(), digest_size=16).hexdigest()
    fields = flat(pairs, _WITHOUT, secrets=encoded or may_hold_secrets(raw))
    if not whole:
        mark_cut(fields, "fields")
    return finished_access(
        LoggedAccess(
            time=time,
            principal=_principal(pairs, node),
            product=PRODUCT,
            service=SERVICE,
            action=f"{kind.lower()}{':' if operation else ''}{operation}",
            operation=kind,
            outcome=outcome,
            reason=_one(pairs, "exit", "reason") if outcome != "allowed" else "",
            id="/".join(filter(None, (node, stamp, kind, _one(pairs, "item"), digest))),
            session=stamp,
            organization=node,
            client_address=_one(pairs, "addr"),
            resource=_resource(pairs),
            fields=fields,
        )
    )


def _pairs(text: str, kind: str) -> tuple[dict[str, Any], bool, bool]:
    """Names and values of a line, whether some were in hexadecimal, and whether all are there.

    The first value of a name counts: what the kernel writes stands before what a program sent it (`msg='…'`), and
    that before what auditd added.
    """
    found: dict[str, Any] = {}
    arguments: dict[str, bytes] = {}
    encoded, whole = False, True
    kernel, _, enriched = text.partition(_ENRICHED)
    if avc := _AVC.match(kernel):
        found |= {"seresult": avc[1], "seperms": avc[2].split()}
    for name, value in [*_split(kernel), *_split(enriched)]:
        if value in _NOTHING:
            continue
        if len(found) + len(arguments) >= MAX_FIELDS:
            whole = False
            continue
        argument = _ARGUMENT.fullmatch(name) if kind == "EXECVE" else None
        if argument:
            piece = _decoded(value)
            encoded |= piece is not None
            arguments[f"a{argument[1]}"] = arguments.get(f"a{argument[1]}", b"") + (piece or _bare(value).encode())
        elif name not in found:
            piece = _decoded(value) if name in _ESCAPED else None
            encoded |= piece is not None
            found[name] = _value(name, kind, _bare(value) if piece is None else piece.decode("utf-8", "replace"))
    return found | _without_secrets(arguments), encoded, whole


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Pairs in order; those inside of `msg='…'` and `SADDR={ … }` after them."""
    inside: list[str] = []
    for match in _PAIR.finditer(text):
        name, value = match.groups()
        if value[:1] in ("'", "{"):
            inside.append(value[1:-1])
        if name != "msg":
            yield _RENAMED.get(name, name), value if value[:1] == '"' else value.rstrip(",")
    for more in inside:
        for name, value in _PAIR.findall(more):
            # Old user messages put some of theirs into parentheses: (hostname=?, addr=?, res=success)
            bare = value if value[:1] in ('"', "(") else value.rstrip(",)")
            yield _RENAMED.get(name, name), bare


def _bare(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _decoded(value: str) -> bytes | None:
    return bytes.fromhex(value) if _HEX.fullmatch(value) else None


def _value(name: str, kind: str, text: str) -> str | list[str]:
    if name == "data" and kind in _KEYSTROKES:
        return HELD_BACK  # keystrokes, passwords among them
    if name == "key":
        return text.split("\x01")
    return text.replace("\0", " ") if name == "proctitle" else text


def _without_secrets(arguments: dict[str, bytes]) -> dict[str, str]:
    """The arguments of a command; one that follows `--password` is a secret too."""
    texts = [value.decode("utf-8", "replace") for value in arguments.values()]
    cleaned = arguments_without_secrets([cut_short(text) for text in texts])
    return {
        name: clean if len(text) <= MAX_VALUE else clean.ljust(MAX_VALUE + 1)
        for name, text, clean in zip(arguments, texts, cleaned, strict=True)
    }


def _one(pairs: dict[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := pairs.get(name), str) and value), "")


def _principal(pairs: dict[str, Any], node: str) -> str:
    """Who logged in, else the account that a program speaks of, else who runs. EXECVE, PATH, CWD … say none."""
    for number, interpreted in (("auid", "AUID"), ("acct", "acct"), ("uid", "UID")):
        value = _one(pairs, number)
        if value in _UNSET:
            continue
        known = _one(pairs, interpreted)
        if known in _UNSET or known.startswith("unknown("):
            known = f"uid:{value}"
        if number == "acct" and node and "@" in known:
            # Whoever tries to log in chooses this: it must not become the name of another host's user.
            return f"{known}@{node}"
        return local_name(known, node)
    return UNKNOWN


def _outcome(kind: str, pairs: dict[str, Any]) -> Literal["allowed", "refused", "failed"]:
    if pairs.get("seresult") == "denied" or pairs.get("apparmor") == "DENIED":
        return "refused"
    if pairs.get("success") == "no":
        return "refused" if pairs.get("exit") in _DENIED else "failed"
    if _one(pairs, "res", "result") in ("failed", "0", "no"):
        return "refused" if kind.startswith(("USER_", "CRED_", "LOGIN")) else "failed"
    return "allowed"


def _resource(pairs: dict[str, Any]) -> str:
    """The file, where its whole path is there: the directory that a relative one begins in is on another line."""
    path = _one(pairs, "name", "path")[:MAX_VALUE]
    return "/" + posixpath.normpath(path).lstrip("/") if path.startswith("/") else ""

"""Manifests as somebody would write them who may sign them, or whose program is broken; and hostile bytes."""

from __future__ import annotations

import base64
import copy
import json
import random
from typing import Any

from .mutate import mutated, retyped

TOKENS = [
    *(b"\0", b"\n", b"\xff", b"\\ud800", b"\\u0000", b"\\u202e", b"..", b"/", b"../../etc/passwd", b"=", b"AAAA"),
    *(b"0", b"-1", b"9223372036854775808", b"1" * 5000, b"1e400", b"null", b"[]", b"{}", b'""', b"[" * 5000),
    *(b"files/", b".floe", b"SEALED", b"sha256", b"strongroom.sealed/1", b"mlkem768-x25519:", b"awskms:", b"pkcs11:"),
]
NAMES = [
    *("", ".", "..", "../x", "/etc/passwd", "a//b", "a/./b", "a\nb", "a\0b", "\ud800", "x" * 300, "/".join("d" * 40)),
    *("config.json", "SEALED", "model.sig", "config.json/x", "\u202egnp.exe", "a\x1b[31mb", "w.floe/x", "w", " ", "~"),
]
NUMBERS = [-1, 0, 1, 2, 7, 31, 32, 33, 1 << 24, (1 << 24) + 1, 1 << 31, 1 << 53, (1 << 60) + 1, 1 << 63, 1 << 70, 1.5]


def hostile(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """As files are damaged, and as somebody who knows the formats would write them."""
    if rng.random() < 0.5:
        data = mutated(data, rng, other)
    for _ in range(rng.choice((0, 1, 1, 2))):
        at = rng.randrange(len(data) + 1)
        data = data[:at] + rng.choice(TOKENS) + data[at + rng.choice((0, 0, 1, 5, 40)) :]
    return data


def statement(original: dict[str, Any], other: dict[str, Any], rng: random.Random) -> bytes:
    """A statement to sign: one that means something else, one of other types, or damaged JSON."""
    kind = rng.random()
    if kind < 0.2:
        return hostile(json.dumps(original).encode(), rng, json.dumps(other).encode())
    if kind < 0.4:
        return json.dumps(retyped(original, rng)).encode()
    made = copy.deepcopy(original)
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(CHANGES)(made, other, rng)
    if rng.random() < 0.5:
        _root(made)
    return json.dumps(made).encode()


def _files(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in made["predicate"]["resources"] if one["name"] != "SEALED"]


def _note(resource: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = resource["annotations"]["strongroom.sealed/1"]
    return found


def _head(made: dict[str, Any]) -> dict[str, Any]:
    return next((_note(one) for one in made["predicate"]["resources"] if one["name"] == "SEALED"), {})


def _root(made: dict[str, Any]) -> None:
    """Makes the subject's digest right, as a signer's program would."""
    import hashlib

    try:
        found = sorted((one["name"], one["digest"]) for one in made["predicate"]["resources"])
        digest = hashlib.sha256(b"".join(bytes.fromhex(one) for _, one in found)).hexdigest()
        made["subject"][0]["digest"]["sha256"] = digest
    except (KeyError, ValueError, TypeError, IndexError):
        return


def _swap(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    """What belongs to one file stands at another."""
    one, two = rng.choice(_files(made)), rng.choice(_files(made if rng.random() < 0.7 else other))
    key = rng.choice(("name", "digest", "annotations"))
    one[key], two[key] = two[key], one[key]


def _swap_notes(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    one, two = _note(rng.choice(_files(made))), _note(rng.choice(_files(made if rng.random() < 0.7 else other)))
    key = rng.choice(("length", "header", "wrapped", "key"))
    one[key], two[key] = two[key], one[key]


def _rename(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    rng.choice(_files(made))["name"] = rng.choice(("files/{}.floe", "files/{}.floe", "{}")).format(rng.choice(NAMES))


def _repeat(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    made["predicate"]["resources"].append(copy.deepcopy(rng.choice(made["predicate"]["resources"])))


def _drop(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    found = made["predicate"]["resources"]
    if len(found) > 1:
        del found[rng.randrange(len(found))]


def _length(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    note = _note(rng.choice(_files(made)))
    near = note["length"] + rng.choice((-32, -1, 1, 32, 4064, 4096)) if isinstance(note["length"], int) else 0
    note["length"] = rng.choice((near, rng.choice(NUMBERS)))


def _number(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    if rng.random() < 0.5:
        _note(rng.choice(_files(made)))["key"] = rng.choice(NUMBERS)
    else:
        _head(made)["version"] = rng.choice(NUMBERS)


def _header(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    """Other parameters: another segment length, another AEAD."""
    note = _note(rng.choice(_files(made)))
    try:
        header = bytearray(base64.b64decode(note["header"]))
    except (TypeError, ValueError):
        return
    if rng.random() < 0.6:
        header[2:6] = int(rng.choice((0, 1, 32, 33, 64, 4095, 4097, 1 << 20, 1 << 24, (1 << 32) - 1))).to_bytes(
            4, "big"
        )
    elif header:
        header[rng.randrange(len(header))] ^= 1 << rng.randrange(8)
    note["header"] = base64.b64encode(header[: rng.choice((74, 74, 73, 10, 0))]).decode()


def _keys(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    """Object keys and whom they are wrapped for."""
    keys = _head(made).get("keys")
    if not isinstance(keys, list) or not keys:
        return
    kind = rng.randrange(5)
    wraps = keys[0]
    if kind == 0:
        keys += [wraps] * (1500 if len(wraps) < 4 and rng.random() < 0.1 else 1)
    elif kind == 1:
        wraps += [dict(wraps[0], key=f"x25519:{n:064x}") for n in range(rng.choice((1, 62, 63, 100)))]
    elif kind == 2:
        wraps[0]["wrapped"], wraps[-1]["wrapped"] = wraps[-1]["wrapped"], wraps[0]["wrapped"]
    elif kind == 3:
        wraps[0]["wrapped"] = base64.b64encode(rng.randbytes(rng.choice((0, 1, 32, 80, 1200, 9000)))).decode()
    else:
        wraps[0][rng.choice(("name", "key"))] = rng.choice(
            (*NAMES, "awskms:arn:aws:kms:::x", "pkcs11:token=x;object=y")
        )


def _words(made: dict[str, Any], other: dict[str, Any], rng: random.Random) -> None:
    kind = rng.randrange(4)
    if kind == 0:
        _head(made)["name"] = rng.choice((*NAMES, "acme/other", "acme/model:tag", "a/" + "b" * 300))
    elif kind == 1:
        _head(made)["object"] = rng.choice(("0" * 32, "", "../x", "G" * 32, _head(other).get("object")))
    elif kind == 2:
        times = (
            "",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "2026-13-01T00:00:00Z",
            "٢٠٢٦-01-01",
            "2026-W01",
        )
        _head(made)["sealed_at"] = rng.choice(times)
    else:
        made[rng.choice(("_type", "predicateType", "subject"))] = rng.choice(
            ("", "x", None, [], [{"name": "", "digest": {}}])
        )


CHANGES = [_swap, _swap_notes, _rename, _repeat, _drop, _length, _number, _header, _keys, _words]

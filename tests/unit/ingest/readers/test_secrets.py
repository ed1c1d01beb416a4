"""What is taken for a secret, and what is not."""

from __future__ import annotations

import json
import random
import string
import time

import pytest

from strongroom.ingest.readers._fields import flat
from strongroom.ingest.readers._secrets import (
    _MARKS,
    _THREES,
    _USUAL,
    arguments_without_secrets,
    guarded,
    is_secret,
    may_hold_secrets,
    without_secrets,
)

LETTERS = string.ascii_letters + string.digits
URL = LETTERS + "-_"


def made(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choices(alphabet, k=length))


def keys() -> list[str]:
    """Made-up keys of the shapes that services issue."""
    rng = random.Random(7)
    hexadecimal, small = "0123456789abcdef", string.ascii_lowercase + string.digits
    return [
        f"sk-{made(rng, LETTERS, 20)}T3BlbkFJ{made(rng, LETTERS, 20)}",
        f"sk-proj-{made(rng, URL, 74)}T3BlbkFJ{made(rng, URL, 74)}",
        f"sk-svcacct-{made(rng, URL, 74)}T3BlbkFJ{made(rng, URL, 74)}",
        f"sk-ant-api03-{made(rng, URL, 93)}AA",
        f"sk-or-v1-{made(rng, hexadecimal, 64)}",
        f"sk-{made(rng, hexadecimal, 32)}",
        "sk-lf-0a1b2c3d-0000-4000-8000-0123456789ab",
        f"sk_live_{made(rng, LETTERS, 24)}",
        f"hf_{made(rng, string.ascii_letters, 34)}",
        f"gsk_{made(rng, LETTERS, 52)}",
        f"xai-{made(rng, LETTERS, 80)}",
        f"nvapi-{made(rng, URL, 64)}",
        f"pplx-{made(rng, hexadecimal, 48)}",
        f"csk-{made(rng, small, 48)}",
        *(f"{start}_{made(rng, LETTERS, 36)}" for start in ("ghp", "gho", "ghs", "ghu", "ghr")),
        f"github_pat_{made(rng, LETTERS, 22)}_{made(rng, LETTERS, 59)}",
        f"glpat-{made(rng, URL, 20)}",
        *(f"{start}-123456789012-1234567890123-{made(rng, LETTERS, 24)}" for start in ("xoxb", "xoxp", "xoxa")),
        "sk-ex4mple0key5",
        f"AIza{made(rng, URL, 35)}",
        f"ya29.{made(rng, URL, 60)}",
        f"eyJhbGciOiJI.{made(rng, URL, 60)}.x",
    ]


NAMES = [
    *("sk-models-prod", "hf-mirror-reader", "hf_cache", "sk_learn_runner", "gsk-models-prod", "xai-grok-staging"),
    *("sk-cluster01", "hf-runner-12", "hf-h100-pool", "sk-a100pool", "hf-2026-11-01", "sk-weights-123456789012"),
    *("hf-mirror-7d9f8b6c5d-x2x4z", "hf-Llama-3-70B-Instruct", "hf-DeepSeek-R1-Distill-Llama-70B", "nvapi-gateway"),
    *("hf-Mixtral-8x7B-Instruct-v2", "pplx-sonar-reader", "csk-batch", "glpat-rotator", "sk-of-a-customer"),
    *("token reader", "Token Reader", "Basic Service", "Digest Service", "basic auth", "token", "Token 1"),
]


@pytest.mark.parametrize("key", keys(), ids=lambda key: key[:10])
def test_keys_are_digested_wherever_they_stand(key: str) -> None:
    assert is_secret(key)
    assert guarded(key).startswith("key:")
    for text in (f"x {key} y", f"x={key}", f'"{key}"', f"/a/{key}", f"my-{key}"):
        assert key not in without_secrets(text)
    assert may_hold_secrets(f'{{"a":"{key}"}}'.encode())


def test_of_keys_that_a_proxy_makes_up_nearly_all_are_seen() -> None:
    rng = random.Random(8)
    assert sum(bool(is_secret("sk-" + made(rng, URL, 22))) for _ in range(2000)) > 1950


@pytest.mark.parametrize("name", NAMES)
def test_names_that_begin_like_a_key_stay(name: str) -> None:
    assert guarded(name) == name
    assert without_secrets(f"x {name} y") == f"x {name} y" or name.startswith("basic")


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer abcdefghijkl", "bearer abc.def", "BEARER x", "Basic YW5uOmh1bnRlcjI=", "basic YW5uOnB3"),
        *("Token 9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b", "Negotiate YII", 'Digest username="ann"'),
    ],
)
def test_headers_are_digested(header: str) -> None:
    assert guarded(header).startswith("key:")


SECRET = "hunter2"


@pytest.mark.parametrize(
    "arguments",
    [
        *(["x", "--password", SECRET], ["--password", SECRET], ["--db-password", SECRET], ["--hf-token", SECRET]),
        *(
            ["-u", f"ann:{SECRET}"],
            ["--user", f"ann:{SECRET}"],
            ["curl", "-u", "ann:1234567"],
            ["sshpass", "-p", SECRET],
        ),
        *(["/usr/bin/mysql", "-uroot", f"-p{SECRET}", "db"], ["mysqldump", f"-p{SECRET}"], ["mongosh", "-p", SECRET]),
        *(["redis-cli", "-a", SECRET], ["docker", "login", "-u", "ann", "-p", SECRET], ["ldapsearch", "-w", SECRET]),
        *(["--password", f'{SECRET} "and, more'], ["sh", "-c", f"mysql -p{SECRET} db"], ["curl", f"-uann:{SECRET}"]),
        *(["--client-secret", SECRET], ["x", "-pass", SECRET], ["smbclient", "-U", f"ann%{SECRET}"]),
        *(
            ["sshpass", "-p", SECRET, "mysql", f"-p{SECRET}"],
            ["az", "login", "-p", SECRET],
            ["env", f"DB_PASSWORD={SECRET}"],
        ),
    ],
)
def test_arguments_that_are_secrets_are_held_back(arguments: list[str]) -> None:
    value = arguments[-1].replace("1234567", SECRET)
    arguments = [*arguments[:-1], value]
    cleaned = arguments_without_secrets(arguments)
    assert SECRET not in "".join(cleaned)
    assert len(cleaned) == len(arguments)
    fields = flat({"args": arguments, "deep": [{"command": arguments}]})
    assert SECRET not in json.dumps(fields)
    if '"' not in value and " " not in value:
        assert SECRET not in without_secrets(" ".join(arguments))
    assert may_hold_secrets(json.dumps(arguments).encode())
    assert may_hold_secrets(" ".join(arguments).encode())


@pytest.mark.parametrize(
    "command",
    [
        *(
            "docker run -p 80:80 mysql:8",
            "docker run --name mysql -p3306:3306 mysql:8",
            "ps -u root",
            "mkdir -p /srv/m",
        ),
        *("ssh -p 22 root@host", "docker run -u 1000:1000 x", "docker run --user www-data:www-data x", "serve -p 8080"),
        *("mysql -p db", "mysql -P 3306 -h db", "curl -u ann https://x.example/", "gobuster -u https://x.example/a"),
        *("id -u ann", "python -m http.server -p 80", "tar -p -x", "x --password-file /run/x", "curl -p 8080 x"),
        *("x --token --verbose", "grep -w token x.txt", "PWD=/srv/m ls", "podman run -p 80:80 x", "journalctl -u ssh"),
    ],
)
def test_harmless_flags_stay(command: str) -> None:
    assert without_secrets(command) == command
    assert arguments_without_secrets(command.split()) == command.split()


def test_command_and_args_of_a_container_are_one_command() -> None:
    fields = flat({"containers": [{"command": ["sshpass"], "args": ["-p", SECRET, "ssh"]}]})
    assert SECRET not in json.dumps(fields)
    assert fields["containers.args"] == "-p\x1f****\x1fssh"


def test_json_in_text_is_looked_at_as_a_record() -> None:
    inner = json.dumps({"args": ["sshpass", "-p", SECRET], "p": {"password": 5}})
    fields = flat({"text": json.dumps({"a": inner, "b": "c"}), "same": '{"a" :  1}'})
    assert SECRET not in fields["text"]
    assert json.loads(json.loads(fields["text"])["a"]) == {"args": ["sshpass", "-p", "****"], "p": {"password": "****"}}
    assert fields["same"] == '{"a" :  1}'


def test_numbers_in_a_list_of_arguments() -> None:
    fields = flat({"a": ["--password", 12345678, "-p", 8080], "b": [1, 2], "c": ["x", 3, None, True]})
    assert (fields["a"], fields["b"], fields["c"]) == ("--password\x1f****\x1f-p\x1f8080", "1\x1f2", "x\x1f3\x1ftrue")


@pytest.mark.parametrize(
    "text",
    [
        *(
            '{"dbPassword":"@@"}',
            '{"MYSQL_ROOT_PASSWORD": "@@"}',
            '{"a":{"db2_password" : "@@"}}',
            '{"password":"a b, @@"}',
        ),
        *('{"password":"a\\"@@"}', '{"clientSecret":"@@","x":1}', '{\\"dbPassword\\":\\"@@\\"}', '{"password":"@@'),
        *('{\\"password\\":\\"a\\\\\\"@@\\"}', "{'password': '@@'}", 'x: {"hf_token":"@@"}', '{"apiKey": "@@"}'),
    ],
)
def test_secrets_in_json_text_are_held_back(text: str) -> None:
    for secret in ("x", "hunter22"):
        cleaned = without_secrets(text.replace("@@", "\x01" + secret))
        assert "\x01" not in cleaned
        assert "****" in cleaned


def test_what_stands_around_a_secret_in_json_text_stays() -> None:
    text = '{"user":"ann","dbPassword":"x","pin":1,"nested":{"api_key":"y","n":[1]},"tokens":5}'
    assert json.loads(without_secrets(text)) == {
        "user": "ann",
        "dbPassword": "****",
        "pin": 1,
        "nested": {"api_key": "****", "n": [1]},
        "tokens": 5,
    }
    assert json.loads(without_secrets('{"password":12345678,"x":1}')) == {"password": "****", "x": 1}


def test_a_private_key_covers_only_its_arguments() -> None:
    begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    one = ["sh", f"{begin}\nProc-Type: 4,ENCRYPTED\nMIIE-x\n{end}", "/srv/m"]
    assert arguments_without_secrets(one)[::2] == ["sh", "/srv/m"]
    assert "MIIE" not in arguments_without_secrets(one)[1]
    over = ["echo", f"x{begin}", "MIIE", f"MIIF{end}y", "-o", "/srv/m"]
    assert arguments_without_secrets(over) == ["echo", "x****", "****", "****y", "-o", "/srv/m"]
    bare = ["echo", *f"{begin} MIIE {end}".split(), "/srv/m"]
    cleaned = arguments_without_secrets(bare)
    assert "MIIE" not in cleaned
    assert (cleaned[0], cleaned[-1]) == ("echo", "/srv/m")


PIECES = [
    *(
        "sk-",
        "sk-a1B",
        "a1B2",
        "-",
        "- ",
        "-u a:",
        "mysql ",
        "curl -u ",
        "sshpass -p",
        '"password":',
        '\\"token\\":\\"',
    ),
    *('"password":"', "password=", "token", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "--password\x1f", "\\", '"'),
    *("eyJaaaaaaaaa.", "ya29.", "bearer ", "basic ", "://a:", "pwd='", "-a-", "--a"),
]


@pytest.mark.parametrize("piece", PIECES)
def test_long_texts_take_time_in_proportion(piece: str) -> None:
    started = time.monotonic()
    without_secrets(piece * (400_000 // len(piece)))  # by the square of its length this would take hours
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("mark", _MARKS)
def test_every_mark_is_looked_for(mark: bytes) -> None:
    assert mark == _USUAL or any(three in mark for three in _THREES)
    for raw in (mark, mark.upper(), b'{"a":"' + mark, b"\xc3\xa9" + mark + b'"}'):
        assert may_hold_secrets(raw)


def test_no_three_is_looked_for_in_vain() -> None:
    wanted = [*_MARKS, rb"\u00"]
    assert all(any(three in mark for mark in wanted) for three in _THREES)
    assert not may_hold_secrets(b"")
    assert not may_hold_secrets(b"pa")
    assert not may_hold_secrets(b'{"Key":"models/weights.bin"}')

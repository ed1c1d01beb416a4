"""The list of assets as a person keeps it: by command and by file, with what such files may hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from strongroom.cli._asset_files import MAX_FILE_BYTES
from strongroom.site import Site
from strongroom.store import ACCESS_EVENTS, Store

from ..command import run

FULL = ("--kind", "dataset", "--classification", "crown", "--size", "1.5TiB", "--digest", "sha256:" + "0f" * 32)
LLAMA = {"name": "acme/llama", "places": ["s3://weights/llama/"]}
HEADER = "name,kind,classification,size,digest,places,note\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    Site.create(tmp_path / "site")
    return tmp_path


def listed(cwd: Path) -> Any:
    return json.loads(run("asset", "list", "--json", "--site", "site", cwd=cwd, code=0).stdout)


def failed(*words: object, cwd: Path, code: int, stdin: bytes = b"") -> dict[str, str]:
    done = run(*words, "--json", "--site", "site", cwd=cwd, code=code, stdin=stdin)
    assert done.stdout == b""
    error: dict[str, str] = json.loads(done.stderr)["error"]
    assert error["message"]
    return error


def load(cwd: Path, text: str | bytes, *more: str, code: int = 3) -> dict[str, str]:
    data = text.encode() if isinstance(text, str) else text
    return failed("asset", "import", "-", *more, cwd=cwd, code=code, stdin=data)


def test_an_asset_is_added_listed_shown_replaced_and_removed(site: Path) -> None:
    assert "no asset is listed" in run("asset", "list", "--site", "site", cwd=site, code=0).stdout.decode()
    run(
        "asset",
        "add",
        "acme/talks",
        "--at",
        "s3://data/talks/",
        "--at",
        "hf://datasets/acme/talks",
        *FULL,
        "--note",
        "=1+1",
        "--site",
        "site",
        cwd=site,
        code=0,
    )
    (one,) = listed(site)
    assert one == {
        "version": 1,
        "name": "acme/talks",
        "kind": "dataset",
        "classification": "crown",
        "size": 3 * 2**39,
        "digest": "sha256:" + "0f" * 32,
        "places": ["s3://data/talks/", "hf://datasets/acme/talks"],
        "note": "=1+1",
    }
    assert json.loads(run("--site", "site", "asset", "show", "acme/talks", "--json", cwd=site, code=0).stdout) == one
    assert b"1.65 TB" in run("asset", "show", "acme/talks", "--site", "site", cwd=site, code=0).stdout
    table = run("asset", "list", "--site", "site", cwd=site, code=0).stdout.decode().splitlines()
    assert table[1].split("\t")[:3] == ["acme/talks", "dataset", "crown"]
    assert "already" in failed("asset", "add", "acme/talks", "--at", "s3://x-1", cwd=site, code=2)["message"]
    run("asset", "add", "acme/talks", "--at", "s3://new", "--replace", "--site", "site", cwd=site, code=0)
    assert listed(site)[0]["places"] == ["s3://new"]
    assert json.loads(run("asset", "remove", "acme/talks", "--json", "--site", "site", cwd=site, code=0).stdout) == {
        "removed": "acme/talks"
    }
    assert listed(site) == []
    assert {each.name for each in (site / "site").glob("state.db*")} == {"state.db"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("add", "acme/x"), 2),
        (("add", "acme/x", "--at", "ftp://host/x"), 2),
        (("add", "acme/x", "--at", "s3://bucket/../x"), 2),
        (("add", "acme/x", "--at", "s3://bucket/\x1b[31m"), 2),
        (("add", "acme/x", "--at", "s3://bucket", "--size", "big"), 2),
        (("add", "acme/x", "--at", "s3://bucket", "--kind", "weights"), 2),
        (("add", "acme/x", "--at", "s3://bucket", "--classification", "secret"), 2),
        (("add", "acme/x", "--at", "s3://bucket", "--digest", "md5:0"), 2),
        (("add", "acme/x", "--at", "s3://bucket", "--note", "a\nb"), 2),
        (("add", "\x1b[31m/x", "--at", "s3://bucket"), 4),
        (("show", "acme/x"), 4),
        (("show", "../x"), 4),
        (("remove", "acme/x"), 4),
        (("import", "missing.csv"), 3),
        (("list", "--since", "1d"), 2),
    ],
    ids=str,
)
def test_what_cannot_be_done_says_what_to_do_and_never_steers_the_terminal(
    site: Path, words: tuple[str, ...], code: int
) -> None:
    failed("asset", *words, cwd=site, code=code)
    done = run("asset", *words, "--site", "site", cwd=site, code=code)
    assert b"\x1b" not in done.stderr + done.stdout
    assert listed(site) == []


def test_a_place_of_another_is_refused_with_its_name(site: Path) -> None:
    run("asset", "add", "acme/a", "--at", "s3://weights/a/", "--site", "site", cwd=site, code=0)
    error = failed("asset", "add", "acme/b", "--at", "arn:aws:s3:::weights/a", cwd=site, code=2)
    assert "acme/a" in error["message"]
    run("asset", "add", "acme/b", "--at", "s3://weights/a/b/", "--site", "site", cwd=site, code=0)


def test_a_site_that_is_none_is_missing_input(tmp_path: Path) -> None:
    for words in (("list",), ("list", "--proposed"), ("add", "acme/x", "--at", "s3://bucket"), ("import", "-")):
        run("asset", *words, "--site", "nowhere", cwd=tmp_path, code=3, stdin=b"")
        run("asset", *words, cwd=tmp_path, code=3, stdin=b"")
    assert list(tmp_path.iterdir()) == []


# Files


CSV = (
    HEADER
    + 'acme/a,model,crown,140GB,,"s3://weights/a/ ; ebs:snap-0123","two, ""quoted"""\n'
    + "\r\n"
    + "acme/b,,,,,s3://weights/b,=cmd|' /C calc'!A0\r\n"
)
JSON_LINES = '{"name":"acme/a","places":["s3://weights/a/"],"size":"140GB"}\n\n{"name":"acme/b","places":["s3://weights/b"],"size":7}\n'


@pytest.mark.parametrize(
    "text", [CSV, "\ufeff" + CSV, JSON_LINES, "[" + JSON_LINES.strip().replace("\n\n", ",\n") + "]"]
)
def test_csv_json_lines_and_json_are_imported(site: Path, text: str) -> None:
    (site / "list").write_text(text, newline="")
    assert json.loads(run("asset", "import", "list", "--json", "--site", "site", cwd=site, code=0).stdout) == {
        "imported": 2,
        "replaced": 0,
    }
    first, second = listed(site)
    assert (first["name"], first["size"], first["classification"]) == (
        "acme/a",
        140 * 10**9,
        "crown" if "crown" in text else "restricted",
    )
    assert second["places"] == ["s3://weights/b"]
    run("asset", "import", "list", "--site", "site", cwd=site, code=3)
    assert b"replaced: 2" in run("asset", "import", "list", "--replace", "--site", "site", cwd=site, code=0).stdout


def test_what_list_prints_import_reads(site: Path) -> None:
    run("asset", "import", "-", "--site", "site", cwd=site, code=0, stdin=CSV.encode())
    before = listed(site)
    run("asset", "import", "-", "--replace", "--site", "site", cwd=site, code=0, stdin=json.dumps(before).encode())
    assert listed(site) == before


def test_every_bad_row_is_named_with_its_line_and_none_is_imported(site: Path) -> None:
    rows = [
        "acme/good,,,,,s3://weights/good,",
        'acme/note,,,,,s3://weights/n,"two\nlines"',
        "=HYPERLINK(1)/x,,,,,s3://weights/f,",
        "acme/x,weights,,,,s3://weights/x,",
        "acme/y,,,big,,s3://weights/y,",
        "acme/z,,,,,,",
        "acme/good,,,,,s3://weights/again,",
        "acme/same,,,,,arn:aws:s3:::weights/good,",
        "acme/short,",
        "acme/\x1b[2J,,,,,s3://weights/e,",
    ]
    error = load(site, HEADER + "\n".join(rows) + "\n")
    # The note of line 3 ends on line 4, so all that follows stands one further down.
    for line in (3, 5, 6, 7, 8, 9, 10, 11, 12):
        assert f"line {line}: " in error["message"], line
    assert "line 2: " not in error["message"]
    assert "9 rows" in error["message"]
    assert listed(site) == []
    done = run("asset", "import", "-", "--site", "site", cwd=site, code=3, stdin=(HEADER + "\n".join(rows)).encode())
    assert b"\x1b" not in done.stderr


def test_rows_that_the_list_holds_already_are_named_too(site: Path) -> None:
    run("asset", "add", "acme/a", "--at", "s3://weights/b", "--site", "site", cwd=site, code=0)
    message = load(site, JSON_LINES)["message"]
    assert "line 1: acme/a is on the list already" in message
    message = load(site, JSON_LINES.replace("acme/a", "acme/c"), "--replace")["message"]
    assert "line 3: acme/b acme/a lies at s3://weights/b already" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no asset"),
        (HEADER, "no asset"),
        ("[]", "no asset"),
        (b"\xff\xfe", "UTF-8"),
        ("name;places\n", "header"),
        ("name,places,colour\n", "colour"),
        ("name,name,places\n", "header"),
        (HEADER + 'acme/a,"x', "CSV"),
        ("[" * 100_000, "array"),
        ("[1, 2", "array"),
        ("[1]", "element 1"),
        ('[{"name":"acme/a","places":["s3://bucket"],"colour":1}]', "colour"),
        ('[{"version":2,"name":"acme/a","places":["s3://bucket"]}]', "version 2"),
        ('{"name":"acme/a"}\n{', "2 rows"),
        ('{"a":' * 100_000, "line 1"),
        ('{"name":"acme/a","places":"s3://bucket"}', "line 1"),
        ('{"name":"acme/a","places":["s3://bucket"],"size":1e400}', "line 1"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_a_file_that_is_no_list_is_unusable_input(site: Path, text: str | bytes, said: str) -> None:
    assert said in load(site, text)["message"]
    assert listed(site) == []


def test_a_huge_file_is_refused_unread(site: Path) -> None:
    assert "larger than" in load(site, b" " * (MAX_FILE_BYTES + 1))["message"]
    many = "".join(f"acme/m{n},,,,,s3://weights/{n},\n" for n in range(10_001))
    assert "10,000 rows" in load(site, HEADER + many)["message"]
    bad = "".join(f"acme/m{n},x,,,,s3://weights/{n},\n" for n in range(3_000))
    message = load(site, HEADER + bad)["message"]
    assert "and 2,950 more" in message
    assert len(message) < 20_000


# Proposals


def test_without_a_list_stores_are_proposed_with_the_command_that_lists_them(site: Path) -> None:
    command = ("asset", "list", "--proposed", "--site", "site")
    assert "nothing that looks like" in run(*command, cwd=site, code=0).stdout.decode()
    keys = [f"llama's/model-{n:05d}-of-00004.safetensors" for n in range(4)] + ["evil\x1b[2J/x.gguf", "\u202e/x.gguf"]
    rows = [
        {
            "time": 1_800_000_000_000_000,
            "product": "aws",
            "resource": f"arn:aws:s3:::weights/{key}",
            "principal": f"p{n}",
            "bytes": 10**9,
        }
        for n, key in enumerate(keys)
    ]
    Store(site / "site" / "store").append_access_events([pa.RecordBatch.from_pylist(rows, schema=ACCESS_EVENTS)])
    done = run(*command, cwd=site, code=0)
    assert b"\x1b" not in done.stdout
    assert "\u202e" not in done.stdout.decode()
    (proposal,) = json.loads(run(*command, "--json", cwd=site, code=0).stdout)
    assert proposal == {
        "place": "s3://weights/llama's/",
        "name": "weights/llama-s",
        "kind": "model",
        "why": "files named as weights are",
        "events": 4,
        "principals": 4,
        "resources": 4,
        "bytes": 4 * 10**9,
        "command": "strongroom asset add weights/llama-s --kind model --at 's3://weights/llama'\"'\"'s/'",
    }
    assert json.loads(run(*command, "--json", "--until", "2026-01-01", cwd=site, code=0).stdout) == []
    run("asset", "add", proposal["name"], "--at", proposal["place"], "--site", "site", cwd=site, code=0)
    assert json.loads(run(*command, "--json", cwd=site, code=0).stdout) == []

"""What the command line prints, a site on disk, and its configuration are as their schemas say."""

from __future__ import annotations

import base64
import json
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from strongroom.cli import main
from strongroom.core import errors
from strongroom.core.errors import StrongroomError, UsageError
from strongroom.site import CONFIGURATION, Site
from strongroom.vault import find_sources, seal

from .schemas import problems, schema, valid

LOG = "".join(
    json.dumps({"time": f"2026-11-01T09:30:{i:02d}Z", "account": f"a{i % 3}", "prompt": f"Tell me about number {i}"})
    + "\n"
    for i in range(12)
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in this process: exit code, stdout, stderr."""
    monkeypatch.delenv("STRONGROOM_SITE", raising=False)

    def run_command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["strongroom", *words])
        code = main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_command


def layout(root: Path) -> dict[str, dict[str, str]]:
    """What stands in a site's directory, as a document of site-1."""
    inside = [root, *(path for path in sorted(root.rglob("*")) if len(path.relative_to(root).parts) <= 2)]
    found = {}
    for path in inside:
        status = path.stat()
        kind = "directory" if stat.S_ISDIR(status.st_mode) else "socket" if stat.S_ISSOCK(status.st_mode) else "file"
        name = path.relative_to(root).as_posix()
        found[name] = {"kind": kind, "mode": f"0{stat.S_IMODE(status.st_mode):03o}"}
    return found


def test_a_hunt_prints_a_verdict_and_leaves_a_site_as_it_must_be(run: Any, tmp_path: Path) -> None:
    site, log = tmp_path / "site", tmp_path / "log.jsonl"
    log.write_text(LOG + "not JSON\n")
    assert run("init", "--yes", str(site))[0] == 0
    assert problems("site-1.json", layout(site)) == []
    code, out, _ = run("hunt", str(log), "--site", str(site), "--json")
    verdict = json.loads(out)
    assert code == 0
    assert problems("hunt-1.json", verdict) == []
    assert (verdict["exchanges"], verdict["accounts"], verdict["skipped"]) == (12, 3, {"not JSON": 1})
    assert problems("site-1.json", layout(site)) == []
    made = {name for name, each in schema("site-1.json")["properties"].items() if each["x-made-by"] != "later"}
    assert set(layout(site)) == made


def test_a_site_that_others_can_read_or_that_lacks_its_key_is_invalid(tmp_path: Path) -> None:
    Site.create(tmp_path / "site")
    sound = layout(tmp_path / "site")
    for name in schema("site-1.json")["required"]:
        assert not valid("site-1.json", {key: value for key, value in sound.items() if key != name})
    assert not valid("site-1.json", sound | {"keys/sketch.key": {"kind": "file", "mode": "0644"}})
    assert not valid("site-1.json", sound | {".": {"kind": "directory", "mode": "0755"}})
    assert not valid("site-1.json", sound | {"notes.txt": {"kind": "file"}})
    assert valid("site-1.json", sound | {"run/api.sock": {"kind": "socket", "mode": "0600"}})


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (("hunt", "missing.jsonl"), "input", 3),
        (("hunt",), "input", 3),
        (("hunt", "--colour"), "usage", 2),
        (("hunt", "x.jsonl", "--format", "nothing"), "usage", 2),
        (("store", "info"), "input", 3),
        (("store", "prune", "--older-than", "soon"), "usage", 2),
        (("explain",), "usage", 2),
        (("sing",), "usage", 2),
        (("store", "info", "--site", "nowhere"), "input", 3),
    ],
    ids=str,
)
def test_an_error_is_one_document_on_stderr(
    run: Any, words: tuple[str, ...], code: str, exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*words, "--json")
    document = json.loads(err)
    assert problems("error-1.json", document) == []
    assert (found, document["error"]["code"], out) == (exit_code, code, "")
    assert document["error"]["next"]


def test_an_id_that_is_none_is_refused(run: Any, tmp_path: Path) -> None:
    Site.create(tmp_path / "site")
    code, _, err = run("finding", "dismiss", "cmp_0", "--reason", "x", "--site", str(tmp_path / "site"), "--json")
    assert (code, json.loads(err)["error"]["code"]) == (4, "refused")
    assert problems("error-1.json", json.loads(err)) == []


def test_every_kind_of_error_has_its_code_in_the_schema() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = schema("error-1.json")["properties"]["error"]["properties"]["code"]["enum"]
    assert {kind.code for kind in kinds} == set(codes)
    for kind in kinds:
        error: StrongroomError = kind("no records")
        assert problems("error-1.json", error.as_dict()) == []
    assert not valid("error-1.json", {"error": {"code": "oops", "message": "x", "where": "", "next": ""}})
    assert not valid("error-1.json", {"error": {"code": "input", "message": "x"}})
    assert not valid("error-1.json", {"code": "input", "message": "x", "where": "", "next": ""})


def test_the_schema_has_the_keys_of_the_configuration() -> None:
    def keys(node: dict[str, Any], prefix: str = "") -> set[str]:
        found = set()
        for name, inner in node["properties"].items():
            below = inner.get("items", inner)
            found |= keys(below, f"{prefix}{name}.") if "properties" in below else {prefix + name}
        return found

    assert keys(schema("configuration-1.json")) == set(CONFIGURATION)


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("version = 1", True),
        ("version = 1\nkeep_text = true", True),
        ("version = 1\nkeep_text = false", True),
        ("", False),
        ("keep_text = true", False),
        ("version = 2", False),
        ('version = "1"', False),
        ('version = 1\nkeep_text = "yes"', False),
        ("version = 1\nkeep_text = 1", False),
        ("version = 1\nkeep_texts = true", False),
        ("version = 1\n[table]\nx = 1", False),
    ],
)
def test_a_site_opens_with_the_configurations_that_the_schema_takes(text: str, sound: bool, tmp_path: Path) -> None:
    Site.create(tmp_path / "site")
    (tmp_path / "site" / "strongroom.toml").write_text(text)
    assert valid("configuration-1.json", tomllib.loads(text)) == sound
    if sound:
        Site.open(tmp_path / "site")
    else:
        with pytest.raises(UsageError):
            Site.open(tmp_path / "site")


@pytest.mark.parametrize("keep_text", [True, False])
def test_a_new_sites_configuration_is_valid(keep_text: bool, tmp_path: Path) -> None:
    Site.create(tmp_path / "site", keep_text=keep_text)
    written = tomllib.loads((tmp_path / "site" / "strongroom.toml").read_text())
    assert problems("configuration-1.json", written) == []
    assert written["keep_text"] is keep_text


def test_a_sealed_object_is_as_its_schema_says(tmp_path: Path) -> None:
    sealed = Site.create(tmp_path / "vault-site").door()
    (tmp_path / "model").mkdir()
    for name, data in (("config.json", b"{}"), ("w.safetensors", bytes(3_000_000))):
        (tmp_path / "model" / name).write_bytes(data)
    for name in ("", "acme/model:v1"):
        out = tmp_path / f"{len(name)}.sealed"
        seal(find_sources([tmp_path / "model"]), out, sealed.recipients, sealed, name=name)
        bundle = json.loads((out / "model.sig").read_text())
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        assert problems("sealed-object-1.json", statement) == []
        notes = {one["name"]: one["annotations"]["strongroom.sealed/1"] for one in statement["predicate"]["resources"]}
        assert valid("sealed-object-1.json#/$defs/object_note", notes.pop("SEALED"))
        assert all(valid("sealed-object-1.json#/$defs/file_note", note) for note in notes.values())
        del statement["predicate"]["resources"][0]["annotations"]
        assert not valid("sealed-object-1.json", statement)

"""What a user meets has its line in the documentation, and the documentation says what the code does."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import strongroom
from strongroom.audit.posture import CLAIMS
from strongroom.cli import INTERRUPTED, OUR_FAULT, app
from strongroom.cli._hunt import FOUND
from strongroom.core import errors
from strongroom.ingest.readers import MappedReader, builtin_readers, parse_mapping
from strongroom.policy import ACTIONS, COLUMNS, DEFAULT, Policies
from strongroom.site import CONFIGURATION, ENVIRONMENT
from strongroom.store import EXCHANGES
from strongroom.vault import ACTIONS as VAULT_ACTIONS

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
PACKAGE = Path(strongroom.__file__).parent
DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))
NAMED = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """A page without comments, blocks and spans of code."""
    text = re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(?: {4}|\t).*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def cells(text: str) -> Iterator[list[str]]:
    """The rows of every table, without their outer bars."""
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|-: "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


# The command line


def commands() -> Iterator[tuple[str, Any]]:
    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None or name == "strongroom":
            yield name, command
        for verb, each in (inner or {}).items():
            yield from walk(f"{name} {verb}", each)

    return walk("strongroom", typer.main.get_command(app))


COMMANDS = dict(commands())


def names_of(command: Any) -> set[str]:
    """What its page must name: each option by its long name, each argument by what the help calls it."""
    found = set()
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or parameter.name == "help":
            continue
        options = [option for option in (*parameter.opts, *parameter.secondary_opts) if option.startswith("--")]
        found |= set(options) if options else {parameter.metavar or parameter.name.upper()}
    return found


@cache
def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_of_commands_has_a_section_for_each_command_and_no_other() -> None:
    assert sorted(sections()) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_has_its_line_and_no_other_has(name: str) -> None:
    rows = {row[0].strip("`") for row in cells(sections()[name]) if row[0].startswith("`")}
    assert rows == names_of(COMMANDS[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_its_exit_codes(name: str) -> None:
    assert re.search(rf"^```console\n(?:.*\n)*?.*(?:\$|\|) {name}\b", sections()[name], re.MULTILINE)
    assert name == "strongroom" or "Exit codes: 0" in sections()[name]


def test_every_exit_code_is_explained() -> None:
    codes = {getattr(errors, kind).exit_code for kind in errors.__all__} | {0, FOUND, OUR_FAULT, INTERRUPTED}
    head = (DOCS / "cli.md").read_text().partition("\n## ")[0]
    assert {int(row[0]) for row in cells(head) if row[0].isdigit()} == codes


# Configuration, readers, tables, schemas


def test_every_key_and_variable_has_its_line() -> None:
    rows = [row[0].strip("`") for row in cells((DOCS / "configuration.md").read_text()) if row[0].startswith("`")]
    assert sorted(rows) == sorted([*CONFIGURATION, *ENVIRONMENT])


def test_nothing_but_the_site_reads_the_environment() -> None:
    """Otherwise a variable could be missing from the list that the test above goes by."""
    own = {"STRONGROOM_SITE"} | set(ENVIRONMENT)
    found = set()
    for path in PACKAGE.rglob("*.py"):
        found |= set(re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"|getenv\(\"([A-Z_]+)\"", path.read_text()))
    assert {one or other for one, other in found} <= own


def test_every_reader_has_its_page() -> None:
    mapped = MappedReader(parse_mapping(["account=a", "time=b"]))
    names = {reader.name for reader in [*builtin_readers(), mapped]}
    assert names == {path.stem for path in (DOCS / "readers").glob("*.md")} - {"README"}


def test_every_column_that_is_kept_is_on_the_page_about_privacy() -> None:
    text = (DOCS / "privacy.md").read_text()
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(row[0] for row in cells(text))))
    assert {name for name in EXCHANGES.names if name not in named} == set()


def test_every_action_of_the_vault_has_its_line() -> None:
    rows = {row[0].strip("`") for row in cells((DOCS / "vault.md").read_text()) if row[0].startswith("`")}
    assert rows == set(VAULT_ACTIONS) <= set(ACTIONS)


def test_every_action_policy_and_column_has_its_line() -> None:
    text = (DOCS / "policy.md").read_text()

    def rows(section: str) -> set[str]:
        part = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        return {row[0].strip("`") for row in cells(part) if row[0].startswith("`")}

    assert rows("Actions") == set(ACTIONS)
    assert rows("Tables") == set(COLUMNS)
    assert rows("The default policies") == {one.id for one in Policies.parse(DEFAULT.read_text()).policies}


def test_every_attack_of_the_table_is_tried() -> None:
    rows = [row for row in cells((DOCS / "threats.md").read_text()) if "::" in row[2]]
    assert len(rows) >= 20
    for _, attack, named in rows:
        path, _, test = named.strip("`").partition("::")
        assert f"def {test}(" in (ROOT / path).read_text(), attack


def test_every_claim_of_a_posture_has_its_row_and_no_other_has() -> None:
    page = (DOCS / "zero-trust.md").read_text()
    rows = [row for row in cells(page) if re.match(r"`(?:sp800-207|rand)/", row[0])]
    assert [row[0].strip("`") for row in rows] == [claim.id for claim in CLAIMS]
    for claim, row in zip(CLAIMS, rows, strict=True):
        level = claim.id.split("/")[1]
        assert row[1].startswith(level.upper() if claim.id.startswith("rand") else level.rpartition("-")[2])
        assert row[2], claim.id
    assert "strongroom policy posture" in page


def test_every_schema_is_in_the_index_and_linked_from_another_page() -> None:
    linked = {match for page in PAGES for match in re.findall(r"\(([\w./-]+\.json)\)", page.read_text())}
    for schema in (DOCS / "schemas").glob("*.json"):
        assert schema.name in linked, "docs/schemas/README.md lacks it"


# Values


def constants() -> Iterator[tuple[Path, str, str]]:
    """Rows such as | `detect.campaign._groups.LINK` | 0.6 | … | of any page."""
    for page in PAGES:
        for row in cells(page.read_text()):
            match = re.fullmatch(r"`((?:[a-z_]+\.)+[A-Z][A-Z0-9_]*)`", row[0])
            if match and len(row) >= 2:
                yield page, match[1], row[1]


def value_of(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"strongroom.{module}"), attribute)


@pytest.mark.parametrize(("page", "name", "said"), list(constants()), ids=lambda each: str(each).rpartition("/")[2])
def test_a_documented_constant_is_what_the_code_has(page: Path, name: str, said: str) -> None:
    assert ast.literal_eval(said) == value_of(name), f"{page.name} says {said}"


def numbers_in(path: Path) -> Iterator[str]:
    """The public constants of a module that are numbers, or tuples of numbers."""
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(each, ast.Name) and each.id.isupper() and not each.id.startswith("_"):
                    module = path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
                    value = value_of(f"{module}.{each.id}")
                    if isinstance(value, int | float) or (
                        isinstance(value, tuple) and all(isinstance(one, int | float) for one in value)
                    ):
                        yield f"{module}.{each.id}"


DETECTION = ("detection.md", "intrusion.md", "rules.md", "exfiltration.md", "anomaly.md", "assets.md")
"""Pages that tell how a detector works."""


def test_every_threshold_of_detection_is_listed_with_its_value() -> None:
    listed = {name for page, name, _ in constants() if page.name in DETECTION}
    every = {name for path in (PACKAGE / "detect").rglob("*.py") for name in numbers_in(path)}
    assert every - listed == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page.name in DETECTION], ids=lambda page: page.name)
def test_a_constant_that_is_named_in_a_text_is_listed_on_its_page(page: Path) -> None:
    text = page.read_text()
    listed = {name.rpartition(".")[2] for other, name, _ in constants() if other == page}
    assert set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+|[A-Z]{3,})`", text)) <= listed


# Links, decisions, the index


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


@NAMED
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", text)
    targets += re.findall(r"^\[[^\]]+\]: (\S+)", text, re.MULTILINE)
    targets += re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", text)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name} links {target}"
        assert found.is_relative_to(ROOT), f"{page.name} leaves the repository: {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{page.name} links {target}"


def test_every_page_is_reachable_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        targets = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text())
        waiting += [(page.parent / target).resolve() for target in targets if not re.match(r"[a-z]+:", target)]
    assert [page for page in PAGES if page not in seen] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_a_title_a_status_and_a_date(page: Path) -> None:
    text = page.read_text()
    number = page.name[:4]
    assert re.match(rf"# {number}: \S", text)
    assert re.search(r"^Status: (?:accepted|superseded by \d{4}|proposed)$", text, re.MULTILINE)
    assert re.search(r"^Date: 20\d\d-[01]\d-[0-3]\d$", text, re.MULTILINE)
    for part in ("## Situation", "## Decision", "## Consequences"):
        assert part in text
    assert len(text.splitlines()) <= 40
    assert f"({page.name})" in (DOCS / "adr" / "README.md").read_text()


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@NAMED
def test_a_page_claims_nothing_about_others_without_its_date(page: Path) -> None:
    """A sentence that names somebody else's disclosure carries its year."""
    for sentence in re.split(r"(?<=[.:;])\s", prose(page)):
        if re.search(r"\b24,000 accounts\b|\b16 million exchanges\b", sentence):
            assert re.search(r"\b20\d\d\b", sentence), sentence


@NAMED
def test_a_page_has_one_title(page: Path) -> None:
    assert re.match(r"(?:<!--.*?-->\s*)?# \S", page.read_text())
    outside = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len(re.findall(r"^# ", outside, re.MULTILINE)) == 1


# The stranger's commands


def test_the_stranger_finds_the_readmes_commands() -> None:
    script = ROOT / "scripts" / "stranger"
    assert os.access(script, os.X_OK)
    blocks = re.findall(r"^```sh test[^\n]*\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert blocks, "README.md marks no block `sh test`"
    listed = subprocess.run([script, "--list"], capture_output=True, text=True, check=True, cwd="/").stdout
    assert all(block in listed for block in blocks)
    for block in blocks:
        assert "strongroom" in block

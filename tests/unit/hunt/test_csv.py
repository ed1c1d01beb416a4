"""The verdict as CSV: one row for each account, and nothing that a spreadsheet runs."""

from __future__ import annotations

import csv
import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.hunt._csv import COLUMNS, RESTORE, neutral, render_csv

from . import verdicts

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def original(cell: str) -> str:
    return RESTORE.sub(r"\1", cell)


def test_every_account_of_a_campaign_is_one_row() -> None:
    verdict, _ = verdicts.one_campaign()
    campaign = verdict.campaigns[0]
    found = [row for row in rows(render_csv(verdict)) if row["kind"] == "campaign"]
    assert [row["account"] for row in found] == campaign.accounts
    assert {row["group"] for row in found} == {campaign.id}
    assert {float(row["p_value"]) for row in found} == {campaign.p_value}
    assert {float(row["score"]) for row in found} == {campaign.score}
    assert {row["detected_at"] for row in found} == {campaign.detected_at}
    assert {row["evidence"] for row in found} == {"template distribution address"}
    named = {row["account"] for row in found if "address" in row["named_in"].split()}
    assert named == set(campaign.evidence[2].subjects)


def test_kinds_tell_campaigns_flagged_accounts_and_related_groups_apart() -> None:
    verdict, _ = verdicts.three_campaigns()
    found = rows(render_csv(verdict))
    by_kind = {kind: [row for row in found if row["kind"] == kind] for kind in {row["kind"] for row in found}}
    assert set(by_kind) == {"campaign", "flagged_account", "related_group"}
    assert len(by_kind["flagged_account"]) == 2
    assert len(by_kind["related_group"]) == sum(len(group.accounts) for group in verdict.related_groups)


def test_dismissed_campaigns_are_not_in_a_list_that_people_act_on() -> None:
    verdict, _ = verdicts.three_campaigns()
    silent = next(campaign for campaign in verdict.campaigns if campaign.status == "dismissed")
    assert silent.id not in render_csv(verdict)


def test_lines_end_as_rfc_4180_asks_and_an_empty_verdict_has_its_header() -> None:
    verdict, _ = verdicts.nothing_examined()
    assert render_csv(verdict) == ",".join(COLUMNS) + "\r\n"


def test_hostile_names_come_back_whole() -> None:
    verdict, _ = verdicts.hostile()
    found = [row for row in rows(render_csv(verdict)) if row["kind"] == "campaign"]
    wanted = [account.replace("\ud800", "\\ud800") for account in verdict.campaigns[0].accounts]
    assert [original(row["account"]) for row in found] == wanted


@pytest.mark.parametrize("start", DANGEROUS)
def test_no_cell_begins_as_a_formula(start: str) -> None:
    name = f"{start}cmd|' /C calc'!A0;{start}1\n{start}2"
    verdict, _ = verdicts.one_campaign()
    campaign = msgspec.structs.replace(verdict.campaigns[0], id=name, accounts=[name, f"  {name}"], objective=name)
    text = render_csv(msgspec.structs.replace(verdict, campaigns=[campaign], related_groups=[]))
    for row in rows(text):
        for cell in row.values():
            assert not cell.lstrip(" ").startswith(DANGEROUS)
            # The same for a spreadsheet that separates at `;` and does not honour quotes within a field.
            for part in cell.replace("\n", ";").split(";"):
                assert not part.lstrip(" ").startswith(DANGEROUS)


@given(st.text(st.sampled_from([*DANGEROUS, "'", " ", ";", "a", ",", '"'])) | st.text())
def test_neutral_can_be_undone(cell: str) -> None:
    assert original(neutral(cell)) == cell

"""The verdict on a terminal and in a pipe: answer first, silence explained, log content harmless."""

from __future__ import annotations

import io
import re
import unicodedata

import msgspec
import pytest
from rich.console import Console

from strongroom.core.records import Window
from strongroom.hunt._sentences import odds, sensitivity_rows
from strongroom.hunt._terminal import print_verdict
from strongroom.hunt._visible import cut, visible

from . import verdicts


def shown(pair: verdicts.Pair, *, terminal: bool = False, width: int = 80) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, color_system=None if terminal else "auto")
    print_verdict(*pair, console)
    return out.getvalue()


def test_the_answer_stands_in_the_first_line() -> None:
    first = shown(verdicts.one_campaign()).splitlines()[0]
    assert first.startswith("Yes: 1 campaign. 198 accounts act as one: 44,020 exchanges, 37.9 million output tokens.")
    assert "Fewer than 1 in 2,000 comparable honest groups look like this." in first
    assert shown(verdicts.three_campaigns()).startswith("Yes: 3 campaigns.")
    assert shown(verdicts.no_campaign()).startswith("No campaign was found.")


def test_a_campaign_is_told_with_evidence_times_and_what_to_do() -> None:
    text = shown(verdicts.one_campaign())
    verdict, _ = verdicts.one_campaign()
    campaign = verdict.campaigns[0]
    assert "Accounts: 198" in text
    assert f"Output tokens: {campaign.tokens_out:,}" in text
    assert f"First seen: {campaign.first_seen}" in text
    assert f"Detected at: {campaign.detected_at}" in text
    assert "1 day 5 hours after the first exchange" in text
    for item in campaign.evidence:
        assert item.summary in text
        assert f"{item.examples[0].subject}  {item.examples[0].time}  {item.examples[0].where}" in text
    for step in campaign.recommended:
        assert step in text
    assert "it cannot show who owns them or what they intend" in text


def test_silence_is_explained() -> None:
    pair = verdicts.no_campaign()
    text = shown(pair)
    for reason in pair[0].not_examined:
        assert reason in text
    assert "182 records could not be used: 118 not JSON, 61 no account, 3 time out of range." in text
    assert pair[1].rejects_file in text
    assert pair[0].sensitivity["summary"] in text


@pytest.mark.parametrize("pair", [verdicts.nothing_examined(), verdicts.no_campaign()])
def test_nothing_comparable_is_no_answer_rather_than_no_campaign(pair: verdicts.Pair) -> None:
    verdict = msgspec.structs.replace(pair[0], sensitivity={"accounts_compared": 0})
    assert shown((verdict, pair[1])).startswith("No answer: ")


def test_long_lists_are_cut_with_a_count_and_a_place_to_find_the_rest() -> None:
    text = shown(verdicts.one_campaign())
    assert "and 190 more; --report FILE.html, --csv FILE or --json lists all" in text
    assert "4 more files" in text


def test_a_dismissed_campaign_is_one_line() -> None:
    verdict, circumstances = verdicts.three_campaigns()
    silent = next(campaign for campaign in verdict.campaigns if campaign.status == "dismissed")
    lines = [line for line in shown((verdict, circumstances)).splitlines() if silent.id in line]
    assert len(lines) == 1
    assert "dismissed" in lines[0]


def test_related_groups_are_called_no_alert() -> None:
    assert "Openly related, not an alert" in shown(verdicts.one_campaign())


def test_the_demo_shows_the_truth_beside_the_verdict() -> None:
    text = shown(verdicts.one_campaign(simulated=True))
    assert "simulated" in text
    assert "made 200 campaign accounts; 197 of them were found. 198 accounts reported, 197 of them rightly" in text


@pytest.mark.parametrize("pair", [verdicts.one_campaign(), verdicts.three_campaigns(), verdicts.hostile()])
def test_a_pipe_gets_plain_lines_that_do_not_depend_on_the_width(pair: verdicts.Pair) -> None:
    narrow = shown(pair, width=20)
    assert narrow == shown(pair, width=200)
    assert not re.search("[\u2500-\u257f]", narrow)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_on_a_terminal_is_wider_than_it(width: int) -> None:
    from rich.cells import cell_len

    for pair in (verdicts.one_campaign(simulated=True), verdicts.three_campaigns(), verdicts.hostile()):
        lines = shown(pair, terminal=True, width=width).splitlines()
        assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize("terminal", [False, True])
def test_log_content_cannot_command_the_terminal(terminal: bool) -> None:
    text = shown(verdicts.hostile(), terminal=terminal)
    forbidden = {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs"}} - {"\n"}
    assert not forbidden
    assert "[bold red]markup[/bold red]" in re.sub(r"[\s│]+", "", text).replace("[boldred]", "[bold red]").replace(
        "[/boldred]", "[/bold red]"
    )


def test_an_output_that_knows_only_ascii_gets_escapes() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_verdict(*verdicts.hostile(), Console(file=out, width=80))
    print_verdict(*verdicts.hostile(), Console(file=out, width=80, force_terminal=True))
    out.flush()
    written = out.buffer.getvalue()  # type: ignore[attr-defined]
    assert written.isascii()
    assert written.count(b"\\u") + written.count(b"\\x") > 0


def test_names_that_differ_look_different() -> None:
    assert visible("acct") != visible("acct\u200b")
    assert visible("acct") != visible("acct\n")
    assert visible("acct") != visible("acct\U000e0141")
    assert cut("x" * 500 + "1", 40) != cut("x" * 500 + "2", 40)


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (0.0005, "at most 1 in 2,000"),
        (0.000499, "fewer than 1 in 2,000"),
        (0.04, "at most 1 in 25"),
        (0.0, "no comparable"),
        (0.9, "most comparable"),
        (float("nan"), "not measured"),
    ],
)
def test_odds_never_round_towards_guilt(p_value: float, words: str) -> None:
    assert words in odds(p_value)


def test_a_window_without_times_is_not_invented() -> None:
    verdict, circumstances = verdicts.no_campaign()
    text = shown((msgspec.structs.replace(verdict, window=Window("", "")), circumstances))
    assert "From: not known" in text


def test_trials_of_made_campaigns_are_told_a_line_each() -> None:
    trial = {"accounts": 1_600, "prompts_per_account": 10, "found": 19, "trials": 20}
    rows = sensitivity_rows({"measured": True, "alert_budget": "1 in 30 days", "summary": "…", "trials": [trial]})
    assert rows == [
        ("Measured by simulated insertions into this traffic", "yes"),
        ("Alert budget, in false campaigns", "1 in 30 days"),
        ("Made campaigns of 1,600 accounts, 10 prompts each", "19 of 20 found"),
    ]


@pytest.mark.parametrize("trials", [None, 7, "text", [], [1], [{"accounts": 3}], [{"found": None}]])
def test_trials_of_another_kind_are_no_error(trials: object) -> None:
    assert all(label and isinstance(value, str) for label, value in sensitivity_rows({"trials": trials}))

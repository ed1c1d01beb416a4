"""The hunt: logs in, a verdict out, and its renderings for a terminal, a page, a spreadsheet and a program."""

from ._answer import alarming, open_findings
from ._csv import render_csv
from ._html import render_html
from ._hunt import Hunt, Watcher, run_hunt
from ._live import CampaignEvent, Cycle, CycleEvent, FindingEvent, LiveHunt
from ._principal import PrincipalExplanation, explain_principal
from ._remember import STORY, dismiss
from ._terminal import print_change, print_verdict

__all__ = [
    "STORY",
    "CampaignEvent",
    "Cycle",
    "CycleEvent",
    "FindingEvent",
    "Hunt",
    "LiveHunt",
    "PrincipalExplanation",
    "Watcher",
    "alarming",
    "dismiss",
    "explain_principal",
    "open_findings",
    "print_change",
    "print_verdict",
    "render_csv",
    "render_html",
    "run_hunt",
]

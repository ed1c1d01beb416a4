"""Public CloudTrail records of attacks that were carried out, in two halves by a fixed rule."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from report import record, table

from strongroom.core.records import Finding, Verdict
from strongroom.hunt import Hunt, Watcher, run_hunt
from strongroom.ingest import Settings
from strongroom.store import Store

SHARED = Path(os.environ.get("STRONGROOM_SHARED", Path(__file__).parents[3] / "shared"))
NOW = 1_800_000_000_000_000
RIGHT = {
    "ec2-steal-instance-credentials": {"T1552.005", "T1078.004"},
    "secretsmanager-retrieve-secrets": {"T1555.006"},
    "cloudtrail-delete": {"T1562.008"},
    "cloudtrail-stop": {"T1562.008"},
    "organizations-leave": {"T1666", "T1562.008"},
    "ec2-download-user-data": {"T1552.005", "T1580", "T1552"},
    "ec2-user-data": {"T1059", "T1651", "T1525"},
    "ssm-start-session": {"T1651", "T1021.007", "T1021.008"},
    "ec2-share-ami": {"T1537"},
    "rds-share-snapshot": {"T1537"},
    "console-login-without-mfa": {"T1078.004", "T1078"},
    "ec2-serial-console-send-ssh-public-key": {"T1021.004", "T1021.008", "T1098.004"},
    "iam-backdoor-user": {"T1098.001"},
    "iam-create-backdoor-role": {"T1098.001", "T1098.003", "T1136.003"},
    "lambda-backdoor-function": {"T1098", "T1648", "T1525", "T1546"},
    "lambda-overwrite-code": {"T1525", "T1648", "T1554"},
    "sts-federation-token": {"T1550.001", "T1098.001", "T1078.004", "T1136.003"},
}
"""By the end of a file's name, the ATT&CK techniques that its attack is, any of which is right. From the descriptions
of Stratus Red Team and ATT&CK; written after a look at what our rules say of the seen half, before one of the other."""


def held_out(path: Path) -> bool:
    """By the last hexadecimal digit of the SHA-256 of the file's name: odd is held out."""
    return int(hashlib.sha256(path.name.encode()).hexdigest()[-1], 16) % 2 == 1


def hunted(paths: list[Path]) -> Verdict:
    """The verdict on some logs, with no list of assets."""
    with tempfile.TemporaryDirectory() as folder:
        hunt = Hunt(
            words=[str(path) for path in paths],
            store=Store(Path(folder) / "store"),
            settings=Settings(b"benchmark of intrusion"),
            command="",
            version="",
            site="",
            workers=0,
        )
        return run_hunt(hunt, NOW, Watcher())[0]


def covers(said: list[str], right: set[str]) -> bool:
    """Whether a technique is right: one of them, or the whole of which one is a part, or a part of it."""
    return any(a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.") for a in said for b in right)


def techniques() -> str:
    """Each stratus file alone."""
    rows: list[list[object]] = []
    counts = {False: [0, 0, 0], True: [0, 0, 0]}
    for path in sorted((SHARED / "data" / "cloud" / "stratus").glob("*.json")):
        name = path.stem.rpartition(".")[2]
        verdict = hunted([path])
        said = [technique for finding in verdict.findings for technique in finding.techniques]
        right = covers(said, RIGHT[name])
        alert = any(finding.severity in ("high", "critical") for finding in verdict.findings)
        out = held_out(path)
        counts[out][0] += 1
        counts[out][1] += right
        counts[out][2] += alert
        worst = max((f.severity for f in verdict.findings), key=_rank, default="none")
        half = "held out" if out else "seen"
        rows.append([name, half, "yes" if right else "**no**", worst, ", ".join(dict.fromkeys(said)) or "nothing"])
    rows.sort(key=lambda row: (str(row[1]), str(row[0])))
    heads = ["technique", "half", "a finding with the right technique", "severity", "techniques said"]
    lines = [
        f"{'Held out' if out else 'Seen'}: {right} of {all_} techniques have a finding with the right technique, "
        f"{alert} of them as an alert by this file alone."
        for out, (all_, right, alert) in counts.items()
    ]
    return f"{table(heads, rows)}\n\n" + "\n".join(lines)


def _rank(severity: str) -> int:
    return ["informational", "low", "medium", "high", "critical"].index(severity)


def story(label: str, paths: list[Path]) -> list[object]:
    """What is said of aws_invictus in some of its files: its intruder is whoever acts in its account by name."""
    verdict = hunted(paths)
    alerts = [finding for finding in verdict.findings if finding.severity in ("high", "critical")]
    first = alerts[0] if alerts else None
    return [
        label,
        len(paths),
        verdict.access_events,
        len(alerts),
        _names(first) if first else "none",
        "; ".join(_names(finding) for finding in alerts[1:]) or "none",
        len(verdict.findings) - len(alerts),
    ]


def _names(finding: Finding) -> str:
    shown = [name.rpartition(":")[2] for name in finding.subjects]
    return f"{', '.join(shown[:12])}{' …' if len(shown) > 12 else ''} ({len(finding.techniques)} techniques)"


def main() -> None:
    """Both data sets."""
    every = sorted((SHARED / "data" / "cloud" / "aws_invictus").glob("*.json"))
    rows = [
        story("seen", [path for path in every if not held_out(path)]),
        story("held out", [path for path in every if held_out(path)]),
        story("all", every),
    ]
    heads = ["files", "of them", "events", "alerts", "the worst is about", "others are about", "weak findings"]
    record("intrusion-real", f"{techniques()}\n\naws_invictus:\n\n{table(heads, rows)}")

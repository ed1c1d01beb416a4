"""Which ATT&CK technique an action by itself is, when somebody does it who never did.

Few on purpose: an action that has common honest reasons and no technique of its own, such as reading an object, has no
line here. Versions: ATT&CK for Enterprise, cloud matrices, as of v17 (2025).
"""

from __future__ import annotations

from typing import cast

from strongroom.detect.signals import PHASES, Phase

__all__ = ["techniques_of"]

_OF_ACTION = {
    "iam:CreateAccessKey": ("T1098.001", "persistence"),
    "iam:CreateUser": ("T1136.003", "persistence"),
    "iam:CreateLoginProfile": ("T1098.001", "persistence"),
    "iam:UpdateLoginProfile": ("T1098.001", "persistence"),
    "iam:AttachUserPolicy": ("T1098.003", "privilege-escalation"),
    "iam:AttachRolePolicy": ("T1098.003", "privilege-escalation"),
    "iam:PutUserPolicy": ("T1098.003", "privilege-escalation"),
    "iam:PutRolePolicy": ("T1098.003", "privilege-escalation"),
    "cloudtrail:StopLogging": ("T1562.008", "defense-evasion"),
    "cloudtrail:DeleteTrail": ("T1562.008", "defense-evasion"),
    "cloudtrail:PutEventSelectors": ("T1562.008", "defense-evasion"),
    "secretsmanager:GetSecretValue": ("T1555.006", "credential-access"),
    "secretsmanager:BatchGetSecretValue": ("T1555.006", "credential-access"),
    "ec2:ModifySnapshotAttribute": ("T1537", "exfiltration"),
    "ec2:ModifyImageAttribute": ("T1537", "exfiltration"),
    "rds:ModifyDBSnapshotAttribute": ("T1537", "exfiltration"),
}


def techniques_of(actions: list[str]) -> tuple[list[str], Phase]:
    """The techniques of first-seen actions, sorted, and the latest phase among them; nothing where none implies one.

    >>> techniques_of(["iam:CreateUser", "s3:ListBuckets"])
    (['T1136.003'], 'persistence')
    """
    found = [_OF_ACTION[action] for action in actions if action in _OF_ACTION]
    phases = sorted({phase for _, phase in found}, key=PHASES.index)
    return sorted({technique for technique, _ in found}), cast(Phase, phases[-1] if phases else "")

"""Why one account is in a campaign or not: for a customer who was banned by mistake, and whoever answers."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from strongroom.core.errors import InputError
from strongroom.store import Store

from ._detect import Group, Snapshot, detect
from ._features import Features, read_features
from ._links import cosines
from ._ties import Tie

__all__ = ["Explanation", "explain"]

NEAREST = 10
"""Neighbours that are named."""


class Neighbour(msgspec.Struct, frozen=True):
    """Another account, how many subjects the two have in common, and what they share."""

    account: str
    likeness: float
    """Cosine of the subjects that they touch, rare ones weighing more; 0 to 1."""
    shared: list[str]
    in_campaign: bool
    openly_related: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What the detector sees of one account now."""

    version: int = 2
    account: str
    exchanges: int
    texts: int
    """Distinct opening prompts of five words or more that were looked at."""
    compared: bool
    campaign: list[str]
    """Accounts of the campaign that it is in, itself included; empty when in none."""
    score: float | None
    """Logarithm of how many times as likely its prompts are if a share of them comes from the source of its own
    campaign, or of the nearest one, than if none does."""
    share: float | None
    """That share."""
    prompts_in_source: int
    """Of its prompts, those in the subjects of that source."""
    tied_to_campaign: list[str]
    """What it shares with members of that campaign."""
    nearest: list[Neighbour]
    reasons: list[str]


def explain(store: Store, account: str, *, since: int | None = None, until: int | None = None) -> Explanation:
    """Measures `account` (or `account/end_user`) against all others in the store.

    Raises InputError when the store holds no exchange of it.
    """
    features = read_features(store, since=since, until=until)
    if features is None or account not in features.subjects:
        raise InputError(
            f"no exchange of account '{account[:120]}' is stored",
            where=str(store.root),
            next="check the spelling; end users of a reseller are written account/end_user",
        )
    me = features.subjects.index(account)
    snapshot = detect(features, len(features.edges))
    shared = _shared(me, snapshot.ties)
    home = _home(me, snapshot)
    inside = home is not None and me in home.members
    unit = int(snapshot.evidence.unit[me])
    texts = int(snapshot.texts[me])
    score = None if home is None else float(home.source.score[unit])
    share = None if home is None else float(home.source.share[unit])
    tied = sorted({s for m in home.members if int(m) != me for s in shared.get(int(m), ())}) if home else []
    in_source = _in_source(me, home, snapshot)
    return Explanation(
        account=account,
        exchanges=int(features.exchanges[me].sum()),
        texts=texts,
        compared=texts > 0,
        campaign=[features.subjects[i] for i in home.members] if inside and home else [],
        score=None if score is None else round(score, 1),
        share=share,
        prompts_in_source=in_source,
        tied_to_campaign=tied,
        nearest=_nearest(me, snapshot, features, shared),
        reasons=_reasons(texts, inside, score, 0.0 if home is None else home.source.least, share, in_source, tied),
    )


def _shared(me: int, ties: list[Tie]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for tie in ties:
        if me in tie.members:
            what = tie.kind if tie.kind in ("template", "credential") else f"{tie.kind} {tie.name}"
            for other in tie.members.tolist():
                found.setdefault(other, set()).add(what)
    return found


def _home(me: int, snapshot: Snapshot) -> Group | None:
    """Its campaign, or the one whose source explains most of what it asks."""
    unit = snapshot.evidence.unit[me]
    own = [campaign for campaign in snapshot.campaigns if me in campaign.members]
    return max(own or snapshot.campaigns, key=lambda campaign: campaign.source.score[unit], default=None)


def _in_source(me: int, home: Group | None, snapshot: Snapshot) -> int:
    if home is None:
        return 0
    evidence = snapshot.evidence
    rows = evidence.texts_of(home.source, np.array([evidence.unit[me]]))
    return int((evidence.sample.subject[rows] == me).sum())


def _nearest(me: int, snapshot: Snapshot, features: Features, shared: dict[int, set[str]]) -> list[Neighbour]:
    in_campaign = np.zeros(len(features.subjects), dtype=bool)
    for campaign in snapshot.campaigns:
        in_campaign[campaign.members] = True
    likeness = cosines(snapshot.evidence, int(snapshot.evidence.unit[me]))[snapshot.evidence.unit]
    likeness[me] = -1
    chosen: npt.NDArray[np.intp] = np.argsort(-likeness, kind="stable")[:NEAREST]
    return [
        Neighbour(
            account=features.subjects[other],
            likeness=round(min(float(likeness[other]), 1.0), 3),
            shared=sorted(shared.get(int(other), ())),
            in_campaign=bool(in_campaign[other]),
            openly_related=bool(snapshot.openly.related(np.array([me]), np.array([other]))[0]),
        )
        for other in chosen
        if likeness[other] > 0
    ]


def _reasons(
    texts: int,
    inside: bool,
    score: float | None,
    least: float,
    share: float | None,
    in_source: int,
    tied: list[str],
) -> list[str]:
    if not texts:
        return ["It sent no opening prompt of five words or more, so it cannot be compared. It is in no campaign."]
    if score is None or share is None:
        return ["No campaign is seen in the stored traffic, so it is in none."]
    shares = f"it shares {', '.join(tied)} with members" if tied else "it shares nothing else with its members"
    if inside:
        return [
            f"It is in a campaign: {in_source} of the {texts} prompts that were looked at fall into subjects that the "
            f"members ask about and hardly anybody else does, {share:.0%} of what it asks by the best estimate. What "
            f"it asks is e^{score:.0f} times as likely if it draws from their source as if it does not (members: from "
            f"e^{least:.1f} on); its prompts are spread over these subjects as theirs are, and {shares}.",
            "It would leave the campaign if it came back to these subjects as somebody does who works on them, or if "
            "most of its prompts, so far not in these logs, were about other things. Ask what it works on before "
            "acting.",
        ]
    if score < least:
        return [
            "It is in no campaign.",
            f"What it asks is e^{score:.1f} times as likely if part of it comes from the nearest campaign's source as "
            f"if none does; from e^{least:.1f} on an account belongs to it.",
        ]
    return [
        "It is in no campaign.",
        f"Part of what it asks ({in_source} of {texts} prompts) is about the nearest campaign's subjects, but it comes "
        "back to some of them as people do to what they work on, or it repeats others' prompts word for word, or it "
        f"openly belongs to somebody; {shares}.",
    ]

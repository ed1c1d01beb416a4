"""Why one account is linked to others or not: for a customer who was banned by mistake, and whoever answers."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from strongroom.core.errors import InputError
from strongroom.store import Store

from ._detect import detect
from ._distance import MIN_TEXTS, Questions
from ._features import read_features
from ._groups import ADD, KEEP, LINK
from ._judge import Judged
from ._ties import Tie

__all__ = ["Explanation", "explain"]

NEAREST = 10


class Neighbour(msgspec.Struct, frozen=True):
    """Another account, how alike the two ask, and what they share."""

    account: str
    likeness: float
    shared: list[str]
    in_campaign: bool
    openly_related: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What the detector sees of one account now."""

    version: int = 1
    account: str
    exchanges: int
    texts: int
    """Distinct opening prompts of five words or more."""
    compared: bool
    campaign: list[str]
    """Accounts of the campaign that it is in, itself included; empty when in none."""
    likeness_to_campaign: float | None
    """To its own campaign, or to the nearest one."""
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
    questions = snapshot.questions
    own, others = np.array([me]), np.flatnonzero(questions.able & (np.arange(len(features.subjects)) != me))
    likeness = questions.likeness(own, others)[0] if questions.able[me] and len(others) else np.zeros(0)
    in_campaign = np.zeros(len(features.subjects), dtype=bool)
    for campaign in snapshot.campaigns:
        in_campaign[campaign.members] = True
    shared = _shared(me, snapshot.ties)
    nearest = []
    for i in np.argsort(-likeness)[:NEAREST]:
        other = int(others[i])
        nearest.append(
            Neighbour(
                account=features.subjects[other],
                likeness=round(min(float(likeness[i]), 1.0), 3),
                shared=sorted(shared.get(other, ())),
                in_campaign=bool(in_campaign[other]),
                openly_related=bool(snapshot.openly.related(own, np.array([other]))[0]),
            )
        )
    home, value = _campaign_of(me, snapshot.campaigns, questions)
    tied = sorted({s for m in home if int(m) != me for s in shared.get(int(m), ())}) if home is not None else []
    inside = home is not None and me in home
    return Explanation(
        account=account,
        exchanges=int(features.exchanges[me].sum()),
        texts=int(questions.texts[me]),
        compared=bool(questions.able[me]),
        campaign=[features.subjects[i] for i in home] if inside and home is not None else [],
        likeness_to_campaign=None if value is None else round(min(value, 1.0), 3),
        tied_to_campaign=tied,
        nearest=nearest,
        reasons=_reasons(bool(questions.able[me]), int(questions.texts[me]), inside, value, tied),
    )


def _shared(me: int, ties: list[Tie]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for tie in ties:
        if me in tie.members:
            what = tie.kind if tie.kind in ("template", "credential") else f"{tie.kind} {tie.name}"
            for other in tie.members.tolist():
                found.setdefault(other, set()).add(what)
    return found


def _campaign_of(
    me: int, campaigns: list[Judged], questions: Questions
) -> tuple[npt.NDArray[np.intp] | None, float | None]:
    """The members of its campaign, or of the nearest, and its likeness to them."""
    best: npt.NDArray[np.intp] | None = None
    value: float | None = None
    for campaign in campaigns:
        near = float(questions.likeness_to_group(np.array([me]), campaign.members)[0])
        if me in campaign.members:
            return campaign.members, near
        if value is None or near > value:
            best, value = campaign.members, near
    return best, value


def _reasons(able: bool, texts: int, inside: bool, value: float | None, tied: list[str]) -> list[str]:
    if not able:
        return [
            f"Distinct opening prompts that it sent: {texts}; {MIN_TEXTS} are needed to compare it with anyone. "
            "It is in no campaign."
        ]
    if value is None:
        return ["No campaign is seen in the stored traffic, so it is in none."]
    shares = f"it shares {', '.join(tied)} with members" if tied else "it shares nothing with its members"
    if inside:
        return [
            f"It is in a campaign: its prompts are as alike to the members' as {min(value, 1):.2f} "
            f"(1: interchangeable, 0: as strangers; members have at least {KEEP}), and {shares}.",
            "It would leave the campaign if its other prompts, so far not in these logs, differ from the members' "
            "or if what it shares with them has an honest source. Ask for both before acting.",
        ]
    why = []
    if value < ADD:
        why.append(
            f"Its likeness to the nearest campaign is {value:.2f}, less than the {ADD} from which an account joins."
        )
    if not tied:
        why.append("It shares no address, payment, TLS fingerprint, credential or passage with that campaign.")
    if not why:
        why.append(
            f"It is near a campaign (likeness {value:.2f}, and {shares}) but linked to no member by {LINK} or more, "
            "or it openly belongs to somebody, or it repeats others' prompts word for word."
        )
    return ["It is in no campaign.", *why]

"""What ties subjects together besides what they ask: infrastructure, sign-up facts, templates.

A tie is a set of subjects that share one thing. Alone it means little (a carrier's address, a popular
program), so `_groups` only believes it between subjects that also ask alike.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from ._features import Fact, Features

__all__ = ["Openly", "Tie", "find_ties", "openly_related"]

_KIND_OF = {
    "client_address": "address",
    "payment_digest": "payment",
    "tls_fingerprint": "tls",
    "credential": "credential",
}
MAX_TIE = 5_000
"""A thing that more subjects share says nothing about any two of them."""
MAX_SHARE = 0.5
"""The same as a share of all subjects, where there are many."""
TEMPLATE_TEXTS = 3
"""A template is in at least so many distinct texts of a subject, and in this share of them."""
TEMPLATE_SHARE = 0.10
PUBLIC_DOMAIN_SHARE = 0.10
"""A mail domain that so many subjects use belongs to a mail provider, whatever its name."""

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Tie:
    """Subjects (sorted) that share one thing."""

    kind: str
    name: str
    """The shared value, or a template's number."""
    members: Int32s
    shingles: tuple[int, ...] = ()
    """For a template: some of the shingles that stand for it, most used first."""


@dataclass(frozen=True)
class Openly:
    """Who belongs to whom by their own account: numbers of organisation, mail domain and account; -1 for none."""

    organization: Int32s
    domain: Int32s
    account: Int32s
    organizations: list[str]
    domains: list[str]

    def related(self, a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Whether a and b openly belong together, element by element (shapes broadcast)."""
        found = self.account[a] == self.account[b]
        for labels in (self.organization, self.domain):
            found |= (labels[a] == labels[b]) & (labels[a] >= 0)
        return np.asarray(found)


def openly_related(features: Features, slices: int) -> Openly:
    """One organisation; one mail domain that is not a mail provider's; end users of one account."""
    n = len(features.subjects)
    listed = _public_domains()
    domains = features.facts["email_domain"]
    users = np.bincount(domains.value, minlength=len(domains.names))
    public = np.array(
        [
            name.lower() in listed or used > max(PUBLIC_DOMAIN_SHARE * n, 50)
            for name, used in zip(domains.names, users, strict=True)
        ],
        dtype=bool,
    )
    domain = _labels(domains, n, slices)
    if len(public):
        domain = np.where((domain >= 0) & ~public[np.maximum(domain, 0)], domain, -1).astype(np.int32)
    organizations = features.facts["organization"]
    return Openly(
        organization=_labels(organizations, n, slices),
        domain=domain,
        account=features.account,
        organizations=organizations.names,
        domains=domains.names,
    )


@functools.cache
def _public_domains() -> frozenset[str]:
    text = resources.files(__package__).joinpath("public_mail_domains.txt").read_text()
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))


def _labels(fact: Fact, n: int, slices: int) -> Int32s:
    labels = np.full(n, -1, dtype=np.int32)
    known = fact.slice < slices
    labels[fact.subject[known]] = fact.value[known]
    return labels


def find_ties(features: Features, slices: int, able: npt.NDArray[np.bool_]) -> list[Tie]:
    """Every tie between at least two able subjects, as of the first `slices` slices."""
    ties = [tie for kind in _KIND_OF for tie in _fact_ties(features, kind, slices, able)]
    return ties + list(_templates(features, slices, able))


def _largest(n: int) -> int:
    return min(MAX_TIE, max(int(MAX_SHARE * n), 50))


def _fact_ties(features: Features, kind: str, slices: int, able: npt.NDArray[np.bool_]) -> Iterator[Tie]:
    fact = features.facts[kind]
    known = (fact.slice < slices) & able[fact.subject]
    value, subject = fact.value[known], fact.subject[known]
    for number, members in _split(value, subject):
        # End users of a reseller share all of its account's facts: that ties accounts, not end users.
        accounts = len(np.unique(features.account[members]))
        if accounts >= 2 and len(members) <= _largest(len(features.subjects)):
            yield Tie(_KIND_OF[kind], fact.names[number], members)


def _templates(features: Features, slices: int, able: npt.NDArray[np.bool_]) -> Iterator[Tie]:
    """Shingles that are in many texts of several subjects; shingles with the same subjects are one template."""
    shingle, subject, at, texts = features.shingle
    known = (at < slices) & able[subject]
    shingle, subject, texts = shingle[known], subject[known], texts[known]
    if not len(shingle):
        return
    pair = np.flatnonzero(np.concatenate([[True], (shingle[1:] != shingle[:-1]) | (subject[1:] != subject[:-1])]))
    count = np.add.reduceat(texts, pair)
    shingle, subject = shingle[pair], subject[pair]
    own = features.texts[:, :slices].sum(axis=1)[subject]
    used = (count >= TEMPLATE_TEXTS) & (count >= TEMPLATE_SHARE * own)
    shingle, subject, count = shingle[used], subject[used], count[used]
    distinct, number = np.unique(shingle, return_inverse=True)
    weight = np.bincount(number, weights=count, minlength=len(distinct))
    groups = [
        (weight[i], int(distinct[i]), members)
        for i, members in _split(number.astype(np.int32), subject)
        if 3 <= len(members) <= _largest(len(features.subjects))
    ]
    groups.sort(key=lambda group: (-group[0], group[1]))
    yield from _merge(groups, len(features.subjects))


def _merge(groups: list[tuple[float, int, Int32s]], n: int) -> Iterator[Tie]:
    """One tie for shingles whose subjects are mostly the same. Heaviest first."""
    # Nearly equal sets nearly surely share one of their three least members under a fixed shuffle.
    shuffle = np.random.default_rng(0).permutation(n)
    merged: list[tuple[Int32s, list[int]]] = []
    by_member: dict[int, list[int]] = {}
    for _, shingle, members in groups:
        least = members[np.argsort(shuffle[members])[:3]].tolist()
        home = None
        for candidate in dict.fromkeys(i for member in least for i in by_member.get(member, ())):
            other = merged[candidate][0]
            both = len(np.intersect1d(members, other, assume_unique=True))
            if both >= 0.6 * (len(members) + len(other) - both) or both >= 0.9 * len(members):
                home = candidate
                break
        if home is None:
            for member in least:
                by_member.setdefault(member, []).append(len(merged))
            merged.append((members, [shingle]))
        else:
            merged[home][1].append(shingle)
    for number, (members, shingles) in enumerate(merged):
        yield Tie("template", f"template {number + 1}", members, tuple(shingles[:12]))


def _split(label: Int32s, subject: Int32s) -> Iterator[tuple[int, Int32s]]:
    """(label, its distinct subjects in order) for each label."""
    if not len(label):
        return
    key = np.sort(label.astype(np.int64) << 32 | subject)
    key = key[np.concatenate([[True], key[1:] != key[:-1]])]
    label, subject = (key >> 32).astype(np.int32), (key & 0xFFFF_FFFF).astype(np.int32)
    begins = np.flatnonzero(np.concatenate([[True], label[1:] != label[:-1]]))
    ends = np.append(begins[1:], len(label))
    several = ends - begins >= 2  # what one subject alone has ties nobody
    for begin, end in zip(begins[several].tolist(), ends[several].tolist(), strict=True):
        yield int(label[begin]), subject[begin:end]

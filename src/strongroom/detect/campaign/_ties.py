"""What ties subjects together besides what they ask: infrastructure, sign-up facts, templates.

A tie is a set of subjects that share one thing. Alone it means little (a carrier's address, a popular
program), so it is a place to begin a search, evidence, and a lower bar for a group that asks alike anyhow.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from strongroom.sketch import NO_SHINGLE

from ._features import Fact, Features
from ._sample import Sample, repeated

__all__ = ["LIFT", "Openly", "Tie", "bystanders", "fact_ties", "find_ties", "lift", "openly_related", "tied_members"]

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
TEMPLATE_SUBJECTS = 3
"""Subjects that share one."""
CLASSES: tuple[tuple[str, ...], ...] = (("address", "payment", "tls", "credential"), ("template",))
MIN_TIED = 0.6
"""Share of a group that what it shares must tie."""
NEARLY_ALL = 0.85
"""Share of a group that something it shares must tie for those whom it does not tie to be bystanders."""
LIFT = 5.0
"""How many times as common a shared thing must be in a group as among all others before it ties the group."""
PUBLIC_DOMAIN_SHARE = 0.10
"""A mail domain that so many subjects use belongs to a mail provider, whatever its name."""

Int32s = npt.NDArray[np.int32]
Index = npt.NDArray[np.intp]


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
    """One organisation; one mail domain that is not a mail provider's; end users of one account.

    Organisation and mail domain are the account's: they say nothing of a reseller's end users.
    """
    n = len(features.subjects)
    several = np.bincount(features.account)[features.account] > 1
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
    domain[several] = -1
    organizations = features.facts["organization"]
    organization = _labels(organizations, n, slices)
    organization[several] = -1
    return Openly(
        organization=organization,
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
    return fact_ties(features, slices, able) + list(_templates(features, slices, able))


def fact_ties(features: Features, slices: int, able: npt.NDArray[np.bool_]) -> list[Tie]:
    """Those by facts, which are few; templates take a look at every text."""
    return [tie for kind in _KIND_OF for tie in _fact_ties(features, kind, slices, able)]


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
    sample = features.sample.take(features.sample.slice < slices)
    shingle, subject = _shingles(sample)
    key = np.lexsort((subject, shingle))
    shingle, subject = shingle[key], subject[key]
    if not len(shingle):
        return
    pair = np.flatnonzero(np.concatenate([[True], (shingle[1:] != shingle[:-1]) | (subject[1:] != subject[:-1])]))
    count = np.diff(np.append(pair, len(shingle)))
    shingle, subject = shingle[pair], subject[pair]
    own = np.bincount(sample.subject, minlength=len(features.subjects))[subject]
    used = (count >= TEMPLATE_TEXTS) & (count >= TEMPLATE_SHARE * own) & able[subject]
    shingle, subject, count = shingle[used], subject[used], count[used]
    distinct, number = np.unique(shingle, return_inverse=True)
    weight = np.bincount(number, weights=count, minlength=len(distinct))
    groups = [
        (weight[i], int(distinct[i]), members)
        for i, members in _split(number.astype(np.int32), subject)
        if TEMPLATE_SUBJECTS <= len(members) <= _largest(len(features.subjects))
    ]
    groups.sort(key=lambda group: (-group[0], group[1]))
    yield from _merge(groups, len(features.subjects))


def _shingles(sample: Sample) -> tuple[npt.NDArray[np.int64], Int32s]:
    """(shingle, subject) for every shingle of every text, one text's equal ones once; none that are too rare to be a
    template's, as nearly all are."""
    wide = np.column_stack([sample.head, sample.tail, sample.minhash])
    wide.sort(axis=1)
    wide[:, 1:][wide[:, 1:] == wide[:, :-1]] = NO_SHINGLE
    often = repeated(wide.ravel(), TEMPLATE_TEXTS * TEMPLATE_SUBJECTS)
    often = often[often != NO_SHINGLE]
    if not len(often):
        return wide[:0, 0], sample.subject[:0]
    counted = often[np.minimum(np.searchsorted(often, wide), len(often) - 1)] == wide
    return wide[counted], np.repeat(sample.subject, counted.sum(axis=1))


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


def tied_members(members: Index, able: int, ties: Sequence[Tie]) -> dict[str, Index]:
    """The members tied by each kind, through things that are far commoner among them than among all others.

    Kinds count when they tie most of the group: what is shared of the network and of money together, and
    templates. A stock phrase that some members have in common ties nobody.
    """
    counted: dict[str, Index] = {}
    for of_class in CLASSES:
        inner = _inner(members, able, [tie for tie in ties if tie.kind in of_class])
        if len(_covered(tie.members for tie in inner)) >= MIN_TIED * len(members):
            for kind in {tie.kind for tie in inner}:
                counted[kind] = _covered(tie.members for tie in inner if tie.kind == kind)
    return counted


def bystanders(members: Index, able: int, ties: Sequence[Tie]) -> npt.NDArray[np.bool_]:
    """Members who lack what nearly all others share, of the network and of money, or a template, (len(members),).

    Pools of addresses may have nothing in common; templates must, for two people's stock phrase is no tie to the rest.
    """
    found = np.zeros(len(members), dtype=bool)
    for of_class in CLASSES:
        inner = _inner(members, able, [tie for tie in ties if tie.kind in of_class])
        held = [np.searchsorted(members, tie.members) for tie in inner]
        if of_class == ("template",):
            held = _hang_together(held, len(members))
        tied = np.isin(np.arange(len(members)), np.concatenate([*held, np.zeros(0, np.intp)]))
        if tied.sum() >= NEARLY_ALL * len(members):
            found |= ~tied
    return found


def _hang_together(held: list[Index], size: int) -> list[Index]:
    """Those of some sets of members that hang together with the largest."""
    nodes = size + len(held)
    owner = np.concatenate([*held, np.zeros(0, np.intp)])
    thing = size + np.repeat(np.arange(len(held)), [len(each) for each in held])
    graph = csr_matrix((np.ones(len(owner), dtype=np.int8), (owner, thing)), shape=(nodes, nodes))
    label = connected_components(graph, directed=False)[1][size:]
    largest = max(range(len(held)), key=lambda i: len(held[i]), default=0)
    return [each for each, own in zip(held, label, strict=True) if own == label[largest]]


def _inner(members: Index, able: int, ties: Sequence[Tie]) -> list[Tie]:
    """Those of `ties` that are far commoner in a group than among all others, with its members alone."""
    inside = np.zeros(int(members.max(initial=0)) + 1, dtype=bool)
    inside[members] = True
    found: list[Tie] = []
    for tie in ties:
        shared = tie.members[tie.members < len(inside)]
        shared = shared[inside[shared]]
        outside = len(tie.members) - len(shared)
        if len(shared) >= 2 and lift(len(shared), len(members), outside, able - len(members)) >= LIFT:
            found.append(Tie(tie.kind, tie.name, shared))
    return found


def _covered(parts: Iterable[Int32s]) -> Index:
    return np.unique(np.concatenate([*parts, np.zeros(0, np.int32)])).astype(np.intp)


def lift(shared: int, size: int, outside: int, others: int) -> float:
    """How many times as common a thing is in a group (shared of size) as among others (outside of others)."""
    return (shared / max(size, 1)) / ((outside + 1) / max(others, 1))

"""The order in which things are opened, and what somebody gains by disturbing it: nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from strongroom.access import REQUEST_DAYS, Access, approve_lease, request_lease, revoke_lease
from strongroom.core.assets import Asset
from strongroom.core.clock import format_time
from strongroom.core.errors import InputError, RefusedError, StrongroomError, UsageError
from strongroom.core.ids import new_id
from strongroom.core.leases import Approval, Grant, Lease
from strongroom.core.principals import Principal
from strongroom.core.records import AccessEvent, Entry
from strongroom.policy import DEFAULT, Policies
from strongroom.state import State, Transaction

from ...databases import Place

START = 1_794_300_000_000_000
MINUTE, DAY = 60_000_000, 86_400_000_000
ASSET, DIGEST, SIZE = "acme/llama", "sha256:" + "ab" * 32, 1000
ANN, BOB, EVE, OLE = "ann@acme", "bob@acme", "eve@acme", "ole@acme"


@dataclass
class Book:
    """A `Recorder` in memory, which may be disturbed at the moment of writing."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def append(self, entry: Entry) -> int:
        self.bodies.append(entry.body)
        self.meanwhile()
        return len(self.bodies) - 1

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(body["action"], body["outcome"]) for body in self.bodies]


class Signed:
    """`Approvals`: a signature is the name of whoever made it."""

    def approvers(self, lease: Lease, given: list[Approval], transaction: Transaction) -> list[Principal]:
        found = [transaction.principals.get(one.signature) for one in given]
        return [one for one in found if one is not None and not one.suspended]

    def signer(self, lease: Lease, signature: str, transaction: Transaction) -> str:
        return signature


class Fixed:
    """`PolicySource`."""

    policies = Policies.parse(DEFAULT.read_text())

    def current(self, transaction: Transaction) -> Policies:
        return self.policies


@dataclass
class Room:
    state: State
    book: Book
    access: Access
    times: list[int]
    notices: list[str]

    def ask(self, who: str = BOB, action: str = "OpenWeights", asset: str = ASSET, **more: Any) -> AccessEvent:
        object = more.pop("object", "")
        event = AccessEvent(
            id=new_id("evt", self.times[-1]),
            time=format_time(self.times[-1]),
            principal=who,
            action=action,
            asset=asset,
            outcome="allowed",
            **{"bytes": SIZE, "asset_digest": DIGEST, "purpose": "evaluation", **more},
        )
        return self.access.authorize(event, object=object)

    def refused(self, *words: Any, **more: Any) -> str:
        with pytest.raises(RefusedError) as refused:
            self.ask(*words, **more)
        assert self.book.told[-1][1] == "refused"
        return refused.value.message

    def change(self, change: Callable[[Transaction], Any]) -> Any:
        with self.state.transaction(write=True) as transaction:
            return change(transaction)

    def grant(self, who: str = BOB, action: str = "OpenWeights", asset: str = ASSET, **more: int) -> None:
        given = {"given": START, "expires": START + 30 * DAY, **more}
        self.change(lambda t: t.principals.grant(Grant(subject=who, action=action, asset=asset, by=ANN, **given)))

    def request(self, who: str = BOB, action: str = "ExportWeights", asset: str = ASSET, digest: str = "") -> str:
        return request_lease(self.access, who, action, asset, digest=digest, purpose="evaluation", seconds=3600).id

    def approve(self, lease: str, who: str) -> int:
        return approve_lease(self.access, lease, who)[2]

    def lease(self, id: str) -> Lease:
        found = self.change(lambda t: t.leases.get(id))
        assert isinstance(found, Lease)
        return found

    def had(self, who: str = BOB, asset: str = ASSET) -> int:
        return int(self.change(lambda t: t.leases.released(asset, who, self.times[-1])))


@pytest.fixture
def room(place: Place) -> Iterator[Room]:
    """Ann owns; Bob, Eve and Ole are members; the asset is crown, of 1,000 bytes."""
    times, book, notices = [START], Book(), list[str]()
    with place.open() as state:
        access = Access(
            state=state,
            policies=Fixed(),
            approvals=Signed(),
            recorder=book,
            clock=lambda: times[-1],
            notify=notices.append,
        )
        made = Room(state, book, access, times, notices)
        state.put_assets([Asset(name=ASSET, classification="crown", size=SIZE, places=["file:///srv/llama"])])
        for name, group in ((ANN, "owners"), (BOB, "members"), (EVE, "members"), (OLE, "members")):
            made.change(lambda t, name=name, group=group: t.principals.put(Principal(name=name, groups=[group])))
        yield made


def test_it_is_on_record_before_the_lease_holds(room: Room) -> None:
    room.grant()
    states: list[str] = []
    room.book.meanwhile = lambda: states.extend(one.state for one in room.change(lambda t: t.leases.all()))
    event = room.ask()
    assert states == ["pending"]
    assert (event.outcome, event.policy_ids, event.reason) == (
        "allowed",
        ["granted"],
        "permitted: somebody granted it, and the grant has not expired",
    )
    lease = room.lease(event.lease)
    assert (lease.state, lease.entry, lease.purpose, lease.bytes) == ("active", 0, "evaluation", SIZE)
    assert lease.expires == START + 8 * 3600 * 1_000_000
    assert room.book.bodies[0]["lease"] == lease.id


def test_nothing_is_released_that_could_not_go_on_record(room: Room) -> None:
    room.grant()

    def full() -> None:
        raise StrongroomError("the disk is full")

    room.book.meanwhile = full
    with pytest.raises(StrongroomError, match="the disk is full"):
        room.ask()
    assert [one.state for one in room.change(lambda t: t.leases.all())] == ["pending"]
    assert room.had() == SIZE, "a budget counts too much rather than too little"
    with pytest.raises(RefusedError, match="is not known"):  # refused all the same, and told
        room.ask("nobody@acme")
    assert room.notices == ["not recorded: a refusal, because the disk is full"]


@pytest.mark.parametrize("what", ["suspended", "removed", "grant", "lease", "expired"])
def test_what_is_revoked_while_it_is_recorded_is_refused(room: Room, what: str) -> None:
    room.grant(expires=START + MINUTE)

    def meanwhile() -> None:
        room.book.meanwhile = lambda: None
        if what == "expired":
            room.times.append(START + MINUTE)
            return
        changes: dict[str, Callable[[Transaction], Any]] = {
            "suspended": lambda t: t.principals.put(Principal(name=BOB, groups=["members"], suspended=True)),
            "removed": lambda t: t.principals.remove(BOB),
            "grant": lambda t: t.principals.revoke(BOB, "OpenWeights", ASSET),
            "lease": lambda t: revoke_lease(t, t.leases.all()[0].id, START),
        }
        room.change(changes[what])

    room.book.meanwhile = meanwhile
    with pytest.raises(RefusedError):
        room.ask()
    assert room.book.told == [("OpenWeights", "allowed"), ("OpenWeights", "refused")], (
        "and what came of it is on record"
    )
    assert [one.state for one in room.change(lambda t: t.leases.all())] == ["revoked"]


def test_the_same_key_again_is_one_lease_and_one_debit(room: Room) -> None:
    room.grant()
    first = room.ask().lease
    assert room.ask().lease == first
    assert room.had() == SIZE
    assert room.ask(purpose="other").lease != first
    assert room.had() == 2 * SIZE
    assert "more than twice the asset's size" in room.refused(purpose="third")
    room.times.append(START + DAY)
    assert room.ask(purpose="third").lease not in ("", first), "the next day"
    assert len(room.book.bodies) == 5, "each is on record"


def test_an_object_of_which_nobody_knows_the_size_counts_as_itself(room: Room) -> None:
    room.state.put_assets([Asset(name="acme/small", classification="crown", places=["file:///srv/small"])])
    room.grant(asset="acme/small")
    for number in range(2):
        room.ask(asset="acme/small", purpose=f"{number}")
    assert "more than twice" in room.refused(asset="acme/small", purpose="more")


def test_an_export_needs_two_others_and_happens_once(room: Room) -> None:
    room.grant(action="ExportWeights")
    assert "two other people" in room.refused(action="ExportWeights")
    lease = room.request()
    assert "two other people" in room.refused(action="ExportWeights", lease=lease)
    assert [room.approve(lease, who) for who in (EVE, OLE)] == [1, 2]
    assert room.ask(action="ExportWeights", lease=lease).lease == lease
    assert room.lease(lease).state == "used"
    assert room.refused(action="ExportWeights", lease=lease) == f"refused: {lease} is used"
    with pytest.raises(RefusedError, match="is used"):
        room.approve(lease, ANN)


def test_a_grant_alone_or_approvals_alone_export_nothing(room: Room) -> None:
    lease = room.request()
    for who in (EVE, OLE):
        room.approve(lease, who)
    assert "no policy permits ExportWeights" in room.refused(action="ExportWeights", lease=lease)
    room.grant(action="ExportWeights")
    room.ask(action="ExportWeights", lease=lease)


def test_nobody_approves_their_own_or_twice_or_without_a_right_to(room: Room) -> None:
    room.change(lambda t: t.principals.put(Principal(name="guest@elsewhere", groups=[])))
    lease = room.request()
    with pytest.raises(RefusedError, match="another person has to"):
        room.approve(lease, BOB)
    room.approve(lease, EVE)
    with pytest.raises(UsageError, match="has approved"):
        room.approve(lease, EVE)
    with pytest.raises(RefusedError, match="no policy permits Approve"):
        room.approve(lease, "guest@elsewhere")
    with pytest.raises(InputError, match="there is no lease"):
        room.approve(new_id("lse", START), EVE)
    assert [body["outcome"] for body in room.book.bodies] == ["refused", "allowed", "refused"]


@pytest.mark.parametrize("what", ["suspended", "removed", "left"])
def test_an_approval_counts_only_as_long_as_whoever_gave_it_may(room: Room, what: str) -> None:
    room.grant(action="ExportWeights")
    lease = room.request()
    for who in (EVE, OLE):
        room.approve(lease, who)
    if what == "removed":
        room.change(lambda t: t.principals.remove(OLE))
    else:
        groups = ["members"] if what == "suspended" else []
        room.change(lambda t: t.principals.put(Principal(name=OLE, groups=groups, suspended=what == "suspended")))
    assert "two other people" in room.refused(action="ExportWeights", lease=lease)
    room.approve(lease, ANN)
    room.ask(action="ExportWeights", lease=lease)


def test_a_lease_is_for_what_it_was_asked_for(room: Room) -> None:
    for who in (BOB, EVE):
        for asset in (ASSET, "acme/other"):
            room.grant(who, action="ExportWeights", asset=asset)
    lease = room.request(digest=DIGEST)
    for who in (ANN, OLE):
        room.approve(lease, who)
    ask = {"action": "ExportWeights", "lease": lease}
    none = new_id("lse", START)
    other = room.refused(EVE, action="ExportWeights", purpose="mine", lease=none)
    assert room.refused(EVE, action="ExportWeights", purpose="mine", lease=lease) == other.replace(none, lease), (
        "no oracle"
    )
    assert room.book.bodies[-1]["purpose"] == "mine", "and nothing of Bob's stands under Eve's name"
    assert "is for ExportWeights of acme/llama" in room.refused(asset="acme/other", **ask)
    assert "is for ExportWeights of acme/llama" in room.refused(lease=lease)
    assert "another version" in room.refused(asset_digest="sha256:" + "cd" * 32, **ask)
    room.ask(**ask)
    old = room.request(digest=DIGEST)
    room.times.append(START + REQUEST_DAYS * DAY)
    assert f"more than {REQUEST_DAYS} days ago" in room.refused(**{**ask, "lease": old})


def test_a_lease_that_was_revoked_or_expired_opens_nothing(room: Room) -> None:
    room.grant()
    lease = room.request(action="OpenWeights")
    room.ask(lease=lease)
    room.times.append(START + 3600 * 1_000_000 - 1)
    room.ask(lease=lease)
    room.times.append(START + 3600 * 1_000_000)
    assert "expired at" in room.refused(lease=lease)
    other = room.request(action="OpenWeights")
    room.change(lambda t: revoke_lease(t, other, START))
    assert f"{other} is revoked" in room.refused(lease=other)
    with pytest.raises(UsageError, match="is revoked already"):
        room.change(lambda t: revoke_lease(t, other, START))


def test_a_clock_that_was_moved_back_gives_nothing_a_longer_life(room: Room) -> None:
    room.grant()
    room.times.append(START + DAY)
    room.ask()
    room.times.append(START + DAY - 30_000_000)
    room.ask()
    room.times.append(START + DAY - 61_000_000)
    assert "behind a time that was seen before" in room.refused()


def test_of_many_who_race_for_one_lease_one_has_it(room: Room) -> None:
    room.grant(action="ExportWeights")
    lease = room.request()
    for who in (EVE, OLE):
        room.approve(lease, who)
    barrier, outcomes = threading.Barrier(6), list[str]()

    def race() -> None:
        barrier.wait()
        try:
            room.ask(action="ExportWeights", lease=lease)
            outcomes.append("allowed")
        except RefusedError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=race) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert outcomes.count("allowed") == 1, outcomes
    assert room.had() == SIZE
    assert room.book.told.count(("ExportWeights", "allowed")) == 1


def test_whoever_took_a_lease_and_was_slow_finds_it_taken(room: Room) -> None:
    room.grant(action="ExportWeights")
    lease = room.request()
    for who in (EVE, OLE):
        room.approve(lease, who)

    def meanwhile() -> None:
        room.book.meanwhile = lambda: None
        assert "is being used at this moment" in room.refused(action="ExportWeights", lease=lease)
        room.times.append(START + 2 * MINUTE)
        assert room.ask(action="ExportWeights", lease=lease).outcome == "allowed"

    room.book.meanwhile = meanwhile
    with pytest.raises(RefusedError, match="taken by another"):
        room.ask(action="ExportWeights", lease=lease)
    assert room.lease(lease).state == "used", "the second one's"


def test_whoever_sealed_an_object_may_unseal_that_one_whatever_others_are_called(room: Room) -> None:
    name = "acme/small"
    room.ask(BOB, "Seal", name, object="0b", asset_digest="")
    room.ask(EVE, "Seal", name, object="0e", asset_digest="")
    room.ask(BOB, "ExportWeights", name, object="0b")
    assert "no policy permits" in room.refused(BOB, "ExportWeights", name, object="0e")
    room.ask(EVE, "Seal", name, object="0b", asset_digest="")  # the first one stays
    room.ask(EVE, "Seal", name, object="0c")  # proving a copy makes nobody its sealer
    assert "no policy permits" in room.refused(EVE, "ExportWeights", name, object="0c")
    assert "no policy permits" in room.refused(EVE, "ExportWeights", name, object="0b")
    assert "no policy permits" in room.refused(BOB, "ExportWeights", name)


def test_a_tag_makes_nothing_cheaper(room: Room) -> None:
    tagged = f"{ASSET}:public"
    room.state.put_assets([Asset(name=tagged, classification="public", places=["file:///srv/public"])])
    assert "two other people" in room.refused(action="ExportWeights", asset=tagged)
    room.grant()  # of the asset covers its tags
    assert room.ask(asset=tagged).outcome == "allowed"


def test_grants_cover_groups_and_organizations_until_they_expire(room: Room) -> None:
    room.grant("group:members", asset="acme/*", expires=START + DAY)
    room.ask()
    assert "no policy permits" in room.refused(ANN)
    assert "no policy permits" in room.refused(asset="acme2/llama")
    room.times.append(START + DAY)
    assert "no policy permits" in room.refused(purpose="later")


def test_opening_a_dataset_is_reading_it(room: Room) -> None:
    room.state.put_assets([Asset(name="acme/books", kind="dataset", places=["file:///srv/books"])])
    room.grant(asset="acme/books")
    assert "no policy permits ReadDataset" in room.refused(asset="acme/books")
    room.grant(action="ReadDataset", asset="acme/books")
    assert room.ask(asset="acme/books").action == "ReadDataset"


def test_shadow_mode_refuses_nothing_and_says_what_it_would(room: Room) -> None:
    room.access.shadow = True
    event = room.ask()
    assert (event.outcome, event.lease != "") == ("allowed", True)
    assert event.reason == "shadow mode: refused: no policy permits OpenWeights of acme/llama"
    assert room.notices == [event.reason]
    assert room.book.told == [("OpenWeights", "allowed")]
    assert "is not known" in room.ask("nobody@acme").reason
    theirs = room.request(EVE)
    room.ask(action="ExportWeights", lease=theirs)
    assert room.lease(theirs).state == "requested", "somebody else's lease is not used up"


def test_a_request_needs_a_purpose_and_an_end_and_has_a_limit(room: Room) -> None:
    ask = {"digest": "", "purpose": "p", "seconds": 60}
    for changed, why in (({"purpose": ""}, "purpose"), ({"seconds": 0}, "lasts"), ({"seconds": 31 * 86_400}, "lasts")):
        with pytest.raises(UsageError, match=why):
            request_lease(room.access, BOB, "OpenWeights", ASSET, **{**ask, **changed})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs no lease"):
        request_lease(room.access, BOB, "Seal", ASSET, **ask)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match="is not known"):
        request_lease(room.access, "nobody", "OpenWeights", ASSET, **ask)  # type: ignore[arg-type]
    for _ in range(100):
        room.request()
    with pytest.raises(RefusedError, match="wait already"):
        room.request()
    room.request(EVE)


def test_a_request_that_no_door_makes_changes_and_records_nothing(room: Room) -> None:
    room.grant()
    for more, why in (
        ({"bytes": -2 * SIZE}, "no number of bytes"),
        ({"bytes": 1 << 60}, "no number of bytes"),
        ({"purpose": "x" * 201}, "a purpose is one line"),
        ({"purpose": "a\nb"}, "a purpose is one line"),
        ({"lease": "lse_none"}, "not an id"),
        ({"asset_digest": "sha256:00"}, "not a digest"),
        ({"asset": "acme/../x"}, "not an asset name"),
        ({"who": "a b"}, "cannot name a principal"),
        ({"who": "group:members"}, "cannot name a principal"),
    ):
        with pytest.raises(StrongroomError, match=why):
            room.ask(**more)  # type: ignore[arg-type]
    assert (room.book.bodies, room.had()) == ([], 0)


def test_a_lease_opens_the_object_that_it_opened_first_and_no_other(room: Room) -> None:
    room.grant()
    lease = room.request(action="OpenWeights")
    room.ask(lease=lease, bytes=3)
    assert "opened with it first" in room.refused(lease=lease, asset_digest="sha256:" + "cd" * 32)
    room.ask(lease=lease, bytes=3)
    assert room.had() == 3


def test_tags_are_of_one_budget(room: Room) -> None:
    room.grant()
    for tag in ("a", "b"):
        room.ask(asset=f"{ASSET}:{tag}")
    assert "more than twice" in room.refused(asset=f"{ASSET}:c")
    assert "more than twice" in room.refused()


def test_whoever_asks_again_after_a_crash_is_debited_once(room: Room) -> None:
    room.grant()
    room.ask(purpose="before")

    def crash() -> None:
        raise KeyboardInterrupt

    lease, room.book.meanwhile = room.request(action="OpenWeights"), crash
    with pytest.raises(KeyboardInterrupt):
        room.ask(lease=lease)
    room.book.meanwhile = lambda: None
    room.times.append(START + 2 * MINUTE)
    assert room.ask(lease=lease).outcome == "allowed"
    assert room.had() == 2 * SIZE


def test_nothing_that_is_recorded_names_anybody_but_the_principal(room: Room) -> None:
    room.grant(EVE)
    lease = room.request(EVE, action="OpenWeights")
    for who in (BOB, "nobody@acme"):
        room.refused(who)
        room.refused(who, lease=lease)
    room.ask(EVE, lease=lease)
    for body in room.book.bodies:
        assert "@" not in body["reason"], body


def test_an_approver_may_have_the_right_by_a_grant(room: Room) -> None:
    room.change(lambda t: t.principals.put(Principal(name="guest@elsewhere", groups=[])))
    room.grant("guest@elsewhere", action="Approve")
    room.grant(action="ExportWeights")
    lease = room.request()
    for who in (EVE, "guest@elsewhere"):
        room.approve(lease, who)
    room.ask(action="ExportWeights", lease=lease)


def test_shadow_mode_still_refuses_what_would_outlive_it(room: Room) -> None:
    room.access.shadow = True
    assert "no policy permits Administer" in room.refused(BOB, "Administer", "strongroom/site")


def test_a_clock_that_ran_ahead_locks_no_owner_out(room: Room) -> None:
    room.grant()
    room.times.append(START + 1000 * DAY)
    room.ask(BOB, "Seal", "acme/x")
    room.times.append(START + MINUTE)
    assert "behind a time that was seen before" in room.refused()
    room.ask(ANN, "Administer", "strongroom/site", bytes=0, asset_digest="")
    room.change(lambda t: t.leases.see_time(START, back=True))
    room.ask()


def test_grants_and_leases_do_not_come_back_with_the_clock(room: Room) -> None:
    room.grant(expires=START + 60 * MINUTE)
    room.times.append(START + 120 * MINUTE)
    assert "no policy permits" in room.refused()
    room.times.append(START + 30 * MINUTE)
    assert "behind a time that was seen before" in room.refused()

"""Breaking glass: what it opens, when, for whom; and what an attacker gains by disturbing it: nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from strongroom.access import (
    make_break_glass,
    revoke_break_glass,
    revoke_lease,
    unlock_break_glass,
    use_break_glass,
)
from strongroom.access._credentials import MAX_WRONG
from strongroom.access._glass import BREAK_GLASS_SECONDS, WAITING_SECONDS
from strongroom.core.assets import Asset
from strongroom.core.clock import format_time
from strongroom.core.errors import InputError, RefusedError, StrongroomError, UsageError
from strongroom.core.leases import BreakGlass, Lease
from strongroom.core.principals import Principal
from strongroom.policy import DEFAULT, Policies
from strongroom.state import Transaction

from .test_opening import ANN, ASSET, BOB, DAY, EVE, MINUTE, SIZE, START, Room, room

__all__ = ["room"]  # a fixture

SECRET, ID, DELAY = b"s" * 32, "k3x7q2mz", 30 * MINUTE
NOBODY = "nobody@acme"


def issue(room: Room, id: str = ID, **more: Any) -> BreakGlass:
    words = {"assets": [ASSET], "shares": 5, "need": 3, "delay": 1800, "seconds": 90 * 86_400, "unannounced": False}
    made = make_break_glass(id, SECRET, by=ANN, time=START, **{**words, **more})
    room.change(lambda t: t.break_glass.put(made))
    return made


def use(room: Room, who: str = BOB, asset: str = ASSET, secret: bytes = SECRET, id: str = ID, **more: Any) -> Lease:
    words = {"purpose": "production is down", "announce": lambda lease: None}
    return use_break_glass(room.access, who, asset, credential=id, secret=secret, **{**words, **more})


def refused(room: Room, *words: Any, **more: Any) -> str:
    count = len(room.book.bodies)
    with pytest.raises(RefusedError) as error:
        use(room, *words, **more)
    assert [body["outcome"] for body in room.book.bodies[count:]][-1:] == ["refused"], "on record"
    return error.value.message


def credential(room: Room, id: str = ID) -> BreakGlass:
    found = room.change(lambda t: t.break_glass.get(id))
    assert isinstance(found, BreakGlass)
    return found


def edit(room: Room, **changes: Any) -> None:
    room.change(lambda t: t.break_glass.put(msgspec.structs.replace(t.break_glass.get(ID), **changes)))


def wait(room: Room, microseconds: int) -> None:
    room.times.append(room.times[-1] + microseconds)


def test_without_any_grant_it_opens_after_the_delay_for_an_hour(room: Room) -> None:
    issue(room)
    assert "no policy permits" in room.refused(EVE)
    told: list[Lease] = []
    lease = use(room, EVE, announce=told.append)
    assert [(one.id, one.principal, one.not_before) for one in told] == [(lease.id, EVE, START + DELAY)]
    assert (lease.state, lease.not_before, lease.seconds) == ("requested", START + DELAY, BREAK_GLASS_SECONDS)
    assert room.book.bodies[-1] == {
        **room.book.bodies[-1],
        "action": "OpenWeights",
        "outcome": "refused",
        "lease": lease.id,
        "policy_ids": ["break-glass"],
        "purpose": "production is down",
        "reason": f"break-glass: credential {ID} was accepted; {lease.id} opens nothing before {format_time(START + DELAY)}",
    }, "nothing is opened yet"
    assert credential(room).state == "used"
    assert f"may be used from {format_time(START + DELAY)} on" in room.refused(EVE, lease=lease.id)
    wait(room, DELAY - 1)
    assert "may be used from" in room.refused(EVE, lease=lease.id)
    wait(room, 1)
    event = room.ask(EVE, lease=lease.id, purpose="")
    assert (event.outcome, event.policy_ids, event.purpose) == ("allowed", ["break-glass"], "production is down")
    assert "no policy permits" in room.refused(EVE), "only who names the lease"
    wait(room, 60 * MINUTE - 1)
    room.ask(EVE, lease=lease.id)
    wait(room, 1)
    assert "expired at" in room.refused(EVE, lease=lease.id)
    assert room.had(EVE) == SIZE


def test_a_dataset_is_read(room: Room) -> None:
    room.state.put_assets([Asset(name="acme/books", kind="dataset", places=["file:///srv/books"])])
    issue(room, assets=["acme/*"])
    lease = use(room, asset="acme/books:v2")
    assert lease.action == "ReadDataset"
    wait(room, DELAY)
    assert room.ask(asset="acme/books:v2", lease=lease.id).action == "ReadDataset"


def test_it_never_exports_whatever_policies_and_grants_say(room: Room) -> None:
    text = DEFAULT.read_text() + '@id("all") permit (principal, action, resource);'
    room.access.policies.policies = Policies.parse(text.replace("context.approvals < 2", "false"))  # type: ignore[attr-defined]
    room.grant(action="ExportWeights")
    issue(room)
    lease = use(room)
    wait(room, DELAY)
    assert "is for OpenWeights" in room.refused(action="ExportWeights", lease=lease.id)
    made = msgspec.structs.replace(room.lease(lease.id), action="ExportWeights")
    room.change(lambda t: t.leases.put(made))
    assert "is not as it was made" in room.refused(action="ExportWeights", lease=lease.id)


def test_wrong_shares_are_refused_recorded_and_counted_until_it_is_locked(room: Room) -> None:
    issue(room)
    for wrong in range(1, MAX_WRONG):
        assert "not those of a credential" in refused(room, secret=b"w" * 32)
        assert (credential(room).state, credential(room).wrong) == ("issued", wrong)
    wait(room, DAY)
    assert "not those of a credential" in refused(room, secret=b"w" * 32)
    assert credential(room).wrong == 1, "another day"
    for _ in range(1, MAX_WRONG):
        refused(room, secret=b"w" * 32)
    assert credential(room).state == "locked"
    assert "is locked" in refused(room), "the right ones too"
    assert {body.get("lease", "") for body in room.book.bodies} == {""}
    room.change(lambda t: unlock_break_glass(t, ID))
    with pytest.raises(UsageError, match="is not locked"):
        room.change(lambda t: unlock_break_glass(t, ID))
    assert use(room).not_before


def test_who_is_nobody_here_learns_and_counts_nothing(room: Room) -> None:
    issue(room)
    wrong, right = (refused(room, NOBODY, secret=secret) for secret in (b"w" * 32, SECRET))
    assert wrong == right == "refused: the principal is not known to this site"
    assert refused(room, id="aaaaaaaa") == refused(room, secret=b"w" * 32), "nor whether there is such a credential"
    assert credential(room).wrong == 1
    room.change(lambda t: t.principals.put(Principal(name=BOB, groups=["members"], suspended=True)))
    assert "suspended" in refused(room)
    assert credential(room).state == "issued"


def test_who_was_suspended_meanwhile_opens_nothing(room: Room) -> None:
    issue(room)
    lease = use(room)
    wait(room, DELAY)
    room.change(lambda t: t.principals.put(Principal(name=BOB, suspended=True)))
    assert "suspended" in room.refused(lease=lease.id)


def test_it_is_used_once_and_by_whoever_asked(room: Room) -> None:
    issue(room)
    lease = use(room)
    assert "the credential is used" in refused(room)
    assert "the credential is used" in refused(room, EVE)
    wait(room, DELAY)
    assert "is not a lease of the principal" in room.refused(EVE, lease=lease.id)
    edit(room, state="issued")
    assert "the credential is used" in refused(room), "although its row says otherwise"
    assert "is not as it was made" in room.refused(lease=lease.id)


def test_of_many_who_race_with_one_credential_one_has_a_lease(room: Room) -> None:
    issue(room)
    barrier, outcomes = threading.Barrier(4), list[str]()

    def race(who: str) -> None:
        barrier.wait()
        try:
            outcomes.append(use(room, who).id)
        except RefusedError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=race, args=(who,)) for who in (BOB, EVE, BOB, EVE)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    made = [one for one in room.change(lambda t: t.leases.all()) if one.not_before]
    assert [one.id for one in made] == [one for one in outcomes if one.startswith("lse_")] == [credential(room).lease]
    assert len(outcomes) == 4


def test_it_is_for_its_assets_and_its_time(room: Room) -> None:
    issue(room, assets=["acme/other", "rival/*"])
    assert "for other assets" in refused(room)
    wait(room, 90 * DAY - 1)
    use(room, asset="acme/other:tag")
    issue(room, "aaaaaaaa")
    wait(room, 1)
    assert "expired" in refused(room, id="aaaaaaaa")
    with pytest.raises(UsageError, match="needs a purpose"):
        use(room, purpose="")


@pytest.mark.parametrize(
    "changes",
    [{"assets": ["acme/*"]}, {"delay": 0}, {"unannounced": True}, {"expires": START + 999 * DAY}, {"need": 1},
     {"digest": "sha256:ä"}, {"expires": 1 << 60}],
    ids=str,
)  # fmt: skip
def test_an_edited_credential_is_opened_by_no_shares(room: Room, changes: dict[str, Any]) -> None:
    issue(room)
    edit(room, **changes)
    assert "not those of a credential" in refused(room)


def test_the_row_of_another_credential_is_opened_by_no_shares(room: Room) -> None:
    made = issue(room)
    issue(room, "aaaaaaaa", assets=["acme/*"])
    room.change(lambda t: t.break_glass.put(msgspec.structs.replace(made, id="aaaaaaaa")))
    assert "not those of a credential" in refused(room, id="aaaaaaaa")


@pytest.mark.parametrize(
    "changes",
    [{"not_before": START}, {"not_before": START + DELAY - 1}, {"not_before": 1 << 60}, {"seconds": 86_400},
     {"asset": "acme/other"}, {"requested": START + 1}],
    ids=str,
)  # fmt: skip
def test_an_edited_lease_opens_nothing(room: Room, changes: dict[str, Any]) -> None:
    issue(room)
    lease = use(room)
    wait(room, DELAY)
    room.change(lambda t: t.leases.put(msgspec.structs.replace(lease, **changes)))
    assert "is not as it was made" in room.refused(lease=lease.id, asset=changes.get("asset", ASSET))


def test_a_lease_that_was_asked_for_otherwise_is_made_no_break_glass_lease_by_an_edit(room: Room) -> None:
    issue(room)
    use(room)
    other = room.lease(room.request(action="OpenWeights"))
    wait(room, DELAY)
    room.change(lambda t: t.leases.put(msgspec.structs.replace(other, breakglass=ID, not_before=START + DELAY)))
    assert "is not as it was made" in room.refused(lease=other.id)


def test_an_owner_stops_it_during_the_delay_and_after(room: Room) -> None:
    for id in (ID, "aaaaaaaa"):
        issue(room, id)
    early, late = use(room), use(room, id="aaaaaaaa")
    room.change(lambda t: revoke_lease(t, early.id, START))
    wait(room, DELAY)
    assert f"{early.id} is revoked" in room.refused(lease=early.id)
    room.ask(lease=late.id)
    room.change(lambda t: revoke_lease(t, late.id, START))
    assert f"{late.id} is revoked" in room.refused(lease=late.id)
    assert "the credential is used" in refused(room)


@pytest.mark.parametrize("what", ["credential", "lease", "suspended", "removed", "used by another"])
def test_what_is_revoked_while_it_is_recorded_makes_no_lease(room: Room, what: str) -> None:
    issue(room)

    def meanwhile() -> None:
        room.book.meanwhile = lambda: None
        changes: dict[str, Callable[[Transaction], Any]] = {
            "credential": lambda t: revoke_break_glass(t, ID),
            "lease": lambda t: revoke_lease(t, t.leases.all()[0].id, START),
            "suspended": lambda t: t.principals.put(Principal(name=BOB, suspended=True)),
            "removed": lambda t: t.principals.remove(BOB),
        }
        if what in changes:
            room.change(changes[what])
        else:
            use(room, EVE)

    room.book.meanwhile = meanwhile
    refused(room)
    leases = room.change(lambda t: t.leases.all(principal=BOB))
    assert [(one.state, one.not_before) for one in leases] == [("revoked", 0)]


def test_what_nobody_could_be_told_of_opens_nothing_and_uses_nothing_up(room: Room) -> None:
    issue(room)

    def fail(lease: Lease) -> None:
        raise StrongroomError("it ended with 1")

    assert "the announcement failed" in refused(room, announce=fail)
    assert room.notices == ["not announced: it ended with 1"]
    assert "it ended with" not in str(room.book.bodies), "a program's words go nowhere"
    failed = room.change(lambda t: t.leases.all())[0]
    wait(room, DELAY)
    assert f"{failed.id} is revoked" in room.refused(lease=failed.id)
    assert "nobody would be told" in refused(room, announce=None)
    assert use(room).not_before == START + 2 * DELAY
    issue(room, "aaaaaaaa", unannounced=True)
    assert use(room, id="aaaaaaaa", announce=None).not_before


def test_a_crash_before_it_is_announced_leaves_a_lease_that_opens_nothing_and_may_be_asked_again(room: Room) -> None:
    issue(room)

    def crash(lease: Lease) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use(room, announce=crash)
    left = room.change(lambda t: t.leases.all())[0]
    wait(room, DELAY)
    assert "is not announced" in room.refused(lease=left.id)
    again = use(room)
    assert room.lease(left.id).state == "revoked"
    wait(room, DELAY)
    room.ask(lease=again.id)


def test_what_cannot_go_on_record_makes_no_lease_and_is_not_announced(room: Room) -> None:
    issue(room)

    def full() -> None:
        raise StrongroomError("the disk is full")

    room.book.meanwhile, told = full, list[Lease]()
    with pytest.raises(StrongroomError, match="the disk is full"):
        use(room, announce=told.append)
    assert told == []
    assert room.change(lambda t: t.leases.all())[0].not_before == 0


def test_the_delay_begins_when_it_was_announced(room: Room) -> None:
    issue(room)
    lease = use(room, announce=lambda lease: wait(room, MINUTE))
    assert lease.not_before == START + MINUTE + DELAY


def test_a_clock_that_goes_back_opens_nothing_and_one_that_ran_ahead_is_seen(room: Room) -> None:
    """Whoever can set this machine's clock ahead shortens the delay; the record has the times of both entries."""
    issue(room)
    issue(room, "aaaaaaaa")
    lease = use(room)
    wait(room, DELAY)
    room.ask(lease=lease.id)
    assert room.book.bodies[-1]["time"] == format_time(START + DELAY)
    wait(room, 50 * MINUTE)
    room.ask(lease=lease.id)
    wait(room, -10 * MINUTE)
    assert "behind a time that was seen before" in room.refused(lease=lease.id), "its hour gets no longer"
    assert "behind a time that was seen before" in refused(room, id="aaaaaaaa")


def test_what_is_not_used_on_its_day_is_over(room: Room) -> None:
    issue(room)
    lease = use(room)
    wait(room, DELAY + WAITING_SECONDS * 1_000_000)
    assert "was not used on the day" in room.refused(lease=lease.id)


def test_shadow_mode_makes_no_lease_without_shares(room: Room) -> None:
    issue(room)
    room.access.shadow = True
    assert "not those of a credential" in refused(room, secret=b"w" * 32)
    assert "not known" in refused(room, NOBODY)


def test_a_credential_is_revoked_once_and_its_lease_by_itself(room: Room) -> None:
    issue(room)
    room.change(lambda t: revoke_break_glass(t, ID))
    assert "the credential is revoked" in refused(room)
    for id, error, text in ((ID, UsageError, "is revoked already"), ("aaaaaaaa", InputError, "there is no")):
        with pytest.raises(error, match=text):
            room.change(lambda t, id=id: revoke_break_glass(t, id))
    issue(room, "bbbbbbbb")
    lease = use(room, id="bbbbbbbb")
    with pytest.raises(UsageError, match=f"is used already.*lease revoke {lease.id}"):
        room.change(lambda t: revoke_break_glass(t, "bbbbbbbb"))


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"assets": []}, "1 to 32 assets"),
        ({"assets": [ASSET, ASSET]}, "each named once"),
        ({"assets": ["*"]}, "is not an asset name"),
        ({"need": 1}, "at least 2"),
        ({"shares": 33}, "at least 2"),
        ({"need": 6}, "not more than there are"),
        ({"delay": 299}, "5 minutes"),
        ({"delay": 86_401}, "24 hours"),
        ({"seconds": 0}, "366 days"),
    ],
    ids=str,
)
def test_what_cannot_be_issued(room: Room, more: dict[str, Any], text: str) -> None:
    with pytest.raises((UsageError, RefusedError), match=text):
        issue(room, **more)


def test_nothing_on_record_names_a_person_or_holds_a_secret(room: Room) -> None:
    issue(room)
    assert (b"w" * 32).hex() not in refused(room, secret=b"w" * 32)
    use(room)
    for body in room.book.bodies:
        assert "@" not in body["reason"]
    assert SECRET.hex() not in str(room.book.bodies)
    assert SECRET.hex() not in credential(room).digest

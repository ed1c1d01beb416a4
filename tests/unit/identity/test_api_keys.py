"""API keys: what is kept cannot open anything, what is shown opens only while it may, and nobody learns by trying."""

from __future__ import annotations

import hashlib
import hmac
import pickle
import random as pseudo
import re
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import RefusedError, UsageError
from strongroom.core.principals import ApiKey
from strongroom.identity import (
    API_KEY_PATTERN,
    API_KEY_RANDOM_BYTES,
    NewApiKey,
    NotIdentified,
    make_api_key,
    parse_api_key,
    revoke_api_key,
    rotate_api_key,
    verify_api_key,
)
from strongroom.identity import _api_keys as module

HOUR = 3_600_000_000
NOW = 1_793_500_000_000_000
ADA = "ada@acme.example"


class Records(dict[str, ApiKey]):
    """The simplest store."""

    asked = 0

    def find(self, key_id: str) -> ApiKey | None:
        self.asked += 1
        return self.get(key_id)

    def put(self, *keys: ApiKey) -> Records:
        self.update({key.id: key for key in keys})
        return self


def make(seed: int = 1, *, expires: int | None = NOW + HOUR, held: list[ApiKey] | None = None) -> NewApiKey:
    random = pseudo.Random(seed).randbytes(API_KEY_RANDOM_BYTES)
    return make_api_key(ADA, random=random, now=NOW, expires=expires, held=held or [])


def reason(text: str, records: Records, now: int = NOW) -> str:
    with pytest.raises(NotIdentified) as refused:
        verify_api_key(text, records, now=now)
    assert str(refused.value) == f"the credential is not accepted: {refused.value.reason}"
    return refused.value.reason


def test_a_key_identifies_its_principal_until_it_expires() -> None:
    made = make()
    records = Records().put(made.record)
    who = verify_api_key(made.text, records, now=NOW + HOUR - 1)
    assert (who.principal, who.method, who.credential, who.expires) == (ADA, "api-key", made.record.id, NOW + HOUR)
    assert reason(made.text, records, NOW + HOUR) == "expired"
    assert verify_api_key(make(2, expires=None).text, Records().put(make(2, expires=None).record), now=1 << 62)


@given(st.binary(min_size=API_KEY_RANDOM_BYTES, max_size=API_KEY_RANDOM_BYTES))
def test_every_key_has_the_published_form_and_another_random_gives_another_key(random: bytes) -> None:
    made = make_api_key(ADA, random=random, now=NOW, expires=None)
    assert re.fullmatch(API_KEY_PATTERN, made.text)
    assert parse_api_key(made.text) == made.record.id
    flipped = random[:-1] + bytes([random[-1] ^ 1])
    assert make_api_key(ADA, random=flipped, now=NOW, expires=None).text != made.text


def test_what_is_kept_or_printed_does_not_have_the_secret() -> None:
    made = make()
    secret = made.text.split("_")[2]
    kept = msgspec.json.encode(made.record).decode()
    assert made.record.digest == f"sha256:{hashlib.sha256(made.text.encode()).hexdigest()}"
    for shown in (kept, repr(made), str(made), repr(made.record), pickle.dumps(made.record).decode("latin-1")):
        assert secret not in shown
        assert secret[:20] not in shown
    assert msgspec.json.decode(kept, type=ApiKey) == made.record
    # The digest itself opens nothing, and neither does a key made of it.
    for text in (made.record.digest, made.record.digest[7:], made.record.id):
        assert reason(text, Records().put(made.record)) == "malformed"


@given(st.integers(0, 63), st.sampled_from(string.ascii_letters + string.digits + "_- \n"))
def test_one_wrong_character_is_told_without_a_look_up(at: int, instead: str) -> None:
    made = make()
    text = made.text[:at] + instead + made.text[at + 1 :]
    records = Records().put(made.record)
    if text != made.text:
        assert reason(text, records) in ("malformed", "checksum")
        assert records.asked == 0


@pytest.mark.parametrize("change", [str.upper, str.strip, lambda text: text + "\n", lambda text: " " + text])
def test_only_the_very_text_is_the_key(change: object) -> None:
    made = make()
    changed = change(made.text)  # type: ignore[operator]
    if changed != made.text:
        assert reason(changed, Records().put(made.record)) in ("malformed", "checksum")


@given(st.text(max_size=200))
def test_hostile_text_is_refused_and_never_crashes(text: str) -> None:
    assert reason(text, Records()) in ("malformed", "checksum")


def with_checksum(body: str) -> str:
    return body + module._checksum(body)


def test_another_secret_under_a_known_id_is_answered_as_an_unknown_id_is() -> None:
    """Also where the key is revoked or expired: nobody learns that without its secret."""
    made, other = make(1), make(2)
    mixed = with_checksum(f"sr_{made.record.id}_{other.text.split('_')[2][:43]}")
    for record in (made.record, revoke_api_key(made.record, now=NOW)):
        for now in (NOW, NOW + 2 * HOUR):
            assert reason(mixed, Records().put(record), now) == "unknown"
    assert reason(made.text, Records()) == "unknown"


def test_comparison_takes_constant_time_and_happens_for_unknown_ids_too(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return hmac_compare(a, b)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    assert reason(make(1).text, Records()) == "unknown"
    assert reason(make(1).text, Records({make(1).record.id: make(2).record})) == "unknown"
    assert [len(a) == len(b) == 71 for a, b in compared] == [True, True]


def test_a_store_that_answers_with_another_record_opens_nothing() -> None:
    made, other = make(1), make(2)
    swapped = Records({made.record.id: other.record, other.record.id: made.record})
    assert reason(made.text, swapped) == "unknown"
    same_digest = msgspec.structs.replace(other.record, digest=made.record.digest)
    assert reason(made.text, Records({made.record.id: same_digest})) == "unknown"


def test_a_revoked_key_opens_nothing_and_stays_revoked_since_when_it_was() -> None:
    made = make()
    revoked = revoke_api_key(made.record, now=NOW + 5)
    assert reason(made.text, Records().put(revoked)) == "revoked"
    assert revoke_api_key(revoked, now=NOW + 9).revoked == NOW + 5


def test_rotation_overlaps_until_the_old_key_ends() -> None:
    old = make(1, expires=NOW + 10 * HOUR)
    made, ending = rotate_api_key(
        old.record, random=bytes(range(40)), now=NOW, ends=NOW + HOUR, expires=NOW + 20 * HOUR, held=[old.record]
    )
    records = Records().put(made.record, ending)
    for now in (NOW, NOW + HOUR - 1):
        assert {verify_api_key(text, records, now=now).principal for text in (old.text, made.text)} == {ADA}
    assert reason(old.text, records, NOW + HOUR) == "expired"
    assert verify_api_key(made.text, records, now=NOW + HOUR).credential == made.record.id
    # Rotation ends a key sooner, never later.
    _, kept = rotate_api_key(old.record, random=bytes(40), now=NOW, ends=NOW + 99 * HOUR, expires=None)
    assert kept.expires == old.record.expires


def test_a_principal_has_at_most_two_live_keys() -> None:
    first, second = make(1).record, make(2).record
    make(3, held=[first])
    with pytest.raises(UsageError, match="has 2 API keys already"):
        make(3, held=[first, second])
    with pytest.raises(UsageError, match="has 2 API keys already"):
        rotate_api_key(first, random=bytes(40), now=NOW, ends=NOW + 1, expires=None, held=[first, second])
    make(3, held=[first, revoke_api_key(second, now=NOW)])
    make(3, held=[first, msgspec.structs.replace(second, principal="another@acme.example")])


def test_what_is_over_is_not_rotated() -> None:
    key = make().record
    for dead in (revoke_api_key(key, now=NOW), msgspec.structs.replace(key, expires=NOW)):
        with pytest.raises(UsageError, match="not in use any more"):
            rotate_api_key(dead, random=bytes(40), now=NOW, ends=NOW + 1, expires=None)
    with pytest.raises(UsageError, match="which is over"):
        rotate_api_key(key, random=bytes(40), now=NOW, ends=NOW - 1, expires=None)


def test_keys_are_made_from_enough_randomness_for_a_name_and_a_time_that_can_be() -> None:
    for random in (b"", bytes(39), bytes(41)):
        with pytest.raises(UsageError, match="random bytes"):
            make_api_key(ADA, random=random, now=NOW, expires=None)
    with pytest.raises(UsageError, match="expired already"):
        make_api_key(ADA, random=bytes(40), now=NOW, expires=NOW)
    with pytest.raises(RefusedError):
        make_api_key("a b", random=bytes(40), now=NOW, expires=None)
    for label in ("x" * 101, "a\nb"):
        with pytest.raises(UsageError, match="label"):
            make_api_key(ADA, random=bytes(40), now=NOW, expires=None, label=label)

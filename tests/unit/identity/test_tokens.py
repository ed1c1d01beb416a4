"""Tokens: one that is signed, for us, and in time identifies its principal. Every other must not get in."""

from __future__ import annotations

import base64
import json
import threading
import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import StrongroomError, UsageError
from strongroom.identity import Issuer, NotIdentified, Tokens
from strongroom.identity._jose import MAX_TOKEN_BYTES
from strongroom.identity._jose import Token as Parsed

from .jws import SigningKey, b64, ec_key, ed_key, hmac_key, jwks, raw_token, rsa_key, token

URL = "https://issuer.example"
NOW_SECONDS = 1_793_500_000
NOW = NOW_SECONDS * 1_000_000
KEY = ec_key()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ISSUER = Issuer(issuer=URL, audiences=["strongroom"], prefix="ci:", keys=jwks(KEY.named("k1")))


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a good token; `None` leaves one out."""
    good = {"iss": URL, "aud": "strongroom", "sub": "train", "iat": NOW_SECONDS - 10, "exp": NOW_SECONDS + 300}
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def issuer(**changed: Any) -> Issuer:
    return msgspec.structs.replace(ISSUER, **changed)


def reason(text: str, settings: Issuer | Tokens = ISSUER, now: int = NOW) -> str:
    tokens = settings if isinstance(settings, Tokens) else Tokens([settings])
    with pytest.raises(NotIdentified) as refused:
        tokens.verify(text, now=now)
    # Neither the message nor what Python chains to it quotes anything that was shown.
    assert str(refused.value) == f"the credential is not accepted: {refused.value.reason}"
    assert refused.value.method == "jwt"
    assert refused.value.__cause__ is None
    return refused.value.reason


def test_a_good_token_identifies_its_principal_until_it_expires() -> None:
    text = token(KEY, claims())
    who = Tokens([ISSUER]).verify(text, now=NOW)
    assert (who.principal, who.method, who.issuer) == ("ci:train", "jwt", URL)
    assert who.expires == (NOW_SECONDS + 300 + 30) * 1_000_000
    assert who.credential.startswith("sha256:")
    assert text.split(".")[2] not in repr(who)


@pytest.mark.parametrize(
    ("algorithm", "make"),
    [
        *[(f"{family}{bits}", rsa_key) for family in ("RS", "PS") for bits in (256, 384, 512)],
        ("ES256", ec_key),
        ("ES384", lambda: ec_key(384)),
        ("ES512", lambda: ec_key(521)),
        ("EdDSA", ed_key),
        ("Ed25519", ed_key),
    ],
)
def test_each_algorithm_verifies_its_own_signatures_only(algorithm: str, make: Callable[[], SigningKey]) -> None:
    key = make()
    settings = issuer(keys=jwks(key.named("k1"), ec_key(secret=99).named("other")), algorithms=[algorithm])
    text = token(key, claims(), algorithm)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Tokens([settings]).verify(text, now=NOW).principal == "ci:train"
    head, payload, signature = text.split(".")
    last = "A" if signature[5] != "A" else "B"
    assert reason(f"{head}.{payload}.{signature[:5]}{last}{signature[6:]}", settings) == "signature"
    assert reason(f"{head}.{b64(json.dumps(claims(sub='root')).encode())}.{signature}", settings) == "signature"
    for cut in (signature[:-4], signature[:4], signature * 2):
        assert reason(f"{head}.{payload}.{cut}", settings) in ("signature", "malformed")


def test_a_signature_of_zeros_is_refused() -> None:
    head, payload, _ = token(KEY, claims()).split(".")
    assert reason(f"{head}.{payload}.{b64(bytes(64))}") == "signature"
    for r, s in ((ORDER, ORDER), (0, 1), (1, 0), (ORDER, 1)):
        assert reason(f"{head}.{payload}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}") == "signature"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS1", "ES256K", "dir"])
def test_no_signature_and_no_shared_secret_is_accepted(name: str) -> None:
    header = json.dumps({"alg": name, "kid": "k1"}).encode()
    payload = json.dumps(claims()).encode()
    assert reason(f"{b64(header)}.{b64(payload)}.") == "malformed"
    assert reason(raw_token(header, payload, lambda _: b"x")) == "algorithm"
    assert reason(raw_token(header, payload, lambda data: KEY.sign("ES256", data))) == "algorithm"


def test_a_public_key_is_never_a_shared_secret() -> None:
    key = rsa_key()
    settings = issuer(keys=jwks(key.named("k1")))
    for secret in (key.pem, key.pem.strip(), json.dumps(key.jwk).encode(), key.jwk["n"].encode()):
        for algorithm in ("HS256", "HS384", "HS512"):
            assert reason(token(hmac_key(secret), claims(), algorithm), settings) == "algorithm"
    with pytest.raises(UsageError, match="'HS256' is no algorithm that is accepted"):
        Tokens([issuer(algorithms=["RS256", "HS256"])])
    with pytest.raises(UsageError, match="private key or a shared secret"):
        Tokens([issuer(keys=jwks(KEY.named("k1"), hmac_key(b"x" * 32).named("k2")))])


def test_an_algorithm_that_the_issuer_does_not_use_is_refused() -> None:
    assert reason(token(KEY, claims()), issuer(algorithms=["ES384"])) == "algorithm"


def test_a_key_is_used_with_its_own_algorithms_only() -> None:
    settings = issuer(keys=jwks(rsa_key().named("k1", alg="RS256"), ec_key(384).named("k2")))
    assert reason(token(rsa_key(), claims(), "PS256"), settings) == "key-unknown"
    assert reason(token(ec_key(384), claims(), "ES256", kid="k2"), settings) == "key-unknown"
    assert reason(token(KEY, claims(), "ES256", kid="k1"), settings) == "key-unknown"


@pytest.mark.parametrize(
    "kid",
    [
        "k2", "K1", "k1 ", "../../../dev/null", "/dev/null", "/proc/self/environ", "k1\x00", "k1' OR '1'='1",
        "x' UNION SELECT 'key' --", "https://evil.example/keys.json", "file:///etc/passwd", "$(id)", "*", "%00",
    ],
)  # fmt: skip
def test_a_key_id_is_only_compared(kid: str) -> None:
    evil = ec_key(secret=666)
    assert reason(token(evil, claims(), kid=kid)) in ("key-unknown", "header")
    # An empty file as a key of zero bytes is what a path such as /dev/null is for.
    assert reason(token(hmac_key(b""), claims(), "HS256", kid=kid)) in ("algorithm", "header")


@pytest.mark.parametrize("kid", ["", 1, ["k1"], {"k1": 1}, True, "k" * 257, "a\nb"])
def test_a_key_id_that_is_no_name_is_refused(kid: Any) -> None:
    header = json.dumps({"alg": "ES256", "kid": kid}).encode()
    text = raw_token(header, json.dumps(claims()).encode(), lambda data: KEY.sign("ES256", data))
    assert reason(text) == "header"


def test_without_a_key_id_the_only_key_that_fits_is_taken_and_none_of_several() -> None:
    text = token(KEY, claims(), kid=None)
    assert Tokens([ISSUER]).verify(text, now=NOW)
    assert Tokens([issuer(keys=jwks(KEY.jwk, ed_key().named("k2")))]).verify(text, now=NOW)
    assert reason(text, issuer(keys=jwks(KEY.named("k1"), ec_key(secret=2).named("k2")))) == "key-unknown"
    both = issuer(keys=jwks(KEY.named("k1"), ec_key(secret=2).named("k1")))
    assert reason(token(KEY, claims()), both) == "key-unknown"


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/x5"}, {"x5c": ["MII"]}, {"jwk": {}},
        {"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": False, "crit": ["b64"]}, {"zip": "DEF"},
        {"enc": "A256GCM"}, {"cty": "JWT"}, {"cty": "jwt"}, {"typ": "dpop+jwt"}, {"typ": "logout+jwt"}, {"typ": "JWE"},
        {"typ": None}, {"typ": 1}, {"typ": "secevent+jwt"}, {"epk": {}},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_headers_that_bring_their_own_key_or_another_meaning_are_refused(header: dict[str, Any]) -> None:
    evil = ec_key(secret=666)
    if "jwk" in header:
        header = {"jwk": evil.jwk}
    for key in (KEY, evil):
        assert reason(token(key, claims(), **header)) == "header"


def test_other_headers_are_passed_over() -> None:
    for header in ({"typ": "at+jwt"}, {"typ": "application/AT+JWT"}, {"x5t": "abc", "nonce": "n"}):
        assert Tokens([ISSUER]).verify(token(KEY, claims(), **header), now=NOW).principal == "ci:train"


def test_nested_and_encrypted_tokens_are_refused() -> None:
    inner = token(KEY, claims())
    nested = raw_token(b'{"alg":"ES256","kid":"k1"}', inner.encode(), lambda data: KEY.sign("ES256", data))
    assert reason(nested) == "malformed"
    assert (
        reason(".".join([b64(b'{"alg":"dir","enc":"A256GCM"}'), "", b64(b"iv"), b64(b"text"), b64(b"tag")]))
        == "malformed"
    )


def signed(payload: bytes, header: bytes = b'{"alg":"ES256","kid":"k1"}') -> str:
    return raw_token(header, payload, lambda data: KEY.sign("ES256", data))


def test_a_json_name_that_stands_twice_is_refused_also_in_what_is_signed() -> None:
    good = json.dumps(claims())[1:-1]
    for payload in (
        f'{{{good},"sub":"root"}}',
        f'{{"sub":"root",{good}}}',
        f'{{{good},"s\\u0075b":"root"}}',
        f'{{{good},"x":{{"a":1,"a":2}}}}',
        f'{{{good},"iss":"https://other.example"}}',
    ):
        assert reason(signed(payload.encode())) == "malformed"
    for header in (b'{"alg":"ES256","kid":"k1","alg":"none"}', b'{"alg":"none","alg":"ES256","kid":"k1"}'):
        assert reason(signed(json.dumps(claims()).encode(), header)) == "malformed"
    assert Tokens([ISSUER]).verify(signed(f"{{{good}}}".encode()), now=NOW)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"null", b"[]", b'"x"', b"{", b"{}x", b"\xff\xfe", b'{"a":"\xff"}', b'\xef\xbb\xbf{}', b'{"exp":NaN}',
        b'{"exp":Infinity}', b"{'a':1}", b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"}",
        b'{"a":"]]]]","b":' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}", b'{"a":' + b"9" * 5000 + b"}",
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_no_json_object_is_refused(payload: bytes) -> None:
    assert reason(signed(payload)) in ("malformed", "issuer")
    assert reason(signed(payload, payload)) in ("malformed", "algorithm")


def test_a_token_has_one_form() -> None:
    """What is not canonical could be read otherwise by another reader of the same token."""
    good = token(KEY, claims())
    head, payload, signature = good.split(".")
    assert len(signature) % 4  # so its last character has bits that are left over
    spare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    sibling = spare[spare.index(signature[-1]) ^ 1]
    for text in (
        good + "=", good + "\n", " " + good, "Bearer " + good, good + ".", f"{head}.{payload}", f"{head}.{payload}.",
        f".{payload}.{signature}", f"{head}..{signature}", f"{head}.{payload}.{signature[:-1]}{sibling}",
        f"{head}.{payload}.{signature[:9]} {signature[9:]}", good.replace("-", "+"), good.replace("_", "/"), good + "é",
        json.dumps({"protected": head, "payload": payload, "signature": signature}), "\ud800", "",
    ):  # fmt: skip
        if text != good:
            assert reason(text) == "malformed"


def test_a_signature_that_was_written_anew_is_no_other_credential() -> None:
    """Who has a signature of ECDSA can write a second one over the same: its s is negated."""
    tokens, text = Tokens([ISSUER]), token(KEY, claims())
    head, payload, signature = text.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    again = f"{head}.{payload}.{b64(raw[:32] + (ORDER - int.from_bytes(raw[32:], 'big')).to_bytes(32, 'big'))}"
    assert again != text
    assert tokens.verify(again, now=NOW) == tokens.verify(text, now=NOW)


def test_a_huge_token_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Parsed, "parse", lambda *_: pytest.fail("it was read"))
    assert reason("a" * (MAX_TOKEN_BYTES + 1)) == "too-large"


@given(st.text(max_size=50) | st.text("abcAB01-_.=", max_size=80))
def test_hostile_text_is_refused_and_never_crashes(text: str) -> None:
    assert reason(text, Tokens([ISSUER])) in ("malformed", "algorithm", "header")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "cnf"]), json_values)
def test_a_signed_claim_of_any_value_is_refused_or_means_what_it_must(name: str, value: Any) -> None:
    try:
        who = Tokens([ISSUER]).verify(signed(json.dumps({**claims(), name: value}).encode()), now=NOW)
    except NotIdentified:
        return
    # What may vary within an accepted token, and no more than so.
    assert name in ("nbf", "iat", "sub", "exp") or (name == "aud" and "strongroom" in value)
    assert who.expires is not None
    assert who.expires > NOW
    assert who.principal.startswith("ci:")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"aud": "other"}, "audience"), ({"aud": None}, "audience"), ({"aud": []}, "audience"),
        ({"aud": ["other"]}, "audience"), ({"aud": "strongroom2"}, "audience"), ({"aud": "Strongroom"}, "audience"),
        ({"aud": "strong"}, "audience"), ({"aud": " strongroom"}, "audience"), ({"aud": {"strongroom": 1}}, "audience"),
        ({"aud": ["strongroom", 1]}, "audience"), ({"aud": [["strongroom"]]}, "audience"), ({"aud": "*"}, "audience"),
        ({"aud": ["strongroom"] * 17}, "audience"),
        ({"exp": None}, "claims"), ({"exp": "1893456000"}, "claims"), ({"exp": True}, "claims"),
        ({"exp": [NOW_SECONDS + 9]}, "claims"), ({"exp": -1}, "claims"), ({"exp": 1e300}, "claims"),
        ({"exp": NOW_SECONDS - 30}, "expired"), ({"exp": 0}, "expired"),
        ({"nbf": NOW_SECONDS + 31}, "not-yet-valid"), ({"iat": NOW_SECONDS + 31}, "not-yet-valid"),
        ({"nbf": "soon"}, "claims"), ({"iat": {}}, "claims"),
        ({"exp": NOW_SECONDS + 86_401}, "lifetime"), ({"exp": NOW_SECONDS + 86_401, "iat": None}, "lifetime"),
        ({"exp": NOW_SECONDS + 10, "iat": NOW_SECONDS - 86_400}, "lifetime"),
        ({"iss": None}, "issuer"), ({"iss": f"{URL}/"}, "issuer"), ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": [URL]}, "issuer"), ({"iss": {}}, "issuer"), ({"iss": URL.upper()}, "issuer"),
        ({"sub": None}, "claims"), ({"sub": ""}, "claims"), ({"sub": 7}, "claims"), ({"sub": ["train"]}, "claims"),
        ({"sub": "a b"}, "principal"), ({"sub": "*"}, "principal"), ({"sub": "a/../b"}, "principal"),
        ({"sub": "a\n"}, "principal"), ({"sub": "\u202eroot"}, "principal"), ({"sub": "x" * 300}, "principal"),
        ({"sub": "\ud800"}, "principal"),
        ({"cnf": {"jkt": "x"}}, "bound"), ({"cnf": {"x5t#S256": "x"}}, "bound"),
    ],
    ids=str,
)  # fmt: skip
def test_claims_that_are_missing_wrong_or_for_somebody_else_are_refused(changed: dict[str, Any], expected: str) -> None:
    payload = {**claims(), **changed}
    payload = {name: value for name, value in payload.items() if value is not None}
    assert reason(token(KEY, payload)) == expected


def test_times_are_compared_with_the_leeway_and_no_more() -> None:
    for changed in (
        {"exp": NOW_SECONDS - 29}, {"nbf": NOW_SECONDS + 30}, {"iat": NOW_SECONDS + 30}, {"exp": NOW_SECONDS + 0.5},
        {"exp": NOW_SECONDS + 86_390}, {"iat": None}, {"aud": ["a", "strongroom"]},
    ):  # fmt: skip
        assert Tokens([ISSUER]).verify(token(KEY, claims(**changed)), now=NOW).principal == "ci:train"
    strict = issuer(leeway_seconds=0)
    assert reason(token(KEY, claims(exp=NOW_SECONDS)), strict) == "expired"
    assert reason(token(KEY, claims(iat=NOW_SECONDS + 1)), strict) == "not-yet-valid"


def test_age_has_a_limit_where_one_is_set_and_a_token_is_not_accepted_beyond_it() -> None:
    aged = issuer(max_age_seconds=60, leeway_seconds=0)
    assert reason(token(KEY, claims(iat=None)), aged) == "claims"
    assert reason(token(KEY, claims(iat=NOW_SECONDS - 60)), aged) == "lifetime"
    tokens, text = Tokens([aged]), token(KEY, claims(iat=NOW_SECONDS - 10))
    assert tokens.verify(text, now=NOW).expires == (NOW_SECONDS + 50) * 1_000_000
    assert reason(text, tokens, NOW + 50_000_000) == "lifetime"


def test_a_token_of_another_issuer_with_the_same_key_id_does_not_pass() -> None:
    other, theirs = "https://other.example", ec_key(secret=4)
    tokens = Tokens([ISSUER, issuer(issuer=other, prefix="other:", keys=jwks(theirs.named("k1")))])
    assert tokens.verify(token(theirs, claims(iss=other)), now=NOW).principal == "other:train"
    assert tokens.verify(token(KEY, claims()), now=NOW).principal == "ci:train"
    assert reason(token(theirs, claims()), tokens) == "signature"
    assert reason(token(KEY, claims(iss=other)), tokens) == "signature"


def test_who_is_named_is_what_the_settings_permit() -> None:
    mail = issuer(claim="email", prefix="", ends="@acme.example")
    good = claims(email="ada@acme.example", email_verified=True)
    assert Tokens([mail]).verify(token(KEY, good), now=NOW).principal == "ada@acme.example"
    for verified in (False, None, "true", 1):
        assert reason(token(KEY, {**good, "email_verified": verified}), mail) == "claims"
    for other in ("ada@evil.example", "ada@acme.example.evil.example", "ada@ACME.example", "ada@acme.example "):
        assert reason(token(KEY, {**good, "email": other}), mail) == "principal"
    workloads = issuer(prefix="", begins="spiffe://acme.example/")
    assert Tokens([workloads]).verify(token(KEY, claims(sub="spiffe://acme.example/a")), now=NOW)
    assert reason(token(KEY, claims(sub="spiffe://other.example/a")), workloads) == "principal"
    mapped = issuer(prefix="", mapping={"train": "trainer@acme.example"})
    assert Tokens([mapped]).verify(token(KEY, claims()), now=NOW).principal == "trainer@acme.example"
    assert reason(token(KEY, claims(sub="trainer@acme.example")), mapped) == "principal"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prefix": ""}, "could name any principal"), ({"prefix": "a b"}, "cannot name a principal"),
        ({"mapping": {"a": "b c"}, "prefix": ""}, "cannot name a principal"), ({"mapping": {"a": "b"}}, "no prefix"), ({"audiences": []}, "made for somebody"),
        ({"audiences": [""]}, "made for somebody"), ({"algorithms": []}, "no algorithm"),
        ({"algorithms": ["none"]}, "'none' is no algorithm"), ({"issuer": "http://issuer.example"}, "no https URL"),
        ({"issuer": "file:///etc"}, "no https URL"), ({"issuer": "https://u:p@issuer.example"}, "more than host and path"),
        ({"issuer": "https://issuer.example?x"}, "more than host and path"), ({"issuer": "https://[x"}, "cannot be read"),
        ({"leeway_seconds": 301}, "leeway"), ({"leeway_seconds": -1}, "leeway"),
        ({"max_lifetime_seconds": 0}, "longer than nothing"), ({"max_age_seconds": 0}, "longer than nothing"),
        ({"refresh_seconds": 10}, "follow each other"), ({"keys": "{}"}, "no JWKS"), ({"keys": "x"}, "no JWKS"),
        ({"keys": '{"keys":[]}'}, "no key that can be used"),
        ({"keys": jwks(KEY.named("k1"), KEY.named("k2", d="AAAA"))}, "private key"),
        ({"keys": ""}, "fetching them is not permitted here"),
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_would_let_too_much_in_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Tokens([issuer(**changed)])


def test_two_settings_for_one_issuer_are_refused() -> None:
    with pytest.raises(UsageError, match="stands there twice"):
        Tokens([ISSUER, ISSUER])


class TestRemembered:
    @pytest.fixture
    def verified(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What had its signature checked."""
        from strongroom.identity._key_sets import KeySet

        seen: list[str] = []
        check = KeySet.verify
        monkeypatch.setattr(KeySet, "verify", lambda self, token: (seen.append(token.digest), check(self, token)))
        return seen

    def test_a_token_is_checked_once_and_never_accepted_after_it_expired(self, verified: list[str]) -> None:
        tokens, text = Tokens([ISSUER]), token(KEY, claims())
        first = tokens.verify(text, now=NOW)
        assert tokens.verify(text, now=NOW + 1) == first
        assert len(verified) == 1
        assert reason(text, tokens, now=NOW - 3_600_000_000) == "not-yet-valid"
        assert tokens.verify(text, now=NOW + 1) == first
        assert reason(text, tokens, now=first.expires or 0) == "expired"

    def test_no_more_are_remembered_than_the_limit_and_nothing_that_was_refused(self, verified: list[str]) -> None:
        tokens = Tokens([ISSUER], remember=2)
        texts = [token(KEY, claims(jti=str(at))) for at in range(3)]
        for text in [*texts, texts[0]]:
            tokens.verify(text, now=NOW)
        assert len(verified) == 4
        assert len(tokens._remembered) == 2
        assert reason(token(ec_key(secret=5), claims()), tokens) == "signature"
        assert len(tokens._remembered) == 2

    def test_many_threads_get_one_answer(self) -> None:
        tokens, found = Tokens([ISSUER], remember=3), []
        texts = [token(KEY, claims(sub=f"s{at}")) for at in range(8)]

        def work() -> None:
            found.extend(tokens.verify(text, now=NOW).principal for text in texts)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == sorted([f"ci:s{at}" for at in range(8)] * 4)


def test_what_is_remembered_ends_with_the_keys_of_its_issuer() -> None:
    served = {"keys": jwks(KEY.named("k1"))}

    def fetch(url: str) -> bytes:
        if url.endswith("openid-configuration"):
            return json.dumps({"issuer": URL, "jwks_uri": f"{URL}/jwks"}).encode()
        if not served["keys"]:
            raise StrongroomError("down")
        return served["keys"].encode()

    tokens = Tokens([issuer(keys="")], fetch=fetch)
    text = token(KEY, claims(exp=NOW_SECONDS + 80_000))
    hour = 3_600_000_000
    assert tokens.verify(text, now=NOW)
    served["keys"] = ""  # it does not answer: its keys still count for a while
    assert tokens.verify(text, now=NOW + hour)
    assert "down" in tokens.failures()[URL]
    served["keys"] = jwks(ec_key(secret=8).named("k1"))  # it took the key back
    assert reason(text, tokens, NOW + 2 * hour) == "signature"
    served["keys"] = jwks()
    assert reason(text, tokens, NOW + 3 * hour) == "key-unknown"
    assert tokens.failures() == {}

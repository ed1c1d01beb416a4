"""X.509-SVIDs: a workload is known by a certificate of its own trust domain's authority, and by nothing that looks like one."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import UsageError
from strongroom.identity import NotIdentified, SpiffeId, TrustBundles, verify_svid
from strongroom.identity._spiffe import MAX_CHAIN, MAX_CHAIN_BYTES

from .svids import NOW_US, START, Made, authority, make, workload

ROOT = authority()
OTHER_ROOT = authority("other.example")
BUNDLES = TrustBundles({"acme.example": ROOT.pem, "other.example": OTHER_ROOT.pem})
ID = "spiffe://acme.example/train"


def reason(*chain: Made | bytes, bundles: TrustBundles = BUNDLES, now: int = NOW_US) -> str:
    with pytest.raises(NotIdentified) as refused:
        verify_svid([one if isinstance(one, bytes) else one.der for one in chain], bundles, now=now)
    assert str(refused.value) == f"the credential is not accepted: {refused.value.reason}"
    assert refused.value.method == "mtls"
    assert refused.value.__cause__ is None
    return refused.value.reason


def test_a_workload_is_identified_by_its_spiffe_id_until_its_certificate_ends() -> None:
    leaf = workload(ROOT)
    who = verify_svid([leaf.der], BUNDLES, now=NOW_US)
    assert (who.principal, who.method, who.issuer) == (ID, "mtls", "acme.example")
    assert who.credential == "sha256:" + hashlib.sha256(leaf.certificate.tbs_certificate_bytes).hexdigest()
    assert who.expires == int((START + timedelta(hours=1)).timestamp()) * 1_000_000


def test_intermediates_are_followed_in_any_order_and_what_ends_first_counts() -> None:
    first = authority(signer=ROOT, subject="first")
    second = authority(signer=first, subject="second", lasts=timedelta(minutes=40))
    leaf = workload(second)
    for between in ([second, first], [first, second]):
        who = verify_svid([one.der for one in (leaf, *between)], BUNDLES, now=NOW_US)
        assert who.expires == int((START + timedelta(minutes=40)).timestamp()) * 1_000_000
    assert reason(leaf, second) == "chain"


@pytest.mark.parametrize(
    "make_leaf",
    [
        lambda: workload(ROOT, usage=("digital_signature", "key_encipherment", "key_agreement")),
        lambda: workload(ROOT, ca=None),
        lambda: workload(ROOT, purposes=None),
        lambda: workload(ROOT, names=[x509.DNSName("train.acme.example")]),
        lambda: workload(ROOT, key=rsa.generate_private_key(65537, 2048)),
        lambda: workload(ROOT, key=ec.generate_private_key(ec.SECP384R1())),
        lambda: workload(ROOT, key=ed25519.Ed25519PrivateKey.generate()),
    ],
)
def test_what_the_specification_leaves_open_is_accepted(make_leaf: Callable[[], Made]) -> None:
    assert verify_svid([make_leaf().der], BUNDLES, now=NOW_US).principal == ID


def test_authorities_need_no_spiffe_id() -> None:
    root = authority(uris=())
    between = authority(uris=(), signer=root)
    chain = [workload(between).der, between.der]
    assert verify_svid(chain, TrustBundles({"acme.example": root.pem}), now=NOW_US).principal == ID


CONSTRAINTS: dict[str, Callable[[], Made]] = {
    "no URI": lambda: make(ROOT, names=[x509.DNSName("acme.example")]),
    "no names": lambda: make(ROOT),
    "two URIs": lambda: make(ROOT, uris=[ID, "spiffe://acme.example/root"]),
    "the same URI twice": lambda: make(ROOT, uris=[ID, ID]),
    "another URI beside it": lambda: make(ROOT, uris=[ID, "https://acme.example/"]),
    "authority": lambda: workload(ROOT, ca=True, usage=("digital_signature", "key_cert_sign")),
    "authority that may not sign": lambda: workload(ROOT, ca=True),
    "signs certificates": lambda: workload(ROOT, usage=("digital_signature", "key_cert_sign")),
    "signs lists": lambda: workload(ROOT, usage=("digital_signature", "crl_sign")),
    "does not sign": lambda: workload(ROOT, usage=("key_encipherment",)),
    "no usage": lambda: workload(ROOT, usage=None),
    "usage is not critical": lambda: workload(ROOT, usage_critical=False),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_leaf_is_no_authority_signs_and_names_exactly_one_workload(name: str) -> None:
    assert reason(CONSTRAINTS[name]()) == "constraints"


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://acme.example", "spiffe://acme.example/", "spiffe://acme.example/train/", "spiffe://acme.example//train",
        "spiffe://acme.example/a/../b", "spiffe://acme.example/./b", "spiffe://acme.example/train?x=1",
        "spiffe://acme.example/train#x", "spiffe://acme.example:443/train", "spiffe://root@acme.example/train",
        "spiffe://acme.example/tr%61in", "spiffe://acme.example/%2e%2e/x", "spiffe://ACME.example/train", "spiffe:///train",
        "SPIFFE://acme.example/train", "https://acme.example/train", "spiffe:acme.example/train", "spiffe://acme.example/a b",
        "spiffe://acme.example\\@other.example/train", "spiffe://acme.example/tr\x00in", "spiffe://acme.example/train\n",
        f"spiffe://{'a' * 256}/x", f"spiffe://acme.example/{'a' * 2048}", "", "spiffe://acme.example/*",
    ],
)  # fmt: skip
def test_what_is_no_spiffe_id_of_a_workload_is_refused(uri: str) -> None:
    assert reason(make(ROOT, uris=[uri])) == "principal"
    if uri != "spiffe://acme.example":
        with pytest.raises(ValueError, match=r"SPIFFE|segment"):
            SpiffeId.parse(uri)


def test_a_spiffe_id_that_cannot_name_a_principal_is_refused() -> None:
    """A site's names have 255 characters at most, and end with a letter or a digit."""
    for id in (f"spiffe://acme.example/{'a' * 240}", "spiffe://acme.example/train-", "spiffe://-acme/."):
        assert reason(make(ROOT, uris=[id])) in ("principal", "issuer")
    assert verify_svid([workload(ROOT, f"spiffe://acme.example/{'a' * 233}").der], BUNDLES, now=NOW_US)


@given(st.from_regex(r"spiffe://[a-z0-9._-]{1,20}(/[A-Za-z0-9._-]{1,8}){0,4}", fullmatch=True))
def test_spiffe_ids_round_trip(text: str) -> None:
    try:
        id = SpiffeId.parse(text)
    except ValueError:
        assert {".", ".."} & set(text.removeprefix("spiffe://").split("/")[1:])
        return
    assert str(id) == text
    assert f"spiffe://{id.trust_domain}{id.path}" == text


@given(st.text(max_size=40).map(lambda rest: f"spiffe://a{rest}"))
def test_hostile_ids_are_refused_and_never_crash(text: str) -> None:
    try:
        id = SpiffeId.parse(text)
    except ValueError:
        return
    assert not set(text.removeprefix("spiffe:")) & set("%?#@: \\\n\0")
    assert str(id) == text


def test_the_authority_of_one_trust_domain_names_no_workload_of_another() -> None:
    assert reason(workload(OTHER_ROOT, ID)) == "chain"
    assert reason(workload(ROOT, "spiffe://other.example/train")) == "chain"
    assert reason(workload(ROOT, "spiffe://acme.example.evil.example/train")) == "issuer"
    assert reason(workload(ROOT), bundles=TrustBundles({"other.example": ROOT_WITHOUT_ID.pem})) == "issuer"
    # Nor where the root of its own trust domain signed an intermediate that says it is the other's.
    between = authority("other.example", signer=ROOT)
    assert reason(workload(between, ID), between) == "chain"
    between = authority(uris=["spiffe://acme.example/train"], signer=ROOT)
    assert reason(workload(between, ID), between) == "chain"


ROOT_WITHOUT_ID = authority(uris=())


def test_a_chain_that_does_not_lead_to_the_bundle_is_refused() -> None:
    impostor = authority()  # the same names, another key
    assert reason(workload(impostor)) == "chain"
    assert reason(workload(impostor), impostor) == "chain"
    assert reason(make(uris=[ID])) == "chain"  # signed by itself
    not_signed_by_root = workload(ROOT, signing_key=impostor.key)
    assert reason(not_signed_by_root) == "chain"
    tampered = bytearray(workload(ROOT).der)
    tampered[-1] ^= 1
    assert reason(bytes(tampered)) in ("chain", "malformed")


def test_a_workload_cannot_sign_for_another() -> None:
    leaf = workload(ROOT)
    assert reason(workload(leaf, "spiffe://acme.example/root"), leaf) == "chain"
    weak = authority(signer=ROOT, key=rsa.generate_private_key(65537, 1024))
    assert reason(workload(weak), weak) == "chain"
    no_sign = authority(signer=ROOT, usage=("crl_sign",))
    assert reason(workload(no_sign), no_sign) == "chain"
    short = authority(signer=ROOT, path_length=0, subject="short")
    below = authority(signer=short, subject="below")
    assert reason(workload(below), below, short) == "chain"


def test_certificates_are_accepted_within_their_time_only() -> None:
    leaf, hour = workload(ROOT), 3_600_000_000
    begins = int(START.timestamp()) * 1_000_000
    assert verify_svid([leaf.der], BUNDLES, now=begins)
    assert reason(leaf, now=begins - 1) == "not-yet-valid"
    assert verify_svid([leaf.der], BUNDLES, now=begins + hour - 1_000_000)
    assert reason(leaf, now=begins + hour) == "expired"
    old = authority(signer=ROOT, begins=datetime(2026, 1, 1, tzinfo=UTC))
    assert reason(workload(old), old) == "chain"
    old_root = authority(begins=datetime(2026, 1, 1, tzinfo=UTC))
    assert reason(workload(old_root), bundles=TrustBundles({"acme.example": old_root.pem})) == "chain"


@pytest.mark.parametrize(
    "make_leaf",
    [
        lambda: workload(ROOT, purposes=[ExtendedKeyUsageOID.SERVER_AUTH]),
        lambda: workload(ROOT, purposes=[ExtendedKeyUsageOID.CODE_SIGNING]),
        lambda: workload(ROOT, key=rsa.generate_private_key(65537, 1024)),
        lambda: workload(ROOT, key=ec.generate_private_key(ec.SECP224R1())),
        lambda: workload(ROOT, key=ec.generate_private_key(ec.SECP256K1())),
        lambda: workload(ROOT, key=ed448.Ed448PrivateKey.generate()),
        lambda: workload(ROOT, more=[(x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\5\0"), True)]),
    ],
    ids=["server only", "code signing", "RSA 1024", "P-224", "secp256k1", "Ed448", "unknown and critical"],
)
def test_weak_keys_other_purposes_and_unknown_critical_extensions_are_refused(make_leaf: Callable[[], Made]) -> None:
    assert reason(make_leaf()) == "chain"


def test_name_constraints_on_an_intermediate_never_let_more_in() -> None:
    for permitted in ([x509.UniformResourceIdentifier("other.example")], [x509.DNSName("other.example")]):
        between = authority(signer=ROOT, more=[(x509.NameConstraints(permitted, None), True)])
        leaf = workload(between, names=[x509.DNSName("train.acme.example")])
        assert reason(leaf, between) == "chain"


def test_sizes_have_limits_and_damaged_certificates_are_refused() -> None:
    leaf = workload(ROOT)
    assert reason(*[leaf] * (MAX_CHAIN + 1)) == "too-large"
    assert reason(leaf, bytes(MAX_CHAIN_BYTES)) == "too-large"
    for damaged in (b"", b"\x30", leaf.der[:-1], leaf.der + b"\0", leaf.pem, b"\x30\x80" + leaf.der):
        assert reason(damaged) == "malformed"
    assert reason() == "malformed"
    assert reason(leaf, b"junk") == "malformed"


LEAF = workload(ROOT)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@given(st.integers(0, len(LEAF.der) - 1), st.integers(1, 255))
def test_no_changed_byte_of_a_certificate_makes_another_identity(at: int, mask: int) -> None:
    changed = bytearray(LEAF.der)
    changed[at] ^= mask
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cryptography says of a serial number below zero
        try:
            who = verify_svid([bytes(changed)], BUNDLES, now=NOW_US)
        except NotIdentified:
            return
        # How many bits of a signature's last byte are unused is not signed.
        assert who == verify_svid([LEAF.der], BUNDLES, now=NOW_US)


def test_a_version_that_does_not_exist_is_refused_and_does_not_crash() -> None:
    """cryptography's InvalidVersion is no ValueError."""
    changed = LEAF.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03", 1)
    assert changed != LEAF.der
    assert reason(changed) == "malformed"


def test_a_signature_that_was_written_anew_is_no_other_credential() -> None:
    """Who has a signature of ECDSA can write a second one over the same: its s is negated."""
    certificate = LEAF.certificate
    r, s = decode_dss_signature(certificate.signature)
    again = encode_dss_signature(r, ORDER - s)
    tbs = certificate.tbs_certificate_bytes
    algorithm = LEAF.der[4 + len(tbs) :][:12]
    body = tbs + algorithm + b"\x03" + bytes([len(again) + 1]) + b"\0" + again
    der = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    assert der != LEAF.der
    assert verify_svid([der], BUNDLES, now=NOW_US) == verify_svid([LEAF.der], BUNDLES, now=NOW_US)


@pytest.mark.parametrize(
    ("name", "pem"),
    [
        ("acme.example", b""), ("acme.example", b"x"), ("acme.example", workload(ROOT).pem),
        ("acme.example", OTHER_ROOT.pem), ("acme.example/path", ROOT.pem), ("ACME.example", ROOT.pem), ("", ROOT.pem),
        ("a b", ROOT.pem), ("acme.example", authority(uris=["spiffe://acme.example/x"]).pem),
        ("acme.example", ROOT.pem + make(uris=()).pem),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_bundle_has_authorities_of_its_trust_domain_only(name: str, pem: bytes) -> None:
    with pytest.raises(UsageError, match="no trust bundle"):
        TrustBundles({name: pem})


def test_a_bundle_may_have_several_roots_as_it_has_while_one_replaces_another() -> None:
    new = authority(subject="new root")
    both = TrustBundles({"acme.example": ROOT.pem + new.pem})
    for root in (ROOT, new):
        assert verify_svid([workload(root).der], both, now=NOW_US).principal == ID
    assert reason(workload(ROOT), bundles=TrustBundles({"acme.example": new.pem})) == "chain"

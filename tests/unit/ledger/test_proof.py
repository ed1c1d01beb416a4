"""tlog-proofs: checked offline against the log's key, and refused for anything else than the entry they are for."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import IntegrityError
from strongroom.ledger._checkpoint import Checkpoint
from strongroom.ledger._merkle import MAX_SIZE, inclusion_proof, leaf_hashes, nodes_of, root_of
from strongroom.ledger._notes import COSIGNATURE, Note, SigningKey, sign_note
from strongroom.ledger._proof import MAX_EXTRA_BYTES, MAX_PROOF_BYTES, InclusionProof, check_proof, parse_proof

LOG = SigningKey("log.example/a", bytes(32))
OTHER = SigningKey("log.example/b", bytes(31) + b"\1")
WITNESS = SigningKey("witness.example/w", bytes(31) + b"\2", COSIGNATURE)
ENTRIES = [b"entry %d" % i for i in range(11)]
LEAVES = leaf_hashes(ENTRIES)
ROOT = root_of(LEAVES)
TEXT = Checkpoint("log.example/a", len(LEAVES), ROOT).text()
NOTE = sign_note(TEXT, [LOG])
HASHES = st.binary(min_size=32, max_size=32)


def proof_of(index: int, *, note: bytes = NOTE, extra: bytes = b"") -> InclusionProof:
    return InclusionProof(index, tuple(inclusion_proof(index, len(LEAVES), nodes_of(LEAVES))), note, extra)


@given(st.integers(0, MAX_SIZE), st.lists(HASHES, max_size=63), st.binary(max_size=100))
def test_proofs_round_trip(index: int, hashes: list[bytes], extra: bytes) -> None:
    proof = InclusionProof(index, tuple(hashes), NOTE, extra)
    assert parse_proof(proof.encode(), where="proof") == proof


def test_the_form_is_that_of_the_specification() -> None:
    hashes = b"".join(base64.b64encode(hash_) + b"\n" for hash_ in proof_of(3).hashes)
    assert proof_of(3, extra=b"hi").encode() == b"c2sp.org/tlog-proof@v1\nextra aGk=\nindex 3\n" + hashes + b"\n" + NOTE
    lonely = InclusionProof(0, (), NOTE).encode()
    assert lonely == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + NOTE


def test_every_entry_has_a_proof_that_checks_with_the_logs_key_alone() -> None:
    for index, entry in enumerate(ENTRIES):
        proof = parse_proof(proof_of(index).encode(), where="proof")
        signed = check_proof(proof, entry, [LOG.verifier], where="proof")
        assert (signed.checkpoint.size, signed.checkpoint.root, signed.key) == (len(LEAVES), ROOT, LOG.verifier)
    only = InclusionProof(0, (), sign_note(Checkpoint("log.example/a", 1, LEAVES[0]).text(), [LOG]))
    assert check_proof(only, ENTRIES[0], [LOG.verifier], where="proof").checkpoint.size == 1


def test_a_proof_checks_for_its_entry_index_log_and_key_alone() -> None:
    proof = proof_of(3)
    moved = InclusionProof(4, proof.hashes, NOTE)
    beyond = InclusionProof(len(LEAVES), proof.hashes, NOTE)
    longer = InclusionProof(3, (*proof.hashes, LEAVES[0]), NOTE)
    shorter = InclusionProof(3, proof.hashes[:-1], NOTE)
    another = proof_of(3, note=sign_note(Checkpoint("log.example/c", len(LEAVES), ROOT).text(), [LOG]))
    cases: list[tuple[InclusionProof, bytes, SigningKey, str]] = [
        (proof, ENTRIES[4], LOG, "does not lead to the root"),
        (proof, LEAVES[3], LOG, "does not lead to the root"),
        (moved, ENTRIES[3], LOG, "does not lead to the root"),
        (beyond, ENTRIES[3], LOG, "is not among the entries"),
        (longer, ENTRIES[3], LOG, "too long"),
        (shorter, ENTRIES[3], LOG, "too short"),
        (proof, ENTRIES[3], OTHER, "no signature is of a key that is trusted"),
        (another, ENTRIES[3], LOG, r"of the log 'log\.example/c'"),
    ]
    for wrong, entry, key, message in cases:
        with pytest.raises(IntegrityError, match=message) as caught:
            check_proof(wrong, entry, [key.verifier], where="here")
        assert caught.value.where == "here"
    with pytest.raises(IntegrityError, match="not of"):
        check_proof(proof, ENTRIES[3], [LOG.verifier], origin="log.example/c", where="here")
    with pytest.raises(IntegrityError, match="is wrong"):
        check_proof(proof_of(3, note=NOTE.replace(b"\n11\n", b"\n12\n")), ENTRIES[3], [LOG.verifier], where="here")


def test_a_witness_is_reported_and_does_not_stand_in_for_the_log() -> None:
    cosigned = proof_of(3, note=Note(TEXT, (LOG.sign_text(TEXT), WITNESS.cosign(TEXT, 60))).encode())
    signed = check_proof(cosigned, ENTRIES[3], [LOG.verifier], witnesses=[WITNESS.verifier], where="proof")
    assert signed.cosigned == {WITNESS.verifier: 60}
    alone = proof_of(3, note=Note(TEXT, (WITNESS.cosign(TEXT, 60),)).encode())
    with pytest.raises(IntegrityError, match="a witness signed, but the log did not"):
        check_proof(alone, ENTRIES[3], [LOG.verifier], witnesses=[WITNESS.verifier], where="proof")


def test_extra_data_proves_nothing_and_changes_nothing() -> None:
    proof = parse_proof(proof_of(3, extra=b"index 4\n\n").encode(), where="proof")
    assert proof.extra == b"index 4\n\n"
    check_proof(proof, ENTRIES[3], [LOG.verifier], where="proof")


GOOD = proof_of(3, extra=b"hi").encode()
HASH = base64.b64encode(LEAVES[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: b"\n\n" + data,
        lambda data: data.replace(b"@v1", b"@v2"),
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.partition(b"\n\n")[0] + b"\n",
        lambda data: data.replace(b"index 3\n", b""),
        lambda data: data.replace(b"index 3\n", b"index 03\n"),
        lambda data: data.replace(b"index 3\n", b"index -3\n"),
        lambda data: data.replace(b"index 3\n", b"index  3\n"),
        lambda data: data.replace(b"index 3\n", b"index 3 \n"),
        lambda data: data.replace(b"index 3\n", b"index\t3\n"),
        lambda data: data.replace(b"index 3\n", b"index 9223372036854775808\n"),
        lambda data: data.replace(b"index 3\n", b"index " + b"9" * 100_000 + b"\n"),
        lambda data: data.replace(b"index 3\n", b"index 3\nindex 3\n"),
        lambda data: data.replace(b"index 3\n", "index ³\n".encode()),
        lambda data: data.replace(b"index 3\n", b"index 3\n" + HASH[:-1] + b"\n"),
        lambda data: data.replace(b"index 3\n", b"index 3\n" + HASH + b" \n"),
        lambda data: data.replace(b"index 3\n", b"index 3\n" + (HASH + b"\n") * 64),
        lambda data: data.replace(b"extra aGk=\n", b"extra aGk\n"),
        lambda data: data.replace(b"extra aGk=\n", b"extra aGk=\nextra aGk=\n"),
        lambda data: data.replace(b"extra aGk=\n", b"extra\n"),
        lambda data: data.replace(b"extra aGk=\n", b"extra " + base64.b64encode(bytes(MAX_EXTRA_BYTES + 1)) + b"\n"),
        lambda data: data + b" " * MAX_PROOF_BYTES,
    ],
)
def test_what_is_no_proof_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(IntegrityError, match=r"\(here\)"):
        parse_proof(change(GOOD), where="here")


@pytest.mark.parametrize("extra", [b"extra \n", b"extra aGl=\n", b"extra aGkh====\n"])
def test_extra_data_has_one_way_to_be_written(extra: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_proof(GOOD.replace(b"extra aGk=\n", extra), where="proof")


@given(st.binary(max_size=100), st.integers(0, len(GOOD)), st.integers(0, 40))
def test_damage_anywhere_is_refused_and_never_crashes(noise: bytes, at: int, width: int) -> None:
    damaged = GOOD[:at] + noise + GOOD[at + width :]
    try:
        proof = parse_proof(damaged, where="proof")
        check_proof(proof, ENTRIES[3], [LOG.verifier], where="proof")
    except IntegrityError:
        return
    assert (proof.index, proof.hashes) == (3, proof_of(3).hashes)

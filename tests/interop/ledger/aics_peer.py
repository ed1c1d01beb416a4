"""Reads and writes logs with the package aics-tlog, as tlogcheck does with x/mod; run by a Python that has it.

aics_peer.py check DIR VKEY INDEX,... [WITNESS_VKEY]
aics_peer.py write DIR ORIGIN N                        prints the log's vkey and a witness' vkey
"""

import sys
from pathlib import Path

import aics_tlog as tlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

COSIGNED_AT = 1_793_525_400


def open_checkpoint(path: Path, vkey: str, witness: str) -> tlog.Checkpoint:
    """Verifies a checkpoint, and one cosignature where a witness is given."""
    note = tlog.parse_note(path.read_bytes())
    key = tlog.parse_vkey(vkey)
    policy = tlog.WitnessPolicy(1, (tlog.parse_vkey(witness),)) if witness else None
    result = tlog.verify_checkpoint(note, key, expected_origin=key.name, policy=policy)
    if not result.ok:
        sys.exit(f"{path.name}: {result.error}")
    return tlog.parse_checkpoint(note.text)


def check(folder: Path, vkey: str, indexes: str, witness: str = "") -> None:
    """Signature, every tile and bundle, some entries' inclusion, consistency with an older checkpoint."""
    head = open_checkpoint(folder / "checkpoint", vkey, witness)
    files = tlog.FileSystemTileReader(folder)
    tlog.audit_tiles(files, head.size, head.root)
    reader = tlog.VerifiedTileReader(files, head.size, head.root)
    wanted = [int(text) for text in indexes.split(",") if text]
    for index in wanted:
        proof = tlog.inclusion_proof_from_tiles(files, index, head.size)
        if not tlog.verify_leaf_inclusion(reader.entry(index), index, head.size, proof, head.root):
            sys.exit(f"entry {index}: not included")
    print(f"size {head.size}: {len(wanted)} entries included")
    older = folder / "checkpoint.old"
    if not older.exists():
        return
    old = open_checkpoint(older, vkey, witness)
    proof = tlog.consistency_proof_from_tiles(files, old.size, head.size)
    if not tlog.verify_consistency(old.size, head.size, old.root, head.root, proof):
        sys.exit(f"not consistent with size {old.size}")
    print(f"consistent with size {old.size}")


def write(folder: Path, origin: str, count: str) -> None:
    """A log, appended to in three steps, cosigned by a witness."""
    size = int(count)
    form = b'{"body":{"n":%d},"time":"2026-11-01T09:30:00.123Z","type":"strongroom.test/1","writer":"aics"}'
    entries = [form % n for n in range(size)]
    store = tlog.DirectoryTileStore(folder, fsync=False)
    writer = tlog.IncrementalTileWriter(store)
    for first, last in ((0, size // 3), (size // 3, size - 1), (size - 1, size)):
        writer.append(entries[first:last])
    key, witness = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    head = tlog.Checkpoint(origin, writer.size, writer.root())
    note = tlog.sign_checkpoint(head, key, origin)
    _, line = tlog.sign_cosignature(witness, "witness.example/aics", COSIGNED_AT, origin, head.size, head.root)
    store.write_checkpoint(tlog.Note(note.text, (line, *note.signatures)).to_bytes())
    print(tlog.format_vkey(tlog.vkey_from_ed25519(origin, key.public_key())))
    print(tlog.format_vkey(tlog.cosignature_vkey("witness.example/aics", witness.public_key())))


if __name__ == "__main__":
    command, directory, *rest = sys.argv[1:]
    {"check": check, "write": write}[command](Path(directory), *rest)

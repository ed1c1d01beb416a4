"""The ledger: an append-only Merkle log of what happened, which others can check without trusting us.

The core (`_merkle`, `_tiles`, `_notes`, `_checkpoint`, `_proof`, `_entry`, `_edge`) is pure: bytes in, bytes out,
and the same functions produce and verify. `_disk`, `_storage`, `_journal` touch files; `_sequencer` appends, and its
docstring says what is durable when; `_reader`, `_verify`, `_verdict` trust nobody.

Not for: deciding what an entry means (audit/), who may write one (api/), or keeping what must be erased: what is on
record stays. Personal facts enter as keyed digests.
"""

from ._anchors import WitnessAddress
from ._checkpoint import Checkpoint, SignedCheckpoint, check_quorum, open_checkpoint
from ._commit import Committed, Limits
from ._compare import Comparison, View, compare
from ._copying import forbid_before, journal_files, log_files
from ._entry import MAX_INPUT_BYTES, RESERVED, canonicalise, check_entry, decode_entry, encode_entry
from ._home import Home, Settings
from ._keys import KeyFile, NoteSigner, create_key, load_key
from ._merkle import leaf_hash
from ._notes import COSIGNATURE, ED25519, VerifierKey, check_name
from ._open import AnotherSequencer, create_ledger, open_ledger, read_keys, storage_at
from ._proof import InclusionProof, check_proof, parse_proof
from ._reader import LogReader, read_checkpoint
from ._remote import RemoteRecorder
from ._sequencer import Sequencer
from ._storage import DirectoryStorage, Source, open_source
from ._tiles import MAX_BUNDLE_BYTES as MAX_FILE_BYTES
from ._tiles import MAX_ENTRY_BYTES
from ._verdict import Seen, Verdict, trusted_keys, verify_log
from ._witness import MAX_REQUEST_BYTES, Answer, Witness, WitnessDirectory

__all__ = [
    "COSIGNATURE",
    "ED25519",
    "MAX_ENTRY_BYTES",
    "MAX_FILE_BYTES",
    "MAX_INPUT_BYTES",
    "MAX_REQUEST_BYTES",
    "RESERVED",
    "AnotherSequencer",
    "Answer",
    "Checkpoint",
    "Committed",
    "Comparison",
    "DirectoryStorage",
    "Home",
    "InclusionProof",
    "KeyFile",
    "Limits",
    "LogReader",
    "NoteSigner",
    "RemoteRecorder",
    "Seen",
    "Sequencer",
    "Settings",
    "SignedCheckpoint",
    "Source",
    "Verdict",
    "VerifierKey",
    "View",
    "Witness",
    "WitnessAddress",
    "WitnessDirectory",
    "canonicalise",
    "check_entry",
    "check_name",
    "check_proof",
    "check_quorum",
    "compare",
    "create_key",
    "create_ledger",
    "decode_entry",
    "encode_entry",
    "forbid_before",
    "journal_files",
    "leaf_hash",
    "load_key",
    "log_files",
    "open_checkpoint",
    "open_ledger",
    "open_source",
    "parse_proof",
    "read_checkpoint",
    "read_keys",
    "storage_at",
    "trusted_keys",
    "verify_log",
]

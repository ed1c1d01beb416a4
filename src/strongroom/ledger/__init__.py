"""The ledger: an append-only Merkle log of what happened, which others can check without trusting us.

The core (`_merkle`, `_tiles`, `_notes`, `_checkpoint`, `_proof`) is pure: bytes in, bytes out, and the same
functions produce and verify.
"""

"""The key service: a process of its own that holds the keys, and releases them to who is identified and may.

Invariants: key-encryption keys and signing keys never leave it; a data key leaves it only wrapped for the key that its
asker made for that one request, after the entry that says so is durable; strangers are refused before anything that
they sent is read, and counted.
"""

from ._app import metrics_app
from ._open import KeyServer

__all__ = ["KeyServer", "metrics_app"]

"""Identity: proving who a principal is.

>>> key = SshKey.parse("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea ada")
>>> verify_signature(b"yes", b"no signature", namespace=APPROVAL, keys=[key])
Traceback (most recent call last):
    ...
strongroom.identity._identified.NotIdentified: the credential is not accepted: malformed
"""

from ._api_keys import (
    API_KEY_PATTERN,
    API_KEY_RANDOM_BYTES,
    MAX_LIVE_KEYS,
    ApiKeys,
    NewApiKey,
    make_api_key,
    parse_api_key,
    revoke_api_key,
    rotate_api_key,
    verify_api_key,
)
from ._fetch import fetch
from ._identified import REASONS, Identified, Method, NotIdentified, Reason
from ._issuers import Issuer
from ._key_sets import Fetch
from ._shares import SHARE_PATTERN, SHARE_SECRET_BYTES, Share, join_shares, make_shares, new_credential_id, read_share
from ._spiffe import SpiffeId, TrustBundles, verify_svid
from ._ssh import APPROVAL, LOGIN, sign_message, verify_signature
from ._ssh_key import SSH_KEY_TYPES, SshKey
from ._tokens import Tokens

__all__ = [
    "API_KEY_PATTERN",
    "API_KEY_RANDOM_BYTES",
    "APPROVAL",
    "LOGIN",
    "MAX_LIVE_KEYS",
    "REASONS",
    "SHARE_PATTERN",
    "SHARE_SECRET_BYTES",
    "SSH_KEY_TYPES",
    "ApiKeys",
    "Fetch",
    "Identified",
    "Issuer",
    "Method",
    "NewApiKey",
    "NotIdentified",
    "Reason",
    "Share",
    "SpiffeId",
    "SshKey",
    "Tokens",
    "TrustBundles",
    "fetch",
    "join_shares",
    "make_api_key",
    "make_shares",
    "new_credential_id",
    "parse_api_key",
    "read_share",
    "revoke_api_key",
    "rotate_api_key",
    "sign_message",
    "verify_api_key",
    "verify_signature",
    "verify_svid",
]

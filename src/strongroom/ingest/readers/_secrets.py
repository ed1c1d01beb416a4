"""Secrets that stand in logs are never kept: a short digest names them instead.

>>> digest("Bearer sk-example0") == digest("sk-example0") == guarded("sk-example0")
True
>>> guarded("acct_1")
'acct_1'
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

__all__ = ["digest", "guarded", "is_secret", "key_name", "may_hold_secrets", "without_secrets"]

_SCHEME = re.compile(
    r"(?:bearer|basic|token|apikey|api-key|key|negotiate|digest|aws4-hmac-sha256)[ =:]+", re.IGNORECASE
)
# Case matters here: the exchange log asks this of three fields of each record, and folding case doubles its cost.
_SECRET = re.compile(
    r"(?:[Bb]earer|BEARER|[Bb]asic|BASIC|[Tt]oken|Negotiate|Digest|AWS4-HMAC-SHA256) +\S"  # an Authorization header
    r"|(?:sk|xai|gsk|hf|nvapi|pplx|csk|ghp|gho|github_pat|glpat|xox[abp])[-_][A-Za-z0-9_-]{8,}"
    r"|AIza[A-Za-z0-9_-]{20,}|ya29\.\S{20,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\."
)
# The same inside a text, such as a command line, and what stands behind a word that announces it.
_INSIDE = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|xai|gsk|hf|nvapi|pplx|csk|ghp|gho|github_pat|glpat|xox[abp])[-_][A-Za-z0-9_-]{8,}"
    r"|AIza[A-Za-z0-9_-]{20,}|ya29\.[^\s\"']{20,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*)"
)
_ANNOUNCED = re.compile(
    r"((?:^|[^A-Za-z])(?:[A-Za-z_]{0,30}passw(?:or)?d|pass|secret|token|(?:api|account|access|shared[-_]?access)[-_]?key|sig"
    r"|x-amz-(?:signature|security-token|credential))"
    r"(?:[\"']?\s*=\s*|[\"']\s*:\s*|:\s+)[\"']?"
    r"|--?(?:pass(?:word|wd)?|secret|token|api[-_]?key)[\s\x1f]+|(?:bearer|basic) +)"
    r"([^\s\"',;&\x1f]{4,})",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"(://[^/\s:@\x1f]{1,100}:)[^/\s@\x1f]{1,200}@")
_HASH = re.compile(r"[0-9a-f]{64}")
is_secret = _SECRET.match
"""Truthy for text that looks like a key, a token or an Authorization header."""


def guarded(name: str) -> str:
    """`name`, or its digest where it looks like a secret."""
    return digest(name) if is_secret(name) else name


_MARKS = (
    *(
        b"pass",
        b"secret",
        b"token",
        b"api-key",
        b"api_key",
        b"apikey",
        b"x-amz-signature",
        b"x-amz-credential",
        b"sig=",
    ),
    *(b"connectionstring", b"connection_string", b"accountkey", b"account_key", b"sharedkey", b"shared_key"),
    *(b"bearer", b"basic ", b'authorization"', b'authorization\\"', b"privatekey", b"private_key", b"private key"),
    *(b"plaintext", b"sk-", b"sk_", b"xai", b"nvapi", b"pplx", b"hf_", b"hf-", b"ghp", b"gho", b"github_pat", b"glpat"),
    *(b"xoxa", b"xoxb", b"xoxp", b"aiza", b"ya29", b"eyj"),
)


def may_hold_secrets(raw: bytes) -> bool:
    """Whether a look for secrets in a record is worth its time: most records hold none of the words that mark one."""
    lowered = raw.lower()
    return any(mark in lowered for mark in _MARKS) or (b"://" in lowered and b"@" in lowered) or b"\\u00" in lowered


def without_secrets(text: str) -> str:
    """`text` with a digest in the place of each key or token in it, and `****` behind words that announce a secret.

    >>> without_secrets("curl -H 'Authorization: Bearer abcdefgh' --password=hunter22 ./x")
    "curl -H 'Authorization: Bearer ****' --password=**** ./x"
    """
    if len(text) < 8:
        return text
    if "://" in text:
        text = _IN_ADDRESS.sub(r"\1****@", text)
    return _ANNOUNCED.sub(r"\1****", _INSIDE.sub(lambda found: digest(found[0]), text))


def digest(value: str) -> str:
    """`key:` and 12 hex digits of SHA-256 of a key, without the scheme that may stand before it.

    One key has one digest in whichever header it came. Of Basic credentials only the name is digested: a
    password may be short enough to be found again from a digest.
    """
    value = value.strip()
    match = _SCHEME.match(value)
    if match:
        value = value[match.end() :]
        if match[0][:5].lower() == "basic":
            value = _basic_name(value)
    return "key:" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:12]


def key_name(hashed: str) -> str:
    """The digest of a key of which a log has the SHA-256 (LiteLLM's `user_api_key_hash`), or the key itself."""
    return "key:" + hashed[:12] if _HASH.fullmatch(hashed) else digest(hashed)


def _basic_name(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).partition(b":")[0].decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return value

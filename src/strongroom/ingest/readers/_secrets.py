"""Secrets that stand in logs are never kept: a short digest names them instead.

>>> digest("Bearer sk-ex4mple0key5") == digest("sk-ex4mple0key5") == guarded("sk-ex4mple0key5")
True
>>> guarded("acct_1"), guarded("sk-models-prod"), guarded("hf-mirror-reader")
('acct_1', 'sk-models-prod', 'hf-mirror-reader')

**Keys and names.** Accounts, buckets and pods are named `sk-models-prod`, `hf-mirror-7d9f8b6c5d-x2x4z` or
`hf-Llama-3-70B`, and a name that becomes a digest says nothing to people and matches no other log. So behind `sk`,
`hf`, `xai`, `gsk`, `nvapi`, `pplx` and `csk` a key must look like one: 20 letters and digits in a row; or large and
small letters and five or more changes of kind inside of words (`aB`, `a1`, `1a`); or 12 letters and digits in a row in
which letters stand between digits. GitHub's, GitLab's and Slack's beginnings begin no names, so 16 characters behind
them are enough.

What this takes for a name and is a key: keys shorter than any service issues, made of words (`sk-of-a-customer`), and
about one in a hundred of LiteLLM's 22 random characters; they are still held back behind a word that announces them
(`Bearer`, `token=`). What it takes for a key and is a name: a name with one word of 20 characters.

A scheme of an Authorization header (`Token`, `Basic`, `Digest`) is also a word: what follows must hold a digit, `=` or
a large letter inside of a word, else `token reader` could be nobody's name.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "arguments_without_secrets",
    "digest",
    "guarded",
    "is_secret",
    "key_name",
    "may_hold_secrets",
    "without_secrets",
]

HELD_BACK = "****"
"""Stands for a secret. Cloud services write the same for theirs."""

_SCHEME = re.compile(
    r"(?:bearer|basic|token|apikey|api-key|key|negotiate|digest|aws4-hmac-sha256)[ =:]+", re.IGNORECASE
)
_CHANGE = r"(?:[a-z](?=[A-Z0-9])|[A-Z](?=[0-9])|[0-9](?=[A-Za-z]))"
_KEY = (
    r"(?:sk|hf|xai|gsk|nvapi|pplx|csk)[-_]"
    r"(?:(?:[A-Za-z0-9]{0,19}+[-_]++)*+[A-Za-z0-9]{20}"
    rf"|(?=[a-z0-9_-]*+[A-Z])(?=[A-Z0-9_-]*+[a-z])(?=[A-Za-z0-9_-]{{12}})(?:(?:(?!{_CHANGE})[A-Za-z0-9_-])*+{_CHANGE}){{5}}"
    r"|(?=[A-Za-z0-9]{12})[A-Za-z]*+[0-9]++[A-Za-z]++[0-9]"
    r"|lf-[0-9a-f]{8}-[0-9a-f]{4}-)"
    r"|(?:gh[oprsu]|github_pat)_[A-Za-z0-9_]{16}|glpat-[A-Za-z0-9_-]{16}|xox[abprs]-[A-Za-z0-9-]{16}"
)
# Case matters here: the exchange log asks this of three fields of each record, and folding case doubles its cost.
_SECRET = re.compile(
    r"(?:[Bb]earer|BEARER|Negotiate|AWS4-HMAC-SHA256) +\S"  # an Authorization header
    r"|(?:[Bb]asic|BASIC|[Tt]oken|TOKEN|Digest) +(?=\S{4})\S*?(?:[a-z0-9][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z]|[0-9]{8}|=)"
    rf"|{_KEY}|AIza[A-Za-z0-9_-]{{20,}}|ya29\.\S{{20,}}|eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]+\."
)
is_secret = _SECRET.match
"""Truthy for text that looks like a key, a token or an Authorization header."""

# The same inside a text, such as a command line: what may be a key, which `is_secret` then decides.
_INSIDE = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|hf|xai|gsk|nvapi|pplx|csk|gh[oprsu]|github_pat|glpat|xox[abprs])[-_][A-Za-z0-9_-]{8,}"
    r"|AIza[A-Za-z0-9_-]{20,}|ya29\.[^\s\"']{20,}|eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]*)"
)
# Also in pieces: `echo -----BEGIN PRIVATE KEY----- …` without quotes is several arguments.
_PRIVATE = re.compile(
    r"-----BEGIN\s[A-Z\s]{0,40}PRIVATE\sKEY-----"
    r"(?:(?:(?!-----BEGIN).)*?-----END\s[A-Z\s]{0,40}PRIVATE\sKEY-----|[^-]*)",
    re.DOTALL,
)
_NAME = (
    r"(?:passw(?:or)?d|pwd|passphrase|secret|token|authorization|private_?key|(?:api|account|access|shared|secret)[-_]?key"
    r"|plaintext|connection_?string)"
)
_IN_JSON = re.compile(
    rf'("[^"\\\x1f]{{0,64}}?{_NAME}"\s*:\s*)(?:"(?:[^"\\\x1f]|\\[^\x1f])*+("?)|-?[0-9][0-9.eE+-]{{0,40}})',
    re.IGNORECASE,
)
# JSON in a string of JSON, whose quotes have a backslash before them.
_IN_INNER_JSON = re.compile(
    rf'(\\"[^"\\\x1f]{{0,64}}?{_NAME}\\"\s*:\s*)'
    r'(?:\\"(?:[^"\\\x1f]|\\\\(?:\\\\|\\"|[^\\"\x1f]))*+((?:\\")?)|-?[0-9][0-9.eE+-]{0,40})',
    re.IGNORECASE,
)
_QUOTED = r"\"[^\"\x1f]*+\"?|'[^'\x1f]*+'?"
_ANNOUNCED = re.compile(
    r"((?:passw(?:or)?d|passphrase|pwd(?=[\"']?\s*[=:]\s*[^/.~$\s])|secret|token|(?:api|account|access)[-_]?key"
    r"|(?<![A-Za-z])(?:pass|sig)|x-amz-(?:signature|security-token|credential))[\"']?"
    r"(?:\s*=\s*|\s*:\s+(?=[\"']|\S{4}))"
    r"|(?<![A-Za-z])(?:bearer +(?=\S{4})|basic +(?=\S{4})(?-i:(?=\S*(?:[a-z][A-Z]|[0-9=])))))"
    rf"(?:{_QUOTED}|[^\s\"',;&\x1f]++)",
    re.IGNORECASE,
)
_FLAG = re.compile(
    r"((?<![^\s\"'])--?[a-z0-9-]{0,30}?(?:pass(?:word|wd|phrase|in|out)?|secret|token"
    r"|(?:api|access|secret|account|private)[-_]?key))"
    rf"(?:(\x1f)(?!-)[^\x1f]++|([^\S\x1f]+)(?!-)(?:{_QUOTED}|[^\s\"']++))",
    re.IGNORECASE,
)
# `-u name:password`; two numbers are a user and a group, `https://…` an address.
_USER = re.compile(
    r"((?<![^\s\"'])(?:-u|--user)[\s=]+([^\s:\"']{1,100}):)(?!//)(?![0-9]{1,10}(?:[\s\"']|$))([^\s\"']+)"
)
_IN_ADDRESS = re.compile(r"(://[^/\s:@\x1f]{1,100}:)[^/\s@\x1f]{1,200}@")
_HASH = re.compile(r"[0-9a-f]{64}")

# Programs whose password stands behind a flag that others use for something else, up to the end of their command.
_VALUE = rf"(?:(?<=\x1f)[^\x1f]++|{_QUOTED}|[^\s\"']++)"
_TOOLS = {
    "sshpass": re.compile(rf"((?<=\s)-p\s*){_VALUE}"),
    "mysql": re.compile(rf"((?<=\s)-p)(?!\s|[0-9.:]+:[0-9]+(?:\s|$)){_VALUE}"),
    "mongo": re.compile(rf"((?<=\s)-p\s*){_VALUE}"),
    "redis": re.compile(rf"((?<=\s)-a\s*){_VALUE}"),
    "curl": re.compile(rf"((?<=\s)(?:-[uU]|--(?:proxy-)?user)[\s=]*[\"']?[^\s:\"']{{0,100}}:)(?!//){_VALUE}"),
    "ldap": re.compile(rf"((?<=\s)-w\s*){_VALUE}"),
    "sqlcmd": re.compile(rf"((?<=\s)-P\s*){_VALUE}"),
    "smbclient": re.compile(rf"((?<=\s)(?:-U|--user)[\s=]*[^\s%\"']{{1,100}}%){_VALUE}"),
    "login": re.compile(rf"((?<=\s)-p\s+)(?!-){_VALUE}"),
}
_TOOL = re.compile(
    r"(?<![\w.-])(?:(sshpass|redis|curl|sqlcmd|smbclient)|(mysql|mongo|ldap)|(mariadb)|docker|podman|nerdctl|buildah|helm"
    r"|skopeo|crane|oras|oc|az)(?(1)(?:-cli)?|(?(2)\w{0,12}|(?(3)(?:-\w{1,12})?|)))(?:\.exe)?(?=\s)"
)
_END = re.compile(r"[|;&\n]")


def guarded(name: str) -> str:
    """`name`, or its digest where it looks like a secret."""
    return digest(name) if is_secret(name) else name


_MARKS = (
    *(b"pass", b"pwd", b"secret", b"token", b"api-key", b"api_key", b"apikey", b"x-amz-signature", b"x-amz-credential"),
    *(b"sig=", b"connectionstring", b"connection_string", b"accountkey", b"account_key", b"sharedkey", b"shared_key"),
    *(b"bearer", b"basic ", b'authorization"', b'authorization\\"', b"privatekey", b"private_key", b"private key"),
    *(b"plaintext", b"sk-", b"sk_", b"xai", b"nvapi", b"pplx", b"hf_", b"hf-", b"ghp", b"gho", b"github_pat", b"glpat"),
    *(b"ghr_", b"ghs_", b"ghu_", b"xox", b"aiza", b"ya29", b"eyj", b"csk", b"mysql", b"mariadb", b"mongo", b"redis"),
    *(b"-----begin", b"curl", b"ldap", b"sqlcmd", b"smbclient", b"login", b'"-u"', b"-u ", b"--user"),
    # Not `accessKeyId`, which stands in each record of CloudTrail and is no secret.
    *(b'accesskey"', b'accesskey\\"', b"accesskey=", b'access_key"', b"access_key=", b"access-key", b"account-key"),
)


# Each mark holds three bytes that usual records seldom hold, so that one look at all of a record's threes, in numpy,
# spares most of them sixty searches. But for this mark, whose threes stand in every second record:
_USUAL = b'accesskey"'
_THREES = (
    *(b"pas", b"pwd", b"ret", b"ken", b"-ke", b"_ke", b" ke", b"pik", b"-si", b"z-c", b"ig=", b"nec", b"_st", b"ntk"),
    *(b"edk", b"rer", b"sic", b"zat", b"tek", b"lai", b"sk-", b"sk_", b"xai", b"vap", b"plx", b"hf_", b"hf-"),
    *(b"ghp", b"gho", b"ub_", b"glp", b"hr_", b"hs_", b"hu_", b"xox", b"aiz", b"ya2", b"eyj", b"csk", b"mys", b"ria"),
    *(b"ngo", b"dis", b"---", b"url", b"dap", b"lcm", b"smb", b"ogi", b'"-u', b"-u ", b"--u", b"ey\\", b"ey=", b"ss-"),
    *(b"t-k", b"\\u0"),
)


def _numbered(text: bytes) -> npt.NDArray[np.int32]:
    """A number for each three bytes in a row, of shape (len(text) - 2,); the highest bit of a byte does not count."""
    import numpy as np

    low = (np.frombuffer(text, np.uint8) & 127).astype(np.int32)
    numbers: npt.NDArray[np.int32] = low[:-2] << 14
    numbers |= low[1:-1] << 7
    numbers |= low[2:]
    return numbers


@functools.cache
def _wanted() -> npt.NDArray[np.bool_]:
    """Which numbers are those of threes, of shape (1 << 21,)."""
    import numpy as np

    wanted = np.zeros(1 << 21, np.bool_)
    wanted[[int(_numbered(three)[0]) for three in _THREES]] = True
    return wanted


def may_hold_secrets(raw: bytes) -> bool:
    """Whether a look for secrets in a record is worth its time: most records hold none of the words that mark one."""
    lowered = raw.lower()
    if (b"://" in lowered and b"@" in lowered) or _USUAL in lowered:
        return True
    if len(lowered) < 3 or not _wanted()[_numbered(lowered)].any():
        return False
    return b"\\u00" in lowered or any(mark in lowered for mark in _MARKS)


def without_secrets(text: str) -> str:
    """`text` with a digest in the place of each key or token in it, and `****` behind words that announce a secret.

    >>> without_secrets("curl -H 'Authorization: Bearer abcdefgh' --password=hunter22 -u ann:x ./x")
    "curl -H 'Authorization: Bearer ****' --password=**** -u ann:**** ./x"
    >>> without_secrets("sshpass -p x ssh -p 22 host && mysql -uroot -phunter2 && docker run -p 80:80 -u 1000:1000 img")
    'sshpass -p **** ssh -p 22 host && mysql -uroot -p**** && docker run -p 80:80 -u 1000:1000 img'
    """
    if len(text) < 6:
        return text
    if "-----BEGIN" in text:
        text = _PRIVATE.sub(_covered, text)
    if "://" in text:
        text = _IN_ADDRESS.sub(r"\1****@", text)
    text = _INSIDE.sub(lambda found: digest(found[0]) if is_secret(found[0]) else found[0], text)
    if '"' in text:
        text = _IN_JSON.sub(r'\1"****"', text)
        if '\\"' in text:
            text = _IN_INNER_JSON.sub(r'\1\\"****\\"', text)
    text = _ANNOUNCED.sub(r"\1****", text)
    if "-" in text:
        text = _FLAG.sub(r"\1\2\3****", text)
        text = _of_programs(text)
        text = _USER.sub(_user, text)
    return text


def arguments_without_secrets(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, as many as there are; one that follows `--password` is a secret too.

    >>> arguments_without_secrets(["serve", "--password", "hunter2", "-p", "8080"])
    ['serve', '--password', '****', '-p', '8080']
    """
    texts = [argument.replace("\x1f", " ") for argument in arguments]
    cleaned = without_secrets("\x1f".join(texts)).split("\x1f")
    return cleaned if len(cleaned) == len(texts) else [HELD_BACK] * len(texts)


def _covered(found: re.Match[str]) -> str:
    """What a private key covers: each argument for itself where it goes over the end of one."""
    parts = found[0].split("\x1f")
    return digest(parts[0]) if len(parts) == 1 else "\x1f".join(HELD_BACK if part else "" for part in parts)


def _user(found: re.Match[str]) -> str:
    return found[0] if found[2] == found[3] else f"{found[1]}{HELD_BACK}"


def _of_programs(text: str) -> str:
    """`text` without the passwords behind flags that mean one with some programs only."""
    found = list(_TOOL.finditer(text))
    if not found:
        return text
    pieces = [text[: found[0].start()]]
    for number, tool in enumerate(found):
        after = found[number + 1].start() if number + 1 < len(found) else len(text)
        end = _END.search(text, tool.end(), after)
        until = end.start() if end else after
        name = tool[1] or tool[2] or ("mysql" if tool[3] else "login")
        rest = text[tool.end() : until]
        if name != "login" or "login" in rest:
            rest = _TOOLS[name].sub(r"\1****", rest, 1 if name == "sshpass" else 0)
        pieces += [tool[0], rest, text[until:after]]
    return "".join(pieces)


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

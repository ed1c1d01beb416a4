"""Fetching from servers that nobody here vouches for: foreign logs and witnesses.

Invariants: one deadline holds over the whole request, from the name's look-up to the last byte, so a server that
drips cannot hold us; no more than `limit` bytes are kept, whatever length the server announced, and nothing is
decompressed; redirects, proxies of the environment and cookies are not used. Plain http is allowed, because what
comes back is verified by signatures and proofs. Errors name the URL without what could be secret in it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from ..core.errors import InputError, IntegrityError, StrongroomError, UsageError
from ..core.web import web_client

if TYPE_CHECKING:
    from pyreqwest.bytes import Bytes
    from pyreqwest.client import SyncClient
    from pyreqwest.exceptions import PyreqwestError
    from pyreqwest.request import SyncRequestBuilder

__all__ = ["Get", "Post", "get", "post", "public_url"]

Get = Callable[..., "bytes | None"]
"""The form of `get`, for callers that take another one in tests."""
Post = Callable[..., "tuple[int, bytes]"]
"""The form of `post`."""

MAX_URL_CHARACTERS = 4096
MAX_DEADLINE = 3600.0
_READ_BUFFER_BYTES = 65_536


def get(url: str, *, limit: int, deadline: float) -> bytes | None:
    """The body of a GET that is answered with 200; None for a 404.

    `deadline` is in seconds and holds for the whole request. Raises UsageError for a URL that cannot be fetched,
    IntegrityError for a body of more than `limit` bytes, InputError for another unusable answer, and
    StrongroomError when there is none.
    """
    where = _check(url)
    status, body = _send(lambda client: client.get(url), where, limit, deadline)
    if status == 404:
        return None
    if status != 200:
        kind = StrongroomError if status >= 500 or status == 429 else InputError
        raise kind(f"the server answered {status}", where=where, next="check the address, or try again later")
    return body


def post(
    url: str, body: bytes, *, limit: int, deadline: float, content_type: str = "text/plain; charset=utf-8"
) -> tuple[int, bytes]:
    """Status and body of the answer to a POST. Raises as `get` does; what a status means is for the caller to say."""
    where = _check(url)
    return _send(
        lambda client: client.post(url).header("content-type", content_type).body_bytes(body), where, limit, deadline
    )


def public_url(url: str) -> str:
    """The URL as errors name it: without user, password, query and fragment, and cut.

    >>> public_url("https://me:secret@log.example/a/checkpoint?token=1")
    'https://log.example/a/checkpoint'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    shown = SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "").geturl()
    return "".join(c if c.isprintable() else "?" for c in shown[:200])


def _check(url: str) -> str:
    """Returns the URL as errors name it. Raises UsageError for one that is not fetched."""
    where = public_url(url)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > MAX_URL_CHARACTERS or any(c.isspace() or not c.isprintable() for c in url):
        raise UsageError("this is no URL to fetch from", where=where, next="write http:// or https:// and a host")
    return where


def _send(
    make: Callable[[SyncClient], SyncRequestBuilder], where: str, limit: int, deadline: float
) -> tuple[int, bytes]:
    from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError

    if not deadline > 0:  # what is left of a caller's own deadline
        raise _too_late(deadline, where)
    try:
        request = make(web_client()).timeout(timedelta(seconds=min(deadline, MAX_DEADLINE)))
        with request.streamed_read_buffer_limit(_READ_BUFFER_BYTES).build_streamed() as response:
            if 300 <= response.status < 400:
                raise InputError(
                    f"the server answered {response.status}, a redirect, and redirects are not followed",
                    where=where,
                    next="give the address to which it leads, if you trust that server",
                )
            return response.status, _read(response.body_reader.read_chunk, where, limit)
    except RequestTimeoutError:
        raise _too_late(deadline, where) from None
    except ValueError:  # pyreqwest reads URLs more strictly than urllib
        raise UsageError("this is no URL to fetch from", where=where, next="check how the host is written") from None
    except PyreqwestError as error:
        raise _failure(error, where) from None


def _read(next_chunk: Callable[[], Bytes | None], where: str, limit: int) -> bytes:
    """All chunks, as long as they stay within the limit."""
    body = bytearray()
    while (chunk := next_chunk()) is not None:
        body += bytes(chunk)
        if len(body) > limit:
            raise IntegrityError(f"the answer is larger than {limit:,} bytes", where=where, next="check the address")
    return bytes(body)


def _too_late(deadline: float, where: str) -> StrongroomError:
    return StrongroomError(
        f"no whole answer within {deadline:g} seconds", where=where, next="check the address, or try again later"
    )


def _failure(error: PyreqwestError, where: str) -> StrongroomError:
    """What the client says of a broken connection, without the URL that it repeats."""
    from pyreqwest.exceptions import ConnectError, DecodeError

    causes = (getattr(error, "details", None) or {}).get("causes") or []
    said = [cause["message"] for cause in causes if "://" not in cause["message"]]
    reason = said[-1][:200] if said else error.message.partition("(")[0].strip()[:200]
    if isinstance(error, DecodeError):
        return InputError(f"the answer is unusable: {reason}", where=where, next="check the address, or try again")
    what = "the server cannot be reached" if isinstance(error, ConnectError) else "the connection failed"
    return StrongroomError(f"{what}: {reason}", where=where, next="check the address, or try again later")

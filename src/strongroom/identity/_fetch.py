"""Fetching an issuer's configuration and keys: the default `Fetch`.

One deadline holds over the whole request; no more than `MAX_DOCUMENT_BYTES` are kept and nothing is decompressed; https
with the system's certificates, or http on this machine itself; redirects, proxies of the environment and cookies are
not used.
"""

from __future__ import annotations

from datetime import timedelta

from ..core.errors import InputError, StrongroomError
from ..core.web import web_client
from ._issuers import check_url
from ._key_sets import MAX_DOCUMENT_BYTES

__all__ = ["FETCH_SECONDS", "fetch"]

FETCH_SECONDS = 5.0
_READ_BUFFER_BYTES = 65_536


def fetch(url: str) -> bytes:
    """See `Fetch`. Raises UsageError for a URL that is not fetched, StrongroomError for an answer that is none."""
    from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError

    check_url(url, url[:200])
    try:
        request = web_client().get(url).header("accept", "application/json").timeout(timedelta(seconds=FETCH_SECONDS))
        with request.streamed_read_buffer_limit(_READ_BUFFER_BYTES).build_streamed() as response:
            if response.status != 200:
                raise StrongroomError(
                    f"the issuer answered {response.status}", where=url, next="check the issuer's URL, or wait"
                )
            body = bytearray()
            while (chunk := response.body_reader.read_chunk()) is not None:
                body += bytes(chunk)
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise InputError(f"the answer is larger than {MAX_DOCUMENT_BYTES:,} bytes", where=url)
            return bytes(body)
    except RequestTimeoutError:
        raise StrongroomError(f"no whole answer within {FETCH_SECONDS:g} seconds", where=url) from None
    except (PyreqwestError, ValueError) as error:
        raise StrongroomError(f"the issuer cannot be asked: {type(error).__name__}", where=url) from None

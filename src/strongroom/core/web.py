"""The one client for other people's HTTP servers: what it must not do by itself is switched off here."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyreqwest.client import SyncClient

__all__ = ["web_client"]

IDLE_SECONDS = 10
"""How long an unused connection is kept: less than the 15 seconds that our own server keeps it."""
MAX_IDLE_PER_HOST = 4


@functools.cache
def web_client() -> SyncClient:
    """One client a process, for all threads. No proxy of the environment, no redirects, cookies, referrer, and nothing
    is decompressed. Its own thread does not survive a fork: spawn workers, do not fork."""
    from pyreqwest.client import SyncClientBuilder

    from .. import __version__

    return (
        SyncClientBuilder()
        .user_agent(f"strongroom/{__version__}")
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .default_cookie_store(False)
        .error_for_status(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .pool_idle_timeout(timedelta(seconds=IDLE_SECONDS))
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .build()
    )

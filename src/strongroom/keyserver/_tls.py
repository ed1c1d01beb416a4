"""TLS of a key service: its own certificate, and whose certificates it asks for.

Certificates of workloads live for an hour, its own as those of its clients' authorities: what stands in the files is
looked at whenever somebody connects, and a file that cannot be read leaves what was read before in force.
"""

from __future__ import annotations

import contextlib
import errno
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import InputError, StrongroomError

if TYPE_CHECKING:
    from ..identity import TrustBundles
    from ..site import Site

__all__ = ["Certificates"]

_Stamp = tuple[tuple[int, int], ...]


class Certificates:
    """The files that a site's configuration names. Threads may share it."""

    def __init__(self, site: Site, notify: Callable[[str], None]) -> None:
        """Raises InputError, UsageError for files that cannot be read."""
        self._root, self._notify = site.path, notify
        self._settings, self._identity = site.configuration.keyserver, site.configuration.identity
        self._authorities = [self._root / file for file in self._identity.trust_domains.values()]
        self._own = [self._root / one for one in (self._settings.certificate, self._settings.private_key) if one]
        self.context = self._context() if self._settings.listen else None
        self._bundles, self._read = self._identity.bundles(self._root), _stamp(self._authorities)
        self._loaded = _stamp(self._own)
        self._told: tuple[_Stamp, _Stamp] | None = None
        if self.context is not None:
            self._ask_for(self.context)
            self.context.sni_callback = lambda *_: self._refresh()

    @property
    def bundles(self) -> TrustBundles | None:
        """The authorities that are believed now."""
        self._refresh()
        return self._bundles

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            self._load(context)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"the key service's certificate cannot be read: {error.strerror or type(error).__name__}",
                where=", ".join(map(str, self._own)),
                next="keyserver.certificate and keyserver.private_key name PEM files",
            ) from None
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        """Raises OSError, also for what is no file: a pipe would be waited for."""
        for path in self._own:
            if not path.is_file():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        context.load_cert_chain(self._own[0], self._own[1] if len(self._own) > 1 else None)

    def _ask_for(self, context: ssl.SSLContext) -> None:
        """Which authorities a handshake knows; who may name whom is `verify_svid`'s to say, with the bundles alone."""
        if self._authorities:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata="\n".join(path.read_text() for path in self._authorities))

    def _refresh(self) -> None:
        try:
            if (read := _stamp(self._authorities)) != self._read:
                self._bundles, self._read = self._identity.bundles(self._root), read
                if self.context is not None:
                    self._ask_for(self.context)
            if self.context is not None and (loaded := _stamp(self._own)) != self._loaded:
                self._load(self.context)
                self._loaded = loaded
        except (StrongroomError, OSError, ValueError) as error:
            now = (_stamp(self._authorities), _stamp(self._own))
            if now != self._told:  # once for each state of the files, however often somebody connects
                self._told = now
                with contextlib.suppress(Exception):
                    self._notify(f"certificates stay as they were read before: {error}")


def _stamp(paths: list[Path]) -> _Stamp:
    found = []
    for path in paths:
        try:
            about = path.stat()
        except OSError:
            found.append((0, 0))
            continue
        found.append((about.st_mtime_ns, about.st_ino))
    return tuple(found)

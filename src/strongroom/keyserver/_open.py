"""A site's key service, wired: its door, who may ask, and whether it is well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp

from ..core.clock import now
from ..core.errors import StrongroomError
from ..core.principals import ApiKey, Principal
from ..identity import Tokens, fetch
from ..ledger import Sequencer
from ..serving import Refusals
from ..site import Site
from ..vault import KeyFolder
from ._app import key_app
from ._identify import Identify
from ._metrics import Metrics
from ._service import KeyService
from ._tls import Certificates

__all__ = ["KeyServer"]


class KeyServer:
    """What one process serves of a site's keys. The sequencer is opened and closed by whoever makes it."""

    def __init__(
        self,
        site: Site,
        sequencer: Sequencer,
        *,
        passphrase: Callable[[Path], str],
        refusals: Refusals,
        notify: Callable[[str], None],
    ) -> None:
        """Reads every key that is held, so that a passphrase is asked for now. Raises InputError, RefusedError,
        UsageError, IntegrityError."""
        self._site, self._sequencer, self._refusals, self._notify = site, sequencer, refusals, notify
        self.metrics = Metrics()
        self.certificates = Certificates(site, notify)
        folder = KeyFolder(site.vault_keys, passphrase)
        folder.unlock()
        door = site.door(passphrase=passphrase, notify=notify, recorder=site.held_recorder(sequencer), folder=folder)
        self._service = KeyService(site.name, door, folder, site.state, site.sketch_key)
        self._identify = Identify(
            user=site.user,
            principal=self._principal,
            api_keys=_ApiKeys(site),
            tokens=Tokens(site.configuration.identity.trusted(site.path), fetch=fetch),
            bundles=lambda: self.certificates.bundles,
            clock=now,
        )

    def app(self) -> ASGIApp:
        """For one server."""
        return key_app(
            self._service,
            self._identify,
            refusals=self._refusals,
            metrics=self.metrics,
            healthy=self.healthy,
            notify=self._notify,
        )

    def healthy(self) -> bool:
        """Whether a key could be released now: the ledger can go on, and the state can be read."""
        if self._sequencer.status()["failure"]:
            return False
        try:
            with self._site.state.transaction(write=False) as transaction:
                transaction.leases.seen_time()
        except StrongroomError:
            return False
        return True

    def _principal(self, name: str) -> Principal | None:
        with self._site.state.transaction(write=False) as transaction:
            return transaction.principals.get(name)


class _ApiKeys:
    """See `identity.ApiKeys`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def find(self, key_id: str) -> ApiKey | None:
        with self._site.state.transaction(write=False) as transaction:
            return transaction.principals.api_key(key_id)

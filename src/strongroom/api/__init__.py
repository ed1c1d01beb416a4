"""The HTTP apps of a site, of a log and of a witness. Decisions are made in the floors below; nothing here decides."""

from ._log import log_app
from ._site import site_app
from ._witness import witness_app

__all__ = ["log_app", "site_app", "witness_app"]

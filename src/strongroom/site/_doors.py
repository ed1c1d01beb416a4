"""The door of a program that names none: its site's, or one that leads to a key service.

Which key services there are, and with which credential each is asked, stands in `client.toml`: the file that
STRONGROOM_CLIENT names, else that of the user, else that of the machine.
"""

from __future__ import annotations

import os
import ssl
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..core.calling import Caller, over_tls, over_unix_socket
from ..core.errors import InputError, RefusedError, UsageError
from ._site import Site

if TYPE_CHECKING:
    from ..vault import Door, ServiceDoor

__all__ = ["CLIENT_CONFIGURATION", "named_service", "named_use", "own_door", "service_door"]

CLIENT_CONFIGURATION = {
    "version": "1: the version of this file",
    "keyserver.HOST.socket": "the Unix socket of a key service on this machine; HOST is any name, such as local",
    "keyserver.HOST.ca": "PEM certificates that its own certificate must lead to; the system's without it",
    "keyserver.HOST.server_id": "the SPIFFE ID that its certificate must have; without it, its host's name",
    "keyserver.HOST.certificate": "this program's certificates (PEM), its own first",
    "keyserver.HOST.private_key": "and their private key (PEM)",
    "keyserver.HOST.api_key_file": "a file whose first line is an API key",
    "keyserver.HOST.token_file": "a file that holds a token of an OIDC issuer; read anew for each request",
}
LOCAL = "local"
SOCKET = Path("/run/strongroom/keys.sock")
PLACES = (Path("~/.config/strongroom/client.toml"), Path("/etc/strongroom/client.toml"))
MAX_CREDENTIAL_BYTES = 65_536
DEFAULT_PORT = 8443
MAX_ANSWER_BYTES = 128 << 20
"""A signed manifest of as many files as an object can have."""


class _Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    socket: str = ""
    ca: str = ""
    server_id: str = ""
    certificate: str = ""
    private_key: str = ""
    api_key_file: str = ""
    token_file: str = ""


class _Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    keyserver: dict[str, _Service] = {}


def own_door(host: str = "") -> Door:
    """The door to the key service at `host`; else of the site that STRONGROOM_SITE names, or to the key service that
    STRONGROOM_KEYSERVER does. What it tells goes to stderr. What for, and under which lease, is said by
    STRONGROOM_PURPOSE and STRONGROOM_LEASE.

    Raises InputError where neither is set, UsageError where both are.
    """
    service, site = host or named_service(), Site.named(None)
    purpose, lease = named_use()
    if service:
        return service_door(service, notify=_tell, purpose=purpose, lease=lease)
    if site is None:
        raise InputError(
            "neither a site nor a key service is named",
            next="set STRONGROOM_SITE or STRONGROOM_KEYSERVER, or give door=Site.open(…).door()",
        )
    return Site.open(site).door(notify=_tell, purpose=purpose, lease=lease)


def named_service() -> str:
    """The key service that STRONGROOM_KEYSERVER names; empty where it is not set. Raises UsageError beside a site."""
    service = os.environ.get("STRONGROOM_KEYSERVER", "")
    if service and Site.named(None):
        raise UsageError("both STRONGROOM_SITE and STRONGROOM_KEYSERVER are set", next="unset one")
    return service


def named_use() -> tuple[str, str]:
    """What for, and under which lease, where no option says so."""
    return os.environ.get("STRONGROOM_PURPOSE", ""), os.environ.get("STRONGROOM_LEASE", "")


def service_door(host: str, *, notify: Callable[[str], None], purpose: str = "", lease: str = "") -> ServiceDoor:
    """The door to the key service at `host`: a name of client.toml, a path of a Unix socket, or `local`.

    Raises UsageError for a host that nothing is known of, InputError, RefusedError, StrongroomError.
    """
    from ..vault import ServiceDoor

    return ServiceDoor.connect(_caller(host), f"key service {host}", notify=notify, purpose=purpose, lease=lease)


def _caller(host: str) -> Caller:
    path, services = _configured()
    service = services.get(host)
    if service is None:
        given = os.environ.get("STRONGROOM_KEYSERVER", "")
        if "/" in host or host == LOCAL:
            local = host if "/" in host else given if "/" in given else str(SOCKET)
            service = _Service(socket=local)
        else:
            raise UsageError(
                f"nothing is known of a key service '{host[:200]}'",
                where=str(path or PLACES[-1]),
                next=f'add a table [keyserver."{host[:200]}"] (docs/keyserver.md)',
            )
    if bool(service.api_key_file) + bool(service.token_file) + bool(service.certificate) > 1:
        raise UsageError("a key service is asked with one credential", where=str(path), next="leave the others out")
    root = path.parent if path else Path()
    if service.socket:
        connect = over_unix_socket(root / service.socket)
    else:
        name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", str(DEFAULT_PORT))
        connect = over_tls(name, int(port), _tls(service, root), check=lambda shown: _check_server(shown, service))
    return Caller(
        connect,
        what="the key service",
        where=service.socket or host,
        next="see whether 'strongroom keyserver serve' runs there",
        headers=lambda: _headers(service, root),
        limit=MAX_ANSWER_BYTES,
    )


def _configured() -> tuple[Path | None, Mapping[str, _Service]]:
    """The client's configuration and where it stands. Raises UsageError, InputError."""
    named = os.environ.get("STRONGROOM_CLIENT", "")
    candidates = [Path(named)] if named else [place.expanduser() for place in PLACES]
    path = next((one for one in candidates if os.access(one, os.R_OK) and one.is_file()), None)
    if path is None:
        if named:
            raise InputError("there is no such file to read", where=f"STRONGROOM_CLIENT {named}", next="unset it")
        return None, {}
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text())
        read = msgspec.convert(values, _Client)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, msgspec.ValidationError) as error:
        raise UsageError(f"the client's configuration is none: {error}", where=str(path)) from None
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    if read.version != 1:
        raise UsageError(f"version is {read.version}, this Strongroom knows 1", where=str(path))
    return path, read.keyserver


def _headers(service: _Service, root: Path) -> dict[str, str]:
    """Read anew each time: tokens are short-lived, and whoever renews them writes the file anew."""
    file = service.api_key_file or service.token_file
    if not file:
        return {}
    path = root / file
    try:
        with path.open("rb") as opened:
            lines = opened.read(MAX_CREDENTIAL_BYTES).decode("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no ASCII"
        raise InputError(f"the credential cannot be read: {why}", where=str(path)) from None
    if len(lines) != 1:
        raise InputError("the file holds no credential, or more than one", where=str(path))
    return {"Authorization": f"Bearer {lines[0]}"}


def _tls(service: _Service, root: Path) -> ssl.SSLContext:
    """Raises InputError for certificates that cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = not service.server_id  # a SPIFFE ID names a workload, wherever it runs
    try:
        if service.ca:
            context.load_verify_locations(root / service.ca)
        else:
            context.load_default_certs()
        if service.certificate:
            context.load_cert_chain(
                root / service.certificate, root / service.private_key if service.private_key else None
            )
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"certificates cannot be read: {error.strerror or type(error).__name__}",
            where=", ".join(str(root / one) for one in (service.ca, service.certificate) if one),
            next="name PEM files",
        ) from None
    return context


def _check_server(shown: bytes, service: _Service) -> None:
    """Raises RefusedError for a server that has another SPIFFE ID than it should. That its certificates lead to one
    that is trusted was checked before."""
    if not service.server_id:
        return
    from cryptography import x509

    try:
        names = x509.load_der_x509_certificate(shown).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound):
        found = []
    if found != [service.server_id]:
        raise RefusedError("another server answers than the key service", where=service.server_id)


def _tell(text: str) -> None:
    sys.stderr.write(f"strongroom: {text}\n")

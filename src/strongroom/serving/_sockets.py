"""Sockets to listen on: TCP, and Unix sockets that are never half made nor taken from a server that lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import StrongroomError, UsageError

__all__ = ["BACKLOG", "bind_tcp", "unix_listener", "url_of"]

LOOPBACK = "127.0.0.1"
BACKLOG = 512
MAX_SOCKET_PATH_BYTES = 107
"""sun_path of unix(7), less the terminating zero."""


def bind_tcp(listen: str) -> socket.socket:
    host, port = _parse_listen(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError):
        raise UsageError(f"'{host}' is no address of this machine", where=listen, next="name another one") from None
    listener = socket.socket(found[0], socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[4])
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StrongroomError(
            f"cannot listen: {error.strerror}", where=listen, next="stop what uses the port, or name another one"
        ) from error
    return listener


def _parse_listen(listen: str) -> tuple[str, int]:
    """`HOST:PORT`, `[v6]:PORT`, `:PORT` or `PORT`; without a host it is loopback, never every address."""
    host, _, port = listen.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        port = ""  # an IPv6 address without brackets could end in a port or not
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65_535:
        raise UsageError(f"'{listen[:80]}' is no address to listen on", next="write HOST:PORT, such as 127.0.0.1:8080")
    return host or LOOPBACK, int(port)


def url_of(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@contextlib.contextmanager
def unix_listener(path: Path, mode: int) -> Iterator[socket.socket]:
    """A listening Unix socket; its file is removed afterwards, if it is still ours."""
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise UsageError(
            f"the path of a Unix socket has at most {MAX_SOCKET_PATH_BYTES} bytes",
            where=str(path),
            next="name a shorter one, or one relative to the working directory",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            with _only_starter(path):
                _remove_dead(path)
                _bind_unix(listener, path, mode)
        except OSError as error:
            raise StrongroomError(
                f"the Unix socket cannot be made: {error.strerror}", where=str(path), next="check the directory"
            ) from error
        made = path.lstat()
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(made, path.lstat()):
                    path.unlink()


def _bind_unix(listener: socket.socket, path: Path, mode: int) -> None:
    """Nobody can connect before `listen`, so nobody ever meets another mode than the one asked for."""
    os.fchmod(listener.fileno(), mode)
    listener.bind(os.fspath(path))
    path.chmod(mode)
    listener.listen(BACKLOG)


@contextlib.contextmanager
def _only_starter(path: Path) -> Iterator[None]:
    """Two servers that start at once would each take the other's new socket for a dead one."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StrongroomError(
                "another server is starting in this directory", where=str(path), next="try again"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _remove_dead(path: Path) -> None:
    """Removes the socket file of a server that is gone. Raises StrongroomError for anything else that is there."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise StrongroomError("there is a file that is no socket", where=str(path), next="name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # it listens, and is busy
    raise StrongroomError("another server listens here", where=str(path), next="stop it, or name another path")

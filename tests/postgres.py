"""A PostgreSQL server for tests: from the binaries of this machine, on the loopback and a Unix socket, with a password."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PASSWORD = "pw-6042137598"
OWNER = "strongroom"
FOLDERS = ("/usr/local/bin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))
BEGINS_SECONDS = 60.0


def binary(name: str) -> str | None:
    return shutil.which(name) or next((found for one in FOLDERS if (found := shutil.which(name, path=one))), None)


class Server:
    """One PostgreSQL, which can be stopped and begun again. It refuses to be root, and becomes somebody else."""

    def __init__(self, *, durable: bool = False) -> None:
        """`durable`: what was committed survives a crash of the machine, not only of PostgreSQL."""
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        self.place = Path(tempfile.mkdtemp(prefix="pg-"))
        if self._user:
            shutil.chown(self.place, "nobody", "nogroup")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._durable = durable
        self._names = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._make()
        self.start()

    def _make(self) -> None:
        secret = self.place / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        command = [binary("initdb"), "-D", self.place / "data", "-U", OWNER, "-A", "scram-sha-256", "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "--no-sync", f"--pwfile={secret}"]
        done = subprocess.run(command, cwd=self.place, capture_output=True, check=False, **self._user)
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Returns when it answers."""
        import psycopg

        settings = [f"unix_socket_directories={self.place}", "listen_addresses=127.0.0.1", "shared_buffers=16MB"]
        settings += [f"fsync={'on' if self._durable else 'off'}", "max_wal_senders=0", "wal_level=minimal"]
        command = [binary("postgres"), "-D", self.place / "data", "-p", str(self.port)]
        command += [word for one in settings for word in ("-c", one)]
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.place, stdout=log, stderr=log, **self._user)
        ends = time.monotonic() + BEGINS_SECONDS
        while True:
            try:
                self.run("postgres", "SELECT 1")
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.place / "log").read_text()[-4000:]
                assert time.monotonic() < ends, "PostgreSQL does not begin"
                time.sleep(0.02)
            else:
                return

    def stop(self, *, crash: bool = True) -> None:
        """`crash`: at once, without telling anybody, as its immediate mode does; the next start recovers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def freeze(self, frozen: bool) -> None:
        """Stops or continues every process of it: connections stay, and nobody answers."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):  # what was let go may end at once
                os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)

    def database(self) -> str:
        """A new one's address, without the password."""
        name = f"site{next(self._names)}"
        self.run("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def schema(self) -> str:
        """The address of a new schema in one database: cheaper, where tests want many."""
        name = f"site{next(self._names)}"
        self.run("postgres", f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}?options=-csearch_path%3D{name}"

    def url(self, name: str) -> str:
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{name}"

    def run(self, database: str, statement: str, *values: Any) -> list[Any]:
        """As somebody else than Strongroom; `database` is a name or an address."""
        import psycopg

        url = database if "://" in database else self.url(database)
        with psycopg.connect(url, password=PASSWORD, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

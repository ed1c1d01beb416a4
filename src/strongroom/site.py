"""Opens an installation and wires it. Nothing else reads configuration or the environment.

    strongroom.toml   store/{exchanges,findings}/   keys/sketch.key   run/hunt.lock

The site's directory is readable by its owner alone. `keys/sketch.key` keys every digest of the store: with it
and the store, somebody can test whether a guessed text was sent, so it belongs where secrets belong.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.errors import InputError, IntegrityError, StrongroomError, UsageError

if TYPE_CHECKING:
    from .store import Store

__all__ = ["CONFIGURATION", "ENVIRONMENT", "Configuration", "Site", "temporary_site"]

ENVIRONMENT = {"STRONGROOM_SITE": "the site's directory where --site is not given"}
CONFIGURATION = {
    "version": "1: the version of this file",
    "keep_text": "true keeps the texts of prompts in the store; false (the default) keeps sketches alone",
}
_KEY_BYTES = 32


@dataclass(frozen=True)
class Configuration:
    """`strongroom.toml`."""

    keep_text: bool = False


class Site:
    """One installation."""

    def __init__(self, path: Path, configuration: Configuration, key: bytes) -> None:
        self.path = path
        self.configuration = configuration
        self._key = key

    @classmethod
    def create(cls, path: Path, *, keep_text: bool = False) -> Site:
        """Makes a site in a new or empty directory. Raises UsageError when something is there already."""
        _check_name(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            there = "a site is there already" if (path / "strongroom.toml").exists() else "the directory is not empty"
            raise UsageError(there, where=str(path), next="choose another directory")
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            for folder in ("store", "keys", "run"):
                (path / folder).mkdir(mode=0o700)
            _write_secret(path / "keys" / "sketch.key", secrets.token_hex(_KEY_BYTES) + "\n")
            # Last and at once, so that a directory without it is no site and a half-made one is never opened.
            (path / "strongroom.toml.part").write_text(_template(keep_text))
            (path / "strongroom.toml.part").replace(path / "strongroom.toml")
        except OSError as error:
            raise StrongroomError(
                f"the site cannot be made: {error.strerror}", where=str(path), next="check space and permissions"
            ) from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Site:
        """Opens a site. Raises InputError when there is none, UsageError for its configuration, IntegrityError."""
        _check_name(path)
        try:
            text = (path / "strongroom.toml").read_bytes()
        except FileNotFoundError:
            raise InputError("there is no site", where=str(path), next=f"run: strongroom init {path}") from None
        except OSError as error:
            raise InputError(f"the site cannot be read: {error.strerror}", where=str(path)) from error
        return cls(path, _configuration(text, path), _read_key(path / "keys" / "sketch.key"))

    @classmethod
    def find(cls, given: str | None) -> Site | None:
        """The site that `--site` or STRONGROOM_SITE names, or None when neither does."""
        path = cls.named(given)
        return cls.open(path) if path else None

    @staticmethod
    def named(given: str | None) -> Path | None:
        """The directory that `--site` or STRONGROOM_SITE names, whether or not a site is there."""
        path = given or os.environ.get("STRONGROOM_SITE")
        return Path(path) if path else None

    @cached_property
    def store(self) -> Store:
        """The site's tables."""
        from .store import Store

        return Store(self.path / "store")

    @property
    def sketch_key(self) -> bytes:
        """The key of every digest of the store."""
        return self._key

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Holds `run/hunt.lock`. Raises StrongroomError when another hunt on this site holds it."""
        try:
            (self.path / "run").mkdir(mode=0o700, exist_ok=True)
            opened = (self.path / "run" / "hunt.lock").open("w")
        except OSError as error:
            raise StrongroomError(
                f"the site cannot be locked: {error.strerror}", where=str(self.path), next="check space and permissions"
            ) from error
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StrongroomError(
                    "another hunt is at work on this site", where=str(self.path), next="wait for it to end"
                ) from None
            yield


@contextlib.contextmanager
def temporary_site(words: Sequence[str], *, keep_text: bool = False, options: Sequence[str] = ()) -> Iterator[Site]:
    """A site for one hunt, removed when it ends or its input is unusable; kept when it is interrupted or fails.

    Its place follows from the words of the command, the files that they name, and the `options` that decide what
    is read from them, so that the same command continues an interrupted hunt. What comes through a pipe cannot be
    read again: such a hunt gets a place of its own.
    """
    path = _temporary_path(words, keep_text=keep_text, options=options)
    try:
        if path.is_symlink() or (path.exists() and path.lstat().st_uid != os.getuid()):
            raise StrongroomError(
                "the temporary site belongs to somebody else",
                where=str(path),
                next="set TMPDIR to a directory of yours",
            )
        if path.exists() and not (path / "strongroom.toml").exists():
            shutil.rmtree(path)  # an interrupted start
        resumed = path.exists()
        site = Site.open(path) if resumed else Site.create(path, keep_text=keep_text)
    except OSError as error:
        raise StrongroomError(
            f"the temporary site cannot be made: {error.strerror}", where=str(path), next="remove it, or set TMPDIR"
        ) from error
    with site.exclusively():
        keep = False
        try:
            yield site
        except (InputError, UsageError):
            keep = resumed
            raise
        except BaseException:
            keep = True
            raise
        finally:
            if not keep or _streamed(words):
                shutil.rmtree(path, ignore_errors=True)


def _temporary_path(words: Sequence[str], *, keep_text: bool, options: Sequence[str]) -> Path:
    named = [word if word == "-" or "://" in word else str(Path(word).absolute()) for word in words]
    for word in words:
        # Another file under the old name (a rotated log) is another hunt.
        with contextlib.suppress(OSError, ValueError):
            status = Path(word).stat()
            named.append(f"{status.st_dev}:{status.st_ino}")
    if _streamed(words):
        named.append(secrets.token_hex(8))
    parts = [str(os.getuid()), str(keep_text), *named, "", *options]
    digest = hashlib.sha256(os.fsencode("\0".join(parts))).hexdigest()
    try:
        return Path(tempfile.gettempdir()) / f"strongroom-hunt-{digest[:16]}"
    except OSError as error:
        raise StrongroomError(f"no temporary directory: {error.strerror}", next="set TMPDIR, or use --site") from error


def _streamed(words: Sequence[str]) -> bool:
    """Whether something comes through a pipe, whose content is gone once it is read."""
    return any(word == "-" or word.startswith(("/dev/fd/", "/proc/self/fd/")) for word in words)


def _check_name(path: Path) -> None:
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise UsageError("the directory's name is no UTF-8", next="choose another directory") from None


def _template(keep_text: bool) -> str:
    return (
        "# Strongroom's configuration; docs/configuration.md describes each key.\n"
        "version = 1\n\n"
        "# Keep the texts of prompts? Without, sketches alone are kept: digests, MinHash, embedding, flags.\n"
        f"keep_text = {'true' if keep_text else 'false'}\n"
    )


def _configuration(text: bytes, path: Path) -> Configuration:
    where = str(path / "strongroom.toml")
    try:
        values: dict[str, Any] = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the configuration is no TOML: {error}", where=where) from None
    unknown = sorted(set(values) - set(CONFIGURATION))
    if unknown:
        known = ", ".join(CONFIGURATION)
        raise UsageError(f"unknown key '{unknown[0]}'", where=where, next=f"known keys: {known}")
    if values.get("version") != 1 or values["version"] is True:
        raise UsageError(
            f"version is {values.get('version')!r}, this Strongroom knows 1", where=where, next="upgrade Strongroom"
        )
    keep_text = values.get("keep_text", False)
    if not isinstance(keep_text, bool):
        raise UsageError("keep_text must be true or false", where=where)
    return Configuration(keep_text=keep_text)


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise IntegrityError(
            f"the site's sketch key cannot be read: {error}",
            where=str(path),
            next="restore it from a backup; without it what is stored cannot be compared with new logs",
        ) from None
    if len(key) != _KEY_BYTES:
        raise IntegrityError(f"the site's sketch key has {len(key)} bytes, not {_KEY_BYTES}", where=str(path))
    return key


def _write_secret(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())

"""Directories and git remotes keep checkpoints, and whoever can write to them cannot harm whoever reads them."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest

from strongroom.core.errors import IntegrityError, StrongroomError
from strongroom.ledger._anchors import Directory, GitRemote
from strongroom.ledger._checkpoint import Checkpoint
from strongroom.ledger._commit import Committed
from strongroom.ledger._notes import MAX_NOTE_BYTES, SigningKey, sign_note

ORIGIN = "log.example/test"
KEY, STRANGER = SigningKey(ORIGIN, b"k" * 32), SigningKey(ORIGIN, b"s" * 32)
KEYS = [KEY.verifier]


def committed(size: int, *, root: bytes = b"r" * 32, key: SigningKey = KEY) -> Committed:
    checkpoint = Checkpoint(ORIGIN, size, root)
    return Committed(checkpoint, sign_note(checkpoint.text(), [key]))


def git(*words: object, **environment: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def remote(tmp_path: Path) -> GitRemote:
    git("init", "-q", "--bare", tmp_path / "remote")
    return GitRemote(str(tmp_path / "remote"), tmp_path / "site" / "run" / "checkpoints.git", ORIGIN)


def push(tmp_path: Path, files: dict[str, bytes]) -> None:
    """Somebody else who may write to the remote."""
    clone = tmp_path / "clone"
    git("clone", "-q", "-b", "strongroom-checkpoints", tmp_path / "remote", clone)
    for name, data in files.items():
        (clone / name).write_bytes(data)
    git("-C", clone, "add", "-A")
    git("-C", clone, "commit", "-q", "-m", "mine")
    git("-C", clone, "push", "-q", "origin", "HEAD")


# A second directory


def test_a_directory_keeps_each_checkpoint_and_gives_back_the_largest(tmp_path: Path) -> None:
    place = Directory(tmp_path, ORIGIN)
    assert place.latest(KEYS) is None
    for size in (9, 100, 20):
        place.keep(committed(size))
    seen = place.latest(KEYS)
    assert seen is not None
    assert (seen.checkpoint.size, seen.outside) == (100, True)
    place.keep(committed(100, root=b"x" * 32))
    assert place.latest(KEYS) == seen, "none is written over"
    assert Directory(tmp_path, "log.example/other").latest(KEYS) is None, "logs share a directory and not a folder"


def test_a_directory_that_is_not_there_is_an_error_and_not_made(tmp_path: Path) -> None:
    """An empty mount point must not pass for the disk that was mounted there."""
    place = Directory(tmp_path / "gone", ORIGIN)
    for act in (lambda: place.keep(committed(1)), lambda: place.latest(KEYS)):
        with pytest.raises(StrongroomError, match="not there"):
            act()
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("data", [b"", b"\xff" * 10, b"x" * (MAX_NOTE_BYTES + 1), committed(5, key=STRANGER).note])
def test_a_forged_copy_is_an_integrity_error_that_names_the_file(tmp_path: Path, data: bytes) -> None:
    place = Directory(tmp_path, ORIGIN)
    place.keep(committed(5))
    (file,) = tmp_path.rglob("*.checkpoint")
    file.write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        place.latest(KEYS)
    assert caught.value.where == str(file)


def test_a_copy_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    place = Directory(tmp_path, ORIGIN)
    place.keep(committed(5))
    (file,) = tmp_path.rglob("*.checkpoint")
    file.unlink()
    file.mkdir()
    with pytest.raises(StrongroomError, match="cannot be read"):
        place.latest(KEYS)


# A git remote


def test_a_git_remote_keeps_one_commit_for_each_checkpoint(tmp_path: Path, remote: GitRemote) -> None:
    assert remote.latest(KEYS) is None
    for size in (3, 7, 7):
        remote.keep(committed(size))
    seen = remote.latest(KEYS)
    assert seen is not None
    assert seen.checkpoint.size == 7
    log = git("-C", tmp_path / "remote", "log", "--format=%s", "strongroom-checkpoints")
    assert log.split("\n")[:2] == ["checkpoint at 7", "checkpoint at 3"]


def test_two_logs_share_a_remote(tmp_path: Path, remote: GitRemote) -> None:
    other = GitRemote(str(tmp_path / "remote"), tmp_path / "other.git", "log.example/other")
    remote.keep(committed(3))
    other.keep(committed(4))
    remote.keep(committed(5))
    assert remote.latest(KEYS) is not None
    assert len(git("-C", tmp_path / "remote", "ls-tree", "--name-only", "strongroom-checkpoints").split()) == 2


def test_a_push_that_failed_is_made_up_for_though_nothing_changed(tmp_path: Path, remote: GitRemote) -> None:
    (tmp_path / "remote").rename(tmp_path / "away")
    with pytest.raises(StrongroomError, match="git push"):
        remote.keep(committed(3))
    (tmp_path / "away").rename(tmp_path / "remote")
    remote.keep(committed(3))
    assert remote.latest(KEYS) is not None


def test_another_repository_named_in_the_environment_is_left_alone(
    tmp_path: Path, remote: GitRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git sets GIT_DIR for hooks: a hook that calls us must not have its own repository reset."""
    mine = tmp_path / "mine"
    git("init", "-q", mine)
    (mine / "work").write_text("unsaved")
    git("-C", mine, "add", "work")
    before = git("-C", mine, "status", "--porcelain"), git("-C", mine, "config", "--list", "--local")
    monkeypatch.setenv("GIT_DIR", str(mine / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(mine))
    monkeypatch.setenv("GIT_INDEX_FILE", str(mine / ".git" / "index"))
    remote.keep(committed(3))
    remote.keep(committed(4))
    assert remote.latest(KEYS) is not None
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    assert (git("-C", mine, "status", "--porcelain"), git("-C", mine, "config", "--list", "--local")) == before


@pytest.mark.parametrize("data", [b"", b"\xff\xfe" * 10, b"x" * (MAX_NOTE_BYTES + 1), committed(9, key=STRANGER).note])
def test_what_a_stranger_pushed_is_an_integrity_error(tmp_path: Path, remote: GitRemote, data: bytes) -> None:
    remote.keep(committed(3))
    (name,) = git("-C", tmp_path / "remote", "ls-tree", "-r", "--name-only", "strongroom-checkpoints").split()
    push(tmp_path, {f"{name.partition('/')[0]}/{9:020d}.checkpoint": data})
    with pytest.raises(IntegrityError, match="git remote"):
        remote.latest(KEYS)


@pytest.mark.parametrize("data", [b"", committed(2).note])
def test_what_a_later_commit_changes_or_removes_still_counts(tmp_path: Path, remote: GitRemote, data: bytes) -> None:
    """Whoever may push, without force, cannot take back what was kept."""
    for size in (3, 7):
        remote.keep(committed(size))
    names = git("-C", tmp_path / "remote", "ls-tree", "-r", "--name-only", "strongroom-checkpoints").split()
    push(tmp_path, dict.fromkeys(names, data))
    git("-C", tmp_path / "clone", "rm", "-q", "-r", names[0].partition("/")[0])
    git("-C", tmp_path / "clone", "commit", "-q", "-m", "gone")
    git("-C", tmp_path / "clone", "push", "-q", "origin", "HEAD")
    seen = remote.latest(KEYS)
    assert seen is not None
    assert seen.checkpoint.size == 7


def test_an_older_checkpoint_under_a_higher_name_hides_nothing(tmp_path: Path, remote: GitRemote) -> None:
    place = Directory(tmp_path / "copy", ORIGIN)
    (tmp_path / "copy").mkdir()
    for each in (remote, place):
        for size in (3, 7):
            each.keep(committed(size))
    (folder,) = (tmp_path / "copy").iterdir()
    (folder / f"{99:020d}.checkpoint").write_bytes(committed(3).note)
    push(tmp_path, {f"{folder.name}/{99:020d}.checkpoint": committed(3).note})
    for each in (remote, place):
        with pytest.raises(IntegrityError, match="not at the size that its name says"):
            each.latest(KEYS)


@pytest.mark.parametrize("url", ["--upload-pack=touch hacked", "ext::sh -c 'touch hacked'", "a\0b"])
def test_an_address_is_never_an_option_or_a_command(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = GitRemote(url, tmp_path / "work", ORIGIN)
    for act in (lambda: place.keep(committed(3)), lambda: place.latest(KEYS)):
        with pytest.raises(StrongroomError):
            act()
    assert not list(tmp_path.rglob("hacked"))


def test_a_secret_in_the_address_is_not_in_the_error(tmp_path: Path) -> None:
    place = GitRemote("http://me:hunter2@127.0.0.1:1/x.git", tmp_path / "work", ORIGIN)
    with pytest.raises(StrongroomError) as caught:
        place.latest(KEYS)
    assert "hunter2" not in str(caught.value)


def test_hooks_of_the_machine_are_not_run(tmp_path: Path, remote: GitRemote, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "pre-push", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran; exit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "config").write_text(f"[core]\n\thooksPath = {hooks}\n[commit]\n\tgpgsign = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    remote.keep(committed(3))
    assert remote.latest(KEYS) is not None
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_is_an_error_and_no_crash(remote: GitRemote, monkeypatch: pytest.MonkeyPatch) -> None:
    remote.keep(committed(3))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StrongroomError, match="No space left"):
        remote.keep(committed(4))


def test_a_work_tree_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StrongroomError):
        GitRemote(str(tmp_path / "remote"), tmp_path / "file" / "work", ORIGIN).latest(KEYS)

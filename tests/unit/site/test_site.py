"""A site is whole or is none, is its owner's alone, and says what is wrong with its configuration."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import InputError, IntegrityError, StrongroomError, UsageError
from strongroom.site import Site, temporary_site


def test_a_new_site_opens_and_is_the_owners_alone(tmp_path: Path) -> None:
    site = Site.create(tmp_path / "site")
    assert not site.configuration.keep_text
    assert len(site.sketch_key) == 32
    assert stat.S_IMODE((tmp_path / "site").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "site/keys/sketch.key").stat().st_mode) == 0o600
    assert Site.open(tmp_path / "site").sketch_key == site.sketch_key


def test_two_sites_have_different_keys(tmp_path: Path) -> None:
    assert Site.create(tmp_path / "a").sketch_key != Site.create(tmp_path / "b").sketch_key


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        Site.create(tmp_path)
    Site.create(tmp_path / "site")
    with pytest.raises(UsageError, match="already"):
        Site.create(tmp_path / "site")


def test_no_site_is_said_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="strongroom init"):
        Site.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 1\nkeep_txt = true\n", "keep_txt"),
        ("version = 1\nkeep_text = 'yes'\n", "true or false"),
        ("version = 2\n", "upgrade"),
        ("keep_text = true\n", "version"),
        ("version = = 1", "TOML"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, text: str, message: str) -> None:
    Site.create(tmp_path / "site")
    (tmp_path / "site/strongroom.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        Site.open(tmp_path / "site")


@pytest.mark.parametrize("text", ["", "zz", "00" * 31])
def test_a_damaged_key_is_an_integrity_error(tmp_path: Path, text: str) -> None:
    Site.create(tmp_path / "site")
    (tmp_path / "site/keys/sketch.key").write_text(text)
    with pytest.raises(IntegrityError, match=r"sketch\.key"):
        Site.open(tmp_path / "site")


def test_the_option_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Site.create(tmp_path / "a")
    Site.create(tmp_path / "b")
    monkeypatch.setenv("STRONGROOM_SITE", str(tmp_path / "a"))
    by_environment, by_option = Site.find(None), Site.find(str(tmp_path / "b"))
    assert by_environment is not None
    assert by_environment.path.name == "a"
    assert by_option is not None
    assert by_option.path.name == "b"


def test_two_hunts_on_one_site_do_not_mix(tmp_path: Path) -> None:
    site = Site.create(tmp_path / "site")
    with site.exclusively(), pytest.raises(StrongroomError, match="another hunt"), Site.open(site.path).exclusively():
        pass


def test_a_temporary_site_is_there_again_after_an_interruption_and_gone_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), temporary_site(["a.jsonl"]) as site:
        key, path = site.sketch_key, site.path
        raise KeyboardInterrupt
    assert path.exists()
    with temporary_site(["a.jsonl"]) as again:
        assert again.sketch_key == key
    assert not path.exists()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that is the temporary one."""
    path = tmp_path / "tmp"
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    monkeypatch.chdir(tmp_path)
    return path


def interrupted(words: list[str], **more: Any) -> Path:
    with pytest.raises(KeyboardInterrupt), temporary_site(words, **more) as site:
        raise KeyboardInterrupt
    return site.path


def test_a_failure_keeps_what_was_read_and_unusable_input_leaves_nothing(temporary: Path) -> None:
    with pytest.raises(StrongroomError, match="disk"), temporary_site(["a.jsonl"]) as site:
        raise StrongroomError("the disk is full")
    assert site.path.exists()
    with pytest.raises(InputError), temporary_site(["a.jsonl"]):
        raise InputError("the file is not there just now")
    assert site.path.exists()
    for error in (InputError, UsageError):
        with pytest.raises(error), temporary_site(["b.jsonl"]):
            raise error("nothing to read")
    assert list(temporary.iterdir()) == [site.path]


def test_another_command_does_not_continue_a_hunt_that_is_not_its_own(temporary: Path) -> None:
    Path("a.jsonl").write_text("{}\n")
    places = {
        interrupted(["a.jsonl"]),
        interrupted(["a.jsonl"], options=["", "account=user"]),
        interrupted(["a.jsonl"], options=["", "account=org"]),
        interrupted(["a.jsonl"], keep_text=True),
        interrupted(["a.jsonl", "b.jsonl"]),
    }
    assert len(places) == 5
    assert interrupted([str(Path("a.jsonl").absolute())], options=["", "account=user"]) in places
    Path("a.jsonl").rename("a.jsonl.1")  # rotated
    Path("a.jsonl").write_text("{}\n")
    assert interrupted(["a.jsonl"]) not in places


@pytest.mark.parametrize("word", ["-", "/dev/fd/63"])
def test_what_came_through_a_pipe_is_not_mixed_with_what_comes_next(temporary: Path, word: str) -> None:
    interrupted([word])
    assert list(temporary.iterdir()) == []


def test_a_half_made_temporary_site_is_made_anew(temporary: Path) -> None:
    path = interrupted(["a.jsonl"])
    (path / "strongroom.toml").unlink()
    (path / "strongroom.toml.part").write_text("vers")
    with temporary_site(["a.jsonl"]) as site:
        assert site.path == path
    assert list(temporary.iterdir()) == []


def test_a_temporary_site_of_somebody_else_is_refused(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = interrupted(["a.jsonl"])
    uid = os.getuid()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", _owned_by(uid + 1))
        with pytest.raises(StrongroomError, match="somebody else") as caught, temporary_site(["a.jsonl"]):
            pass
    assert "TMPDIR" in caught.value.next
    elsewhere = temporary.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(StrongroomError, match="somebody else"), temporary_site(["a.jsonl"]):
        pass
    assert (elsewhere / "strongroom.toml").exists()


def _owned_by(uid: int) -> Callable[[Path], os.stat_result]:
    def status(path: Path) -> os.stat_result:
        found = list(path.stat(follow_symlinks=False))
        found[4] = uid
        return os.stat_result(found)

    return status


def test_a_file_in_the_place_of_a_temporary_site_is_an_error_of_ours(temporary: Path) -> None:
    path = interrupted(["a.jsonl"])
    shutil.rmtree(path)
    path.write_text("what is this?")
    with pytest.raises(StrongroomError, match="cannot be made"), temporary_site(["a.jsonl"]):
        pass


def test_a_site_is_there_at_once_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        Site.create(tmp_path / "site")
    with pytest.raises(InputError, match="no site"):
        Site.open(tmp_path / "site")

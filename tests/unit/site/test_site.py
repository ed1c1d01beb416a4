"""A site is whole or is none, is its owner's alone, and says what is wrong with its configuration."""

from __future__ import annotations

import stat
from pathlib import Path

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

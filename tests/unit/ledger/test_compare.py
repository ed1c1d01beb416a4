"""Two views of one log: the same, one continues the other, or the key signed two histories."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.core.errors import IntegrityError, UsageError
from strongroom.ledger import Checkpoint, Comparison, LogReader, View, compare, open_source, read_checkpoint
from strongroom.ledger._checkpoint import open_checkpoint
from strongroom.ledger._notes import SigningKey, sign_note

from .ledgers import ORIGIN, Home, entry


def view(home: Home, *, tiles: bool = True) -> View:
    source = open_source(str(home.path))
    signed = read_checkpoint(source, [home.verifier])
    return View(str(home.path), signed, LogReader(source, signed) if tiles else None)


def log(path: Path, common: int, own: int, name: str = "") -> Home:
    """A log of `common` entries that all have, and `own` of its own."""
    home = Home(path)
    sequencer = home.open()
    sequencer.append_many([entry(number) for number in range(common)])
    sequencer.append_many([entry(number, of=name) for number in range(own)])
    sequencer.close()
    return home


def both(first: View, second: View) -> Comparison:
    """The order of the two does not matter."""
    one, two = compare(first, second), compare(second, first)
    assert (one.verdict, one.common) == (two.verdict, two.common)
    assert {one.smaller.name, one.larger.name} == {two.smaller.name, two.larger.name}
    return one


@pytest.mark.parametrize(("size", "more"), [(0, 0), (0, 3), (3, 0), (255, 2), (256, 300), (700, 1)])
def test_a_log_and_its_own_past(tmp_path: Path, size: int, more: int) -> None:
    home = log(tmp_path / "log", size, 0)
    old = view(home, tiles=False)
    home.grow(size, more)
    new = view(home)
    found = both(old, new)
    assert (found.verdict, found.common) == ("same" if more == 0 else "continues", size)
    assert found.larger.signed.checkpoint.size == size + more


@pytest.mark.parametrize(
    ("common", "first", "second"),
    [(0, 1, 1), (0, 3, 700), (1, 1, 5), (300, 5, 5), (255, 1, 1), (512, 1, 300), (7, 600, 1)],
)
def test_a_split_view_says_how_much_is_common(tmp_path: Path, common: int, first: int, second: int) -> None:
    one, two = log(tmp_path / "1", common, first, "one"), log(tmp_path / "2", common, second, "two")
    found = both(view(one), view(two))
    assert (found.verdict, found.common) == ("split", common)
    smaller = one if first <= second else two
    larger = two if first <= second else one
    without = compare(view(smaller, tiles=False), view(larger))
    assert (without.verdict, without.common) == ("split", None)


def test_checkpoints_of_different_sizes_need_the_log(tmp_path: Path) -> None:
    home = log(tmp_path / "log", 5, 0)
    old = view(home)
    home.grow(5, 5)
    with pytest.raises(UsageError, match="without the log"):
        both(old, view(home, tiles=False))


def test_two_checkpoints_of_one_size_need_no_log(tmp_path: Path) -> None:
    key = SigningKey(ORIGIN, bytes(32))
    views = [
        View(name, open_checkpoint(sign_note(Checkpoint(ORIGIN, 5, root).text(), [key]), [key.verifier], where=name))
        for name, root in (("a", b"a" * 32), ("b", b"b" * 32))
    ]
    assert both(*views).verdict == "split"
    assert both(views[0], views[0]).verdict == "same"


def test_views_of_two_logs_are_not_compared(tmp_path: Path) -> None:
    key = SigningKey("log.example/other", bytes(32))
    note = sign_note(Checkpoint("log.example/other", 0, Checkpoint("x", 0, b"").root or _empty()).text(), [key])
    other = View("other", open_checkpoint(note, [key.verifier], where="other"))
    with pytest.raises(UsageError, match="two logs"):
        compare(other, view(log(tmp_path / "log", 2, 0)))


def _empty() -> bytes:
    from strongroom.ledger._merkle import EMPTY_ROOT

    return EMPTY_ROOT


def test_tiles_that_do_not_lead_to_the_checkpoint_prove_nothing(tmp_path: Path) -> None:
    """Otherwise whoever serves wrong tiles could make an honest log look split, or a split one continue."""
    home = log(tmp_path / "log", 5, 0)
    old = view(home)
    home.grow(5, 5)
    (tile,) = home.public.glob("tile/0/000.p/10")
    data = tile.read_bytes()
    tile.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(IntegrityError, match="do not lead to the checkpoint"):
        both(old, view(home))


def test_a_tile_of_the_other_history_does_not_join_the_two(tmp_path: Path) -> None:
    """Every tile that a root rests on must lead to the signed one: a stranger's tile in its place proves nothing."""
    one, two = log(tmp_path / "1", 256, 44, "one"), log(tmp_path / "2", 256, 300, "two")
    assert compare(view(one), view(two)).verdict == "split"
    (two.public / "tile/0/001").write_bytes((one.public / "tile/0/001.p/44").read_bytes() + bytes(212 * 32))
    with pytest.raises(IntegrityError, match="do not lead to the checkpoint's root"):
        compare(view(one), view(two))

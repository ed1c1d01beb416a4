"""Ours, as the benchmark calls it. `source` and `out` are a file or a folder; `sealed` is what `seal` made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from strongroom.vault import Door, KeyFolder, PrivateKey, find_sources, open_object, safe_open
from strongroom.vault import seal as seal_files
from strongroom.vault import unseal as unseal_files

SYNCS = True
"""Whether `seal` and `unseal` return only when all of it is on the disk. If so, ours has no figures without fsync."""
_doors: list[Door] = []


def start(folder: Path) -> None:
    """Called once in each process, before anything else. What is kept in `folder` (keys, a site) the next one finds."""
    keys = folder / "strongroom-keys"
    if not keys.exists():
        keys.mkdir(parents=True)
        PrivateKey.generate("mlkem768-x25519", "site").write(keys)
        PrivateKey.generate("p256", "signer").write(keys)
    known = KeyFolder(keys)
    _doors[:] = [Door(keys=known, trusted=known.signers, signer=known.signers[0], recipients=known.recipients)]


def _own() -> Door:
    return _doors[0]


def seal(source: Path, out: Path, threads: int) -> None:
    """Seals a file, or every file of a folder, into `out`, which does not exist."""
    seal_files(find_sources([source]), out, _own().recipients, _own(), threads=threads)


def unseal(sealed: Path, out: Path, threads: int) -> None:
    """The file that was sealed becomes `out`, or the folder does; `out` does not exist."""
    with open_object(sealed, door=_own()) as opened:
        names = opened.names()
        if len(names) > 1:
            unseal_files(opened, out, threads=threads)
            return
        folder = out.with_name(out.name + ".folder")
        unseal_files(opened, folder, threads=threads)
        (folder / names[0]).rename(out)
        folder.rmdir()


def opened(sealed: Path) -> Any:
    """Opens a sealed safetensors file for reading parts of it: what `tensor` and `row` take. Not timed."""
    with open_object(sealed, door=_own()) as found:
        return safe_open(sealed / found.names()[0], "np", door=_own())


def tensor(sealed: Any, name: str) -> Any:
    """A tensor (NumPy) of what `opened` returned."""
    return sealed.get_tensor(name)


def row(sealed: Any, name: str, index: int) -> Any:
    """One row of a tensor of what `opened` returned (NumPy)."""
    return sealed.get_slice(name)[index]

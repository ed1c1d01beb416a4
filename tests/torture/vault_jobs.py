"""What may be killed, or may meet a full disk: each job with its old state, its new one, and what it may leave."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.unit.vault.rooms import SEGMENT, write_files

from strongroom.core.errors import StrongroomError
from strongroom.vault import Manifest, create, find_sources, open_file, open_object, rekey, rotate, seal, unseal
from strongroom.vault._manifest import place_of
from strongroom.vault._writer import add_file

from .vault_workshop import Workshop, content, headers_of, holds, journal_of, plain_below, read_whole

PIECE = 10_000
"""Of what a program writes at once."""


@dataclass
class Job:
    """One operation on what lies in a directory of its own. `name` is that of the operation."""

    name: str
    shop: Workshop
    base: Path
    threads: int = 1
    torn: bool = False
    """Whether the power went: then files of a work directory may be torn."""
    again = False
    """Whether it can be done once more when it was done."""
    kept: dict[str, object] = field(default_factory=dict)
    """What a run that was killed had made durable: the next one must not make it anew."""

    def __post_init__(self) -> None:
        self.door = self.shop.door()

    @property
    def out(self) -> Path:
        return self.base / "m.sealed"

    @property
    def work(self) -> Path:
        return self.base / "no such directory"

    def prepare(self) -> None:
        """The old state."""
        self.base.mkdir()

    def run(self) -> None:
        """The operation. Raises what it raises."""
        raise NotImplementedError

    def state(self) -> str:
        """`old` or `new`. Fails for anything else."""
        raise NotImplementedError

    def look(self) -> str:
        """`state`; and no plaintext lies where none may."""
        state = self.state()
        for path, data in plain_below(self.base):
            assert self.may_lie(path, data), f"plaintext of {len(data)} bytes was left: {path}"
        return state

    def may_lie(self, path: Path, data: bytes) -> bool:
        """Whether plaintext may lie there."""
        return False

    def promise(self, state: str) -> None:
        """Notes what the next run must not make anew."""

    def ends(self, state: str) -> bool:
        """Whether it was being put into its place: nobody knows whether that happened, and the next run begins anew."""
        return state == "new" or {"placing": True} in journal_of(self.work)

    def promised(self, state: str) -> list[dict[str, Any]]:
        """What the journal says that the next run need not do."""
        return [] if self.ends(state) else journal_of(self.work)

    def check_kept(self) -> None:
        """All that was promised was kept."""

    def leftovers(self) -> list[str]:
        """What is there beside the object."""
        return sorted(path.name for path in self.base.iterdir() if path != self.out)

    def read(self, strangers: Sequence[str] = ()) -> tuple[Manifest, str]:
        """The manifest of the object, which is whole, and of when its files are: `old`, `new` or another name."""
        manifest, found = read_whole(self.out, self.door, strangers)
        when = [when for when, files in self.shop.files.items() if files == found]
        assert when, "neither the old files nor the new ones"
        return manifest, when[0]


class Seal(Job):
    @property
    def work(self) -> Path:
        return self.base / ".m.sealed.sealing"

    def run(self) -> None:
        seal(
            find_sources([self.shop.source]),
            self.out,
            self.door.recipients,
            self.door,
            segment_length=SEGMENT,
            threads=self.threads,
            replace=self.again,
        )

    def state(self) -> str:
        if not self.out.exists():
            return "old"
        assert self.read()[1] == "new"
        return "new"

    def promise(self, state: str) -> None:
        kept = {
            line["file"]["name"]: base64.b64decode(line["file"]["header"])
            for line in self.promised(state)
            if "file" in line
        }
        assert self.ends(state) or kept.items() >= self.kept.items(), "what was sealed was forgotten"
        self.kept = dict(kept)

    def check_kept(self) -> None:
        assert headers_of(self.read()[0]).items() >= self.kept.items(), "a sealed file was made anew"


class SealForce(Seal):
    again = True

    def prepare(self) -> None:
        super().prepare()
        self.shop.copy("old", self.out)

    def state(self) -> str:
        return self.read()[1]


class Unseal(Job):
    @property
    def out(self) -> Path:
        return self.base / "out"

    @property
    def work(self) -> Path:
        return self.base / ".out.unsealing"

    def run(self) -> None:
        with open_object(self.shop.objects["new"], door=self.door) as sealed:
            unseal(sealed, self.out, threads=self.threads, replace=self.again)

    def state(self) -> str:
        if not self.out.exists():
            return "old"
        assert holds(self.out, self.shop.files["new"]), "neither nothing nor all of it"
        return "new"

    def may_lie(self, path: Path, data: bytes) -> bool:
        for root in (self.out, self.work / "object"):
            if root in path.parents:
                name = path.relative_to(root).as_posix()
                assert self.work.stat().st_mode & 0o077 == 0 if root != self.out else True
                return data in self.whole_files(name) or (self.torn and root != self.out)
        return False

    def whole_files(self, name: str) -> list[bytes]:
        return [self.shop.files["new"][name]]

    def promise(self, state: str) -> None:
        names = [line["file"] for line in self.promised(state) if "file" in line]
        kept: dict[str, object] = {name: (self.work / "object" / name).stat().st_ino for name in names}
        assert self.ends(state) or kept.items() >= self.kept.items(), "what was decrypted was forgotten"
        self.kept = kept

    def check_kept(self) -> None:
        assert {name: (self.out / name).stat().st_ino for name in self.kept} == self.kept, "a file was made anew"


class UnsealForce(Unseal):
    again = True

    def prepare(self) -> None:
        super().prepare()
        write_files(self.out, self.shop.files["old"])

    def state(self) -> str:
        for when in ("old", "new"):
            if holds(self.out, self.shop.files[when]):
                return when
        raise AssertionError("neither the old nor the new files")

    def whole_files(self, name: str) -> list[bytes]:
        return [files[name] for files in self.shop.files.values()]


class OfObject(Job):
    """On an object that is there."""

    def prepare(self) -> None:
        super().prepare()
        self.shop.copy("new", self.out)


class Rekey(OfObject):
    def run(self) -> None:
        with open_object(self.out, door=self.door, action="Rekey") as sealed:
            rekey(sealed, self.door, add=[self.shop.ally.public], remove=["recovery"])

    def state(self) -> str:
        manifest, when = self.read()
        assert when == "new"
        names = [[one.name for one in wraps] for wraps in manifest.keys]
        assert names in ([["site", "recovery"]], [["site", "ally"]])
        assert (manifest.version == 1) == ("recovery" in names[0])
        return "old" if "recovery" in names[0] else "new"


class Rotate(OfObject):
    again = True

    @property
    def work(self) -> Path:
        return self.base / ".m.sealed.rotating"

    def run(self) -> None:
        with open_object(self.out, door=self.door, action="Rekey") as sealed:
            rotate(sealed, [self.shop.own.site.public], self.door, threads=self.threads)

    def state(self) -> str:
        manifest, when = self.read()
        assert when == "new"
        before = set(headers_of(self.shop.manifests["new"]).values())
        common = before & set(headers_of(manifest).values())
        names = [one.name for one in manifest.keys[0]]
        assert (len(common), names) in ((0, ["site"]), (len(before), ["site", "recovery"]))
        return "old" if common else "new"


class Create(Job):
    @property
    def work(self) -> Path:
        return self.base / ".m.sealed.writing"

    def run(self) -> None:
        with create(self.out, door=self.door, segment_length=SEGMENT) as made:
            for name, data in self.shop.files["new"].items():
                with made.open(name) as file:
                    for at in range(0, len(data), PIECE):
                        file.write(data[at : at + PIECE])

    def state(self) -> str:
        if not self.out.exists():
            return "old"
        assert self.read()[1] == "new"
        return "new"


class OpenNew(Create):
    """`open_file(…, "wb")` of a new object."""

    @cached_property
    def data(self) -> bytes:
        return content("model.bin", self.shop.largest, "new")

    def run(self) -> None:
        with open_file(self.out / "model.bin", "wb", door=self.door) as file:
            for at in range(0, len(self.data), PIECE):
                file.write(self.data[at : at + PIECE])

    def state(self) -> str:
        if not self.out.exists():
            return "old"
        assert read_whole(self.out, self.door)[1] == {"model.bin": self.data}
        return "new"


class AddFile(OfObject):
    """One more file, in directories that are not there yet."""

    added = "more/of it/added.bin"

    @cached_property
    def data(self) -> bytes:
        return content(self.added, self.shop.largest // 2, "added")

    def run(self) -> None:
        with add_file(self.out, self.added, segment_length=SEGMENT, door=self.door) as file:
            for at in range(0, len(self.data), PIECE):
                file.write(self.data[at : at + PIECE])

    def state(self) -> str:
        # Two renames make a file known: a kill between them leaves one that `check` tells of and the next run replaces.
        _, found = read_whole(self.out, self.door, strangers=[place_of(self.added)])
        if self.added not in found:
            assert found == self.shop.files["new"]
            return "old"
        assert found == self.shop.files["new"] | {self.added: self.data}
        return "new"

    def leftovers(self) -> list[str]:
        known = {"SEALED", "model.sig", "files"}
        return super().leftovers() + sorted({path.name for path in self.out.iterdir()} - known)


JOBS: dict[str, type[Job]] = {
    "seal": Seal,
    "seal --force": SealForce,
    "unseal": Unseal,
    "unseal --force": UnsealForce,
    "rekey": Rekey,
    "rekey --rotate-data": Rotate,
    "create": Create,
    "open_file of a new object": OpenNew,
    "open_file of one more file": AddFile,
}


def finish(job: Job) -> None:
    """The same once more, where it is not done yet or can be done again. Raises what it raises."""
    if job.again or job.look() == "old":
        job.run()


def refused(job: Job) -> StrongroomError | None:
    """The job's own error, or None where it came through."""
    try:
        job.run()
    except StrongroomError as error:
        return error
    return None

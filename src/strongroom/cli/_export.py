"""`strongroom store export`: the access events that a site stores, as OCSF."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from strongroom.core.errors import RecordError, UsageError

from ._options import SiteOption, check_writable, need_site, whole_file, window_of
from ._output import counting, harmless, print_notice
from ._site import store

if TYPE_CHECKING:
    from strongroom.site import Site

__all__ = ["export"]

ROWS = 4_096
"""Rows that are turned into events at a time: with 200 fields each some 100 MB as Python's objects."""
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_OTHERS = (".parquet", ".csv", ".bz2", ".xz", ".zip")


@store.command("export")
def export(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write there instead of stdout; .gz and .zst compress."),
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is older (a time, or 14d).")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is from then on.")] = "",
    site: SiteOption = "",
) -> None:
    """Write access events as OCSF 1.8 API Activity, one JSON object a line. Exchanges are left out."""
    window = window_of(since, until)
    opened = need_site(context, site)
    if out is not None:
        _check_output(opened, out)
    events = opened.store.access_events(*window)
    total = int(opened.store.table(events.aggregate(n=events.count()))["n"][0].as_py())
    left_out: dict[str, int] = {}
    # Between lines on the same terminal a bar would only be in the way.
    shown = (
        contextlib.nullcontext(_untold) if out is None and sys.stdout.isatty() else counting("writing access events")
    )
    with shown as progress:
        lines = _lines(opened, events, lambda done: progress(done, total), left_out)
        if out is None:
            # As bytes: a stdout of another encoding could not hold every name.
            for line in lines:
                sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        else:
            count = _write(out, lines)
    for reason, number in left_out.items():
        print_notice(f"{number:,} access events left out: {reason}")
    if out is not None:
        print_notice(f"{count:,} access events: {out}")


def _untold(done: int, total: int) -> None:
    """Tells no progress."""


def _check_output(opened: Site, out: Path) -> None:
    """Raises UsageError rather than write over a log that was read, or into the site; and for a name of a format that
    there is not."""
    check_writable(out, "--out")
    where = f"--out {out}"
    if out.suffix.lower() in _OTHERS:
        raise UsageError(f"'{out.suffix}' is not written", where=where, next="name FILE.jsonl, FILE.gz or FILE.zst")
    if out.resolve().is_relative_to(opened.path.resolve()):
        raise UsageError("this is in the site", where=where, next="name a file elsewhere")
    if out.is_file():
        events = opened.store.access_events()
        for source in opened.store.table(events.select("source").distinct())["source"].to_pylist():
            if source and _may_be(source, out):
                raise UsageError("this is one of the logs", where=where, next="name another file")


def _may_be(source: str, out: Path) -> bool:
    """Whether a log that was read is the file `out`. One named from elsewhere may be each that has its name."""
    with contextlib.suppress(OSError, ValueError):  # it may be gone, or an address
        if out.samefile(source):
            return True
    return not Path(source).is_absolute() and "://" not in source and Path(source).name == out.resolve().name


def _lines(opened: Site, events: Any, progress: Callable[[int], None], left_out: dict[str, int]) -> Iterator[bytes]:
    """The events as lines of JSON, in batches of which one is in memory; `left_out` counts the others by reason."""
    import msgspec

    from strongroom.audit import stored_activity
    from strongroom.detect.assets import resolve
    from strongroom.store import microseconds

    encode = msgspec.json.Encoder().encode
    with opened.state as state:
        named = resolve(events, state.assets())
    done = 0
    for batch in opened.store.batches(named.mutate(time=microseconds(named.time)), rows=ROWS):
        for row in batch.to_pylist():
            try:
                yield harmless(encode(stored_activity(row))) + b"\n"
            except RecordError as error:
                left_out[error.message] = left_out.get(error.message, 0) + 1
        done += batch.num_rows
        progress(done)


def _write(path: Path, lines: Iterable[bytes]) -> int:
    """Returns how many lines were written. Raises StrongroomError."""
    count = 0
    with whole_file(path) as file, _compressed(file, path.resolve().suffix.lower()) as sink:
        for line in lines:
            sink.write(line)
            count += 1
    return count


@contextlib.contextmanager
def _compressed(file: IO[bytes], suffix: str) -> Iterator[Any]:
    if suffix not in COMPRESSIONS:
        yield file
        return
    import pyarrow as pa

    with pa.CompressedOutputStream(file, COMPRESSIONS[suffix]) as sink:
        yield sink

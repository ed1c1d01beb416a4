"""`strongroom hunt`: read logs, find who is copying the model, show the verdict."""

from __future__ import annotations

import contextlib
import glob
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from strongroom import __version__
from strongroom.core.clock import now
from strongroom.core.errors import InputError, StrongroomError, UsageError

from ._logs import PassphraseFile, passphrase_for
from ._options import Json, SiteOption, check_writable, given_site, window_of, write_output
from ._output import print_json, print_notice, stdout, watching
from ._watch import EVERY, check_watch, go_on, pause_of

if TYPE_CHECKING:
    from strongroom.core.records import Entry, Verdict
    from strongroom.detect.campaign import AlertBudget
    from strongroom.detect.rules import Rules
    from strongroom.hunt.circumstances import Circumstances
    from strongroom.ingest.reader import Reader
    from strongroom.site import Site

__all__ = ["check_outputs", "hunt", "publish"]

FOUND = 1


def hunt(
    context: typer.Context,
    logs: Annotated[
        list[str] | None,
        typer.Argument(metavar="LOGS…", help="Files, directories, globs, -, s3://…; none: what the site holds."),
    ] = None,
    site: SiteOption = "",
    json: Json = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the verdict as an HTML page too.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the accounts as CSV.")] = None,
    format: Annotated[str, typer.Option(metavar="NAME", help="Read every log as this format.")] = "",
    map: Annotated[
        list[str] | None,
        typer.Option(metavar="TARGET=FIELD", help="For CSV, Parquet or unknown JSON: which field is what."),
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is older (a time, or 14d).")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is from then on.")] = "",
    rejects: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where places of bad records are written.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=0, max=256, help="Processes; 0 chooses.")] = 0,
    rules: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Sigma rules for access logs, beside our own: files or directories."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    alert_budget: Annotated[
        str, typer.Option(metavar="N/DURATION", help="False alerts that are acceptable, such as 1/30d.")
    ] = "",
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Measure which campaigns would be found here: minutes.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on: read what is added, tell what is new.")] = False,
    every: Annotated[str, typer.Option(metavar="DURATION", help="With --watch: from cycle to cycle.")] = EVERY,
    each_cycle: Annotated[bool, typer.Option("--each-cycle", help="With --watch: tell every cycle too.")] = False,
) -> None:
    """Find who is taking a model or a dataset. Exit 0: nothing found, 1: found.

    In logs of exchanges: accounts that copy the model together. In logs of access: intrusion and exfiltration.

    Needs no site: without one the hunt works in a temporary one, which is removed when it ends. An interrupted
    hunt continues when the same command is given again. With --watch it goes on until it is interrupted.
    """
    words = list(logs or [])
    check_watch(words, watch=watch, every=every, each_cycle=each_cycle, sensitivity=sensitivity)
    reader = _reader(format, map or [])
    window = window_of(since, until)
    budget = _budget(alert_budget)
    compared = _rules(rules or [])
    check_outputs({"--report": report, "--csv": csv, "--rejects": rejects}, words)
    reading = [format, *sorted(map or [])]
    with _site(given_site(context, site), words, reading) as opened, _rejects(opened, rejects) as places:
        from strongroom.hunt import Hunt, alarming, run_hunt

        unrecorded: list[StrongroomError] = []
        record = _recording(opened, passphrase_file, unrecorded.append)
        from strongroom.ingest import Settings, readable

        asked = Hunt(
            words=words,
            store=opened.site.store,
            settings=Settings(
                opened.site.sketch_key, opened.site.configuration.keep_text, since=window[0], until=window[1]
            ),
            command=shlex.join(["strongroom", *(readable(word) for word in sys.argv[1:])]),
            version=__version__,
            site="" if opened.temporary else str(opened.site.path),
            reader=reader,
            rejects=places,
            rejects_path=places.name,
            workers=workers or None,
            budget=budget,
            sensitivity=sensitivity,
            configuration=opened.site.configuration_digest,
            assets=[] if opened.temporary else opened.site.state.assets(),
            rules=compared,
            record=record,
        )
        if watch:
            go_on(asked, unrecorded, pause=pause_of(every), json=json, each_cycle=each_cycle, report=report, csv=csv)
        with watching() as watcher:
            verdict, circumstances = run_hunt(asked, now(), watcher)
    publish(verdict, circumstances, json=json, report=report, csv=csv)
    for error in unrecorded:  # hours of work are shown first
        error.message = f"this hunt is not on record: {error.message}"
        raise error
    if alarming(verdict):
        raise typer.Exit(FOUND)


def _recording(
    opened: _Opened, passphrase_file: Path | None, failed: Callable[[StrongroomError], None]
) -> Callable[[Entry], None] | None:
    """How this hunt goes on record; a passphrase that is missing or wrong is told before hours of work."""
    ledger = opened.site.ledger
    if opened.temporary or not ledger.exists:
        return None
    secret = passphrase_for(opened.site, passphrase_file)
    if ledger.sealed and (secret or not opened.site.served):
        ledger.check_passphrase(secret)

    def record(entry: Entry) -> None:
        try:
            with opened.site.recorder(passphrase=secret, notify=print_notice) as recorder:
                recorder.append(entry)
        except StrongroomError as error:
            failed(error)

    return record


def publish(
    verdict: Verdict, circumstances: Circumstances, *, json: bool, report: Path | None, csv: Path | None
) -> None:
    """The verdict to stdout, and to the files that were asked for."""
    from strongroom.hunt import print_verdict, render_csv, render_html

    if json:
        print_json(verdict)
    else:
        print_verdict(verdict, circumstances, stdout())
    if report is not None:
        write_output(report, render_html(verdict, circumstances))
        sys.stderr.write(f"report: {report}\n")
    if csv is not None:
        write_output(csv, render_csv(verdict))
        sys.stderr.write(f"accounts: {csv}\n")


def check_outputs(outputs: dict[str, Path | None], words: list[str]) -> None:
    """Raises UsageError for what cannot be written, for two outputs in one file, and rather than write over a log."""
    named = {option: path for option, path in outputs.items() if path is not None}
    for option, path in named.items():
        check_writable(path, option)
        if any(path.resolve() == other.resolve() for name, other in named.items() if name != option):
            raise UsageError("two outputs go to one file", where=f"{option} {path}", next="name another file")
        with contextlib.suppress(ValueError):
            if any(_reads(word, path) for word in words):
                raise UsageError("this is one of the logs", where=f"{option} {path}", next="name another file")


def _reads(word: str, path: Path) -> bool:
    """Whether a hunt in `word` reads the file that is at `path`."""
    if not path.is_file() or word == "-" or "://" in word:
        return False
    for found in [word] if os.path.lexists(word) else glob.glob(word, recursive=True):  # noqa: PTH207
        with contextlib.suppress(OSError):
            folder = Path(found)
            if path.samefile(folder) or (folder.is_dir() and path.resolve().is_relative_to(folder.resolve())):
                return True
    return False


class _Opened:
    def __init__(self, site: Site, temporary: bool) -> None:
        self.site = site
        self.temporary = temporary


@contextlib.contextmanager
def _site(given: str | None, words: list[str], options: list[str]) -> Iterator[_Opened]:
    from strongroom.site import Site, temporary_site

    site = Site.find(given)
    if site is None and not words:
        raise InputError(
            "no logs are named",
            next="strongroom hunt FILE…, or - for stdin; or --site DIR to search what a site holds",
        )
    if site is None:
        with temporary_site(words, options=options) as opened:
            yield _Opened(opened, temporary=True)
    else:
        with site.exclusively():
            yield _Opened(site, temporary=False)


@contextlib.contextmanager
def _rejects(opened: _Opened, given: Path | None) -> Iterator[IO[str]]:
    """The rejects file: where it was asked for, in the site, or in the temporary directory. Removed if empty."""
    if given is not None:
        path = given
    elif opened.temporary:
        path = Path(tempfile.gettempdir()) / f"strongroom-rejects-{opened.site.path.name.rpartition('-')[2]}.jsonl"
    else:
        path = opened.site.path / "run" / "rejects.jsonl"
    file = _open_rejects(path, ours=given is None)
    try:
        yield file
    except InputError as error:
        if given is None and file.tell():
            error.next += f"; the places of what was left out: {path}"
        raise
    finally:
        try:
            file.close()
        except OSError as error:
            raise _unwritable(path, error) from error
        finally:
            with contextlib.suppress(OSError):
                if path.is_file() and path.stat().st_size == 0:
                    path.unlink()


def _open_rejects(path: Path, *, ours: bool) -> IO[str]:
    try:
        if ours:  # in a directory that others may write to: made anew, never what is there
            path.unlink(missing_ok=True)
        # Places can say who sent what when; others need not read them.
        return open(path, "x" if ours else "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> StrongroomError:
    return StrongroomError(
        f"the rejects file cannot be written: {error.strerror}", where=str(path), next="check space and permissions"
    )


def _budget(text: str) -> AlertBudget | None:
    if not text:
        return None
    from strongroom.detect.campaign import parse_budget

    return parse_budget(text)


def _rules(paths: list[Path]) -> Rules | None:
    """The curated rules and those in `paths`; what is refused is told on stderr. None: the curated ones alone."""
    if not paths:
        return None
    from strongroom.detect.rules import curated_rules, load_rules

    loaded = load_rules(paths)
    for refused in loaded.refused:
        print_notice(f"a rule is left out: {refused.path}: {refused.reason}")
    return curated_rules() + loaded


def _reader(format: str, mapping: list[str]) -> Reader | None:
    if format and mapping:
        raise UsageError("--format and --map exclude each other", next="give one of them")
    if mapping:
        from strongroom.ingest import MappedReader, parse_mapping

        return MappedReader(parse_mapping(mapping))
    if format:
        from strongroom.ingest import reader_named

        return reader_named(format)
    return None

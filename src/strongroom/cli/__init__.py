"""The command line. Commands import what they need when they run, so that `--help` stays fast."""

from __future__ import annotations

import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, Any

import typer

from strongroom import __version__
from strongroom.core.errors import StrongroomError, UsageError

from ._assets import asset
from ._break_glass import breakglass
from ._demo import demo
from ._export import export as _store_export  # noqa: F401 - adds its command to `store`
from ._findings import explain, finding
from ._hunt import hunt
from ._keyserver import keyserver
from ._leases import lease
from ._ledger import Interrupted, ledger
from ._ledger_ask import writer as _writer  # noqa: F401 - adds its commands to `ledger`
from ._ledger_proofs import SPLIT as _SPLIT  # noqa: F401 - adds its commands to `ledger`
from ._options import SiteOption
from ._output import print_error
from ._policy import policy
from ._posture import posture as _posture  # noqa: F401 - adds its command to `policy`
from ._principal_keys import keys as _principal_keys  # noqa: F401 - adds its commands to `principal`
from ._principals import grant, principal
from ._serve import serve
from ._site import init, store
from ._site_care import site
from ._vault import vault
from ._vault_change import forget as _vault_forget  # noqa: F401 - adds its commands to `vault`
from ._vault_keys import keys as _vault_keys  # noqa: F401 - adds its commands to `vault`

__all__ = ["app", "main"]

INTERRUPTED = 130
OUR_FAULT = 70
# Typer brings its own copy of click, under a private name; the error that all of its errors are is found this way.
_WrongUse: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

app = typer.Typer(
    name="strongroom",
    help="Access control, evidence and theft detection for AI models and datasets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"strongroom {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    site: SiteOption = "",
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Access control, evidence and theft detection for AI models and datasets."""


app.command("init")(init)
app.command("demo")(demo)
app.command("hunt")(hunt)
app.command("explain")(explain)
app.add_typer(finding, name="finding")
app.add_typer(asset, name="asset")
app.add_typer(store, name="store")
app.add_typer(site, name="site")
app.command("serve")(serve)
app.add_typer(ledger, name="ledger")
app.add_typer(vault, name="vault")
app.add_typer(principal, name="principal")
app.add_typer(grant, name="grant")
app.add_typer(lease, name="lease")
app.add_typer(breakglass, name="breakglass")
app.add_typer(policy, name="policy")
app.add_typer(keyserver, name="keyserver")


def main() -> int:
    """Runs the command line and returns the exit code (design.md, "Command line")."""
    json = "--json" in sys.argv[1:]
    asked_to_stop = _hear()
    try:
        code = int(app(standalone_mode=False) or 0)
        return _interrupted() if code == INTERRUPTED else code  # Typer makes this code of a Ctrl-C itself
    except BrokenPipeError:
        # Whoever read our output has had enough. Keep Python from complaining once more at exit.
        sys.stdout = None
        return 0
    except (StrongroomError, OSError) as error:
        return _failed(error, json=json)
    except _WrongUse as error:
        return _wrong_use(error, json=json)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _interrupted(str(error)) if isinstance(error, Interrupted) else _interrupted()
    except Exception as error:
        # A KeyboardInterrupt that is raised while DuckDB calls Python comes back as an error of DuckDB's.
        return _interrupted() if asked_to_stop else _our_fault(error)


def _hear() -> list[int]:
    """The signals that asked to stop, as they come; each is a KeyboardInterrupt too.

    A service manager's stop is a Ctrl-C: finish the commit under way, leave the rest for the next run.
    """
    heard: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us wants none
        signal.signal(signal.SIGINT, stop)
    return heard


def _interrupted(text: str = "") -> int:
    kept = "; what was read is kept, the same command continues" if "hunt" in sys.argv[1:4] else ""
    sys.stderr.write(f"{text or 'interrupted' + kept}\n")
    return INTERRUPTED


def _failed(error: StrongroomError | OSError, *, json: bool) -> int:
    if isinstance(error, OSError):  # stdout on a full disk, a file that went away
        error = StrongroomError(f"it could not be done: {error.strerror}", where=str(error.filename or ""))
    print_error(error, json=json)
    return error.exit_code


def _wrong_use(error: Any, *, json: bool) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(error.format_message() + "\n")
    else:
        print_error(UsageError(error.format_message(), next="see: strongroom --help"), json=json)
    return UsageError.exit_code


def _our_fault(error: Exception) -> int:
    """Not 1, which says that something was found. The error's message is left out: it may quote a log."""
    sys.stderr.writelines(traceback.format_tb(error.__traceback__))
    sys.stderr.write(f"{type(error).__name__}\nstrongroom: this is our mistake; please report the lines above\n")
    return OUR_FAULT

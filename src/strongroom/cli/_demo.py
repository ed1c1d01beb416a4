"""`strongroom demo`."""

import typer


def demo() -> None:
    """Hunt in simulated traffic."""
    raise typer.Exit(3)

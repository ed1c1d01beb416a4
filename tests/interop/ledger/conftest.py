"""Two other implementations of tlog-tiles, each as a command: x/mod's (Go) and aics-tlog (Python 3.12)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ...conftest import missing

collect_ignore = ["aics_peer.py"]  # it runs in an environment of its own

HERE = Path(__file__).parent
GO_SOURCES = Path("/usr/share/gocode")
"""Where Debian's golang-*-dev packages lie."""

Peer = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def tlogcheck(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of tlogcheck, built from Debian's sources of x/mod without any network."""
    if shutil.which("go") is None or not (GO_SOURCES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        missing("Go or golang.org/x/mod is not installed (scripts/system-deps installs them)")
    folder = tmp_path_factory.mktemp("tlogcheck")
    env = {"GO111MODULE": "off", "GOPATH": str(GO_SOURCES), "GOFLAGS": "", "GOCACHE": str(folder / "cache")}
    built = run("go", "build", "-o", folder / "tlogcheck", HERE / "tlogcheck/main.go", CGO_ENABLED="0", **env)
    assert built.returncode == 0, built.stderr
    return [str(folder / "tlogcheck")]


@pytest.fixture(scope="session")
def aics_peer(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of aics_peer.py in an environment of its own; aics-tlog asks for Python 3.12."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        missing("uv is not installed (scripts/venv dev installs it)")
    venv = tmp_path_factory.mktemp("aics") / "venv"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")  # uv stumbles over pyenv's shims
    offered = [str(path) for path in sorted(pyenv.glob("versions/3.1[2-4].*/bin/python"))]
    for python in (*offered, "3.12", "3.13", "3.14"):
        made = run(uv, "venv", "--quiet", "--no-python-downloads", "--python", python, venv)
        if made.returncode == 0:
            break
    else:
        missing("no Python 3.12 to 3.14 was found, which aics-tlog asks for")
    wanted = ("--require-hashes", "--only-binary", ":all:", "-r", HERE / "aics-requirements.txt")
    installed = run(uv, "pip", "install", "--quiet", "--python", venv / "bin/python", *wanted)
    if installed.returncode:
        missing(f"aics-tlog could not be installed: {installed.stderr[-400:]}")
    return [str(venv / "bin/python"), str(HERE / "aics_peer.py")]


@pytest.fixture(params=["tlogcheck", "aics_peer"])
def peer(request: pytest.FixtureRequest) -> Peer:
    """Runs one of the two with further arguments."""
    command = request.getfixturevalue(request.param)
    return lambda *arguments: run(*command, *map(str, arguments))

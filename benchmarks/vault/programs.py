"""Who is measured: a program each, in an environment of its own, that answers jobs (benchmarks/peers/vault_jobs.py)."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PEERS = HERE.parent / "peers"
LIMIT_SECONDS = 1_800.0
"""For one job."""


class FailedError(Exception):
    """A program did not answer, or answered that it could not. Its text is shown, without paths."""


@dataclass(frozen=True)
class Tool:
    """One of those that are measured."""

    name: str
    script: Path
    installs: tuple[tuple[str, ...], ...] = ()
    """What pip is given, one after the other, in an environment of its own. None: this environment."""
    threads: tuple[int, ...] = (1, 2)
    """As many as it can be told to use."""
    streams: bool = False
    """Whether all before a tensor is decrypted, so that few are asked for: each takes long."""
    does: str = ""


def listed(name: str, *options: str) -> tuple[str, ...]:
    return ("--require-hashes", *options, "-r", str(PEERS / f"{name}.txt"))


LIMITS = Tool("limits", HERE / "limits_run.py")
OURS = Tool("ours", HERE / "ours_run.py")
PEER_TOOLS = (
    Tool(
        "tensorizer",
        PEERS / "tensorizer_run.py",
        # The list is of what comes on top of torch, whose wheel is another on each kind of machine.
        (("torch==2.13.0",), listed("tensorizer", "--no-deps")),
        does="XSalsa20-Poly1305 with a random key, and CRC32 and SHA-256 of each tensor; a row decrypts its whole "
        "tensor, which stays in memory; opening to a file is loading all and `save_file` of safetensors",
    ),
    Tool(
        "cryptotensors",
        PEERS / "cryptotensors_run.py",
        (listed("cryptotensors"),),
        does="AES-256-GCM, a key for each tensor, signed header; a row decrypts its whole tensor, which stays in "
        "memory; sealing and opening hold the file in memory two or three times",
    ),
    Tool(
        "Tink",
        PEERS / "tink_run.py",
        (listed("tink"),),
        threads=(1,),
        streams=True,
        does="streaming AES256_GCM_HKDF_1MB, for small files AES256_GCM; its Python streams do not seek, so a tensor "
        "or a row decrypts all before it (median of a quarter, half and three quarters of the file)",
    ),
    Tool(
        "pyrage",
        PEERS / "pyrage_run.py",
        (listed("pyrage"),),
        threads=(1,),
        streams=True,
        does="age with one X25519 recipient; it does not seek either",
    ),
)


def environment(tool: Tool, folder: Path) -> Path:
    """The tool's Python, installed where it is not yet."""
    if not tool.installs:
        return Path(sys.executable)
    place = folder / tool.name
    python, done = place / "bin" / "python", place / "installed"
    wanted = "\n".join(" ".join(step) for step in tool.installs)
    if done.exists() and done.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
    for step in tool.installs:
        print(f"{tool.name}: installing {Path(step[-1]).name}", flush=True)
        run = subprocess.run([python, "-m", "pip", "install", "-q", *step], check=False, stderr=subprocess.PIPE)
        if run.returncode:
            sys.stderr.buffer.write(run.stderr)
            raise FailedError(f"pip install {Path(step[-1]).name} ended with {run.returncode}")
    done.write_text(wanted)
    return python


class Program:
    """A running tool, bound to as many cores as it may use threads. Raises FailedError where it does not start."""

    def __init__(self, tool: Tool, threads: int, python: Path, folder: Path) -> None:
        self.tool, self.threads, self.python, self.folder = tool, threads, python, folder
        self.start()

    def start(self) -> None:
        """Starts the process, and waits until it is ready."""
        keys = self.folder / "keys" / self.tool.name
        keys.mkdir(parents=True, exist_ok=True)
        cores = sorted(os.sched_getaffinity(0))[: self.threads]
        self.errors = (self.folder / f"{self.tool.name}-{self.threads}.err").open("ab+")
        self.process = subprocess.Popen(
            [self.python, self.tool.script, keys, str(self.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=0,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509  this process has one thread
        )
        self._line()

    def ask(self, job: str, **given: Any) -> dict[str, Any]:
        """Its answer to a job. Raises FailedError; a process that died is started again."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"job": job, **given}).encode() + b"\n")
            answer = self._line()
        except BrokenPipeError:
            raise self._ended() from None
        finally:
            if self.process.poll() is not None:
                self.close()
                self.start()
        if "error" in answer:
            raise FailedError(without_paths(answer["error"]))
        return answer

    def close(self) -> None:
        """Ends the process, which has nothing more to do without its input."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], LIMIT_SECONDS)[0]:
                self.process.kill()
                self.process.wait()
                raise FailedError(f"no answer in {LIMIT_SECONDS:.0f} s")
            got = self.process.stdout.read(1 << 20)
            if not got:
                raise self._ended()
            line += got
        found: dict[str, Any] = json.loads(line)
        return found

    def _ended(self) -> FailedError:
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return FailedError(f"ended with {code}: {without_paths(lines[-1]) if lines else 'nothing said'}")


def without_paths(text: str) -> str:
    """As it may stand in a table that others read."""
    return re.sub(r"(?<![\w.])/(?:[\w.+-]+/)+[\w.+-]*", "…", text).replace("|", "/").replace("\n", " ")[:300]

"""The vault's benchmark: who fails is told with the reason, wrong bytes are no figure, and aims are judged as they say."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
XOR = """
import sys
sys.path.insert(0, {peers!r})
from pathlib import Path
from vault_jobs import Streamed, each_file, reading, serve, written

def turned(source, out):
    return Path(out).write_bytes(bytes(byte ^ 1 for byte in Path(source).read_bytes()))

def part(sealed):
    return lambda offset, length: bytearray(byte ^ 1 for byte in Path(sealed).read_bytes()[offset : offset + length])

serve({{
    "seal": lambda source, sealed: written(lambda: turned(source, sealed), sealed),
    "open": lambda sealed, plain: written(lambda: {unseal}, plain),
    **reading(lambda sealed: Streamed(part(sealed)), bytes),
    "seal small": lambda source, sealed: each_file(source, sealed, turned),
    "open small": lambda sealed, plain: each_file(sealed, plain, turned),
}})
"""


@pytest.fixture(scope="module")
def parts() -> Iterator[SimpleNamespace]:
    names = ("material", "programs", "results", "rounds", "block")
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(BENCHMARKS)
    patch.syspath_prepend(BENCHMARKS / "vault")
    found = SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    for module in (found.material, found.rounds):
        patch.setattr(module, "HEIGHT", 64)
    patch.setattr(found.material, "TENSOR", 64 * 16)
    patch.setattr(found.material, "WIDTH", 4)
    patch.setattr(found.material, "ROW", 16)
    patch.setattr(found.material, "IN_FOLDER", 5)
    yield found
    patch.undo()


def tool(parts: SimpleNamespace, folder: Path, name: str, unseal: str = "turned(sealed, plain)") -> object:
    script = folder / f"{name}.py"
    script.write_text(XOR.format(peers=str(BENCHMARKS / "peers"), unseal=unseal))
    return parts.programs.Tool(name, script, threads=(1,), streams=True)


def test_everybody_is_measured_and_who_fails_is_told(parts: SimpleNamespace, tmp_path: Path) -> None:
    model = parts.material.make_model(tmp_path / "model", 6 * 1024)
    results = parts.results.Results(model.path.stat().st_size, len(model.names), 2)
    tools = [
        parts.programs.LIMITS,
        parts.programs.OURS,
        tool(parts, tmp_path, "good"),
        tool(parts, tmp_path, "wrong", "Path(plain).write_bytes(Path(sealed).read_bytes())"),
        tool(parts, tmp_path, "broken", "1 / 0"),
        tool(parts, tmp_path, "dies", "sys.exit('gone from /tmp/somewhere/else')"),
    ]
    python = Path(sys.executable)
    programs = [parts.programs.Program(each, 1, python, tmp_path) for each in tools]
    bench = parts.rounds.Bench(tmp_path, model, programs, results)
    bench.round(0)
    bench.round(1)
    bench.memory(lambda like: parts.programs.Program(like.tool, like.threads, like.python, tmp_path))
    bench.small_files(12, 1)
    for program in programs:
        program.close()
    assert len(results.samples["good", 1, "open"]) == 2
    assert len(results.samples["good", 1, "row, again"]) == 2 * parts.rounds.FEW
    assert results.samples["good", 1, "seal small"]
    assert {job for who, job in results.memory if who == "good"} == {"seal", "open", "one"}
    assert ("good", "load") in results.lacking
    assert results.median("limits", 1, "gcm through decrypt")
    assert not [
        key for key in results.samples if key[2] in ("open", "open, fsync") and key[0] not in ("good", "limits", "ours")
    ]
    assert results.samples["dies", 1, "row"], "a program that died is started again"
    reasons = {who: results.failed[who, "open"] for who in ("wrong", "broken", "dies")}
    assert "Error" not in reasons["wrong"]
    assert reasons["broken"] == "ZeroDivisionError: division by zero"
    assert reasons["dies"] == "ended with 1: gone from …"
    assert len(results.samples["ours", 1, "open, fsync"]) == 2


def test_sealed_bytes_that_can_be_read_are_a_failure(parts: SimpleNamespace, tmp_path: Path) -> None:
    model = parts.material.make_model(tmp_path / "model", 6 * 1024)
    with pytest.raises(parts.material.DifferentError, match="has bytes of a tensor"):
        model.check_sealed(model.path)


def test_aims_are_of_the_slowest_limit_and_judged_by_medians(parts: SimpleNamespace) -> None:
    results = parts.results.Results(1 << 30, 32, 3)
    for threads in (1, 2):
        results.add("limits", threads, "gcm same encrypt", 0.1)
        results.add("limits", threads, "gcm same decrypt", 0.1)
        results.add("ours", threads, "row", 0.0009, 0.002, 0.0008)
    results.add("limits", 1, "sha256", 0.5)
    results.add("limits", 1, "copy", 0.6, 0.4, 0.3)
    results.add("ours", 1, "seal", 0.5, 0.55, 0.9)
    results.add("ours", 2, "seal", 0.6)
    results.add("tensorizer", 1, "seal", 1.7)
    results.failed["cryptotensors", "start"] = "pip install cryptotensors.txt ended with 1"
    results.memory["ours", "seal"] = 65 << 20
    rows = [line.split(" | ") for line in parts.block.aims(results).splitlines()]
    told = {row[0].removeprefix("| "): [row[1], row[2].removesuffix(" |")] for row in rows if len(row) == 3}
    seal = told["seal: 0.9 of the slowest of raw GCM, SHA-256 and file copy"]
    assert seal == ["0.91 (1.00) of SHA-256: met", "0.83 (0.83) of SHA-256: missed"]
    assert told["seal: 3 times as fast as tensorizer"] == ["3.09 (3.40): met", "not measured"]
    assert told["seal: 3 times as fast as cryptotensors"] == ["not measured", "not measured"]
    assert told["a row: under 1 ms"] == ["0.900 ms: met", "0.900 ms: met"]
    assert told["memory beside the result, seal: 64 MiB"] == ["", "65 MiB: missed"]
    assert "cryptotensors, start: pip install cryptotensors.txt ended with 1" in parts.block.text(results)

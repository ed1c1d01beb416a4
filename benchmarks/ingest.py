"""Raw log to store, beside its limits in the same run: WordLlama's own `embed` of the same texts, our sketch of
them, and msgspec decoding of the same lines, each on all cores. Then the memory of five million lines.

    python benchmarks/ingest.py [LINES]      LINES of the memory run; 5,000,000 by default
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import msgspec
from report import record, table

CORES = len(os.sched_getaffinity(0))


def prose(least: int = 20_000_000) -> str:
    """Installed documentation and sources: text that repeats words as people do."""
    parts, size = [], 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        text = path.read_text(errors="ignore")
        parts.append(text)
        size += len(text)
        if size > least:
            break
    return " ".join(" ".join(parts).split())


def lines(count: int, length: int, seed: int) -> list[bytes]:
    """Exchange log lines with prompts of `length` characters, hardly two alike."""
    text, rng = prose(), random.Random(seed)
    made = []
    for i in range(count):
        begin = rng.randrange(len(text) - length)
        exchange = {
            "id": f"r{i}",
            "time": f"2026-11-{1 + i * 14 // count:02d}T{i % 24:02d}:30:00.123Z",
            "account": f"acct_{rng.randrange(2000)}",
            "credential": "key",
            "client_address": f"203.0.113.{i % 250}",
            "model": "m-1",
            "messages": [{"role": "user", "content": text[begin : begin + length]}],
            "input_tokens": 120,
            "output_tokens": 800,
            "status": 200,
        }
        made.append(json.dumps(exchange).encode())
    return made


def _embed(texts: list[str], ready: Barrier) -> None:
    import wordllama

    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    model.embed(texts[:64])
    ready.wait()
    model.embed(texts, norm=True)


def _sketch(texts: list[str], ready: Barrier) -> None:
    from strongroom.sketch import Sketcher

    sketcher = Sketcher(bytes(32))
    sketcher.sketch(texts[:512])
    ready.wait()
    sketcher.sketch(texts)


def _decode(raw: list[bytes], ready: Barrier) -> None:
    decoder = msgspec.json.Decoder()
    ready.wait()
    for line in raw:
        decoder.decode(line)


def on_all_cores(work: Callable[[list, Barrier], None], items: list) -> float:
    """Seconds that all cores need together, without starting up."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(CORES + 1)
    shares = [items[i::CORES] for i in range(CORES)]
    processes = [context.Process(target=work, args=(share, ready)) for share in shares]
    for process in processes:
        process.start()
    ready.wait()
    started = time.perf_counter()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return time.perf_counter() - started


INGEST = """
import sys
from pathlib import Path
from strongroom.ingest import Settings, ingest
from strongroom.store import Store
if __name__ == "__main__":
    report = ingest([sys.argv[1]], Store(Path(sys.argv[2])), Settings(bytes(32)))
    print(report.new)
"""


def ingest_file(path: Path, expected: int) -> tuple[float, float]:
    """(seconds, peak GiB of the whole process tree) of a fresh process, starting up included."""
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as folder:
        script = Path(folder) / "ingest.py"
        script.write_text(INGEST)
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, script, path, f"{folder}/store"], stdout=subprocess.PIPE)
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_memory(process.pid))
            time.sleep(0.1)
        seconds = time.perf_counter() - started
        assert process.stdout is not None
        assert int(process.stdout.read()) == expected
    return seconds, peak / (1 << 20)


def tree_memory(pid: int) -> int:
    """Proportional set size of a process and its children, KiB: shared pages count once."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, ValueError):
        return total
    return total + sum(tree_memory(int(child)) for child in children)


def speed(length: int, count: int) -> list[object]:
    made = lines(count, length, seed=length)
    texts = [json.loads(line)["messages"][0]["content"] for line in made]
    embed = count / on_all_cores(_embed, texts)
    sketch = count / on_all_cores(_sketch, texts)
    decode = count / on_all_cores(_decode, made)
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"\n".join(made))
        file.flush()
        seconds, memory = ingest_file(Path(file.name), count)
    ours = count / seconds
    rates = [f"{rate:,.0f}" for rate in (ours, embed, sketch, decode)]
    return [f"{length} B", f"{count:,}", *rates, f"{ours / embed:.0%}", f"{ours / sketch:.0%}", f"{memory:.2f}"]


def memory_of(count: int) -> str:
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        for part in range(0, count, 250_000):
            batch = lines(min(250_000, count - part), 100, seed=part)
            # Ids differ between the parts; accounts and times repeat.
            file.write(b"\n".join(line.replace(b'"id": "r', b'"id": "p%d-' % part) for line in batch) + b"\n")
        file.flush()
        seconds, memory = ingest_file(Path(file.name), count)
    return (
        f"{count:,} lines with prompts of 100 B: {memory:.2f} GiB at the peak, all processes together "
        f"({count / seconds:,.0f} records/s)."
    )


def main(count: int) -> None:
    header = [
        "prompts",
        "records",
        "raw log to store, /s",
        "WordLlama embed, /s",
        "our sketch, /s",
        "msgspec decoding, /s",
    ]
    header += ["ours / embed", "ours / sketch", "peak memory, GiB"]
    rows = [speed(100, 400_000), speed(1000, 60_000)]
    record("ingest", table(header, rows) + "\n\n" + memory_of(count))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 5_000_000)

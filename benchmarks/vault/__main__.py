"""How fast files are sealed and opened, and parts of them read, beside peers and the bare limits, in one run.

    python benchmarks/vault [--size MIB] [--rounds N] [--files N] [--only NAME,…] [--environments DIR] [--no-record]

A safetensors file of 2 GiB and 100,000 small files, made from fixed seeds; five rounds, three for the small files. It
takes 16 GiB of disk in TMPDIR, and up to 12 GiB of memory beside the page cache. Peers install into environments of
their own (benchmarks/peers/), which are kept only where `--environments` says. tensorizer needs libsodium.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from block import text  # noqa: E402
from material import make_model  # noqa: E402
from programs import LIMITS, OURS, PEER_TOOLS, FailedError, Program, environment  # noqa: E402
from report import record  # noqa: E402
from results import Results  # noqa: E402
from rounds import Bench  # noqa: E402


def started(names: list[str], environments: Path, folder: Path, results: Results) -> list[Program]:
    """The programs of the limits, of ours and of every peer; who does not install or start has failed, and says why."""
    found = []
    for tool in (LIMITS, OURS, *PEER_TOOLS):
        if tool is not LIMITS and names and tool.name not in names:
            results.failed[tool.name, "start"] = "not asked for"
            continue
        try:
            python = environment(tool, environments)
            found += [Program(tool, threads, python, folder) for threads in tool.threads]
        except FailedError as failure:
            results.failed[tool.name, "start"] = str(failure)
            print(f"{tool.name}: {failure}", flush=True)
    return found


def main(options: argparse.Namespace) -> None:
    """Every round, memory, small files; then the tables."""
    names = [name for name in options.only.split(",") if name]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        folder = Path(place)
        model = make_model(folder / "model.safetensors", options.size << 20)
        results = Results(model.path.stat().st_size, len(model.names), options.rounds)
        programs = started(names, options.environments or folder / "environments", folder, results)
        bench = Bench(folder, model, programs, results)
        for number in range(options.rounds):
            bench.round(number)
        bench.memory(lambda like: Program(like.tool, like.threads, like.python, folder))
        if options.files:
            bench.small_files(options.files, options.files_rounds)
        for program in programs:
            program.close()
    if options.record:
        record("vault", text(results))
    else:
        print(text(results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="MiB of the safetensors file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=100_000, help="small files; 0 for none")
    parser.add_argument("--files-rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="ours and peers by name, comma-separated; all by default")
    parser.add_argument("--environments", type=Path, help="where peers' environments are kept between runs")
    parser.add_argument(
        "--no-record", dest="record", action="store_false", help="print; leave docs/benchmarks.md alone"
    )
    main(parser.parse_args())

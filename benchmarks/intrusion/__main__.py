"""How well, and how fast, intrusion and exfiltration are found in access logs.

    python benchmarks/intrusion [real] [simulated] [speed] [--honest N] [--seeds N] [--millions N]

`real`: public CloudTrail records of attacks that were carried out for training (../shared/data/cloud), in the half that
may be looked at while rules are written and the half that is held out. `simulated`: honest fortnights, and some with
one intrusion; their seeds are used for nothing else. `speed`: simulated events, copied to the number asked for, through
100 rules and every other detector, in a process of its own that reports time and peak memory.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import real  # noqa: E402
import simulated  # noqa: E402
import speed  # noqa: E402

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=["real", "simulated", "speed", []], default=[])
    parser.add_argument("--honest", type=int, default=10, help="honest fortnights")
    parser.add_argument("--seeds", type=int, default=3, help="worlds for each intrusion")
    parser.add_argument("--millions", type=float, default=10)
    options = parser.parse_args()
    parts = options.parts or ["real", "simulated", "speed"]
    if "real" in parts:
        real.main()
    if "simulated" in parts:
        simulated.main(options.honest, options.seeds)
    if "speed" in parts:
        speed.main(options.millions)

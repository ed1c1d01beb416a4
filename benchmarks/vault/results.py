"""What was measured: seconds by who, with how many threads, and what; failures with their reasons."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

NOTHING = "nothing was sealed"
"""Why a sealed file cannot be opened whose sealing failed."""


@dataclass
class Results:
    """Everything that the tables are made of."""

    model_bytes: int = 0
    tensors: int = 0
    rounds: int = 0
    files: int = 0
    files_bytes: int = 0
    files_rounds: int = 0
    samples: dict[tuple[str, int, str], list[float]] = field(default_factory=dict)
    """Seconds by name, threads and measure."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of the sealed file, by name."""
    memory: dict[tuple[str, str], int] = field(default_factory=dict)
    """Bytes beside the result at the peak, by name and job."""
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    """Reasons, by name and job."""
    lacking: set[tuple[str, str]] = field(default_factory=set)
    """Jobs that a tool does not know, by name."""

    def add(self, name: str, threads: int, measure: str, *seconds: float | None) -> None:
        """None is no figure."""
        known = [each for each in seconds if each is not None]
        if known:
            self.samples.setdefault((name, threads, measure), []).extend(known)

    def median(self, name: str, threads: int, measure: str) -> float | None:
        found = self.samples.get((name, threads, measure))
        return statistics.median(found) if found else None

    def best(self, name: str, threads: int, measure: str) -> float | None:
        found = self.samples.get((name, threads, measure))
        return min(found) if found else None

    def threads(self, name: str) -> list[int]:
        """With how many threads it was measured."""
        return sorted({threads for who, threads, _ in self.samples if who == name})

    def forget(self, name: str, job: str) -> None:
        """Figures of a job that failed are none."""
        measures = {job, f"{job}, fsync", f"{job}, again"}
        self.samples = {key: kept for key, kept in self.samples.items() if key[0] != name or key[2] not in measures}

    def reason(self, name: str, job: str) -> str | None:
        """Why there is no figure, if that is a failure: of this job, of sealing before it, or of installing."""
        sealing = "seal small" if job.endswith("small") else "seal"
        found = self.failed.get((name, job))
        if found is None or found == NOTHING:
            found = self.failed.get((name, sealing), found)
        return self.failed.get((name, "start"), found)

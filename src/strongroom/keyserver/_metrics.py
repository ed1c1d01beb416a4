"""Numbers of a key service, as Prometheus reads them. No name of anybody or anything is among them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

__all__ = ["Metrics"]

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Safe for threads."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second line each, of when it was first counted
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "strongroom_keyserver_requests_total",
            "Requests of those who were identified",
            ["operation", "outcome"],
            registry=self._registry,
        )
        self._strangers = Counter(
            "strongroom_keyserver_strangers_total",
            "Requests of those who were not identified",
            ["reason"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "strongroom_keyserver_seconds",
            "How long an answer took",
            ["operation"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._serving: list[Callable[[], int]] = []
        serving = Gauge("strongroom_keyserver_serving", "Requests being served now", registry=self._registry)
        serving.set_function(lambda: sum(one() for one in self._serving))

    def watch(self, serving: Callable[[], int]) -> None:
        """Adds a server whose requests are counted while they are served."""
        self._serving.append(serving)

    def count(self, operation: str, outcome: str, seconds: float) -> None:
        """One more; the outcome is `done`, or an error's code."""
        self._requests.labels(operation, outcome).inc()
        self._seconds.labels(operation).observe(seconds)

    def refused(self, reason: str) -> None:
        """One more who was not identified; one of `identity.REASONS`."""
        self._strangers.labels(reason).inc()

    def text(self) -> bytes:
        """All of it, in the text format 0.0.4."""
        return generate_latest(self._registry)

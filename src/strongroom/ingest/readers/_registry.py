"""Which readers there are, and which one fits."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

from strongroom.core.errors import UsageError
from strongroom.ingest.reader import LineReader, Reader

from .access_log import AccessLogReader
from .auditd import AuditdReader
from .azure import AzureReader
from .bedrock import BedrockReader
from .cloudtrail import CloudTrailReader
from .exchange_log import ExchangeLogReader
from .falco import FalcoReader
from .gcp_audit import GcpAuditReader
from .gworkspace import GoogleWorkspaceReader
from .huggingface_audit import HuggingFaceAuditReader
from .kubernetes_audit import KubernetesAuditReader
from .langfuse import LangfuseReader
from .ledger import LedgerReader
from .litellm import LiteLLMReader
from .ocsf import OcsfReader
from .otel import OpenTelemetryReader

__all__ = ["GROUP", "all_readers", "builtin_readers", "reader_named", "recognise"]

GROUP = "strongroom.readers"
"""The entry point group of third-party readers."""
MIN_CLAIM = 50
"""A smaller sum of claims over a whole sample recognises nothing."""

_ATTRIBUTES = ("name", "title", "reference", "metadata_only", "claims", "read")


def builtin_readers() -> list[Reader]:
    """The readers that come with Strongroom, except the mapped one, which needs a mapping."""
    return [
        ExchangeLogReader(),
        LiteLLMReader(),
        BedrockReader(),
        OpenTelemetryReader(),
        LangfuseReader(),
        AccessLogReader(),
        CloudTrailReader(),
        KubernetesAuditReader(),
        AuditdReader(),
        FalcoReader(),
        GcpAuditReader(),
        GoogleWorkspaceReader(),
        AzureReader(),
        HuggingFaceAuditReader(),
        OcsfReader(),
        LedgerReader(),
    ]


def all_readers() -> list[Reader]:
    """The built-in readers, then those of installed plugins by name.

    Raises UsageError, naming the plugin, when one cannot be loaded or takes a name that is in use.
    """
    readers = builtin_readers()
    taken = {reader.name: "strongroom" for reader in readers} | {"mapped": "strongroom"}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        where = f"entry point {point.name} = {point.value}"
        try:
            reader = point.load()()
            missing = [name for name in _ATTRIBUTES if not hasattr(reader, name)]
        except Exception as error:
            raise UsageError(
                f"log reader plugin '{point.name}' cannot be loaded: {type(error).__name__}: {error}",
                where=where,
                next="repair or uninstall its package",
            ) from error
        if missing:
            raise UsageError(
                f"log reader plugin '{point.name}' lacks {', '.join(missing)}",
                where=where,
                next="see strongroom.ingest.reader.Reader",
            )
        if reader.name in taken:
            raise UsageError(
                f"log reader plugin '{point.name}' takes the name '{reader.name}' of {taken[reader.name]}",
                where=where,
                next="uninstall one of the two",
            )
        taken[reader.name] = point.name
        readers.append(reader)
    return readers


def recognise(records: Sequence[dict[str, Any] | bytes]) -> Reader | None:
    """The reader with the highest sum of claims over a sample; None when none is sure or two are equally.

    `records`: decoded, or as they stand in the log where they are no JSON.
    """
    scores = [(sum(_claim(reader, record) for record in records), reader) for reader in all_readers()]
    best = max(score for score, _ in scores)
    winners = [reader for score, reader in scores if score == best]
    return winners[0] if best >= MIN_CLAIM and len(winners) == 1 else None


def _claim(reader: Reader, record: dict[str, Any] | bytes) -> int:
    if isinstance(record, bytes):
        return reader.claims_line(record) if isinstance(reader, LineReader) else 0
    return reader.claims(record)


def reader_named(name: str) -> Reader:
    """The reader that `--format NAME` means. Raises UsageError that lists the names."""
    readers = all_readers()
    for reader in readers:
        if reader.name == name:
            return reader
    names = ", ".join(reader.name for reader in readers)
    raise UsageError(f"there is no log format '{name}'", next=f"use one of {names}, or --map for others")

"""The columns of each table, and their version.

A column is only ever added, nullable, at the end: then an older table is migrated by adding what it lacks, and
rows written before read as null. Anything else needs a new table. Texts are absent unless the site keeps them.
"""

from __future__ import annotations

import pyarrow as pa

__all__ = ["ACCESS_EVENTS", "EXCHANGES", "FINDINGS", "SCHEMA_VERSION"]

SCHEMA_VERSION = 1

_TIME = pa.timestamp("us", "UTC")

EXCHANGES = pa.schema(
    [
        # Who, when, from where
        ("time", _TIME),
        ("subject", pa.string()),  # account, or account/end_user
        ("account", pa.string()),
        ("end_user", pa.string()),
        ("organization", pa.string()),
        ("credential", pa.string()),
        ("session", pa.string()),
        ("client_address", pa.string()),
        ("asn", pa.int64()),
        ("tls_fingerprint", pa.string()),
        ("user_agent", pa.string()),
        ("signup_time", _TIME),
        ("payment_digest", pa.string()),
        ("email_domain", pa.string()),
        ("country", pa.string()),
        # What was asked of which model
        ("id", pa.string()),
        ("operation", pa.string()),
        ("model", pa.string()),
        ("status", pa.int64()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("max_tokens", pa.int64()),
        ("temperature", pa.float32()),
        ("turn", pa.int64()),
        # The sketch of what the user added (strongroom.sketch)
        ("text_digest", pa.int64()),
        ("system_digest", pa.int64()),
        ("head", pa.int64()),
        ("tail", pa.int64()),
        ("minhash", pa.list_(pa.int64())),
        ("embedding", pa.binary()),
        ("words", pa.int32()),
        ("language", pa.string()),
        ("flags", pa.int32()),
        ("text", pa.string()),  # null unless keep_text
        # Where it came from
        ("source", pa.string()),
        ("position", pa.int64()),  # line, element or row, from 1
        ("format", pa.string()),
        ("line_key", pa.int64()),  # keyed digest of the raw record and its ordinal among equal ones
        ("record_key", pa.int64()),  # keyed digest of its id, or the line's key
    ]
)

ACCESS_EVENTS = pa.schema(
    [
        # Who, when, from where
        ("time", _TIME),
        ("principal", pa.string()),
        ("principal_kind", pa.string()),
        ("credential", pa.string()),
        ("session", pa.string()),
        ("organization", pa.string()),  # cloud account, project, subscription, cluster, host
        ("client_address", pa.string()),
        ("user_agent", pa.string()),
        ("region", pa.string()),
        # What was done to what, and how it ended
        ("id", pa.string()),
        ("action", pa.string()),  # service first: s3:GetObject
        ("provider", pa.string()),  # the same as the log writes it: s3.amazonaws.com
        ("operation", pa.string()),  # GetObject
        ("resource", pa.string()),  # as the log names it
        ("asset", pa.string()),  # where the log itself names one of ours
        ("asset_digest", pa.string()),
        ("outcome", pa.string()),  # allowed, refused, failed
        ("reason", pa.string()),
        ("bytes", pa.int64()),  # that left
        ("request_digest", pa.string()),
        # What rules ask for
        ("product", pa.string()),
        ("service", pa.string()),
        ("fields", pa.map_(pa.string(), pa.string())),  # the rest of the record, flat
        # Where it came from
        ("source", pa.string()),
        ("position", pa.int64()),  # line, element or row, from 1
        ("format", pa.string()),
        ("line_key", pa.int64()),
        ("record_key", pa.int64()),
    ]
)

FINDINGS = pa.schema(
    [
        ("time", _TIME),  # when it was written
        ("hunt", pa.string()),  # the hunt that wrote it, or the finding that a dismissal is about
        ("kind", pa.string()),  # campaign, finding, verdict, dismissal
        ("id", pa.string()),
        ("subjects", pa.list_(pa.string())),
        ("document", pa.string()),  # the record as JSON; docs/schemas/ has its schema
    ]
)

"""Who opened what: personal facts as keyed digests, questions to the ledger with proofs, and export as OCSF.

Invariants: no plain principal, credential or client address comes out of `entry_of`; every `Answer` was re-read from
the log and leads to a verified checkpoint. What people write into `reason` and `purpose` stands in the ledger as it
is and cannot be erased: names do not belong there.
"""

from ._ask import Answer, Reader, ask
from ._body import ACCESS
from ._compare import ACCEPTS, RESTORES, check_releases, compare_state
from ._difference import Comparison, Difference
from ._leases import MISSING
from ._ocsf import OCSF_VERSION, api_activity, stored_activity
from ._recent import Recent, recent_releases
from ._rows import NO_ROW, RowDigests, changes
from ._subjects import PERSONAL, Subjects, entry_of, is_digest

__all__ = [
    "ACCEPTS",
    "ACCESS",
    "MISSING",
    "NO_ROW",
    "OCSF_VERSION",
    "PERSONAL",
    "RESTORES",
    "Answer",
    "Comparison",
    "Difference",
    "Reader",
    "Recent",
    "RowDigests",
    "Subjects",
    "api_activity",
    "ask",
    "changes",
    "check_releases",
    "compare_state",
    "entry_of",
    "is_digest",
    "recent_releases",
    "stored_activity",
]

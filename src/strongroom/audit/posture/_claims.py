"""The table of claims: whose demand each answers, what is claimed, how it is measured, and what to do.

`sp800-207/2.1-N` answers tenet N of NIST SP 800-207 (August 2020), section 2.1; `rand/slN` a measure that RAND's
"Securing AI Model Weights" (RR-A2849-1, 2024) names for its security level N. docs/zero-trust.md has a row for each,
and says which of their demands have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields

from ...core.clock import format_time
from . import _measures as measures
from ._facts import Facts, Unread
from ._measures import Measured
from ._result import Posture, Problem, Result

__all__ = ["CLAIMS", "Claim", "exit_code_of", "posture_of"]


@dataclass(frozen=True)
class Claim:
    """One claim."""

    id: str
    claim: str
    needs: tuple[str, ...]
    """The parts of `Facts` that `measure` takes, in its order."""
    measure: Callable[..., Measured]
    next: str

    @property
    def source(self) -> str:
        """Whose demand it answers."""
        standard, level, _ = self.id.split("/")
        if standard == "rand":
            return f"RAND RR-A2849-1 (2024), {level.upper()}"
        return f"NIST SP 800-207 (2020), section 2.1, tenet {level.rpartition('-')[2]}"


_SEAL = "seal them: strongroom vault seal … --name ASSET; what lies open in the places of 'asset list' is not counted"
_ENFORCE = 'publish policies and set mode = "enforce" under [policy]: docs/policy.md'
_TLS = "write https, ssh, or sslmode=verify-full, and renew the certificate"
_HUNT = "run strongroom hunt on the logs of access each day, or --watch; look at: strongroom finding list"
_LEDGER = "make one: strongroom ledger init DIR --origin NAME"
_SERVICE = "run strongroom keyserver serve as a user that nothing else runs as: docs/keyserver.md"

CLAIMS = (
    Claim(
        "sp800-207/2.1-1/sealed",
        "Every restricted or crown asset on the list is sealed.",
        ("assets",),
        measures.sealed,
        _SEAL,
    ),
    Claim(
        "sp800-207/2.1-2/transport",
        "Whatever the site says to other machines goes through TLS or SSH.",
        ("channels",),
        measures.transport,
        _TLS,
    ),
    Claim(
        "sp800-207/2.1-2/post-quantum",
        "Object keys are wrapped with ML-KEM for every recipient that the site seals to by itself.",
        ("keys",),
        measures.post_quantum,
        "make a key: strongroom vault keys new NAME --kind mlkem768-x25519, and rekey to it",
    ),
    Claim(
        "sp800-207/2.1-2/location",
        "No policy opens anything to a principal because of where it asks from.",
        ("rules",),
        measures.location,
        "take context.network out of what permits: strongroom policy show --text",
    ),
    Claim(
        "sp800-207/2.1-3/lease",
        "Every release of the last 30 days on record stands under a lease.",
        ("recent",),
        measures.leased,
        f"{_ENFORCE}; a door without policies gives no leases",
    ),
    Claim(
        "sp800-207/2.1-3/purpose",
        "Every release of the last 30 days says what for.",
        ("uses",),
        measures.purposes,
        "forbid opening without context.purpose for internal assets too, as dear-needs-purpose does for dear ones",
    ),
    Claim(
        "sp800-207/2.1-3/grants",
        "No standing permission holds for more than 90 days from now.",
        ("grants",),
        measures.grants_end,
        "give it anew for a shorter time: strongroom grant add … --for 30d",
    ),
    Claim(
        "sp800-207/2.1-4/policy",
        "Policies that the site signed are in force and decide every request.",
        ("rules",),
        measures.in_force,
        _ENFORCE,
    ),
    Claim(
        "sp800-207/2.1-5/versions",
        "Of whatever was sealed the newest version is on record, signed by a key that the site believes.",
        ("assets",),
        measures.signed_versions,
        "add the signer's key if you believe it (strongroom vault keys add), or seal anew",
    ),
    Claim(
        "sp800-207/2.1-6/credential",
        "Every release of the last 30 days on record was asked for with a credential.",
        ("recent",),
        measures.credentials,
        _SERVICE,
    ),
    Claim(
        "sp800-207/2.1-6/api-keys",
        "No API key that is accepted is older than 90 days or without an end.",
        ("api_keys",),
        measures.keys_end,
        "strongroom principal key list, then principal key rotate ID",
    ),
    Claim(
        "sp800-207/2.1-6/idle",
        "No principal has been without a sign of use for 90 days.",
        ("people",),
        measures.none_idle,
        "strongroom principal list, then principal suspend NAME",
    ),
    Claim(
        "sp800-207/2.1-7/record",
        "What happened is on record, and the record's checkpoints have left the machine.",
        ("ledger",),
        measures.left_the_machine,
        "name a witness, a copy or a git remote under [ledger]; where more left than is there: ledger verify",
    ),
    Claim(
        "sp800-207/2.1-7/findings",
        "Logs were searched within a week, and nothing that was found is open.",
        ("hunts",),
        measures.findings,
        _HUNT,
    ),
    Claim(
        "rand/sl1/weight-encryption",
        "Restricted and crown weights are encrypted where they lie.",
        ("assets",),
        measures.sealed,
        _SEAL,
    ),
    Claim("rand/sl1/access-control", "Policies decide who may open what.", ("rules",), measures.in_force, _ENFORCE),
    Claim("rand/sl1/audit-trail", "There is an audit trail.", ("ledger",), measures.audit_trail, _LEDGER),
    Claim(
        "rand/sl1/least-privilege",
        "Somebody administers the site, and no grant covers a whole organization.",
        ("grants", "people"),
        measures.least_privilege,
        "grant single assets instead of org/*: strongroom grant list",
    ),
    Claim(
        "rand/sl1/backup",
        "Whatever is sealed can be opened with a recovery key, which does not lie on this machine.",
        ("keys",),
        measures.recovery,
        "move keys/vault/recovery.key to where it survives this machine, and remove it here",
    ),
    Claim(
        "rand/sl2/key-management",
        "No private key of vault or ledger lies on the disk in the open.",
        ("keys",),
        measures.key_files,
        "make keys with --passphrase-file, or seal to a KMS or a token: docs/vault.md",
    ),
    Claim("rand/sl2/transit", "Nothing goes to other machines in plain.", ("channels",), measures.transport, _TLS),
    Claim(
        "rand/sl2/hardware-keys",
        "Whoever approves signs with a key that lives in hardware (FIDO).",
        ("people",),
        measures.hardware,
        "ssh-keygen -t ed25519-sk, then strongroom principal add NAME --ssh-key FILE",
    ),
    Claim(
        "rand/sl2/logging",
        "Every release and every refusal goes on record.",
        ("uses", "ledger", "recent"),
        measures.on_record,
        f"{_LEDGER}; where it has fewer releases than there are leases, look into the ledgers of the other servers",
    ),
    Claim(
        "rand/sl2/copies",
        "Each restricted or crown asset lies in one place, and exports are counted.",
        ("assets", "uses"),
        measures.one_place,
        "remove the copies that nobody needs, then strongroom asset add NAME --at PLACE --replace",
    ),
    Claim(
        "rand/sl3/central-storage",
        "Whatever was sealed here is on the list of assets.",
        ("assets",),
        measures.all_listed,
        "strongroom asset add NAME --at PLACE --classification WORD",
    ),
    Claim(
        "rand/sl3/interface",
        "Weights are opened through the key service, whose user no workload runs as.",
        ("service",),
        measures.interface,
        _SERVICE,
    ),
    Claim(
        "rand/sl3/multiparty",
        "A crown asset leaves only with the yes of two others, and is opened only for a purpose.",
        ("rules",),
        measures.multiparty,
        "publish policies with export-needs-approvals and dear-needs-purpose: docs/policy.md",
    ),
    Claim(
        "rand/sl3/anomaly-detection", "Logs of access were searched within a week.", ("hunts",), measures.hunted, _HUNT
    ),
    Claim(
        "rand/sl3/policy-as-code",
        "What is permitted is decided by signed code, not by hand.",
        ("rules",),
        measures.in_force,
        _ENFORCE,
    ),
)


def posture_of(facts: Facts, time: int, *, scanned: bool) -> Posture:
    """Every claim, measured on what was read."""
    results = [_result(claim, facts) for claim in CLAIMS]
    return Posture(
        time=format_time(time),
        scanned=scanned,
        states=dict(Counter(result.state for result in results)),
        claims=results,
        problems=[Problem(part=part, why=unread.why) for part, unread in _unread(facts) if unread.exit_code],
    )


def exit_code_of(facts: Facts, posture: Posture) -> int:
    """0 where everything measured is met, 1 where something is not; of the first error where a part was not read."""
    failed = [unread.exit_code for _, unread in _unread(facts) if unread.exit_code]
    if failed:
        return failed[0]
    return int(any(result.state in ("partly", "not met") for result in posture.claims))


def _result(claim: Claim, facts: Facts) -> Result:
    parts = [getattr(facts, name) for name in claim.needs]
    lacking = next((part for part in parts if isinstance(part, Unread)), None)
    state, numbers = ("not measured", {}) if lacking else claim.measure(*parts)
    next_step = claim.next if state in ("partly", "not met") else lacking.why if lacking else ""
    return Result(id=claim.id, source=claim.source, claim=claim.claim, state=state, numbers=numbers, next=next_step)


def _unread(facts: Facts) -> list[tuple[str, Unread]]:
    parts = [(field.name, getattr(facts, field.name)) for field in fields(facts)]
    return [(name, part) for name, part in parts if isinstance(part, Unread)]

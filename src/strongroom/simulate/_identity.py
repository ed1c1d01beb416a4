"""Who an account says it is and where it comes from: sign-up facts, addresses, clients.

Addresses are from 240.0.0.0/4 and 2001:db8::/32, networks from the private AS numbers: none belongs to anybody.
A network keeps its own address block, so that address and `asn` agree as they do in real logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

DAY_MS = 86_400_000
NETWORKS = 900
_COUNTRIES = ("US", "IN", "DE", "GB", "FR", "BR", "CA", "JP", "NL", "KR", "AU", "ES", "PL", "SG", "IT", "MX",
              "SE", "ID", "TR", "VN", "CH", "IL", "AR", "NG", "PT", "FI", "DK", "CZ", "ZA", "PH")  # fmt: skip
# Real providers' names: whether a domain is a provider's is a fact that a detector may know.
_FREE_MAIL = ("gmail.com", "outlook.com", "icloud.com", "yahoo.com", "proton.me", "gmx.de", "mail.com", "qq.com",
              "fastmail.com", "hey.com")  # fmt: skip
_CLIENTS = ("openai-python/1.{}.0", "openai-node/4.{}.1", "python-requests/2.{}.0", "langchain/0.{}.3",
            "litellm/1.{}.7", "node-fetch/3.{}.0", "Go-http-client/1.{}", "curl/8.{}.0", "okhttp/4.{}.0",
            "Mozilla/5.0 (X11; Linux x86_64) Chrome/{}.0", "Mozilla/5.0 (Windows NT 10.0) Chrome/{}.0",
            "Mozilla/5.0 (Macintosh) Safari/6{}.1", "axios/1.{}.2", "aiohttp/3.{}.1")  # fmt: skip
_CLIENT_WEIGHTS = np.array([22, 14, 9, 8, 6, 5, 5, 4, 3, 7, 9, 4, 3, 3], dtype=float)


@dataclass(frozen=True, slots=True)
class Client:
    """A program that sends requests; its TLS handshake goes with it."""

    user_agent: str
    tls_fingerprint: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything a record says about its sender, apart from what the sender does."""

    account: str
    credentials: tuple[str, ...]
    organization: str | None
    addresses: tuple[tuple[str, int], ...]
    clients: tuple[Client, ...]
    signup_ms: int
    payment: str
    email_domain: str
    country: str
    end_user: str | None = None

    @property
    def subject(self) -> str:
        """The name under which truth and findings know this sender."""
        return self.account if self.end_user is None else f"{self.account}/{self.end_user}"

    def moved_to(self, addresses: Sequence[tuple[str, int]]) -> Identity:
        """The same sender behind other addresses."""
        return replace(self, addresses=tuple(addresses))


def hexadecimal(rng: np.random.Generator, digits: int) -> str:
    """A random name.

    >>> len(hexadecimal(np.random.default_rng(0), 12))
    12
    """
    return rng.bytes((digits + 1) // 2).hex()[:digits]


def draw_network(rng: np.random.Generator) -> int:
    """A network: few carry many people, many carry few (Zipf)."""
    return min(int(rng.zipf(1.35)), NETWORKS) - 1 if rng.random() < 0.75 else int(rng.integers(NETWORKS))


def draw_address(rng: np.random.Generator, network: int) -> tuple[str, int]:
    """An address in a network, with its AS number."""
    asn = 64_512 + network
    if rng.random() < 0.25:
        a, b, c = rng.integers(0, 65_536, 3).tolist()
        return f"2001:db8:{network:x}:{a:x}::{b:x}:{c:x}", asn
    host = int(rng.integers(1, 1 << 18))
    number = (0xF << 28) | (network << 18) | host
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0)), asn


def draw_client(rng: np.random.Generator) -> Client:
    """A client and version; handshakes follow the library, with some variety from the system beneath."""
    family = int(rng.choice(len(_CLIENTS), p=_CLIENT_WEIGHTS / _CLIENT_WEIGHTS.sum()))
    version = 20 + min(int(rng.exponential(6.0)), 60)
    system = min(int(rng.geometric(0.45)), 5)
    tls = f"t13d{1500 + family:04d}h2_{(family * 2654435761 + system * 40503) & 0xFFFFFFFF:08x}"
    return Client(_CLIENTS[family].format(version), tls)


def draw_identity(rng: np.random.Generator, *, addresses: int, clients: int, start_ms: int, days: int) -> Identity:
    """Draw one individual. Most signed up in the two years before; some during the window."""
    country = _COUNTRIES[min(int(rng.geometric(0.16)) - 1, len(_COUNTRIES) - 1)]
    home = draw_network(rng)
    places = [draw_address(rng, home if rng.random() < 0.55 else draw_network(rng)) for _ in range(addresses)]
    age = rng.exponential(160.0) if rng.random() < 0.9 else -rng.uniform(0.0, (days - 1) * 0.6)
    own_domain = rng.random() < 0.3
    account = "acct_" + hexadecimal(rng, 12)
    return Identity(
        account=account,
        credentials=tuple("key_" + hexadecimal(rng, 10) for _ in range(1 + int(rng.random() < 0.2))),
        organization="org_" + hexadecimal(rng, 8) if rng.random() < 0.35 else None,
        addresses=tuple(places),
        clients=tuple(draw_client(rng) for _ in range(clients)),
        signup_ms=start_ms - int(min(age, 900.0) * DAY_MS),
        payment="pay_" + hexadecimal(rng, 16),
        email_domain=(
            f"{hexadecimal(rng, 6)}.example"
            if own_domain
            else _FREE_MAIL[min(int(rng.geometric(0.42)) - 1, len(_FREE_MAIL) - 1)]
        ),
        country=country,
    )

"""Which of the addresses that a proxy logs is the client's.

>>> client_address(["10.0.0.7:4711"], "198.51.100.9, 203.0.113.7, 10.1.1.1")
'203.0.113.7'
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

__all__ = ["client_address", "without_port"]

_MAX_HOPS = 32
_OWN = [
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
]


def client_address(peers: Iterable[str], forwarded: str) -> str:
    """The first peer outside private networks; else the last such hop of X-Forwarded-For; else a peer.

    A client can write what it likes at the start of X-Forwarded-For, and each proxy adds what it saw at the
    end; so the end is believed.
    """
    hops = [without_port(hop) for hop in forwarded.split(",")[-_MAX_HOPS:]]
    peers = [without_port(peer) for peer in peers]
    for candidate in (*peers, *reversed(hops)):
        if _is_public(candidate):
            return candidate
    return next(filter(None, (*reversed(hops), *peers)), "")


def without_port(text: str) -> str:
    """`203.0.113.7:443` and `[2001:db8::1]:443` without port and brackets; other text as it is."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, port = text.partition(":")
    return host if colon and port.isdigit() else text


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not any(address in network for network in _OWN)

"""A network's pattern finds its addresses in every way of writing them, and no others."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

import re2
from hypothesis import given
from hypothesis import strategies as st

from strongroom.detect.rules._cidr import network_regex


@given(first=st.integers(0, 2**32 - 1), bits=st.integers(0, 32), other=st.integers(0, 2**32 - 1), inside=st.booleans())
def test_ipv4(first: int, bits: int, other: int, inside: bool) -> None:
    network = ip_network((first, bits), strict=False)
    address = ip_address(int(network.network_address) | (other & int(network.hostmask)) if inside else other)
    assert (re2.search(network_regex(str(network)), str(address)) is not None) == (address in network)


@given(
    first=st.lists(st.sampled_from([0, 1, 0xF, 0x10, 0xFE80, 0xFFFF, 0xA0B]), min_size=8, max_size=8),
    bits=st.integers(0, 128),
    other=st.lists(st.sampled_from([0, 1, 0xF, 0x10, 0xFE80, 0xFFFF, 0xA0B]), min_size=8, max_size=8),
    inside=st.booleans(),
)
def test_ipv6(first: list[int], bits: int, other: list[int], inside: bool) -> None:
    network = ip_network((number(first), bits), strict=False)
    value = number(other)
    address = IPv6Address(int(network.network_address) | (value & int(network.hostmask)) if inside else value)
    pattern = network_regex(str(network))
    for text in (str(address), address.exploded, str(address).upper(), f"{address}%eth0"):
        assert (re2.search(pattern, text) is not None) == (address in network)


def number(groups: list[int]) -> int:
    return sum(group << 16 * (7 - i) for i, group in enumerate(groups))

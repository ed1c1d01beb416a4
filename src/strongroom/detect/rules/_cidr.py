"""Networks as regular expressions over the text of an address, which both engines can search for.

IPv4 addresses in dotted decimal; IPv6 addresses in hexadecimal groups, shortened or not, in any case, with a zone or
without. An IPv4 address inside an IPv6 one (`::ffff:192.0.2.1`) is not looked into.

>>> print(network_regex("10.128.0.0/15"))
\\A10\\.(?:128|129)\\.(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\z
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

__all__ = ["network_regex"]

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUPS = 8


def network_regex(network: str) -> str:
    """A pattern that is found in the text of an address exactly when it lies in `network`. Raises ValueError."""
    parsed = ip_network(network)
    return _v4(parsed) if isinstance(parsed, IPv4Network) else _v6(parsed)


def _v4(network: IPv4Network) -> str:
    octets = []
    for first, mask in zip(network.network_address.packed, network.netmask.packed, strict=True):
        if mask == 255:
            octets.append(str(first))
        elif mask == 0:
            octets.append(_OCTET)
        else:
            octets.append(f"(?:{'|'.join(str(first + i) for i in range(256 - mask))})")
    return r"\A" + r"\.".join(octets) + r"\z"


def _v6(network: IPv6Network) -> str:
    values = [int(group, 16) for group in network.network_address.exploded.split(":")]
    masks = [int(group, 16) for group in network.netmask.exploded.split(":")]
    groups = [_group(value, mask) for value, mask in zip(values, masks, strict=True)]
    # `::` stands for one or more groups of zeros, between `left` groups before it and `right` after it.
    forms = [":".join(groups)]
    for left in range(_GROUPS):
        forms += [
            f"{':'.join(groups[:left])}::{':'.join(groups[_GROUPS - right :])}"
            for right in range(_GROUPS - left)
            if not any(values[left : _GROUPS - right])
        ]
    return rf"(?i)\A(?:{'|'.join(forms)})(?:%[0-9a-z._-]{{1,64}})?\z"


def _group(value: int, mask: int) -> str:
    """One group of 16 bits, with leading zeros or without."""
    digits = []
    for shift in (12, 8, 4, 0):
        low, free = value >> shift & 15, 15 - (mask >> shift & 15)
        digits.append(f"{low:x}" if not free else f"[{''.join(f'{low + i:x}' for i in range(free + 1))}]")
    forms = ["".join(digits)]
    for cut in range(1, 4):
        if "0" not in digits[cut - 1]:
            break
        forms.append("".join(digits[cut:]))
    return f"(?:{'|'.join(forms)})"

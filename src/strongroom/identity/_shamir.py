"""Shamir's secret sharing: any `need` shares give a secret back, fewer say nothing about it (Shamir, 1979).

Each byte of the secret is the value at 0 of a polynomial of its own, of degree `need` - 1 and with random coefficients,
over the field GF(2^8) of AES (FIPS 197, section 4.2: modulo x^8 + x^4 + x^3 + x + 1). Share number x holds the values
at x. That is draft-mcgrew-tss-03 without its header; SLIP-0039 has the same field and puts the secret elsewhere.

Nothing here tells a wrong share: with one, or with too few, another secret comes out. Whoever combines compares.

>>> shares = split(b"secret", shares=3, need=2, random=lambda length: bytes(range(1, length + 1)))
>>> combine({1: shares[0], 3: shares[2]})
b'secret'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["MAX_SHARES", "combine", "split"]

MAX_SHARES = 255
"""As many points as the field has beside 0, where the secret is."""


def _tables() -> tuple[list[int], list[int]]:
    """The powers of 3, which generates the field, and their logarithms."""
    powers, logarithms, value = [0] * 255, [0] * 256, 1
    for exponent in range(255):
        powers[exponent], logarithms[value] = value, exponent
        doubled = value << 1 ^ (0x11B if value & 0x80 else 0)
        value ^= doubled
    return powers, logarithms


_POWERS, _LOGARITHMS = _tables()


def multiply(a: int, b: int) -> int:
    """The product in the field; the sum is `a ^ b`.

    >>> hex(multiply(0x57, 0x83))
    '0xc1'
    """
    return _POWERS[(_LOGARITHMS[a] + _LOGARITHMS[b]) % 255] if a and b else 0


def divide(a: int, b: int) -> int:
    """The quotient in the field."""
    if not b:
        raise ZeroDivisionError
    return _POWERS[(_LOGARITHMS[a] - _LOGARITHMS[b]) % 255] if a else 0


def split(secret: bytes, *, shares: int, need: int, random: Callable[[int], bytes]) -> list[bytes]:
    """Share 1, 2, … of a secret. `random` must be unpredictable: whoever knows what it gave needs fewer shares."""
    if not 1 <= need <= shares <= MAX_SHARES:
        raise ValueError(f"{need} of {shares} shares")
    rows = [secret, *(random(len(secret)) for _ in range(need - 1))]  # the coefficients, that of x^0 first
    return [bytes(_value(column, x) for column in zip(*rows, strict=True)) for x in range(1, shares + 1)]


def combine(shares: Mapping[int, bytes]) -> bytes:
    """The secret, from shares by their numbers: Lagrange's interpolation at 0."""
    if not all(0 < x <= MAX_SHARES for x in shares):
        raise ValueError("a share's number is none")
    weights = [_weight(x, shares) for x in shares]
    return bytes(_sum(map(multiply, weights, column)) for column in zip(*shares.values(), strict=True))


def _value(coefficients: tuple[int, ...], x: int) -> int:
    """Horner's scheme."""
    value = 0
    for each in reversed(coefficients):
        value = multiply(value, x) ^ each
    return value


def _weight(x: int, points: Mapping[int, bytes]) -> int:
    """By how much the value at x counts in that at 0. Minus is plus in this field."""
    weight = 1
    for other in points:
        if other != x:
            weight = multiply(weight, divide(other, other ^ x))
    return weight


def _sum(values: map[int]) -> int:
    total = 0
    for each in values:
        total ^= each
    return total

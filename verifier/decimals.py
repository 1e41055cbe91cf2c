"""Amounts, quantities and shares as exact integers.

Units: amounts and quantities are micros (millionths), shares are ten-thousandths; an amount times a share is of 10^-10.
"""

import re

MICROS_DECIMALS = 6
SHARE_DECIMALS = 4
EXACT_DECIMALS = 10
SHARE_ONE = 10_000
EXACT_PER_MICRO = 10_000
"""A millionth is so many 10^-10."""

AMOUNT_PATTERN = r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,6})?"
SHARE_PATTERN = r"[0-9](\.[0-9]{1,4})?"
EXACT_PATTERN = r"-?(0|[1-9][0-9]{0,60})(\.[0-9]{1,10})?"
_SHORTEST = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", re.ASCII)


def _units(text: str, decimals: int) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(decimals, "0"))


def micros(text: str) -> int:
    """Read an amount or a quantity.

    >>> micros("168.5"), micros("-0.000001")
    (168500000, -1)
    """
    return _units(text, MICROS_DECIMALS)


def share(text: str) -> int:
    """Read a share.

    >>> share("1"), share("0.3333")
    (10000, 3333)
    """
    return _units(text, SHARE_DECIMALS)


def exact(text: str) -> int:
    """Read an exact amount, as statements have them, into units of 10^-10."""
    return _units(text, EXACT_DECIMALS)


def exact_text(units: int) -> str:
    """Write units of 10^-10 as the shortest exact decimal.

    >>> exact_text(1_685_000_000_000), exact_text(-1)
    ('168.5', '-0.0000000001')
    """
    digits = str(abs(units)).rjust(EXACT_DECIMALS + 1, "0")
    fraction = digits[-EXACT_DECIMALS:].rstrip("0")
    return f"{'-' if units < 0 else ''}{digits[:-EXACT_DECIMALS]}{'.' if fraction else ''}{fraction}"


def is_shortest(text: str) -> bool:
    """Say whether a decimal is written in its one shortest way."""
    return text != "-0" and _SHORTEST.fullmatch(text) is not None


def divided(whole: int, shares: list[int]) -> list[int]:
    """Divide by shares (that sum to one) so that the parts sum to the whole; the largest remainders get what is over.

    Ties: equal remainders in the order given.

    >>> divided(100, [3333, 3333, 3334]), divided(-1, [5000, 5000])
    ([33, 33, 34], [-1, 0])
    """
    if len(shares) == 1:
        return [whole]
    sign, size = (-1, -whole) if whole < 0 else (1, whole)
    parts = [size * each // SHARE_ONE for each in shares]
    remainders = [size * each % SHARE_ONE for each in shares]
    by_remainder = sorted(range(len(shares)), key=lambda at: -remainders[at])
    for at in by_remainder[: size - sum(parts)]:
        parts[at] += 1
    return [sign * part for part in parts]

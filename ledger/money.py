"""Money, quantities and shares as exact integers; the only module that rounds.

Units: amounts and quantities are micros (millionths), shares are ten-thousandths, and an amount times a share is
a `credited` number of 10^-10 units. Nothing here, nor anywhere below, is a binary float.
Source: design, section 4, "Money and shares".
"""

import re
from collections.abc import Sequence
from functools import cache

from iso4217 import Currency

MICROS = 1_000_000
CREDITED_DECIMALS = 10
SHARE_ONE = 10_000
SHARE_MAX = 99_999
MICROS_MAX = 2**63 - 1

_SCALE = (0, 0, 100_000, 10_000, 1_000, 100, 10, 1)  # by the characters from the point on
_SURELY_IN_RANGE = 12  # characters: no decimal that short reaches 9.2 trillion
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,12})(?:\.[0-9]{1,6})?\Z", re.ASCII)
_SHARE = re.compile(r"[0-9](?:\.[0-9]{1,4})?\Z", re.ASCII)


def parse_micros(text: str) -> int | None:
    """Read a decimal string into micros, or None where it is not one.

    Shape: up to 13 digits, an optional sign, at most six decimals; no exponent, no separators, no plus sign.
    Errors: None rather than an exception, because the caller knows the field and words the refusal.

    >>> parse_micros("20565.6206"), parse_micros("1,5")
    (20565620600, None)
    """
    if _DECIMAL.match(text) is None:
        return None
    micros = micros_of(text)
    return micros if -MICROS_MAX <= micros <= MICROS_MAX else None


def is_micros(text: str) -> bool:
    """Say whether `parse_micros` would read this, in a fraction of its time."""
    return _DECIMAL.match(text) is not None and (len(text) <= _SURELY_IN_RANGE or parse_micros(text) is not None)


def micros_of(text: str) -> int:
    """Read a decimal string that is known to be one (it was recorded); `parse_micros` without the questions."""
    if "." not in text:
        return int(text) * MICROS
    return int(text.replace(".", "")) * _SCALE[len(text) - text.find(".")]


def parse_share(text: str) -> int | None:
    """Read a share ("0.5") into ten-thousandths, 0 to 9.9999, or None where it is not one.

    >>> parse_share("0.5"), parse_share("1"), parse_share("-1")
    (5000, 10000, None)
    """
    return share_of(text) if _SHARE.match(text) else None


def share_of(text: str) -> int:
    """Read a share that is known to be one (it was recorded)."""
    whole, _, decimals = text.partition(".")
    return int(whole + decimals + "0000"[len(decimals) :])


def decimal_text(number: int, decimals: int) -> str:
    """Write an integer of 10^-decimals units as the shortest exact decimal string.

    >>> decimal_text(20565620600, 6), decimal_text(-5000, 4), decimal_text(0, 6)
    ('20565.6206', '-0.5', '0')
    """
    sign = "-" if number < 0 else ""
    digits = str(abs(number)).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def micros_text(micros: int) -> str:
    """Write micros as the shortest exact decimal string."""
    return decimal_text(micros, 6)


def credited_text(credited: int) -> str:
    """Write 10^-10 units, what an amount times a share comes to, as the shortest exact decimal string.

    >>> credited_text(1_680_000_000_001)
    '168.0000000001'
    """
    return decimal_text(credited, CREDITED_DECIMALS)


def credited_of(text: str) -> int:
    """Read an exact decimal string of up to ten decimals, known to be one (it was recorded), into 10^-10 units.

    >>> credited_of("168.0000000001"), credited_of("-0.5")
    (1680000000001, -5000000000)
    """
    whole, _, decimals = text.partition(".")
    return int(whole + decimals.ljust(CREDITED_DECIMALS, "0"))


def share_text(share: int) -> str:
    """Write ten-thousandths as the shortest exact decimal string."""
    return decimal_text(share, 4)


def rounded_text(number: int, decimals: int, currency: str) -> str:
    """Round half-up (away from zero) to the currency's minor unit, for showing; always with its decimals.

    >>> rounded_text(232890845000, 6, "USD"), rounded_text(-5, 1, "JPY")
    ('232890.85', '-1')
    """
    digits = minor_digits(currency)
    step = 10 ** (decimals - digits)
    minor = (abs(number) + step // 2) // step
    sign = "-" if number < 0 and minor else ""
    text = str(minor).rjust(digits + 1, "0")
    return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"


def ratio_text(part: int, whole: int, decimals: int) -> str:
    """Divide two integers of one unit and round half-up (away from zero), such as an attainment of 0.9375.

    >>> ratio_text(15, 16, 4), ratio_text(-1, 3, 2)
    ('0.9375', '-0.33')
    """
    assert whole > 0, "a share of nothing is nothing"
    scaled = (2 * abs(part) * 10**decimals + whole) // (2 * whole)
    return decimal_text(-scaled if part < 0 else scaled, decimals)


@cache
def minor_digits(currency: str) -> int:
    """Decimals of the currency's minor unit: USD 2, JPY 0, KWD 3; 2 for a code that ISO 4217 no longer lists."""
    exponents: list[int | None] = [entry.exponent for entry in Currency if entry.code == currency]
    return exponents[0] if exponents and exponents[0] is not None else 2


@cache
def is_currency(code: str) -> bool:
    """Say whether ISO 4217 lists this code with a minor unit (so neither gold, XAU, nor "no currency", XXX)."""
    return any(code == entry.code and entry.exponent is not None for entry in Currency)


def divide(amount: int, shares: Sequence[int]) -> list[int]:
    """Divide an integer amount by shares that sum to SHARE_ONE, so that the parts sum exactly to it.

    Ties: the largest remainder first, equal remainders in the order given (the caller sorts by salesperson).
    Source: design, invariant 7 (largest remainder).

    >>> divide(100, [3333, 3333, 3334])
    [33, 33, 34]
    """
    if len(shares) == 1:
        return [amount]
    sign, size = (-1, -amount) if amount < 0 else (1, amount)
    parts = [size * share // SHARE_ONE for share in shares]
    rest = size - sum(parts)
    if rest:
        remainders = [size * share % SHARE_ONE for share in shares]
        by_remainder = sorted(range(len(shares)), key=lambda index: (-remainders[index], index))
        for index in by_remainder[:rest]:
            parts[index] += 1
    return [sign * part for part in parts]

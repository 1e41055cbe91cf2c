"""Money and shares: exact in, exact out, divided without a rest, rounded once and half-up."""

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.events import Split
from ledger.money import (
    MICROS_MAX,
    SHARE_MAX,
    SHARE_ONE,
    decimal_text,
    divide,
    is_currency,
    micros_of,
    micros_text,
    minor_digits,
    parse_micros,
    parse_share,
    rounded_text,
    share_of,
    share_text,
)
from tests.strategies import amounts, split_shares, splits

MICROS = st.integers(-MICROS_MAX, MICROS_MAX)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("-0", 0),
        ("0.000001", 1),
        ("-0.000001", -1),
        ("12.5", 12_500_000),
        ("12.50", 12_500_000),
        ("20565.6206", 20_565_620_600),
        ("9223372036854.775807", MICROS_MAX),
        ("-9223372036854.775807", -MICROS_MAX),
    ],
)
def test_an_amount_is_read_exactly(text: str, micros: int) -> None:
    assert parse_micros(text) == micros
    assert micros_of(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", ".", "1.", ".5", "+1", "--1", "1,5", "1 000", " 1", "1 ", "1\n", "0x1", "1_000", "01", "00", "1e3"),
        *("NaN", "Infinity", "1.0000001", "12345678901234", "9223372036854.775808", "-9223372036854.775808"),
        *("١٢", "１", "²", "−1"),  # digits and signs that look right
    ],
)
def test_what_is_not_an_exact_decimal_is_not_an_amount(text: str) -> None:
    assert parse_micros(text) is None


@given(amounts())
def test_an_amount_means_what_decimal_arithmetic_says(text: str) -> None:
    assert parse_micros(text) == int(Decimal(text).scaleb(6))


@given(MICROS)
def test_micros_survive_being_written(micros: int) -> None:
    """The shortest text is read back as the same number, and has no zero that could be left out."""
    text = micros_text(micros)
    assert parse_micros(text) == micros
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("text", "share"), [("0", 0), ("0.5", 5000), ("0.50", 5000), ("1", SHARE_ONE), ("9.9999", SHARE_MAX)]
)
def test_a_share_is_read_exactly(text: str, share: int) -> None:
    assert parse_share(text) == share
    assert share_of(text) == share


@pytest.mark.parametrize("text", ["", "-1", "+1", "10", "1.", ".5", "0.00001", "50%", "1,5", "1\n", "１", "nan"])
def test_what_is_not_a_share_is_refused(text: str) -> None:
    assert parse_share(text) is None


@given(st.integers(0, SHARE_MAX))
def test_shares_survive_being_written(share: int) -> None:
    assert parse_share(share_text(share)) == share


@given(st.integers(-(10**30), 10**30), st.integers(0, 12))
def test_a_decimal_text_is_exact(number: int, decimals: int) -> None:
    with localcontext(prec=60):
        assert Decimal(decimal_text(number, decimals)) == Decimal(number).scaleb(-decimals)


@given(MICROS, st.data())
def test_the_parts_of_an_amount_sum_to_it(amount: int, data: st.DataObject) -> None:
    """Invariant 7: splits add up; and by the largest remainder: no part is off by a whole unit, the largest gain."""
    shares = data.draw(split_shares(data.draw(st.integers(1, 5))))
    parts = divide(amount, shares)
    assert sum(parts) == amount
    size = abs(amount)
    gained = []
    for part, share in zip(parts, shares, strict=True):
        assert part * amount >= 0, "a part has the sign of the whole"
        gained.append(abs(part) - size * share // SHARE_ONE)
    remainders = [size * share % SHARE_ONE for share in shares]
    assert set(gained) <= {0, 1}
    with_more = [remainder for remainder, more in zip(remainders, gained, strict=True) if more]
    without = [remainder for remainder, more in zip(remainders, gained, strict=True) if not more]
    assert not with_more or not without or min(with_more) >= max(without)


@given(MICROS, st.data())
def test_a_return_is_divided_as_the_sale_was(amount: int, data: st.DataObject) -> None:
    shares = data.draw(split_shares(data.draw(st.integers(1, 5))))
    assert divide(-amount, shares) == [-part for part in divide(amount, shares)]


@given(splits())
def test_the_split_of_an_order_divides_one_micro_to_one_person(drawn: tuple[Split, ...]) -> None:
    """Even a millionth is neither lost nor doubled."""
    shares = [share_of(split.share) for split in drawn]
    assert not shares or sorted(divide(1, shares)) == [0] * (len(shares) - 1) + [1]


@pytest.mark.parametrize(
    ("amount", "shares", "parts"),
    [
        (100, [3333, 3333, 3334], [33, 33, 34]),
        (1, [5000, 5000], [1, 0]),
        (-1, [5000, 5000], [-1, 0]),
        (10, [3333, 3333, 3334], [3, 3, 4]),
        (0, [1, 9999], [0, 0]),
        (7, [10_000], [7]),
        (2, [2500, 2500, 2500, 2500], [1, 1, 0, 0]),
    ],
)
def test_equal_remainders_go_to_the_first(amount: int, shares: list[int], parts: list[int]) -> None:
    assert divide(amount, shares) == parts


@pytest.mark.parametrize(
    ("number", "decimals", "currency", "shown"),
    [
        (232_890_845_000, 6, "USD", "232890.85"),
        (4_999, 6, "USD", "0.00"),
        (5_000, 6, "USD", "0.01"),
        (-4_999, 6, "USD", "0.00"),
        (-5_000, 6, "USD", "-0.01"),
        (499_999, 6, "JPY", "0"),
        (500_000, 6, "JPY", "1"),
        (-500_000, 6, "JPY", "-1"),
        (1_500, 6, "KWD", "0.002"),
        (1, 10, "EUR", "0.00"),
        (MICROS_MAX * SHARE_MAX, 10, "EUR", "92232798031344.07"),
    ],
)
def test_a_shown_figure_is_rounded_half_up(number: int, decimals: int, currency: str, shown: str) -> None:
    """Half-up is away from zero, to the currency's minor unit; nothing is ever shown as minus zero."""
    assert rounded_text(number, decimals, currency) == shown


@given(st.integers(-(10**30), 10**30), st.sampled_from([6, 10]), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_rounding_is_that_of_decimal_arithmetic(number: int, decimals: int, currency: str) -> None:
    with localcontext(prec=60):
        step = Decimal(1).scaleb(-minor_digits(currency))
        exact = Decimal(number).scaleb(-decimals).quantize(step, ROUND_HALF_UP)
        assert rounded_text(number, decimals, currency) == f"{abs(exact) if exact.is_zero() else exact:f}"


@pytest.mark.parametrize(("code", "digits"), [("EUR", 2), ("USD", 2), ("CNY", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)])
def test_a_currency_has_its_minor_unit(code: str, digits: int) -> None:
    assert is_currency(code)
    assert minor_digits(code) == digits


@pytest.mark.parametrize("code", ["", "eur", "EURO", "XAU", "XXX", "ABC", "EU", "€"])
def test_what_has_no_minor_unit_is_no_currency(code: str) -> None:
    assert not is_currency(code)


def test_a_currency_that_iso_4217_dropped_is_still_shown() -> None:
    """History in a withdrawn currency stays readable (invariant 12)."""
    assert rounded_text(1_234_567, 6, "DEM") == "1.23"

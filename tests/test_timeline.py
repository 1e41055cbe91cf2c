"""Half-open ranges laid over each other: of the pieces that cover a day, the last in the sequence wins."""

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ledger.timeline import FIRST_DAY, LAST_DAY, Piece, overlay, piece

DAY_0 = date(2026, 1, 1)
DAYS = [DAY_0 + timedelta(number) for number in range(-1, 21)]
"""Every day on which something drawn begins or ends, and one outside at either side."""


def between(start: int | None, end: int | None, value: str) -> Piece[str]:
    """Make a piece of day numbers, None being open."""
    first = None if start is None else DAY_0 + timedelta(start)
    last = None if end is None else DAY_0 + timedelta(end)
    return piece(first, last, value)


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece[str]]:
    """Draw up to eight pieces of two values; most are short, some open, some empty, some the wrong way round."""
    short = st.tuples(st.integers(0, 15), st.integers(1, 4)).map(lambda drawn: (drawn[0], sum(drawn)))
    edge = st.none() | st.integers(0, 19)
    ranges = st.lists(short | short | short | st.tuples(edge, edge), max_size=8)
    return [between(start, end, draw(st.sampled_from("ab"))) for start, end in draw(ranges)]


def value_on(laid: list[Piece[str]], day: date) -> list[str]:
    """Give the values of all pieces that cover a day."""
    return [part.value for part in laid if part.start <= day < part.end]


@given(pieces())
def test_on_every_day_the_last_piece_that_covers_it_wins(drawn: list[Piece[str]]) -> None:
    laid = overlay(drawn)
    for day in DAYS:
        assert value_on(laid, day) == value_on(drawn, day)[-1:]


@given(pieces())
def test_laid_pieces_are_sorted_apart_and_joined(drawn: list[Piece[str]]) -> None:
    """No piece is empty, none overlap, and neighbours that touch differ in value."""
    laid = overlay(drawn)
    assert all(part.start < part.end for part in laid)
    for before, after in pairwise(laid):
        assert before.end <= after.start
        assert before.end < after.start or before.value != after.value


@given(pieces())
def test_laying_what_is_laid_changes_nothing(drawn: list[Piece[str]]) -> None:
    laid = overlay(drawn)
    assert overlay(laid) == laid
    assert overlay([*laid, *laid]) == laid


@given(pieces(), pieces())
def test_earlier_pieces_may_be_laid_beforehand(earlier: list[Piece[str]], later: list[Piece[str]]) -> None:
    """What was laid at one time can be kept and later pieces laid over it."""
    assert overlay([*overlay(earlier), *later]) == overlay([*earlier, *later])


def test_a_range_contains_its_first_day_and_not_its_end() -> None:
    laid = overlay([between(None, None, "a"), between(3, 5, "b")])
    assert laid == [between(None, 3, "a"), between(3, 5, "b"), between(5, None, "a")]
    assert value_on(laid, DAY_0 + timedelta(3)) == ["b"]
    assert value_on(laid, DAY_0 + timedelta(5)) == ["a"]


def test_nothing_covers_nothing() -> None:
    assert overlay([]) == []
    assert overlay([between(4, 4, "empty"), between(5, 3, "reversed")]) == []


def test_an_empty_piece_cuts_nothing() -> None:
    assert overlay([between(0, 9, "a"), between(4, 4, "b")]) == [between(0, 9, "a")]


def test_a_gap_stays_a_gap() -> None:
    apart = [between(0, 2, "a"), between(5, 7, "a")]
    assert overlay(apart) == overlay(apart[::-1]) == apart


def test_an_open_range_reaches_the_ends_of_the_calendar() -> None:
    assert overlay([piece(None, None, "a")]) == [Piece(FIRST_DAY, LAST_DAY, "a")]


def test_none_is_a_value_like_any_other() -> None:
    """A stretch without a class covers the days that it takes the class away from."""
    facts: list[Piece[str | None]] = [piece(None, None, "a"), piece(DAYS[0], DAYS[9], None)]
    assert [part.value for part in overlay(facts)] == ["a", None, "a"]

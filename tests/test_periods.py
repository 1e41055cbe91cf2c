"""The fiscal calendar: names, days, tables of years such as 4-4-5, and that every day is in exactly one period."""

from collections.abc import Callable
from datetime import date, timedelta
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.checks import DAY_MAX, DAY_MIN, Checks
from ledger.events import FiscalYear, LedgerOpened
from ledger.periods import CLOSES, Calendar, Period, calendar_of, parse_period
from ledger.refusal import Code, Refusal
from ledger.settings import CALENDAR_SLACK, check_calendar, open_ledger
from ledger.store import Store

WEEKS = (4, 4, 5) * 4


def by_weeks(number: int, start: date, *, long: bool = False) -> FiscalYear:
    """Make a year of 4-4-5 weeks; a long one has a 53rd week at its end."""
    weeks = [0, *accumulate(WEEKS)]
    weeks[-1] += 1 if long else 0
    days = [start + timedelta(weeks=count) for count in weeks]
    return FiscalYear(f"FY{number:04}", tuple(days[:12]), days[12])


def table(first: int, start: date, longs: list[bool]) -> tuple[FiscalYear, ...]:
    """Make years of 4-4-5 weeks that follow each other."""
    years = list[FiscalYear]()
    for offset, long in enumerate(longs):
        years.append(by_weeks(first + offset, years[-1].end if years else start, long=long))
    return tuple(years)


RETAIL = table(2025, date(2024, 12, 29), [False, True, False])
"""Three years of weeks that begin on a Sunday; the second has 53."""


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Draw a calendar that the settings accept."""
    first_month, first = draw(st.integers(1, 12)), draw(st.integers(1990, 2100))
    closes = draw(st.sampled_from(list(CLOSES)))
    slack = CALENDAR_SLACK.days
    start = date(first, first_month, 1) + timedelta(draw(st.integers(-slack, slack)))
    years = list[FiscalYear]()
    for offset in range(draw(st.integers(0, 4))):
        month_days = [timedelta(draw(st.integers(24, 37))) for _ in range(11)]
        starts = list(accumulate(month_days, lambda day, days: day + days, initial=start))
        border = date(first + offset + 1, first_month, 1)
        start = max(border + timedelta(draw(st.integers(-slack, slack))), starts[-1] + timedelta(1))
        years.append(FiscalYear(f"FY{first + offset}", tuple(starts), start))
    if years and abs(years[-1].end - date(first + len(years), first_month, 1)) > CALENDAR_SLACK:
        years.clear()
    return Calendar(first_month, closes, tuple(years))


DAYS = st.dates(DAY_MIN, DAY_MAX)


@given(calendars())
def test_the_calendars_drawn_are_ones_that_settings_take(calendar: Calendar) -> None:
    checks = Checks("the ledger")
    check_calendar(checks, calendar.years, calendar.first_month)
    assert checks.problems == []


# ---- names and days


@pytest.mark.parametrize(
    ("text", "first_month", "start", "end"),
    [
        ("2026-03", 1, "2026-03-01", "2026-04-01"),
        ("2026-12", 1, "2026-12-01", "2027-01-01"),
        ("2026-03", 4, "2026-03-01", "2026-04-01"),
        ("2026-P03", 1, "2026-03-01", "2026-04-01"),
        ("2026-P03", 4, "2026-06-01", "2026-07-01"),
        ("2026-P12", 4, "2027-03-01", "2027-04-01"),
        ("2026-Q1", 1, "2026-01-01", "2026-04-01"),
        ("2026-Q4", 4, "2027-01-01", "2027-04-01"),
        ("FY2026", 1, "2026-01-01", "2027-01-01"),
        ("FY2026", 7, "2026-07-01", "2027-07-01"),
        ("2026-01-15..2026-02-03", 1, "2026-01-15", "2026-02-03"),
    ],
)
def test_a_period_has_its_days(text: str, first_month: int, start: str, end: str) -> None:
    calendar = Calendar(first_month)
    assert calendar.period(text) == Period(text, date.fromisoformat(start), date.fromisoformat(end))
    assert parse_period(text, calendar) == calendar.period(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026", "2026-13", "2026-00", "2026-P00", "2026-P13", "2026-P3", "2026-Q0", "2026-Q5", "2026-q5", "FY26"),
        *("2026-01-01..2026-01-01", "2026-02-01..2026-01-01", "2026-02-30..2026-03-01", "2026-01-01..", " 2026-Q1"),
        *("2026-Q1\n", "٢٠٢٦-Q1", "FY0000", "FY9999", "9999-12", "0000-01", "0000-P01", "2026-W12"),
    ],
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        Calendar().period(text)
    assert refused.value.code is Code.invalid_period
    assert refused.value.problems[0].pointer == "/period"


def test_a_year_of_the_table_has_its_days_and_quarters_are_three_of_its_months() -> None:
    calendar = Calendar(years=RETAIL)
    assert calendar.period("2025-P01") == Period("2025-P01", date(2024, 12, 29), date(2025, 1, 26))
    assert calendar.period("2025-P03").end - calendar.period("2025-P03").start == timedelta(weeks=5)
    assert calendar.period("2025-Q2") == Period("2025-Q2", date(2025, 3, 30), date(2025, 6, 29))
    assert calendar.period("FY2025").end == calendar.period("FY2026").start == date(2025, 12, 28)
    assert calendar.period("2025-03") == Period("2025-03", date(2025, 3, 1), date(2025, 4, 1)), "the calendar month"


def test_a_year_may_have_53_weeks() -> None:
    calendar = Calendar(years=RETAIL)
    lengths = [calendar.period(f"FY{year}").end - calendar.period(f"FY{year}").start for year in (2025, 2026, 2027)]
    assert lengths == [timedelta(weeks=52), timedelta(weeks=53), timedelta(weeks=52)]
    assert calendar.period("2026-P12").last_day == date(2027, 1, 2)
    assert calendar.closing_period_of(date(2027, 1, 2)).name == "2026-Q4"
    assert calendar.closing_period_of(date(2027, 1, 3)).name == "2027-Q1"


def test_the_years_beside_the_table_give_way_to_it() -> None:
    """Neither does a day of theirs get lost, nor is one of the table's theirs too."""
    calendar = Calendar(years=RETAIL)
    assert calendar.period("FY2024") == Period("FY2024", date(2024, 1, 1), date(2024, 12, 29))
    assert calendar.period("2024-P12").last_day == date(2024, 12, 28)
    assert RETAIL[-1].end == date(2028, 1, 2)
    assert calendar.period("FY2028") == Period("FY2028", date(2028, 1, 2), date(2029, 1, 1))
    assert calendar.period("2028-P01").start == date(2028, 1, 2)
    assert calendar.closing_period_of(date(2028, 1, 1)).name == "2027-Q4"


# ---- closing periods


@pytest.mark.parametrize(
    ("closes", "first_month", "text", "name"),
    [
        ("quarter", 1, "2026-Q1", "2026-Q1"),
        ("quarter", 1, "2026-01-01..2026-04-01", "2026-Q1"),
        ("year", 4, "FY2026", "FY2026"),
        ("month", 1, "2026-P03", "2026-P03"),
        ("month", 1, "2026-03", "2026-P03"),
        ("month", 4, "2026-04", "2026-P01"),
        ("month", 4, "2026-03", "2025-P12"),
    ],
)
def test_a_closing_period_has_one_name(closes: str, first_month: int, text: str, name: str) -> None:
    """However it is written: so nothing is closed twice under two names."""
    assert Calendar(first_month, closes).closing_period(text).name == name


@pytest.mark.parametrize(
    ("calendar", "text", "told"),
    [
        (Calendar(), "2026-03", "each fiscal quarter, such as 2026-Q1"),
        (Calendar(), "2026-P03", "2026-Q1"),
        (Calendar(), "FY2026", "2026-Q1"),
        (Calendar(), "2026-01-01..2026-03-31", "2026-Q1"),
        (Calendar(closes="month"), "2026-Q1", "each fiscal month, such as 2026-P01"),
        (Calendar(closes="year"), "2026-Q1", "each fiscal year, such as FY2026"),
        (Calendar(closes="month", years=RETAIL), "2026-03", "2026-P03"),  # begins on another day there
        (Calendar(first_month=4), "0001-01-01..0001-02-01", "each fiscal quarter"),
    ],
)
def test_a_period_that_is_not_closed_is_refused_with_what_is(calendar: Calendar, text: str, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        calendar.closing_period(text, pointer="/into_period")
    assert refused.value.code is Code.not_a_closing_period
    assert refused.value.problems[0].pointer == "/into_period"
    assert told in str(refused.value)


def test_the_closing_periods_that_touch_some_days() -> None:
    names = [period.name for period in Calendar(4).closing_periods(date(2026, 3, 31), date(2026, 10, 1))]
    assert names == ["2025-Q4", "2026-Q1", "2026-Q2", "2026-Q3"]
    assert Calendar().closing_periods(date(2026, 4, 1), date(2026, 3, 31)) == []
    [only] = Calendar().closing_periods(date(2026, 3, 31), date(2026, 3, 31))
    assert only.name == "2026-Q1"
    assert Calendar().next_period(only).name == "2026-Q2"


@given(calendars(), DAYS)
def test_every_day_is_in_exactly_one_closing_period(calendar: Calendar, day: date) -> None:
    """It is in the one that says so, which is found again by its name; the days before and after it are in others."""
    period = calendar.closing_period_of(day)
    assert period.start <= day < period.end
    assert calendar.closing_period(period.name) == period
    assert calendar.closing_period_of(period.start) == calendar.closing_period_of(period.last_day) == period
    following = calendar.next_period(period)
    before = calendar.closing_period_of(period.start - timedelta(1))
    assert (before.end, following.start) == (period.start, period.end)
    assert len({before.name, period.name, following.name}) == 3


@given(calendars(), st.integers(1901, 2198))
def test_the_periods_of_a_year_tile_it(calendar: Calendar, number: int) -> None:
    """Months and quarters follow each other without a gap from its first to its last day; and so do years."""
    year = calendar.period(f"FY{number}")
    for names in ([f"{number}-P{month:02}" for month in range(1, 13)], [f"{number}-Q{part}" for part in range(1, 5)]):
        parts = [calendar.period(name) for name in names]
        assert (parts[0].start, parts[-1].end) == (year.start, year.end)
        assert all(one.end == other.start for one, other in pairwise(parts))
    assert calendar.period(f"FY{number + 1}").start == year.end


@given(calendars(), DAYS, st.integers(0, 900))
def test_closing_periods_leave_no_gap(calendar: Calendar, first: date, count: int) -> None:
    last = first + timedelta(count)
    periods = calendar.closing_periods(first, last)
    assert periods[0] == calendar.closing_period_of(first)
    assert periods[-1] == calendar.closing_period_of(last)
    assert all(calendar.next_period(one) == other and one.end == other.start for one, other in pairwise(periods))


# ---- settings


def test_the_calendar_is_made_of_the_settings(new_store: Callable[[], Store]) -> None:
    store = new_store()
    assert store.calendar() == calendar_of(None) == Calendar()
    settings = LedgerOpened("ledger", closes="month", calendar=RETAIL)
    open_ledger(store, settings, actor="tester")
    assert store.settings() == settings
    assert store.calendar() == Calendar(1, "month", RETAIL)


def with_day(index: int, day: date) -> FiscalYear:
    """Give the first retail year with another first day of a month."""
    days = list(RETAIL[0].months_start)
    days[index] = day
    return replace(RETAIL[0], months_start=tuple(days))


Y25, Y26, Y27 = RETAIL


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"closes": "week"}, Code.invalid_value, "/closes"),
        ({"calendar": (replace(Y25, name="2025"),)}, Code.invalid_calendar, "/calendar/0/name"),
        ({"calendar": (replace(Y25, name="FY9999"),)}, Code.invalid_calendar, "/calendar/0/name"),
        ({"calendar": (replace(Y25, name="FY0000"),)}, Code.invalid_calendar, "/calendar/0/name"),
        ({"calendar": (replace(Y25, months_start=()),)}, Code.invalid_calendar, "/calendar/0/months_start"),
        (
            {"calendar": (Y25, replace(Y26, months_start=Y26.months_start[:11]))},
            Code.invalid_calendar,
            "/calendar/1/months_start",
        ),
        ({"calendar": (with_day(3, Y25.months_start[2]),)}, Code.invalid_calendar, "/calendar/0/months_start/3"),
        ({"calendar": (with_day(0, date(1, 1, 1)),)}, Code.invalid_calendar, "/calendar/0/name"),
        ({"calendar": (replace(Y25, end=Y25.months_start[11]),)}, Code.invalid_calendar, "/calendar/0/end"),
        ({"calendar": (replace(Y25, end=date(9999, 1, 1)),)}, Code.invalid_date, "/calendar/0/end"),
        ({"calendar": (Y25, Y27)}, Code.calendar_gap, "/calendar/1/name"),
        ({"calendar": (Y26, Y25)}, Code.calendar_gap, "/calendar/1/name"),
        ({"calendar": (Y25, Y25)}, Code.calendar_gap, "/calendar/1/name"),
        (
            {"calendar": (Y25, by_weeks(2026, Y25.end + timedelta(1)))},
            Code.calendar_gap,
            "/calendar/1/months_start/0",
        ),
        ({"calendar": RETAIL, "fiscal_year_starts_in": 2}, Code.calendar_gap, "/calendar"),
        ({"calendar": (by_weeks(2026, date(2025, 12, 16)),)}, Code.calendar_gap, "/calendar"),
        ({"calendar": (replace(Y25, end=date(2026, 1, 17)),)}, Code.calendar_gap, "/calendar"),
    ],
)
def test_settings_that_leave_a_day_in_doubt_are_refused(
    database_store: Store, changes: dict[str, object], code: Code, pointer: str
) -> None:
    with pytest.raises(Refusal) as refused:
        open_ledger(database_store, LedgerOpened("ledger", **changes), actor="tester")  # type: ignore[arg-type]
    problem = refused.value.problems[0]
    assert (problem.code, problem.pointer) == (code, pointer)
    assert database_store.head() == 0


@pytest.fixture
def database_store(new_store: Callable[[], Store]) -> Store:
    """Give an empty ledger."""
    return new_store()


def test_the_control_a_table_may_begin_and_end_fifteen_days_off(database_store: Store) -> None:
    year = replace(by_weeks(2026, date(2025, 12, 17)), end=date(2027, 1, 16))
    open_ledger(database_store, LedgerOpened("ledger", calendar=(year,)), actor="tester")
    calendar = database_store.calendar()
    assert calendar.period("2027-P01") == Period("2027-P01", date(2027, 1, 16), date(2027, 2, 1))
    assert calendar.period("2025-P12") == Period("2025-P12", date(2025, 12, 1), date(2025, 12, 17))


@pytest.mark.parametrize("name", ["2026-Q2", "FY2026", "2026-P03"])
def test_small_letters_are_capital_ones(name: str) -> None:
    assert Calendar().period(name.lower()) == Calendar().period(name)


def test_months_from_one_to_another_are_a_range() -> None:
    """As people write it: the last month is included, where days are half-open."""
    for text, same in (
        ("2026-01..2026-03", "2026-01-01..2026-04-01"),
        ("2026-03..2026-03", "2026-03"),
        ("2025-12..2026-12", "2025-12-01..2027-01-01"),
    ):
        asked, again = Calendar().period(text), Calendar().period(same)
        assert (asked.start, asked.end) == (again.start, again.end)
    for text in ("2026-03..2026-01", "2026-13..2026-14", "2026-01..2026-00", "2026-01..2026-Q1", "9999-01..9999-12"):
        with pytest.raises(Refusal):
            Calendar().period(text)

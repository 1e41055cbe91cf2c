"""The ledger's settings: recorded once as its first event, read by whoever needs them."""

import re
import secrets
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import available_timezones

from ledger import checkpoints
from ledger.checks import Checks, shown
from ledger.events import NAMES, FiscalYear, LedgerOpened, encode
from ledger.periods import CLOSES, first_of_month, is_year_name, year_number
from ledger.refusal import Code, Refusal
from ledger.sequencer import Append, Appended, NewEvent
from ledger.store import LEDGER_SUBJECT, SOURCE, Store
from ledger.wording import say

CALENDAR_SLACK: Final = timedelta(15)
"""How far a table of fiscal years may begin or end from where its neighbour would by months, which gives way to it."""


def open_ledger(store: Store, settings: LedgerOpened, *, actor: str, origin: str | None = None) -> int:
    """Record the settings and give the position; where the store has a signer, make its key and record that too.

    Shape: `origin` names the ledger in its checkpoints; left out, its name and a random number do.

    Errors: Refusal (ledger_initialised) when that was done before; other codes for bad values.
    """
    checks = Checks("the ledger")
    checks.text(settings.name, "/name")
    if not 1 <= settings.fiscal_year_starts_in <= 12:
        month = settings.fiscal_year_starts_in
        checks.note(
            Code.invalid_value, say("{month} is not a month: give 1 to 12", month=month), "/fiscal_year_starts_in"
        )
    if settings.time_zone not in available_timezones() | {"UTC"}:
        checks.note(
            Code.invalid_value, say("{time_zone} is not a time zone", time_zone=shown(settings.time_zone)), "/time_zone"
        )
    if settings.closes not in CLOSES:
        sentence = say(
            "{closes} is not what a ledger closes: give {known}",
            closes=shown(settings.closes),
            known=", ".join(CLOSES),
        )
        checks.note(Code.invalid_value, sentence, "/closes")
    check_calendar(checks, settings.calendar, settings.fiscal_year_starts_in)
    checks.refuse_if_any()
    if store.settings() is not None:
        raise _initialised()
    event = NewEvent(
        subject=LEDGER_SUBJECT,
        version=1,
        type=NAMES[LedgerOpened],
        source=SOURCE,
        event_id=NAMES[LedgerOpened],
        actor=actor,
        effective_on=store.clock().date(),
        data=encode(settings),
    )
    events = [event]
    if store.signer is not None:
        key = store.signer.create_key(origin or new_origin(settings.name))
        events.append(checkpoints.introduction(store, key, actor=actor))
    verdict = store.append(Append(events))
    if not isinstance(verdict, Appended):
        raise _initialised()
    return verdict.first_position


def _initialised() -> Refusal:
    return Refusal.of(Code.ledger_initialised, say("the ledger was initialised before: its settings are recorded"))


def new_origin(name: str) -> str:
    """Name a ledger in its checkpoints: what letters and digits its name has, and a random number."""
    words = re.findall(r"[a-z0-9]+", name.lower()) or ["ledger"]
    return f"{'-'.join(words)[:40]}-{secrets.token_hex(4)}"


def check_calendar(checks: Checks, years: Sequence[FiscalYear], first_month: int) -> None:
    """Check a table of fiscal years: each by itself, and only then that no day is in two years or in none."""
    before = len(checks.problems)
    for index, year in enumerate(years):
        _check_year(checks, year, f"/calendar/{index}")
    if not years or len(checks.problems) > before or not 1 <= first_month <= 12:
        return
    for index, (year, following) in enumerate(pairwise(years), 1):
        _check_following(checks, year, following, f"/calendar/{index}")
    first, last = year_number(years[0]), year_number(years[-1])
    begins, ends = first_of_month(first, first_month), first_of_month(last + 1, first_month)
    _check_border(
        checks,
        years[0].months_start[0],
        say("FY{year:04}, which the table does not name, ends", year=first - 1),
        begins,
    )
    _check_border(checks, years[-1].end, say("FY{year:04}, which the table does not name, begins", year=last + 1), ends)


def _check_year(checks: Checks, year: FiscalYear, at: str) -> None:
    if not is_year_name(year.name):
        checks.note(
            Code.invalid_calendar,
            say("{year_name} is not a year's name: write FY2026", year_name=shown(year.name)),
            at + "/name",
        )
    if len(year.months_start) != 12:
        given = say(
            "{months_start_count} first days are given: a fiscal year has twelve months",
            months_start_count=len(year.months_start),
        )
        checks.note(
            Code.invalid_calendar,
            say("{year_name}: {given}", year_name=shown(year.name), given=given),
            at + "/months_start",
        )
    elif is_year_name(year.name) and abs(year_number(year) - year.months_start[0].year) > 1:
        begins = year.months_start[0]
        sentence = say(
            "{year_name} begins on {begins}: name it after the calendar year in which it begins, or nearly",
            year_name=year.name,
            begins=begins,
        )
        checks.note(Code.invalid_calendar, sentence, at + "/name")
    bounds = [*year.months_start, year.end]
    pointers = [*(f"{at}/months_start/{index}" for index in range(len(year.months_start))), at + "/end"]
    for index, (day, pointer) in enumerate(zip(bounds, pointers, strict=True)):
        checks.day(day, pointer)
        if index and day <= bounds[index - 1]:
            sentence = say(
                "{year_name}: {day} is not after {before}: give the days in order",
                year_name=shown(year.name),
                day=day,
                before=bounds[index - 1],
            )
            checks.note(Code.invalid_calendar, sentence, pointer)


def _check_following(checks: Checks, year: FiscalYear, following: FiscalYear, at: str) -> None:
    name = f"FY{year_number(year) + 1:04}"
    if following.name != name:
        checks.note(
            Code.calendar_gap,
            say(
                "{following_name} stands behind {year_name}: name {name} there",
                following_name=following.name,
                year_name=year.name,
                name=name,
            ),
            at + "/name",
        )
    if following.months_start[0] != year.end:
        sentence = say(
            "{year_name} ends where {year_end} begins: begin {following_name} on that day",
            year_name=year.name,
            year_end=year.end,
            following_name=following.name,
        )
        checks.note(Code.calendar_gap, sentence, at + "/months_start/0")


def _check_border(checks: Checks, day: date, neighbour: str, by_months: date) -> None:
    """Check that the neighbour, of calendar months, can give way to the table without losing a month."""
    if abs(day - by_months) > CALENDAR_SLACK:
        checks.note(
            Code.calendar_gap,
            say(
                "{neighbour} on {day}, more than {calendar_slack_days} days from {by_months}: name that year too, or"
                " choose the month in which fiscal years start accordingly",
                neighbour=neighbour,
                day=day,
                calendar_slack_days=CALENDAR_SLACK.days,
                by_months=by_months,
            ),
            "/calendar",
        )

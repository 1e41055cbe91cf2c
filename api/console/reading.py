"""What pages read from their addresses."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final, TypeVar

from flask import request

from api.access import READERS
from api.console.shell import client, seen_roles
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import Sentence, say

LINES: Final = 200
LINES_MAX: Final = 5_000
FIRST_MAX: Final = 999_999_999
View = TypeVar("View", bound=Callable[..., Any])


def reading(*names: str) -> Callable[[View], View]:
    """Let a page read these query parameters; others are refused, as everywhere (api/access)."""

    def mark(view: View) -> View:
        view.reads_query = names  # type: ignore[attr-defined]
        return view

    return mark


def asked_day(name: str) -> date | None:
    """Read a business day; None where the address names none. Errors: Refusal (invalid_parameter)."""
    text = request.args.get(name, "").strip()
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        told = say("{text} is not a day: write one such as 2026-05-15", text=shown(text))
        raise Refusal.of(Code.invalid_parameter, told, f"/{name}") from None


def asked_period(store: Store) -> str:
    """Read the period that a page is about, as it is written.

    Without one it is the closing period of today, or, where nothing is credited in that, the latest of the year before
    it in which something is.
    """
    return request.args.get("period", "").strip() or _latest(store)


def _latest(store: Store) -> str:
    calendar = store.calendar()
    now = calendar.closing_period_of(store.today())
    year = f"{now.start.replace(day=1) - timedelta(365)}..{now.end}"
    by_month = ("month",) if seen_roles() & set(READERS) else ("month", "salesperson")  # sales sees its own alone
    for days in (now.name, year):
        months = [each.group["month"] or "" for each in client().performance(days, group_by=by_month).figures]
        if months:
            latest = calendar.closing_period_of(date.fromisoformat(f"{max(months)}-01"))
            return latest.name if latest.start < now.start else now.name
    return now.name


def asked_lines() -> int:
    """Read how many lines of a long list a page is to have. Errors: Refusal (invalid_parameter)."""
    return _number(
        "lines",
        LINES,
        LINES_MAX,
        lambda text: say("{text} is no number of lines: write one from 1 to {most}", text=shown(text), most=LINES_MAX),
    )


def asked_first(count: int) -> int:
    """Read with which line of a long list a page begins, from 1 on; with 1 where it has not so many.

    Errors: Refusal (invalid_parameter).
    """
    first = _number(
        "first",
        1,
        FIRST_MAX,
        lambda text: say("{text} is no line's number: write 1 or a higher one", text=shown(text)),
    )
    return first if first <= count else 1


def _number(name: str, default: int, most: int, refuse: Callable[[str], Sentence]) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise Refusal.of(Code.invalid_parameter, refuse(text), f"/{name}")
    return int(text)

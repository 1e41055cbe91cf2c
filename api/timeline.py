"""GET the timeline: what was done to the ledger besides orders, newest first, and what of it came late."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice
from typing import Any, Final

from flask import Response

from api.access import READERS, allow
from api.answers import answer
from api.exports import Kind, Row, Table, asked_export, cells, columns
from api.languages import translated
from api.queries import TimelineQuery, check_days, read_cursor, write_cursor
from api.routes import Routes
from api.shapes import TimelineAnswer, TimelineEntry
from ledger.checks import shown
from ledger.events import NAMES
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say
from projections.governance import KINDS, Asked, Done, kind_of, of_done, period_of, rule_change_of, timeline

_COLUMNS: Final = columns(
    position=Kind.integer,
    kind=Kind.text,
    type=Kind.text,
    what=Kind.text,
    subject=Kind.text,
    event_id=Kind.text,
    actor=Kind.text,
    recorded_at=Kind.instant,
    effective_on=Kind.day,
    effective_to=Kind.day,
    days_back_dated=Kind.integer,
    closed_periods=Kind.text,
    rule_change_id=Kind.text,
    period=Kind.text,
    reason=Kind.text,
)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("timeline", __name__, description="What was done to the ledger, for auditors.")

    @routes.get("/audit/timeline")
    @routes.query(TimelineQuery)
    @routes.answers(200, TimelineAnswer)
    @routes.exports()
    @routes.refuses(Code.empty_range)
    @allow(*READERS)
    def get_timeline(query: dict[str, Any]) -> Response:
        """Give what was done, newest first: rule changes, closes, facts, checkpoints, and how late each came.

        As a file (by Accept) it is whole.
        """
        export, asked = asked_export(query), asked_entries(store, query)
        position = asked.until
        if export is not None:
            table = Table("timeline", _COLUMNS, _rows(timeline(store, asked)))
            return export.answered([table], "timeline", position)
        if "cursor" in query:
            position, until = read_cursor(query["cursor"], 2)
            asked = replace(asked, until=min(until, position))
        found = list(islice(timeline(store, asked), query["limit"] + 1))
        page = found[: query["limit"]]
        cursor = write_cursor(position, page[-1].event.position - 1) if len(found) > len(page) else None
        return answer(TimelineAnswer(position, [_entry(done) for done in page], cursor))

    return routes


def asked_entries(store: Store, query: dict[str, Any]) -> Asked:
    """Give which entries are asked for, as the ledger is now.

    Errors: Refusal (empty_range, invalid_parameter).
    """
    start, end = query.get("start"), query.get("end")
    check_days(start, end)
    kinds = tuple(query["kind"].split(","))
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise Refusal.of(
            Code.invalid_parameter,
            say("{unknown} is not one of {kinds}", unknown=shown(unknown[0]), kinds=", ".join(KINDS)),
            "/kind",
        )
    return Asked(
        after=_last_before(store, start) if start else 0,
        until=_last_before(store, end) if end else store.head(),
        kinds=kinds,
        actor=query.get("actor"),
        back_dated=query["back_dated"],
        after_close=query["after_close"],
    )


def _last_before(store: Store, day: date) -> int:
    """Give the last position that was recorded before a business day."""
    try:
        return store.position_at(store.begin_of(day) - timedelta(microseconds=1))
    except OverflowError:  # nothing is before the first day of the calendar
        return 0


def _entry(done: Done) -> TimelineEntry:
    event = done.event
    name = NAMES[type(event.data)]
    return TimelineEntry(
        position=event.position,
        kind=kind_of(name),
        type=name,
        what=translated(of_done(event)),
        subject=event.subject,
        event_id=event.event_id,
        actor=event.actor,
        recorded_at=event.recorded_at,
        effective_on=event.effective_on,
        effective_to=done.effective_to,
        days_back_dated=done.days_back_dated,
        closed_periods=done.closed_periods,
        rule_change_id=rule_change_of(event),
        period=period_of(event),
        reason=getattr(event.data, "reason", None),
    )


def _rows(found: Iterator[Done]) -> Iterator[Row]:
    place = [column.name for column in _COLUMNS].index("closed_periods")
    for done in found:
        row = cells(_COLUMNS, _entry(done))
        yield (*row[:place], ", ".join(done.closed_periods), *row[place + 1 :])

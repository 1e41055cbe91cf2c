"""Query parameters: their schemas, and reading them into positions, periods and cursors."""

import base64
import binascii
import zlib
from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

from flask import request
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.exports import JSON, MEDIA_TYPES
from api.preferences import WAIT_SECONDS_MAX
from ledger.access_log import ACTIONS
from ledger.checks import is_identifier
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say
from projections.governance import KINDS as TIMELINE_KINDS
from projections.performance import GROUPINGS
from projections.projector import wait_until_projected
from projections.review import EXAMPLES_MAX

Answer = TypeVar("Answer")
POSITION_WAIT_MILLISECONDS = 2_000
ATTEMPTS_MAX = 20
AUDIT_TABLES = ("about", "rule_changes", "alterations", "impact", "rules")
PERIODS_TABLES = ("periods", "adjustments")
PERIOD_TABLES = ("statements", "drift", "adjustments")
OPTIONS_TABLES = ("drift", "restatement", "carry_forward")
HISTORY_TABLES = ("rule_changes", "alterations")
REVIEW_TABLES = ("findings", "amounts")
RULE_CHANGE_TABLES = ("rule_changes", "alterations", "impact", "shadows")
PAGE_MAX = 5_000
IMPORT_NAME = "import"


def _table_of(names: tuple[str, ...]) -> fields.String:
    described = f"Of an export only this table: {', '.join(names)}. Parquet holds one."
    return fields.String(validate=validate.OneOf(names), metadata={"description": described})


def instant(description: str) -> fields.AwareDateTime:
    """Make the parameter of an instant; which one is meant without a zone, or on a whole day, is not guessed."""
    no_zone = say("it names no instant of a zone: write 2026-05-15T12:00:00Z.")
    return fields.AwareDateTime(error_messages={"invalid_awareness": no_zone}, metadata={"description": description})


class DryRunQuery(Schema):
    """Whether to record."""

    dry_run = fields.Boolean(
        load_default=False, metadata={"description": "true: judge and answer what it would do, and record nothing."}
    )


def _limit(default: int, *, most: int = PAGE_MAX) -> fields.Integer:
    return fields.Integer(
        load_default=default,
        validate=validate.Range(min=1, max=most),
        metadata={"description": "At most so many on a page."},
    )


def _pinned_cursor() -> fields.String:
    return fields.String(metadata={"description": "next_cursor of the page before; pins its position."})


class ExportQuery(Schema):
    """How an export is asked for, and how it is written."""

    form = fields.String(
        data_key="format",
        validate=validate.OneOf((JSON, *MEDIA_TYPES)),
        metadata={"description": f"Instead of Accept, as for a link: {', '.join((JSON, *MEDIA_TYPES))}."},
    )

    bom = fields.Boolean(
        metadata={
            "description": "Whether a CSV begins with a byte order mark, as some spreadsheets need it; default: where"
            " it is asked for in Chinese (Accept-Language: zh)."
        },
    )


class KnownAtQuery(Schema):
    """At which point of the ledger's history to look."""

    position = fields.Integer(
        validate=validate.Range(min=0, max=2**63 - 1),
        metadata={"description": "As known after the event at this position; default: the latest."},
    )
    known_at = instant("As known at this instant (RFC 3339); instead of position.")

    @validates_schema
    def _one_of_both(self, data: dict[str, Any], **_: Any) -> None:
        if "position" in data and "known_at" in data:
            raise ValidationError(say("give position or known_at, not both"), "known_at")


class ListQuery(KnownAtQuery, ExportQuery):
    """A list as known at a point of the ledger's history, which is exported too."""


class ImportQuery(Schema):
    """What a file is called, and how it is read."""

    name = fields.String(
        load_default=IMPORT_NAME,
        validate=validate.Length(1, 100),
        metadata={"description": "What the file is called; its source is import:NAME unless the profile says another."},
    )
    profile = fields.String(metadata={"description": "A saved profile by which to read it."})


class ImportsQuery(ExportQuery):
    """Which imports."""

    before = fields.String(metadata={"description": "Go on behind this import, the last id of the page before."})
    limit = _limit(100, most=1_000)


class SavedProfilesQuery(ExportQuery):
    """Which saved profiles."""

    after = fields.String(metadata={"description": "Go on behind this profile, the last name of the page before."})
    limit = _limit(100, most=1_000)


class RejectedQuery(Schema):
    """How the rejected rows are written."""

    form = fields.String(
        data_key="format",
        validate=validate.OneOf(("csv", "xlsx")),
        metadata={"description": "Instead of Accept, as for a link: csv, xlsx."},
    )


class PreviewQuery(ExportQuery):
    """Which rows of an import."""

    after = fields.Integer(
        load_default=0,
        validate=validate.Range(min=0, max=2**62),
        metadata={"description": "Rows behind this line of the file: `next` of the page before."},
    )
    limit = _limit(100, most=1_000)
    rejected = fields.Boolean(
        load_default=False, metadata={"description": "true: only rows of orders that would not be recorded."}
    )


class PeriodsQuery(ListQuery):
    """The closing periods."""

    table = _table_of(PERIODS_TABLES)


class ClosingPeriodQuery(ListQuery):
    """A closing period."""

    table = _table_of(PERIOD_TABLES)


class OptionsQuery(ExportQuery):
    """Where to carry to."""

    into = fields.String(
        metadata={"description": "The open period to carry forward into; default: the one after the last closed."}
    )
    table = _table_of(OPTIONS_TABLES)


class HistoryQuery(ListQuery):
    """The rule changes."""

    table = _table_of(HISTORY_TABLES)


def _check_identifier(value: str) -> None:
    if not is_identifier(value):
        raise ValidationError(say("Not an identifier."))


def _impact_as() -> fields.String:
    return fields.String(
        validate=validate.OneOf(("proposed",)),
        metadata={
            "description": "proposed: the impact that its proposer saw; else of an undecided one as it is now, of a"
            " decided one as it was approved or proposed."
        },
    )


class RuleChangeQuery(ExportQuery):
    """A rule change, and which impact of it."""

    impact_as = _impact_as()
    table = _table_of(RULE_CHANGE_TABLES)


class ImpactOrdersQuery(ExportQuery):
    """Which orders of an impact."""

    impact_as = _impact_as()
    period = fields.String(
        metadata={"description": "Only what is moved in 2026-03, 2026-P03, 2026-Q1, FY2026 or 2026-01-01..2026-04-01."}
    )
    salesperson_id = fields.String(
        validate=_check_identifier,
        metadata={"description": "Only what is moved for this salesperson; `~unassigned` for nobody's."},
    )
    limit = _limit(1_000)
    cursor = _pinned_cursor()


class PageQuery(Schema):
    """Which page of a list."""

    limit = _limit(1_000)
    cursor = _pinned_cursor()


class ReviewQuery(ListQuery):
    """The findings of a review."""

    table = _table_of(REVIEW_TABLES)
    examples = fields.Integer(
        load_default=EXAMPLES_MAX,
        validate=validate.Range(min=1, max=PAGE_MAX),
        metadata={"description": "At most so many orders are named as examples of a finding."},
    )


class PeriodQuery(ListQuery):
    """A period as known at a point of the ledger's history."""

    period = fields.String(
        required=True,
        metadata={"description": "2026-03, 2026-P03, 2026-Q1, FY2026 or 2026-01-01..2026-04-01 (half-open)."},
    )
    limit = _limit(1_000)
    cursor = _pinned_cursor()


class CreditsQuery(PeriodQuery):
    """Which credit lines behind a figure."""

    counts = fields.Boolean(
        metadata={"description": "true: only lines that count; false: only those that do not; default: all."}
    )


class DaysQuery(Schema):
    """Some business days: a range [from, to)."""

    start = fields.Date(data_key="from", metadata={"description": "The first business day."})
    end = fields.Date(data_key="to", metadata={"description": "The first business day after (half-open)."})


class AuditQuery(KnownAtQuery, DaysQuery, ExportQuery):
    """Which days to report on: a period, or from and to; and where to go on."""

    period = fields.String(
        metadata={
            "description": "2026-03, 2026-P03, 2026-Q1, FY2026 or 2026-01-01..2026-04-01, instead of from and to."
        }
    )
    table = _table_of(AUDIT_TABLES)
    limit = _limit(50)
    cursor = _pinned_cursor()


class AccessQuery(DaysQuery, ExportQuery):
    """Which entries of the access log."""

    principal = fields.String(validate=_check_identifier, metadata={"description": "Only what this principal did."})
    action = fields.String(
        validate=validate.OneOf(ACTIONS), metadata={"description": f"Only one of {', '.join(ACTIONS)}."}
    )
    limit = _limit(1_000)
    cursor = fields.String(metadata={"description": "next_cursor of the page before."})


class TimelineQuery(DaysQuery, ExportQuery):
    """Which entries of the timeline; the days are the business days on which they were recorded."""

    kind = fields.String(
        load_default=",".join(TIMELINE_KINDS),
        metadata={"description": f"Only entries of these kinds, separated by commas: {', '.join(TIMELINE_KINDS)}."},
    )
    actor = fields.String(validate=_check_identifier, metadata={"description": "Only what this principal recorded."})
    back_dated = fields.Boolean(
        load_default=False,
        metadata={"description": "true: only what was recorded after the first day that it is about."},
    )
    after_close = fields.Boolean(
        load_default=False,
        metadata={"description": "true: only what was recorded after the close of a period whose days it is about."},
    )
    limit = _limit(100, most=1_000)
    cursor = _pinned_cursor()


class TokensQuery(ExportQuery):
    """Which tokens."""

    limit = _limit(1_000)
    cursor = fields.String(metadata={"description": "next_cursor of the page before."})


class PerformanceQuery(PeriodQuery):
    """What to group performance by."""

    group_by = fields.String(
        load_default="salesperson",
        metadata={"description": f"One to three of {', '.join(GROUPINGS)}, separated by commas."},
    )
    salesperson_id = fields.String(
        validate=_check_identifier,
        metadata={"description": "Only figures of this salesperson; `~unassigned` for nobody's."},
    )


class EventsQuery(Schema):
    """Which events of the feed."""

    after = fields.Integer(
        load_default=0,
        validate=validate.Range(min=0, max=2**63 - 1),
        metadata={"description": "The position of the last event that is known; 0: none."},
    )
    limit = _limit(1_000)
    wait = fields.Integer(
        load_default=0,
        validate=validate.Range(min=0, max=WAIT_SECONDS_MAX),
        metadata={"description": "Seconds to wait for an event where there is none yet."},
    )


class DeliveriesQuery(Schema):
    """Which deliveries of a webhook."""

    limit = _limit(100, most=500)
    cursor = fields.String(metadata={"description": "next_cursor of the page before."})


def asked_position(store: Store, query: dict[str, Any]) -> int | None:
    """Give the position that a request asks to look at, having waited until it is projected; None: the latest.

    Errors: Refusal - position_ahead, or not_yet_projected when it is not projected in time.
    """
    position: int | None = query.get("position")
    if "known_at" in query:
        position = store.position_at(query["known_at"])
    if position is not None:
        await_projected(store, position, "/position")
    return position


def await_projected(store: Store, position: int, pointer: str = "") -> None:
    """Wait until a position is projected.

    Errors: Refusal - position_ahead, for one that is not recorded and so is not waited for; not_yet_projected when it
    is not in time.
    """
    store.check_recorded(position, pointer)
    if not wait_until_projected(store.database, position, milliseconds=POSITION_WAIT_MILLISECONDS):
        raise Refusal.of(
            Code.not_yet_projected,
            say("position {position} is not projected yet: retry in a moment", position=position),
            pointer,
        )


def when_projected(act: Callable[[], Answer], catch_up: Callable[[], object]) -> Answer:
    """Do what needs all that is recorded to be projected; again where more was recorded meanwhile.

    Errors: Refusal (not_yet_projected) when the projection does not catch up.
    """
    for _ in range(ATTEMPTS_MAX):
        catch_up()
        try:
            return act()
        except Refusal as refusal:
            if refusal.code is not Code.not_yet_projected:
                raise
    raise Refusal.of(Code.not_yet_projected, say("the projection is behind the ledger: retry in a moment"))


def at_head(store: Store, act: Callable[[], Answer]) -> Answer:
    """Do what needs all that is recorded to be projected by the service. Errors: as of when_projected."""
    return when_projected(act, lambda: await_projected(store, store.head()))


def recorded_position(store: Store, query: dict[str, Any]) -> int | None:
    """Give the position that a request asks to look at where no projection is read; None: the latest.

    Errors: Refusal (position_ahead).
    """
    if "known_at" in query:
        return store.position_at(query["known_at"])
    position: int | None = query.get("position")
    if position is not None:
        store.check_recorded(position)
    return position


def asked_period(store: Store, query: dict[str, Any]) -> Period:
    """Give the period that a request asks for, by the ledger's fiscal calendar."""
    return store.calendar().period(query["period"])


def asked_days(store: Store, query: dict[str, Any]) -> Period:
    """Give the days that a request asks for: a period by the ledger's fiscal calendar, or the days [from, to).

    Errors: Refusal (invalid_parameter, invalid_period).
    """
    period: str | None = query.get("period")
    start: date | None = query.get("start")
    end: date | None = query.get("end")
    if (period is None) == (start is None) or (start is None) != (end is None):
        raise Refusal.of(
            Code.invalid_parameter, say("which days? give either a period, or from and to (half-open)"), "/period"
        )
    if start is None or end is None:
        return store.calendar().period(period or "")
    check_days(start, end)
    return Period(f"{start}..{end}", start, end)


def check_days(start: date | None, end: date | None) -> None:
    """Refuse days [from, to) that are none."""
    if start is not None and end is not None and not start < end:
        raise Refusal.of(
            Code.empty_range,
            say("{start} to {end} is empty: give a 'to' after 'from' (half-open)", start=start, end=end),
            "/to",
        )


def write_cursor(*numbers: int, body: bytes = b"") -> str:
    """Write where a page ends, and what was asked for; the first number is the position it is pinned to."""
    written = ".".join(map(str, (*numbers, _asked_for(body))))
    return base64.urlsafe_b64encode(written.encode()).decode().rstrip("=")


def read_cursor(text: str, count: int, *, body: bytes = b"") -> tuple[int, ...]:
    """Read a cursor of so many numbers.

    Errors: Refusal (invalid_parameter) for one that we did not write, or wrote for another question.
    """
    try:
        parts = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").split(".")
        numbers = tuple(int(part) for part in parts if part.isdigit() and len(part) <= 18)
    except (binascii.Error, UnicodeError, ValueError):
        numbers = ()
    if len(numbers) != count + 1:
        raise Refusal.of(
            Code.invalid_parameter, say("the cursor is not one of ours: start again without a cursor"), "/cursor"
        )
    if numbers[-1] != _asked_for(body):
        raise Refusal.of(
            Code.invalid_parameter,
            say(
                "the cursor is of another list: repeat the address and parameters that it came with; only limit may"
                " change"
            ),
            "/cursor",
        )
    return numbers[:-1]


def _asked_for(body: bytes) -> int:
    """Give a number for the question whose pages are turned: address, body, and all parameters but those of paging."""
    asked = sorted((name, value) for name, value in request.args.items() if name not in ("cursor", "limit"))
    address = zlib.crc32("\n".join((request.path, *(f"{name}={value}" for name, value in asked))).encode())
    return zlib.crc32(body, address)

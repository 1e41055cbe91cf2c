"""GET movements: the difference of a period's figures between two positions, a line per cause and salesperson."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from flask import Response
from marshmallow import ValidationError, fields, validate, validates_schema
from msgspec import Raw

from api.access import READERS, allow
from api.answers import answer, view_answer
from api.exports import Kind, Row, Table, amounts, asked_export, cells, columns
from api.queries import PAGE_MAX, ExportQuery, await_projected, instant, read_cursor, write_cursor
from api.routes import Routes
from api.shapes import (
    CauseAnswer,
    MovementAmounts,
    MovementAnswer,
    MovementLineAnswer,
    PeriodAnswer,
    TeamAnswer,
)
from api.values import UNASSIGNED
from ledger.events import encode
from ledger.money import CREDITED_DECIMALS, credited_text, micros_text, rounded_text
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say
from projections.movement import KINDS, MovementLine, movement
from projections.performance import projected_head

_FROM = ("from_position", "from_known_at", "from_statement")
_TO = ("to_position", "to_known_at", "to_statement")


def _position(description: str) -> fields.Integer:
    return fields.Integer(validate=validate.Range(min=0, max=2**63 - 1), metadata={"description": description})


class MovementsQuery(ExportQuery):
    """Which movement, and which of its lines."""

    period = fields.String(
        required=True, metadata={"description": "2026-03, 2026-P03, 2026-Q1, FY2026 or 2026-01-01..2026-04-01."}
    )
    from_position = _position("From what was known after the event at this position.")
    from_known_at = instant("From what was known at this instant (RFC 3339); instead of from_position.")
    from_statement = fields.Integer(
        validate=validate.Range(min=1, max=2**31 - 1),
        metadata={"description": "From the position of this statement of a closed period; instead of from_position."},
    )
    to_position = _position("To what was known after the event at this position; default: the latest.")
    to_known_at = instant("To what was known at this instant (RFC 3339); instead of to_position.")
    to_statement = fields.Integer(
        validate=validate.Range(min=1, max=2**31 - 1),
        metadata={"description": "To the position of this statement of a closed period; instead of to_position."},
    )
    kind = fields.String(
        load_default=",".join(KINDS),
        metadata={"description": f"Only causes of these kinds, separated by commas: {', '.join(KINDS)}."},
    )
    after_close = fields.Boolean(
        load_default=False,
        metadata={"description": "true: only causes recorded after the period was closed, effective before its end."},
    )
    salesperson_id = fields.String(
        metadata={"description": "Only what is moved for this salesperson; `~unassigned` for nobody's."}
    )
    sort = fields.String(
        load_default="position",
        validate=validate.OneOf(("position", "size")),
        metadata={
            "description": "size: the lines of the causes that move most of a currency first; default: as recorded."
        },
    )
    limit = fields.Integer(
        load_default=1_000,
        validate=validate.Range(min=1, max=PAGE_MAX),
        metadata={"description": "At most so many lines on a page."},
    )
    cursor = fields.String(metadata={"description": "next_cursor of the page before; pins both positions."})

    @validates_schema
    def _one_of_each(self, data: dict[str, Any], **_: Any) -> None:
        given = [name for name in _FROM if name in data]
        if not given:
            raise ValidationError(say("give one of {names}.", names=", ".join(_FROM)), "from_position")
        if len(given) > 1:
            raise ValidationError(say("give one of {names}, not two.", names=", ".join(_FROM)), given[1])
        until = [name for name in _TO if name in data]
        if len(until) > 1:
            raise ValidationError(say("give one of {names}, not two.", names=", ".join(_TO)), until[1])


_CAUSE: Final = columns(
    position=Kind.integer,
    kind=Kind.text,
    type=Kind.text,
    subject=Kind.text,
    actor=Kind.text,
    recorded_at=Kind.instant,
    effective_on=Kind.day,
    days_back_dated=Kind.integer,
    after_close=Kind.flag,
    rule_change_id=Kind.text,
    reason=Kind.text,
)
_MOVED: Final = (
    *columns(salesperson_id=Kind.text, name=Kind.text, currency=Kind.text),
    *amounts("credited", "gross", "adjustments", "quota", "carried_out"),
)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("movements", __name__, description="Why figures differ between two points of the ledger's history.")

    @routes.get("/movements")
    @routes.query(MovementsQuery)
    @routes.answers(200, MovementAnswer)
    @routes.exports()
    @routes.refuses(Code.not_a_closing_period, Code.period_open)
    @allow(*READERS)
    def get_movements(query: dict[str, Any]) -> Response:
        """Break the difference of a period's figures between two positions into its causes.

        As a file (by Accept) the lines are whole.
        """
        export = asked_export(query)
        period = named_period(store, query["period"])
        after, until, start = _asked(store, period, query)
        kinds = query["kind"].split(",")
        found = movement(store, period, from_position=after, to_position=until, kinds=kinds)
        lines = [line for line in found.lines if _is_asked_for(line, query)]
        if query["sort"] == "size":
            lines = by_size(lines)
        if export is not None:
            return export.answered([movement_table(lines)], f"movements-{period.name}-{after}", until)
        end = start + query["limit"]
        return answer(
            MovementAnswer(
                period=PeriodAnswer(period.name, period.start, period.end),
                from_position=after,
                to_position=until,
                lines=[line_answer(line) for line in lines[start:end]],
                totals=totals(lines),
                next_cursor=write_cursor(until, after, end) if end < len(lines) else None,
                view=view_answer(found.view),
            )
        )

    return routes


def _is_asked_for(line: MovementLine, query: dict[str, Any]) -> bool:
    if query["after_close"] and not line.cause.after_close:
        return False
    return query.get("salesperson_id") in (None, line.salesperson.value or UNASSIGNED)


def by_size(lines: list[MovementLine]) -> list[MovementLine]:
    """Order lines by what their cause moves in their currency, the most first; those of a cause by their own size."""
    moved = defaultdict[tuple[int, str], list[int]](lambda: [0, 0, 0])
    for line in lines:
        sums = moved[line.cause.position, line.currency]
        for at, amount in enumerate(_credit(line)):
            sums[at] += amount
    sizes = {cause: sum(map(abs, sums)) for cause, sums in moved.items()}

    def order(line: MovementLine) -> tuple[int, int, str, int]:
        cause = line.cause.position, line.currency
        return -sizes[cause], *cause, -sum(map(abs, _credit(line)))

    return sorted(lines, key=order)


def _credit(line: MovementLine) -> tuple[int, int, int]:
    return line.credited, line.adjustments, line.carried_out


def named_period(store: Store, text: str) -> Period:
    """Read a period; one that the ledger closes by its one name, under which its statements are."""
    asked = store.calendar().period(text)
    try:
        return store.calendar().closing_period(text)
    except Refusal:
        return asked


def _asked(store: Store, period: Period, query: dict[str, Any]) -> tuple[int, int, int]:
    """Give the two positions, having waited until they are projected, and where the page starts."""
    if "cursor" in query:
        until, after, start = read_cursor(query["cursor"], 3)
        await_projected(store, until, "/cursor")
        return after, until, start
    after = from_position(store, period, query)
    await_projected(store, after, "/from_position")
    until = to_position(store, period, query)
    await_projected(store, until, "/to_position")
    return after, until, 0


def from_position(store: Store, period: Period, query: dict[str, Any]) -> int:
    """Give the position that a movement begins at: a given one, an instant's or a statement's."""
    if "from_known_at" in query:
        return store.position_at(query["from_known_at"])
    if "from_statement" in query:
        return statement_position(store, period, query["from_statement"])
    position: int = query["from_position"]
    return position


def to_position(store: Store, period: Period, query: dict[str, Any]) -> int:
    """Give the position that a movement ends at; where none is asked for, the latest that is projected."""
    if "to_known_at" in query:
        return store.position_at(query["to_known_at"])
    if "to_statement" in query:
        return statement_position(store, period, query["to_statement"])
    position: int | None = query.get("to_position")
    return projected_head(store) if position is None else position


def statement_position(store: Store, period: Period, version: int) -> int:
    """Give the position of a statement of a closed period.

    Errors: Refusal (not_a_closing_period, period_open, invalid_parameter) where there is no such statement.
    """
    name = store.calendar().closing_period(period.name).name
    issued = store.closings().statements.get(name)
    if not issued:
        raise Refusal.of(
            Code.period_open,
            say("{name} is open, it has no statement yet: give from_position", name=name),
            "/from_statement",
        )
    if not 1 <= version <= len(issued):
        raise Refusal.of(
            Code.invalid_parameter,
            say(
                "{name} has no statement {version}: its last one is {issued_count}",
                name=name,
                version=version,
                issued_count=len(issued),
            ),
            "/from_statement",
        )
    return issued[version - 1].statement.position


def line_answer(line: MovementLine) -> MovementLineAnswer:
    """Tell a line."""
    return MovementLineAnswer(
        **_amounts(line.currency, _numbers(line)),
        cause=CauseAnswer(**vars(line.cause)),
        salesperson_id=line.salesperson.value,
        name=line.salesperson.name,
        teams=[TeamAnswer(team.start, team.end, team.before, team.after) for team in line.teams],
    )


def movement_table(lines: Iterable[MovementLine]) -> Table:
    """Give lines as a table."""
    heads = (*_CAUSE, *_MOVED, *columns(teams=Kind.structure))
    return Table("movements", heads, (_line_row(line_answer(line)) for line in lines))


def _line_row(told: MovementLineAnswer) -> Row:
    return (*cells(_CAUSE, told.cause), *cells(_MOVED, told), Raw(encode(told.teams)))


def totals(lines: Iterable[MovementLine]) -> list[MovementAmounts]:
    """Sum lines by currency."""
    sums = defaultdict[str, list[int]](lambda: [0, 0, 0, 0, 0])
    for line in lines:
        if not line.currency:
            continue
        for at, amount in enumerate(_numbers(line)):
            sums[line.currency][at] += amount
    return [MovementAmounts(**_amounts(currency, numbers)) for currency, numbers in sorted(sums.items())]


def _numbers(line: MovementLine) -> tuple[int, int, int, int, int]:
    return line.credited, line.gross, line.adjustments, line.quota, line.carried_out


def _amounts(currency: str, numbers: Iterable[int]) -> dict[str, Any]:
    credited, gross, adjustments, quota, carried_out = numbers
    told = {"currency": currency}
    for name, amount in (("credited", credited), ("adjustments", adjustments), ("carried_out", carried_out)):
        told[name] = rounded_text(amount, CREDITED_DECIMALS, currency)
        told[f"{name}_exact"] = credited_text(amount)
    for name, amount in (("gross", gross), ("quota", quota)):
        told[name] = rounded_text(amount, 6, currency)
        told[f"{name}_exact"] = micros_text(amount)
    return told

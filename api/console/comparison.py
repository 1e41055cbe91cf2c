"""A comparison: a period before and after, what changed it, by size, and the orders that are credited otherwise.

Both points are positions of the ledger: a statement's, or any other. What the page asks for is the API's movement, of
the causes that move most first, beside the performance at both points.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from flask import Blueprint, Response, request

from api.access import READERS, allow
from api.client import AtStatement, Client
from api.console.amounts import Bar, difference, levels, total
from api.console.reading import LINES_MAX, asked_lines, asked_period, reading
from api.console.shell import Form, Source, asked_form, asked_known, client, page
from api.languages import translated
from api.shapes import (
    CauseAnswer,
    FigureAnswer,
    MovementAmounts,
    MovementAnswer,
    MovementLineAnswer,
    PeriodAnswer,
    StatementSummary,
)
from api.transport import Refused
from api.values import UNASSIGNED
from ledger.orders import SUBJECT_PREFIX
from ledger.periods import Calendar
from ledger.refusal import Refusal
from ledger.store import Store
from ledger.wording import say

BARS_MAX: Final = 8
ORDERS_MAX: Final = 200
NAME_MAX: Final = 32
"""So many characters of a cause's name stand beside its bar."""
KINDS: Final = {
    "order_event": say("Order event"),
    "rule_change": say("Rule change"),
    "reference_fact": say("Fact"),
    "carry_forward": say("Carry-forward"),
}
_STATEMENT: Final = re.compile(r"statement[ -]?([1-9][0-9]{0,8})", re.IGNORECASE)
Point = Any
"""Where a movement begins or ends, as the client takes it."""


class Sums(NamedTuple):
    """What is moved, of the exact amounts."""

    credited: str
    gross: str
    adjustments: str
    carried_out: str
    quota: str


@dataclass(frozen=True)
class Cause:
    """An event, and what it moves in one currency: in all, and for each salesperson."""

    cause: CauseAnswer
    lines: list[MovementLineAnswer]
    sums: Sums

    @property
    def order_id(self) -> str | None:
        """Name the order, of an order's event."""
        subject = self.cause.subject
        return subject.removeprefix(SUBJECT_PREFIX) if subject.startswith(SUBJECT_PREFIX) else None

    @property
    def name(self) -> str:
        """Name what happened: the order, the rule change, or whom the fact is of."""
        return self.order_id or self.cause.rule_change_id or self.cause.subject


class Person(NamedTuple):
    """A salesperson's figures in one currency at both points."""

    salesperson_id: str | None
    name: str | None
    before: str
    after: str
    change: str
    adjustments: str


class MovedOrder(NamedTuple):
    """What an order brings a salesperson at both points."""

    order_id: str
    before: str
    after: str
    change: str


@dataclass(frozen=True)
class Currency:
    """All that is compared in one currency."""

    currency: str
    before: str
    after: str
    moved: MovementAmounts | None
    causes: list[Cause]
    people: list[Person]
    orders: list[MovedOrder]
    chart: object


def add_comparison(console: Blueprint, store: Store) -> None:
    """Add the page."""

    @console.get("/comparison")
    @reading("period", "from", "to", "salesperson", "lines")
    @allow(*READERS)
    def get_comparison() -> Response:
        ledger, calendar, lines = client(), store.calendar(), asked_lines()
        asked = asked_period(store)
        shown: dict[str, Any] = {"asked": asked, "whose": request.args.get("salesperson", "").strip(), "kinds": KINDS}
        try:
            statements = _statements(ledger, calendar, asked)
            since = _point(store, "from", AtStatement(statements[-1].version) if statements else 0)
            until = _point(store, "to", None)
            moved = ledger.largest_movements(asked, since, until, whose=shown["whose"] or None, limit=lines)
        except (Refused, Refusal) as refused:
            form = asked_form(refused, "period", "from", "to")
            return page("comparison.html", form=form, statements=[], status=form.status, **shown)
        return page(
            "comparison.html",
            form=Form(request.args.to_dict()),
            statements=statements,
            since=since.version if isinstance(since, AtStatement) else None,
            moved=moved,
            period=moved.period,
            orders_max=ORDERS_MAX,
            lines_max=LINES_MAX,
            teams=[line for line in moved.lines if line.teams],
            currencies=_currencies(ledger, asked, moved, shown["whose"]),
            view=moved.view,
            sources=_sources(asked, moved, shown["whose"]),
            **shown,
        )


def _statements(ledger: Client, calendar: Calendar, asked: str) -> list[StatementSummary]:
    """Give the statements of the closing period of just these days, if it is one."""
    days = calendar.period(asked)
    for each in ledger.periods().periods:
        if (each.start, each.end) == (days.start, days.end):
            return ledger.period(each.period).answer.statements
    return []


def _point(store: Store, name: str, default: Point) -> Point:
    """Read a point: a statement, such as statement-1, or one of the ledger's history; nothing is the default."""
    text = request.args.get(name, "").strip()
    if not text:
        return default
    statement = _STATEMENT.fullmatch(text)
    return AtStatement(int(statement[1])) if statement else asked_known(store, name).point


def _sources(asked: str, moved: MovementAnswer, whose: str) -> list[Source]:
    points = {"from_position": moved.from_position, "to_position": moved.to_position}
    query = {"period": asked, **points, "salesperson_id": whose or None, "sort": "size"}
    before, after = {"period": asked, "position": moved.from_position}, {"period": asked, "position": moved.to_position}
    sources = [
        Source(say("Movement"), "/v1/movements", query),
        Source(say("Performance before"), "/v1/performance", before),
        Source(say("Performance after"), "/v1/performance", after),
    ]
    if whose:
        path = f"/v1/performance/{quote(whose, safe='~')}/credits"
        sources += [Source(say("Credit lines before"), path, before), Source(say("Credit lines after"), path, after)]
    return sources


def _currencies(ledger: Client, asked: str, moved: MovementAnswer, whose: str) -> list[Currency]:
    """Compare the figures at both points, by currency."""
    points = (moved.from_position, moved.to_position)
    before, after = (_figures(ledger, asked, point, whose) for point in points)
    orders = _orders(ledger, asked, points, whose) if whose else {}
    moves = {each.currency: each for each in moved.totals}
    causes = _causes(moved.lines)
    names = sorted({currency for _, currency in (*before, *after)} | set(moves))
    return [
        Currency(
            currency=currency,
            before=_whole(before, currency),
            after=_whole(after, currency),
            moved=moves.get(currency),
            causes=causes[currency],
            people=_people(before, after, currency),
            orders=orders.get(currency, []),
            chart=_chart(moved.period, currency, causes[currency]),
        )
        for currency in names
    ]


Figures = dict[tuple[str | None, str], FigureAnswer]


def _figures(ledger: Client, asked: str, position: int, whose: str) -> Figures:
    """Give the figures at a position by salesperson and currency; of one salesperson where one is asked for."""
    told = ledger.performance(asked, known=position).figures
    return {
        (each.group["salesperson"], each.currency): each
        for each in told
        if not whose or (each.group["salesperson"] or UNASSIGNED) == whose
    }


def _whole(figures: Figures, currency: str) -> str:
    return total((each.credited_exact for each in figures.values() if each.currency == currency), currency)


def _people(before: Figures, after: Figures, currency: str) -> list[Person]:
    """Give everybody at both points, who moved most first."""
    people = []
    for key in {**before, **after}:
        was, became = before.get(key), after.get(key)
        known = became or was
        if key[1] != currency or known is None:
            continue
        people.append(
            Person(
                key[0],
                known.names["salesperson"],
                was.credited if was else "0",
                became.credited if became else "0",
                difference(was.credited_exact if was else "0", became.credited_exact if became else "0", currency),
                difference(
                    (was.adjustments_exact if was else None) or "0",
                    (became.adjustments_exact if became else None) or "0",
                    currency,
                ),
            )
        )
    return sorted(people, key=lambda each: (-abs(Decimal(each.change)), each.salesperson_id or ""))


def _causes(lines: Iterable[MovementLineAnswer]) -> dict[str, list[Cause]]:
    """Group lines by currency and cause, in the order in which they come."""
    grouped = defaultdict[tuple[str, int], list[MovementLineAnswer]](list)
    for line in lines:
        if line.currency:
            grouped[line.currency, line.cause.position].append(line)
    causes = defaultdict[str, list[Cause]](list)
    for (currency, _), those in grouped.items():
        sums = Sums(*(total((getattr(each, f"{name}_exact") for each in those), currency) for name in Sums._fields))
        causes[currency].append(Cause(those[0].cause, those, sums))
    return causes


def _chart(period: PeriodAnswer, currency: str, causes: Sequence[Cause]) -> object:
    """Draw the causes that move most."""
    title = say(
        "What moved {period} most in {currency}; ◆ recorded after the close", period=period.name, currency=currency
    )
    after_close = translated(say("recorded after the close"))
    biggest = [each for each in causes if Decimal(each.sums.credited)][:BARS_MAX]
    return levels(
        translated(title),
        [
            Bar(each.name[:NAME_MAX], each.sums.credited, after_close if each.cause.after_close else "")
            for each in biggest
        ],
    )


def _orders(ledger: Client, asked: str, points: tuple[int, int], whose: str) -> dict[str, list[MovedOrder]]:
    """Give by currency the orders that bring a salesperson another credit at the second point, the most first."""
    person = None if whose == UNASSIGNED else whose
    lines = defaultdict[tuple[str, str], tuple[list[str], list[str]]](lambda: ([], []))
    for at, position in enumerate(points):
        for line in ledger.credits(asked, person, known=position):
            lines[line.currency, line.order_id][at].append(line.credited)
    found = defaultdict[str, list[MovedOrder]](list)
    for order in _moved(lines):
        found[order[0]].append(order[1])
    for each in found.values():
        each.sort(key=lambda order: (-abs(Decimal(order.change)), order.order_id))
    return found


def _moved(lines: dict[tuple[str, str], tuple[list[str], list[str]]]) -> Iterator[tuple[str, MovedOrder]]:
    for (currency, order_id), (before, after) in lines.items():
        change = total((*after, *(f"{-Decimal(each):f}" for each in before)), currency)
        if Decimal(change):
            yield currency, MovedOrder(order_id, total(before, currency), total(after, currency), change)

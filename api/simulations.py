"""Simulations: periods as they are beside what they would be under other rules; nothing is recorded."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
from flask import Response

from api.access import READERS, allow
from api.answers import answer, view_answer
from api.bodies import read_body
from api.preferences import told_in_full
from api.queries import PageQuery, asked_position, read_cursor
from api.routes import Routes
from api.rule_changes import JUDGED, touched_orders, wanted_orders
from api.shapes import (
    PeriodAnswer,
    SimulatedAmounts,
    SimulatedGroup,
    SimulatedOrdersRequest,
    SimulatedPeriod,
    SimulationAnswer,
    SimulationRequest,
    TouchedOrdersAnswer,
)
from ledger.checks import Checks
from ledger.events import encode
from ledger.money import CREDITED_DECIMALS, credited_text, micros_text, rounded_text
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say
from projections.performance import projected_head
from projections.simulation import Assumption, Compared, Simulated, simulate, simulated_orders

_SIMULATION = msgspec.json.Decoder(SimulationRequest)
_ORDERS = msgspec.json.Decoder(SimulatedOrdersRequest)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("simulations", __name__, description="What if: the same calculation under other rules.")

    @routes.post("/simulations")
    @routes.takes(SimulationRequest)
    @routes.answers(200, SimulationAnswer)
    @routes.refuses(*JUDGED, Code.change_needed, Code.not_found, Code.invalid_period, Code.position_ahead)
    @told_in_full
    @allow(*READERS)
    def post_simulation() -> Response:
        """Compute periods under altered rules, or as if recorded rule changes had never been made. Records nothing."""
        request = read_body(_SIMULATION)
        periods = [store.calendar().period(text, pointer=f"/periods/{at}") for at, text in enumerate(request.periods)]
        assumption = Assumption(request.alterations, request.without)
        position = asked_position(store, _known(request))
        found = simulate(store, periods, assumption, group_by=request.group_by, position=position)
        return answer(simulation_answer(found, request.group_by))

    @routes.post("/simulations/orders")
    @routes.takes(SimulatedOrdersRequest)
    @routes.query(PageQuery)
    @routes.answers(200, TouchedOrdersAnswer)
    @routes.refuses(*JUDGED, Code.change_needed, Code.not_found, Code.invalid_period)
    @told_in_full
    @allow(*READERS)
    def post_simulated_orders(query: dict[str, Any]) -> Response:
        """Give the orders that altered rules, or rule changes left out, would touch. Records nothing.

        The limit is of orders; one has a row for each salesperson, period and currency.
        """
        request, after = read_body(_ORDERS), 0
        checks = Checks("the request")
        checks.identifier(request.salesperson_id, "/salesperson_id")
        checks.refuse_if_any()
        position = asked_position(store, _known(request))
        if position is None:
            position = projected_head(store)
        if "cursor" in query:
            position, after = read_cursor(query["cursor"], 2, body=encode(request))
        wanted = wanted_orders(store, request.period, request.salesperson_id, limit=query["limit"], after=after)
        assumption = Assumption(request.alterations, request.without)
        found = simulated_orders(store, assumption, position, wanted)
        return answer(touched_orders(position, found, query["limit"], body=encode(request)))

    return routes


def _known(request: SimulationRequest | SimulatedOrdersRequest) -> dict[str, Any]:
    asked = {"position": request.position, "known_at": request.known_at}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) > 1:
        raise Refusal.of(Code.invalid_value, say("give position or known_at, not both"), "/known_at")
    return given


def simulation_answer(simulated: list[Simulated], group_by: tuple[str, ...]) -> SimulationAnswer:
    """Tell a simulation."""
    return SimulationAnswer(group_by, [_period_answer(each, group_by) for each in simulated])


def _period_answer(simulated: Simulated, group_by: tuple[str, ...]) -> SimulatedPeriod:
    period, compared = simulated.actual.period, simulated.compared
    sums = defaultdict[str, list[int]](lambda: [0, 0, 0])
    for each in compared:
        for at, amount in enumerate(_numbers(each)):
            sums[each.currency][at] += amount
    return SimulatedPeriod(
        period=PeriodAnswer(period.name, period.start, period.end),
        groups=[_group_answer(each, group_by) for each in compared],
        totals=[SimulatedAmounts(**_amounts(currency, numbers)) for currency, numbers in sorted(sums.items())],
        actual_view=view_answer(simulated.actual.view),
        simulated_view=view_answer(simulated.simulated.view),
    )


def _group_answer(compared: Compared, group_by: tuple[str, ...]) -> SimulatedGroup:
    keys = dict(zip(group_by, compared.keys, strict=True))
    return SimulatedGroup(
        **_amounts(compared.currency, _numbers(compared)),
        group={group: key.value for group, key in keys.items()},
        names={group: key.name for group, key in keys.items()},
        actual_orders=compared.actual.orders if compared.actual else 0,
        simulated_orders=compared.simulated.orders if compared.simulated else 0,
    )


def _numbers(compared: Compared) -> tuple[int, int, int]:
    """Give what is credited, what would be, and the gross of either side."""
    actual, simulated = compared.actual, compared.simulated
    either = actual or simulated
    return (
        actual.credited if actual else 0,
        simulated.credited if simulated else 0,
        either.gross if either else 0,
    )


def _amounts(currency: str, numbers: Iterable[int]) -> dict[str, Any]:
    actual, simulated, gross = numbers
    told = {"currency": currency, "gross": rounded_text(gross, 6, currency), "gross_exact": micros_text(gross)}
    for name, amount in (("actual", actual), ("simulated", simulated), ("change", simulated - actual)):
        told[name] = rounded_text(amount, CREDITED_DECIMALS, currency)
        told[f"{name}_exact"] = credited_text(amount)
    return told

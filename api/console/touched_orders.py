"""The orders that a rule change touches, recorded or only tried: what each is worth before and after."""

from collections import defaultdict
from typing import Any, Literal, NamedTuple

from flask import Blueprint, Response, request

from api.access import READERS, allow
from api.answers import answer
from api.client import Page
from api.console.alterations import read_alterations, told_alteration
from api.console.amounts import total
from api.console.reading import LINES_MAX, asked_lines, reading
from api.console.rule_change import address_of
from api.console.shell import Known, Source, asked_known, client, page
from api.console.simulation import as_file
from api.exports import JSON
from api.rule_tables import impact_orders_table
from api.shapes import ImpactOrderAnswer, TouchedOrdersAnswer
from ledger.store import Store
from ledger.wording import say


class Sum(NamedTuple):
    """What the orders of a list come to in one currency."""

    currency: str
    before: str
    after: str
    change: str


def add_touched_orders(console: Blueprint, store: Store) -> None:
    """Add the pages."""

    @console.get("/rule-changes/<path:rule_change_id>/orders")
    @reading("impact_as", "period", "salesperson", "lines", "cursor")
    @allow(*READERS)
    def get_impact_orders(rule_change_id: str) -> Response:
        impact_as: Literal["proposed"] | None = "proposed" if request.args.get("impact_as") else None
        period, whose = _asked("period"), _asked("salesperson")
        told = client().impact_orders(rule_change_id, _page(), impact_as=impact_as, period=period, whose=whose)
        query = {"impact_as": impact_as, "period": period, "salesperson_id": whose}
        source = Source(say("Orders"), f"{address_of(rule_change_id)}/orders", query)
        return _shown(
            told, source, rule_change_id=rule_change_id, impact_as=told.impact_as, approved=told.approved_position
        )

    @console.get("/review/simulation/orders")
    @reading("alterations", "without", "period", "salesperson", "known", "lines", "cursor", "format")
    @allow(*READERS)
    def get_simulated_orders() -> Response:
        known, text = asked_known(store), request.args.get("alterations") or "[]"
        without = [each for part in request.args.get("without", "").split(",") if (each := part.strip())]
        alterations = read_alterations(text)
        asked = {
            "alterations": alterations,
            "without": without,
            "period": _asked("period"),
            "salesperson_id": _asked("salesperson"),
            **known.query,
        }
        told = client().simulated_orders(asked, _page())
        if form := request.args.get("format"):
            table = impact_orders_table(told.orders)
            return answer(told) if form == JSON else as_file(table, form, f"orders-{told.position}")
        source = Source(say("Orders"), request.path, {**request.args.to_dict(), "format": JSON})
        made = [told_alteration(each) for each in alterations]
        return _shown(told, source, known=known, made=made, without=without)


def _asked(name: str) -> str | None:
    return request.args.get(name, "").strip() or None


def _page() -> Page:
    return Page(asked_lines(), request.args.get("cursor"))


def _sums(told: TouchedOrdersAnswer) -> list[Sum]:
    """Give the sums of a list that is whole, by currency."""
    if told.next_cursor or request.args.get("cursor"):
        return []
    by_currency = defaultdict[str, list[ImpactOrderAnswer]](list)
    for order in told.orders:
        by_currency[order.currency].append(order)
    return [
        Sum(
            currency,
            total((each.before_exact for each in those), currency),
            total((each.after_exact for each in those), currency),
            total((each.change_exact for each in those), currency),
        )
        for currency, those in sorted(by_currency.items())
    ]


def _shown(told: TouchedOrdersAnswer, source: Source, known: Known | None = None, **about: Any) -> Response:
    return page(
        "touched_orders.html",
        told=told,
        count=len({each.order_id for each in told.orders}),
        sums=_sums(told),
        known=known,
        period=_asked("period"),
        whose=_asked("salesperson"),
        lines_max=LINES_MAX,
        sources=[source],
        **about,
    )

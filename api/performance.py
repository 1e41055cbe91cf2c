"""GET performance, and the credit lines behind a figure."""

from typing import Any

from flask import Response

from api.access import READERS, allow, only_own_figures, path_identifier
from api.adjusted import adjusted, booked_with, with_booked
from api.answers import (
    CreditsAnswer,
    PerformanceAnswer,
    PeriodAnswer,
    answer,
    credit_answer,
    performance_answer,
    view_answer,
)
from api.queries import (
    PerformanceQuery,
    PeriodQuery,
    asked_period,
    asked_position,
    read_cursor,
    write_cursor,
)
from api.routes import Routes
from ledger.refusal import Code, Refusal
from ledger.store import Store
from projections.attainment import Attained, attained
from projections.performance import Performance, credits_behind, performance

UNASSIGNED = "~unassigned"


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("performance", __name__, description="Figures, and what they are made of.")

    @routes.get("/performance")
    @routes.query(PerformanceQuery)
    @routes.answers(200, PerformanceAnswer)
    @allow("sales", *READERS)
    def get_performance(query: dict[str, Any]) -> Response:
        """Give performance of a period, as known at any position. A sales token sees its own figures only.

        By salesperson alone it is beside the quota, and who has a quota and no credit is there too.

        By salesperson alone it also tells the adjustments booked into these days: what of closed periods was carried
        forward into them. Then total = credited + adjustments.
        """
        position, start = asked_position(store, query), 0
        if "cursor" in query:
            position, start = read_cursor(query["cursor"], 2)
        group_by = tuple(query["group_by"].split(","))
        own = only_own_figures()
        if own is not None and "salesperson" not in group_by:
            raise Refusal.of(
                Code.forbidden, "a sales token sees figures by salesperson only: add salesperson to group_by"
            )
        result = performance(store, asked_period(store, query), group_by=group_by, position=position)
        booked = booked_with(store, result)
        figures = _beside_quotas(store, with_booked(store, result, booked))
        if own is not None:
            at = group_by.index("salesperson")
            figures = [each for each in figures if each.figure.keys[at].value == own]
        end = start + query["limit"]
        cursor = write_cursor(result.view.position, end) if end < len(figures) else None
        return answer(adjusted(store, performance_answer(result, figures[start:end], cursor), booked))

    @routes.get("/performance/<path:salesperson_id>/credits")
    @routes.query(PeriodQuery)
    @routes.answers(200, CreditsAnswer)
    @allow("sales", *READERS)
    def get_credits(query: dict[str, Any], salesperson_id: str) -> Response:
        """Give the credit lines behind a salesperson's figure; `~unassigned` for those of nobody."""
        own = only_own_figures()
        if own is not None and salesperson_id != own:
            raise Refusal.of(Code.forbidden, "a sales token sees its own credit lines only")
        position, after = asked_position(store, query), (0, -1)
        if "cursor" in query:
            position, behind, seq = read_cursor(query["cursor"], 3)
            after = behind, seq
        person = None if salesperson_id == UNASSIGNED else path_identifier(salesperson_id)
        period = asked_period(store, query)
        limit = query["limit"]
        behind_figure, view = credits_behind(store, person, period, position=position, after=after, limit=limit)
        last = behind_figure[-1] if len(behind_figure) == limit else None
        cursor = write_cursor(view.position, last.position, last.seq) if last else None
        return answer(
            CreditsAnswer(
                person,
                PeriodAnswer(period.name, period.start, period.end),
                [credit_answer(credit) for credit in behind_figure],
                cursor,
                view_answer(view),
            )
        )

    return routes


def _beside_quotas(store: Store, result: Performance) -> list[Attained]:
    if result.group_by == ("salesperson",):
        return attained(store, result)
    return [Attained(figure, None) for figure in result.figures]

"""GET performance, and the credit lines behind a figure."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from flask import Response

from api.access import READERS, allow, only_own_figures, path_identifier
from api.adjusted import BY_SALESPERSON, adjusted, booked_with, with_booked
from api.answers import answer, credit_answer, performance_answer, view_answer
from api.exports import Column, Kind, Row, Table, amounts, asked_export, cells, columns
from api.queries import (
    PAGE_MAX,
    CreditsQuery,
    PerformanceQuery,
    asked_period,
    asked_position,
    read_cursor,
    write_cursor,
)
from api.routes import Routes
from api.rule_tables import condition_cells, condition_columns
from api.shapes import CreditAnswer, CreditsAnswer, FigureAnswer, PerformanceAnswer, PeriodAnswer
from api.values import UNASSIGNED
from ledger.refusal import Code, Refusal
from ledger.statements import BookedAdjustment
from ledger.store import Store
from ledger.wording import say
from projections.attainment import Attained, attained
from projections.performance import Credit, Performance, View, credits_behind, is_in_ledger, performance

_FIRST_PERSON: Final = "$response.body#/figures/0/group/salesperson"
_FIGURES: Final = (
    Column("currency"),
    *amounts("credited", "gross"),
    *columns(orders=Kind.integer, gross_orders=Kind.integer, quantity=Kind.amount, gross_quantity=Kind.amount),
)
_WHICH: Final = {None: "", True: "-counting", False: "-not-counting"}
"""What a file of credit lines is called by, after whether they count."""
_BESIDE: Final = (*columns(quota=Kind.amount, attainment=Kind.amount), *amounts("adjustments", "total"))
"""What is told by salesperson alone."""
_CREDITS: Final = columns(
    position=Kind.integer,
    cause=Kind.text,
    order_id=Kind.text,
    line_no=Kind.integer,
    ordered_on=Kind.day,
    credited_on=Kind.day,
    order_type=Kind.text,
    customer_id=Kind.text,
    product_id=Kind.text,
    category=Kind.text,
    currency=Kind.text,
    quantity=Kind.amount,
    gross=Kind.amount,
    share=Kind.amount,
    credited=Kind.amount,
    rule_change_id=Kind.text,
)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("performance", __name__, description="Figures, and what they are made of.")
    _add_figures(routes, store)
    _add_credits(routes, store)
    return routes


def _add_figures(routes: Routes, store: Store) -> None:
    @routes.get("/performance")
    @routes.query(PerformanceQuery)
    @routes.answers(200, PerformanceAnswer)
    @routes.exports()
    @routes.leads_to(200, "get_credits", period="$request.query.period", salesperson_id=_FIRST_PERSON)
    @allow("sales", *READERS)
    def get_performance(query: dict[str, Any]) -> Response:
        """Give performance of a period, as known at any position. A sales token sees its own figures only.

        By salesperson alone it is beside the quota, and who has a quota and no credit is there too. The digest is of
        the figures of all, also where one salesperson's alone are told.

        By salesperson alone it also tells the adjustments booked into these days: what of closed periods was carried
        forward into them. Then total = credited + adjustments. As a file (by Accept) it is whole.
        """
        export = asked_export(query)
        position, start = asked_position(store, query), 0
        if "cursor" in query:
            position, start = read_cursor(query["cursor"], 2)
        group_by = tuple(query["group_by"].split(","))
        whose = _whose(query, group_by)
        result = performance(store, asked_period(store, query), group_by=group_by, position=position)
        booked = booked_with(store, result)
        figures = beside_quotas(store, with_booked(store, result, booked))
        if whose is not None:
            at = group_by.index("salesperson")
            figures = [each for each in figures if (each.figure.keys[at].value or UNASSIGNED) == whose]
        if export is not None:
            tables = [figures_table(store, result, figures, booked)]
            return export.answered(tables, _file_name(result, query.get("salesperson_id")), result.view.position)
        end = start + query["limit"]
        cursor = write_cursor(result.view.position, end) if end < len(figures) else None
        return answer(adjusted(store, performance_answer(result, figures[start:end], cursor), booked))


def _add_credits(routes: Routes, store: Store) -> None:
    @routes.get("/performance/<path:salesperson_id>/credits")
    @routes.query(CreditsQuery)
    @routes.answers(200, CreditsAnswer)
    @routes.exports()
    @allow("sales", *READERS)
    def get_credits(query: dict[str, Any], salesperson_id: str) -> Response:
        """Give the credit lines behind a salesperson's figure; `~unassigned` for those of nobody.

        As a file (by Accept) they are whole.
        """
        export = asked_export(query)
        own = only_own_figures()
        if own is not None and salesperson_id != own:
            raise Refusal.of(
                Code.forbidden,
                say(
                    "a sales token sees its own credit lines only; others take one of: {roles}",
                    roles=", ".join(READERS),
                ),
            )
        position, after = asked_position(store, query), (0, -1)
        if "cursor" in query:
            position, behind, seq = read_cursor(query["cursor"], 3)
            after = behind, seq
        person = None if salesperson_id == UNASSIGNED else path_identifier(salesperson_id)
        period, counts, limit = asked_period(store, query), query.get("counts"), query["limit"]
        asked = partial(credits_behind, store, person, period, counts=counts)
        if export is not None:
            first = asked(position=position, limit=PAGE_MAX)
            name = f"credits{_WHICH[counts]}-{period.name}-{person or 'unassigned'}"
            return export.answered([credits_table(person, first, asked)], name, first[1].position)
        behind_figure, view = asked(position=position, after=after, limit=limit)
        last = behind_figure[-1] if len(behind_figure) == limit else None
        cursor = write_cursor(view.position, last.position, last.seq) if last else None
        in_ledger = bool(behind_figure) or is_in_ledger(store, person)
        return answer(
            CreditsAnswer(
                person,
                in_ledger,
                PeriodAnswer(period.name, period.start, period.end),
                [credit_answer(credit) for credit in behind_figure],
                cursor,
                view_answer(view),
            )
        )


def beside_quotas(store: Store, result: Performance) -> list[Attained]:
    """Give figures beside quotas; by salesperson alone there are some, also of those who have no credit."""
    if result.group_by == ("salesperson",):
        return attained(store, result)
    return [Attained(figure, None) for figure in result.figures]


def _whose(query: dict[str, Any], group_by: tuple[str, ...]) -> str | None:
    """Give the salesperson, or UNASSIGNED, whose figures alone are told; None for all. Errors: Refusal."""
    own, asked = only_own_figures(), query.get("salesperson_id")
    by_salesperson = "salesperson" in group_by
    if own is not None and not by_salesperson:
        raise Refusal.of(
            Code.forbidden,
            say(
                "a sales token sees figures by salesperson only: add salesperson to group_by; others take one of:"
                " {roles}",
                roles=", ".join(READERS),
            ),
        )
    if own is not None and asked not in {None, own}:
        raise Refusal.of(
            Code.forbidden,
            say("a sales token sees its own figures only; others take one of: {roles}", roles=", ".join(READERS)),
        )
    if asked is not None and not by_salesperson:
        raise Refusal.of(
            Code.invalid_parameter,
            say("figures of one salesperson are by salesperson: add salesperson to group_by"),
            "/salesperson_id",
        )
    return own or asked


def _file_name(result: Performance, asked: str | None) -> str:
    grouping = () if result.group_by == BY_SALESPERSON else ("by", *result.group_by)
    return "-".join(("performance", result.period.name, *grouping, *([asked.lstrip("~")] if asked else [])))


def figures_table(store: Store, result: Performance, figures: list[Attained], booked: list[BookedAdjustment]) -> Table:
    """Give the figures of a performance as a table; they are told a page at a time, as the answer tells them."""
    alone = result.group_by == BY_SALESPERSON
    groups = [column for group in result.group_by for column in (Column(group), Column(f"{group}_name"))]
    heads = (*_FIGURES, *(_BESIDE if alone else ()))
    set_by = (Column("quota_positions"),) if alone else ()

    def rows() -> Iterator[Row]:
        for start in range(0, len(figures), PAGE_MAX):
            page = performance_answer(result, figures[start : start + PAGE_MAX], None)
            for each in adjusted(store, page, booked).figures:
                positions = ", ".join(map(str, each.quota_positions)) or None
                yield (*_group_cells(each), *cells(heads, each), *(positions for _ in set_by))

    return Table("performance", (*groups, *heads, *set_by), rows())


def _group_cells(figure: FigureAnswer) -> Row:
    return tuple(cell for group, value in figure.group.items() for cell in (value, figure.names[group]))


def credits_table(
    person: str | None, first: tuple[list[Credit], View], behind: Callable[..., tuple[list[Credit], View]]
) -> Table:
    """Give the credit lines behind a figure as a table, from their first page on, each page at its position."""

    def rows() -> Iterator[Row]:
        page, view = first
        while page:
            for credit in page:
                yield _credit_row(person, credit_answer(credit))
            after = page[-1].position, page[-1].seq
            page, _ = behind(position=view.position, after=after, limit=PAGE_MAX)

    return Table("credits", (Column("salesperson_id"), *_CREDITS, *condition_columns("rule_")), rows())


def _credit_row(person: str | None, told: CreditAnswer) -> Row:
    return (person, *cells(_CREDITS, told), *condition_cells(told.rule))

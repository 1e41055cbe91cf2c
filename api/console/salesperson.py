"""A salesperson: the figures of a period, and the credit lines behind each, apart from those that do not count.

The lines are as known at the position of the figures; the addresses of further pages name it, so that they stay so.
"""

from urllib.parse import quote

from flask import Blueprint, Response, request

from api.access import READERS, allow
from api.client import Page
from api.console.reading import LINES_MAX, asked_lines, asked_period, reading
from api.console.shell import Form, Known, Source, asked_form, asked_known, client, page, seen_roles
from api.shapes import CreditsAnswer
from api.transport import Refused
from api.values import UNASSIGNED
from ledger.refusal import Refusal
from ledger.store import Store
from ledger.wording import say


def add_salesperson(console: Blueprint, store: Store) -> None:
    """Add the page."""

    @console.get("/salespeople/<path:salesperson_id>")
    @reading("period", "known", "lines", "counting", "others")
    @allow("sales", *READERS)
    def get_salesperson(salesperson_id: str) -> Response:
        asked, known = asked_period(store), Known()
        person = None if salesperson_id == UNASSIGNED else salesperson_id
        try:
            known = asked_known(store)
            told = client().performance(asked, whose=salesperson_id, known=known.point)
        except (Refused, Refusal) as refused:
            form = asked_form(refused, "period", "known")
            return page(
                "salesperson.html", form=form, status=form.status, known=known, asked=asked, person=person, name=person
            )
        at = asked, person, told.view.position
        counting, others = _lines(*at, counts=True), _lines(*at, counts=False)
        sees_all = bool(seen_roles() & set(READERS))
        is_known = counting.in_ledger or not sees_all  # somebody new who sells sees that there is nothing yet
        return page(
            "salesperson.html",
            status=200 if is_known else 404,
            form=Form(request.args.to_dict()),
            known=known,
            view=told.view,
            period=told.period,
            asked=asked,
            person=person,
            name=next((figure.names["salesperson"] for figure in told.figures), None) or salesperson_id,
            figures=told.figures,
            adjustments=told.adjustments,
            is_known=is_known,
            counting=counting,
            others=others,
            lines_max=LINES_MAX,
            sees_all=sees_all,
            sources=_sources(salesperson_id, {"period": asked, **known.query}) if is_known else [],
        )


def _sources(salesperson_id: str, query: dict[str, object]) -> list[Source]:
    path = f"/v1/performance/{quote(salesperson_id, safe='~')}/credits"
    return [
        Source(say("Performance"), "/v1/performance", {**query, "salesperson_id": salesperson_id}),
        Source(say("Credit lines that count"), path, {**query, "counts": True}),
        Source(say("Credit lines that do not count"), path, {**query, "counts": False}),
    ]


def _lines(asked: str, person: str | None, position: int, *, counts: bool) -> CreditsAnswer:
    """Give the page of the lines that the address asks for."""
    cursor = request.args.get("counting" if counts else "others")
    return client().credits_page(asked, person, Page(asked_lines(), cursor), known=position, counts=counts)

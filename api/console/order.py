"""An order: its life, what it brings whom and by which rules, as known at a point, and beside that at another one."""

from collections import Counter
from typing import Final, NamedTuple
from urllib.parse import quote

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from api.access import READERS, allow
from api.client import Client
from api.console.amendments import PARTS, Altered, alterations_of
from api.console.amounts import difference
from api.console.reading import reading
from api.console.shell import Form, Known, Source, asked_form, asked_known, client, page, seen_roles
from api.shapes import ExplainedLineAnswer, ExplanationAnswer
from api.transport import Refused
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say

EVENTS: Final = {
    "order.placed": say("Placed"),
    "order.amended": say("Amended"),
    "order.reclassified": say("Given another type"),
    "order.reassigned": say("Given to others"),
    "order.returned": say("Returned"),
    "order.cancelled": say("Cancelled"),
}
STANDINGS: Final = {
    "decides": say("decides"),
    "less_specific": say("a more specific rule goes before it"),
    "superseded": say("a later version took its place"),
    "ended": say("ended on that day"),
    "other_days": say("holds on other days"),
}
KINDS: Final = {"sale": say("Sale"), "return": say("Return"), "cancellation": say("Cancellation")}
CIRCUMSTANCES: Final = {
    "no_customer_class": say("the customer were not of the class"),
    "own_category": say("the product were of the order's own category"),
    "other_salesperson": say("it were credited to somebody whom no rule names"),
    "assigned": say("it were credited to somebody"),
    "rule_ended": say("the deciding rule were ended on the day of the order"),
    "other_order_type": say("the order were of the type"),
    "rule_share": say("the deciding rule counted at more than 0"),
    "not_cancelled": say("the order were not cancelled"),
    "not_voided": say("the order were not voided"),
}
WORDS: Final = {
    "parts": PARTS,
    "events": EVENTS,
    "standings": STANDINGS,
    "kinds": KINDS,
    "circumstances": CIRCUMSTANCES,
}


class Side(NamedTuple):
    """What is known of the order at a point; None: it is not in the ledger there."""

    known: Known
    told: ExplanationAnswer | None

    @property
    def position(self) -> int:
        """Give how far the ledger is at the point."""
        return self.told.view.position if self.told else 0

    @property
    def rule_changes(self) -> set[str]:
        """Name the rule changes that its sentences may name."""
        lines = self.told.lines if self.told else []
        ids = {rule.rule_change_id for line in lines for rule in line.rules}
        others = [
            *(self.told.alternatives if self.told else []),
            *(each for line in lines for each in line.alternatives),
        ]
        return ids | {each.rule_change_id for each in others if each.rule_change_id}


class Moved(NamedTuple):
    """A credit line that is not the same at two points; None where there is none."""

    before: ExplainedLineAnswer | None
    after: ExplainedLineAnswer | None

    @property
    def line(self) -> ExplainedLineAnswer:
        """Give the line as it is last."""
        line = self.after or self.before
        assert line is not None, "it is at one of both points"
        return line

    @property
    def change(self) -> str:
        """Give by how much its credit differs."""
        before, after = (side.credited_exact if side else "0" for side in (self.before, self.after))
        return difference(before, after, self.line.currency)


def add_order(console: Blueprint, store: Store) -> None:
    """Add the pages."""

    @console.get("/orders")
    @reading("order", "known")
    @allow("sales", *READERS)
    def get_orders() -> Answer:
        asked, known = request.args.get("order", "").strip(), asked_known(store)
        if asked:
            return redirect(url_for("console.get_order", order_id=asked, known=known.text or None), 303)
        return page("order.html", known=known, order_id="", form=Form())

    @console.get("/orders/<path:order_id>")
    @reading("known", "compare")
    @allow("sales", *READERS)
    def get_order(order_id: str) -> Response:
        ledger, known = client(), Known()
        try:
            known, other = asked_known(store), asked_known(store, "compare")
            told = ledger.explanation(order_id, known.point)
        except (Refused, Refusal) as refused:
            form = _form(refused)
            return page("order.html", known=known, order_id=order_id, form=form, status=form.status)
        sides = [Side(known, told)]
        if other.text:
            sides = sorted((*sides, _beside(ledger, order_id, other)), key=lambda side: side.position)
        return page(
            "order.html",
            known=known,
            view=told.view,
            order_id=order_id,
            form=Form(request.args.to_dict()),
            order=sides[-1].told,
            altered=_altered(ledger, order_id, sides[-1].known),
            other=other,
            sides=sides,
            moved=_moved(sides[0], sides[1]) if other.text else [],
            sees_all=bool(seen_roles() & set(READERS)),
            sources=_sources(order_id, known, other if sides[0].told else Known()),
            names={
                line.salesperson_id: line.salesperson_name for each in sides if each.told for line in each.told.lines
            },
            words=WORDS,
        )


def _altered(ledger: Client, order_id: str, known: Known) -> dict[int, list[Altered]]:
    """Give what the order's events altered, by position; nothing to who sells, who sees no events."""
    return alterations_of(ledger.order_events(order_id, known.point)) if seen_roles() & set(READERS) else {}


def _form(refused: Refused | Refusal) -> Form:
    """Give the form with what is wrong: that there is no such order, or at a point. Errors: what else was refused."""
    if isinstance(refused, Refused) and refused.code == Code.order_not_found.name:
        return Form(refused=refused.problem)
    return asked_form(refused, "known", "compare")


def _sources(order_id: str, known: Known, other: Known) -> list[Source]:
    """Name the addresses of an order; who sells sees no events of it."""
    path = f"/v1/orders/{quote(order_id, safe='')}"
    sources = [Source(say("Explanation"), f"{path}/explanation", known.query)]
    if other.text:
        sources.append(Source(say("Explanation at the other point"), f"{path}/explanation", other.query))
    if seen_roles() & set(READERS):
        sources.append(Source(say("Events"), f"{path}/events", known.query))
    return sources


def _beside(ledger: Client, order_id: str, known: Known) -> Side:
    """Give what is known at another point; where the order is not in the ledger, it is before it was."""
    try:
        return Side(known, ledger.explanation(order_id, known.point))
    except Refused as refused:
        if refused.code != Code.order_not_found.name:
            raise
        return Side(known, None)


def _moved(before: Side, after: Side) -> list[Moved]:
    """Give the credit lines that are not the same at both points."""
    then, now = _by_place(before), _by_place(after)
    moved = []
    for place in [*then, *(place for place in now if place not in then)]:
        was, became = then.get(place), now.get(place)
        if was is None or became is None or (was.share, was.amount) != (became.share, became.amount):
            moved.append(Moved(was, became))
    return moved


def _by_place(side: Side) -> dict[tuple[object, ...], ExplainedLineAnswer]:
    """Give the lines by what they are of; of several alike, such as two returns of a day, by their turn."""
    seen, placed = Counter[tuple[object, ...]](), dict[tuple[object, ...], ExplainedLineAnswer]()
    for line in side.told.lines if side.told else []:
        place = line.kind, line.line_no, line.product_id, line.salesperson_id, line.credited_on
        placed[*place, seen[place]] = line
        seen[place] += 1
    return placed

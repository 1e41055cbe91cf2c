"""GET the review of the rulebook: what in it does nothing, and where orders and their types do not fit."""

from typing import Any

from flask import Response
from msgspec import Struct

from api.access import READERS, allow
from api.answers import ViewAnswer, answer, view_answer
from api.queries import KnownAtQuery, asked_position
from api.routes import Routes
from ledger.events import Alteration, Conditions
from ledger.money import micros_text, rounded_text
from ledger.store import Store
from projections.review import Finding, Review, review
from projections.sentences import MICROS_DECIMALS, of_finding


class FindingAmount(Struct, frozen=True):
    """What the orders concerned are worth in one currency, after returns and cancellations and before rules."""

    currency: str
    gross: str
    gross_exact: str


class FindingAnswer(Struct, frozen=True):
    """Something found: as a sentence, and the same as data; `alterations` are what to simulate or propose, if any.

    `orders` counts all that are concerned, `examples` names some of them.
    """

    kind: str
    sentence: str
    order_types: tuple[str, ...]
    conditions: Conditions | None
    shadowed_by: tuple[Conditions, ...]
    orders: int
    amounts: list[FindingAmount]
    examples: tuple[str, ...]
    alterations: tuple[Alteration, ...]


class ReviewAnswer(Struct, frozen=True):
    """The findings, by kind."""

    findings: list[FindingAnswer]
    view: ViewAnswer


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("review", __name__, description="Improving the rulebook after go-live.")

    @routes.get("/rules/review")
    @routes.query(KnownAtQuery)
    @routes.answers(200, ReviewAnswer)
    @allow(*READERS)
    def get_review(query: dict[str, Any]) -> Response:
        """Review the rulebook: types never used, rules that decide nothing, orders whose type does not fit."""
        return answer(review_answer(review(store, position=asked_position(store, query))))

    return routes


def review_answer(found: Review) -> ReviewAnswer:
    """Tell a review."""
    return ReviewAnswer([_finding(finding) for finding in found.findings], view_answer(found.view))


def _finding(finding: Finding) -> FindingAnswer:
    return FindingAnswer(
        kind=finding.kind,
        sentence=of_finding(finding),
        order_types=finding.order_types,
        conditions=finding.conditions,
        shadowed_by=finding.shadowed_by,
        orders=finding.orders,
        amounts=[
            FindingAmount(
                each.currency, rounded_text(each.amount, MICROS_DECIMALS, each.currency), micros_text(each.amount)
            )
            for each in finding.amounts
        ],
        examples=finding.examples,
        alterations=finding.alterations,
    )

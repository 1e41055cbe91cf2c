"""GET the review of the rulebook: what in it does nothing, and where orders and their types do not fit."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from flask import Response
from msgspec import Raw

from api.access import READERS, allow
from api.answers import answer, view_answer
from api.exports import Column, Kind, Row, Table, amounts, asked_export, columns
from api.languages import translated
from api.queries import ReviewQuery, asked_position
from api.routes import Routes
from api.rule_tables import condition_cells, condition_columns
from api.shapes import FindingAmount, FindingAnswer, ReviewAnswer
from ledger.events import encode
from ledger.money import micros_text, rounded_text
from ledger.store import Store
from projections.review import Finding, Review, review
from projections.sentences import MICROS_DECIMALS, of_finding

_FINDINGS: Final = (
    *columns(finding=Kind.integer, kind=Kind.text, sentence=Kind.text, order_types=Kind.structure),
    *condition_columns(),
    *columns(shadowed_by=Kind.structure, orders=Kind.integer, examples=Kind.structure, alterations=Kind.structure),
)
_AMOUNTS: Final = (Column("finding", Kind.integer), Column("kind"), Column("currency"), *amounts("gross"))


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("review", __name__, description="Improving the rulebook after go-live.")

    @routes.get("/rules/review")
    @routes.query(ReviewQuery)
    @routes.answers(200, ReviewAnswer)
    @routes.exports()
    @allow(*READERS)
    def get_review(query: dict[str, Any]) -> Response:
        """Review the rulebook: types never used, rules that decide nothing, orders whose type does not fit."""
        export = asked_export(query)
        found = review(store, position=asked_position(store, query), examples_max=query["examples"])
        told = review_answer(found)
        if export is not None:
            return export.answered(review_tables(told.findings), "review", told.view.position)
        return answer(told)

    return routes


def review_answer(found: Review) -> ReviewAnswer:
    """Tell a review."""
    return ReviewAnswer([_finding(finding) for finding in found.findings], view_answer(found.view))


def _finding(finding: Finding) -> FindingAnswer:
    return FindingAnswer(
        kind=finding.kind,
        sentence=translated(of_finding(finding)),
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


def review_tables(findings: Sequence[FindingAnswer]) -> list[Table]:
    """Give findings as a table, by their number from 1, and what the orders concerned are worth as another one."""
    amounts_rows = (
        (number, each.kind, amount.currency, amount.gross, amount.gross_exact)
        for number, each in enumerate(findings, 1)
        for amount in each.amounts
    )
    return [Table("findings", _FINDINGS, _finding_rows(findings)), Table("amounts", _AMOUNTS, amounts_rows)]


def _finding_rows(findings: Sequence[FindingAnswer]) -> Iterator[Row]:
    for number, each in enumerate(findings, 1):
        yield (
            *(number, each.kind, each.sentence, _listed(each.order_types)),
            *condition_cells(each.conditions),
            *(_listed(each.shadowed_by), each.orders, _listed(each.examples), _listed(each.alterations)),
        )


def _listed(parts: Sequence[object]) -> Raw:
    return Raw(encode(parts))

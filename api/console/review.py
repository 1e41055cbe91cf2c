"""The review of the rulebook: what does nothing, where orders do not fit, and what putting it right would move."""

from collections import defaultdict
from typing import Final, NamedTuple

from flask import Blueprint, Response, request

from api.access import READERS, allow
from api.console.alterations import alterations_text, told_alteration
from api.console.reading import LINES_MAX, reading
from api.console.rulebook import named_conditions
from api.console.shell import Source, asked_known, asking, client, page
from api.shapes import FindingAnswer
from ledger.store import Store
from ledger.wording import Sentence, say

KINDS: Final = {
    "unused_order_type": say("Order types without orders"),
    "unmatched_rule": say("Rules that match no order"),
    "shadowed_rule": say("Rules that decide nothing"),
    "alike_order_types": say("Order types that the rules do not tell apart"),
    "known_customer_as_first": say("First orders of customers who had ordered before"),
    "first_order_as_repeat": say("Repeat orders that are the first"),
    "reclassified_often": say("Orders whose type was changed again and again"),
}
"""The kinds of findings, as headings; another one is told by its code."""


class Found(NamedTuple):
    """A finding by its number, with its remedy in words and as addresses carry it ('': there is none).

    Shape: `rule` has the conditions of the rule that it is about, as the rulebook's address names them.
    """

    number: int
    finding: FindingAnswer
    made: list[Sentence]
    alterations: str
    rule: dict[str, str]


def add_review(console: Blueprint, store: Store) -> None:
    """Add the page."""

    @console.get("/review")
    @reading("known", "orders")
    @allow(*READERS)
    @asking("review.html", "known")
    def get_review() -> Response:
        known = asked_known(store)
        all_named = request.args.get("orders") == "all"
        told = client().review(known.point, examples=LINES_MAX if all_named else None)
        query = {**known.query, **({"examples": LINES_MAX} if all_named else {})}
        kinds = defaultdict[str, list[Found]](list)
        for number, finding in enumerate(told.findings, 1):
            kinds[finding.kind].append(_found(number, finding))
        return page(
            "review.html",
            known=known,
            view=told.view,
            kinds=[(KINDS.get(kind, kind), found) for kind, found in kinds.items()],
            sources=[Source(say("Findings"), "/v1/rules/review", query)],
        )


def _found(number: int, finding: FindingAnswer) -> Found:
    made = [told_alteration(each) for each in finding.alterations]
    rule = named_conditions(finding.conditions) if finding.conditions else {}
    return Found(number, finding, made, alterations_text(finding.alterations) if finding.alterations else "", rule)

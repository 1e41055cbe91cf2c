"""What a refusal says on a page: the API's sentences, but with the remedies of somebody who has a page before them."""

from collections.abc import Mapping, Set
from typing import Final

from msgspec.structs import replace

from api.languages import translated
from api.shapes import ProblemDocument, ProblemError
from ledger.refusal import Code
from ledger.wording import Sentence, say

NO_DETAILS: Final[Mapping[Code, Sentence]] = {}
_SEEN: Final = say("Look at it as it is now, and do it again if it is still what you want.")
_SOON: Final = say("Look again in a moment.")
_TYPED: Final = say("Correct what is typed here.")
_CHANGED: Final = say("It was changed after this page was shown")

TITLES: Final[dict[Code, Sentence]] = {
    Code.body_too_large: say("It is too large"),
    Code.event_id_conflict: say("The identifier is taken"),
    Code.forbidden: say("Your roles may not do this"),
    Code.idempotency_key_in_use: say("This is being done already"),
    Code.idempotency_key_malformed: say("This form was not sent by its page"),
    Code.idempotency_key_reused: say("This form was sent before, with something else in it"),
    Code.invalid_parameter: say("What is asked for can't be shown"),
    Code.method_not_allowed: say("This address is not a page"),
    Code.missing_field: say("Something is missing"),
    Code.not_yet_projected: say("The ledger has not got so far yet"),
    Code.precondition_failed: _CHANGED,
    Code.precondition_required: _CHANGED,
    Code.unauthenticated: say("You are not signed in"),
    Code.unsupported_media_type: say("Files of this kind are not taken"),
    Code.wrong_type: Code.invalid_value.title,
}
REMEDIES: Final[dict[Code, Sentence]] = {
    Code.ambiguous_value: say("Say below which is meant."),
    Code.carry_not_forward: say("Choose an open period that begins after the closed one."),
    Code.checkpoint_not_found: say("Sign the ledger on the page Audit."),
    Code.cross_site_request: say("Open the page here, and send its form."),
    Code.empty_range: say("The second day is not included any more: it comes after the first one."),
    Code.event_id_conflict: say(
        "Look at what has it; for something else write another one, or none: one is made then."
    ),
    Code.events_not_rows: say("Upload a file with a row for each order line; order events are sent by a program."),
    Code.idempotency_key_in_use: _SOON,
    Code.idempotency_key_malformed: say("Open the page again, and send its form."),
    Code.idempotency_key_reused: say("See what was recorded; to record something else, open the page again."),
    Code.impact_moved: say("Look at the impact as it is now, and approve again with the box ticked."),
    Code.import_not_found: say("The page Imports has those that there are."),
    Code.import_not_ready: say("Say how the file is to be read, or correct it, or record its good orders alone."),
    Code.invalid_date: say("Write a day that exists, such as 2026-03-31, from 1900-01-01 to 2199-12-31."),
    Code.invalid_parameter: say("The page Help says what can be typed."),
    Code.invalid_value: _TYPED,
    Code.method_not_allowed: say("Go to the page with the form that is sent there."),
    Code.missing_field: say("Fill it in."),
    Code.not_found: say("Begin at the first page; the page Help says what there is."),
    Code.not_yet_projected: _SOON,
    Code.nothing_changed: say("There is nothing to do: it is so already."),
    Code.order_not_found: say("Check the number of the order."),
    Code.period_closed: say("Restate it, or carry its drift forward into an open period."),
    Code.period_open: say("Close it first, on its page."),
    Code.period_out_of_order: say("Close the periods before it first: the page Periods shows which are open."),
    Code.precondition_failed: _SEEN,
    Code.precondition_required: _SEEN,
    Code.rate_limited: say("Wait a moment, and look again."),
    Code.signing_key_exists: say("Ask an operator of the service."),
    Code.signing_key_missing: say("Ask an operator of the service to make one (orderledger key create)."),
    Code.signing_key_unknown: say("Ask an operator of the service."),
    Code.storage_unavailable: _SOON,
    Code.unauthenticated: say("Sign in, and do it again."),
    Code.unknown_order_type: say("Have a rule change define it first, or correct the name."),
    Code.unknown_rule: say("The page Rulebook has the rules that there are."),
    Code.unmapped_column: say("Say below which column has it, or what it is in all rows."),
    Code.unsupported_media_type: say("Save the file as CSV, as an Excel workbook (.xlsx) or as NDJSON."),
    Code.wrong_type: _TYPED,
}
DETAILS: Final[dict[Code, Sentence]] = {
    Code.invalid_date: say("This is no day."),
    Code.missing_field: say("There is nothing here."),
    Code.event_id_conflict: say("Something else has this identifier already."),
    Code.precondition_failed: say("Nothing is recorded."),
    Code.wrong_type: say("This can't be taken."),
}
"""What the API says of fields of its own, told of the fields of a form."""


def for_page(problem: ProblemDocument, details: Mapping[Code, Sentence] = NO_DETAILS) -> ProblemDocument:
    """Give what was refused as a page tells it."""
    code = Code[problem.code]
    return replace(
        problem,
        title=translated(TITLES.get(code, problem.title)),
        detail=translated(details.get(code, problem.detail)),
        errors=[_of_page(error, details) for error in problem.errors],
    )


def left_empty(problem: ProblemDocument, fields: Set[str]) -> ProblemDocument:
    """Call a text that was sent as '' what it is where there is a form: a field with nothing in it."""
    missing, value = Code.missing_field, Code.invalid_value
    errors = [
        replace(error, code=missing.name) if (error.code == value.name and error.pointer in fields) else error
        for error in problem.errors
    ]
    if errors[:1] == problem.errors[:1]:
        return replace(problem, errors=errors)
    return replace(problem, code=missing.name, type=f"/errors/{missing.name}", errors=errors)


def remedied(error: ProblemError) -> ProblemError:
    """Give one thing that is wrong with the remedy of a page."""
    return _of_page(error, NO_DETAILS)


def _of_page(error: ProblemError, details: Mapping[Code, Sentence]) -> ProblemError:
    code = Code[error.code]
    detail, remedy = details.get(code, error.detail), REMEDIES.get(code, error.remedy)
    return replace(error, detail=translated(detail), remedy=translated(remedy))

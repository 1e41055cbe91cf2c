"""Refusals: what is answered when something typed or sent can't be accepted, and the one table of their codes.

A refusal is an answer for a person and a program at once: a stable code, one sentence that says who, what and the
remedy, and a JSON pointer to the field. It is not for our own mistakes: those are assertions.
Source: design, section 4 ("refused with a code, a sentence, a pointer"); RFC 9457 carries it over HTTP.
"""

from dataclasses import dataclass, field
from enum import Enum

from ledger.wording import Sentence


class Code(Enum):
    """Every code with its HTTP status, title and remedy; docs/errors.md and /errors/CODE show the same table."""

    status: int
    title: Sentence
    remedy: Sentence

    def __init__(self, status: int, title: str, remedy: str) -> None:
        self.status, self.title, self.remedy = status, Sentence(title), Sentence(remedy)

    malformed_json = 400, "The body is not JSON", "Send one UTF-8 JSON document with Content-Type application/json."
    invalid_value = 422, "A value is not what the field takes", "See the field's description at /docs and correct it."
    unknown_field = 422, "A field is not known", "Remove the field or correct its name; nothing is ignored silently."
    duplicate_field = (
        422,
        "A field is twice in one object",
        "Send it once: which of the values is meant is not guessed.",
    )
    missing_field = 422, "A required field is missing", "Add the field."
    wrong_type = (
        422,
        "A value has the wrong JSON type",
        ("Amounts, quantities and shares travel as strings ('12.50'), dates as '2026-03-31'."),
    )
    invalid_amount = (
        422,
        "An amount or quantity is not an exact decimal",
        ("Write it with at most 13 digits and six decimals, no exponent, no separators, below 9.2 trillion."),
    )
    invalid_share = (
        422,
        "A share is not valid",
        ("Write a decimal with at most four decimals; in a split above 0, in a rule from 0 to 9.9999."),
    )
    splits_not_one = 422, "The shares of a split do not sum to 1", "Correct the shares so that their sum is exactly 1."
    duplicate_salesperson = 422, "A salesperson is twice in one split", "Add the two shares into one."
    duplicate_line = 422, "A line number is twice in one order", "Give each line of the order its own line_no."
    too_many_lines = 422, "The order has too many lines", "Split it into orders of at most 1,000 lines."
    invalid_date = (
        422,
        "A date does not exist or is out of range",
        "Send a calendar date from 1900-01-01 to 2199-12-31.",
    )
    date_before_order = 422, "The date is before the order's own date", "Date it on or after the day of the order."
    empty_range = 422, "The date range is empty", "Ranges are half-open, [from, to): give a 'to' after 'from'."
    unknown_order_type = (
        422,
        "The order type is not defined",
        ("Define it first: POST /v1/rule-changes with define_order_type, or correct the name."),
    )
    retired_order_type = 422, "The order type is retired on that day", "Use another order type."
    order_type_exists = 409, "The order type is already defined", "Set a counting rule to change how it counts."
    unknown_currency = 422, "The currency is not in ISO 4217", "Use the three-letter code, for example EUR."
    unknown_line = 422, "The order has no such line", "Name a line_no of the order as it is now: GET /v1/orders/ID."
    return_exceeds_sale = (
        422,
        "More would be returned than is left of the line",
        ("Return at most what was sold less what was returned before."),
    )
    nothing_changed = 422, "The event would change nothing", "Leave it out; an event that changes nothing is not kept."
    unknown_rule = 422, "There is no such rule to end", "See the rules in force: GET /v1/rules."
    contradictory_alterations = (
        422,
        "Two alterations of one change contradict each other",
        ("Put each rule and range once into the change, or send two changes."),
    )
    rule_change_decided = 409, "The rule change is decided", "Propose another one; a decision stays as it is."
    own_proposal = (
        403,
        "Whoever proposes a rule change can't decide on it",
        ("Ask somebody else with the role approver; the ledger was opened with four eyes."),
    )
    not_the_proposer = 403, "Only the proposer may withdraw a rule change", "Reject it instead, with the role approver."
    impact_moved = (
        409,
        "The impact is another one than was seen",
        ("Look at the impact as it is now ('facts'), and approve again with 'accepted_digest' if you still want it."),
    )
    change_needed = 422, "Another rule change needs the one left out", "Leave both out, or neither."
    order_exists = 409, "The order is already there", "Send order.amended to correct it, or another order_id."
    order_not_found = 404, "There is no such order", "Send order.placed first, or correct the order_id."
    order_cancelled = 409, "The order is cancelled", "A cancelled order takes no more of these events; place a new one."
    version_conflict = 409, "The order is at another version", "Read it again and retry with the version it has."
    event_id_conflict = (
        409,
        "The event id was used with other content",
        ("An id stands for one content for ever: send the changed event under a new event_id."),
    )
    atomic_batch_refused = (
        422,
        "The batch was refused as a whole",
        ("Correct the events named in 'errors', or send mode per_item to have the good ones recorded."),
    )
    too_many_events = 413, "The batch has too many events", "Send at most 5,000 events in one request."
    body_too_large = (
        413,
        "The body is too large",
        "Send at most 16 MiB, of a file to import 64 MiB; split what is larger.",
    )
    unauthenticated = (
        401,
        "The request carries no valid token",
        ("Send 'Authorization: Bearer olk_…'; an admin makes tokens with orderledger token create."),
    )
    forbidden = 403, "The token's role may not do this", "Ask an admin for a token with one of the roles named."
    cross_site_request = (
        403,
        "The request comes from another site",
        "Ask from a page of this service; a program sends 'Authorization: Bearer olk_…' instead of a cookie.",
    )
    sign_in_refused = (
        403,
        "The organisation's sign-in is not accepted",
        "Begin again at /sign-in, in one browser and within ten minutes.",
    )
    no_role = (
        403,
        "The user has no role here",
        "Ask whoever manages your organisation's groups for one that an operator gave a role (ORDERLEDGER_OIDC_ROLES).",
    )
    sign_in_unavailable = (
        503,
        "The organisation's sign-in does not answer",
        "Try again in a moment, or sign in with a token; the service's log tells operators why.",
    )
    rate_limited = (
        429,
        "Too many requests",
        (
            "Wait the seconds named in Retry-After; an operator can raise the limit (serve --requests-per-second-max"
            " for a token, --failures-per-minute-max for an address)."
        ),
    )
    not_found = (
        404,
        "What is named is not there",
        "Correct the name or the address: the detail says what is not there, and /docs has the addresses there are.",
    )
    method_not_allowed = 405, "The address does not take this method", "See the Allow header."
    unsupported_media_type = 415, "The body's media type is not taken", "Send the Content-Type that the detail names."
    unsupported_content_encoding = (
        415,
        "The body's content coding is not taken",
        "Send the body as it is, not compressed, and leave the header Content-Encoding out.",
    )
    invalid_parameter = 422, "A query parameter or header is not valid", "See its description at /docs."
    invalid_period = (
        422,
        "The period is not one",
        (
            "Write 2026-03 (the calendar month), 2026-P03 (the fiscal month), 2026-Q1, FY2026, 2026-01..2026-03 or"
            " 2026-01-01..2026-04-01 (half-open)."
        ),
    )
    not_a_closing_period = (
        422,
        "The period is not one that this ledger closes",
        ("Name a whole period of the kind that the ledger was initialised to close: 2026-P03, 2026-Q1 or FY2026."),
    )
    period_closed = (
        409,
        "The period is closed",
        ("Restate it, or carry its difference forward into a period that is open: GET /v1/periods."),
    )
    period_open = 409, "The period is not closed", "Close it first: POST /v1/periods/ID/close."
    period_not_begun = 409, "The period has not begun", "Name an open period that has begun."
    period_not_over = 409, "The period is not over", "Close it from the day after its last day on."
    period_out_of_order = (
        409,
        "The period does not follow the last closed one",
        "Close the periods one after the other: GET /v1/periods shows which is next.",
    )
    period_moved = (
        409,
        "The periods were changed in between",
        "Look at the period again, and repeat the command if it is still what you want.",
    )
    carry_not_forward = (
        422,
        "The period to carry into is not later",
        "Name an open period that begins after the closed one: GET /v1/periods.",
    )
    date_outside_period = 422, "The date is not a day of the period", "Give a day of the period that is booked into."
    duplicate_adjustment = (
        422,
        "A salesperson is adjusted twice in one currency",
        "Add the two amounts into one adjustment.",
    )
    invalid_calendar = (
        422,
        "A year of the fiscal calendar is not one",
        ("Name it FY and four digits; give the first days of its twelve months, ascending, and the first day after."),
    )
    calendar_gap = (
        422,
        "The fiscal calendar leaves days in two years or in none",
        (
            "Begin each year, named one on, where the one before ends; begin the first and end the last at most 15"
            " days from the first day of the month in which fiscal years start."
        ),
    )
    signing_key_missing = (
        409,
        "There is no signing key",
        ("Run orderledger key create where the service runs; ORDERLEDGER_SIGNING_KEY names its file."),
    )
    signing_key_unknown = (
        409,
        "The signing key is not the ledger's",
        ("Use the key that was introduced last (orderledger key list), or replace it: orderledger key rotate."),
    )
    signing_key_exists = 409, "There is a signing key already", "Use it, or replace it: orderledger key rotate."
    invalid_note = (
        422,
        "The note, key or signature is not one, or does not hold",
        ("Send the checkpoint's note as it was fetched, with the cosignature line below it, and the witness's vkey."),
    )
    checkpoint_not_found = 404, "There is no such checkpoint", "See which were issued: GET /v1/audit/checkpoints."
    ledger_inconsistent = (
        500,
        "The ledger is not the one that was signed before",
        ("Trust nothing until orderledger verify has said what was changed; keep the signing key's folder as it is."),
    )
    precondition_required = (
        428,
        "The request does not say which version it is about",
        "Read it again, and send its ETag as If-Match ('*' where any will do), or its version in the body.",
    )
    precondition_failed = (
        412,
        "It is at another version than the request is about",
        "Read it again, and repeat the request with its ETag if it is still what you want.",
    )
    idempotency_key_malformed = (
        400,
        "The Idempotency-Key is not one",
        "Send 1 to 255 visible ASCII characters, best in double quotes: a UUID, new for each thing that you ask for.",
    )
    idempotency_key_reused = (
        422,
        "The Idempotency-Key was used for another request",
        "Repeat a request exactly as it was, or give the new one a key of its own.",
    )
    idempotency_key_in_use = (
        409,
        "A request with this Idempotency-Key is under way",
        "Repeat it after the seconds named in Retry-After: the answer will be that of the other.",
    )
    position_ahead = (
        422,
        "The position is beyond the end of the ledger",
        "Give a position that the ledger has: one that an answer named, or none for the latest.",
    )
    not_yet_projected = 503, "The position is not projected yet", "Retry after the seconds named in Retry-After."
    storage_unavailable = (
        503,
        "The database does not answer",
        "Retry after a moment; nothing was recorded unless found.",
    )
    internal_error = 500, "Something is wrong on our side", "Report the request id; the ledger is unharmed."
    file_not_found = 422, "A file of the import is missing", "Give a file, or a folder with orders.csv and lines.csv."
    invalid_csv = (
        422,
        "The file is not CSV as expected",
        "Save it as CSV with a header and a row for each order line; of a folder, with the header the README names.",
    )
    events_not_rows = (
        422,
        "The file has order events, and an import takes rows of orders",
        "Send them to POST /v1/order-events/bulk, at most 5,000 in one request; or export a row for each order line.",
    )
    orphan_line = 422, "The line's order is not in orders.csv", "Add the order or remove the line."
    ambiguous_value = (
        422,
        "What the file says can be read in several ways",
        "Say in the import's profile which is meant: PUT /v1/imports/ID/profile, or --profile.",
    )
    unmapped_column = (
        422,
        "A field of orders has no column",
        "Name its header in the profile's columns, or give a value in its defaults.",
    )
    spreadsheet_error = (
        422,
        "A cell shows a spreadsheet's error",
        "Correct the cell or its formula in the spreadsheet, and export the file again.",
    )
    damaged_identifier = (
        422,
        "An identifier is not as it was written",
        "Export it again as text, so that no spreadsheet rounds it or drops its zeros.",
    )
    unknown_encoding = (
        422,
        "The file's encoding is not known",
        "Say in the profile which it is, or save the file as UTF-8.",
    )
    invalid_workbook = 422, "The file is not a workbook as expected", "Save it as .xlsx with one sheet, or as CSV."
    import_not_found = (
        404,
        "There is no such import, or profile",
        "See which there are: GET /v1/imports, or GET /v1/import-profiles.",
    )
    import_not_ready = (
        409,
        "The import can't be committed as it is",
        "Look at its state and errors: GET /v1/imports/ID; correct the profile or the file, or accept the good rows.",
    )
    nothing_recorded = 409, "Nothing is recorded yet", "Record something first: there is nothing to export."
    folder_unusable = 422, "The folder can't be used", "Name a new or an empty folder that you may write to."
    took_too_long = (
        503,
        "It took too long",
        "Ask for fewer days, groups or rows at once; an operator can raise the limit (serve --statement-seconds-max).",
    )
    invalid_bundle = (
        422,
        "The bundle is not one that can be used",
        "See what orderledger-verify says of it, and export it again.",
    )
    checkpoint_differs = (
        409,
        "The checkpoint is of another history",
        "Make sure that it is of the same ledger; if it is, run orderledger verify and keep both.",
    )
    ledger_not_empty = 409, "The ledger is not empty", "Restore into a database that is new."
    ledger_not_initialised = 409, "The ledger is not initialised", "Run orderledger init."
    ledger_initialised = 409, "The ledger is already initialised", "Its settings are in the ledger; use it as it is."
    invalid_url = (
        422,
        "The webhook's URL is not taken",
        "Give a https:// URL of a public host, without a user or fragment in it; see docs/webhooks.md.",
    )
    webhook_not_found = 404, "There is no such webhook", "See which there are: GET /v1/webhooks."
    too_many_webhooks = 409, "There are too many webhooks", "Delete one that is not needed any more: GET /v1/webhooks."


@dataclass(frozen=True)
class Problem:
    """One thing wrong: its code, the sentence, and the JSON pointer of the field (empty: the whole)."""

    code: Code
    detail: str
    pointer: str = ""

    def under(self, prefix: str) -> "Problem":
        """Return the same problem seen from a document in which ours lies below `prefix`."""
        return Problem(self.code, self.detail, prefix + self.pointer)


@dataclass(eq=False)
class Refusal(Exception):
    """A command refused: the leading problem, all problems found, and facts for programs (versions, positions)."""

    problems: tuple[Problem, ...]
    facts: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, code: Code, detail: str, pointer: str = "", **facts: object) -> "Refusal":
        """Make a refusal of a single problem."""
        return cls((Problem(code, detail, pointer),), facts)

    @property
    def code(self) -> Code:
        """The code of the leading problem."""
        return self.problems[0].code

    def __str__(self) -> str:
        return "; ".join(f"{p.detail} [{p.code.name}{' at ' + p.pointer if p.pointer else ''}]" for p in self.problems)

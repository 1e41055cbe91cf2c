"""POST order events: one, or up to 5,000 at once."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from flask import Response
from msgspec import Meta, Struct

from api.access import allow, principal
from api.answers import answer, recorded_answer
from api.bodies import decode_body, read_body, read_json_text
from api.idempotency import asked_store
from api.problems import problem_document
from api.queries import DryRunQuery
from api.routes import Routes
from api.shapes import BulkAnswer, BulkResult, Recorded
from ledger.intake import EVENTS_MAX, Accepted, OrderSubmission, Outcome, record, record_all, record_each
from ledger.refusal import Code, Problem, Refusal
from ledger.store import Store
from ledger.wording import say


class BulkRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Order events, in the order in which they are to be recorded."""

    events: Annotated[list[OrderSubmission], Meta(extra_json_schema={"minItems": 1, "maxItems": EVENTS_MAX})]
    mode: Annotated[
        Literal["atomic", "per_item"], Meta(description="atomic: all or none; per_item: each that can be.")
    ] = "atomic"


class _RawBulkRequest(Struct, frozen=True, forbid_unknown_fields=True):
    events: list[msgspec.Raw]
    mode: Literal["atomic", "per_item"] = "atomic"


_REFUSED = (
    Code.order_exists,
    Code.order_not_found,
    Code.order_cancelled,
    Code.version_conflict,
    Code.event_id_conflict,
    Code.splits_not_one,
    Code.duplicate_salesperson,
    Code.duplicate_line,
    Code.too_many_lines,
    Code.unknown_order_type,
    Code.retired_order_type,
    Code.date_before_order,
    Code.unknown_line,
    Code.return_exceeds_sale,
    Code.nothing_changed,
)
"""What an order event may be judged to be."""
_ONE = msgspec.json.Decoder(OrderSubmission)
_BULK = msgspec.json.Decoder(BulkRequest)
_RAW_BULK = msgspec.json.Decoder(_RawBulkRequest)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("order-events", __name__, description="Recording order events.")

    @routes.post("/order-events")
    @routes.takes(OrderSubmission)
    @routes.query(DryRunQuery)
    @routes.answers(200, Recorded, "It was recorded before; or, of a dry run, could be.")
    @routes.answers(201, Recorded, "It is recorded.")
    @routes.refuses(*_REFUSED)
    @routes.leads_to(201, "get_order", order_id="$request.body#/order_id")
    @routes.leads_to(201, "get_order_events", order_id="$request.body#/order_id")
    @routes.leads_to(201, "get_explanation", order_id="$request.body#/order_id")
    @allow("ingest")
    def post_order_event(query: dict[str, Any]) -> Response:
        """Record one order event.

        The same event sent again (same source, event_id and content) is answered 200 with `duplicate` true.
        """
        dry_run: bool = query["dry_run"]
        accepted = record(asked_store(store, query), read_body(_ONE), actor=principal())
        return answer(recorded_answer(accepted, dry_run=dry_run), 200 if accepted.duplicate or dry_run else 201)

    @routes.post("/order-events/bulk")
    @routes.takes(BulkRequest)
    @routes.query(DryRunQuery)
    @routes.answers(200, BulkAnswer, "A dry run: all could be recorded.")
    @routes.answers(201, BulkAnswer, "All are recorded, now or before.")
    @routes.answers(207, BulkAnswer, "per_item: some are recorded, some refused.")
    @routes.answers(422, BulkAnswer, "per_item: all are refused. (atomic: a problem document.)")
    @routes.refuses(Code.atomic_batch_refused, Code.too_many_events)
    @routes.leads_to(201, "get_order", order_id="$request.body#/events/0/order_id")
    @allow("ingest")
    def post_order_events(query: dict[str, Any]) -> Response:
        """Record up to 5,000 order events, all or none (atomic), or each that can be (per_item)."""
        return _bulk(asked_store(store, query), read_json_text(), dry_run=query["dry_run"])

    return routes


def _bulk(store: Store, body: bytes, *, dry_run: bool) -> Response:
    try:
        request = decode_body(_BULK, body)
    except Refusal as refusal:
        if refusal.code is Code.malformed_json:
            raise
        return _bulk_with_faults(store, body, dry_run=dry_run)
    _check_count(request.events)
    record_them = record_all if request.mode == "atomic" else record_each
    return _bulk_answer(record_them(store, request.events, actor=principal()), dry_run=dry_run)


def _bulk_with_faults(store: Store, body: bytes, *, dry_run: bool) -> Response:
    """Take a request apart of which some event does not fit its type: find every such event."""
    request = decode_body(_RAW_BULK, body)
    _check_count(request.events)
    submissions, faults = dict[int, OrderSubmission](), dict[int, Refusal]()
    for index, raw in enumerate(request.events):
        try:
            submissions[index] = decode_body(_ONE, raw)
        except Refusal as refusal:
            faults[index] = refusal
    if request.mode == "atomic":
        raise _atomic_refusal(faults)
    each = record_each(store, list(submissions.values()), actor=principal())
    outcomes: dict[int, Outcome] = {**dict(zip(submissions, each, strict=True)), **faults}
    return _bulk_answer([outcomes[index] for index in range(len(request.events))], dry_run=dry_run)


def _check_count(events: Sequence[object]) -> None:
    if len(events) > EVENTS_MAX:
        raise Refusal.of(
            Code.too_many_events,
            say(
                "the batch has {events_count} events, at most {events_max} go at once",
                events_count=len(events),
                events_max=EVENTS_MAX,
            ),
            "/events",
        )
    if not events:
        raise Refusal.of(Code.invalid_value, say("the batch has no events: send at least one"), "/events")


def _atomic_refusal(faults: dict[int, Refusal]) -> Refusal:
    problems = [problem.under(f"/events/{index}") for index, fault in faults.items() for problem in fault.problems]
    lead = Problem(
        Code.atomic_batch_refused,
        say(
            "the batch was not recorded (problems: {problems_count}): correct it and send it again",
            problems_count=len(problems),
        ),
    )
    return Refusal((lead, *problems))


def _bulk_answer(outcomes: Sequence[Outcome], *, dry_run: bool) -> Response:
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    there = [outcome.position for outcome in accepted if outcome.duplicate or not dry_run]
    status = 422 if not accepted else 207 if len(accepted) < len(outcomes) else 200 if dry_run else 201
    results = [_result(index, outcome, dry_run=dry_run) for index, outcome in enumerate(outcomes)]
    return answer(BulkAnswer(max(there, default=None if dry_run else 0), results), status)


def _result(index: int, outcome: Outcome, *, dry_run: bool) -> BulkResult:
    if isinstance(outcome, Refusal):
        return BulkResult(index, outcome.code.status, problem=problem_document(outcome))
    recorded = recorded_answer(outcome, dry_run=dry_run)
    return BulkResult(index, 200 if outcome.duplicate or dry_run else 201, recorded=recorded)

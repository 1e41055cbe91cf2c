"""Closing periods: what is open, closed and drifting, statements, and closing, restating and carrying forward."""

from collections.abc import Callable
from typing import Any

import msgspec
from flask import Response

from api.access import READERS, allow, principal
from api.answers import answer
from api.bodies import read_body
from api.exports import asked_export
from api.idempotency import keyed, keyed_store
from api.period_answers import closing_period_answer, options_answer, periods_answer, resolved_answer, statement_answer
from api.period_tables import options_tables, period_tables, periods_tables, statement_table
from api.preconditions import checked_version, conditional, tagged
from api.queries import (
    ClosingPeriodQuery,
    DryRunQuery,
    ExportQuery,
    OptionsQuery,
    PeriodsQuery,
    asked_position,
    await_projected,
)
from api.routes import Routes
from api.shapes import (
    CarryForwardRequest,
    ClosingPeriodAnswer,
    OptionsAnswer,
    PeriodsAnswer,
    ResolvedAnswer,
    ResolveRequest,
    StatementAnswer,
)
from ledger.checks import shown
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.statements import Issued
from ledger.store import Store
from ledger.wording import say
from projections.closing import (
    CarryForward,
    Resolved,
    carry_forward,
    close,
    options,
    period_state,
    period_states,
    resolved_at,
    restate,
)
from projections.performance import projected_head

_MOVED = (Code.period_moved, Code.not_yet_projected)
_CARRYING = (
    *_MOVED,
    Code.period_open,
    Code.period_closed,
    Code.period_not_begun,
    Code.carry_not_forward,
    Code.nothing_changed,
)
_RESOLVE = msgspec.json.Decoder(ResolveRequest)
_CARRY = msgspec.json.Decoder(CarryForwardRequest)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("periods", __name__, description="Closing periods, their statements and drifts.")
    _add_reading(routes, store)
    _add_closing(routes, store)
    return routes


def _add_reading(routes: Routes, store: Store) -> None:
    @routes.get("/periods")
    @routes.query(PeriodsQuery)
    @routes.answers(200, PeriodsAnswer)
    @routes.exports()
    @routes.leads_to(200, "get_period", period_id="$response.body#/periods/0/period")
    @allow(*READERS)
    def get_periods(query: dict[str, Any]) -> Response:
        """List the closing periods, from the first in which anything is credited to that of today."""
        export, position = asked_export(query), asked_position(store, query)
        at = projected_head(store) if position is None else position
        told = periods_answer(store, period_states(store, position=at), store.closings(at).version, at)
        return answer(told) if export is None else export.answered(periods_tables(told.periods), "periods", at)

    @routes.get("/periods/<period_id>")
    @routes.query(ClosingPeriodQuery)
    @routes.answers(200, ClosingPeriodAnswer)
    @routes.exports()
    @routes.tells_header("ETag")
    @routes.leads_to(200, "get_options", period_id="$request.path.period_id")
    @allow(*READERS)
    def get_period(query: dict[str, Any], period_id: str) -> Response:
        """Give a closing period: its statements, its drift since the last one, and its adjustments.

        The ETag is the version that a command may name by If-Match.
        """
        export = asked_export(query)
        state = period_state(store, period_id, position=asked_position(store, query))
        told = closing_period_answer(store, state)
        if export is not None:
            return export.answered(period_tables(told), f"period-{told.period.period}", state.position)
        return tagged(answer(told), state.version)

    @routes.get("/periods/<period_id>/statements/<version>")
    @routes.query(ExportQuery)
    @routes.answers(200, StatementAnswer)
    @routes.exports()
    @allow(*READERS)
    def get_statement(query: dict[str, Any], period_id: str, version: str) -> Response:
        """Give a statement as it was issued."""
        export = asked_export(query)
        period = store.calendar().closing_period(period_id)
        told = statement_answer(store, period, _statement(store, period, version))
        if export is not None:
            name = f"statement-{period.name}-{told.statement.version}"
            return export.answered([statement_table(told)], name, told.statement.position)
        return answer(told)

    @routes.get("/periods/<period_id>/options")
    @routes.query(OptionsQuery)
    @routes.answers(200, OptionsAnswer)
    @routes.exports()
    @routes.refuses(*_CARRYING)
    @routes.tells_header("ETag")
    @allow("finance", "auditor")
    def get_options(query: dict[str, Any], period_id: str) -> Response:
        """Show both ways of resolving a closed period's drift beside each other: restate, or carry forward."""
        export = asked_export(query)
        _wait_for_head(store)
        found = options(store, period_id, into=query.get("into"))
        told = options_answer(store, found)
        if export is not None:
            name = f"options-{told.period.period}-into-{told.carry_forward.into_period}"
            return export.answered(options_tables(told), name, found.state.position)
        return tagged(answer(told), found.state.version)


def _statement(store: Store, period: Period, version: str) -> Issued:
    """Give a statement of a closing period. Errors: Refusal (not_found)."""
    issued = store.closings().statements.get(period.name, ())
    for each in issued:
        if str(each.statement.version) == version:
            return each
    raise Refusal.of(
        Code.not_found,
        say(
            "period {period_name} has no statement {version}: it has {issued_count}",
            period_name=period.name,
            version=shown(version),
            issued_count=len(issued),
        ),
    )


def _add_closing(routes: Routes, store: Store) -> None:
    @routes.post("/periods/<period_id>/close")
    @routes.takes(ResolveRequest)
    @routes.query(DryRunQuery)
    @routes.answers(200, ResolvedAnswer, "It would be recorded (dry_run), or was just now.")
    @routes.answers(201, ResolvedAnswer, "The period is closed with its first statement.")
    @routes.refuses(*_MOVED, Code.period_closed, Code.period_not_over, Code.period_out_of_order)
    @routes.leads_to(
        201, "get_statement", period_id="$request.path.period_id", version="$response.body#/statement/version"
    )
    @keyed(store, lambda position: _told_again(store, position))
    @conditional
    @allow("finance")
    def post_close(query: dict[str, Any], period_id: str) -> Response:
        """Close a period: freeze its figures as statement 1, with a reason.

        If-Match is the ETag of GET /v1/periods/ID: it acts on what was looked at, or is refused (precondition_failed).
        """
        return _resolve(close, store, query, period_id)

    @routes.post("/periods/<period_id>/restate")
    @routes.takes(ResolveRequest)
    @routes.query(DryRunQuery)
    @routes.answers(200, ResolvedAnswer, "It would be recorded (dry_run), or was just now.")
    @routes.answers(201, ResolvedAnswer, "The period has its next statement.")
    @routes.refuses(*_MOVED, Code.period_open, Code.nothing_changed)
    @routes.leads_to(
        201, "get_statement", period_id="$request.path.period_id", version="$response.body#/statement/version"
    )
    @keyed(store, lambda position: _told_again(store, position))
    @conditional
    @allow("finance")
    def post_restate(query: dict[str, Any], period_id: str) -> Response:
        """Restate a closed period: its next statement takes the drift in, with a reason.

        If-Match is the ETag of GET /v1/periods/ID: it acts on what was looked at, or is refused (precondition_failed).
        """
        return _resolve(restate, store, query, period_id)

    @routes.post("/periods/<period_id>/carry-forward")
    @routes.takes(CarryForwardRequest)
    @routes.query(DryRunQuery)
    @routes.answers(200, ResolvedAnswer, "It would be recorded (dry_run), or was just now.")
    @routes.answers(201, ResolvedAnswer, "The drift is booked into the open period.")
    @routes.refuses(*_CARRYING, Code.date_outside_period, Code.invalid_date)
    @keyed(store, lambda position: _told_again(store, position))
    @conditional
    @allow("finance")
    def post_carry_forward(query: dict[str, Any], period_id: str) -> Response:
        """Carry a closed period's drift forward into an open one as adjustments, with a reason.

        If-Match is the ETag of GET /v1/periods/ID: it acts on what was looked at, or is refused (precondition_failed).
        """
        sent = read_body(_CARRY)
        version = _expected_version(store, query, period_id, sent.version)
        asked = CarryForward(period_id, sent.into_period, sent.reason, sent.booked_on)
        resolved = carry_forward(
            keyed_store(store), asked, actor=principal(), version=version, dry_run=query["dry_run"]
        )
        return _resolved(store, resolved)


def _resolve(command: Callable[..., Resolved], store: Store, query: dict[str, Any], period_id: str) -> Response:
    """Close or restate."""
    sent = read_body(_RESOLVE)
    version = _expected_version(store, query, period_id, sent.version)
    resolved = command(
        keyed_store(store), period_id, sent.reason, actor=principal(), version=version, dry_run=query["dry_run"]
    )
    return _resolved(store, resolved)


def _told_again(store: Store, position: int) -> Response:
    """Tell what was recorded at a position as it was told then."""
    return _resolved(store, resolved_at(store, position))


def _resolved(store: Store, resolved: Resolved) -> Response:
    booked = resolved.booked
    status = 201 if booked.position and not booked.duplicate else 200
    return tagged(answer(resolved_answer(store, resolved), status), booked.version)


def _wait_for_head(store: Store) -> None:
    """Wait until what is recorded by now is projected: nobody closes a period without the orders they just sent.

    Errors: Refusal (not_yet_projected).
    """
    await_projected(store, store.head())


def _expected_version(store: Store, query: dict[str, Any], period_id: str, sent: int | None) -> int | None:
    """Give the version of the periods that the request acts on, once what is recorded by now is projected.

    Errors: Refusal (invalid_period, not_a_closing_period, not_yet_projected; as of checked_version).
    """
    period = store.calendar().closing_period(period_id)
    _wait_for_head(store)
    version = store.closings().version
    return checked_version(
        say("period {period_name}", period_name=period.name), version, sent=sent, demanded=not query["dry_run"]
    )

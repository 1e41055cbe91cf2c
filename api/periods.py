"""Closing periods: what is open, closed and drifting, statements, and closing, restating and carrying forward."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
from flask import Response, request
from marshmallow import Schema, fields
from msgspec import Struct

from api.access import READERS, allow, principal
from api.answers import answer
from api.bodies import read_body
from api.exports import asked_export
from api.period_answers import (
    ClosingPeriodAnswer,
    OptionsAnswer,
    PeriodsAnswer,
    ResolvedAnswer,
    StatementAnswer,
    closing_period_answer,
    options_answer,
    periods_answer,
    resolved_answer,
    statement_answer,
)
from api.period_tables import period_tables, periods_tables, statement_table
from api.queries import ClosingPeriodQuery, ExportQuery, PeriodsQuery, asked_position, await_projected
from api.routes import Routes
from ledger.checks import shown
from ledger.events import Identifier, Reason
from ledger.refusal import Code, Refusal
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
    restate,
)
from projections.performance import projected_head

_ETAG = re.compile(r'"(\d{1,18})"\Z', re.ASCII)


class ResolveRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a period is closed or restated; `version` (as well as If-Match) is the one that was looked at."""

    reason: Reason
    version: int | None = None


class CarryForwardRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Into which open period a drift is booked and why; without `booked_on`, on the day of it nearest to today."""

    into_period: Identifier
    reason: Reason
    booked_on: date | None = None
    version: int | None = None


class OptionsQuery(Schema):
    """Where to carry to."""

    into = fields.String(
        metadata={"description": "The open period to carry forward into; default: the one after the last closed."}
    )


class DryRunQuery(Schema):
    """Whether to record."""

    dry_run = fields.Boolean(
        load_default=False, metadata={"description": "true: judge and show what would be recorded, record nothing."}
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
        return _tagged(answer(told), state.version)

    @routes.get("/periods/<period_id>/statements/<version>")
    @routes.query(ExportQuery)
    @routes.answers(200, StatementAnswer)
    @routes.exports()
    @allow(*READERS)
    def get_statement(query: dict[str, Any], period_id: str, version: str) -> Response:
        """Give a statement as it was issued."""
        export = asked_export(query)
        period = store.calendar().closing_period(period_id)
        issued = store.closings().statements.get(period.name, ())
        found = [each for each in issued if str(each.statement.version) == version]
        if not found:
            raise Refusal.of(
                Code.not_found,
                say(
                    "period {period_name} has no statement {version}: it has {issued_count}, see"
                    " /v1/periods/{period_name}",
                    period_name=period.name,
                    version=shown(version),
                    issued_count=len(issued),
                ),
            )
        told = statement_answer(store, period, found[0])
        if export is not None:
            name = f"statement-{period.name}-{told.statement.version}"
            return export.answered([statement_table(told)], name, told.statement.position)
        return answer(told)

    @routes.get("/periods/<period_id>/options")
    @routes.query(OptionsQuery)
    @routes.answers(200, OptionsAnswer)
    @allow("finance", "auditor")
    def get_options(query: dict[str, Any], period_id: str) -> Response:
        """Show both ways of resolving a closed period's drift beside each other: restate, or carry forward."""
        _wait_for_head(store)
        found = options(store, period_id, into=query.get("into"))
        return _tagged(answer(options_answer(store, found)), found.state.version)


def _add_closing(routes: Routes, store: Store) -> None:
    @routes.post("/periods/<period_id>/close")
    @routes.takes(ResolveRequest)
    @routes.query(DryRunQuery)
    @routes.answers(200, ResolvedAnswer, "It would be recorded (dry_run), or was just now.")
    @routes.answers(201, ResolvedAnswer, "The period is closed with its first statement.")
    @allow("finance")
    def post_close(query: dict[str, Any], period_id: str) -> Response:
        """Close a period: freeze its figures as statement 1, with a reason.

        With If-Match, the ETag of GET /v1/periods/ID, it acts on what was looked at or is refused (period_moved).
        """
        return _resolve(close, store, query, period_id)

    @routes.post("/periods/<period_id>/restate")
    @routes.takes(ResolveRequest)
    @routes.query(DryRunQuery)
    @routes.answers(200, ResolvedAnswer, "It would be recorded (dry_run), or was just now.")
    @routes.answers(201, ResolvedAnswer, "The period has its next statement.")
    @allow("finance")
    def post_restate(query: dict[str, Any], period_id: str) -> Response:
        """Restate a closed period: its next statement takes the drift in, with a reason.

        With If-Match, the ETag of GET /v1/periods/ID, it acts on what was looked at or is refused (period_moved).
        """
        return _resolve(restate, store, query, period_id)

    @routes.post("/periods/<period_id>/carry-forward")
    @routes.takes(CarryForwardRequest)
    @routes.query(DryRunQuery)
    @routes.answers(200, ResolvedAnswer, "It would be recorded (dry_run), or was just now.")
    @routes.answers(201, ResolvedAnswer, "The drift is booked into the open period.")
    @allow("finance")
    def post_carry_forward(query: dict[str, Any], period_id: str) -> Response:
        """Carry a closed period's drift forward into an open one as adjustments, with a reason.

        With If-Match, the ETag of GET /v1/periods/ID, it acts on what was looked at or is refused (period_moved).
        """
        sent = read_body(_CARRY)
        version = _expected_version(sent.version)
        _wait_for_head(store)
        asked = CarryForward(period_id, sent.into_period, sent.reason, sent.booked_on)
        resolved = carry_forward(store, asked, actor=principal(), version=version, dry_run=query["dry_run"])
        return _resolved(store, resolved)


def _resolve(command: Callable[..., Resolved], store: Store, query: dict[str, Any], period_id: str) -> Response:
    """Close or restate."""
    sent = read_body(_RESOLVE)
    version = _expected_version(sent.version)
    _wait_for_head(store)
    resolved = command(store, period_id, sent.reason, actor=principal(), version=version, dry_run=query["dry_run"])
    return _resolved(store, resolved)


def _resolved(store: Store, resolved: Resolved) -> Response:
    booked = resolved.booked
    status = 201 if booked.position and not booked.duplicate else 200
    return _tagged(answer(resolved_answer(store, resolved), status), booked.version)


def _tagged(response: Response, version: int) -> Response:
    response.set_etag(str(version))
    return response


def _wait_for_head(store: Store) -> None:
    """Wait until what is recorded by now is projected: nobody closes a period without the orders they just sent.

    Errors: Refusal (not_yet_projected).
    """
    await_projected(store, store.head())


def _expected_version(sent: int | None) -> int | None:
    """Give the version that the request acts on: of its body or of If-Match.

    Errors: Refusal for a tag that is not ours, and where the two differ.
    """
    tag = request.headers.get("If-Match", "*").strip()
    if tag == "*":
        return sent
    match = _ETAG.match(tag)
    if match is None:
        raise Refusal.of(
            Code.invalid_parameter,
            say("If-Match is {tag}: send the ETag of GET /v1/periods/ID as it is", tag=shown(tag)),
            "/If-Match",
        )
    if sent not in (None, int(match[1])):
        raise Refusal.of(
            Code.invalid_value,
            say("version is {sent}, If-Match says {match}: send one of the two", sent=sent, match=match[1]),
            "/version",
        )
    return int(match[1])

"""orderledger periods, period, close, restate, carry-forward: closing periods and what becomes of their drifts."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import click

from api.client import ANY
from api.commands import DAY, echo, format_option, known_at_option, known_point, position_option
from api.ledgers import Ledger, opened_ledger
from api.shapes import (
    CarryForwardRequest,
    ClosingPeriodAnswer,
    DriftAnswer,
    DriftTotal,
    PeriodSummary,
    ResolvedAnswer,
    StatementFigureAnswer,
    StatementTotal,
)
from api.tables import print_rows
from ledger.events import encode
from ledger.wording import Sentence, say

_AMOUNTS = ("current", "settled", "drift", "credited", "adjustments", "total", "gross", "amount")

reason_option = click.option("--reason", required=True, help="Why, for the auditor.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be recorded, record nothing.")


@click.command("periods")
@position_option
@known_at_option
@format_option
def periods_command(position: int | None, known_at: str | None, form: str) -> None:
    """List the closing periods, from the first in which anything is credited to that of today."""
    with opened_ledger() as ledger:
        told = ledger.periods(known_point(position, known_at))
    print_rows([_summary_row(summary) for summary in told.periods], form, numeric=("statement",))


def _summary_row(summary: PeriodSummary) -> dict[str, object]:
    return {
        "period": summary.period,
        "from": str(summary.start),
        "to": str(summary.end),
        "state": summary.state,
        "statement": summary.statement_version or "",
        "drift": "yes" if summary.has_drift else "",
        "adjustments": ", ".join(f"{each.amount} {each.currency}" for each in summary.adjustments),
    }


@click.command("period")
@click.argument("period")
@position_option
@known_at_option
@format_option
def period_command(period: str, position: int | None, known_at: str | None, form: str) -> None:
    """Show the statements of PERIOD, its drift since the last one, and what was booked into it and out of it.

    csv has the lines of the drift alone.
    """
    with opened_ledger() as ledger:
        told = ledger.period(period, known_point(position, known_at)).answer
    if form == "json":
        echo(encode(told).decode())
    elif form == "csv":
        print_rows(_drift_rows(told), form)
    else:
        _print_period(told)
    echo(
        say(
            "as known at position {view_position}, periods at version {told_version}",
            view_position=told.view.position,
            told_version=told.version,
        ),
        err=True,
    )


def _print_period(told: ClosingPeriodAnswer) -> None:
    summary = told.period
    echo(
        say(
            "{period} ({start} to {end}, half-open) is {state}.",
            period=summary.period,
            start=summary.start,
            end=summary.end,
            state=Sentence(summary.state),
        )
    )
    for issued in told.statements:
        echo(
            say(
                "Statement {issued_version} as known at position {issued_position}, by {issued_actor} on"
                " {recorded_on} (position {recorded_position}): {reason}",
                issued_version=issued.version,
                issued_position=issued.position,
                issued_actor=issued.actor,
                recorded_on=f"{issued.recorded_at:%Y-%m-%d}",
                recorded_position=issued.recorded_position,
                reason=issued.reason,
            )
        )
    for title, rows in (
        (say("Drift since then"), _drift_rows(told)),
        (say("Booked into it"), [_adjustment_row(each) for each in told.adjustments_in]),
        (say("Carried out of it"), [_adjustment_row(each) for each in told.adjustments_out]),
    ):
        if rows:
            echo(say("\n{title}:", title=title))
            print_rows(rows, "table", numeric=_AMOUNTS)


def _drift_rows(told: ClosingPeriodAnswer) -> list[dict[str, object]]:
    lines = [_drift_row(line.salesperson_id or "(unassigned)", line.salesperson_name, line) for line in told.drift]
    return [*lines, *(_drift_row("(total)", None, total) for total in told.drift_totals)]


def _drift_row(person: str, name: str | None, line: DriftAnswer | DriftTotal) -> dict[str, object]:
    return {
        "salesperson": person,
        "name": name or "",
        "currency": line.currency,
        "settled": line.settled,
        "current": line.current,
        "drift": line.drift,
    }


def _adjustment_row(each: Any) -> dict[str, object]:
    return {
        "from": each.from_period,
        "into": each.into_period,
        "on": str(each.booked_on),
        "salesperson": each.salesperson_id or "(unassigned)",
        "name": each.salesperson_name or "",
        "currency": each.currency,
        "amount": each.amount,
        "position": each.position or "",
    }


@click.command("close")
@click.argument("period")
@reason_option
@dry_run_option
@format_option
def close_command(period: str, form: str, **asked: Any) -> None:
    """Close PERIOD: freeze its figures as statement 1."""
    _resolve(lambda ledger: ledger.close_period(period, **asked, if_match=ANY), form)


@click.command("restate")
@click.argument("period")
@reason_option
@dry_run_option
@format_option
def restate_command(period: str, form: str, **asked: Any) -> None:
    """Give closed PERIOD its next statement, which takes its drift in."""
    _resolve(lambda ledger: ledger.restate(period, **asked, if_match=ANY), form)


@click.command("carry-forward")
@click.argument("period")
@click.option("--into", required=True, help="The open period to book it into.")
@click.option("--booked-on", type=DAY, help="A day of that period; default: the one nearest to today.")
@reason_option
@dry_run_option
@format_option
def carry_forward_command(period: str, into: str, booked_on: datetime | None, form: str, **asked: Any) -> None:
    """Book the drift of closed PERIOD as adjustments into an open period."""
    request = CarryForwardRequest(into, asked.pop("reason"), booked_on.date() if booked_on else None)
    _resolve(lambda ledger: ledger.carry_forward(period, request, **asked, if_match=ANY), form)


def _resolve(command: Callable[[Ledger], ResolvedAnswer], form: str) -> None:
    """Run a command on what is recorded, and print its statement or its adjustments."""
    with opened_ledger() as ledger:
        told = command(ledger)
    print_rows(_resolved_rows(told), form, numeric=_AMOUNTS)
    done = (
        say("recorded at position {position}", position=told.position)
        if told.position
        else say("a dry run: nothing is recorded")
    )
    state = say(
        "{period} is {period_state}, statement {statement_version}",
        period=told.period.period,
        period_state=Sentence(told.period.state),
        statement_version=told.period.statement_version or say("none"),
    )
    echo(say("{done}; {state}", done=done, state=state), err=True)


def _resolved_rows(told: ResolvedAnswer) -> list[Mapping[str, object]]:
    if told.carry_forward is not None:
        rows = [_adjustment_row(each) for each in told.carry_forward.adjustments]
        return [{name: value for name, value in row.items() if name != "position"} for row in rows]
    assert told.statement is not None, "a period is closed or restated with a statement"
    figures = [_figure_row(each.salesperson_id or "(unassigned)", each) for each in told.statement.figures]
    return [*figures, *(_figure_row("(total)", total) for total in told.statement.totals)]


def _figure_row(person: str, figure: StatementFigureAnswer | StatementTotal) -> dict[str, object]:
    return {
        "salesperson": person,
        "name": figure.salesperson_name or "" if isinstance(figure, StatementFigureAnswer) else "",
        "currency": figure.currency,
        "credited": figure.credited,
        "adjustments": figure.adjustments,
        "total": figure.total,
        "gross": figure.gross,
    }


PERIOD_COMMANDS = (periods_command, period_command, close_command, restate_command, carry_forward_command)

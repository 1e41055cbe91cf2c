"""orderledger simulate and movement: what figures would be, and why they differ."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from api.cli_changes import JSON_FILE, read_alterations
from api.client import AtStatement
from api.commands import WrongUse, echo, format_option, instant, known_at_option, position_option
from api.ledgers import opened_ledger
from api.shapes import MovementLineAnswer, SimulatedGroup, SimulationRequest
from api.tables import named, print_rows
from ledger.wording import say
from projections.movement import KINDS
from projections.performance import GROUPINGS

Point = int | datetime | AtStatement


@click.command("simulate")
@click.argument("periods", nargs=-1, required=True)
@click.option("--alterations", type=JSON_FILE, help="A JSON list of alterations, or a file that can be proposed.")
@click.option("--without", multiple=True, help="A rule change to leave out, as if it had never been made.")
@click.option("--group-by", default="salesperson", show_default=True, help=f"One to three of {', '.join(GROUPINGS)}.")
@position_option
@known_at_option
@format_option
def simulate_command(
    periods: tuple[str, ...], alterations: Path | None, without: tuple[str, ...], form: str, **known: Any
) -> None:
    """Show PERIODS as they are and as they would be under other rules; nothing is recorded."""
    altered = read_alterations(alterations) if alterations else ()
    groups = tuple(known["group_by"].split(","))
    moment = None if known["known_at"] is None else instant(known["known_at"])
    position = known["position"] if moment is None else None
    with opened_ledger() as ledger:
        answered = ledger.simulate(SimulationRequest(periods, altered, without, groups, position, moment)).periods
    rows = [_simulated_row(each.period.name, group) for each in answered for group in each.groups]
    print_rows(rows, form, numeric=("actual", "simulated", "change", "gross", "orders", "simulated_orders"))
    for each in answered:
        for total in each.totals:
            told = say(
                "{period}: {before} to {after} {currency} ({change})",
                period=each.period.name,
                before=total.actual,
                after=total.simulated,
                currency=total.currency,
                change=total.change,
            )
            echo(told, err=True)
    echo(
        say(
            "as known at position {position}; nothing is recorded",
            position=answered[0].actual_view.position,
        ),
        err=True,
    )


def _simulated_row(period: str, group: SimulatedGroup) -> dict[str, object]:
    return {
        "period": period,
        **{name: named(value) for name, value in group.group.items()},
        "name": " / ".join(name for name in group.names.values() if name),
        "currency": group.currency,
        "actual": group.actual,
        "simulated": group.simulated,
        "change": group.change,
        "gross": group.gross,
        "orders": group.actual_orders,
        "simulated_orders": group.simulated_orders,
    }


@click.command("movement")
@click.argument("period")
@click.option("--from-position", type=click.IntRange(min=0), help="From what was known at this position.")
@click.option("--from-known-at", help="From what was known at this instant.")
@click.option("--from-statement", type=click.IntRange(min=1), help="From this statement of a closed period.")
@click.option("--to-position", type=click.IntRange(min=0), help="To what was known at this position; default: now.")
@click.option("--to-known-at", help="To what was known at this instant.")
@click.option("--to-statement", type=click.IntRange(min=1), help="… or this statement of a closed period.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only causes of this kind.")
@click.option("--after-close", is_flag=True, help="Only what was recorded after the close, effective before the end.")
@format_option
def movement_command(period: str, kinds: tuple[str, ...], form: str, *, after_close: bool, **between: Any) -> None:
    """Show why the figures of PERIOD differ between two points of the ledger's history: a line per cause and person."""
    asked = _between(between)
    with opened_ledger() as ledger:
        found = ledger.movements(period, *asked, kinds=kinds, after_close=after_close)
    numeric = ("position", "days_back_dated", "credited", "gross", "adjustments", "quota", "carried_out")
    print_rows([_movement_row(line) for line in found.lines], form, numeric=numeric)
    for total in found.totals:
        echo(
            say(
                "{total_currency}: credited {credited}, gross {gross} in all",
                total_currency=total.currency,
                credited=total.credited,
                gross=total.gross,
            ),
            err=True,
        )
    echo(
        say(
            "from position {first} to {last}, digest {digest}",
            first=found.from_position,
            last=found.to_position,
            digest=found.view.digest,
        ),
        err=True,
    )


def _between(given: dict[str, Any]) -> tuple[Point, Point | None]:
    """Give the points that were typed: one to begin at, at most one to end at."""
    asked = {name: value for name, value in given.items() if value is not None}
    begins = [name for name in asked if name.startswith("from_")]
    ends = [name for name in asked if name.startswith("to_")]
    if len(begins) != 1 or len(ends) > 1:
        raise WrongUse(say("give one of --from-position, --from-known-at, --from-statement, and at most one --to-…"))
    return _point(begins[0], asked), _point(ends[0], asked) if ends else None


def _point(name: str, asked: dict[str, Any]) -> Point:
    if name.endswith("known_at"):
        return instant(asked[name])
    return AtStatement(asked[name]) if name.endswith("statement") else int(asked[name])


def _movement_row(line: MovementLineAnswer) -> dict[str, object]:
    cause = line.cause
    return {
        "position": cause.position,
        "type": cause.type,
        "subject": cause.rule_change_id or cause.subject,
        "actor": cause.actor,
        "effective_on": str(cause.effective_on),
        "days_back_dated": cause.days_back_dated,
        "after_close": "yes" if cause.after_close else "",
        "salesperson": named(line.salesperson_id),
        "currency": line.currency,
        "credited": line.credited,
        "gross": line.gross,
        "adjustments": line.adjustments,
        "quota": line.quota,
        "reason": cause.reason or "",
        "carried_out": line.carried_out,
    }

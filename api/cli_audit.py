"""orderledger audit: what auditors ask for, on the command line."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from api.answers import view_answer
from api.audit import AccessAnswer, access_entry, access_table, asked_entries
from api.audit_answers import AuditedChangeAnswer, AuditedRuleAnswer, RuleChangesAudit, audit_answer, audit_tables
from api.cli_rules import conditions_of
from api.commands import (
    DAY,
    WrongUse,
    echo,
    instant,
    known_at_option,
    log_command,
    opened_store,
    position_option,
    tell_view,
    writable,
)
from api.exports import MEDIA_TYPES, Table, is_marked, tables_named, written
from api.queries import AUDIT_TABLES, asked_days
from api.tables import print_rows
from ledger.access_log import ACTIONS, AUDIT_READ, EXPORTED, last_number, read_all
from ledger.events import encode
from ledger.store import Store
from ledger.wording import say
from projections.audit import audit_report
from projections.projector import Projector

BINARY = ("xlsx", "parquet")
format_option = click.option(
    "--format", "form", type=click.Choice(("table", "json", *MEDIA_TYPES)), default="table", show_default=True
)
output_option = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    help="Write to this file; xlsx and parquet need one.",
)
bom_option = click.option(
    "--bom/--no-bom", default=None, help="Whether a CSV begins with a byte order mark; default: in Chinese."
)
from_option = click.option("--from", "start", type=DAY, help="The first business day.")
to_option = click.option("--to", "end", type=DAY, help="The first business day after.")


@click.group()
def audit() -> None:
    """Report to auditors: the rulebook's changes, and who read what."""


@audit.command("rule-changes")
@from_option
@to_option
@click.option("--period", help="A period instead: 2026-03, 2026-P03, 2026-Q1, FY2026.")
@position_option
@known_at_option
@click.option("--table", type=click.Choice(AUDIT_TABLES), help="Only this table of an export; parquet needs one.")
@format_option
@output_option
@bom_option
def audit_rule_changes(form: str, output: Path | None, table: str | None, *, bom: bool | None, **asked: Any) -> None:
    """Show the rules in force on some days, and each rule change that reaches into them: who, why, when, what it moved.

    table leaves out the proofs; the other formats have everything.
    """
    check_output(form, output, bom=bom)
    if table and form not in MEDIA_TYPES:
        raise WrongUse(say("--table is for --format csv, ndjson, xlsx or parquet"))
    if form == "parquet" and not table:
        raise WrongUse(
            say("parquet holds one table: give --table of {audit_tables}", audit_tables=", ".join(AUDIT_TABLES))
        )
    with opened_store() as store:
        Projector(store.database).catch_up()
        position, known_at = asked["position"], asked["known_at"]
        if known_at is not None:
            position = store.position_at(instant(known_at))
        query = {name: _day(asked[name]) for name in ("start", "end")} | {"period": asked["period"]}
        report = audit_report(store, asked_days(store, query), position=position)
        log_reading(store, form, f"audit rule-changes period={report.days.name} position={report.view.position}")
        if form in MEDIA_TYPES:
            write_export(tables_named(audit_tables(store, report), table), form, output, bom=bom)
        else:
            print_report(audit_answer(store, report), form, output)
    tell_view(view_answer(report.view))


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def check_output(form: str, output: Path | None, *, bom: bool | None) -> None:
    """Refuse a workbook or Parquet without a file, a table with one, and a byte order mark elsewhere than in CSV."""
    if form in BINARY and output is None:
        raise WrongUse(say("{form} goes into a file: give --output FILE.{form}", form=form))
    if form == "table" and output is not None:
        raise WrongUse(say("a table is for the screen: give another --format with --output"))
    if bom and form != "csv":
        raise WrongUse(say("--bom is for --format csv"))


def log_reading(store: Store, form: str, subject: str) -> None:
    """Note in the access log that audit data is shown, or taken out as a file's contents."""
    log_command(store, EXPORTED if form in MEDIA_TYPES else AUDIT_READ, f"orderledger {subject} {form}")


def write_export(tables: Sequence[Table], form: str, output: Path | None, *, bom: bool | None) -> None:
    """Write tables into a file, or to stdout."""
    _write(written(tables, form, bom=is_marked(bom)), output)


def _write(chunks: Iterator[bytes], output: Path | None) -> None:
    if output is None:
        for chunk in chunks:
            click.echo(chunk, nl=False)
        return
    with output.open("wb") as file:
        file.writelines(chunks)


def print_report(told: RuleChangesAudit, form: str, output: Path | None) -> None:
    """Print a report whole as JSON, or as tables for people."""
    if form == "json":
        _write(iter([encode(told) + b"\n"]), output)
        return
    echo(say("Rule changes:"))
    numeric = ("position", "days_back", "orders", "people")
    print_rows([_change_row(each) for each in told.rule_changes], "table", numeric=numeric)
    echo(say("\nRules in force:"))
    print_rows([_rule_row(each) for each in told.rules], "table", numeric=("share", "position"))


def _change_row(told: AuditedChangeAnswer) -> dict[str, object]:
    """Tell a change in a line; the sums of its impact follow, one per period and currency."""
    decision = told.decision
    return {
        "rule_change": told.rule_change_id,
        "state": told.state,
        "proposer": told.proposer,
        "decided_by": decision.actor if decision else "",
        "recorded": f"{decision.recorded_at if decision else told.proposed_at:%Y-%m-%d}",
        "position": told.position,
        "days_back": told.days_back_dated,
        "closed_periods": ", ".join(each.period for each in told.touched_closed_periods),
        "orders": told.impact.orders,
        "people": told.impact.people,
        "moves": "; ".join(f"{each.period} {each.change} {each.currency}" for each in told.impact.totals),
        "reason": told.reason,
    }


def _rule_row(told: AuditedRuleAnswer) -> dict[str, object]:
    named = {name: value for name, value in conditions_of(told.conditions).items() if value is not None}
    return {
        "rule": ", ".join(f"{name}={value}" for name, value in named.items()),
        "share": told.share if told.share is not None else "(ended)",
        "from": str(told.effective_from or ""),
        "to": str(told.effective_to or ""),
        "holds": ", ".join(f"{held.start}..{held.end}" for held in told.stretches) or "(superseded)",
        "rule_change": told.rule_change_id,
        "position": told.position,
    }


@audit.command("access")
@from_option
@to_option
@click.option("--principal", help="Only what this principal did.")
@click.option("--action", type=click.Choice(ACTIONS), help="Only this.")
@format_option
@output_option
@bom_option
def audit_access(form: str, output: Path | None, *, bom: bool | None, **given: Any) -> None:
    """Show the access log: who signed in, made tokens, took data out, read audit data, and was refused."""
    check_output(form, output, bom=bom)
    with opened_store() as store:
        asked = asked_entries(store, given | {name: _day(given[name]) for name in ("start", "end")})
        last = last_number(store.database)
        log_reading(store, form, "audit access")
        if form in MEDIA_TYPES:
            write_export([access_table(store, asked, last)], form, output, bom=bom)
            return
        found = [access_entry(each) for each in read_all(store.database, asked, last=last)]
    if form == "json":
        _write(iter([encode(AccessAnswer(found, None)) + b"\n"]), output)
        return
    rows = [
        {
            "at": f"{each.at:%Y-%m-%d %H:%M:%S}",
            "principal": each.principal or "",
            "token": each.token_id or "",
            "action": each.action,
            "outcome": each.outcome,
            "subject": each.subject,
            "address": each.address or "",
            "times": each.times,
        }
        for each in found
    ]
    print_rows(rows, "table", numeric=("times",))

"""The command line: `orderledger`, the same ledger without HTTP.

Exit status: 0 done, 1 a check failed or the command was refused, 2 usage, 3 the database can't be reached. Tables are
for people, `--format json` and `--format csv` for programs; progress and complaints go to stderr.
"""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from api.adjusted import adjusted_figures, booked_with, with_booked
from api.answers import figure_answer
from api.cli_audit import audit
from api.cli_bundle import BUNDLE_COMMANDS
from api.cli_changes import approve_command, propose_command, reject_command, withdraw_command
from api.cli_checkpoints import checkpoint_command, key, verify_command
from api.cli_database import database_command
from api.cli_explain import EXPLAIN_COMMANDS
from api.cli_facts import facts
from api.cli_figures import movement_command, simulate_command
from api.cli_periods import PERIOD_COMMANDS
from api.cli_rules import rules
from api.cli_tokens import token
from api.commands import (
    EXIT_REFUSED,
    Commands,
    actor,
    data_folder,
    echo,
    format_option,
    instant,
    known_at_option,
    make_token,
    migrated_database,
    opened_store,
    position_option,
    progress_bar,
    require_initialised,
    signer,
)
from api.demo import DEMO_NAME, DEMO_SALESPERSON, load_demo
from api.importer import ImportReport, import_folder
from api.metrics_folder import metrics_folder
from api.tables import print_rows
from ledger import __version__
from ledger.events import FiscalYear, LedgerOpened
from ledger.periods import CLOSES
from ledger.refusal import Code, Refusal
from ledger.settings import open_ledger
from ledger.store import Store
from ledger.tokens import ROLES, find_token
from ledger.wording import say
from projections.performance import GROUPINGS, performance
from projections.projector import Projector
from projections.rebuild import rebuild


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="orderledger")
def main() -> None:
    """Orderledger: orders in, performance out, at any point in its history.

    The ledger is the database of ORDERLEDGER_DATABASE_URL, or an embedded PostgreSQL in the folder
    ORDERLEDGER_DATA_DIR (default: var). Where its login may not migrate, ORDERLEDGER_ADMIN_URL names one that may.
    """


for _command in (rules, token, facts, audit, propose_command, approve_command, reject_command, withdraw_command):
    main.add_command(_command)
main.add_command(simulate_command)
main.add_command(movement_command)
main.add_command(checkpoint_command)
main.add_command(key)
main.add_command(verify_command)
main.add_command(database_command)
for _command in (*PERIOD_COMMANDS, *EXPLAIN_COMMANDS, *BUNDLE_COMMANDS):
    main.add_command(_command)


@main.command()
@click.option("--name", default="Orderledger", show_default=True, help="The ledger's name.")
@click.option("--fiscal-year-starts-in", type=click.IntRange(1, 12), default=1, show_default=True)
@click.option(
    "--time-zone", default="UTC", show_default=True, help="The zone of business dates, such as Asia/Shanghai."
)
@click.option("--closes", type=click.Choice(list(CLOSES)), default="quarter", show_default=True, help="What is closed.")
@click.option(
    "--calendar",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Fiscal years by their days: a JSON list of {"name": "FY2026", "months_start": [12 dates], "end": date}.',
)
@click.option(
    "--four-eyes/--no-four-eyes",
    default=True,
    show_default=True,
    help="Whether another person approves rule changes.",
)
@click.option("--origin", help="The ledger's name in its signed checkpoints; a new one if left out.")
def init(calendar: Path | None, origin: str | None, **values: Any) -> None:
    """Make the schema and the signing key, record the ledger's settings, and show an admin token once."""
    years = read_calendar(calendar) if calendar else ()
    with opened_store() as store:
        open_ledger(store, LedgerOpened(**values, calendar=years), actor=actor(), origin=origin)
        echo(say("The ledger is ready. The admin token, shown this once:"))
        echo(make_token(store, "admin", ("admin",)))


def read_calendar(path: Path) -> tuple[FiscalYear, ...]:
    """Read the fiscal calendar's table from a file.

    Errors: Refusal (malformed_json, invalid_calendar) for a file that holds something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[FiscalYear, ...])
    except msgspec.ValidationError as error:
        raise Refusal.of(
            Code.invalid_calendar,
            say("{path_name} is not a list of fiscal years: {error}", path_name=path.name, error=error),
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal.of(
            Code.malformed_json,
            say("{path_name} is not JSON ({error}): give one UTF-8 JSON list", path_name=path.name, error=error),
        ) from None


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes, 16 threads each.")
@click.option("--demo", is_flag=True, help="Load the demo into an empty ledger, and show its tokens.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of the log on stderr.",
)
@click.option(
    "--lag-max",
    type=click.IntRange(min=1),
    default=50_000,
    show_default=True,
    help="So many events may wait to be projected before /readyz says no.",
)
@click.option(
    "--statement-seconds-max",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="So long may a request keep the database busy with one statement.",
)
def serve(*, demo: bool, lag_max: int, statement_seconds_max: int, **options: Any) -> None:
    """Serve the API and the pages until stopped."""
    with metrics_folder(), migrated_database(exclusive=True) as database:
        store = Store(database, signer=signer())
        if demo:
            show_demo(store)
        require_initialised(store)
        store.close()
        limits = {"lag_events_max": lag_max, "statement_seconds_max": statement_seconds_max}
        run_server(database.url, limits, **options)


def run_server(url: str, limits: dict[str, int], *, host: str, port: int, workers: int, log_format: str) -> None:
    """Serve a ledger until stopped; the folder of the metrics is named before their library is imported here."""
    from api.app import Config  # noqa: PLC0415 - the other commands do without Flask
    from api.request_log import log_to_stderr  # noqa: PLC0415
    from api.server import Server  # noqa: PLC0415

    log_to_stderr(log_format)
    echo(say("Orderledger serves on http://{host}:{port} (stop with Ctrl-C)", host=host, port=port))
    config = Config(url, signing_key=signer().path, **limits)
    Server(config, address=(host, port), workers=workers, log_format=log_format).run()


def show_demo(store: Store) -> None:
    """Load the demo where the ledger is empty, and show its tokens, which are kept beside the data."""
    if store.head() == 0:
        echo(say("Loading the demo ledger …"), err=True)
        summary = load_demo(store.database, signer=store.signer)
        echo(
            say(
                "{events} events; before the rule was changed for the past, the ledger was at position"
                " {position_before_change}.",
                events=summary.events,
                position_before_change=summary.position_before_change,
            )
        )
    require_initialised(store)
    if (settings := store.settings()) is None or settings.name != DEMO_NAME:
        raise Refusal.of(Code.ledger_initialised, say("this ledger is not the demo: use it without the demo"))
    echo(say("Tokens of the demo:"))
    for role, text in demo_tokens(store).items():
        click.echo(f"  {role:9} {text}")


def is_valid(store: Store, text: str) -> bool:
    """Say whether a token may still be used."""
    token = find_token(store.database, text)
    return token is not None and token.valid_at(store.clock())


def demo_tokens(store: Store) -> dict[str, str]:
    """Give a token for each role, kept in a file that only its owner reads."""
    path = data_folder() / "demo-tokens"
    if path.exists():
        kept = dict(line.split() for line in path.read_text(encoding="utf-8").splitlines())
        if set(kept) == set(ROLES) and all(is_valid(store, kept_token) for kept_token in kept.values()):
            return kept
    tokens = {
        role: make_token(store, DEMO_SALESPERSON if role == "sales" else f"demo-{role}", (role,)) for role in ROLES
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{role} {token}\n" for role, token in tokens.items()), encoding="utf-8")
    return tokens


@main.command()
def demo() -> None:
    """Load the demo ledger into an empty database and show its tokens."""
    with opened_store() as store:
        show_demo(store)


@main.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--source", help="Who numbers these orders; the same source and order are recorded once.")
@click.option("--accept-good-rows", is_flag=True, help="Record the good orders of a file that has bad rows.")
@click.option("--define-order-types", is_flag=True, help="Define unknown order types, counting in full.")
def import_command(folder: Path, source: str | None, *, accept_good_rows: bool, define_order_types: bool) -> None:
    """Import FOLDER/orders.csv and FOLDER/lines.csv; nothing is recorded when a row is bad."""
    with opened_store() as store:
        require_initialised(store)
        with progress_bar("Importing") as progress:
            report = import_folder(
                store,
                folder,
                source=source,
                accept_good_rows=accept_good_rows,
                define_order_types=define_order_types,
                actor=actor(),
                progress=progress,
            )
    print_report(report)


def print_report(report: ImportReport) -> None:
    """Tell what was imported, every bad row, and each kind's remedy; the exit status says whether there were any."""
    codes = dict[Code, int]()
    for problem in report.problems:
        echo(str(problem), err=True)
        codes[problem.code] = codes.get(problem.code, 0) + 1
    for code, count in codes.items():
        echo(say("{count} x {code_name}: {remedy}", count=count, code_name=code.name, remedy=code.remedy), err=True)
    if report.order_types_defined:
        echo(
            say(
                "defined the order types {order_types_defined}",
                order_types_defined=", ".join(report.order_types_defined),
            )
        )
    echo(
        say(
            "{orders} orders, {lines} lines: {recorded} recorded, {duplicates} recorded"
            " before, {rejected} rejected; the ledger is at position {report_position}",
            orders=report.orders,
            lines=report.lines,
            recorded=report.recorded,
            duplicates=report.duplicates,
            rejected=report.rejected,
            report_position=report.position,
        )
    )
    if report.refused:
        echo(say("Nothing was recorded: correct these rows, or record the others with --accept-good-rows."), err=True)
    if report.problems:
        sys.exit(EXIT_REFUSED)


@main.command("performance")
@click.argument("period")
@click.option(
    "--group-by",
    default="salesperson",
    show_default=True,
    help=f"One to three of {', '.join(GROUPINGS)}.",
)
@position_option
@known_at_option
@format_option
def performance_command(period: str, group_by: str, position: int | None, known_at: str | None, form: str) -> None:
    """Show performance of PERIOD: 2026-03, 2026-P03, 2026-Q1, FY2026 or 2026-01-01..2026-04-01."""
    with opened_store() as store:
        days = store.calendar().period(period)
        Projector(store.database).catch_up()
        if known_at is not None:
            position = store.position_at(instant(known_at))
        groups = tuple(group_by.split(","))
        result = performance(store, days, group_by=groups, position=position)
        booked = booked_with(store, result)
        told = [figure_answer(figure, groups) for figure in with_booked(store, result, booked).figures]
    told = adjusted_figures(told, booked) if booked else told
    rows = [
        {
            **{name: value if value is not None else "(none)" for name, value in figure.group.items()},
            "name": " / ".join(name for name in figure.names.values() if name),
            "currency": figure.currency,
            "credited": figure.credited,
            **({"adjustments": figure.adjustments, "total": figure.total} if booked else {}),
            "gross": figure.gross,
            "orders": figure.orders,
            "gross_orders": figure.gross_orders,
            "quantity": figure.quantity,
        }
        for figure in told
    ]
    print_rows(rows, form, numeric=("credited", "adjustments", "total", "gross", "orders", "gross_orders", "quantity"))
    view = result.view
    echo(
        say(
            "as known at position {position}, rulebook {rulebook_position}, digest {digest}",
            position=view.position,
            rulebook_position=view.rulebook_position,
            digest=view.digest,
        ),
        err=True,
    )


@main.command("rebuild")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True)
def rebuild_command(processes: int) -> None:
    """Rebuild the projection from event 1 beside the serving one, then switch."""
    with opened_store() as store, progress_bar("Rebuilding") as progress:
        rebuilt = rebuild(store.database, processes=processes, progress=progress)
    echo(
        say(
            "generation {generation} serves at position {rebuilt_position}:"
            " {credit_lines} credit lines in {milliseconds} ms",
            generation=rebuilt.generation,
            rebuilt_position=rebuilt.position,
            credit_lines=rebuilt.credit_lines,
            milliseconds=rebuilt.milliseconds,
        )
    )


if __name__ == "__main__":
    main()

"""The command line: `orderledger`, the same ledger without HTTP.

Exit status: 0 done, 1 a check failed or the command was refused, 2 usage, 3 the database can't be reached. Tables are
for people, `--format json` and `--format csv` for programs; progress and complaints go to stderr.
"""

from pathlib import Path
from typing import Any

import click
import msgspec

from api.cli_audit import audit
from api.cli_bundle import BUNDLE_COMMANDS
from api.cli_changes import approve_command, propose_command, reject_command, withdraw_command
from api.cli_checkpoints import checkpoint_command, key, verify_command
from api.cli_database import database_command
from api.cli_explain import EXPLAIN_COMMANDS
from api.cli_facts import facts
from api.cli_figures import movement_command, simulate_command
from api.cli_import import import_command
from api.cli_oidc import oidc_settings
from api.cli_periods import PERIOD_COMMANDS
from api.cli_rules import rules
from api.cli_tokens import token
from api.cli_webhooks import webhook
from api.commands import (
    Commands,
    Remote,
    WrongUse,
    actor,
    data_folder,
    echo,
    format_option,
    insecure_option,
    known_at_option,
    known_point,
    make_token,
    migrated_database,
    opened_store,
    position_option,
    progress_bar,
    require_initialised,
    signer,
    tell_view,
    webhook_reach,
)
from api.demo import DEMO_NAME, DEMO_SALESPERSON, load_demo
from api.ledgers import opened_ledger
from api.metrics_folder import metrics_folder
from api.tables import named, print_rows
from ledger import __version__
from ledger.events import FiscalYear, LedgerOpened
from ledger.periods import CLOSES
from ledger.refusal import Code, Refusal
from ledger.settings import open_ledger
from ledger.store import Store
from ledger.tokens import ROLES, find_token
from ledger.wording import say
from projections.performance import GROUPINGS
from projections.rebuild import rebuild


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="orderledger")
@click.option(
    "--url",
    envvar="ORDERLEDGER_URL",
    help="The service to ask, instead of this machine's ledger: http://127.0.0.1:8000.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file that the service's token is in; default: ORDERLEDGER_TOKEN has it.",
)
@click.pass_context
def main(context: click.Context, url: str | None, token_file: Path | None) -> None:
    """Orderledger: orders in, performance out, at any point in its history.

    With --url (or ORDERLEDGER_URL) the commands ask a service instead, as the holder of its token: performance,
    movement, explain, review, simulate, rules (but not define, set and end), propose, approve, reject, withdraw,
    periods, period, close, restate, carry-forward, facts, checkpoint, import of a file, and export of a period.

    The ledger is the database of ORDERLEDGER_DATABASE_URL, or an embedded PostgreSQL in the folder
    ORDERLEDGER_DATA_DIR (default: var). Where its login may not migrate, ORDERLEDGER_ADMIN_URL names one that may.
    """
    if url:
        context.obj = Remote(url, token_file)
    elif token_file is not None:
        raise WrongUse(say("whose token is it? give --url, too"))


for _command in (rules, token, facts, audit, propose_command, approve_command, reject_command, withdraw_command):
    main.add_command(_command)
main.add_command(simulate_command)
main.add_command(movement_command)
main.add_command(checkpoint_command)
main.add_command(key)
main.add_command(verify_command)
main.add_command(database_command)
main.add_command(webhook)
main.add_command(import_command)
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
@click.option(
    "--requests-per-second-max",
    type=click.IntRange(min=1),
    default=2_000,
    show_default=True,
    help="So many requests may a token make in a second, on average over ten, divided among the workers.",
)
@click.option(
    "--failures-per-minute-max",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="So many requests with a token that is not valid may an address make in a minute.",
)
@insecure_option("--webhooks-insecure")
@click.option(
    "--secure-cookies",
    is_flag=True,
    default=False,
    envvar="ORDERLEDGER_SECURE_COOKIES",
    help="Let browsers send a session's cookie over https only: for a proxy that does not say that it speaks https.",
)
def serve(*, demo: bool, lag_max: int, statement_seconds_max: int, webhooks_insecure: bool, **options: Any) -> None:
    """Serve the API and the pages until stopped."""
    oidc = oidc_settings()
    with metrics_folder(), migrated_database(exclusive=True) as database:
        store = Store(database, signer=signer())
        if demo:
            show_demo(store)
        require_initialised(store)
        store.close()
        settings = {
            "lag_events_max": lag_max,
            "statement_seconds_max": statement_seconds_max,
            "secure_cookies": options.pop("secure_cookies"),
            "webhook_reach": webhook_reach(insecure=webhooks_insecure),
            "oidc": oidc,
        }
        run_server(database.url, settings, **options)


def run_server(url: str, settings: dict[str, Any], *, host: str, port: int, log_format: str, **rates: int) -> None:
    """Serve a ledger until stopped; the folder of the metrics is named before their library is imported here."""
    from api.app import Config  # noqa: PLC0415 - the other commands do without Flask
    from api.rate_limits import Limits  # noqa: PLC0415
    from api.request_log import log_to_stderr  # noqa: PLC0415
    from api.server import Server  # noqa: PLC0415

    log_to_stderr(log_format)
    echo(say("Orderledger serves on http://{host}:{port} (stop with Ctrl-C)", host=host, port=port))
    config = Config(url, signing_key=signer().path, limits=Limits(**rates), **settings)
    Server(config, address=(host, port), workers=rates["workers"], log_format=log_format).run()


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
    groups = tuple(group_by.split(","))
    with opened_ledger() as ledger:
        told = ledger.performance(period, group_by=groups, known=known_point(position, known_at))
    rows = [
        {
            **{name: named(value) for name, value in figure.group.items()},
            "name": " / ".join(name for name in figure.names.values() if name),
            "currency": figure.currency,
            "credited": figure.credited,
            **({"adjustments": figure.adjustments, "total": figure.total} if told.adjustments else {}),
            "gross": figure.gross,
            "orders": figure.orders,
            "gross_orders": figure.gross_orders,
            "quantity": figure.quantity,
        }
        for figure in told.figures
    ]
    print_rows(rows, form, numeric=("credited", "adjustments", "total", "gross", "orders", "gross_orders", "quantity"))
    tell_view(told.view)


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

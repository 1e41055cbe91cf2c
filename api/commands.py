"""What the commands of the command line share: the ledger they open, who types, and how failures are told."""

import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import cleandoc
from pathlib import Path
from typing import Any, TypeVar

import click
import psycopg2

from api.languages import (
    ENGLISH,
    choose_language,
    environment_language,
    translate_click,
    translated,
    wanted_language,
    worded,
)
from api.problems import problem_error
from api.shapes import ProblemError, ViewAnswer
from api.tables import FORMATS
from api.transport import Refused, Unreachable
from ledger import access_log
from ledger.access_log import Access
from ledger.database import Database, MigrationError, migrate
from ledger.embedded import LOGIN, EmbeddedServer, EmbeddedServerError
from ledger.progress import Progress
from ledger.refusal import Code, Refusal
from ledger.signing import Signer
from ledger.store import Store
from ledger.tokens import NewToken, issue_token
from ledger.webhook_urls import Reach, read_networks
from ledger.wording import Sentence, say, words_of

Command = TypeVar("Command", bound=Callable[..., Any])
Told = TypeVar("Told", bound=click.Command)
EXIT_REFUSED = 1
EXIT_UNREACHABLE = 3
DAY = click.DateTime(["%Y-%m-%d"])
format_option = click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
position_option = click.option("--position", type=click.IntRange(min=0), help="As known at this position.")
known_at_option = click.option("--known-at", type=str, help="As known at this instant, such as 2026-05-15T12:00:00Z.")


def insecure_option(name: str) -> Callable[[Command], Command]:
    """Make the option that lets webhooks go to this machine, also without TLS."""
    return click.option(
        name,
        is_flag=True,
        default=False,
        envvar="ORDERLEDGER_WEBHOOKS_INSECURE",
        help="Let webhooks go to this machine too, also over http: for tests and development.",
    )


class WrongUse(click.UsageError):
    """A usage error, told in the language of the environment."""

    def __init__(self, sentence: str) -> None:
        super().__init__(translated(sentence))


class Commands(click.Group):
    """The commands, with refusals and failures told in a sentence and an exit status, in the environment's language."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Choose the language before anything is said."""
        choose_language(environment_language())
        if wanted_language() != ENGLISH:
            translate_click()
        return super().make_context(info_name, args, parent, **extra)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give a command, with its help in the language."""
        command = super().get_command(ctx, cmd_name)
        return None if command is None else _worded(command)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the program is and takes."""
        super(Commands, _worded(self)).format_help(ctx, formatter)

    def invoke(self, context: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(context)
        except Refusal as refusal:
            for problem in refusal.problems:
                tell_problem(problem_error(problem))
            sys.exit(EXIT_REFUSED)
        except Refused as refused:
            for error in refused.errors:
                tell_problem(error)
            sys.exit(EXIT_UNREACHABLE if refused.code == Code.storage_unavailable.name else EXIT_REFUSED)
        except Unreachable as unreachable:
            click.echo(str(unreachable), err=True)
            sys.exit(EXIT_UNREACHABLE)
        except (psycopg2.OperationalError, psycopg2.ProgrammingError, EmbeddedServerError, MigrationError) as error:
            echo(say("the database can't be used: {error}", error=_reason(error)), err=True)
            sys.exit(EXIT_UNREACHABLE)


def tell_problem(problem: ProblemError) -> None:
    """Tell one problem of a refusal on stderr, with its remedy."""
    at = say(" (at {pointer})", pointer=problem.pointer) if problem.pointer else ""
    click.echo(f"{problem.code}: {problem.detail}{translated(at)}\n  {problem.remedy}", err=True)


@dataclass(frozen=True)
class Remote:
    """The service that a command is about, and the file that its token is in; else the environment has it."""

    url: str
    token_file: Path | None

    def token(self) -> str:
        """Read the token. Errors: a usage error where there is none."""
        if self.token_file is not None:
            return self.token_file.read_text(encoding="utf-8", errors="replace").strip()
        if token := os.environ.get("ORDERLEDGER_TOKEN"):
            return token
        raise WrongUse(say("the service asks for a token: give --token-file FILE, or set ORDERLEDGER_TOKEN"))


def asked_remote() -> Remote | None:
    """Give the service that the command is about; None: this machine's ledger."""
    context = click.get_current_context(silent=True)
    return context.find_object(Remote) if context else None


def refuse_remote() -> None:
    """Refuse to run a command for a service that only the ledger's machine can do. Errors: a usage error."""
    if (remote := asked_remote()) is not None:
        command = click.get_current_context().command_path
        raise WrongUse(
            say(
                "'{command}' works on the ledger's own machine, not on {url}: run it there, without --url and"
                " ORDERLEDGER_URL",
                command=command,
                url=remote.url,
            )
        )


def known_point(position: int | None, known_at: str | None) -> int | datetime | None:
    """Give the point of the ledger's history that was typed."""
    return position if known_at is None else instant(known_at)


def _worded(command: Told) -> Told:
    """Give a command whose help, and that of its options and subcommands, is in the language."""
    if wanted_language() == ENGLISH:
        return command
    told = copy(command)
    told.help = worded(cleandoc(command.help or ""))
    told.params = [copy(parameter) for parameter in command.params]
    for parameter in told.params:
        if isinstance(parameter, click.Option) and parameter.help:
            parameter.help = worded(parameter.help)
    if isinstance(told, click.Group):
        told.commands = {name: _worded(each) for name, each in told.commands.items()}
    return told


def _reason(error: Exception) -> str:
    said = words_of(error)
    return said if isinstance(said, Sentence) else said.strip()


def echo(text: str, *, err: bool = False) -> None:
    """Print a text; a sentence in the language of the environment."""
    click.echo(translated(text), err=err)


def tell_view(view: ViewAnswer) -> None:
    """Tell on stderr what figures were computed from."""
    echo(
        say(
            "as known at position {position}, rulebook {rulebook_position}, digest {digest}",
            position=view.position,
            rulebook_position=view.rulebook_position,
            digest=view.digest,
        ),
        err=True,
    )


def data_folder() -> Path:
    """Give the folder of the embedded server and of what the service keeps beside it."""
    return Path(os.environ.get("ORDERLEDGER_DATA_DIR", "var"))


def signer() -> Signer:
    """Give the signer of this machine: its key is in the file that ORDERLEDGER_SIGNING_KEY names."""
    return Signer(Path(os.environ.get("ORDERLEDGER_SIGNING_KEY") or data_folder() / "signing-key"))


def webhook_reach(*, insecure: bool) -> Reach:
    """Give what webhooks may be sent to: beside public hosts, networks that ORDERLEDGER_WEBHOOK_NETWORKS names."""
    networks = os.environ.get("ORDERLEDGER_WEBHOOK_NETWORKS", "")
    try:
        return Reach(insecure, read_networks(networks))
    except ValueError as error:
        raise WrongUse(say("ORDERLEDGER_WEBHOOK_NETWORKS: {error}", error=error)) from None


@contextmanager
def migrated_database(*, exclusive: bool = False) -> Iterator[Database]:
    """Give the database, migrated, with an embedded server running for as long if there is no other.

    Errors: a usage error where the command is about a service.
    """
    refuse_remote()
    if url := os.environ.get("ORDERLEDGER_DATABASE_URL"):
        database = Database(url, admin_url=os.environ.get("ORDERLEDGER_ADMIN_URL", ""))
        migrate(database)
        yield database
        return
    with EmbeddedServer(data_folder() / "postgres", exclusive=exclusive) as server:
        database = Database(server.url(login=LOGIN), admin_url=server.url())
        migrate(database)
        yield database


@contextmanager
def opened_store() -> Iterator[Store]:
    """Give the ledger, migrated to this version."""
    with migrated_database() as database:
        store = Store(database, signer=signer())
        try:
            yield store
        finally:
            store.close()


def actor() -> str:
    """Name who types: the system's user, whatever the environment says."""
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a user without a name, as containers have
        return f"cli:uid-{os.getuid()}"


def log_command(store: Store, action: str, subject: str) -> None:
    """Note in the access log what who types takes out or reads, before it is shown."""
    with store.database.cursor() as cursor:
        access_log.append(cursor, command_entry(store, action, subject))


def command_entry(store: Store, action: str, subject: str) -> Access:
    """Give the access log's entry of what who types does."""
    return Access(
        at=store.clock(),
        channel=access_log.CLI,
        action=action,
        outcome=access_log.DONE,
        principal=actor(),
        token_id=None,
        subject=subject,
    )


def make_token(store: Store, principal: str, roles: tuple[str, ...], *, expires_at: datetime | None = None) -> str:
    """Make a token and note it in the access log, both or neither; give its text."""
    entry = command_entry(store, access_log.TOKEN_CREATED, "")
    text, _ = issue_token(store.database, NewToken(principal, roles, expires_at), entry)
    return text


def require_initialised(store: Store) -> None:
    """Refuse to go on with a ledger that has no settings."""
    if store.settings() is None:
        raise Refusal.of(Code.ledger_not_initialised, say("this ledger has no settings yet: run orderledger init"))


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Show on stderr how far something is."""
    with click.progressbar(length=100, label=worded(label), file=sys.stderr) as bar:
        yield lambda done, total: bar.update(max(0, 100 * done // max(total, 1) - bar.pos))


def writable(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Make sure that an output file can be written, before anything is done. Errors: a usage error."""
    try:
        if path is not None:
            path.touch()
    except OSError as error:
        raise click.BadParameter(
            translated(say("{path} can't be written: {error_strerror}", path=path, error_strerror=error.strerror))
        ) from None
    return path


def instant(text: str) -> datetime:
    """Read an instant; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(say("{text!r} is not an instant: write 2026-05-15T12:00:00Z", text=text)) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

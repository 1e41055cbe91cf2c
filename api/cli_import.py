"""The command line's import: a folder of orders.csv and lines.csv, or a flat file as over HTTP."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import SpooledTemporaryFile

import click
import msgspec

from api.client import FORMS, Client, Refused
from api.commands import (
    EXIT_REFUSED,
    WrongUse,
    actor,
    asked_remote,
    echo,
    opened_store,
    progress_bar,
    require_initialised,
)
from api.import_answers import import_problem, told_import
from api.importer import ImportReport, import_folder
from api.ledgers import opened_client
from api.shapes import Form, ImportAnswer, ImportProblem, ImportProfile
from api.staged_imports import Watch, begin, discard, found, read_upload, run, stage
from ledger import staging
from ledger.checks import shown
from ledger.ids import uuid7
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say

_CHUNK_BYTES = 64 * 1024
_SPOOLED_BYTES = 4 * 1024 * 1024
_PROBLEMS_PAGE = 1_000_000


@click.command("import")
@click.argument("path", metavar="FILE_OR_FOLDER", type=click.Path(path_type=Path))
@click.option("--source", help="Who numbers these orders; the same source and order are recorded once.")
@click.option("--accept-good-rows", is_flag=True, help="Record the good orders of a file that has bad rows.")
@click.option("--define-order-types", is_flag=True, help="Of a folder: define unknown order types, counting in full.")
@click.option("--profile", help="Of a file: the saved profile by which it is read, or a file with its JSON.")
@click.option("--dry-run", is_flag=True, help="Of a file: show how it is understood and what is wrong; record nothing.")
def import_command(
    path: Path, source: str | None, profile: str | None, *, accept_good_rows: bool, **flags: bool
) -> None:
    """Import orders; nothing is recorded when a row is bad, unless the good ones are accepted.

    A folder has orders.csv and lines.csv. A file (.csv, .xlsx, .ndjson) has a row for each order line, with the
    columns of an ERP's export, in English or Chinese.
    """
    is_file = path.is_file()
    if is_file and flags["define_order_types"]:
        raise WrongUse(say("--define-order-types is for a folder: define them with orderledger rules define"))
    if path.is_dir() and (profile is not None or flags["dry_run"]):
        raise WrongUse(say("--profile and --dry-run are for a file"))
    if is_file:
        with _opened_imports() as imports:
            told = _profile(imports, profile, source)
            _import_file(imports, path, told, accept_good_rows=accept_good_rows, dry_run=flags["dry_run"])
        return
    if not path.exists():
        sentence = say("{path} does not exist: name a file or a folder that does", path=shown(str(path)))
        raise Refusal.of(Code.file_not_found, sentence)
    _refuse_remote_folder()
    with opened_store() as store:
        require_initialised(store)
        with progress_bar("Importing") as progress:
            report = import_folder(
                store,
                path,
                source=source,
                accept_good_rows=accept_good_rows,
                define_order_types=flags["define_order_types"],
                actor=actor(),
                progress=progress,
            )
    print_report(report)


# ---- a folder


def print_report(report: ImportReport) -> None:
    """Tell what was imported, every bad row, and each kind's remedy; the exit status says whether there were any."""
    codes = dict[Code, int]()
    for problem in report.problems:
        click.echo(str(problem), err=True)
        codes[problem.code] = codes.get(problem.code, 0) + 1
    for code, count in codes.items():
        _print_remedy(count, code.name, code.remedy)
    if report.order_types_defined:
        echo(
            say(
                "defined the order types {order_types_defined}",
                order_types_defined=", ".join(report.order_types_defined),
            )
        )
    echo(
        say(
            "{orders} orders, {lines} lines: {recorded} recorded, {duplicates} recorded before, {rejected}"
            " rejected; the ledger is at position {report_position}",
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


def _print_remedy(count: int, code_name: str, remedy: str) -> None:
    echo(say("{count} x {code_name}: {remedy}", count=count, code_name=code_name, remedy=remedy), err=True)


# ---- a file


class LocalImports:
    """Imports into this machine's ledger; who types is its actor."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def profile(self, name: str) -> ImportProfile | None:
        """Give a saved profile."""
        with self._store.database.cursor() as cursor:
            saved = staging.find_profile(cursor, name)
        return None if saved is None else msgspec.json.decode(saved, type=ImportProfile)

    def stage(self, path: Path, form: Form, profile: ImportProfile) -> ImportAnswer:
        """Stage a file."""
        with SpooledTemporaryFile(_SPOOLED_BYTES) as copy, path.open("rb") as file, progress_bar("Reading") as progress:
            upload = read_upload(path.name, form, iter(lambda: file.read(_CHUNK_BYTES), b""), copy)
            staged = stage(self._store, upload, profile, actor=actor(), watch=Watch(progress))
        return told_import(self._store, staged)

    def problems(self, import_id: str) -> Iterator[ImportProblem]:
        """Give all that is wrong with rows."""
        with self._store.database.cursor() as cursor:
            yield from map(import_problem, staging.problems(cursor, import_id, lines=None, limit=_PROBLEMS_PAGE))

    def commit(self, import_id: str, *, accept_good_rows: bool) -> None:
        """Record the orders."""
        begin(self._store, import_id, accept_good_rows=accept_good_rows, actor=actor())
        with progress_bar("Recording") as progress:
            run(self._store, import_id, progress=progress)

    def find(self, import_id: str) -> ImportAnswer:
        """Give an import."""
        return told_import(self._store, found(self._store, import_id))

    def discard(self, import_id: str) -> None:
        """Drop a staged file."""
        discard(self._store, import_id)


class RemoteImports:
    """Imports into a service's ledger; the token's holder is its actor."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def profile(self, name: str) -> ImportProfile | None:
        """Give a saved profile."""
        try:
            return self._client.import_profile(name)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None

    def stage(self, path: Path, form: Form, profile: ImportProfile) -> ImportAnswer:
        """Stage a file; the service is told a profile by a name, which it has for so long."""
        with progress_bar("Reading"):
            if profile == ImportProfile():
                return self._client.stage_import(path, form=form)
            name = f"orderledger-import-{uuid7()}"
            self._client.save_import_profile(name, profile)
            try:
                return self._client.stage_import(path, form=form, profile=name)
            finally:
                self._client.drop_import_profile(name)

    def problems(self, import_id: str) -> Iterator[ImportProblem]:
        """Give all that is wrong with rows."""
        for row in self._client.preview_import(import_id, rejected=True):
            yield from row.errors

    def commit(self, import_id: str, *, accept_good_rows: bool) -> None:
        """Let the orders be recorded, and wait until they are."""
        self._client.commit_import(import_id, accept_good_rows=accept_good_rows)
        with progress_bar("Recording") as progress:
            self._client.committed_import(import_id, progress)

    def find(self, import_id: str) -> ImportAnswer:
        """Give an import."""
        return self._client.import_(import_id)

    def discard(self, import_id: str) -> None:
        """Drop a staged file."""
        self._client.discard_import(import_id)


Imports = LocalImports | RemoteImports


@contextmanager
def _opened_imports() -> Iterator[Imports]:
    """Give the imports of the ledger that the command is about."""
    remote = asked_remote()
    if remote is not None:
        with opened_client(remote) as client:
            yield RemoteImports(client)
        return
    with opened_store() as store:
        require_initialised(store)
        yield LocalImports(store)


def _refuse_remote_folder() -> None:
    if (remote := asked_remote()) is not None:
        raise WrongUse(
            say(
                "a folder is imported on the ledger's own machine, not on {url}: run it there, or send a flat file"
                " ({forms}) with a row for each order line",
                url=remote.url,
                forms=", ".join(FORMS),
            )
        )


def _profile(imports: Imports, name: str | None, source: str | None) -> ImportProfile:
    """Give the profile that is named: a saved one, or a file's."""
    profile = ImportProfile()
    if name is not None:
        saved = imports.profile(name)
        if saved is None and not Path(name).is_file():
            raise Refusal.of(
                Code.import_not_found, say("there is no profile {name}, and no file of that name", name=shown(name))
            )
        try:
            profile = saved or msgspec.json.decode(Path(name).read_bytes(), type=ImportProfile)
        except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            raise Refusal.of(
                Code.malformed_json, say("{name} is not a profile: {error}", name=name, error=error)
            ) from None
    return profile if source is None else msgspec.structs.replace(profile, source=source)


def _import_file(
    imports: Imports, path: Path, profile: ImportProfile, *, accept_good_rows: bool, dry_run: bool
) -> None:
    if (form := FORMS.get(path.suffix.lower())) is None:
        raise WrongUse(
            say("{path_name} is none of {forms}: name it after what it is", path_name=path.name, forms=", ".join(FORMS))
        )
    staged = imports.stage(path, form, profile)
    try:
        _print_understanding(staged)
        problems = _print_problems(path.name, staged, imports.problems(staged.id))
        if staged.state == staging.STAGED and not dry_run and (accept_good_rows or not problems):
            imports.commit(staged.id, accept_good_rows=accept_good_rows)
    finally:
        ended = imports.find(staged.id)
        if ended.state in (staging.STAGED, staging.NEEDS_PROFILE):
            imports.discard(staged.id)
    _print_end(ended, is_dry_run=dry_run)
    if problems or ended.progress.refused:
        sys.exit(EXIT_REFUSED)


def _print_understanding(staged: ImportAnswer) -> None:
    """Tell how the file is read, and what recording it would bring."""
    for decision in staged.decisions:
        value = repr(decision.value) if decision.certain else "?"
        echo(
            say("{decision_name} = {value}: {why}", decision_name=decision.name, value=value, why=decision.why),
            err=True,
        )
    ignored = [column.header for column in staged.columns if not column.fields]
    if ignored:
        echo(say("not read: {ignored}", ignored=", ".join(ignored)), err=True)
    for amount in staged.impact.amounts if staged.impact else ():
        closed = say(", closed: it would drift") if amount.closed else ""
        echo(
            say(
                "{period}{closed}: {orders} orders, {amount} {currency}",
                period=amount.period,
                closed=closed,
                orders=amount.orders,
                amount=amount.amount,
                currency=amount.currency,
            ),
            err=True,
        )


def _print_problems(name: str, staged: ImportAnswer, problems: Iterable[ImportProblem]) -> int:
    """Tell what the profile has to say, what is wrong with each row, and each kind's remedy; give how many it is."""
    counted, remedies = Counter[str](), dict[str, str]()
    for problem in chain((each for each in staged.errors if each.line is None), problems):
        place = ":".join(str(part) for part in (name, problem.line, problem.column) if part)
        click.echo(f"{place}: {problem.detail} [{problem.code}]", err=True)
        counted[problem.code] += 1
        remedies[problem.code] = problem.remedy
    for code, count in counted.items():
        _print_remedy(count, code, remedies[code])
    return counted.total()


def _print_end(ended: ImportAnswer, *, is_dry_run: bool) -> None:
    counts, progress = ended.counts, ended.progress
    echo(
        say(
            "{rows} rows, {orders} orders: {recorded} recorded, {duplicates} recorded before, {rejected}"
            " rejected; the ledger is at position {head}",
            rows=counts.rows,
            orders=counts.orders,
            recorded=progress.recorded,
            duplicates=progress.duplicates,
            rejected=counts.rejected_orders + progress.refused,
            head=ended.position,
        )
    )
    if ended.state != staging.COMMITTED:
        why = say("a dry run") if is_dry_run else say("correct the profile or the file, or accept the good rows")
        echo(say("Nothing was recorded: {why}.", why=why), err=True)

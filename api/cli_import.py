"""The command line's import: a folder of orders.csv and lines.csv, or a flat file as over HTTP."""

import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final

import click
import msgspec

from api.commands import EXIT_REFUSED, actor, opened_store, progress_bar, require_initialised
from api.import_profiles import ImportProfile
from api.import_tables import Form
from api.importer import ImportReport, import_folder
from api.staged_imports import Watch, begin, discard, found, read_upload, run, stage, told
from ledger import staging
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.staging import Import, StagedProblem
from ledger.store import Store

FORMS: Final[dict[str, Form]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "xlsx",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
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
        raise click.UsageError("--define-order-types is for a folder: define them with orderledger rules define")
    if not is_file and (profile is not None or flags["dry_run"]):
        raise click.UsageError("--profile and --dry-run are for a file")
    with opened_store() as store:
        require_initialised(store)
        if is_file:
            _import_file(store, path, _profile(store, profile, source), (accept_good_rows, flags["dry_run"]))
            return
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
    _print_remedies(codes)
    if report.order_types_defined:
        click.echo(f"defined the order types {', '.join(report.order_types_defined)}")
    click.echo(
        f"{report.orders} orders, {report.lines} lines: {report.recorded} recorded, {report.duplicates} recorded"
        f" before, {report.rejected} rejected; the ledger is at position {report.position}"
    )
    if report.refused:
        click.echo("Nothing was recorded: correct these rows, or record the others with --accept-good-rows.", err=True)
    if report.problems:
        sys.exit(EXIT_REFUSED)


def _print_remedies(codes: dict[Code, int]) -> None:
    for code, count in codes.items():
        click.echo(f"{count} x {code.name}: {code.remedy}", err=True)


# ---- a file


def _profile(store: Store, name: str | None, source: str | None) -> ImportProfile:
    """Give the profile that is named: a saved one, or a file's."""
    profile = ImportProfile()
    if name is not None:
        with store.database.cursor() as cursor:
            saved = staging.find_profile(cursor, name)
        if saved is None and not Path(name).is_file():
            raise Refusal.of(Code.import_not_found, f"there is no profile {shown(name)}, and no file of that name")
        try:
            text = saved if saved is not None else Path(name).read_bytes()
            profile = msgspec.json.decode(text, type=ImportProfile)
        except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            raise Refusal.of(Code.malformed_json, f"{name} is not a profile: {error}") from None
    return profile if source is None else msgspec.structs.replace(profile, source=source)


def _import_file(store: Store, path: Path, profile: ImportProfile, choices: tuple[bool, bool]) -> None:
    accept_good_rows, is_dry_run = choices
    if (form := FORMS.get(path.suffix.lower())) is None:
        raise click.UsageError(f"{path.name} is none of {', '.join(FORMS)}: name it after what it is")
    with SpooledTemporaryFile(_SPOOLED_BYTES) as copy, path.open("rb") as file, progress_bar("Reading") as progress:
        upload = read_upload(path.name, form, iter(lambda: file.read(_CHUNK_BYTES), b""), copy)
        staged = stage(store, upload, profile, actor=actor(), watch=Watch(progress))
    _print_understanding(staged)
    problems = _print_problems(store, path.name, staged)
    try:
        if staged.state == staging.STAGED and not is_dry_run and (accept_good_rows or not problems):
            begin(store, staged.id, accept_good_rows=accept_good_rows, actor=actor())
            with progress_bar("Recording") as progress:
                run(store, staged.id, progress=progress)
    finally:
        ended = found(store, staged.id)
        if ended.state in (staging.STAGED, staging.NEEDS_PROFILE):
            discard(store, staged.id)
    _print_end(store, ended, is_dry_run=is_dry_run)
    if problems or ended.refused:
        sys.exit(EXIT_REFUSED)


def _print_understanding(staged: Import) -> None:
    """Tell how the file is read, and what recording it would bring."""
    known = told(staged)
    for decision in known.decisions:
        value = repr(decision.value) if decision.certain else "?"
        click.echo(f"{decision.name} = {value}: {decision.why}", err=True)
    ignored = [column.header for column in known.columns if not column.fields]
    if ignored:
        click.echo(f"not read: {', '.join(ignored)}", err=True)
    for amount in known.impact.amounts if known.impact else ():
        closed = ", closed: it would drift" if amount.closed else ""
        click.echo(f"{amount.period}{closed}: {amount.orders} orders, {amount.amount} {amount.currency}", err=True)


def _print_problems(store: Store, name: str, staged: Import) -> int:
    known = told(staged)
    codes = dict[Code, int]()
    for code, detail, _ in known.undecided:
        click.echo(f"{name}: {detail} [{code}]", err=True)
        codes[Code[code]] = codes.get(Code[code], 0) + 1
    with store.database.cursor() as cursor:
        problems = staging.problems(cursor, staged.id, lines=None, limit=_PROBLEMS_PAGE)
    for place, problem in zip(_places(name, problems), problems, strict=True):
        click.echo(f"{place}: {problem.detail} [{problem.code}]", err=True)
        codes[Code[problem.code]] = codes.get(Code[problem.code], 0) + 1
    _print_remedies(codes)
    return sum(codes.values())


def _places(name: str, problems: Iterable[StagedProblem]) -> Iterable[str]:
    return (":".join(str(part) for part in (name, each.line, each.column) if part) for each in problems)


def _print_end(store: Store, ended: Import, *, is_dry_run: bool) -> None:
    known = told(ended)
    rejected = known.rejected_orders + ended.refused
    click.echo(
        f"{known.rows} rows, {known.orders} orders: {ended.recorded} recorded, {ended.duplicates} recorded before,"
        f" {rejected} rejected; the ledger is at position {store.head()}"
    )
    if ended.state != staging.COMMITTED:
        why = "a dry run" if is_dry_run else "correct the profile or the file, or accept the good rows"
        click.echo(f"Nothing was recorded: {why}.", err=True)

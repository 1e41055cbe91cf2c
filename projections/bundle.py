"""The bundle: a folder from which an auditor verifies and recomputes a period without us; or the whole ledger.

All of it is as known at the size of one checkpoint, read in one snapshot and written as it is read, so that memory does
not grow with the ledger.
The figures are those of statements (ledger/statements.py); the calculation is performance.sql, over its own tables.
Source: docs/bundle.md.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import file_digest
from importlib import resources
from itertools import tee
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from ledger.checkpoints import Checkpoint, recorded_checkpoints, verifier_keys
from ledger.database import Cursor
from ledger.events import Statement, StatementFigure, encode
from ledger.periods import Period
from ledger.progress import Progress, no_progress
from ledger.refusal import Code, Refusal
from ledger.restore import CHECKPOINT, EVENTS, FORMAT, MANIFEST, WHOLE, EventLine
from ledger.statements import Issued
from ledger.store import Store
from ledger.wording import say
from projections.closing import statement_at
from projections.generation import sql
from projections.parquet import columns_of, write_lines, write_parquet
from projections.performance import reading
from projections.resolution import AMOUNT_OF_ANY_SIZE, Resolution, Scope

CHUNK_ROWS: Final = 5_000
_CURSOR_PLANNING = "SET LOCAL cursor_tuple_fraction = 1.0"
Row = tuple[Any, ...]
_EVENT_COLUMNS = ", ".join(
    (
        "position",
        *("state ->> '$.subject' AS subject", "CAST(state ->> '$.version' AS INTEGER) AS version"),
        *("state ->> '$.type' AS type", "state ->> '$.source' AS source", "state ->> '$.id' AS event_id"),
        *("state ->> '$.actor' AS actor", "CAST(state ->> '$.time' AS TIMESTAMPTZ) AS recorded_at"),
        *("CAST(state ->> '$.effective' AS DATE) AS effective_on", "state"),
    )
)


@dataclass(frozen=True)
class Wanted:
    """What to export and to where: a closing period's bundle, or the whole ledger (None).

    Shape: `earlier` are sizes of the ledger that somebody holds checkpoints of, beside the recorded ones.
    """

    period: str | None
    folder: Path
    earlier: tuple[int, ...] = ()


@dataclass(frozen=True)
class Exported:
    """What was exported: up to which position, how many events, and which views of the period."""

    checkpoint_size: int
    events: int
    views: tuple[str, ...]


class _InclusionLine(Struct, frozen=True):
    position: int
    hashes: list[bytes]


class _ConsistencyLine(Struct, frozen=True, rename={"from_size": "from", "to_size": "to"}):
    from_size: int
    to_size: int
    hashes: list[bytes]


class _KeyLine(Struct, frozen=True):
    vkey: str


class CreditLine(Struct, frozen=True):
    """A line of credit_lines.ndjson. Units: quantity and amount in micros."""

    position: int
    seq: int
    order_id: str
    line_no: int
    salesperson_id: str | None
    ordered_on: date
    credited_on: date
    order_type: str
    customer_id: str
    customer_class: str | None
    product_id: str
    category: str | None
    currency: str
    quantity: int
    amount: int
    profile: int


class RuleLine(Struct, frozen=True):
    """A line of rules.ndjson: lines of this profile, ordered on [valid_from, valid_to), count at this share."""

    profile: int
    valid_from: date
    valid_to: date
    share: int
    rule_change_id: str | None
    rule_position: int
    product_id: str | None
    category: str | None
    customer_id: str | None
    customer_class: str | None
    salesperson_id: str | None
    order_type: str | None


class ViewFigure(Struct, frozen=True):
    """A salesperson's figures in a view, as a statement has them, nothing left out."""

    salesperson_id: str | None
    currency: str
    credited: str
    gross: str
    adjustments: str


class View(Struct, frozen=True):
    """view.json: a period as known at a position: a statement's, or now."""

    name: str
    position: int
    rulebook_position: int
    statement: Statement | None
    statement_position: int | None
    figures: list[ViewFigure]


class ManifestFile(Struct, frozen=True):
    """A file's fingerprint."""

    sha256: str
    bytes: int


class Manifest(Struct, frozen=True):
    """manifest.json."""

    format: str
    scope: str
    ledger: str | None
    origin: str
    period: str | None
    start: date | None
    end: date | None
    checkpoint_size: int
    views: list[str]
    files: dict[str, ManifestFile]


def check(store: Store, wanted: Wanted) -> Period | None:
    """Say whether this can be exported, before anything is signed for it; give the period.

    Errors: Refusal (nothing_recorded, invalid_period, not_a_closing_period, folder_unusable).
    """
    if store.head() == 0:
        raise Refusal.of(Code.nothing_recorded, say("the ledger is empty: there is nothing to export"))
    check_folder(wanted.folder)
    return None if wanted.period is None else store.calendar().closing_period(wanted.period)


def check_folder(folder: Path) -> None:
    """Refuse a folder that is neither new nor empty. Errors: Refusal (folder_unusable)."""
    if folder.exists() and not folder.is_dir():
        raise Refusal.of(Code.folder_unusable, say("{folder} is not a folder: nothing is overwritten", folder=folder))
    if _holds_something(folder):
        raise Refusal.of(Code.folder_unusable, say("{folder} is not empty: nothing is overwritten", folder=folder))


def export(store: Store, checkpoint: Checkpoint, wanted: Wanted, progress: Progress = no_progress) -> Exported:
    """Write a bundle into a folder that is new or empty; of one that fails, nothing is left there.

    Errors: Refusal, as of check; not_yet_projected.
    """
    period = check(store, wanted)
    with filled(wanted.folder):
        return _Exporter(store, checkpoint, wanted, progress).write(period)


class _Exporter:
    def __init__(self, store: Store, checkpoint: Checkpoint, wanted: Wanted, progress: Progress) -> None:
        self._store = store
        self._checkpoint = checkpoint
        self._size = checkpoint.size
        self._folder = wanted.folder
        self._earlier = wanted.earlier
        self._progress = progress
        self._tree = store.tree

    def write(self, period: Period | None) -> Exported:
        """Write all files; the manifest last."""
        if period is None:
            events, views = self._write_whole(), list[View]()
        else:
            views = _views(self._store, period, self._size)
            events = self._write_period(period, views)
        (self._folder / CHECKPOINT).write_text(self._checkpoint.note, encoding="utf-8")
        write_lines(self._folder / "keys.ndjson", (_KeyLine(key) for key in verifier_keys(self._store)))
        write_lines(self._folder / "consistency.ndjson", self._consistency())
        self._write_texts(period)
        self._write_manifest(period, views)
        return Exported(self._size, events, tuple(view.name for view in views))

    def _write_whole(self) -> int:
        statement = f"SELECT position, state FROM event WHERE position <= {self._size} ORDER BY position"  # noqa: S608
        with self._store.database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
            return self._write_events(_rows(cursor, statement), parts=1)

    def _write_period(self, period: Period, views: Sequence[View]) -> int:
        parts = len(views) + 1
        with reading(self._store, self._size) as (cursor, _):
            for number, view in enumerate(views, 1):
                _write_view(cursor, self._store, self._folder / "views" / view.name, period, view)
                self._progress(number * self._size, parts * self._size)
            scope = {"start": f"DATE '{period.start}'", "end": f"DATE '{period.end}'", "position": self._size}
            rows = _rows(cursor, sql("bundle_events.sql").format(**scope))
            return self._write_events(self._proved(rows), parts=parts)

    def _write_events(self, rows: Iterable[Row], *, parts: int) -> int:
        """Write the events, the last of so many parts, and their table; give how many they are."""
        lines = write_lines(
            self._folder / EVENTS, self._event_lines(rows, (parts - 1) * self._size, parts * self._size)
        )
        write_parquet(lines, columns_of(EventLine), _EVENT_COLUMNS)
        return lines.count

    def _event_lines(self, rows: Iterable[Row], before: int, total: int) -> Iterator[EventLine]:
        for number, (position, state) in enumerate(rows):
            if number % CHUNK_ROWS == 0:
                self._progress(before + position, total)
            yield EventLine(position, state)
        self._progress(total, total)

    def _proved(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Hand the events on, and write each one's proof of inclusion beside them."""
        events, again = tee(rows)
        proofs = self._tree.inclusion_proofs((position for position, _ in again), self._size)
        with (self._folder / "inclusion.ndjson").open("wb") as file:
            for row, hashes in zip(events, proofs, strict=True):
                file.write(encode(_InclusionLine(row[0], hashes)))
                file.write(b"\n")
                yield row

    def _consistency(self) -> Iterator[_ConsistencyLine]:
        """Prove that this tree continues those of all earlier checkpoints."""
        sizes = {checkpoint.size for checkpoint in recorded_checkpoints(self._store, until=self._size)} | {
            *self._earlier
        }
        for size in sorted(size for size in sizes if 0 < size < self._size):
            yield _ConsistencyLine(size, self._size, self._tree.consistency_proof(size, self._size))

    def _write_texts(self, period: Period | None) -> None:
        readme = _text("README.whole.md" if period is None else "README.period.md")
        told = {"size": self._size, "origin": self._origin(), "period": period.name if period else ""}
        if period is not None:
            told |= {"start": period.start, "end": period.end}
            (self._folder / "recompute.py").write_text(_text("recompute.py"), encoding="utf-8")
        (self._folder / "README.md").write_text(readme.format(**told), encoding="utf-8")

    def _origin(self) -> str:
        return self._checkpoint.note.partition("\n")[0]

    def _write_manifest(self, period: Period | None, views: Sequence[View]) -> None:
        settings = self._store.settings()
        manifest = Manifest(
            format=FORMAT,
            scope=WHOLE if period is None else "period",
            ledger=settings.name if settings else None,
            origin=self._origin(),
            period=period.name if period else None,
            start=period.start if period else None,
            end=period.end if period else None,
            checkpoint_size=self._size,
            views=[view.name for view in views],
            files=_fingerprints(self._folder),
        )
        (self._folder / MANIFEST).write_bytes(_indented(manifest))


# ---- views


def _views(store: Store, period: Period, size: int) -> list[View]:
    """Give the views of a period: one for each of its statements up to a position, and now."""
    issued = store.closings(size).statements.get(period.name, ())
    stated = [_view(store, period, each, each.statement.position) for each in issued]
    return [*stated, _view(store, period, None, size)]


def _view(store: Store, period: Period, issued: Issued | None, position: int) -> View:
    now = statement_at(store, period.name, position)
    return View(
        name=f"statement-{issued.statement.version}" if issued else "now",
        position=position,
        rulebook_position=now.rulebook_position,
        statement=issued.statement if issued else None,
        statement_position=issued.event_position if issued else None,
        figures=[_figure(each) for each in now.figures],
    )


def _figure(figure: StatementFigure) -> ViewFigure:
    amounts = {"credited": figure.credited, "gross": figure.gross, "adjustments": figure.adjustments}
    return ViewFigure(figure.salesperson_id, figure.currency, **amounts)


def _write_view(cursor: Cursor, store: Store, folder: Path, period: Period, view: View) -> None:
    folder.mkdir(parents=True)
    rules = store.rulebook_at(view.position).rules()
    resolution = Resolution(cursor, rules, Scope(period.start, period.end, view.position))
    numbers = dict[Row, int]()
    for lines, kind in (
        (write_lines(folder / "credit_lines.ndjson", _credit_lines(cursor, resolution, numbers)), CreditLine),
        (write_lines(folder / "rules.ndjson", _rule_lines(resolution, numbers)), RuleLine),
    ):
        write_parquet(lines, columns_of(kind))
    (folder / "view.json").write_bytes(_indented(view))
    (folder / "calculation.sql").write_text(_calculation(resolution.scope), encoding="utf-8")


def _credit_lines(cursor: Cursor, resolution: Resolution, numbers: dict[Row, int]) -> Iterator[CreditLine]:
    """Read the credit lines of a view, and number their profiles as they come."""
    parts = resolution.sql_parts() | {
        "customer_class": resolution.attributes.value("customer_class"),
        "category": resolution.attributes.value("category"),
        "joins": resolution.joins("customer_class", "category"),
        "profile_columns": ", ".join(f"p.{column}" for column in resolution.profiles.columns),
    }
    width = len(CreditLine.__struct_fields__) - 1
    for row in _rows(cursor, sql("bundle_credit_lines.sql").format(**parts)):
        yield CreditLine(*(*row[:width], numbers.setdefault(row[width:], len(numbers) + 1)))


def _rule_lines(resolution: Resolution, numbers: dict[Row, int]) -> list[RuleLine]:
    """Give the resolved rules of the profiles that there are."""
    met = [part for part in resolution.intervals if part.profile in numbers]
    lines = list[RuleLine]()
    for part in sorted(met, key=lambda part: (numbers[part.profile], part.valid_from)):
        version = resolution.versions[part.rule]
        given = (version.rule_change_id, version.position, *msgspec.structs.astuple(version.conditions))
        lines.append(RuleLine(numbers[part.profile], part.valid_from, part.valid_to, part.share, *given))
    return lines


def _calculation(scope: Scope) -> str:
    """Fill the calculation for a bundle's tables."""
    calculation = sql("performance.sql").format(
        rules="",
        amount=AMOUNT_OF_ANY_SIZE,
        keys="l.salesperson_id AS key_0",
        key_names="key_0",
        profile="l.profile",
        profile_match="p.profile = r.profile",
        credit="(SELECT *, 0 AS orders FROM credit_line)",
        joins="",
        start=f"DATE '{scope.start}'",
        end=f"DATE '{scope.end}'",
        position=scope.position,
    )
    return sql("bundle_calculation.sql").format(position=scope.position, calculation=calculation.rstrip())


# ---- files


def _rows(cursor: Cursor, statement: str) -> Iterator[Row]:
    """Read the rows of a statement as the server finds them, some thousands at a time."""
    cursor.execute(f"{_CURSOR_PLANNING}; DECLARE bundle NO SCROLL CURSOR FOR {statement}")
    while True:
        cursor.execute(f"FETCH {CHUNK_ROWS} FROM bundle")
        rows = cursor.fetchall()
        if not rows:
            break
        yield from rows
    cursor.execute("CLOSE bundle")


def _holds_something(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:  # it is not there, or whoever writes into it will be told
        return False


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill an empty folder, or leave nothing in it. Errors: Refusal (folder_unusable) where it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        except BaseException:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refusal.of(
            Code.folder_unusable, say("{folder} can't be written: {reason}", folder=folder, reason=reason)
        ) from None


def _fingerprints(folder: Path) -> dict[str, ManifestFile]:
    """Give the fingerprint of every file but the checkpoint."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / CHECKPOINT)
    return {path.relative_to(folder).as_posix(): _fingerprint(path) for path in paths}


def _fingerprint(path: Path) -> ManifestFile:
    with path.open("rb") as file:
        return ManifestFile(file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def _text(name: str) -> str:
    return (resources.files("projections") / "bundle_text" / name).read_text(encoding="utf-8")


def _indented(value: Struct) -> bytes:
    return msgspec.json.format(encode(value), indent=2) + b"\n"

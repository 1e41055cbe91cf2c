"""Verifying what the ledger means: the serving projection against a fresh fold, and statements against their events.

The events themselves are ledger/verification.py's. Here a generation is folded from event 1 beside the serving one,
with integers of its own for its texts; each row of each table that is not in both is told, by the event that brought
it. Then each statement, and each drift that was carried forward, is computed again where it was computed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2

from ledger import statements
from ledger.database import Cursor, Database
from ledger.events import DriftCarriedForward, PeriodEvent
from ledger.refusal import Refusal
from ledger.store import Store
from ledger.verification import FINDINGS_MAX, KeptCheckpoint, Progress, Verified, verify_ledger
from projections.closing import adjustments_at, statement_at
from projections.generation import (
    building,
    create_generation,
    drop_generation,
    schema_name,
    serving_generation,
    sql,
)
from projections.projector import Projector, projected_position
from projections.rebuild import fold_ledger

TABLES = ("credit_line", "credit_cell", "customer_class", "product_category", "salesperson_team", "quota")
_TERM_COLUMNS = {"salesperson", "order_type", "customer", "currency", "product", "category", "owner", "value"}
_NAMES = (
    "SELECT f.kind, f.value, f.name, s.name FROM {fresh}.term f LEFT JOIN {served}.term s USING (kind, value)"
    " WHERE f.name IS DISTINCT FROM s.name AND f.named_at <= {position} AND coalesce(s.named_at, 0) <= {position}"
    " ORDER BY 1, 2 LIMIT {limit}"
)


@dataclass(frozen=True)
class VerifiedLedger:
    """What was verified: the ledger itself, the projection up to a position, so many statements and carried drifts."""

    ledger: Verified
    projected_position: int
    credit_lines: int
    statements: int

    @property
    def is_sound(self) -> bool:
        """Say whether nothing was found."""
        return not self.ledger.findings


def verify(
    store: Store,
    kept: Sequence[KeptCheckpoint] = (),
    *,
    processes: int = 2,
    progress: Progress = lambda done, total: None,
) -> VerifiedLedger:
    """Verify the whole ledger and what is made of it.

    Shape: `progress` is called with the events done and their number, events being read twice: as bytes and as facts.
    """
    verified = verify_ledger(store.database, kept, progress=lambda done, total: progress(done, 2 * total))

    def fold_progress(done: int, total: int) -> None:
        progress(total + done, 2 * total)

    position, lines = _verify_projection(store.database, verified, processes, fold_progress)
    count = _verify_statements(store, verified, position)
    return VerifiedLedger(verified, position, lines, count)


def _verify_projection(database: Database, verified: Verified, processes: int, progress: Progress) -> tuple[int, int]:
    """Compare the serving generation with a fresh one; give its position and how many credit lines there are."""
    try:
        Projector(database).catch_up()
        with _folded_anew(database, processes, progress) as (fresh, served, position, lines):
            with database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
                for table in TABLES:
                    _compare(cursor, verified, table, (fresh, served, position))
                _compare_names(cursor, verified, (fresh, served, position))
            return position, lines
    except (psycopg2.OperationalError, psycopg2.ProgrammingError):
        raise
    except Exception as error:  # noqa: BLE001 - a changed event may be anything; what is wrong with it is told, not raised
        verified.note("projection", "the fold", f"the events can't be folded: {type(error).__name__}: {error}")
        return 0, 0


@contextmanager
def _folded_anew(database: Database, processes: int, progress: Progress) -> Iterator[tuple[str, str, int, int]]:
    """Fold the ledger up to where the projection is; give both schemas, the position and the number of credit lines."""
    with building(database):
        with database.transaction() as cursor:
            served, position = serving_generation(cursor), projected_position(cursor) or 0
            assert served is not None, "a generation serves"
            generation = create_generation(cursor)
        try:
            lines = fold_ledger(database, generation, position, processes=processes, progress=progress)
            yield schema_name(generation), schema_name(served), position, lines
        finally:
            with database.transaction() as cursor:
                drop_generation(cursor, generation)


def _compare(cursor: Cursor, verified: Verified, table: str, at: tuple[str, str, int]) -> None:
    fresh, served, position = at
    cursor.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        (served, table),
    )
    columns = cursor.fetchall()
    terms = [name for name, kind in columns if name in _TERM_COLUMNS and kind == "integer"]
    cursor.execute(
        sql("verify_rows.sql").format(
            fresh=fresh,
            served=served,
            table=table,
            names=", ".join(name for name, _ in columns),
            columns=", ".join(_known(name, position) for name, _ in columns),
            translated=", ".join(
                f"coalesce(same_{name}.served, -1)" if name in terms else _known(name, position) for name, _ in columns
            ),
            joins=" ".join(f"LEFT JOIN same same_{name} ON same_{name}.fresh = l.{name}" for name in terms),
            position=position,
            limit=FINDINGS_MAX + 1,
        )
    )
    for where, surplus in cursor.fetchall():
        said = "a row too many is" if surplus > 0 else "a row that its event brings is not"
        verified.note("projection", f"position {where}", f"{said} in {table}: orderledger rebuild makes it anew")


def _known(column: str, position: int) -> str:
    """Give a column as known at a position: what was superseded later was not superseded there."""
    if column != "superseded":
        return f"l.{column}"
    return f"CASE WHEN l.superseded > {position} THEN {2**63 - 1} ELSE l.superseded END AS superseded"


def _compare_names(cursor: Cursor, verified: Verified, at: tuple[str, str, int]) -> None:
    fresh, served, position = at
    cursor.execute(_NAMES.format(fresh=fresh, served=served, position=position, limit=FINDINGS_MAX + 1))
    for kind, value, name, other in cursor.fetchall():
        said = f"its name is {other!r} there, the events say {name!r}: orderledger rebuild makes it anew"
        verified.note("projection", f"{kind} {value}", said)


def _verify_statements(store: Store, verified: Verified, position: int) -> int:
    """Compute each statement and each carried drift again, as known where it was computed."""
    events = [event for event in store.stream(statements.SUBJECT) if event.position <= position]
    for event in events:
        if not isinstance(event.data, PeriodEvent):
            continue
        try:
            is_same = _is_recomputed(store, event.data)
        except (Refusal, AssertionError, KeyError) as refusal:
            verified.note("statement", f"position {event.position}", f"it can't be computed again: {refusal}")
            continue
        if not is_same:
            said = f"computed again, {event.data.period} comes to other figures than were recorded"
            verified.note("statement", f"position {event.position}", said)
    return len(events)


def _is_recomputed(store: Store, event: PeriodEvent) -> bool:
    if isinstance(event, DriftCarriedForward):
        return adjustments_at(store, event.period, event.position) == event.adjustments
    return statement_at(store, event.period, event.statement.position) == event.statement

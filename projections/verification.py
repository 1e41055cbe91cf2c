"""Verifying what the ledger means: the serving projection against a fresh fold, and statements against their events.

The events themselves are ledger/verification.py's. Here a generation is folded from event 1 beside the serving one,
with integers of its own for its texts; each row of each table that is not in both is told, by the event that brought
it. Then each statement, and each drift that was carried forward, is computed again where it was computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import psycopg2
import psycopg2.errors

from ledger import statements
from ledger.database import Cursor, Database
from ledger.events import DriftCarriedForward, PeriodEvent
from ledger.findings import FINDINGS_MAX, KeptCheckpoint, Verified, span
from ledger.progress import Progress, no_progress
from ledger.refusal import Refusal
from ledger.signing import Signer
from ledger.store import POSITION_MAX, Store
from ledger.verification import verify_ledger
from ledger.wording import say
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
    "SELECT kind, value, f.name, s.name FROM {fresh}.term f FULL JOIN {served}.term s USING (kind, value)"
    " WHERE (f.name, coalesce(f.named_at, 0)) IS DISTINCT FROM (s.name, coalesce(s.named_at, 0))"
    " AND NOT coalesce(s.named_at, 0) BETWEEN {position} + 1 AND {served_until} ORDER BY 1, 2 LIMIT {limit}"
)
_COLUMNS = (
    "SELECT column_name, data_type FROM information_schema.columns"
    " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"
)
_MENDED = say("orderledger rebuild makes it anew")


@dataclass(frozen=True)
class VerifiedLedger:
    """What was verified: the ledger itself; the projection up to a position; so many statements and carried drifts.

    Shape: the projection's figures are None where there is none to compare, or it could not be folded anew.
    """

    ledger: Verified
    projected_position: int | None
    credit_lines: int | None
    statements: int

    @property
    def is_sound(self) -> bool:
        """Say whether nothing was found."""
        return not self.ledger.findings


@dataclass(frozen=True)
class _Compared:
    """The schemas of the fresh and the serving generation, the position up to which both are folded, and the number of
    credit lines.
    """

    fresh: str
    served: str
    position: int
    credit_lines: int


def verify(
    store: Store,
    kept: Sequence[KeptCheckpoint] = (),
    *,
    signer: Signer | None = None,
    processes: int = 2,
    progress: Progress = no_progress,
) -> VerifiedLedger:
    """Verify the whole ledger and what is made of it.

    Shape: `progress` is called with the events done and their number, events being read twice: as bytes and as facts.
    `signer` is the signing key at hand: what it signed last is held against the ledger too.
    The projection is compared as it serves; only where it is sound is it brought up to the head, for the statements.
    """
    verified = verify_ledger(
        store.database, kept, signer=signer, progress=lambda done, total: progress(done, 2 * total)
    )
    if not verified.is_read:
        return VerifiedLedger(verified, None, None, 0)
    compared = _verify_projection(
        store.database, verified, processes, lambda done, total: progress(total + done, 2 * total)
    )
    count = 0
    if not any(finding.part == "projection" for finding in verified.findings):
        count = _verify_statements(store, verified)
    if compared is None:
        return VerifiedLedger(verified, None, None, count)
    return VerifiedLedger(verified, compared.position, compared.credit_lines, count)


def _verify_projection(database: Database, verified: Verified, processes: int, progress: Progress) -> _Compared | None:
    """Compare the serving generation with a fresh one; None where there is none, or the events can't be folded."""
    try:
        with building(database):
            return _compared_anew(database, verified, processes, progress)
    except (psycopg2.OperationalError, psycopg2.errors.InsufficientPrivilege):
        raise
    except Exception as error:  # noqa: BLE001 - a changed event may be anything; what is wrong is told, not raised
        reason = (str(error).splitlines() or [""])[0]
        verified.note(
            "projection",
            say("the fold"),
            say("the events can't be folded: {kind_name}: {reason}", kind_name=type(error).__name__, reason=reason),
        )
        return None


def _compared_anew(database: Database, verified: Verified, processes: int, progress: Progress) -> _Compared | None:
    """Fold the ledger up to where the projection is into a generation of its own, compare, and drop it."""
    with database.transaction() as cursor:
        serving, projected = serving_generation(cursor), projected_position(cursor) or 0
        if serving is None:
            verified.notices.append(
                say("no projection serves: there is none to compare; the service makes it when it starts")
            )
            return None
        generation = create_generation(cursor)
    try:
        if projected > verified.size:
            said = say(
                "it says {projected}, the ledger ends at {verified_size}: {mended}",
                projected=projected,
                verified_size=verified.size,
                mended=_MENDED,
            )
            verified.note("projection", say("its position"), said)
        position = min(projected, verified.size)
        lines = fold_ledger(database, generation, position, processes=processes, progress=progress)
        compared = _Compared(schema_name(generation), schema_name(serving), position, lines)
        for table in TABLES:
            _noting(database, verified, compared, partial(_compare, table))
        _noting(database, verified, compared, _compare_names)
        return compared
    finally:
        with database.transaction() as cursor:
            drop_generation(cursor, generation)


def _noting(
    database: Database, verified: Verified, compared: _Compared, compare: Callable[[Cursor, Verified, _Compared], None]
) -> None:
    """Compare in a snapshot; a table that can't be read is a finding."""
    try:
        with database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
            compare(cursor, verified, compared)
    except psycopg2.errors.InsufficientPrivilege:
        raise
    except (psycopg2.ProgrammingError, psycopg2.DataError) as error:
        verified.note(
            "projection",
            say("its tables"),
            say("they can't be read ({error}): {mended}", error=str(error).splitlines()[0], mended=_MENDED),
        )


def _compare(table: str, cursor: Cursor, verified: Verified, compared: _Compared) -> None:
    columns, served_columns = (_columns(cursor, schema, table) for schema in (compared.fresh, compared.served))
    if columns != served_columns:
        verified.note("projection", table, say("it has other columns than it should: {mended}", mended=_MENDED))
        return
    terms = [name for name, kind in columns if name in _TERM_COLUMNS and kind == "integer"]
    cursor.execute(
        sql("verify_rows.sql").format(
            fresh=compared.fresh,
            served=compared.served,
            table=table,
            names=", ".join(name for name, _ in columns),
            columns=", ".join(_known(name, compared.position) for name, _ in columns),
            translated=", ".join(
                f"coalesce(same_{name}.served, -1)" if name in terms else _known(name, compared.position)
                for name, _ in columns
            ),
            joins=" ".join(f"LEFT JOIN same same_{name} ON same_{name}.fresh = l.{name}" for name in terms),
            position=compared.position,
            limit=FINDINGS_MAX + 1,
        )
    )
    for where, surplus in cursor.fetchall():
        said = (
            say("a row too many is in {table}: {mended}", table=table, mended=_MENDED)
            if surplus > 0
            else say("a row that its event brings is not in {table}: {mended}", table=table, mended=_MENDED)
        )
        verified.note("projection", span(where), said)
    _tell_later_rows(table, cursor, verified, compared)


def _tell_later_rows(table: str, cursor: Cursor, verified: Verified, compared: _Compared) -> None:
    """Tell rows from beyond where the projection is: they would come into force with events to come."""
    until = projected_position(cursor) or 0
    facts = "superseded" in dict(_columns(cursor, compared.served, table))
    later = f" OR (superseded > {until} AND superseded < {POSITION_MAX})" if facts else ""
    cursor.execute(
        f"SELECT position FROM {compared.served}.{table} WHERE position > {until} OR position < 1{later}"  # noqa: S608
        f" ORDER BY position LIMIT {FINDINGS_MAX + 1}"
    )
    for (where,) in cursor.fetchall():
        verified.note(
            "projection",
            span(where),
            say("a row in {table} is of events to come: {mended}", table=table, mended=_MENDED),
        )


def _columns(cursor: Cursor, schema: str, table: str) -> list[tuple[str, str]]:
    cursor.execute(_COLUMNS, (schema, table))
    return cursor.fetchall()


def _known(column: str, position: int) -> str:
    """Give a column as known at a position: what was superseded later was not superseded there."""
    if column != "superseded":
        return f"l.{column}"
    return f"CASE WHEN l.superseded > {position} THEN {POSITION_MAX} ELSE l.superseded END AS superseded"


def _compare_names(cursor: Cursor, verified: Verified, compared: _Compared) -> None:
    cursor.execute(
        _NAMES.format(
            fresh=compared.fresh,
            served=compared.served,
            position=compared.position,
            served_until=projected_position(cursor) or 0,
            limit=FINDINGS_MAX + 1,
        )
    )
    for kind, value, name, other in cursor.fetchall():
        said = say(
            "its name is {other!r} there, the events say {name!r}, or since another position: {mended}",
            other=other,
            name=name,
            mended=_MENDED,
        )
        verified.note("projection", f"{kind} {value}", said)


def _verify_statements(store: Store, verified: Verified) -> int:
    """Compute each statement and each carried drift again, as known where it was computed."""
    try:
        Projector(store.database).catch_up()
        events = store.stream(statements.SUBJECT)
    except (KeyError, ValueError, AssertionError, msgspec.MsgspecError) as error:
        verified.note(
            "statement",
            say("the periods"),
            say("they can't be computed again: {kind_name}: {error}", kind_name=type(error).__name__, error=error),
        )
        return 0
    for event in events:
        if not isinstance(event.data, PeriodEvent):
            continue
        try:
            is_same = _is_recomputed(store, event.data)
        except (Refusal, KeyError, ValueError, AssertionError, msgspec.MsgspecError) as error:
            verified.note("statement", span(event.position), say("it can't be computed again: {error}", error=error))
            continue
        if not is_same:
            said = say("computed again, {period} comes to other figures than were recorded", period=event.data.period)
            verified.note("statement", span(event.position), said)
    return len(events)


def _is_recomputed(store: Store, event: PeriodEvent) -> bool:
    if isinstance(event, DriftCarriedForward):
        return adjustments_at(store, event.period, event.position) == event.adjustments
    return statement_at(store, event.period, event.statement.position) == event.statement

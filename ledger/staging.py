"""Staged imports: files that wait, their rows and problems, and the named profiles. None of it is a recorded fact.

States: `needs_profile` (something is ambiguous), `staged` (judged; it may be committed), `committing`, `committed`,
`discarded`. A file and its rows are kept KEPT_DAYS after it was committed or discarded, and WAITING_DAYS where it never
was; then only what became of it stays.
"""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import IO, Any, BinaryIO, Final

from ledger.database import Cursor, Database, one
from ledger.wording import kept, remembered

NEEDS_PROFILE: Final = "needs_profile"
STAGED: Final = "staged"
COMMITTING: Final = "committing"
COMMITTED: Final = "committed"
DISCARDED: Final = "discarded"
KEPT_DAYS: Final = 7
WAITING_DAYS: Final = 30
_CHUNK_BYTES = 1024 * 1024
_FETCH_ROWS = 2_000
_PROBLEMS_OF_ROW_MAX = 1_000
_LOCK = 7_305_817
_COLUMNS = (
    "id, name, form, actor, state, sha256, size, given, told, judged_at, done_line, done, recorded, duplicates,"
    " refused, is_partial, begun_at, created_at, changed_at"
)
_FORGOTTEN = (
    "DELETE FROM import_row WHERE import_id = %(id)s",
    "DELETE FROM import_problem WHERE import_id = %(id)s",
)


@dataclass(frozen=True)
class Import:
    """A staged import as it is kept; `given` and `told` are JSON."""

    id: str
    name: str
    form: str
    actor: str
    state: str
    sha256: str
    size: int
    given: str
    told: str
    judged_at: int
    done_line: int
    done: int
    recorded: int
    duplicates: int
    refused: int
    is_partial: bool
    begun_at: int
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True)
class StagedRow:
    """A row of a file; `cells` is JSON."""

    line: int
    order_id: str | None
    cells: str
    rejected: bool = False


@dataclass(frozen=True)
class StagedProblem:
    """What is wrong with a row."""

    line: int
    column: str | None
    code: str
    detail: str


# ---- imports


def create(cursor: Cursor, new: Mapping[str, Any], file: BinaryIO, now: datetime) -> None:
    """Keep a file: id, name, form, actor, state, sha256, size and given are told, the rest begins empty."""
    cursor.execute(
        "INSERT INTO import (id, name, form, actor, state, sha256, size, given, created_at, changed_at) VALUES"
        " (%(id)s, %(name)s, %(form)s, %(actor)s, %(state)s, %(sha256)s, %(size)s, %(given)s, %(now)s, %(now)s)",
        {**new, "now": now},
    )
    file.seek(0)
    for number, chunk in enumerate(iter(lambda: file.read(_CHUNK_BYTES), b"")):
        cursor.execute("INSERT INTO import_chunk VALUES (%s, %s, %s)", (new["id"], number, chunk))


def find(cursor: Cursor, import_id: str, *, lock: bool = False) -> Import | None:
    """Read an import; `lock` holds it until the transaction ends."""
    cursor.execute(f"SELECT {_COLUMNS} FROM import WHERE id = %s{' FOR UPDATE' if lock else ''}", (import_id,))  # noqa: S608 - columns of ours
    row = cursor.fetchone()
    return Import(*row) if row else None


def find_all(cursor: Cursor, *, before: str | None, limit: int) -> list[Import]:
    """Read imports, the latest first, from behind one of them on."""
    cursor.execute(
        f"SELECT {_COLUMNS} FROM import WHERE %(before)s IS NULL OR id < %(before)s ORDER BY id DESC LIMIT %(limit)s",  # noqa: S608
        {"before": before, "limit": limit},
    )
    return [Import(*row) for row in cursor.fetchall()]


def committing(cursor: Cursor) -> list[str]:
    """Name the imports that are being committed, or were when their process ended."""
    cursor.execute("SELECT id FROM import WHERE state = %s ORDER BY id", (COMMITTING,))
    return [import_id for (import_id,) in cursor.fetchall()]


def change(cursor: Cursor, import_id: str, now: datetime, **values: Any) -> None:
    """Change columns of an import."""
    sets = ", ".join(f"{name} = %({name})s" for name in (*values, "changed_at"))
    cursor.execute(f"UPDATE import SET {sets} WHERE id = %(id)s", {**values, "changed_at": now, "id": import_id})  # noqa: S608


def copy_file(cursor: Cursor, import_id: str, target: IO[bytes]) -> None:
    """Write the kept file."""
    cursor.execute("SELECT count(*) FROM import_chunk WHERE import_id = %s", (import_id,))
    for number in range(one(cursor)[0]):
        cursor.execute("SELECT content FROM import_chunk WHERE (import_id, number) = (%s, %s)", (import_id, number))
        target.write(bytes(one(cursor)[0]))


def forget_rows(cursor: Cursor, import_id: str) -> None:
    """Drop the rows and problems of an import, which are going to be read again."""
    for statement in _FORGOTTEN:
        cursor.execute(statement, {"id": import_id})


def forget_file(cursor: Cursor, import_id: str) -> None:
    """Drop the file with its rows and problems; what became of it stays."""
    forget_rows(cursor, import_id)
    cursor.execute("DELETE FROM import_chunk WHERE import_id = %s", (import_id,))


def forget_old(cursor: Cursor, now: datetime) -> None:
    """Drop the files of imports that ended, or were left, long ago."""
    cursor.execute(
        "SELECT id FROM import WHERE (state IN (%s, %s) AND changed_at < %s OR state IN (%s, %s) AND changed_at < %s)"
        " AND EXISTS (SELECT FROM import_chunk WHERE import_id = id) ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED",
        (
            *(COMMITTED, DISCARDED, now - timedelta(KEPT_DAYS)),
            *(STAGED, NEEDS_PROFILE, now - timedelta(WAITING_DAYS)),
        ),
    )
    for (import_id,) in cursor.fetchall():
        forget_file(cursor, import_id)
        cursor.execute("UPDATE import SET state = %s WHERE id = %s AND state <> %s", (DISCARDED, import_id, COMMITTED))


@contextmanager
def held(database: Database, import_id: str) -> Iterator[bool]:
    """Hold an import against other processes while it is committed; says whether it could be held."""
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_LOCK, import_id))
            yield bool(one(cursor)[0])
    finally:
        connection.close()


# ---- rows and problems


def add_rows(cursor: Cursor, import_id: str, rows: Iterable[StagedRow]) -> None:
    """Add rows."""
    text = "".join(
        "\t".join((import_id, str(row.line), _copied(row.order_id), _copied(row.cells), "t" if row.rejected else "f"))
        + "\n"
        for row in rows
    )
    cursor.copy_expert("COPY import_row (import_id, line, order_id, cells, rejected) FROM STDIN", io.StringIO(text))


def _copied(text: str | None) -> str:
    if text is None:
        return r"\N"
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def orders(cursor: Cursor, import_id: str, *, after: int = 0) -> Iterator[tuple[int, list[StagedRow]]]:
    """Give the orders that are not rejected, each with its rows, by the lines on which they begin, behind a line.

    Shape: the cursor is in a transaction, and is used for nothing else meanwhile.
    """
    cursor.execute(
        "DECLARE staged NO SCROLL CURSOR FOR SELECT first, line, order_id, cells FROM"
        " (SELECT line, order_id, cells, rejected, min(line) OVER (PARTITION BY order_id) AS first FROM import_row"
        " WHERE import_id = %s AND order_id IS NOT NULL) AS of_order"
        " WHERE NOT rejected AND first > %s ORDER BY first, line",
        (import_id, after),
    )
    for first, rows in groupby(_fetched(cursor), itemgetter(0)):
        yield first, [StagedRow(line, order_id, cells) for _, line, order_id, cells in rows]


def _fetched(cursor: Cursor) -> Iterator[tuple[Any, ...]]:
    while True:
        cursor.execute(f"FETCH {_FETCH_ROWS} FROM staged")
        rows = cursor.fetchall()
        if not rows:
            return
        yield from rows


def rows(cursor: Cursor, import_id: str, *, after: int, limit: int, rejected: bool = False) -> list[StagedRow]:
    """Read rows behind a line, all or the rejected ones."""
    cursor.execute(
        "SELECT line, order_id, cells, rejected FROM import_row WHERE import_id = %s AND line > %s"
        " AND (rejected OR NOT %s) ORDER BY line LIMIT %s",
        (import_id, after, rejected, limit),
    )
    return [StagedRow(*row) for row in cursor.fetchall()]


def reject(cursor: Cursor, import_id: str, order_ids: Sequence[str]) -> None:
    """Leave out the orders of these ids from now on."""
    cursor.execute(
        "UPDATE import_row SET rejected = true WHERE import_id = %s AND order_id = ANY(%s)",
        (import_id, list(order_ids)),
    )


def add_problems(cursor: Cursor, import_id: str, problems: Sequence[StagedProblem]) -> None:
    """Note problems."""
    text = "".join(
        "\t".join((import_id, str(each.line), _copied(each.column), each.code, _copied(kept(each.detail)))) + "\n"
        for each in problems
    )
    cursor.copy_expert("COPY import_problem (import_id, line, column_name, code, detail) FROM STDIN", io.StringIO(text))


def problems(cursor: Cursor, import_id: str, *, lines: tuple[int, int] | None, limit: int) -> list[StagedProblem]:
    """Read problems by line, those of the lines from one to another, both included, or of all."""
    first, last = lines or (0, 2**62)
    cursor.execute(
        "SELECT line, column_name, code, detail FROM import_problem WHERE import_id = %s AND line BETWEEN %s AND %s"
        " ORDER BY line, number LIMIT %s",
        (import_id, first, last, limit),
    )
    return [StagedProblem(line, column, code, remembered(detail)) for line, column, code, detail in cursor.fetchall()]


def problems_of(cursor: Cursor, import_id: str, rows: Sequence[StagedRow]) -> dict[int, list[StagedProblem]]:
    """Read the problems of rows that stand together in the file, by their lines; none of a line is an empty list."""
    of_line = defaultdict[int, list[StagedProblem]](list)
    lines = (rows[0].line, rows[-1].line) if rows else (0, 0)
    for problem in problems(cursor, import_id, lines=lines, limit=_PROBLEMS_OF_ROW_MAX * len(rows)):
        of_line[problem.line].append(problem)
    return of_line


def count_problems(cursor: Cursor, import_id: str) -> int:
    """Count the problems of an import."""
    cursor.execute("SELECT count(*) FROM import_problem WHERE import_id = %s", (import_id,))
    count: int = one(cursor)[0]
    return count


def count_rejected(cursor: Cursor, import_id: str) -> tuple[int, int]:
    """Count the rejected rows, and the orders that they name."""
    cursor.execute(
        "SELECT count(*), count(DISTINCT order_id) FROM import_row WHERE import_id = %s AND rejected", (import_id,)
    )
    rows_count, orders_count = one(cursor)
    return rows_count, orders_count


# ---- profiles


def find_profile(cursor: Cursor, name: str) -> str | None:
    """Read a profile."""
    cursor.execute("SELECT profile FROM import_profile WHERE name = %s", (name,))
    row = cursor.fetchone()
    return row[0] if row else None


@dataclass(frozen=True)
class SavedProfile:
    """A profile's name, and who saved it and when."""

    name: str
    actor: str
    saved_at: datetime


def find_profiles(cursor: Cursor, *, after: str, limit: int) -> list[SavedProfile]:
    """Read which profiles there are by name, from behind a name on."""
    cursor.execute(
        "SELECT name, actor, changed_at FROM import_profile WHERE name > %s ORDER BY name LIMIT %s", (after, limit)
    )
    return [SavedProfile(*row) for row in cursor.fetchall()]


def keep_profile(cursor: Cursor, name: str, profile: str, *, actor: str, now: datetime) -> bool:
    """Keep a profile under a name; says whether it is a new one."""
    cursor.execute(
        "INSERT INTO import_profile VALUES (%s, %s, %s, %s) ON CONFLICT (name) DO UPDATE SET"
        " profile = EXCLUDED.profile, actor = EXCLUDED.actor, changed_at = EXCLUDED.changed_at RETURNING xmax = 0",
        (name, profile, actor, now),
    )
    return bool(one(cursor)[0])


def drop_profile(cursor: Cursor, name: str) -> bool:
    """Drop a profile; says whether there was one."""
    cursor.execute("DELETE FROM import_profile WHERE name = %s", (name,))
    return cursor.rowcount == 1

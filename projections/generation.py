"""Generations of the projection: the one that serves, and the one that a rebuild makes beside it.

A generation is a schema, so that readers name all its tables by one search path and a switch is one row. The
generation before is kept until the next rebuild, for readers that began with it.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib import resources

from ledger.database import Cursor, Database, one

SHAPE_VERSION = 3
"""Raised whenever the fold makes other rows of the same events; the tables' own text is part of the shape too."""

_LOCK = 7_305_817_102
_BUILDING_LOCK = 7_305_817_105


@cache
def sql(name: str) -> str:
    """Read one of the projection's SQL files."""
    return (resources.files("projections") / "sql" / name).read_text(encoding="utf-8")


@cache
def shape() -> str:
    """Name what this version of the code builds."""
    text = f"{SHAPE_VERSION}\n{sql('schema.sql')}\n{sql('indexes.sql')}"
    return hashlib.sha256(text.encode()).hexdigest()


def schema_name(generation: int) -> str:
    """Name the schema, and the tracking entry, of a generation."""
    return f"projection_{generation}"


@contextmanager
def building(database: Database) -> Iterator[None]:
    """Wait until nobody else builds a generation beside the serving one, and keep it so."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (_BUILDING_LOCK,))
        yield


def serving_generation(cursor: Cursor) -> int | None:
    """Give the generation that serves, if there is one of the shape that this code reads."""
    cursor.execute("SELECT generation FROM projection WHERE serving AND shape = %s", (shape(),))
    row = cursor.fetchone()
    return row[0] if row else None


def create_generation(cursor: Cursor) -> int:
    """Make an empty generation, not serving, without its indexes."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    cursor.execute("SELECT coalesce(max(generation), 0) + 1 FROM projection")
    generation: int = one(cursor)[0]
    cursor.execute("SELECT create_projection_schema(%s)", (generation,))
    use_generation(cursor, generation)
    cursor.execute(sql("schema.sql"))
    cursor.execute("INSERT INTO projection VALUES (%s, %s, false)", (generation, shape()))
    cursor.execute("INSERT INTO tracking VALUES (%s, 0)", (schema_name(generation),))
    return generation


def drop_others(cursor: Cursor, generation: int) -> None:
    """Drop the generations that serve no more, beside one that is being built."""
    cursor.execute("SELECT generation FROM projection WHERE NOT serving AND generation <> %s", (generation,))
    for (old,) in cursor.fetchall():
        drop_generation(cursor, old)


def drop_generation(cursor: Cursor, generation: int) -> None:
    """Drop a generation with everything in it."""
    cursor.execute("SELECT drop_projection_schema(%s)", (generation,))
    cursor.execute("DELETE FROM tracking WHERE application_name = %s", (schema_name(generation),))
    cursor.execute("DELETE FROM projection WHERE generation = %s", (generation,))


def index_generation(cursor: Cursor, generation: int) -> None:
    """Make a generation's indexes and statistics."""
    for statement in index_statements():
        build_index(cursor, generation, statement)
    analyze_generation(cursor, generation)


def index_statements() -> list[str]:
    """Give the statements that make the indexes, which do not depend on each other."""
    return [part.strip() for part in sql("indexes.sql").split(";") if "CREATE INDEX" in part]


def build_index(cursor: Cursor, generation: int, statement: str) -> None:
    """Make one index, with memory enough to sort millions of rows."""
    use_generation(cursor, generation)
    cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
    cursor.execute(statement)


def analyze_generation(cursor: Cursor, generation: int) -> None:
    """Make a generation's statistics."""
    use_generation(cursor, generation)
    cursor.execute("ANALYZE credit_line, credit_cell, term, customer_class, product_category, salesperson_team, quota")


def use_generation(cursor: Cursor, generation: int, *settings: str) -> None:
    """Let the transaction's unqualified names mean this generation's tables; make further settings on the same way."""
    cursor.execute("; ".join((f"SET LOCAL search_path = {schema_name(generation)}, public", *settings)))


def serve_generation(cursor: Cursor, generation: int) -> None:
    """Switch the serving generation; from now on autovacuum looks after its tables."""
    use_generation(cursor, generation)
    cursor.execute("ALTER TABLE credit_line RESET (autovacuum_enabled)")
    cursor.execute("ALTER TABLE credit_cell RESET (autovacuum_enabled)")
    cursor.execute("UPDATE projection SET serving = false WHERE serving")
    cursor.execute("UPDATE projection SET serving = true WHERE generation = %s", (generation,))


def ensure_generation(database: Database) -> int:
    """Give the serving generation; make an empty one that serves where there is none that this code can read."""
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        generation = serving_generation(cursor)
        if generation is None:
            generation = create_generation(cursor)
            index_generation(cursor, generation)
            serve_generation(cursor, generation)
        return generation

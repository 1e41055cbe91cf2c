"""Terms: the integers that stand for texts in one generation of the projection, and the names people know them by."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from psycopg2.extras import execute_values

from ledger.database import Cursor, one

NONE = 0
"""Stands for no value: no salesperson, no category, no class."""

TEXTS_MAX = 200_000


class Terms:
    """A cache of one kind's terms, text to integer; forgets everything when it grows beyond TEXTS_MAX."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._forget()

    def _forget(self) -> None:
        self.ids: dict[str | None, int] = {None: NONE}

    def _keep(self, found: Iterable[tuple[str, int]]) -> None:
        self.ids.update(found)

    def preload(self, cursor: Cursor) -> None:
        """Read what is there already, up to half of what is kept."""
        cursor.execute("SELECT value, id FROM term WHERE kind = %s ORDER BY id LIMIT %s", (self.kind, TEXTS_MAX // 2))
        self._keep(cursor.fetchall())

    def learn(self, cursor: Cursor, wanted: AbstractSet[str | None]) -> None:
        """Make sure that all these texts have integers in `ids`, giving new ones to new texts."""
        if len(self.ids) + len(wanted) > TEXTS_MAX:
            self._forget()
        missing = sorted(text for text in wanted if text is not None and text not in self.ids)
        if not missing:
            return
        cursor.execute(
            "INSERT INTO term (kind, value) SELECT %s, unnest(%s) ON CONFLICT DO NOTHING RETURNING value, id",
            (self.kind, missing),
        )
        self._keep(cursor.fetchall())
        known = [text for text in missing if text not in self.ids]
        if known:
            cursor.execute(
                "SELECT value, id FROM unnest(%s) AS asked (value) JOIN term USING (value) WHERE kind = %s",
                (known, self.kind),
            )
            self._keep(cursor.fetchall())


def record_names(cursor: Cursor, kind: str, names: Mapping[str, tuple[str, int]]) -> None:
    """Keep the names that events gave, value -> (name, position); the latest position's name stays."""
    if names:
        execute_values(
            cursor,
            "UPDATE term SET name = given.name, named_at = given.position FROM (VALUES %s) AS given"
            " (kind, value, name, position) WHERE term.kind = given.kind AND term.value = given.value"
            " AND term.named_at < given.position",
            [(kind, value, name, position) for value, (name, position) in sorted(names.items())],
        )


def take_over(cursor: Cursor, schema: str) -> None:
    """Begin with the terms of another generation, which mean the same; the names for people come with the events."""
    cursor.execute(f"INSERT INTO term (kind, value) SELECT kind, value FROM {schema}.term ORDER BY id")  # noqa: S608


def knows_any(cursor: Cursor, kind: str) -> bool:
    """Say whether there is any text of a kind."""
    cursor.execute("SELECT EXISTS (SELECT FROM term WHERE kind = %s)", (kind,))
    return bool(one(cursor)[0])


def named_so(cursor: Cursor, kind: str, names: Iterable[str]) -> dict[str, str]:
    """Give, of the names that people know one text alone by, which text: name -> value."""
    cursor.execute(
        "SELECT name, min(value) FROM term WHERE kind = %s AND name = ANY(%s) GROUP BY name HAVING count(*) = 1",
        (kind, list(names)),
    )
    return dict(cursor.fetchall())


def known_values(cursor: Cursor, kind: str, values: Iterable[str]) -> set[str]:
    """Give those of the texts that have an integer already."""
    cursor.execute("SELECT value FROM term WHERE kind = %s AND value = ANY(%s)", (kind, list(values)))
    return {value for (value,) in cursor.fetchall()}

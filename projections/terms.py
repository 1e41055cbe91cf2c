"""Terms: the integers that stand for texts in one generation of the projection, and the names people know them by."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from psycopg2.extras import execute_values

from ledger.database import Cursor

NONE = 0
"""Stands for no value: no salesperson, no category, no class."""

TEXTS_MAX = 200_000


class Terms:
    """A cache of one kind's terms, text to integer; forgets everything when it grows beyond TEXTS_MAX."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.ids: dict[str | None, int] = {None: NONE}

    def learn(self, cursor: Cursor, wanted: AbstractSet[str | None]) -> None:
        """Make sure that all these texts have integers in `ids`, giving new ones to new texts."""
        if len(self.ids) + len(wanted) > TEXTS_MAX:
            self.ids = {None: NONE}
        missing = sorted(text for text in wanted - self.ids.keys() if text is not None)
        if not missing:
            return
        cursor.execute(
            "INSERT INTO term (kind, value) SELECT %s, unnest(%s) ON CONFLICT DO NOTHING RETURNING value, id",
            (self.kind, missing),
        )
        self.ids.update(cursor.fetchall())
        known = [text for text in missing if text not in self.ids]
        if known:
            cursor.execute(
                "SELECT value, id FROM unnest(%s) AS asked (value) JOIN term USING (value) WHERE kind = %s",
                (known, self.kind),
            )
            self.ids.update(cursor.fetchall())


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

"""The protection of what is recorded: that the database still refuses to change it.

What the migrations made is compared with what is there: the triggers that always fire, the text of their functions, and
the rights of the role that the service acts as.
Source: design, section 5, "Append-only in the database".
"""

import re

from ledger.database import Cursor, migrations
from ledger.findings import Verified
from ledger.wording import say

RECORDED_TABLES = ("event", "head", "merkle_block", "access", "verification")
_NEEDED = ("event", "head", "merkle_block")
_BEFORE_UPDATE_DELETE_TRUNCATE, _BEFORE_DELETE_TRUNCATE, _BEFORE_UPDATE_OF_ROWS = 58, 42, 19
PROTECTION = {
    *(
        (table, f"{table}_is_immutable", _BEFORE_UPDATE_DELETE_TRUNCATE, "refuse_change")
        for table in RECORDED_TABLES
        if table != "head"
    ),
    ("head", "head_is_kept", _BEFORE_DELETE_TRUNCATE, "refuse_change"),
    ("head", "head_grows", _BEFORE_UPDATE_OF_ROWS, "refuse_unless_head_grows"),
}
"""Tables, triggers, what they fire for (PostgreSQL's pg_trigger.tgtype) and their functions."""
_TRIGGERS = (
    "SELECT tgrelid::regclass::text, tgname, tgtype::integer, tgfoid::regproc::text FROM pg_trigger"
    " WHERE tgrelid = ANY(%s::regclass[]) AND tgenabled = 'A' AND NOT tgisinternal AND tgqual IS NULL"
)
_RIGHTS = (
    "SELECT name, kind FROM unnest(%s) AS name, unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS kind"
    " WHERE has_table_privilege('orderledger_app', name, kind)"
    " OR kind = 'UPDATE' AND has_any_column_privilege('orderledger_app', name, kind) ORDER BY name, kind"
)


def has_tables(cursor: Cursor, verified: Verified) -> bool:
    """Say whether the tables that a ledger is read from are there, and tell those that are not."""
    cursor.execute("SELECT name FROM unnest(%s) AS name WHERE to_regclass(name) IS NULL", (list(_NEEDED),))
    missing = [name for (name,) in cursor.fetchall()]
    for name in missing:
        verified.note("protection", name, say("this table is not there: the ledger can't be read"))
    return not missing


def check_protection(cursor: Cursor, verified: Verified) -> None:
    """Check that the database still refuses to change what is recorded: triggers, their functions, and rights."""
    cursor.execute(_TRIGGERS, (_there(cursor),))
    there = {tuple(row) for row in cursor.fetchall()}
    for table, trigger, kind, function in sorted(PROTECTION - there):
        said = say(
            "the trigger {trigger} ({kind}, {function}) is not there, not always on, or another one",
            trigger=trigger,
            kind=kind,
            function=function,
        )
        verified.note("protection", table, said)
    cursor.execute("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    bodies = dict(cursor.fetchall())
    for name, body in _released_functions().items():
        if bodies.get(name) != body:
            verified.note("protection", say("function {name}", name=name), say("it is not the one that was released"))
    cursor.execute(_RIGHTS, (_there(cursor),))
    for table, right in cursor.fetchall():
        verified.note("protection", table, say("the application has the right to {right} there", right=right))


def _released_functions() -> dict[str, str]:
    """Give the text of each function that the migrations make; a later one replaces an earlier one."""
    texts = "\n".join(text for _, _, text in migrations())
    return dict(re.findall(r"CREATE FUNCTION (\w+)\(.*?\$\$(.*?)\$\$", texts, re.DOTALL))


def _there(cursor: Cursor) -> list[str]:
    cursor.execute("SELECT name FROM unnest(%s) AS name WHERE to_regclass(name) IS NOT NULL", (list(RECORDED_TABLES),))
    return [name for (name,) in cursor.fetchall()]

"""Random manipulations of a ledger's database, done as somebody can who owns the server, and whether they are found.

A manipulation changes rows behind the ledger's back: crudely, or with the columns, the tree and the head made to fit.
It says which positions, or which part, it is about; verifying must find something there. Each is done to a copy of the
same ledger, which is verified untouched first, as the control.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from api.demo import load_demo
from ledger import checkpoints
from ledger.database import Cursor, Database, migrate, one
from ledger.events import NAMES, PeriodClosed, PeriodRestated
from ledger.findings import Finding
from ledger.merkle import BLOCK_LEAVES, full_tree, grow, leaf_hash, root_hash
from ledger.signing import Signer
from ledger.store import Store
from projections.generation import serving_generation, use_generation
from projections.projector import Projector
from projections.verification import verify
from tests.conftest import administer

RECORDED = ("event", "head", "merkle_block")
TEXT_COLUMNS = ("subject", "type", "source", "event_id", "actor")


@dataclass(frozen=True)
class Manipulation:
    """What was done: in words, the positions it is about (none: a part that is named), and that part."""

    words: str
    positions: tuple[int, ...] = ()
    part: str = ""
    is_fitted: bool = False

    def is_located(self, finding: Finding) -> bool:
        """Say whether a finding is about what was done.

        Where the tree was made to fit, only what was signed can tell: up to which event the ledger is another one.
        """
        if self.part and finding.part == self.part:
            return True
        if self.is_fitted and finding.part in ("kept checkpoint", "checkpoint"):
            return True
        return any(_covers(finding, position) for position in self.positions)


def _covers(finding: Finding, position: int) -> bool:
    numbers = [int(word) for word in finding.where.replace(",", " ").split() if word.isdecimal()]
    if finding.where.startswith("positions ") and len(numbers) == 2:
        return numbers[0] <= position <= numbers[1]
    return finding.where.startswith("position ") and position in numbers


class Tamperer:
    """Manipulates one copy of a ledger."""

    def __init__(self, cursor: Cursor, random: Random) -> None:
        self.cursor = cursor
        self.random = random
        cursor.execute("SELECT max(position) FROM event")
        self.size: int = one(cursor)[0]

    def any_position(self) -> int:
        """Choose an event."""
        return self.random.randint(1, self.size)

    def state(self, position: int) -> str:
        """Read an event's document."""
        self.cursor.execute("SELECT state FROM event WHERE position = %s", (position,))
        text: str = one(self.cursor)[0]
        return text

    def write_state(self, position: int, state: str) -> None:
        """Overwrite an event's document."""
        self.cursor.execute("UPDATE event SET state = %s WHERE position = %s", (state, position))

    def fit_tree(self) -> None:
        """Make blocks and head those of the events as they are now: what a careful forger does."""
        self.cursor.execute("SELECT state, recorded_at FROM event ORDER BY position")
        rows = self.cursor.fetchall()
        leaves = [leaf_hash(state.encode()) for state, _ in rows]
        self.cursor.execute("DELETE FROM merkle_block")
        for number in range(len(leaves) // BLOCK_LEAVES):
            block = leaves[number * BLOCK_LEAVES : (number + 1) * BLOCK_LEAVES]
            self.cursor.execute(
                "INSERT INTO merkle_block VALUES (%s, %s, %s)", (number, full_tree(block), b"".join(block))
            )
        peaks = list[bytes]()
        for size, leaf in enumerate(leaves):
            grow(peaks, size, leaf)
        self.cursor.execute("SELECT coalesce(max(version), 0) FROM event WHERE subject = 'rulebook'")
        self.cursor.execute(
            "UPDATE head SET position = %s, recorded_at = %s, rulebook_version = %s, root = %s, frontier = %s",
            (len(leaves), rows[-1][1], one(self.cursor)[0], root_hash(peaks), b"".join(peaks)),
        )


def flip_a_byte(ledger: Tamperer) -> Manipulation:
    """Change one character of a document."""
    position = ledger.any_position()
    state = ledger.state(position)
    at = ledger.random.randrange(len(state))
    other = chr(ord(state[at]) ^ 1) if 32 < ord(state[at]) < 126 else "x"
    ledger.write_state(position, state[:at] + other + state[at + 1 :])
    return Manipulation(f"character {at} of position {position} is {other!r}", (position,))


def edit_an_amount(ledger: Tamperer) -> Manipulation:
    """Change a value of the data, leaving sound JSON."""
    position, state = _edited(ledger)
    ledger.write_state(position, state)
    return Manipulation(f"data of position {position} edited", (position,))


def edit_an_amount_and_the_tree(ledger: Tamperer) -> Manipulation:
    """Change a value, and make blocks and head fit."""
    position, state = _edited(ledger)
    ledger.write_state(position, state)
    ledger.fit_tree()
    return Manipulation(f"data of position {position} edited, the tree fitted", (position,), is_fitted=True)


def edit_an_amount_and_its_leaf(ledger: Tamperer) -> Manipulation:
    """Change a value, and the one leaf that was kept of it."""
    position, state = _edited(ledger)
    ledger.write_state(position, state)
    number, at = divmod(position - 1, BLOCK_LEAVES)
    ledger.cursor.execute(
        "UPDATE merkle_block SET leaves = overlay(leaves PLACING %s FROM %s) WHERE number = %s",
        (leaf_hash(state.encode()), at * 32 + 1, number),
    )
    return Manipulation(f"data of position {position} edited, and its leaf", (position,))


def _edited(ledger: Tamperer) -> tuple[int, str]:
    position = ledger.any_position()
    document = json.loads(ledger.state(position))
    data = document["data"]
    name = ledger.random.choice(sorted(data))
    data[name] = f"{data[name]}0" if isinstance(data[name], str) else "forged"
    return position, json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def edit_a_column(ledger: Tamperer) -> Manipulation:
    """Change a column beside a document: the idempotency key, the actor, a date …"""
    position, column = ledger.any_position(), ledger.random.choice(TEXT_COLUMNS)
    ledger.cursor.execute(f"UPDATE event SET {column} = {column} || 'x' WHERE position = %s", (position,))
    return Manipulation(f"column {column} of position {position} edited", (position,))


def edit_a_time(ledger: Tamperer) -> Manipulation:
    """Date an event otherwise, in the columns."""
    position = ledger.any_position()
    column, step = ledger.random.choice([("recorded_at", "1 second"), ("effective_on", "1 day"), ("version", "")])
    change = f"{column} + interval '{step}'" if step else "version + 1000"
    ledger.cursor.execute(f"UPDATE event SET {column} = {change} WHERE position = %s", (position,))
    return Manipulation(f"column {column} of position {position} edited", (position,))


def edit_an_idempotency_key(ledger: Tamperer) -> Manipulation:
    """Change an event's id in the column and in the document, so that it could be recorded once more."""
    position = ledger.any_position()
    document = json.loads(ledger.state(position))
    document["id"] += "-again"
    ledger.write_state(position, json.dumps(document, separators=(",", ":"), ensure_ascii=False))
    ledger.cursor.execute("UPDATE event SET event_id = event_id || '-again' WHERE position = %s", (position,))
    if fitted := ledger.random.random() < 0.5:
        ledger.fit_tree()
    return Manipulation(f"id of position {position} edited, fitted: {fitted}", (position,), is_fitted=fitted)


def delete_an_event(ledger: Tamperer) -> Manipulation:
    """Take an event away."""
    position = ledger.any_position()
    ledger.cursor.execute("DELETE FROM event WHERE position = %s", (position,))
    part = "head" if position == ledger.size else ""
    return Manipulation(f"position {position} deleted", (position,), part)


def delete_an_event_and_close_the_gap(ledger: Tamperer) -> Manipulation:
    """Take an event away and number the rest anew; sometimes with the tree."""
    position = ledger.any_position()
    ledger.cursor.execute("DELETE FROM event WHERE position = %s", (position,))
    _shift(ledger, position, -1)
    if fitted := ledger.random.random() < 0.5:
        ledger.fit_tree()
    moved = (position, position + 1) if position < ledger.size else ()
    return Manipulation(f"position {position} deleted, the gap closed, fitted: {fitted}", moved, "head", fitted)


def insert_an_event(ledger: Tamperer) -> Manipulation:
    """Put a copy of an event, under another id, somewhere into the order."""
    position = ledger.any_position()
    _shift(ledger, position - 1, 1)
    ledger.cursor.execute(
        "INSERT INTO event SELECT %s, subject || '-2', 1, type, source, event_id || '-2', actor, recorded_at,"
        " effective_on, state FROM event WHERE position = %s",
        (position, position + 1),
    )
    if fitted := ledger.random.random() < 0.5:
        ledger.fit_tree()
    return Manipulation(f"an event inserted at position {position}, fitted: {fitted}", (position,), is_fitted=fitted)


def append_behind_the_head(ledger: Tamperer) -> Manipulation:
    """Put an event behind the last one without the head."""
    ledger.cursor.execute(
        "INSERT INTO event SELECT %s, subject || '-2', 1, type, source, event_id || '-2', actor, recorded_at,"
        " effective_on, state FROM event WHERE position = %s",
        (ledger.size + 1, ledger.any_position()),
    )
    return Manipulation("an event behind the head", (ledger.size + 1,), "head")


def _shift(ledger: Tamperer, after: int, by: int) -> None:
    ledger.cursor.execute("UPDATE event SET position = -position WHERE position > %s", (after,))
    ledger.cursor.execute("UPDATE event SET position = -position + %s WHERE position < 0", (by,))


def swap_two_events(ledger: Tamperer) -> Manipulation:
    """Let two events change places."""
    first, second = sorted(ledger.random.sample(range(1, ledger.size + 1), 2))
    for old, new in ((first, -1), (second, first), (-1, second)):
        ledger.cursor.execute("UPDATE event SET position = %s WHERE position = %s", (new, old))
    if fitted := ledger.random.random() < 0.5:
        ledger.fit_tree()
    return Manipulation(f"positions {first} and {second} swapped, fitted: {fitted}", (first, second), is_fitted=fitted)


def cut_off_the_end(ledger: Tamperer) -> Manipulation:
    """Take the last events away; sometimes so that everything else fits, as an old backup does."""
    count = ledger.random.randint(1, min(ledger.size - 1, 40))
    ledger.cursor.execute("DELETE FROM event WHERE position > %s", (ledger.size - count,))
    if fitted := ledger.random.random() < 0.7:
        _unproject(ledger, ledger.size - count)
        ledger.fit_tree()
    part = "kept checkpoint" if fitted else "head"
    return Manipulation(f"the last {count} events cut off, fitted: {fitted}", (), part)


def _unproject(ledger: Tamperer, until: int) -> None:
    """Forget the projection, as a backup from before has it."""
    ledger.cursor.execute("SELECT generation FROM projection")
    for (generation,) in ledger.cursor.fetchall():
        ledger.cursor.execute(f"DROP SCHEMA projection_{generation} CASCADE")
    ledger.cursor.execute("DELETE FROM projection; DELETE FROM tracking")


def edit_a_statement(ledger: Tamperer) -> Manipulation:
    """Pay somebody more in a closed quarter, with the tree made to fit."""
    types = [NAMES[PeriodClosed], NAMES[PeriodRestated]]
    ledger.cursor.execute("SELECT position FROM event WHERE type = ANY(%s)", (types,))
    position = ledger.random.choice([row[0] for row in ledger.cursor.fetchall()])
    document = json.loads(ledger.state(position))
    document["data"]["statement"]["figures"].append(
        {"salesperson_id": "forger", "currency": "EUR", "credited": "1000000"}
    )
    ledger.write_state(position, json.dumps(document, separators=(",", ":"), ensure_ascii=False))
    if fitted := ledger.random.random() < 0.5:
        ledger.fit_tree()
    return Manipulation(f"the statement of position {position} edited, fitted: {fitted}", (position,), is_fitted=fitted)


def edit_a_checkpoint(ledger: Tamperer) -> Manipulation:
    """Change a checkpoint's size, root or signature."""
    ledger.cursor.execute("SELECT position FROM event WHERE type = 'checkpoint.issued'")
    position = ledger.random.choice([row[0] for row in ledger.cursor.fetchall()])
    document = json.loads(ledger.state(position))
    data = document["data"]
    name = ledger.random.choice(sorted(data))
    if name == "size":
        data["size"] += 1
    else:
        at = ledger.random.randrange(len(data[name]) - 4)
        data[name] = data[name][:at] + ("A" if data[name][at] != "A" else "B") + data[name][at + 1 :]
    ledger.write_state(position, json.dumps(document, separators=(",", ":"), ensure_ascii=False))
    if fitted := ledger.random.random() < 0.5:
        ledger.fit_tree()
    words = f"the {name} of the checkpoint of position {position} edited, fitted: {fitted}"
    return Manipulation(words, (position,), is_fitted=fitted)


def edit_the_head(ledger: Tamperer) -> Manipulation:
    """Change the head row."""
    changes = {
        "position": "position + 1",
        "recorded_at": "recorded_at + interval '1 second'",
        "rulebook_version": "rulebook_version + 1",
        "root": "sha256(root)",
        "frontier": "sha256(frontier)",
    }
    empty = {"frontier": "''", "root": "''"}
    column = ledger.random.choice(sorted(changes))
    change = ledger.random.choice([changes[column], empty.get(column, changes[column])])
    ledger.cursor.execute(f"UPDATE head SET {column} = {change}")
    return Manipulation(f"the head's {column} edited", (), "head")


def edit_a_block(ledger: Tamperer) -> Manipulation:
    """Change what was kept of the tree, or take it away."""
    statement = ledger.random.choice(
        [
            "UPDATE merkle_block SET root = sha256(root) WHERE number = 0",
            "UPDATE merkle_block SET leaves = overlay(leaves PLACING sha256(leaves) FROM 65) WHERE number = 0",
            "UPDATE merkle_block SET leaves = substring(leaves FROM 33) WHERE number = 0",
            "DELETE FROM merkle_block WHERE number = 0",
            "INSERT INTO merkle_block SELECT number + 1000, root, leaves FROM merkle_block WHERE number = 0",
        ]
    )
    ledger.cursor.execute(statement)
    return Manipulation(statement, (3,), "block")


def edit_a_projected_row(ledger: Tamperer) -> Manipulation:
    """Change, delete or repeat a row of the projection."""
    table = ledger.random.choice(["credit_line", "credit_cell"])
    use_generation(ledger.cursor, serving_generation(ledger.cursor) or 0)
    ledger.cursor.execute(f"SELECT ctid::text, position FROM {table} ORDER BY ctid")
    ctid, position = ledger.random.choice(ledger.cursor.fetchall())
    statement = ledger.random.choice(
        [
            f"UPDATE {table} SET amount = amount + 1 WHERE ctid = %s",
            f"UPDATE {table} SET salesperson = salesperson + 1 WHERE ctid = %s",
            f"UPDATE {table} SET credited_on = credited_on + 1 WHERE ctid = %s",
            f"DELETE FROM {table} WHERE ctid = %s",
            f"INSERT INTO {table} SELECT * FROM {table} WHERE ctid = %s",
        ]
    )
    ledger.cursor.execute(statement, (ctid,))
    return Manipulation(f"{statement}: position {position}", (position,))


def edit_a_projected_text(ledger: Tamperer) -> Manipulation:
    """Change a name or a text that lines stand on."""
    use_generation(ledger.cursor, serving_generation(ledger.cursor) or 0)
    column = ledger.random.choice(["name", "value"])
    ledger.cursor.execute(
        "SELECT id, kind, value FROM term WHERE kind = 'salesperson' AND name IS NOT NULL ORDER BY id"
    )
    term, kind, value = ledger.random.choice(ledger.cursor.fetchall())
    ledger.cursor.execute(f"UPDATE term SET {column} = {column} || 'x' WHERE id = %s", (term,))
    return Manipulation(f"the {column} of {kind} {value} edited", (), "projection")


def forge_rows_of_events_to_come(ledger: Tamperer) -> Manipulation:
    """Put rows where the projection has not been yet, or end facts there: they would come into force later."""
    use_generation(ledger.cursor, serving_generation(ledger.cursor) or 0)
    later = ledger.size + ledger.random.randint(1, 1_000)
    statement = ledger.random.choice(
        [
            (
                "CREATE TEMPORARY TABLE forged AS SELECT * FROM credit_line LIMIT 1;"
                f" UPDATE forged SET position = {later}, amount = amount * 1000;"
                " INSERT INTO credit_line SELECT * FROM forged; DROP TABLE forged"
            ),
            f"UPDATE quota SET superseded = {later} WHERE ctid = (SELECT min(ctid) FROM quota)",
            f"UPDATE term SET name = 'forged', named_at = {later} WHERE kind = 'salesperson' AND name IS NOT NULL",
            f"INSERT INTO term (kind, value, name, named_at) VALUES ('salesperson', 'S-999', 'forged', {later})",
            "INSERT INTO term (kind, value, name, named_at) VALUES ('salesperson', 'S-999', 'forged', 1)",
            f"UPDATE public.tracking SET notification_id = {later} WHERE application_name LIKE 'projection%'",
        ]
    )
    ledger.cursor.execute(statement)
    return Manipulation(statement, (), "projection")


def damage_a_projected_table(ledger: Tamperer) -> Manipulation:
    """Change the shape of a table, or take it away."""
    use_generation(ledger.cursor, serving_generation(ledger.cursor) or 0)
    statement = ledger.random.choice(
        ["ALTER TABLE quota DROP COLUMN currency", "ALTER TABLE credit_line ADD extra integer", "DROP TABLE quota"]
    )
    ledger.cursor.execute(statement)
    return Manipulation(statement, (), "projection")


def make_an_event_unreadable(ledger: Tamperer) -> Manipulation:
    """Break a document that commands read to find their way: settings, keys, the rulebook, the periods."""
    ledger.cursor.execute("SELECT position FROM event WHERE NOT starts_with(type, 'order.') ORDER BY position")
    position = ledger.random.choice([1, 2, 4, *(row[0] for row in ledger.cursor.fetchall())])
    state = ledger.state(position)
    ledger.write_state(position, ledger.random.choice(["{" + state, state[:-1], state.replace('":"', '":"x', 1), "[]"]))
    return Manipulation(f"position {position} can't be read", (position,))


def move_an_event_far_away(ledger: Tamperer) -> Manipulation:
    """Give an event a position beyond all, or below 1; or dates that no calendar of ours has."""
    position = ledger.any_position()
    place = ledger.random.choice([9_000_000_000_000_000_000, 100_000_000, -300, 0])
    change = ledger.random.choice(
        [
            f"position = {place}",
            "effective_on = '0044-03-15 BC'",
            "effective_on = '5874897-12-31'",
            "effective_on = 'infinity'",
            "recorded_at = '294276-01-01'",
        ]
    )
    ledger.cursor.execute(f"UPDATE event SET {change} WHERE position = %s", (position,))
    return Manipulation(f"{change} at position {position}", (position, place))


def take_protection_away(ledger: Tamperer) -> Manipulation:
    """Let the database take changes from now on, without any yet."""
    statement = ledger.random.choice(
        [
            "DROP TRIGGER event_is_immutable ON event",
            "DROP TRIGGER head_grows ON head",
            "DROP TRIGGER merkle_block_is_immutable ON merkle_block",
            "DROP TRIGGER verification_is_immutable ON verification",
            "DROP TABLE merkle_block",
            "GRANT UPDATE ON event TO orderledger_app",
            "GRANT UPDATE (state) ON event TO PUBLIC",
            "GRANT DELETE ON merkle_block TO orderledger_app",
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            (
                "DROP TRIGGER event_is_immutable ON event; CREATE TRIGGER event_is_immutable BEFORE DELETE ON event"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            ),
        ]
    )
    ledger.cursor.execute(statement)
    return Manipulation(statement, (), "protection")


MANIPULATIONS: tuple[Callable[[Tamperer], Manipulation], ...] = (
    flip_a_byte,
    edit_an_amount,
    edit_an_amount_and_the_tree,
    edit_an_amount_and_its_leaf,
    edit_a_column,
    edit_a_time,
    edit_an_idempotency_key,
    delete_an_event,
    delete_an_event_and_close_the_gap,
    insert_an_event,
    append_behind_the_head,
    swap_two_events,
    cut_off_the_end,
    edit_a_statement,
    edit_a_checkpoint,
    edit_the_head,
    edit_a_block,
    edit_a_projected_row,
    edit_a_projected_text,
    forge_rows_of_events_to_come,
    damage_a_projected_table,
    make_an_event_unreadable,
    move_an_event_far_away,
    take_protection_away,
)


def manipulated(database: Database, signer: Signer, seed: int) -> tuple[Manipulation, list[Finding]]:
    """Manipulate a copy of a ledger by a seed, and give what verifying finds."""
    random = Random(seed)  # noqa: S311 - chosen by a seed, not secretly
    manipulate = MANIPULATIONS[seed % len(MANIPULATIONS)]
    with without_triggers(database) as cursor:
        done = manipulate(Tamperer(cursor, random))
    return done, findings(database, signer)


@contextmanager
def without_triggers(database: Database) -> Iterator[Cursor]:
    """Lend a cursor of somebody who owns the server: nothing recorded is protected meanwhile."""
    with database.administration() as cursor:
        cursor.execute("BEGIN")
        for table in RECORDED:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield cursor
        cursor.execute(
            "SELECT tgrelid::regclass, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
            " WHERE relname = ANY(%s) AND NOT tgisinternal",
            (list(RECORDED),),
        )
        for table, trigger in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
        cursor.execute("COMMIT")


def findings(database: Database, signer: Signer) -> list[Finding]:
    """Verify a ledger, and what the signer remembers of it."""
    with closing(Store(database, signer=signer)) as store:
        return verify(store, signer=signer, processes=1).ledger.findings


@dataclass(frozen=True)
class Original:
    """A ledger to be copied: the demo, closed with a checkpoint of its last event, and what its signer remembers."""

    server_url: Callable[[str], str]
    name: str
    signer: Signer

    @contextmanager
    def copy(self, name: str) -> Iterator[Database]:
        """Lend a copy of the ledger."""
        administer(self.server_url, f"CREATE DATABASE {name} TEMPLATE {self.name}")
        database = Database(self.server_url(name))
        try:
            migrate(database)
            yield database
        finally:
            database.close()
            administer(self.server_url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def original(server_url: Callable[[str], str], name: str, folder: Path) -> Iterator[Original]:
    """Make the ledger that is copied."""
    administer(server_url, f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    database, signer = Database(server_url(name)), Signer(folder / "signing-key")
    try:
        migrate(database)
        load_demo(database, signer=signer)
        with closing(Store(database, signer=signer)) as store:
            checkpoints.issue(store, actor="auditor")
        Projector(database).catch_up()
        database.close()
        yield Original(server_url, name, signer)
    finally:
        database.close()
        administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def missed(ledger: Original, seed: int) -> str:
    """Manipulate a copy by a seed; tell what of it was not found where it was done, "" where it was."""
    with ledger.copy(f"{ledger.name}_{seed}") as database:
        done, found = manipulated(database, ledger.signer, seed)
    if any(done.is_located(finding) for finding in found):
        return ""
    return f"seed {seed}: {done.words}: found {[str(finding) for finding in found] or 'nothing'}"
